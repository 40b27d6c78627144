# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a manifest says of a collection, made of what was dumped, and compared."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..mongo import metadata as bson_json
from ..mongo.dumped import DumpedCollection
from .fields import one_line
from .manifest import CollectionFacts

_SHOWN = 120


def extended_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """BSON values as canonical extended JSON, in the form of Python's JSON; keys keep their order."""
    return json.loads(bson_json.dumps(value))


def collection_facts(dumped: DumpedCollection) -> CollectionFacts:
    """What the manifest says of a collection whose documents were digested."""
    known = dumped.metadata or bson_json.CollectionMetadata()
    return CollectionFacts(
        database=dumped.namespace.database,
        name=dumped.namespace.collection,
        type=known.type,
        count=dumped.count,
        bytes=dumped.bytes,
        digest=dumped.digest,
        sequence=dumped.sequence or None,
        options=extended_json(known.options),
        indexes=tuple(extended_json(index) for index in known.indexes),
    )


def differences(wanted: Iterable[CollectionFacts], found: Iterable[CollectionFacts]) -> Iterator[str]:
    """Each difference between what the manifest says and what there is, in words, by collection."""
    by_name = {(facts.database, facts.name): facts for facts in found}
    for facts in wanted:
        there = by_name.pop((facts.database, facts.name), None)
        if there is None:
            yield f"{_named(facts)} is missing"
        else:
            yield from _differences(facts, there)
    for facts in by_name.values():
        yield f"{_named(facts)} is not in the manifest"


def _differences(wanted: CollectionFacts, found: CollectionFacts) -> Iterator[str]:
    collection = _named(wanted)
    if found.count != wanted.count:
        yield f"{collection} has {found.count} documents, and by the manifest {wanted.count}"
    elif (found.bytes, found.digest) != (wanted.bytes, wanted.digest):
        yield f"{collection} has other documents than by the manifest, by their digest"
    elif wanted.sequence and found.sequence != wanted.sequence:
        yield f"{collection} is capped and has its documents in another order than by the manifest"
    for what in ("type", "options", "indexes"):
        there, known = json.dumps(getattr(found, what)), json.dumps(getattr(wanted, what))  # as text, since the order of keys counts in an index
        if there != known:
            yield f"{collection} has the {what} {_cut(there)}, and by the manifest {_cut(known)}"


def _named(facts: CollectionFacts) -> str:
    return one_line(f"collection {facts.name} of {facts.database}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
