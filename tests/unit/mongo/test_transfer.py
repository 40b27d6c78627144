# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections are read whole or not at all, and loaded as they were: with what the lab's server does not have."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Optional

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import batches
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.batches import raw_batches
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import describe
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.comparison import Content, compare
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.digest import DocumentsDigest, SequenceDigest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.export import Export, ExportedCollection, export
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.load import Loader
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata, Namespace
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.reading import read_back

from fakes.mongodb import FakeMongo, refused

SERIES = {"timeField": "t", "metaField": "m"}


class Counted:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.total = 0

    def advance(self, done: int, detail: str) -> None:
        self.total += done


def numbered(number: int) -> list[dict[str, Any]]:
    return [{"_id": index, "text": "x" * 50} for index in range(number)]


@pytest.fixture(name="server")
def _server(monkeypatch: pytest.MonkeyPatch) -> FakeMongo:
    monkeypatch.setattr(batches, "BATCH_BYTES", 5000)
    return FakeMongo()


def taken(server: FakeMongo, folder: Path, *, still: bool = True, progress: Optional[Counted] = None) -> Export:
    return export(describe(server, "app"), server, folder, 2, progress, still=still)


def documents_of(collection: ExportedCollection) -> bytes:
    return b"".join(gzip.decompress(segment.path.read_bytes()) for segment in collection.segments)


def put_back(server: FakeMongo, exported: Export) -> list[str]:
    """Load into database `new`; what differs there."""
    names = {collection.namespace: collection.metadata for collection in exported.collections}
    with Loader(server, names, lambda namespace: Namespace("new", "t " + namespace.collection)) as loader:
        for collection in exported.collections:
            if collection.metadata.type != "view":
                loader.begin(collection.namespace)
                if collection.count:
                    loader.documents(collection.namespace, documents_of(collection))
                loader.end(collection.namespace)
        loader.finish()
    found = {info.namespace.collection: info for info in describe(server, "new")}
    differences = []
    for wanted in exported.collections:
        info = found.pop("t " + wanted.namespace.collection)
        tally = read_back(server, info)
        sequence = tally.sequence.hexdigest() if tally.sequence else None
        content = Content(info.metadata, tally.digest.count, tally.digest.hexdigest(), sequence)
        differences += compare(Content(wanted.metadata, wanted.count, wanted.digest, wanted.sequence), content)
    assert found == {}
    return differences


def test_every_kind_of_collection_makes_the_round_trip(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(300)).indexes.append({"v": 2, "key": {"text": 1}, "name": "text", "sparse": True})
    capped = server.add("app", "log", [{"_id": -index} for index in range(300)], capped=True, size=65536)
    server.add("app", "french", numbered(3), collation={"locale": "fr"})
    server.add("app", "strict", numbered(3), validator={"never": {"$exists": True}})
    server.add("app", "empty", [])
    buckets = server.add("app", "weather", numbered(300), timeseries=SERIES).documents
    server.add("app", "seen", [], viewOn="elsewhere", pipeline=[{"$match": {"a": 1}}])
    progress = Counted()
    exported = taken(server, tmp_path, progress=progress)
    by_name = {collection.namespace.collection: collection for collection in exported.collections}
    sequence = SequenceDigest()
    sequence.add_batch(b"".join(capped.documents))
    assert by_name["log"].sequence == sequence.hexdigest()
    assert documents_of(by_name["log"]) == b"".join(capped.documents)
    assert [name for name, collection in by_name.items() if collection.sequence] == ["log"]
    assert (by_name["weather"].count, by_name["seen"].count, buckets) == (300, 0, [])
    assert progress.total == sum(collection.bytes for collection in exported.collections)
    assert exported.untouched
    assert put_back(server, exported) == []


def test_a_capped_collection_is_read_and_loaded_in_its_order(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "log", [{"_id": -index} for index in range(300)], capped=True, size=65536)
    exported = taken(server, tmp_path)
    assert [command["hint"] for command in server.commands if "find" in command] == [{"$natural": 1}]
    put_back(server, exported)
    assert [command["ordered"] for command in server.commands if "insert" in command] == [True]


def test_rules_do_not_keep_documents_out(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "strict", numbered(3), validator={"never": {"$exists": True}})
    server.add("app", "sales", numbered(3))
    put_back(server, taken(server, tmp_path))
    bypassed = {command["insert"]: command.get("bypassDocumentValidation") for command in server.commands if "insert" in command}
    assert bypassed == {"t strict": True, "t sales": None}


def test_a_view_reads_the_collections_by_their_new_names(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(3))
    server.add("app", "seen", [], viewOn="sales", pipeline=[{"$lookup": {"from": "elsewhere", "as": "x"}}])
    put_back(server, taken(server, tmp_path))
    view = server.collections["new", "t seen"]
    assert (view.kind, view.options["viewOn"], view.options["pipeline"][0]["$lookup"]["from"]) == ("view", "t sales", "elsewhere")
    assert [next(iter(command.values())) for command in server.commands if "create" in command] == ["t sales", "t seen"]


@pytest.mark.parametrize(("facts", "expected"), [({}, {"w": 1}), ({"setName": "rs0"}, {"w": "majority"})])
def test_writes_are_confirmed_by_as_many_as_there_are(tmp_path: Path, facts: dict[str, Any], expected: dict[str, Any]) -> None:
    server = FakeMongo(**facts)
    server.add("app", "sales", numbered(3))
    put_back(server, taken(server, tmp_path))
    assert [command["writeConcern"] for command in server.commands if "insert" in command or "create" in command] == [expected, expected]


# -- what comes in between ----------------------------------------------------------------------------------------------------


class AtGetMore:
    """Does something at the first of a read's further batches; at each, where it is `always`."""

    def __init__(self, server: FakeMongo, deed: Any, always: bool = False) -> None:
        self._deed, self._always, self.times = deed, always, 0
        server.before = self

    def __call__(self, command: dict[str, Any]) -> None:
        if "getMore" in command and (self._always or not self.times):
            self.times += 1
            self._deed()


def test_a_cursor_that_just_ends_is_noticed(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(3000))
    AtGetMore(server, lambda: [left.clear() for dummy, left in server.cursors.values()])
    exported = taken(server, tmp_path)
    assert (exported.collections[0].count, exported.untouched) == (3000, True)
    again = tmp_path / "again"
    again.mkdir()
    AtGetMore(server, lambda: [left.clear() for dummy, left in server.cursors.values()], always=True)
    for still in (True, False):
        with pytest.raises(Failure, match=r"could not be read whole: 3000 documents before, \d+ read, 3000 after, 3 times; stop"):
            taken(server, again, still=still)
    assert list(again.iterdir()) == []


def test_a_collection_that_is_dropped_ends_the_cursor_and_the_export(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(3000))
    AtGetMore(server, lambda: server.collections.pop(("app", "sales")))
    with pytest.raises(Failure, match="Collection app.sales was dropped or renamed while it was read"):
        taken(server, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cursor_that_the_server_gave_up_is_opened_again(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(3000))
    progress = Counted()
    AtGetMore(server, server.cursors.clear)
    exported = taken(server, tmp_path, progress=progress)
    assert exported.collections[0].count == 3000
    assert list(tmp_path.iterdir()) == [exported.collections[0].segments[0].path]
    (tmp_path / "again").mkdir()
    AtGetMore(server, server.cursors.clear, always=True)
    with pytest.raises(Failure, match="MongoDB gave up reading app.sales 3 times: "):
        taken(server, tmp_path / "again")
    with pytest.raises(Failure, match="MongoDB gave up reading app.sales 3 times: "):
        read_back(server, describe(server, "app")[0])


def test_writes_that_change_no_count_are_told_where_the_server_counts_them(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(3000))
    server.writes = {("app", "sales"): 7}

    def write() -> None:
        assert server.writes is not None
        server.writes["app", "sales"] += 1

    AtGetMore(server, write)
    exported = taken(server, tmp_path, still=False)
    assert exported.collections[0].remarks == (
        "app.sales was written to while it was read: 1 writes, 3000 documents before, 3000 read, 3000 after",
    )  # fmt: skip
    assert not exported.untouched


def test_what_is_no_bson_is_told(server: FakeMongo, tmp_path: Path) -> None:
    broken = bytearray(bson.encode({"_id": 1}))
    broken[-1] = 1
    server.add("app", "sales", []).documents.append(bytes(broken))
    with pytest.raises(Failure, match="MongoDB sent of app.sales what is no document: a document of 14 bytes does not end in a zero byte"):
        taken(server, tmp_path)


def test_a_folder_that_is_not_there_is_told(server: FakeMongo, tmp_path: Path) -> None:
    server.add("app", "sales", numbered(3))
    with pytest.raises(Failure, match="000000-1-0000.gz cannot be written: No such file or directory"):
        taken(server, tmp_path / "nowhere")


def test_the_digest_is_that_of_the_documents(server: FakeMongo, tmp_path: Path) -> None:
    stored = server.add("app", "sales", numbered(300))
    digest = DocumentsDigest()
    for document in stored.documents:
        digest.add(document)
    collection = taken(server, tmp_path).collections[0]
    assert (collection.digest, collection.bytes) == (digest.hexdigest(), digest.size)
    assert read_back(server, describe(server, "app")[0]).digest.hexdigest() == digest.hexdigest()
    assert b"".join(raw_batches(server, Namespace("app", "sales"))) == documents_of(collection)


# -- a loader's refusals ------------------------------------------------------------------------------------------------------

SALES, PLAIN = Namespace("app", "sales"), CollectionMetadata()


def load(server: FakeMongo, documents: bytes, metadata: CollectionMetadata = PLAIN) -> Loader:
    with Loader(server, {SALES: metadata}, lambda namespace: Namespace("new", "sales")) as loader:
        loader.begin(SALES)
        loader.documents(SALES, documents)
        loader.end(SALES)
        loader.finish()
    return loader


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"n": 2, "writeErrors": [{"code": 11000, "errmsg": "canary"}]}, "MongoDB refused 1 of 3 documents of new.sales: two of them have the same key"),
        ({"n": 2, "writeErrors": [{"code": 121, "errmsg": "canary"}]}, "MongoDB refused 1 of 3 documents of new.sales: error code 121"),
        ({"n": 3, "writeConcernError": {"code": 64, "errmsg": "canary"}}, "MongoDB did not confirm documents of new.sales: error code 64"),
        ({"n": 2}, "MongoDB took 2 of 3 documents of new.sales"),
    ],
)
def test_documents_that_are_not_taken_are_told(server: FakeMongo, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], sentence: str) -> None:
    monkeypatch.setattr("fakes.mongodb.FakeDatabase._insert", lambda self, command: answer)
    with pytest.raises(Failure) as caught:
        load(server, b"".join(map(bson.encode, numbered(3))))
    assert str(caught.value).startswith(sentence)
    assert "canary" not in str(caught.value)


def test_a_collection_that_the_dump_does_not_know_is_told(server: FakeMongo) -> None:
    with pytest.raises(Failure, match="The dump has documents of app.other and does not say what it is"), Loader(server, {}, lambda name: name) as loader:
        loader.begin(Namespace("app", "other"))


def test_a_collection_without_a_target_is_left_out(server: FakeMongo) -> None:
    admin, view = Namespace("admin", "system.version"), Namespace("app", "seen")
    names = {SALES: PLAIN, admin: PLAIN, view: CollectionMetadata("view", {"viewOn": "sales", "pipeline": []})}
    with Loader(server, names, lambda namespace: Namespace("new", "sales") if namespace == SALES else None) as loader:
        for name in (admin, SALES):
            loader.begin(name)
            loader.documents(name, bson.encode({"_id": 1}))
            loader.end(name)
        assert [one.namespace for one in loader.finish()] == [SALES]
    assert list(server.collections) == [("new", "sales")]


def test_buckets_are_put_into_the_time_series_whose_name_they_come_under(server: FakeMongo) -> None:
    weather, buckets = Namespace("app", "weather"), Namespace("app", "system.buckets.weather")
    metadata = CollectionMetadata("timeseries", {"timeseries": SERIES})
    with Loader(server, {weather: metadata}, lambda namespace: Namespace("new", "w")) as loader:
        for name in (weather, buckets):
            loader.begin(name)
        loader.documents(buckets, bson.encode({"_id": 1}))
        for name in (buckets, weather):
            loader.end(name)
        loaded = loader.finish()
    assert [(one.target, one.holder, one.count) for one in loaded] == [(Namespace("new", "w"), Namespace("new", "system.buckets.w"), 1)]
    assert server.collections["new", "system.buckets.w"].documents == [bson.encode({"_id": 1})]
    loader.discard()
    assert server.collections == {}


def test_collections_that_a_reader_does_not_come_by_are_made_empty(server: FakeMongo) -> None:
    index = {"v": 2, "key": {"a": 1}, "name": "a"}
    with Loader(server, {SALES: CollectionMetadata(indexes=[index])}, lambda namespace: Namespace("new", "sales")) as loader:
        loader.finish()
    assert [dict(found)["name"] for found in server.collections["new", "sales"].indexes] == ["_id_", "a"]


def test_indexes_come_after_the_documents_and_once(server: FakeMongo) -> None:
    metadata = CollectionMetadata(indexes=[{"v": 1, "key": {"a": 1}, "name": "a", "dropDups": True}])
    server.facts["maxWriteBatchSize"] = 1
    loader = load(server, b"".join(map(bson.encode, numbered(50))), metadata)
    kinds = [next(iter(command)) for command in server.commands if next(iter(command)) in ("insert", "createIndexes")]
    assert kinds == ["insert"] * 50 + ["createIndexes"]
    assert loader.loaded[SALES].remarks == ["dropDups of index a was left out: no server of today takes it"]


def test_what_was_made_can_be_removed_after_an_error(server: FakeMongo) -> None:
    server.add("new", "mine", numbered(1))

    def refuse(command: dict[str, Any]) -> None:
        if "insert" in command:
            raise refused(2, "BadValue")

    server.before = refuse
    loader = Loader(server, {SALES: CollectionMetadata()}, lambda namespace: Namespace("new", "sales"))
    with pytest.raises(Failure, match="MongoDB refused writing new.sales: error code 2"), loader:
        loader.begin(SALES)
        for dummy in range(20):
            loader.documents(SALES, bson.encode({"_id": 1}))
        loader.end(SALES)
        loader.finish()
    loader.discard()
    assert list(server.collections) == [("new", "mine")]
