# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's secrets file says of a rotation, so that one that was killed at any point can be finished.

The file holds, beside the secrets in use::

    "rotation": {"new": {NAME: VALUE}, "former": {NAME: VALUE}}

``new`` is written before anything takes the value, and nothing of the stack reads it. Once the database takes it, it becomes the one in use,
and the one before it stays as ``former`` until everything was seen to work with the new one and not with the former.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..core.errors import Failure
from ..core.files import json_bytes, read_json, write_atomic
from ..core.secrets import ROTATION

_NEW, _FORMER = "new", "former"


@dataclass(frozen=True)
class Kept:
    """What a host keeps of one secret; empty where there is none."""

    current: str = ""
    new: str = ""
    former: str = ""

    @property
    def destined(self) -> str:
        """The value that a rotation leads to here; empty where none is under way."""
        return self.new or (self.current if self.former else "")

    def promoted(self) -> Kept:
        """With the new value in use."""
        return Kept(current=self.new, former=self.current)

    def finished(self) -> Kept:
        """With the former value forgotten."""
        return Kept(current=self.current)


def read_kept(path: str, names: Iterable[str]) -> dict[str, Kept]:
    """What the secrets file says, by name."""
    known = read_json(path) or {}
    rotation = known.get(ROTATION) or {}
    parts = {part: rotation.get(part) or {} for part in (_NEW, _FORMER)}
    return {name: Kept(known.get(name, ""), parts[_NEW].get(name, ""), parts[_FORMER].get(name, "")) for name in names}


def write_kept(path: str, changed: Mapping[str, Kept]) -> None:
    """Record it, in one rename; what is not among ``changed`` stays."""
    known = read_json(path) or {}
    rotation = known.pop(ROTATION, None) or {}
    parts = {part: dict(rotation.get(part) or {}) for part in (_NEW, _FORMER)}
    for name, kept in changed.items():
        known[name] = kept.current
        parts[_NEW][name], parts[_FORMER][name] = kept.new, kept.former
    left = {part: {name: value for name, value in values.items() if value} for part, values in parts.items()}
    if any(left.values()):
        known[ROTATION] = {part: values for part, values in left.items() if values}
    write_atomic(path, json_bytes(known), mode=0o600)


def destined(name: str, hosts: Iterable[Kept]) -> str:
    """The value that a rotation which was begun on any of the hosts leads to; empty where none was.

    :raises Failure: when two hosts are on their way to different ones.
    """
    values = {kept.destined for kept in hosts} - {""}
    if len(values) > 1:
        raise Failure(
            f"Two rotations of {name} were begun, and hosts of the stack keep different new values",
            f"remove it from `{ROTATION}` in the secrets file of the hosts on which the service does not take it, and run again",
            subject=name,
        )
    return values.pop() if values else ""
