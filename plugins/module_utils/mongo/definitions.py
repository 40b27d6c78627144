# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that make a collection and its indexes again, from what a dump or a server tells of them: pure.

What a server tells of an old collection, it may refuse to make: such leftovers are left out and told.
Sources: https://www.mongodb.com/docs/manual/reference/command/create/, .../createIndexes/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .metadata import CollectionMetadata

try:
    from bson import Decimal128
except ImportError:
    Decimal128 = ()

#: Options of servers long gone, and one that marks what a server makes for itself for a while.
_PAST_OPTIONS = ("flags", "autoIndexId", "temp")
_INDEX_FIELDS = (
    "key", "name", "unique", "sparse", "expireAfterSeconds", "partialFilterExpression", "collation", "hidden", "wildcardProjection",
    "weights", "default_language", "language_override", "textIndexVersion", "2dsphereIndexVersion", "bits", "min", "max", "prepareUnique",
)  # fmt: skip
#: Where an index is and how it was built, which is not a part of what it is.
_SILENT = ("v", "ns", "background", "storageEngine", "clustered")
_ID_INDEX = "_id_"


@dataclass(frozen=True)
class IndexPlan:
    """The indexes to make, each as `createIndexes` takes it, and sentences on what of them was left out."""

    indexes: list[dict[str, Any]]
    remarks: list[str]


def creation(name: str, metadata: CollectionMetadata) -> dict[str, Any]:
    """The command that makes an empty collection or a view."""
    return {"create": name, **{key: value for key, value in metadata.options.items() if key not in _PAST_OPTIONS}}


def bypasses_validation(metadata: CollectionMetadata) -> bool:
    """Whether documents are to be put in that the collection's own rules may refuse: they were there before the rules, or beside them."""
    return "validator" in metadata.options


def key_of(index: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The fields of an index's key in their order; what old servers took for ascending is 1, as `mongorestore --convertLegacyIndexes` has it."""
    return [(name, value if _is_direction(value) else 1) for name, value in index["key"].items()]


def _is_direction(value: Any) -> bool:
    """Whether a server of today takes it: a number but zero, or the name of a kind of index."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return bool(value) and not math.isnan(value)
    if isinstance(value, Decimal128):
        return bool(value.to_decimal()) and not value.to_decimal().is_nan()
    return isinstance(value, str) and bool(value)


def index_plan(metadata: CollectionMetadata) -> IndexPlan:
    """The indexes to make once the documents are in; the one of `_id` and a clustered one come with the collection."""
    plan = IndexPlan([], [])
    for index in metadata.indexes:
        if index.get("name") == _ID_INDEX or index.get("clustered"):
            continue
        fields = {key: value for key, value in index.items() if key in _INDEX_FIELDS}
        plan.indexes.append({**fields, "key": dict(key_of(index))})
        if key_of(index) != list(index["key"].items()):
            plan.remarks.append(f"index {index['name']} is made with 1 where its key had what no server of today takes")
        plan.remarks.extend(
            f"{key} of index {index['name']} was left out: no server of today takes it" for key in index if key not in _INDEX_FIELDS + _SILENT
        )
    return plan
