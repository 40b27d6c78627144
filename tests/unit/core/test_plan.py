# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode shows the plan that a run executes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Step, execute, outcome


class Shelf:
    """An engine over a list of numbers: what is observed, planned and done is noted."""

    def __init__(self, held: list[int], wanted: list[int], broken: int = -1) -> None:
        self.held, self.wanted, self.broken = held, wanted, broken
        self.noted: list[str] = []

    def observe(self) -> list[int]:
        self.noted.append("observe")
        return list(self.held)

    def plan(self, observed: list[int]) -> list[Step]:
        self.noted.append("plan")
        return [Step(f"number.create:{number}", "create", f"number {number}", None, number) for number in self.wanted if number not in observed]

    def apply(self, step: Step) -> None:
        self.noted.append(step.id)
        if step.after == self.broken:
            raise Failure(f"Creating {step.object} failed", "try again")
        self.held.append(step.after)

    def report(self, observed: list[int], applied: bool) -> dict[str, Any]:
        self.noted.append(f"report applied={applied}")
        return {"held": list(self.held)}


def test_run_executes_what_check_mode_showed() -> None:
    checked, run = Shelf([1], [1, 2, 3]), Shelf([1], [1, 2, 3])
    shown, done = execute(checked, check_mode=True), execute(run, check_mode=False)
    assert (shown["plan"], shown["diff"], shown["changed"]) == (done["plan"], done["diff"], True)
    assert checked.noted == ["observe", "plan", "report applied=False"]
    assert run.noted == ["observe", "plan", "number.create:2", "number.create:3", "report applied=True"]
    assert (shown["held"], done["held"]) == ([1], [1, 2, 3])


def test_second_run_changes_nothing() -> None:
    shelf = Shelf([], [1])
    execute(shelf, check_mode=False)
    assert execute(shelf, check_mode=False) == {"changed": False, "plan": [], "diff": {"before": {}, "after": {}}, "held": [1]}


def test_failed_step_ends_the_run() -> None:
    shelf = Shelf([], [1, 2, 3], broken=2)
    with pytest.raises(Failure, match="Creating number 2 failed"):
        execute(shelf, check_mode=False)
    assert shelf.noted == ["observe", "plan", "number.create:1", "number.create:2"]


def test_outcome_holds_plan_and_diff() -> None:
    assert outcome([Step("a:1", "update", "file 1", "old", "new"), Step("b:2", "create", "file 2", None, "x")]) == {
        "changed": True,
        "plan": [
            {"id": "a:1", "action": "update", "object": "file 1", "before": "old", "after": "new"},
            {"id": "b:2", "action": "create", "object": "file 2", "before": None, "after": "x"},
        ],
        "diff": {"before": {"file 1": "old", "file 2": None}, "after": {"file 1": "new", "file 2": "x"}},
    }
