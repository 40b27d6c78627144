# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a collection is what it should be: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .definitions import key_of
from .metadata import CollectionMetadata

#: What a server notes with an index on its own account: where it is, and how it was built.
_NOTED = ("v", "ns", "background", "storageEngine")
_ID_INDEX = "_id_"


@dataclass(frozen=True)
class Content:
    """A collection in what counts.

    :param digest: of its documents; None where nobody told.
    :param sequence: of its documents in their order; None for a collection without one.
    """

    metadata: CollectionMetadata
    count: Optional[int] = None
    digest: Optional[str] = None
    sequence: Optional[str] = None


def compare(wanted: Content, found: Content) -> list[str]:
    """The differences, in words; empty where there are none."""
    kinds = (wanted.metadata.type or "collection", found.metadata.type or "collection")
    differences = [f"it is a {kinds[1]} and should be a {kinds[0]}"] if kinds[0] != kinds[1] else []
    if None not in (wanted.count, found.count) and wanted.count != found.count:
        differences.append(f"it has {found.count} documents and should have {wanted.count}")
    elif None not in (wanted.digest, found.digest) and wanted.digest != found.digest:
        differences.append("its documents differ")
    elif None not in (wanted.sequence, found.sequence) and wanted.sequence != found.sequence:
        differences.append("its documents are in another order")
    return differences + _options(wanted.metadata.options, found.metadata.options) + _indexes(wanted.metadata.indexes, found.metadata.indexes)


def _options(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    names = sorted(wanted.keys() | found.keys())
    return [f"option {name} is {_shown(found, name)} and should be {_shown(wanted, name)}" for name in names if not same(wanted.get(name), found.get(name))]


def _shown(values: Mapping[str, Any], name: str) -> str:
    return repr(values[name]) if name in values else "not set"


def _indexes(wanted: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[str]:
    old, new = ({index["name"]: essence(index) for index in indexes} for indexes in (wanted, found))
    # Every server makes it; older dumps, and those of clustered collections, do not tell of it.
    for one, other in ((old, new), (new, old)):
        if _ID_INDEX not in one and _ID_INDEX in other and same(other[_ID_INDEX]["key"], [("_id", 1)]):
            other.pop(_ID_INDEX)
    differences = [f"index {name} is missing" for name in sorted(old.keys() - new.keys())]
    differences += [f"there is an index {name}, which should not be" for name in sorted(new.keys() - old.keys())]
    return differences + [f"index {name} differs" for name in sorted(old.keys() & new.keys()) if not same(old[name], new[name])]


def essence(index: Mapping[str, Any]) -> dict[str, Any]:
    """What an index is, without what a server notes with it; its fields in their order, which is part of it."""
    found = {key: value for key, value in index.items() if key not in _NOTED}
    return {**found, "key": key_of(index)}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, numbers by their value; settings whatever the order of their keys."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
