# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put dumped collections into a server, under names of the caller's: a visitor of a dump's documents.

Nothing is ever written into a collection that was there before.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Queue
from types import TracebackType
from typing import Any, Optional, Protocol

from ..core.errors import Failure
from .batches import Documents, split
from .catalog import ServerFacts, holder, server_facts
from .clients import patient, told
from .counting import identity
from .definitions import bypasses_validation, creation, index_plan
from .metadata import BUCKETS, TIME_SERIES, VIEW, CollectionMetadata, Namespace
from .views import renamed

#: Batches that wait for each worker: enough that none is idle, few enough to fit into memory.
_WAITING = 2
#: How long the indexes of one collection may take.
INDEX_SECONDS = 6 * 3600.0
_DUPLICATE = 11000


class Progress(Protocol):
    """Where it is told how far the work is."""

    def advance(self, done: int, detail: str) -> None:
        """Add bytes of documents that were written; called by several threads."""


@dataclass
class Loaded:
    """A collection that is being loaded.

    :param target: its name on the server.
    :param holder: what holds its documents there.
    :param count: documents that the server took.
    """

    namespace: Namespace
    metadata: CollectionMetadata
    target: Namespace
    holder: Namespace
    count: int = 0
    waiting: int = 0
    ended: bool = False
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Batch:
    loaded: Loaded
    documents: memoryview
    number: int


class Loader:
    """Makes each collection, fills it by several threads, then makes its indexes; views come last.

    Use it as a context, and call `finish`: without it, or after an error, what was made stays incomplete until `discard`.

    :param collections: every collection of the dump, views too.
    :param target: the name on the server of a collection of the dump; None for one that is left out.
    """

    def __init__(
        self,
        client: Any,
        collections: Mapping[Namespace, CollectionMetadata],
        target: Callable[[Namespace], Optional[Namespace]],
        workers: int = 2,
        progress: Optional[Progress] = None,
    ) -> None:
        self.loaded: dict[Namespace, Loaded] = {}
        self.created: list[Namespace] = []
        self._client, self._collections, self._target, self._progress = client, collections, target, progress
        self._facts: ServerFacts = server_facts(client)
        self._concern = {"w": "majority"} if self._facts.replica_set else {"w": 1}
        self._batches: Queue[Optional[_Batch]] = Queue(_WAITING * workers)
        self._changed = threading.Condition()
        self._error: Optional[BaseException] = None
        self._threads = [threading.Thread(target=self._work, name=f"loader-{number}", daemon=True) for number in range(1, workers + 1)]
        for thread in self._threads:
            thread.start()

    # -- what a dump's reader calls ---------------------------------------------------------------------------------------

    def begin(self, namespace: Namespace) -> None:
        """Make a collection. :raises Failure: when there is one of that name, or the server refuses."""
        self._check()
        name = self._known(namespace)
        target = self._target(name)
        if target is None or name in self.loaded:
            return
        metadata = self._collections[name]
        self._create(target, creation(target.collection, metadata))
        self.loaded[name] = Loaded(name, metadata, target, holder(target, metadata.type) or target)

    def documents(self, namespace: Namespace, documents: Any) -> None:
        """Put whole documents in, or in line. :raises Failure: when the server was lost or refused these or earlier ones."""
        loaded = self.loaded.get(self._known(namespace))
        if loaded is None:
            return
        for part, number in split(memoryview(documents), self._facts.most_writes):
            self._check()
            batch = _Batch(loaded, part, number)
            if loaded.metadata.options.get("capped"):
                # In their order, which is a part of what such a collection holds.
                self._insert(batch, ordered=True)
                continue
            with self._changed:
                loaded.waiting += 1
            self._batches.put(batch)

    def end(self, namespace: Namespace) -> None:
        """Make the indexes once all documents are in. :raises Failure: as `documents`."""
        self._check()
        loaded = self.loaded.get(self._known(namespace))
        if loaded is None:
            return
        with self._changed:
            loaded.ended = True
            complete = not loaded.waiting
        if complete:
            self._index(loaded)

    # -- around it --------------------------------------------------------------------------------------------------------

    def finish(self) -> list[Loaded]:
        """Wait for all documents and indexes, make collections that the reader did not come by, and views; return what was loaded.

        :raises Failure: when the server was lost or refused something.
        """
        for namespace, metadata in self._collections.items():
            if metadata.type != VIEW and namespace not in self.loaded:
                self.begin(namespace)
                self.end(namespace)
        self._stop()
        self._check()
        for namespace, metadata in self._collections.items():
            if metadata.type == VIEW:
                self._view(namespace, metadata)
        return list(self.loaded.values())

    def discard(self) -> None:
        """Remove all that was made. :raises Failure: when the server is lost or refuses."""
        self._stop()
        while self.created:
            target = self.created[-1]
            with told(f"removing {target}", str(target)):
                self._client.get_database(target.database).command({"drop": target.collection, "writeConcern": self._concern})
            self.created.pop()

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if error is not None:
            self._fail(error)
        self._stop()

    # -- the threads ------------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            batch = self._batches.get()
            if batch is None:
                return
            if self._error is not None:
                continue  # so that nobody waits for room
            try:
                self._insert(batch, ordered=False)
                if self._done(batch.loaded):
                    self._index(batch.loaded)
            except BaseException as error:  # noqa: BLE001 - it is raised again by whatever is called next
                self._fail(error)

    def _done(self, loaded: Loaded) -> bool:
        """Take note of a batch that is in; whether it was the collection's last one."""
        with self._changed:
            loaded.waiting -= 1
            return loaded.ended and not loaded.waiting

    def _insert(self, batch: _Batch, ordered: bool) -> None:
        loaded = batch.loaded
        command: dict[str, Any] = {"insert": loaded.holder.collection, "ordered": ordered, "writeConcern": self._concern}
        if bypasses_validation(loaded.metadata):
            command["bypassDocumentValidation"] = True
        command["documents"] = [Documents(batch.documents)]
        with told(f"writing {loaded.target}", str(loaded.target)):
            answer = self._client.get_database(loaded.holder.database).command(command)
        _refuse_errors(answer, loaded.target, batch.number)
        with self._changed:
            loaded.count += batch.number
        if self._progress:
            self._progress.advance(len(batch.documents), str(loaded.namespace))

    def _index(self, loaded: Loaded) -> None:
        plan = index_plan(loaded.metadata)
        loaded.remarks += plan.remarks
        if plan.indexes:
            command = {"createIndexes": loaded.target.collection, "indexes": plan.indexes}
            with told(f"making the indexes of {loaded.target}", str(loaded.target)), patient(INDEX_SECONDS):
                self._client.get_database(loaded.target.database).command(command)

    def _view(self, namespace: Namespace, metadata: CollectionMetadata) -> None:
        target = self._target(namespace)
        if target is None:
            return
        others = {other.collection: self._target(other) for other in self._collections if other.database == namespace.database}
        names = {name: other.collection for name, other in others.items() if other and other.database == target.database}
        self._create(target, {"create": target.collection, **renamed(metadata.options, names)})
        self.loaded[namespace] = Loaded(namespace, metadata, target, target)

    def _create(self, target: Namespace, command: Mapping[str, Any]) -> None:
        with told(f"making {target}", str(target)):
            # Not all servers refuse to make what is there.
            if identity(self._client, target)[0]:
                raise Failure(f"There is already a collection {target}", "choose another name, or remove it if nobody needs it", subject=str(target))
            self._client.get_database(target.database).command({**command, "writeConcern": self._concern})
        self.created.append(target)

    def _known(self, namespace: Namespace) -> Namespace:
        """The name under which a dump tells of a collection: a time series' documents may come under its buckets' name."""
        if namespace in self._collections:
            return namespace
        series = Namespace(namespace.database, namespace.collection[len(BUCKETS) :])
        if namespace.collection.startswith(BUCKETS) and series in self._collections and self._collections[series].type == TIME_SERIES:
            return series
        raise Failure(f"The dump has documents of {namespace} and does not say what it is", "take another copy of the dump", subject=str(namespace))

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None:
                self._error = error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _stop(self) -> None:
        """Let the threads do what is in line, and end."""
        for thread in self._threads:
            if thread.is_alive():
                self._batches.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []


def _refuse_errors(answer: Mapping[str, Any], target: Namespace, number: int) -> None:
    """:raises Failure: where a server did not take all documents; without its texts, which quote them."""
    errors = answer.get("writeErrors") or []
    if errors:
        code = errors[0].get("code")
        reason = "two of them have the same key" if code == _DUPLICATE else f"error code {code}"
        problem = f"MongoDB refused {len(errors)} of {number} documents of {target}: {reason}"
        raise Failure(problem, "see its log", subject=str(target), answer=f"error code {code}")
    concern = answer.get("writeConcernError")
    if concern:
        code = concern.get("code")
        raise Failure(f"MongoDB did not confirm documents of {target}: error code {code}", "see the state of its replica set", subject=str(target))
    if answer.get("n") != number:
        raise Failure(f"MongoDB took {answer.get('n')} of {number} documents of {target}", "see its log", subject=str(target), answer=str(answer.get("n")))
