# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out a planned swap, or take it back, from whatever step a crash left it at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.errors import Failure
from .batches import raw_batches
from .catalog import describe, holder, server_facts
from .clients import exact, told
from .comparison import Content, compare
from .load import Loader
from .metadata import BUCKETS, COLLECTION, Namespace
from .reading import read_back
from .swap_plan import COPY, CREATE_VIEW, RENAME, Step, Swap

Note = Callable[[int], None]


def carry_out(client: Any, swap: Swap, done: int, note: Note) -> None:
    """Do the steps from number ``done`` on.

    :param done: how many steps the journal says are done; the next one may be, too.
    :param note: writes into the journal how many are done, so that it lasts, before it returns.
    :raises Failure: when the server is lost or refuses, or the database fits no step; the journal then says where to go on.
    """
    hand = _Hand(client, swap.database)
    for number in range(done, len(swap.steps)):
        hand.do(swap.steps[number])
        note(number + 1)


def take_back(client: Any, swap: Swap, done: int, note: Note) -> None:
    """Undo the steps before number ``done``, and that one where it was done; as `carry_out` otherwise."""
    hand = _Hand(client, swap.database)
    if done < len(swap.steps):
        hand.do(swap.steps[done].inverse())
    for number in reversed(range(done)):
        hand.do(swap.steps[number].inverse())
        note(number)


class _Hand:
    """Does one step after the other.

    What is in the database is asked once, as the app stands still meanwhile; a server itself refuses to rename onto another collection.
    """

    def __init__(self, client: Any, database: str) -> None:
        self._client, self._database = client, database
        self._concern = {"writeConcern": {"w": "majority"}} if server_facts(client).replica_set else {}
        with told(f"listing the collections of {database}", database):
            entries = client.get_database(database).cursor_command({"listCollections": 1}, codec_options=exact())
        self._names = {entry["name"]: entry.get("type") or COLLECTION for entry in entries if not entry["name"].startswith(BUCKETS)}

    def do(self, step: Step) -> None:
        """Do a step unless it is done."""
        if step.done(self._names):
            return
        subject = f"{self._database}.{step.name}"
        with told(f"to {step.action} {subject}", subject):
            self._command(step)
        self._names = step.result(self._names)

    def _command(self, step: Step) -> None:
        database = self._client.get_database(self._database)
        if step.action == RENAME:
            # Never dropTarget: what has the name is somebody's.
            command = {"renameCollection": f"{self._database}.{step.name}", "to": f"{self._database}.{step.other}"}
            self._client.admin.command({**command, **self._concern})
        elif step.action == CREATE_VIEW:
            database.command({"create": step.name, **step.options, **self._concern})
        elif step.action == COPY:
            if step.other in self._names:
                # Of an earlier run, which may have been cut off in it.
                database.command({"drop": step.other, **self._concern})
            _copy(self._client, Namespace(self._database, step.name), Namespace(self._database, step.other))
        else:
            database.command({"drop": step.name, **self._concern})


def _copy(client: Any, source: Namespace, target: Namespace) -> None:
    """Make a time series again under another name. :raises Failure: also when the copy differs."""
    info = next(info for info in describe(client, source.database) if info.namespace == source)
    with Loader(client, {source: info.metadata}, lambda dummy: target) as loader:
        loader.begin(source)
        for documents in raw_batches(client, holder(source, info.type) or source, average=info.average):
            loader.documents(source, documents)
        loader.end(source)
        loader.finish()
    copy = next(info for info in describe(client, target.database) if info.namespace == target)
    contents = [(read_back(client, one).digest, one.metadata) for one in (info, copy)]
    differences = compare(*(Content(metadata, digest.count, digest.hexdigest()) for digest, metadata in contents))
    if differences:
        raise Failure(f"The copy {target} of {source} differs: {'; '.join(differences)}", "see that nothing writes there", subject=str(target))
