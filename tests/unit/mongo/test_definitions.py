# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collections and indexes as they are made again, views under other names, and what differs."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.comparison import Content, compare
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.definitions import bypasses_validation, creation, index_plan
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import CollectionMetadata
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.views import renamed, sources
from bson import SON, Decimal128, Int64

ID_INDEX = {"v": 2, "key": {"_id": 1}, "name": "_id_"}


def metadata(*indexes: Any, kind: str = "collection", **options: Any) -> CollectionMetadata:
    return CollectionMetadata(kind, options, indexes)


def test_a_collection_is_made_with_its_options_but_those_of_servers_long_gone() -> None:
    given = metadata(capped=True, size=Int64(4096), flags=1, autoIndexId=False, temp=True, collation={"locale": "fr"})
    assert creation("sales", given) == {"create": "sales", "capped": True, "size": 4096, "collation": {"locale": "fr"}}


def test_documents_that_rules_would_refuse_are_put_in_all_the_same() -> None:
    assert bypasses_validation(metadata(validator={"a": 1}))
    assert not bypasses_validation(metadata(capped=True))


def test_indexes_are_made_but_those_that_come_with_the_collection() -> None:
    text = {"v": 2, "key": SON([("_fts", "text"), ("_ftsx", 1)]), "name": "t", "weights": {"a": 1}, "textIndexVersion": 3, "background": True, "ns": "a.b"}
    clustered = {"v": 2, "key": {"_id": 1}, "name": "by id", "unique": True, "clustered": True}
    plan = index_plan(metadata(ID_INDEX, clustered, text))
    assert plan.indexes == [{"key": text["key"], "name": "t", "weights": {"a": 1}, "textIndexVersion": 3}]
    assert plan.remarks == []


def test_what_no_server_takes_any_more_is_left_out_and_told() -> None:
    plan = index_plan(metadata({"v": 1, "key": {"a": 1}, "name": "a", "dropDups": True, "safe": None}))
    assert plan.indexes == [{"key": {"a": 1}, "name": "a"}]
    assert plan.remarks == [f"{field} of index a was left out: no server of today takes it" for field in ("dropDups", "safe")]


def test_a_key_of_an_old_server_is_made_as_it_worked() -> None:
    old = SON([("a", 1.0), ("b", True), ("c", Decimal128("0")), ("d", ""), ("e", 0), ("f", float("nan")), ("g", None), ("h", Decimal128("-1")), ("i", "2d")])
    new = SON([("a", 1.0), ("b", 1), ("c", 1), ("d", 1), ("e", 1), ("f", 1), ("g", 1), ("h", Decimal128("-1")), ("i", "2d")])
    plan = index_plan(metadata({"v": 1, "key": old, "name": "old"}, {"v": 2, "key": new, "name": "new"}))
    assert [list(index["key"].items()) for index in plan.indexes] == [list(new.items())] * 2
    assert plan.remarks == ["index old is made with 1 where its key had what no server of today takes"]
    assert compare(Content(metadata({"key": old, "name": "x"})), Content(metadata({"key": new, "name": "x"}))) == []


VIEW = {
    "viewOn": "base",
    "collation": {"locale": "fr"},
    "pipeline": [
        {"$match": {"from": "base", "coll": "base"}},
        {"$lookup": {"from": "other", "as": "x", "pipeline": [{"$unionWith": "base"}]}},
        {"$graphLookup": {"from": "base", "startWith": "$a"}},
        {"$facet": {"one": [{"$unionWith": {"coll": "base", "pipeline": [{"$lookup": {"from": "third"}}]}}]}},
        {"$lookup": {"from": {"db": "config", "coll": "base"}, "as": "y"}},
        {"$unionWith": {"pipeline": [{"$documents": [{"a": 1}]}]}},
    ],
}


def test_the_collections_of_a_view_are_found_wherever_it_names_them() -> None:
    assert sources(VIEW) == {"base", "other", "third"}


def test_a_view_of_other_names_is_the_same_but_for_them() -> None:
    changed = renamed(VIEW, {"base": "1", "third": "3"})
    assert sources(changed) == {"1", "other", "3"}
    assert renamed(changed, {"1": "base", "3": "third"}) == VIEW == renamed(VIEW, {})
    assert changed["pipeline"][0] == VIEW["pipeline"][0]
    assert bson.encode(renamed(VIEW, {})) == bson.encode(VIEW)


INDEX = {"v": 2, "key": SON([("a", 1), ("b", -1)]), "name": "ab", "sparse": True}
WANTED = Content(metadata(ID_INDEX, INDEX, capped=True, size=4096), 5, "d", "s")


def altered(index: Any = None, **changes: Any) -> Content:
    base: dict[str, Any] = {"metadata": metadata(ID_INDEX, index or INDEX, capped=True, size=4096), "count": 5, "digest": "d", "sequence": "s"}
    return Content(**{**base, **changes})


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (altered(), []),
        (altered({**INDEX, "v": 1, "ns": "a.b", "background": True, "key": SON([("a", 1.0), ("b", Int64(-1))])}), []),
        (altered(metadata=metadata(INDEX, capped=True, size=Int64(4096))), []),
        (altered(digest=None, count=None, sequence=None), []),
        (altered(count=4, digest="e", sequence="x"), ["it has 4 documents and should have 5"]),
        (altered(digest="e", sequence="x"), ["its documents differ"]),
        (altered(sequence="x"), ["its documents are in another order"]),
        (altered({**INDEX, "key": SON([("b", -1), ("a", 1)])}), ["index ab differs"]),
        (altered({**INDEX, "unique": True}), ["index ab differs"]),
        (altered({**INDEX, "name": "c"}), ["index ab is missing", "there is an index c, which should not be"]),
        (altered(metadata=metadata(ID_INDEX, INDEX, capped=True)), ["option size is not set and should be 4096"]),
        (altered(metadata=metadata(ID_INDEX, INDEX, capped=True, size=1)), ["option size is 1 and should be 4096"]),
        (altered(metadata=metadata(ID_INDEX, INDEX, kind="view", capped=True, size=4096)), ["it is a view and should be a collection"]),
    ],
)
def test_a_difference_is_told_and_nothing_else(found: Content, expected: list[str]) -> None:
    assert compare(WANTED, found) == expected


def test_an_index_of_id_that_is_not_the_usual_one_counts() -> None:
    odd = metadata({"key": {"_id": 1}, "name": "_id_", "collation": {"locale": "fr"}})
    assert compare(Content(odd), Content(metadata(ID_INDEX))) == ["index _id_ differs"]
