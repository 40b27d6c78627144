# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One read of a collection that can be trusted: counted before and after, and still the same collection at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Optional

from ..core.errors import Failure
from .batches import raw_batches
from .catalog import CollectionInfo
from .clients import CursorLost, told
from .consistency import ATTEMPTS, Reading, Verdict, judge
from .counting import exact_count, identity, sampled_ids, write_counter
from .digest import DocumentsDigest, SequenceDigest
from .frames import BrokenBson
from .metadata import Namespace
from .ranges import SAMPLES_A_PART, Part, parts, parts_wanted


class Attempt:
    """One attempt to read a collection whole.

    :param info: of a collection that has documents: no view.
    :param attempt: from 1.
    :raises Failure: when the collection is not there, or the server is lost or refuses.
    """

    def __init__(self, client: Any, info: CollectionInfo, workers: int, attempt: int) -> None:
        self.info = info
        self.number = attempt
        self.name = str(info.namespace)
        self._client = client
        self._holder: Namespace = info.holder or info.namespace
        with told(f"looking at {self.name}", self.name):
            there, self._known = identity(client, self._holder)
            if not there:
                raise Failure(f"Collection {self.name} is gone", "start again, when nothing changes the app's collections", subject=self.name)
            self._writes = write_counter(client, self._holder)
            self._before = exact_count(client, self._holder, info.has_id_index)
            wanted = parts_wanted(info, workers)
            samples = sampled_ids(client, self._holder, wanted * SAMPLES_A_PART) if wanted > 1 else []
        self.parts: list[Part] = parts(info, wanted, samples)

    def batches(self, part: Part) -> Iterator[bytes]:
        """The documents of a part.

        :raises CursorLost: when the server gave the read up.
        :raises Failure: when the server is lost or refuses.
        """
        with told(f"reading {self.name}", self.name):
            yield from raw_batches(self._client, self._holder, part.query, part.hint, self.info.average)

    def judged(self, read: int, still: bool) -> Verdict:
        """Say whether what was read counts, from the number of documents. :raises Failure: where it does not and was tried often enough."""
        with told(f"looking at {self.name} again", self.name):
            there, found = identity(self._client, self._holder)
            after = exact_count(self._client, self._holder, self.info.has_id_index) if there else 0
            writes = write_counter(self._client, self._holder) if there else None
        counted = None if writes is None or self._writes is None else writes - self._writes
        return judge(Reading(self.name, self._before, read, after, self._known, found, gone=not there, writes=counted), still, self.number)

    def lost(self, error: CursorLost) -> None:
        """Take note that the server gave the read up. :raises Failure: where it did so often enough."""
        if self.number >= ATTEMPTS:
            raise Failure(f"MongoDB gave up reading {self.name} {self.number} times: {error}", "see its log", subject=self.name, answer=str(error)) from error


class Tally:
    """The digests of documents that are read, in any order and, where they have one, in theirs."""

    def __init__(self, name: str, ordered: bool) -> None:
        self._name = name
        self.digest = DocumentsDigest()
        self.sequence: Optional[SequenceDigest] = SequenceDigest() if ordered else None

    def add_batch(self, batch: bytes) -> None:
        """Count a batch in. :raises Failure: where it is no BSON."""
        try:
            self.digest.add_batch(batch)
            if self.sequence is not None:
                self.sequence.add_batch(batch)
        except BrokenBson as error:
            problem = f"MongoDB sent of {self._name} what is no document: {error.reason}"
            raise Failure(problem, "have MongoDB validate the collection", subject=self._name, answer=error.reason) from error


def read_back(client: Any, info: CollectionInfo, advance: Callable[[int, str], None] = lambda done, detail: None) -> Tally:
    """The digests of a collection that nothing writes to; of a view, of nothing.

    :param advance: is told bytes that were read.
    :raises Failure: when the server is lost or refuses, or the collection could not be read whole.
    """
    name = str(info.namespace)
    number = 0
    while info.holder is not None:
        number += 1
        attempt, tally = Attempt(client, info, 1, number), Tally(name, info.capped)
        try:
            for part in attempt.parts:
                for batch in attempt.batches(part):
                    tally.add_batch(batch)
                    advance(len(batch), name)
        except CursorLost as error:
            attempt.lost(error)
            continue
        if not attempt.judged(tally.digest.count, True).again:
            return tally
    return Tally(name, False)
