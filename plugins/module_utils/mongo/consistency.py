# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what was read of a collection is all of it: pure.

A cursor whose collection is dropped or renamed may end as if it were done, so its end proves nothing: the collection is counted before
and after, and must still be the same one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Optional

from ..core.errors import Failure
from .catalog import CollectionInfo

#: How often a collection is read before its content is given up.
ATTEMPTS = 3


@dataclass(frozen=True)
class Reading:
    """One read of a collection.

    :param before, read, after: numbers of documents.
    :param known: the collection's identity in the catalog.
    :param found: its identity after the read; None where the server gives none or it is gone.
    :param writes: how many writes the server counted in between; None where it does not count.
    """

    name: str
    before: int
    read: int
    after: int
    known: Optional[bytes] = None
    found: Optional[bytes] = None
    gone: bool = False
    writes: Optional[int] = None

    @property
    def complete(self) -> bool:
        """Whether the counts agree and it is the collection that was to be read."""
        return not self.gone and self.known == self.found and self.before == self.read == self.after

    @property
    def untouched(self) -> bool:
        """Whether nothing speaks for a write in between."""
        return self.complete and not self.writes


@dataclass(frozen=True)
class Verdict:
    """What follows from a read: it counts, with a remark where there is one to make, or it has to be done again."""

    again: bool = False
    remark: str = ""


def judge(reading: Reading, still: bool, attempt: int) -> Verdict:
    """Say whether a read counts.

    :param still: whether nothing may write meanwhile.
    :param attempt: from 1; at `ATTEMPTS` nothing is read again.
    :raises Failure: when the collection is gone, or could not be read whole.
    """
    name, last = reading.name, attempt >= ATTEMPTS
    if reading.gone:
        raise Failure(f"Collection {name} was dropped or renamed while it was read", "start again, when nothing changes the app's collections", subject=name)
    if reading.known != reading.found:
        if last:
            raise Failure(f"Collection {name} was replaced by another {attempt} times while it was read", "stop what writes there", subject=name)
        return Verdict(again=True)
    if reading.complete:
        return Verdict() if not reading.writes else _written(reading, still, last)
    if still or reading.read < min(reading.before, reading.after):
        if last:
            counts = _counts(reading)
            raise Failure(f"Collection {name} could not be read whole: {counts}, {attempt} times", _remedy(still), subject=name, answer=counts)
        return Verdict(again=True)
    return _written(reading, still, last)


def _written(reading: Reading, still: bool, last: bool) -> Verdict:
    if not still:
        writes = f"{reading.writes} writes, " if reading.writes else ""
        return Verdict(remark=f"{reading.name} was written to while it was read: {writes}{_counts(reading)}")
    if last:
        raise Failure(
            f"Collection {reading.name} is written to, which nothing should do: {reading.writes} writes while it was read", _remedy(still), subject=reading.name
        )
    return Verdict(again=True)


def _counts(reading: Reading) -> str:
    return f"{reading.before} documents before, {reading.read} read, {reading.after} after"


def _remedy(still: bool) -> str:
    return "stop what else writes there, or ask for a backup of a running app" if still else "stop or pause the app for the backup"


def changes(before: Sequence[CollectionInfo], after: Sequence[CollectionInfo], read: Collection[str]) -> list[str]:
    """What happened to the collections of a database while some of them were read, in words.

    :param read: names of the collections that were read; others matter by their coming alone, as one may have been renamed.
    """
    old, new = ({info.namespace.collection: info for info in infos} for infos in (before, after))
    found = [f"{new[name].namespace} was made" for name in sorted(new.keys() - old.keys())]
    for name in sorted(new.keys() & old.keys() & set(read)):
        was, now = old[name].metadata, new[name].metadata
        found += [
            f"the {what} of {new[name].namespace} changed"
            for what, former, present in (("type", was.type, now.type), ("options", was.options, now.options), ("indexes", was.indexes, now.indexes))
            if former != present
        ]
    found += [f"{old[name].namespace} was dropped or renamed" for name in sorted((old.keys() - new.keys()) & set(read))]
    return found
