# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: what a run would do, as data.

A planner is a pure function from (desired, observed) to a list of steps. Check mode returns the list and stops; a run
executes the same list, so what check mode says is true by construction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Step:
    """One change.

    ``id`` is unique within a plan and stable between runs (``service.recreate:backend``); ``action`` is a verb
    (``create``, ``update``, ``remove``, ``pull``, ``start``…); ``object`` is what it acts on, in words a sysadmin knows.
    ``before`` and ``after`` are JSON values free of secrets; ``None`` means absent.
    """

    id: str
    action: str
    object: str
    before: Any = None
    after: Any = None


class Engine(Protocol):
    """What a changing module hands over to: observe, then plan, then apply step by step, then verify."""

    def observe(self) -> Any:
        """Look, change nothing. :raises Failure: when looking is impossible."""

    def plan(self, observed: Any) -> list[Step]:
        """Pure. :raises Failure: when the desired state is refused."""

    def apply(self, step: Step) -> None:
        """Carry out one step of the plan. :raises Failure: when it fails."""

    def report(self, observed: Any, applied: bool) -> dict[str, Any]:
        """Values to return beside the plan; with ``applied`` true it first proves that the desired state is reached."""


def outcome(steps: Iterable[Step]) -> dict[str, Any]:
    """``changed``, ``plan`` and ``diff`` of a module's result."""
    listed = list(steps)
    return {
        "changed": bool(listed),
        "plan": [asdict(step) for step in listed],
        "diff": {
            "before": {step.object: step.before for step in listed},
            "after": {step.object: step.after for step in listed},
        },
    }


def execute(engine: Engine, check_mode: bool) -> dict[str, Any]:
    """Run an engine once and return the module's result."""
    observed = engine.observe()
    steps = engine.plan(observed)
    if not check_mode:
        for step in steps:
            engine.apply(step)
    return {**outcome(steps), **engine.report(observed, applied=not check_mode)}
