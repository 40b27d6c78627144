# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a rotation on one host, each an engine that finds out what is left to do: prepare, change, promote, finish."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ..contract import services as kinds
from ..core.errors import Failure
from ..core.plan import Step
from ..core.secrets import ROTATION
from .record import Kept, destined, read_kept, write_kept
from .request import USERS, RotationRequest

_BYTES = 32
MADE, GIVEN, BEGUN = "a new value that is made", "the value that was given", "the value of a rotation that was begun before"
# Shows that the former value works no longer and the one in use does.
Proof = Callable[[Kept], None]


class Stage:
    """What the stages have in common.

    :param path: the secrets file.
    """

    def __init__(self, path: str, request: RotationRequest) -> None:
        self.path = path
        self.request = request

    def secret_values(self) -> list[str]:
        """What no answer of a service may show."""
        return [value for kept in self.observe().values() for value in (kept.current, kept.new, kept.former) if value]

    def observe(self) -> dict[str, Kept]:
        """What this host keeps, of the secrets to rotate alone."""
        return read_kept(self.path, self.request.here)

    def report(self, observed: Any, applied: bool) -> dict[str, Any]:
        """Nothing beside the plan."""
        return {}

    def _kept(self, name: str) -> Kept:
        return read_kept(self.path, [name])[name]


class Preparation(Stage):
    """Write down the new values, before anything takes them.

    :param others: what the other hosts keep, by name by host.
    :param maker: the host that makes what is not given; empty where that is this one.
    """

    def __init__(self, path: str, request: RotationRequest, others: Mapping[str, Mapping[str, Kept]], maker: str) -> None:
        super().__init__(path, request)
        self.others = others
        self.maker = maker

    def plan(self, observed: Mapping[str, Kept]) -> list[Step]:
        """:raises Failure: when a value was given that another rotation, begun before, does not lead to."""
        steps = []
        for name, kept in observed.items():
            if not kept.current:
                raise Failure(f"{self.path} of this host lacks {name}", "run `site.yml` first, which puts it there", subject=name)
            target, source = self._target(name, kept)
            if not target or target not in (kept.current, kept.new):
                steps.append(Step(f"secret.prepare:{name}", "prepare", f"new {name}", None, source))
        return steps

    def apply(self, step: Step) -> None:
        name = step.id.partition(":")[2]
        kept = self._kept(name)
        target = self._target(name, kept)[0]
        if not target and self.maker:
            raise Failure(f"This run has not learned the new {name} from {self.maker}", "run on all hosts of the stack", subject=name)
        write_kept(self.path, {name: Kept(kept.current, target or secrets.token_urlsafe(_BYTES))})

    def _target(self, name: str, kept: Kept) -> tuple[str, str]:
        """The value to come, empty where it is yet to be made, and where it is from."""
        begun = destined(name, [kept, *(known[name] for known in self.others.values() if name in known)])
        given = self.request.values.get(name, "")
        if begun and given not in ("", begun):
            raise Failure(
                f"A rotation of {name} to another value than that of `toucan_rotate_values` was begun before and is not finished",
                "run once without giving one, which finishes it, and then again",
                subject=name,
            )
        if self.maker and begun and not given:
            return begun, f"the value of {self.maker}"
        return (begun, BEGUN) if begun else (given, GIVEN) if given else ("", f"the value of {self.maker}" if self.maker else MADE)


class Promotion(Stage):
    """Let the new values be those in use, and keep the former ones aside.

    :param foreseen: plan for new values that are not written down yet, as in check mode.
    """

    def __init__(self, path: str, request: RotationRequest, foreseen: bool) -> None:
        super().__init__(path, request)
        self.foreseen = foreseen

    def plan(self, observed: Mapping[str, Kept]) -> list[Step]:
        return [
            Step(f"secret.promote:{name}", "update", f"{name} in {self.path}", "in use", f"new value, with which {' and '.join(self._users(name))} start anew")
            for name, kept in observed.items()
            if self._is_due(name, kept)
        ]

    def apply(self, step: Step) -> None:
        name = step.id.partition(":")[2]
        write_kept(self.path, {name: self._kept(name).promoted()})

    def _users(self, name: str) -> list[str]:
        return [kinds.TITLES[kind] for kind in USERS[name] if kind in self.request.services]

    def _is_due(self, name: str, kept: Kept) -> bool:
        return bool(kept.new) or (self.foreseen and not kept.former and self.request.values.get(name) != kept.current)


class Completion(Stage):
    """See that the new values work and the former do not, and forget these.

    :param proofs: by name of the secret, for what can be seen from this host.
    :param inventory: secrets that the inventory gives.
    """

    def __init__(self, path: str, request: RotationRequest, proofs: Mapping[str, Proof], inventory: Mapping[str, str]) -> None:
        super().__init__(path, request)
        self.proofs = proofs
        self.inventory = inventory

    def plan(self, observed: Mapping[str, Kept]) -> list[Step]:
        return [
            Step(f"secret.forget:{name}", "remove", f"former {name}", f"in `{ROTATION}` of {self.path}", None) for name, kept in observed.items() if kept.former
        ]

    def apply(self, step: Step) -> None:
        name = step.id.partition(":")[2]
        kept = self._kept(name)
        if name in self.proofs:
            self.proofs[name](kept)
        write_kept(self.path, {name: kept.finished()})

    def report(self, observed: Mapping[str, Kept], applied: bool) -> dict[str, Any]:
        """Which secrets of the inventory are no longer those in use; in check mode those that would not be."""
        given = [name for name in self.request.here if self.inventory.get(name)]
        return {"outdated": [name for name in given if not applied or self.inventory[name] != observed[name].current]}


def kept_facts(path: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What this host keeps as plain mappings, for the other hosts."""
    return {name: vars(kept) for name, kept in read_kept(path, names).items()}
