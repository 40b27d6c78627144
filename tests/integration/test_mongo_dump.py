# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections are read out of a real server and put back, byte for byte.

The server is the lab's, in a container of its own, or the one that `TOUCAN_TEST_MONGODB_URI` names. A test of a feature asks first
whether the server has it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import reading
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import describe, server_facts
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.export import ExportedCollection
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.load import Loader
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import Namespace
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from pymongo.errors import OperationFailure

from labrun.mongodb import SOURCE, TARGET, Server, differences, documents_of, info_of, insert, numbered, push, put_back, round_trip, taken

EVERY_TYPE: dict[str, Any] = {
    "double": 1.5, "negative zero": -0.0, "infinity": float("inf"), "not a number": float("nan"), "string": "é\0中", "document": {"b": 1, "a": {}},
    "array": [1, [], "x"], "binary": b"\0\xff", "binary of the user's": Binary(b"x", 128), "uuid": Binary(b"0123456789abcdef", 4),
    "old uuid": Binary(b"0123456789abcdef", 3), "objectid": ObjectId(b"0123456789ab"), "true": True, "date": DatetimeMS(-1),
    "date beyond Python's": DatetimeMS(2**60), "null": None, "regex": Regex("^a", "imsx"), "code": Code("x()"), "int": -(2**31), "timestamp": Timestamp(1, 2),
    "long": Int64(1), "decimal": Decimal128("0E-6176"), "smallest": MinKey(), "largest": MaxKey(), "": "no name", "a.b": "dots", "$c": "dollar",
}  # fmt: skip


def test_every_type_comes_back_byte_for_byte(client: Any, tmp_path: Path) -> None:
    refused = set()
    for name, value in EVERY_TYPE.items():
        try:
            insert(client, "types", [{"_id": f"type {name}", name: value}])
        except (OperationFailure, AssertionError):
            refused.add(name)
    assert refused <= {"$c", "a.b", ""}, "the server does not know these types"
    exported = round_trip(client, tmp_path)
    written = {bson.encode({"_id": f"type {name}", name: value}) for name, value in EVERY_TYPE.items() if name not in refused}
    assert {bson.encode(document) for document in bson.decode_all(documents_of(exported.collections[0]), exact_options())} == written


def exact_options() -> Any:
    return bson.codec_options.CodecOptions(document_class=bson.SON, datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_MS)


MIXED: list[Any] = [
    *range(500), *(Int64(2**40 + index) for index in range(50)), *(f"text {index}" for index in range(100)), "", "é", 1.5, -0.5, float("nan"), float("-inf"),
    Decimal128("7.25"), None, True, False, b"bytes", Binary(b"0123456789abcdef", 4), ObjectId(), DatetimeMS(5), Timestamp(1, 1), {"a": 1}, {"a": 1, "b": 2},
    MinKey(), MaxKey(),
]  # fmt: skip


def test_parts_hold_the_same_as_one_pass_whatever_the_types_of_id(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(client, "mixed", [{"_id": value, "text": "x" * 300} for value in MIXED])
    one = taken(client, tmp_path / "one", workers=1, still=True).collections[0]
    monkeypatch.setattr(reading, "parts_wanted", lambda info, workers: 9)
    many = taken(client, tmp_path / "many", workers=3, still=True).collections[0]
    assert (len(one.segments), one.count) == (1, len(MIXED))
    assert len(many.segments) > 4
    assert (many.count, many.bytes, many.digest) == (one.count, one.bytes, one.digest)
    assert sorted(ids_of(many)) == sorted(ids_of(one)) == sorted(bson.encode({"_id": value}) for value in MIXED)


def ids_of(collection: ExportedCollection) -> list[bytes]:
    return [bson.encode({"_id": document["_id"]}) for document in bson.decode_all(documents_of(collection), exact_options())]


@pytest.mark.parametrize(
    "values",
    [
        [ObjectId(index.to_bytes(12, "big")) for index in range(0, 1 << 40, 1 << 31)],
        [DatetimeMS(index) for index in range(-300, 300)],
        [f"{index:03}" if index % 2 else f"é{index}" for index in range(600)],
        [Int64(index * 2**33) for index in range(-300, 300)],
        [Binary(index.to_bytes(16, "big"), 4) for index in range(600)],
        [index / 2 for index in range(600)],
    ],
    ids=["objectid", "date", "string", "long", "uuid", "double"],
)
def test_each_type_of_id_is_split_or_left_whole(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[Any]) -> None:
    insert(client, "ids", [{"_id": value, "text": "x" * 300} for value in values])
    monkeypatch.setattr(reading, "parts_wanted", lambda info, workers: 9)
    exported = taken(client, tmp_path, workers=3, still=True).collections[0]
    assert len(exported.segments) > 4 or (isinstance(values[0], float) and len(exported.segments) == 1)
    assert sorted(ids_of(exported)) == sorted(bson.encode({"_id": value}) for value in values)


def test_documents_of_16_mb_come_back(client: Any, tmp_path: Path) -> None:
    largest = server_facts(client).largest_document
    empty = len(bson.encode({"_id": 0, "data": b""}))
    insert(client, "large", [{"_id": 0, "data": os.urandom(largest - empty)}])
    insert(client, "large", [{"_id": 1}])
    insert(client, "large", [{"_id": 2, "data": b"x" * (largest - empty)}])
    exported = round_trip(client, tmp_path).collections[0]
    assert (exported.count, exported.bytes) == (3, 2 * largest + len(bson.encode({"_id": 1})))


NAMES = ["é–中文😀", "a.b..c", "quote\"'`;--", "sp ace", "sl/ash\\back", "new\nline", "%41", "n" * 120, "a.", "UPPER", "upper"]


def test_collections_of_any_name_come_back(client: Any, tmp_path: Path) -> None:
    for index, name in enumerate(NAMES):
        insert(client, name, [{"_id": 1, "index": index}])
    exported = round_trip(client, tmp_path)
    assert sorted(collection.namespace.collection for collection in exported.collections) == sorted(NAMES)


def test_a_dollar_in_a_name_comes_back_where_the_server_takes_it(client: Any, tmp_path: Path) -> None:
    try:
        insert(client, "a$b", [{"_id": 1}])
    except OperationFailure as error:
        pytest.skip(f"this server refuses such names: {error.code}")
    round_trip(client, tmp_path)


def test_an_empty_collection_and_an_empty_database_come_back(client: Any, tmp_path: Path) -> None:
    assert taken(client, tmp_path / "nothing").collections == []
    client.get_database(SOURCE).command({"create": "empty"})
    exported = round_trip(client, tmp_path)
    assert [(collection.count, collection.bytes, collection.digest) for collection in exported.collections] == [(0, 0, "0" * 64)]


INDEXES: dict[str, dict[str, Any]] = {
    "descending": {"key": {"a": -1}},
    "compound": {"key": {"b": 1, "a": -1}},
    "unique": {"key": {"u": 1}, "unique": True},
    "sparse": {"key": {"s": 1}, "sparse": True},
    "partial": {"key": {"p": 1}, "partialFilterExpression": {"p": {"$gt": 5}}},
    "expiring": {"key": {"t": 1}, "expireAfterSeconds": 86400},
    "hashed": {"key": {"h": "hashed"}},
    "text": {"key": {"x": "text", "y": "text"}, "weights": {"x": 3, "y": 1}, "default_language": "french"},
    "sphere": {"key": {"place": "2dsphere"}},
    "plane": {"key": {"plane": "2d"}, "min": -10, "max": 10},
    "wildcard": {"key": {"$**": 1}},
    "wildcard of a field": {"key": {"w.$**": 1}},
    "wildcard without": {"key": {"$**": 1}, "wildcardProjection": {"q": 0}},
    "hidden": {"key": {"hid": 1}, "hidden": True},
    "of a language": {"key": {"c": 1}, "collation": {"locale": "fr", "strength": 1}},
    "dots, é, \"quotes\" and ' of a name": {"key": {"d.e": 1}},
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_comes_back(client: Any, tmp_path: Path, name: str) -> None:
    insert(client, "indexed", [{"_id": index, "u": index, "p": index, "x": "mot", "place": [1, 2], "plane": [1, 2]} for index in range(10)])
    try:
        client.get_database(SOURCE).command({"createIndexes": "indexed", "indexes": [{**INDEXES[name], "name": name}]})
    except OperationFailure as error:
        pytest.skip(f"this server has no such index: error code {error.code}")
    kept = next(index for index in info_of(client, "indexed").metadata.indexes if index["name"] == name)
    settings = [key for key in INDEXES[name] if key not in ("key", "min", "max", "default_language") and key not in kept]
    if settings:
        pytest.skip(f"this server drops {', '.join(settings)}")
    round_trip(client, tmp_path)
    assert name in [index["name"] for index in info_of(client, "indexed", TARGET).metadata.indexes]


OPTIONS: dict[str, dict[str, Any]] = {
    "capped": {"capped": True, "size": 1 << 20, "max": 1000},
    "collation": {"collation": {"locale": "fr", "strength": 2}},
    "validator": {"validator": {"never": {"$exists": True}}, "validationLevel": "strict", "validationAction": "error"},
    "timeseries": {"timeseries": {"timeField": "t", "metaField": "m", "granularity": "hours"}},
    "clusteredIndex": {"clusteredIndex": {"key": {"_id": 1}, "unique": True}},
    "viewOn": {"viewOn": "base", "pipeline": [{"$match": {"a": 1}}]},
    "changeStreamPreAndPostImages": {"changeStreamPreAndPostImages": {"enabled": True}},
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_collection_with_an_option_comes_back(client: Any, tmp_path: Path, option: str) -> None:
    insert(client, "base", [{"_id": 1, "a": 1}])
    try:
        client.get_database(SOURCE).command({"create": "special", **OPTIONS[option]})
    except OperationFailure as error:
        pytest.skip(f"this server refuses {option}: error code {error.code}")
    if option not in info_of(client, "special").metadata.options:
        pytest.skip(f"this server drops {option} without a word")
    if option != "viewOn":
        documents = [{"_id": 100 - index, "t": DatetimeMS(index * 1000), "m": index % 3} for index in range(100)]
        client.get_database(SOURCE).command({"insert": "special", "documents": documents, "bypassDocumentValidation": True})
    exported = {collection.namespace.collection: collection for collection in round_trip(client, tmp_path).collections}
    assert (exported["special"].sequence is not None) == (option == "capped")
    assert exported["special"].count or option == "viewOn"


def test_a_view_comes_back_and_reads_the_new_collections(own: Optional[Server], client: Any, tmp_path: Path) -> None:
    insert(client, "base", [{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
    spec = {"create": "seen", "viewOn": "base", "pipeline": [{"$match": {"a": 1}}]}
    client.get_database(SOURCE).command(spec)
    if info_of(client, "seen").type != "view":
        client.get_database(SOURCE).command({"drop": "seen"})
        if not own:
            pytest.skip("this server has no views")
        made_below(own, SOURCE, spec)
    assert info_of(client, "seen").type == "view"
    exported = taken(client, tmp_path, still=True)
    seen = next(collection for collection in exported.collections if collection.namespace.collection == "seen")
    assert (seen.count, seen.segments, seen.metadata.options["viewOn"]) == (0, (), "base")
    put_back(client, exported)
    if info_of(client, "seen", TARGET).type != "view":
        # The lab's server drops what a view is from the command that makes it: then that, and nothing else, is told.
        assert list(differences(client, exported)) == ["seen"]
        return
    assert differences(client, exported) == {}
    assert [document["_id"] for document in client.get_database(TARGET)["seen"].find()] == [1]


def made_below(own: Server, database: str, spec: dict[str, Any]) -> None:
    """Make a view beneath the lab's server, whose database knows them though its front does not."""
    own.sql(f"SELECT documentdb_api.create_collection_view('{database}', '{json.dumps(spec)}'::documentdb_core.bson)")


# -- loading ------------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_into_a_collection_that_is_there(client: Any, tmp_path: Path) -> None:
    insert(client, "mine", numbered(10))
    exported = taken(client, tmp_path)
    insert(client, "mine", [{"_id": "precious"}], TARGET)
    with pytest.raises(Failure, match="There is already a collection dump-target.mine"):
        put_back(client, exported)
    assert list(client.get_database(TARGET)["mine"].find()) == [{"_id": "precious"}]


def test_documents_that_a_server_refuses_are_an_error_and_can_be_removed(client: Any) -> None:
    name = Namespace(SOURCE, "twice")
    loader = Loader(client, {name: info_metadata(client)}, lambda namespace: Namespace(TARGET, "twice"))

    def load() -> None:
        with loader:
            push(loader, name, b"".join(bson.encode({"_id": value, "x": "canary"}) for value in (1, 2, 1)))
            loader.finish()

    with pytest.raises(Failure, match="MongoDB refused 1 of 3 documents of dump-target.twice: two of them have the same key") as caught:
        load()
    assert "canary" not in str(caught.value) + caught.value.answer
    loader.discard()
    assert describe(client, TARGET) == []


def info_metadata(client: Any) -> Any:
    client.get_database(SOURCE).command({"create": "plain"})
    return info_of(client, "plain").metadata


def test_an_index_that_cannot_be_made_is_an_error(client: Any, tmp_path: Path) -> None:
    insert(client, "unique", [{"_id": 1, "u": 1}, {"_id": 2, "u": 2}])
    client.get_database(SOURCE).command({"createIndexes": "unique", "indexes": [{"key": {"u": 1}, "name": "u", "unique": True}]})
    collection = taken(client, tmp_path).collections[0]
    loader = Loader(client, {collection.namespace: collection.metadata}, lambda namespace: Namespace(TARGET, "unique"))
    with pytest.raises(Failure, match="MongoDB refused making the indexes of dump-target.unique: error code"), loader:
        push(loader, collection.namespace, b"".join(bson.encode({"_id": value, "u": 1}) for value in (1, 2)))
        loader.finish()


def test_a_difference_is_found(client: Any, tmp_path: Path) -> None:
    insert(client, "some", numbered(100))
    exported = taken(client, tmp_path)
    put_back(client, exported)
    client.get_database(TARGET)["some"].update_one({"_id": 50}, {"$set": {"text": "other"}})
    client.get_database(TARGET)["some"].create_index("text", name="more")
    assert differences(client, exported) == {"some": ["its documents differ", "there is an index more, which should not be"]}
