# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps in folders: those of the official tools, every way of laying them out, and every way in which one does not fit together."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import dumped
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.dumped import DumpedCollection
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.file_names import stem
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.layouts import open_dump
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

Tar = Callable[..., io.BytesIO]
FOO = bson.encode({"_id": 1}) + bson.encode({"_id": 2})
BARE = b'{"indexes":[]}'
OFFICIAL = [
    ("coll_with_index", {"test.foo": 1}),
    ("coll_with_ttl_index", {"test.foo": 1}),
    ("coll_without_index", {"test.foo": 1}),
    ("indextestdump", {"indextest.test_collection": 100}),
    ("specialcharacter", {"db1.cafés": 1}),
    ("longcollectionname/db1", {"db1.aVery" + "Very" * 43 + "LongCollectionNameConsistingOfExactlyTwoHundredAndFortySevenCharacters": 1}),
    ("prelude_test/prelude_db_target", {"test.foo": 1}),
    ("prelude_test/prelude_top_level", {"test.foo": 1}),
    ("prelude_test/prelude_gzip", {"test.foo": 1}),
    ("prelude_test/server_version_unknown", {"test.foo": 1}),
    ("timeseries_tests/ts_dump", {"admin.system.version": 1, "admin.system.views": 0, "timeseries_test.foo_ts": 10}),
    ("timeseries_tests/ts_dump_invalid_buckets", {"admin.system.version": 1, "admin.system.views": 0, "timeseries_test.foo_ts": 5}),
]


def metadata(**keys: Any) -> bytes:
    return json.dumps({"indexes": [], **keys}).encode()


def index(content: io.BytesIO, **options: Any) -> dict[str, DumpedCollection]:
    return {str(found.namespace): found for found in open_dump(content, "dump.tar.gz").index(**options)}


@pytest.mark.parametrize(("folder", "expected"), OFFICIAL)
@pytest.mark.parametrize("top", ["dump", ".", "backup/of/today"])
def test_the_dumps_of_the_official_tools(official: Path, tar: Tar, visitor: Any, folder: str, expected: dict[str, int], top: str) -> None:
    source = official / "dumps" / folder
    above = f"{top}/{source.name}" if folder.endswith("/db1") else top
    reader = open_dump(tar(source, above), "vendor.tar.gz")
    found = {str(each.namespace): each for each in reader.index(digests=True)}
    assert {name: each.count for name, each in found.items()} == expected
    assert reader.layout == ("folder_gzip" if "gzip" in folder else "folder")
    assert reader.top == ("" if top == "." else top)
    assert reader.others == []
    assert all(each.metadata is not None for each in found.values())
    reader.scan(visitor)
    assert not visitor.open
    by_file = {gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in source.glob("**/*.bson*")}
    assert set(visitor.found.values()) == by_file
    for name, each in found.items():
        documents = [document.raw for document in bson.decode_all(visitor.found[name], CodecOptions(RawBSONDocument))]
        assert (each.count, each.bytes) == (len(documents), len(visitor.found[name]))
        assert each.digest == format(sum(int(hashlib.sha256(document).hexdigest(), 16) for document in documents) % 2**256, "064x")
    assert reader.server_version == {
        "prelude_db_target": "7.0.16",
        "prelude_top_level": "7.0.16",
        "prelude_gzip": "7.0.16",
        "server_version_unknown": "unknown",
    }.get(source.name, "")


def test_types_and_options_come_along(official: Path, tar: Tar) -> None:
    found = index(tar(official / "dumps/timeseries_tests/ts_dump"))["timeseries_test.foo_ts"]
    assert found.metadata is not None and found.metadata.type == "timeseries"
    assert [each["name"] for each in found.metadata.indexes] == ["meta.device_1", "ts_1_meta.device_1"]
    assert found.digest == found.sequence == ""


@pytest.mark.parametrize("packed", [True, False])
def test_a_tar_may_be_packed_or_not_and_files_come_in_any_order(tar: Tar, visitor: Any, packed: bool) -> None:
    content = {"a/x.bson": FOO, "b/y.metadata.json": metadata(), "b/y.bson": b"", "a/x.metadata.json": metadata(options={"capped": True})}
    reader = open_dump(tar(content, packed=packed), "dump.tar")
    found = reader.index(digests=True)
    assert [(str(each.namespace), each.count, each.bytes) for each in found] == [("a.x", 2, len(FOO)), ("b.y", 0, 0)]
    assert [each.sequence for each in found] == [hashlib.sha256(FOO).hexdigest(), ""]
    reader.scan(visitor)
    assert visitor.found == {"a.x": FOO, "b.y": b""}


def test_documents_are_handed_on_in_pieces(tar: Tar, visitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumped, "PIECE", 1000)
    sizes = [random.Random(1).choice([1, 30, 5000, 3_000_000]) for dummy in range(40)]
    content = b"".join(bson.encode({"_id": number, "x": b"\xff" * size}) for number, size in enumerate(sizes))
    reader = open_dump(tar({"dump/a/x.bson": content}), "dump.tar.gz")
    reader.scan(visitor)
    assert visitor.found == {"a.x": content}
    assert [each.count for each in reader.index()] == [40]


def test_views_have_no_documents_and_dumped_views_are_collections(tar: Tar, visitor: Any) -> None:
    content = {
        "dump/a/v.metadata.json": metadata(type="view", options={"viewOn": "x", "pipeline": []}),
        "dump/a/old.metadata.json": metadata(options={"viewOn": "x", "pipeline": []}),
        "dump/a/w.metadata.json": metadata(type="view"),
        "dump/a/w.bson": FOO,
    }
    reader = open_dump(tar(content), "dump.tar.gz")
    types = {each.namespace.collection: each.metadata.type for each in reader.index() if each.metadata}
    assert types == {"v": "view", "old": "view", "w": "collection"}
    reader.scan(visitor)
    assert visitor.found == {"a.w": FOO}


@pytest.mark.parametrize("series", ["readings", "x" * 235, "é" * 60])
@pytest.mark.parametrize("prefix", ["system.buckets.", ""])
def test_the_buckets_of_a_series_are_its_documents(tar: Tar, visitor: Any, series: str, prefix: str) -> None:
    described = metadata(type="timeseries", collectionName=series, options={"timeseries": {"timeField": "t"}})
    content = {f"dump/a/{stem(prefix + series)}.bson": FOO, f"dump/a/{stem(series)}.metadata.json": described}
    open_dump(tar(content), "dump.tar.gz").scan(visitor)
    assert visitor.found == {f"a.{series}": FOO}


def test_buckets_may_have_metadata_of_their_own_or_no_series(tar: Tar, visitor: Any) -> None:
    series = metadata(type="timeseries", options={"timeseries": {"timeField": "t"}})
    content = {"a/system.buckets.s.bson": FOO, "a/system.buckets.s.metadata.json": BARE, "a/s.metadata.json": series, "a/system.buckets.o.bson": FOO}
    open_dump(tar(content), "dump.tar.gz").scan(visitor)
    assert visitor.found == {"a.s": FOO, "a.system.buckets.o": FOO}


def test_what_is_no_collection_is_told(tar: Tar, visitor: Any) -> None:
    content = {
        "dump/oplog.bson": FOO,
        "dump/readme.txt": b"hello",
        "dump/prelude.json": b'{"ServerVersion":"7.0.1","ToolVersion":"100.9"}',
        "dump/oplog/oplog.bson": FOO,
        "dump/a/x.bson": FOO,
        "dump/a/x.metadata.json": metadata(shard=1),
        "top.bson": FOO,
    }
    reader = open_dump(tar(content), "dump.tar.gz")
    reader.scan(visitor)
    assert visitor.found == {"a.x": FOO, "oplog.oplog": FOO}
    assert sorted(reader.others) == ["dump/a/x.metadata.json: shard", "dump/oplog.bson", "dump/readme.txt", "top.bson"]
    assert (reader.server_version, reader.tool_version) == ("7.0.1", "100.9")


def test_an_empty_dump_is_one(tar: Tar) -> None:
    assert index(tar({})) == {}


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ({"dump/a/x.metadata.json": BARE}, "dump/a/x.metadata.json has no file of documents beside it"),
        ({"dump/a/x.bson": FOO, "dump/a/x.bson.gz": gzip.compress(FOO)}, "dump/a/x.bson and dump/a/x.bson.gz are of one collection"),
        ({"a/x+y.bson": FOO, "a/x%20y.bson": FOO}, "several files are of a.x y"),
        ({"one/a/x.bson": FOO, "two/a/x.bson": FOO}, "databases stand in several folders: one, two"),
        ({"dump/a/x.bson": FOO, "dump/a/x.metadata.json": metadata(collectionName="y")}, "dump/a/x.metadata.json is of another collection, 'y'"),
        ({"dump/a/x%ff.bson": FOO}, "the name of dump/a/x%ff.bson is not that of a collection"),
        ({"dump/a/x%00.bson": FOO}, "it holds a zero byte"),
        ({"dump/a/" + "x" * 208 + "%24" + "y" * 27 + ".bson": FOO}, "stands in a file of metadata, which is not there"),
        (
            {"dump/a/" + "x" * 208 + "%24" + "y" * 27 + ending: what for ending, what in ((".bson", FOO), (".metadata.json", BARE))},
            "does not tell the full name",
        ),
        ({"a/v.bson": FOO, "a/v.metadata.json": metadata(options={"viewOn": "x"})}, "a.v is a view and has documents in a/v.bson"),
        (
            {"a/s.bson": FOO, "a/system.buckets.s.bson": FOO, "a/s.metadata.json": metadata(type="timeseries")},
            "the documents of a.s stand in a/s.bson and a/system.buckets.s.bson",
        ),
        ({"a/x.bson": FOO[:-1]}, "a/x.bson holds no BSON at byte 14: a document of 14 bytes is cut off after 13"),
        ({"a/x.bson": FOO + b"\0"}, "a/x.bson holds no BSON at byte 28: a document is cut off"),
        ({"a/x.bson": FOO + b"\1" * 9}, "a/x.bson holds no BSON at byte 28: a document claims to have 16843009 bytes"),
        ({"a/x.bson.gz": gzip.compress(FOO)[:-3]}, "a/x.bson.gz in dump.tar.gz is no whole gzip file: it is cut off"),
        ({"a/x.bson.gz": FOO}, "a/x.bson.gz in dump.tar.gz is no whole gzip file"),
        ({"a/x.bson": FOO, "a/x.metadata.json": b"{"}, "a/x.metadata.json in dump.tar.gz is no metadata of a collection"),
        ({"a/x.bson": FOO, "prelude.json": b"[]"}, "prelude.json is not the JSON that mongodump writes"),
        ({"readme.txt": b"hello"}, "there is no collection in it, but readme.txt"),
        ({b"a/\xff.bson".decode("latin-1"): FOO, "readme": b""}, None),
    ],
)
def test_what_does_not_fit_together_is_refused(tar: Tar, content: dict[str, bytes], answer: str | None) -> None:
    if answer is None:
        assert list(index(tar(content))) == ["a.ÿ"]
        return
    with pytest.raises(Failure) as caught:
        index(tar(content))
    assert answer in str(caught.value) and "dump.tar.gz" in str(caught.value)


def test_a_tar_or_gzip_cut_off_anywhere_is_refused(tar: Tar) -> None:
    plain = tar({"dump/a/x.bson": FOO, "dump/a/x.metadata.json": BARE}, packed=False).getvalue()
    for cut in [*range(0, 3000, 256), 700]:
        for content in (plain[:cut], gzip.compress(plain[:cut]), gzip.compress(plain)[: min(cut, 150)]):
            with pytest.raises(Failure):
                index(io.BytesIO(content))


def test_flipped_bytes_are_refused_or_change_nothing_but_names(tar: Tar) -> None:
    chance, whole = random.Random(4), tar({"dump/a/x.bson": FOO, "dump/a/x.metadata.json": BARE}).getvalue()
    good = index(io.BytesIO(whole), digests=True)
    for dummy in range(200):
        broken = bytearray(whole)
        broken[chance.randrange(10, len(whole))] ^= 1 << chance.randrange(8)
        try:
            assert index(io.BytesIO(bytes(broken)), digests=True) == good
        except Failure as error:
            assert error.problem and error.remedy


def test_links_in_place_of_files_and_metadata_without_end_are_refused(tar: Tar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/y.bson").write_bytes(FOO)
    (tmp_path / "a/x.bson").symlink_to("y.bson")
    with pytest.raises(Failure, match="dump/a/x.bson is a symlink, not a file"):
        index(tar(tmp_path))
    monkeypatch.setattr("ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.folder_reader._METADATA_LIMIT", 10)
    with pytest.raises(Failure, match="a/x.metadata.json is larger than 10 bytes"):
        index(tar({"a/x.bson": FOO, "a/x.metadata.json": BARE}))


def test_a_limit_is_kept(tar: Tar) -> None:
    with pytest.raises(Failure, match="holds more than the 5000 bytes"):
        open_dump(tar({"a/x.bson": bson.encode({"_id": "x" * 9000})}), "dump.tar.gz", Limits(5000)).index()


def test_a_limit_is_kept_within_files_that_are_packed_on_their_own(tar: Tar) -> None:
    content = tar({"a/x.bson.gz": gzip.compress(bson.encode({"_id": "x" * 90_000}))})
    with pytest.raises(Failure, match="a/x.bson.gz in dump.tar.gz holds more than the 50000 bytes that there is room for"):
        open_dump(content, "dump.tar.gz", Limits(50_000)).index()


def test_a_disk_that_fails_is_told(tar: Tar) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 2:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with pytest.raises(Failure, match="Reading dump.tar.gz failed: Input/output error"):
        open_dump(Failing(tar({"a/x.bson": FOO}).getvalue()), "dump.tar.gz").index()
