# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a restored set of collections takes the place of the live one, within one database: pure.

Live collections get the names under which the previous content is kept, restored ones get the live names. Each step changes one
collection, can be told from the names in the database to be done or not, and has an inverse. So a journal that holds the steps and how many
of them are done, written after each one, is enough to go on, or back, after a crash at any point.

What a server cannot rename is made again: a view from its definition, a time series by a copy of its documents, which takes as long as
loading them. FerretDB (2.7) also renames nothing from or to a name with a dot.
Source: https://www.mongodb.com/docs/manual/reference/command/renameCollection/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import Failure
from .catalog import CollectionInfo, holder
from .metadata import TIME_SERIES, VIEW, Namespace
from .views import renamed

#: The longest full name of a collection, in bytes: since MongoDB 4.4, and before.
LONGEST_NAME, LONGEST_NAME_BEFORE_4_4 = 255, 120
RENAME, COPY, DROP_COPIED, DROP_VIEW, CREATE_VIEW = "rename", "copy", "drop copied", "drop view", "create view"
_INVERSES = {DROP_VIEW: CREATE_VIEW, CREATE_VIEW: DROP_VIEW, COPY: DROP_COPIED, DROP_COPIED: COPY}


@dataclass(frozen=True)
class Step:
    """One change, which a server makes whole or not at all, but for a copy.

    :param name: the collection that it changes or reads.
    :param other: its new name, of a rename; the copy that is made; of one that is dropped, where the same documents stand.
    :param options: what a view is made of; of one that is dropped, too.
    """

    action: str
    name: str
    other: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def inverse(self) -> Step:
        """The step that takes this one back."""
        if self.action in (DROP_VIEW, CREATE_VIEW):
            return Step(_INVERSES[self.action], self.name, options=self.options)
        return Step(_INVERSES.get(self.action, self.action), self.other, self.name)

    def done(self, names: Mapping[str, str]) -> bool:
        """Whether it is done, where all before it are and none behind it.

        :param names: the type of each collection of the database, by its name.
        :raises Failure: when the database is in a state that neither holds before nor after it.
        """
        if self.action in (DROP_VIEW, CREATE_VIEW):
            if names.get(self.name, VIEW) != VIEW:
                raise _odd(self, f"{self.name} is no view")
            return (self.name in names) == (self.action == CREATE_VIEW)
        before, after = self.name in names, self.other in names
        if self.action == RENAME and before == after or not before and not after:
            raise _odd(self, f"{'both are' if before else 'neither is'} there")
        if self.action == DROP_COPIED and before and not after:
            raise _odd(self, f"{self.other}, which has the same documents, is not there")
        # Where both are there, a copy may be half done, and what is copied is yet to be dropped.
        return not before

    def result(self, names: Mapping[str, str]) -> dict[str, str]:
        """The collections of the database once it is done."""
        left = {name: kind for name, kind in names.items() if name != self.name or self.action in (COPY, CREATE_VIEW)}
        made = {RENAME: {self.other: names.get(self.name, "")}, COPY: {self.other: names.get(self.name, "")}, CREATE_VIEW: {self.name: VIEW}}
        return {**left, **made.get(self.action, {})}


@dataclass(frozen=True)
class Swap:
    """The steps in their order.

    :param copied_bytes: rough bytes that have to be copied, for the time that they take.
    """

    database: str
    steps: list[Step]
    copied_bytes: int = 0


@dataclass(frozen=True)
class Move:
    """A collection and the name that it is to have.

    :param dots_too: whether the server renames collections with a dot in their name.
    """

    info: CollectionInfo
    name: str
    dots_too: bool = True

    @property
    def copied(self) -> bool:
        """Whether it has to be copied, as the server cannot rename it."""
        return self.info.type == TIME_SERIES or (not self.dots_too and "." in self.former + self.name)

    @property
    def former(self) -> str:
        return self.info.namespace.collection


def plan_swap(database: str, live: Sequence[Move], restored: Sequence[Move], others: Mapping[str, str], longest: int = LONGEST_NAME) -> Swap:
    """Plan that restored collections take the names of live ones.

    :param live: all that is to make room, each with the name under which it is kept.
    :param restored: each with the name that it is to get.
    :param others: types of the other collections in the database, by name.
    :raises Failure: where a name would be too long, or two collections would have the same.
    """
    _check_lengths(database, [*live, *restored], longest)
    groups = [(moves, {move.former: move.name for move in moves}) for moves in (live, restored)]
    steps = [Step(DROP_VIEW, move.former, options=move.info.metadata.options) for move in (*live, *restored) if move.info.type == VIEW]
    for moves, dummy in groups:
        for move in moves:
            if move.info.type != VIEW and move.copied:
                steps += [Step(COPY, move.former, move.name), Step(DROP_COPIED, move.former, move.name)]
            elif move.info.type != VIEW:
                steps.append(Step(RENAME, move.former, move.name))
    for moves, names in groups:
        steps += [Step(CREATE_VIEW, move.name, options=renamed(move.info.metadata.options, names)) for move in moves if move.info.type == VIEW]
    _check_names(database, [*live, *restored], others, steps)
    copied_bytes = sum(move.info.size for move in (*live, *restored) if move.copied)
    return Swap(database, steps, copied_bytes)


def _check_lengths(database: str, moves: Sequence[Move], longest: int) -> None:
    for move in moves:
        name = Namespace(database, move.name)
        size = len(str(holder(name, move.info.type) or name).encode())
        if size > longest:
            raise Failure(
                f"The name {name} would have {size} bytes, and MongoDB takes {longest} at most", "restore the app under a shorter name", subject=str(name)
            )


def _check_names(database: str, moves: Sequence[Move], others: Mapping[str, str], steps: Sequence[Step]) -> None:
    names = dict(others)
    for move in moves:
        if move.former in names:
            raise Failure(f"{database}.{move.former} is named twice in a swap", "name each collection once", subject=f"{database}.{move.former}")
        names[move.former] = move.info.type
    for step in steps:
        made = step.name if step.action == CREATE_VIEW else step.other if step.action in (RENAME, COPY) else ""
        if made in names:
            raise Failure(f"{database}.{made} is in the way of a collection that is to get this name", "choose another name", subject=f"{database}.{made}")
        names = step.result(names)


def _odd(step: Step, reason: str) -> Failure:
    what = f"{step.action} {step.name}" + (f" to {step.other}" if step.other else "")
    problem = f"The step `{what}` of a swap fits neither before nor after: {reason}"
    return Failure(problem, "see who else changes this database", subject=step.name, answer=reason)
