# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a collection is split: each document is in one part, whatever its `_id`."""

from __future__ import annotations

import datetime
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import ranges
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import CollectionInfo
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata, Namespace
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

BIG = 1 << 30
ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}
KINDS: dict[str, Any] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1).map(Int64),
    "string": st.text(max_size=3),
    "objectId": st.binary(min_size=12, max_size=12).map(ObjectId),
    "date": st.integers(-(2**62), 2**62).map(DatetimeMS),
}
OTHERS = st.sampled_from([1.5, float("nan"), None, True, Decimal128("1"), Timestamp(1, 1), MinKey(), MaxKey(), {"a": 1}])
IDS = st.lists(st.one_of(*KINDS.values(), OTHERS), max_size=60)


def info(size: int = BIG, indexes: tuple[Any, ...] = (ID_INDEX,), **options: Any) -> CollectionInfo:
    kind = "timeseries" if "timeseries" in options else "collection"
    return CollectionInfo(Namespace("app", "sales"), CollectionMetadata(kind, options, indexes), size, size // 1000)


def of_type(value: Any) -> str:
    """The BSON type as MongoDB's `$type` names it, from the encoded value."""
    names = {1: "double", 2: "string", 3: "object", 5: "binData", 7: "objectId", 8: "bool", 9: "date", 10: "null", 16: "int", 17: "timestamp", 18: "long"}
    return names.get(bson.encode({"_id": value})[4], "other")


def key(value: Any) -> Any:
    """What MongoDB compares by, within one type."""
    return value.encode() if isinstance(value, str) else int(value) if isinstance(value, DatetimeMS) else value


def matches(query: Any, value: Any) -> bool:
    """Whether MongoDB finds a value of `_id` by one of our queries."""
    wanted = query.get("_id")
    if wanted is None:
        return True
    if "$not" in wanted:
        return of_type(value) != wanted["$not"]["$type"]
    if of_type(value) != wanted["$type"]:
        return False
    return not ("$gte" in wanted and key(value) < key(wanted["$gte"])) and not ("$lt" in wanted and key(value) >= key(wanted["$lt"]))


def in_order(values: list[Any]) -> list[Any]:
    return [value for kind in KINDS for value in sorted((value for value in values if of_type(value) == kind), key=key)]


@given(samples=IDS, more=IDS, wanted=st.integers(1, 12))
def test_each_document_is_in_exactly_one_part(samples: list[Any], more: list[Any], wanted: int) -> None:
    found = ranges.parts(info(), wanted, in_order(samples) + [value for value in samples if of_type(value) not in KINDS])
    assert 1 <= len(found) <= max(1, wanted) + 1
    for value in samples + more:
        assert [matches(part.query, value) for part in found].count(True) == 1
    assert len({part.label for part in found}) == len(found)


@given(number=st.integers(2, 10), values=st.lists(st.integers(0, 10**6), min_size=100, max_size=200, unique=True))
def test_parts_are_of_about_the_same_size(number: int, values: list[int]) -> None:
    found = ranges.parts(info(), number, sorted(values))
    sizes = [sum(matches(part.query, value) for value in values) for part in found]
    assert sizes[-1] == 0
    assert len(found) == number + 1
    assert max(sizes[:-1]) - min(sizes[:-1]) <= 1


def test_the_commonest_type_is_split_and_by_its_index() -> None:
    samples = [*range(10), *(f"{number:02}" for number in range(30))]
    found = ranges.parts(info(), 3, samples)
    assert [part.query for part in found] == [
        {"_id": {"$type": "string", "$lt": "10"}},
        {"_id": {"$type": "string", "$gte": "10", "$lt": "20"}},
        {"_id": {"$type": "string", "$gte": "20"}},
        {"_id": {"$not": {"$type": "string"}}},
    ]
    assert [part.hint for part in found] == [{"_id": 1}, {"_id": 1}, {"_id": 1}, None]


@pytest.mark.parametrize("samples", [[], [1.5, 2.5, None], [{"a": 1}] * 50, [7] * 50])
def test_what_cannot_be_cut_is_one_part(samples: list[Any]) -> None:
    assert ranges.parts(info(), 5, samples) == [ranges.Part("all")]


@pytest.mark.parametrize("value", [1, Int64(1), "x", ObjectId(), DatetimeMS(1), b"x", Binary(b"x" * 16, 4)])
def test_an_edge_is_of_the_type_that_its_query_names(value: Any) -> None:
    assert ranges.bson_type(value) == of_type(value)


@pytest.mark.parametrize("value", [True, 1.5, None, {}, Timestamp(1, 1), Decimal128("1"), datetime.datetime.now(datetime.timezone.utc)])
def test_other_types_are_no_edges(value: Any) -> None:
    assert ranges.bson_type(value) == ""


@pytest.mark.parametrize(
    ("given_info", "workers", "expected"),
    [
        (info(), 2, 6),
        (info(), 4, 12),
        (info(ranges.SMALLEST_TO_SPLIT), 4, 4),
        (info(), 1, 1),
        (info(ranges.SMALLEST_TO_SPLIT - 1), 4, 1),
        (info(capped=True), 4, 1),
        (info(collation={"locale": "fr"}), 4, 1),
        (info(indexes=()), 4, 1),
        (info(indexes=(), clusteredIndex={"key": {"_id": 1}, "unique": True}), 4, 12),
        (info(indexes=(), timeseries={"timeField": "t"}), 4, 12),
    ],
)
def test_what_is_split_and_into_how_many(given_info: CollectionInfo, workers: int, expected: int) -> None:
    assert ranges.parts_wanted(given_info, workers) == expected


def test_a_capped_collection_is_read_in_its_order() -> None:
    assert ranges.whole(info(capped=True)).hint == {"$natural": 1}
    assert ranges.whole(info()).hint is None
    assert [part.hint for part in ranges.parts(info(indexes=(), clusteredIndex={}), 2, [1, 2, 3, 4])] == [None, None, None]
