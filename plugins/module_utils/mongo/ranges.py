# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a collection is read: in one pass, or in several at once by ranges of `_id`: pure.

Ranges stay within one BSON type, since a comparison finds values of its own kind alone, and one more pass reads all other types: so
each document is in one part and no more. Numbers that are not whole are never a range's type (NaN compares with nothing), and nothing
is split that compares text by a language's rules, where two texts may be equal without being the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .catalog import CollectionInfo

try:
    from bson import Binary, DatetimeMS, Int64, ObjectId
except ImportError:
    ObjectId = None

#: Below this, one pass is as quick.
SMALLEST_TO_SPLIT = 64 * 1024 * 1024
#: What one part should hold at least.
SMALLEST_PART = 16 * 1024 * 1024
_PARTS_A_WORKER = 3
#: Values of `_id` that are looked at to find where to cut, a part.
SAMPLES_A_PART = 40
_BY_ID = {"_id": 1}
_IN_ORDER = {"$natural": 1}


@dataclass(frozen=True)
class Part:
    """One read of a collection.

    :param query: as MongoDB's `find` takes it.
    :param hint: by which index or order; None leaves it to the server.
    """

    label: str
    query: Mapping[str, Any] = field(default_factory=dict)
    hint: Optional[Mapping[str, Any]] = None


def whole(info: CollectionInfo) -> Part:
    """The read of a collection in one pass: in the order of insertion where that belongs to what the collection is."""
    return Part("all", hint=_IN_ORDER if info.capped else None)


def parts_wanted(info: CollectionInfo, workers: int) -> int:
    """Into how many parts a collection is to be split, by its rough size; 1 for one that is read in one pass."""
    if info.capped or info.collated or workers < 2 or info.size < SMALLEST_TO_SPLIT or not (info.has_id_index or info.clustered):
        return 1
    return max(1, min(workers * _PARTS_A_WORKER, info.size // SMALLEST_PART))


def parts(info: CollectionInfo, wanted: int, samples: Sequence[Any]) -> list[Part]:
    """The reads that together find each document once.

    :param samples: values of `_id` in the server's order, decoded so that they are encoded the same again.
    """
    if wanted < 2:
        return [whole(info)]
    kind = _commonest(samples)
    edges = _edges([value for value in samples if bson_type(value) == kind], wanted) if kind else []
    if not edges:
        return [whole(info)]
    hint = _BY_ID if info.has_id_index else None
    bounds = [{"$lt": edges[0]}, *({"$gte": low, "$lt": high} for low, high in zip(edges, edges[1:])), {"$gte": edges[-1]}]
    ranges = [Part(f"{kind} {number} of {len(bounds)}", {"_id": {"$type": kind, **bound}}, hint) for number, bound in enumerate(bounds, 1)]
    return [*ranges, Part(f"all but {kind}", {"_id": {"$not": {"$type": kind}}})]


def bson_type(value: Any) -> str:
    """The name that `$type` has for a value's BSON type, where that type may be cut into ranges; else empty."""
    names: tuple[tuple[Any, str], ...] = (
        (bool, ""),
        (Int64, "long"),
        (int, "int"),
        (str, "string"),
        (ObjectId, "objectId"),
        (DatetimeMS, "date"),
        ((Binary, bytes), "binData"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "")


def _commonest(samples: Sequence[Any]) -> str:
    counts: dict[str, int] = {}
    for value in samples:
        kind = bson_type(value)
        if kind:
            counts[kind] = counts.get(kind, 0) + 1
    return max(counts, key=lambda kind: counts[kind], default="")


def _edges(ordered: Sequence[Any], wanted: int) -> list[Any]:
    """At most ``wanted - 1`` values that cut a sample into parts of about the same size, each once."""
    edges: list[Any] = []
    for number in range(1, wanted):
        value = ordered[number * len(ordered) // wanted] if ordered else None
        if value is not None and value != ordered[0] and (not edges or value != edges[-1]):
            edges.append(value)
    return edges
