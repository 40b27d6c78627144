# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored app takes the place of the live one, and makes way again, from wherever a crash left it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import describe
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.swap import carry_out, take_back
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.swap_plan import (
    COPY,
    CREATE_VIEW,
    DROP_COPIED,
    DROP_VIEW,
    LONGEST_NAME_BEFORE_4_4,
    RENAME,
    Move,
    Step,
    Swap,
    plan_swap,
)

from fakes.mongodb import FakeMongo, refused

SERIES = {"timeField": "t"}


class Crash(Exception):
    """The program ends here."""


@pytest.fixture(name="server")
def _server() -> FakeMongo:
    """Live collections of an app, restored ones beside them, and one of somebody else."""
    server = FakeMongo()
    for prefix, mark in (("", "live"), ("t ", "restored")):
        server.add("app", prefix + "sales", [{"_id": 1, "mark": mark}])
        server.add("app", prefix + "weather", [{"_id": 1, "mark": mark}], timeseries=SERIES)
        server.add("app", prefix + "seen", [], viewOn=prefix + "sales", pipeline=[{"$lookup": {"from": prefix + "weather", "as": mark}}])
    server.add("app", "only live", [{"_id": 1, "mark": "live"}])
    server.add("app", "t only restored", [{"_id": 1, "mark": "restored"}])
    server.add("app", "else", [{"_id": 1, "mark": "else"}])
    return server


def planned(server: FakeMongo, **changes: Any) -> Swap:
    moves: dict[str, list[Move]] = {"p ": [], "": []}
    for info in describe(server, "app"):
        name = info.namespace.collection
        if name.startswith("t "):
            moves[""].append(Move(info, name[2:]))
        elif name != "else":
            moves["p "].append(Move(info, "p " + name))
    return plan_swap("app", **{"live": moves["p "], "restored": moves[""], "others": {"else": "collection"}, **changes})


def marks(server: FakeMongo) -> dict[str, Any]:
    """What stands under each name: the mark of its document, or what a view reads."""
    found = {}
    for (dummy, name), stored in server.collections.items():
        if stored.kind == "view":
            found[name] = (stored.options["viewOn"], stored.options["pipeline"][0]["$lookup"])
        elif stored.kind == "collection":
            found[name] = [document[-10:].split(b"\0")[-3][-4:] for document in stored.documents]
    return found


AFTER = {
    "sales": b"ored", "system.buckets.weather": b"ored", "only restored": b"ored", "else": b"else",
    "p sales": b"live", "system.buckets.p weather": b"live", "p only live": b"live",
}  # fmt: skip


def swapped(server: FakeMongo) -> bool:
    found = marks(server)
    views = {"seen": ("sales", {"from": "weather", "as": "restored"}), "p seen": ("p sales", {"from": "p weather", "as": "live"})}
    return {name: value for name, value in found.items() if name not in views} == {name: [mark] for name, mark in AFTER.items()} and {
        name: found[name] for name in views
    } == views


def run(server: FakeMongo, swap: Swap) -> None:
    carry_out(server, swap, 0, lambda done: None)


def test_views_are_dropped_first_and_made_last_and_time_series_copied(server: FakeMongo) -> None:
    assert [(step.action, step.name, step.other) for step in planned(server).steps] == [
        (DROP_VIEW, "seen", ""),
        (DROP_VIEW, "t seen", ""),
        (RENAME, "only live", "p only live"),
        (RENAME, "sales", "p sales"),
        (COPY, "weather", "p weather"),
        (DROP_COPIED, "weather", "p weather"),
        (RENAME, "t only restored", "only restored"),
        (RENAME, "t sales", "sales"),
        (COPY, "t weather", "weather"),
        (DROP_COPIED, "t weather", "weather"),
        (CREATE_VIEW, "p seen", ""),
        (CREATE_VIEW, "seen", ""),
    ]


def test_the_restored_takes_the_place_and_the_previous_is_kept(server: FakeMongo) -> None:
    before = marks(server)
    swap = planned(server)
    assert not swapped(server)
    run(server, swap)
    assert swapped(server)
    assert swap.copied_bytes > 0
    assert not any(command.get("dropTarget") for command in server.commands)
    take_back(server, swap, len(swap.steps), lambda done: None)
    assert marks(server) == before


class Journal:
    """Keeps what a journal file would hold, and ends the program at one of its places."""

    def __init__(self, server: FakeMongo, crash_at: int) -> None:
        self.done, self._left = 0, crash_at
        server.before = self._command

    def note(self, done: int) -> None:
        self._tick()
        self.done = done
        self._tick()

    def _command(self, command: dict[str, Any]) -> None:
        self._tick()

    def _tick(self) -> None:
        if self._left == 0:
            raise Crash
        self._left -= 1


def crashed(server: FakeMongo, work: Any, swap: Swap, done: int, crash_at: int) -> tuple[bool, int]:
    """Run until a crash; whether there was one, and what the journal then says."""
    journal = Journal(server, crash_at)
    journal.done = done
    try:
        work(server, swap, done, journal.note)
        return False, journal.done
    except Crash:
        return True, journal.done
    finally:
        server.before = lambda command: None


def test_a_crash_at_any_place_can_be_gone_on_from_and_taken_back(server: FakeMongo) -> None:
    swap, before = planned(server), marks(server)
    place = crashes = 0
    while True:
        one, other = copy.deepcopy(server.collections), copy.deepcopy(server.collections)
        server.collections = one
        ended, done = crashed(server, carry_out, swap, 0, place)
        if not ended:
            break
        crashes += 1
        halfway = copy.deepcopy(server.collections)
        carry_out(server, swap, done, lambda number: None)
        assert swapped(server), place
        server.collections = halfway
        # The way back may be cut off as well.
        again, done_back = crashed(server, take_back, swap, done, place % 7)
        if again:
            take_back(server, swap, done_back, lambda number: None)
        assert marks(server) == before, place
        server.collections = other
        place += 1
    assert crashes > 40


def test_a_database_that_somebody_else_changed_is_left_alone(server: FakeMongo) -> None:
    swap = planned(server)
    server.add("app", "p sales", [{"_id": 1}])
    with pytest.raises(Failure, match="The step `rename sales to p sales` of a swap fits neither before nor after: both are there; see who else"):
        run(server, swap)
    server.collections.pop(("app", "sales"))
    server.collections.pop(("app", "p sales"))
    with pytest.raises(Failure, match="neither is there"):
        carry_out(server, swap, 3, lambda done: None)


@pytest.mark.parametrize(
    ("step", "names", "reason"),
    [
        (Step(DROP_VIEW, "a"), {"a": "collection"}, "a is no view"),
        (Step(CREATE_VIEW, "a"), {"a": "collection"}, "a is no view"),
        (Step(DROP_COPIED, "a", "b"), {"a": "timeseries"}, "b, which has the same documents, is not there"),
        (Step(COPY, "a", "b"), {}, "neither is there"),
    ],
)
def test_a_state_that_no_step_leaves_is_told(step: Step, names: dict[str, str], reason: str) -> None:
    with pytest.raises(Failure, match=f"fits neither before nor after: {reason}"):
        step.done(names)


def test_a_step_and_its_inverse_take_each_other_back() -> None:
    for action in (RENAME, COPY, DROP_COPIED, DROP_VIEW, CREATE_VIEW):
        step = Step(action, "a", *(("",) if "view" in action else ("b",)), options={"viewOn": "c"} if "view" in action else {})
        assert step.inverse().inverse() == step
        assert step.inverse() != step


def test_names_with_dots_are_copied_where_the_server_renames_none(server: FakeMongo) -> None:
    server.add("app", "a.b", [{"_id": 1}], capped=True, size=4096)
    for name, to, dots_too, expected in [
        ("a.b", "x", True, [RENAME]), ("a.b", "x", False, [COPY, DROP_COPIED]), ("sales", "x.y", False, [COPY, DROP_COPIED]), ("sales", "x", False, [RENAME]),
        ("seen", "x.y", False, [DROP_VIEW, CREATE_VIEW]),
    ]:  # fmt: skip
        swap = planned(server, live=[Move(move(server, name, to).info, to, dots_too)], restored=[])
        assert [step.action for step in swap.steps] == expected
        assert (swap.copied_bytes > 0) == (COPY in expected)
    swap = planned(server, live=[Move(move(server, "a.b", "x").info, "x", False)], restored=[])
    run(server, swap)
    assert server.collections["app", "x"].options["capped"]
    assert ("app", "a.b") not in server.collections


def test_a_copy_that_differs_is_an_error_and_nothing_is_dropped(server: FakeMongo, monkeypatch: pytest.MonkeyPatch) -> None:
    swap = planned(server)
    copied = [step for step in swap.steps if step.action == COPY][0]
    monkeypatch.setattr("fakes.mongodb.split", lambda command: [])
    with pytest.raises(Failure, match="MongoDB took 0 of 1 documents of app.p weather"):
        run(server, Swap("app", [copied, Step(DROP_COPIED, copied.name, copied.other)]))
    assert server.collections["app", "system.buckets.weather"].documents


def test_a_rename_that_the_server_refuses_is_told(server: FakeMongo) -> None:
    def refuse(command: dict[str, Any]) -> None:
        if "renameCollection" in command:
            raise refused(13, "Unauthorized")

    swap = planned(server)
    server.before = refuse
    with pytest.raises(Failure, match=r"MongoDB refused to rename app.only live: error code 13 \(Unauthorized\)"):
        run(server, swap)


def move(server: FakeMongo, former: str, name: str) -> Move:
    return Move(next(info for info in describe(server, "app") if info.namespace.collection == former), name)


def test_a_name_that_is_too_long_is_refused_in_the_plan(server: FakeMongo) -> None:
    live = [move(server, "sales", "é" * 58)]
    assert planned(server, live=live, restored=[], longest=LONGEST_NAME_BEFORE_4_4).steps
    with pytest.raises(Failure, match="would have 122 bytes, and MongoDB takes 120 at most; restore the app under a shorter name"):
        planned(server, live=[move(server, "sales", "é" * 59)], restored=[], longest=LONGEST_NAME_BEFORE_4_4)
    with pytest.raises(Failure, match="would have 260 bytes, and MongoDB takes 255 at most"):
        planned(server, live=[move(server, "weather", "w" * 241)], restored=[])


def test_a_name_that_is_taken_is_refused_in_the_plan(server: FakeMongo) -> None:
    with pytest.raises(Failure, match="app.else is in the way of a collection that is to get this name; choose another name"):
        planned(server, live=[move(server, "sales", "else")], restored=[])
    with pytest.raises(Failure, match="app.else is in the way"):
        planned(server, live=[move(server, "seen", "else")], restored=[])
    with pytest.raises(Failure, match="app.else is in the way"):
        planned(server, live=[move(server, "weather", "else")], restored=[])
    with pytest.raises(Failure, match="app.sales is in the way"):
        planned(server, live=[], restored=[move(server, "t sales", "sales")], others={"sales": "collection"})
    with pytest.raises(Failure, match="app.sales is named twice in a swap"):
        planned(server, live=[move(server, "sales", "a"), move(server, "sales", "b")], restored=[])
