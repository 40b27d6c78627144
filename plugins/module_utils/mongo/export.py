# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read collections out of a server: several at once, big ones in parts, packed and hashed in the same pass.

Memory is a few batches a worker, whatever the size of the data; the packed documents stand in files meanwhile.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol

from ..core.errors import Failure
from .board import Board
from .catalog import CollectionInfo, describe
from .clients import CursorLost
from .consistency import changes
from .digest import DocumentsDigest
from .metadata import CollectionMetadata, Namespace
from .reading import Attempt, Tally
from .spool import Segment, Spool


class Progress(Protocol):
    """Where it is told how far the work is."""

    def advance(self, done: int, detail: str) -> None:
        """Add bytes of documents that were read; called by several threads."""


@dataclass(frozen=True)
class ExportedCollection:
    """A collection that was read.

    :param segments: its packed documents, in order where the collection has one.
    :param digest: of its documents in any order.
    :param sequence: of its documents in their order, for a capped collection.
    :param bytes: of BSON.
    :param remarks: sentences on what happened while it was read.
    """

    namespace: Namespace
    metadata: CollectionMetadata
    segments: tuple[Segment, ...] = ()
    digest: str = DocumentsDigest().hexdigest()
    sequence: Optional[str] = None
    count: int = 0
    bytes: int = 0
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Export:
    """What was read.

    :param remarks: sentences on what changed among the databases' collections meanwhile; those on one collection stand with it.
    """

    collections: list[ExportedCollection]
    remarks: tuple[str, ...] = ()

    @property
    def untouched(self) -> bool:
        """Whether nothing speaks for a write meanwhile, which does not prove that there was none."""
        return not self.remarks and not any(collection.remarks for collection in self.collections)


def export(
    collections: Sequence[CollectionInfo], client: Any, spool_folder: Path, workers: int = 2, progress: Optional[Progress] = None, *, still: bool = False
) -> Export:
    """Read collections, and return them in the order given.

    :param collections: as `catalog.describe` told of them just before.
    :param spool_folder: a folder for packed documents; what a failure leaves there is removed.
    :param still: nothing may write meanwhile: what speaks for a write is an error after some attempts, not a remark.
    :raises Failure: when the server is lost or refuses, a collection goes away or cannot be read whole, or there is no room.
    """
    databases = sorted({info.namespace.database for info in collections})
    before = {name: describe(client, name) for name in databases}
    board, advance = Board(), progress.advance if progress else _nowhere
    exports = [_CollectionExport(client, info, spool_folder / f"{number:06d}", workers, advance, still, board) for number, info in enumerate(collections)]
    try:
        # The biggest first, so that the last ones to end are small.
        for one in sorted(exports, key=lambda one: -one.info.size):
            board.put(one.begin)
        board.work(workers)
        remarks = [sentence for name in databases for sentence in changes(before[name], describe(client, name), _names(collections, name))]
        if still and remarks:
            raise Failure(f"What is in MongoDB changed while it was read: {'; '.join(remarks)}", "stop what changes it, then start again")
    except BaseException:
        for one in exports:
            one.discard()
        raise
    return Export([one.result() for one in exports], tuple(remarks))


def _nowhere(done: int, detail: str) -> None:
    """Where nobody looks at the progress."""


def _names(collections: Sequence[CollectionInfo], database: str) -> set[str]:
    return {info.namespace.collection for info in collections if info.namespace.database == database}


class _CollectionExport:
    """One collection on its way: its parts are jobs, and the last of them to end judges the whole."""

    def __init__(
        self, client: Any, info: CollectionInfo, spool: Path, workers: int, advance: Callable[[int, str], None], still: bool, board: Board
    ) -> None:
        self.info = info
        self._client, self._spool, self._workers, self._advance, self._still, self._board = client, spool, workers, advance, still, board
        self._lock = threading.Lock()
        self._attempts = 0
        self._done: dict[int, tuple[Segment, Tally]] = {}
        self._lost: Optional[CursorLost] = None
        self._remark = ""

    def begin(self) -> None:
        """Look at the collection and put up its parts."""
        if self.info.holder is None:
            return
        self._attempts += 1
        self._done, self._lost = {}, None
        attempt = Attempt(self._client, self.info, self._workers, self._attempts)
        self._left = len(attempt.parts)
        for number in reversed(range(len(attempt.parts))):
            self._board.put(functools.partial(self._read, attempt, number), first=True)

    def _read(self, attempt: Attempt, number: int) -> None:
        tally = Tally(attempt.name, self.info.capped)
        try:
            with Spool(Path(f"{self._spool}-{attempt.number}-{number:04d}.gz")) as spool:
                for batch in attempt.batches(attempt.parts[number]):
                    self._board.check()
                    tally.add_batch(batch)
                    spool.write(batch)
                    self._advance(len(batch), attempt.name)
                segment = spool.finish()
            with self._lock:
                self._done[number] = (segment, tally)
        except CursorLost as error:
            self._lost = error
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._judge(attempt)

    def _judge(self, attempt: Attempt) -> None:
        if self._lost is not None:
            attempt.lost(self._lost)
        else:
            verdict = attempt.judged(sum(tally.digest.count for dummy, tally in self._done.values()), self._still)
            if not verdict.again:
                self._remark = verdict.remark
                return
        self._advance(-sum(tally.digest.size for dummy, tally in self._done.values()), f"{attempt.name} once more")
        self.discard()
        self._board.put(self.begin, first=True)

    def discard(self) -> None:
        """Remove what was packed."""
        for segment, dummy in self._done.values():
            segment.path.unlink(missing_ok=True)

    def result(self) -> ExportedCollection:
        """What was read, once all jobs are done."""
        digest, sequence = DocumentsDigest(), None
        done = [self._done[number] for number in sorted(self._done)]
        for dummy, tally in done:
            digest.merge(tally.digest)
            sequence = tally.sequence.hexdigest() if tally.sequence else None
        return ExportedCollection(
            self.info.namespace,
            self.info.metadata,
            tuple(segment for segment, dummy in done),
            digest.hexdigest(),
            sequence,
            digest.count,
            digest.size,
            (self._remark,) if self._remark else (),
        )
