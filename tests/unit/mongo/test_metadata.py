# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata of collections: read as the official tools wrote them, and written so that these could read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata, MetadataFile, Namespace, from_json, to_json
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.son import SON
from hypothesis import given
from hypothesis import strategies as st

EXACT: Any = CodecOptions(document_class=SON, datetime_conversion=DatetimeConversion.DATETIME_MS)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False) | st.just(float("nan")),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**63), 2**63 - 1).map(bson.Int64),
    st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    st.builds(bson.Binary, st.binary(max_size=9), st.sampled_from([0, 1, 2, 5, 128])),
    st.builds(bson.Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.sampled_from(
        [
            bson.MinKey(),
            bson.MaxKey(),
            bson.Decimal128("-1E+3"),
            bson.Binary(b"0123456789abcdef", 4),
            bson.Regex('^a/"', "im"),
            bson.Code("f()"),
            bson.Code("f()", {"x": 1}),
        ]
    ),
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=9).filter(lambda name: not name.startswith("$"))
NESTED = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
OPTIONS = st.dictionaries(NAMES, NESTED, max_size=4)
INDEXES = st.lists(
    st.builds(lambda key, name, more: {**more, "v": 2, "key": key, "name": name}, st.dictionaries(NAMES, VALUES, min_size=1, max_size=3), NAMES, OPTIONS),
    max_size=3,
)
CONDITION = {"$match": {"a": {"$in": [1, bson.Regex("^a", "i")], "$gt": bson.Int64(1)}, "b": {"$regex": "^b", "$options": "i"}, "c": {"$type": "string"}}}


def as_bson(metadata: CollectionMetadata) -> bytes:
    return bytes(bson.encode({"o": metadata.options, "i": list(metadata.indexes), "t": metadata.type, "u": metadata.uuid}))


@given(
    st.builds(CollectionMetadata, st.sampled_from(["collection", "view", "timeseries"]), OPTIONS, INDEXES, st.none() | st.binary(min_size=16, max_size=16)),
    NAMES,
)
def test_what_is_written_is_read_back_to_the_byte(metadata: CollectionMetadata, name: str) -> None:
    # As the driver gives them: through BSON, so that every value has its exact type.
    exact = bson.decode(bson.encode({"o": metadata.options, "i": list(metadata.indexes)}), EXACT)
    given_ = CollectionMetadata(metadata.type, exact["o"], exact["i"], metadata.uuid)
    read = from_json(to_json(given_, name), "here")
    assert as_bson(read.metadata) == as_bson(given_)
    assert (read.collection, read.unknown) == (name, ())


def test_the_spelling_is_that_of_mongodump(official: Path) -> None:
    source = official / "dumps/timeseries_tests/ts_dump/timeseries_test/foo_ts.metadata.json"
    read = from_json(source.read_bytes(), source.name)
    assert read.metadata.type == "timeseries"
    written = json.loads(to_json(read.metadata, read.collection))
    assert written == json.loads(source.read_bytes())
    assert list(written) == ["options", "indexes", "collectionName", "type"]
    assert to_json(read.metadata, read.collection) == source.read_bytes().rstrip()


def test_all_metadata_of_the_official_tools_are_read(official: Path) -> None:
    sources = sorted((official / "dumps").glob("**/*.metadata.json"))
    assert len(sources) > 15
    for source in [*sources, official / "dumps/index_collation.json"]:
        read = from_json(source.read_bytes(), source.name)
        plain = json.loads(source.read_bytes())
        assert [index["name"] for index in read.metadata.indexes] == [index["name"] for index in plain["indexes"]]
        assert read.unknown == ()
        assert (read.metadata.uuid or b"").hex() == plain.get("uuid", "")
        again = from_json(to_json(read.metadata, read.collection), "again")
        assert as_bson(again.metadata) == as_bson(read.metadata)


def test_older_and_relaxed_spellings() -> None:
    content = """{"options": {"viewOn": "x", "a": {"$numberLong": 5}, "b": {"$date": "2020-01-01T00:00:00Z"}, "c": {"$binary": "AAE=", "$type": "00"},
        "d": 1, "e": 1.5, "f": 5000000000, "g": {"$undefined": true}},
        "indexes": [{"v": {"$numberDecimal": "2"}, "key": {"_id": 1}, "name": "_id_", "ns": "a.b"}]}"""
    read = from_json(content.encode(), "here").metadata
    assert read.type == "view"
    assert read.options["a"] == 5 and isinstance(read.options["a"], bson.Int64)
    assert read.options["b"] == DatetimeMS(1577836800000)
    assert read.options["c"] == b"\0\1"
    assert [type(read.options[name]) for name in "def"] == [int, float, int]
    assert read.indexes[0]["v"] == bson.Decimal128("2")
    assert (read.uuid, from_json(content.encode(), "here").collection) == (None, "")


def test_conditions_of_views_and_partial_indexes_stay_conditions() -> None:
    metadata = CollectionMetadata("view", {"viewOn": "x", "pipeline": [CONDITION]})
    assert as_bson(from_json(to_json(metadata, "v"), "here").metadata) == as_bson(metadata)


def test_what_nobody_knew_is_told() -> None:
    assert from_json(b'{"indexes": [], "shardKey": {"a": 1}}', "here") == MetadataFile(CollectionMetadata(indexes=[]), "", ("shardKey",))


def test_a_value_that_the_json_cannot_hold_is_refused() -> None:
    with pytest.raises(Failure, match="'c' hold a value that mongodump's JSON cannot hold"):
        to_json(CollectionMetadata(options={"a": {"$oid": "0" * 24}}), "c")


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", "Expecting value"),
        (b'{"indexes": [', "Expecting value"),
        (b"\xff", "can't decode"),
        (b"[]", "it is not an object"),
        (b'{"options": [1]}', "`options` is not an object"),
        (b'{"indexes": {"a": 1}}', "`indexes` is not a list"),
        (b'{"indexes": [1]}', "an index is not an object"),
        (b'{"indexes": [{"name": "a"}]}', "the `key` of an index is not an object"),
        (b'{"indexes": [{"key": {"a": 1}}]}', "the `name` of an index is not a text"),
        (b'{"uuid": "12"}', "no UUID"),
        (b'{"uuid": "xy"}', "hexadecimal"),
        (b'{"type": "table"}', "no type 'table'"),
        (b'{"collectionName": 1}', "`collectionName` is not a text"),
        (b'{"options": {"a": 1, "a": 2}}', "a key twice among a"),
        (b'{"options": {"a": {"$oid": "x"}}}', "not a valid ObjectId"),
        (b'{"options": {"a": {"$numberDecimal": "x"}}}', ""),
        (b'{"options": {"a": {"$date": []}}}', ""),
        (b'{"options": {"a": {"$numberInt": "x"}}}', "invalid literal"),
        (b'{"options": {"a": 99999999999999999999}}', "8-byte ints"),
        (b'{"options": {"a\\u0000": 1}}', "NULL"),
        (b'{"options": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "recursion"),
    ],
)
def test_what_is_no_metadata_is_refused(content: bytes, answer: str) -> None:
    with pytest.raises(Failure, match="^dump/a/b.metadata.json is no metadata of a collection: ") as caught:
        from_json(content, "dump/a/b.metadata.json")
    assert answer in caught.value.answer and "\n" not in caught.value.answer and caught.value.answer


def test_a_namespace_is_written_with_a_dot() -> None:
    assert str(Namespace("db", "a.b")) == "db.a.b"
