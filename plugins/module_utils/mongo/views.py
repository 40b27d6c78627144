# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Views, whose definitions name other collections of their database: what they read, and what they are when those have other names: pure.

Stages that read collections: https://www.mongodb.com/docs/manual/reference/operator/aggregation/ ($lookup, $graphLookup, $unionWith).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Stages that name a collection, and under which key.
_NAMING = {"$lookup": "from", "$graphLookup": "from", "$unionWith": "coll"}


def sources(options: Mapping[str, Any]) -> set[str]:
    """The collections that a view reads."""
    found: set[str] = set()
    renamed(options, _Noting(found))
    return found


class _Noting(dict[str, str]):
    """Renames nothing, and notes what it was asked for."""

    def __init__(self, found: set[str]) -> None:
        super().__init__()
        self._found = found

    def get(self, key: str, default: Any = None) -> Any:
        self._found.add(key)
        return default


def renamed(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The options of a view whose collections have other names; those that are not in ``names`` keep theirs."""
    base = options["viewOn"]
    return {**options, "viewOn": names.get(base, base), "pipeline": _pipeline(options.get("pipeline") or [], names)}


def _pipeline(stages: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[Any]:
    return [{key: _stage(key, value, names) for key, value in stage.items()} for stage in stages]


def _stage(name: str, value: Any, names: Mapping[str, str]) -> Any:
    if name == "$unionWith" and isinstance(value, str):
        return names.get(value, value)
    if name == "$facet":
        return {key: _pipeline(stages, names) for key, stages in value.items()}
    if name not in _NAMING:
        return value
    changed = dict(value)
    key = _NAMING[name]
    # A stage may also read another database, or documents that it brings along.
    if isinstance(value.get(key), str):
        changed[key] = names.get(value[key], value[key])
    if "pipeline" in value:
        changed["pipeline"] = _pipeline(value["pipeline"], names)
    return changed
