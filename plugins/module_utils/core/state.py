# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file: what is true of the stack on this host, without a secret.

Shape (schema 1)::

    {"schema": 1, "instance_id": UUID, "services": [KIND, …],
     "urls": {"frontend": URL, "backend": URL},
     "compose": {"project": NAME, "directory": PATH, "network": NAME},
     "images": {KIND: {"name": NAME, "tag": TAG, "digest": "sha256:…" or "", "id": "sha256:…"}},
     "ca_file": PATH or "", "python": PATH, "places": {"storage": PATH, "database": PATH},
     "adopted": {"at": TIME, "compose_files": [PATH, …], "containers": {KIND: NAME}, "services": {KIND: COMPOSE_NAME},
                 "environment": {KIND: [VARIABLE, …]}, "mounts": {KIND: ["SOURCE:TARGET[:ro]", …]}},
     "proxy": {"project": NAME, "directory": PATH}, "storage_shared": BOOL, "stopped": [KIND, …],
     "fingerprints": {NAME: {"salt": HEX, "scrypt": HEX}}}

``storage_shared`` says that other hosts have the same storage folder. ``stopped`` are services that were stopped on purpose; they have no
containers, so that no reboot starts them. ``fingerprints`` are of secrets that must stay the same while there is data.

Every key but ``schema`` and ``instance_id`` may be missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Optional

from .errors import Failure
from .files import json_bytes, read_json, write_atomic
from .plan import Step

DEFAULT_PATH = "/etc/toucan/stack.json"
SCHEMA = 1
STOPPED_ON_PURPOSE = "stopped on purpose"  # how a plan says what a service that is brought back was
_MAPPINGS = ("urls", "compose", "images", "places", "adopted", "proxy", "fingerprints")
KEYS = ("services", "urls", "compose", "images", "ca_file", "python", "places", "proxy", "storage_shared", "stopped", "fingerprints")


def read_state(path: str = DEFAULT_PATH) -> Optional[dict[str, Any]]:
    """The state in ``path``, or ``None`` on a host that has none.

    :raises Failure: when the file is damaged or of a newer schema.
    """
    state = read_json(path)
    if state is None:
        return None
    if not isinstance(state.get("schema"), int) or "instance_id" not in state:
        raise Failure(
            f"The state file {path} has no schema or instance id", "restore it from a backup, or move it away and adopt the stack again", subject=path
        )
    if state["schema"] > SCHEMA:
        raise Failure(
            f"The state file {path} has schema {state['schema']}, newer than {SCHEMA} which this collection knows",
            "run the newer collection that wrote it",
            subject=path,
        )
    damaged = _damaged_mappings(state)
    if damaged:
        raise Failure(f"The state file {path} holds no mapping at {', '.join(damaged)}", "restore it from a backup, or correct it by hand", subject=path)
    return state


def _damaged_mappings(state: Mapping[str, Any]) -> list[str]:
    """Keys whose value must be a mapping and is none, after a file was edited by hand."""
    damaged = [key for key in _MAPPINGS if not isinstance(state.get(key, {}), dict)]
    images = state.get("images", {})
    return damaged + [f"images.{kind}" for kind in (images if isinstance(images, dict) else {}) if not isinstance(images[kind], dict)]


def merge_state(former: Optional[Mapping[str, Any]], values: Mapping[str, Any], instance_id: str = "") -> dict[str, Any]:
    """The state after ``values`` are recorded; mappings are replaced key by key, lists whole.

    Images of services that run here no longer are forgotten.

    :param instance_id: the id to take on a host without state; a new one is made where it is empty.
    :raises Failure: when the host already belongs to another instance.
    """
    known = dict(former or {})
    if instance_id and known.get("instance_id", instance_id) != instance_id:
        raise Failure(
            f"This host belongs to instance {known['instance_id']}, not to {instance_id}",
            "correct the inventory, or move the state file away if the host was meant to change instances",
            subject=instance_id,
        )
    known.setdefault("instance_id", instance_id or str(uuid.uuid4()))
    known["schema"] = SCHEMA
    for key, value in values.items():
        if isinstance(value, Mapping):
            known[key] = {**known.get(key, {}), **value}
        else:
            known[key] = list(value) if isinstance(value, (list, tuple)) else value
    if "services" in values and "images" in known:
        here = {*values["services"], *values.get("images", {})}
        known["images"] = {kind: image for kind, image in known["images"].items() if kind in here}
    return known


class StateEngine:
    """Engine of module ``toucan_state``; with neither values nor an instance id it only reads."""

    def __init__(self, path: str, values: Mapping[str, Any], instance_id: str = "") -> None:
        self.path = path
        self.values = values
        self.instance_id = instance_id
        self.desired: dict[str, Any] = {}

    def observe(self) -> Optional[dict[str, Any]]:
        return read_state(self.path)

    def plan(self, observed: Optional[dict[str, Any]]) -> list[Step]:
        if not self.values and not self.instance_id:
            self.desired = observed or {}
            return []
        self.desired = merge_state(observed, self.values, self.instance_id)
        if self.desired == observed:
            return []
        return [Step(f"state:{self.path}", "update" if observed else "create", self.path, observed, self.desired)]

    def apply(self, step: Step) -> None:
        write_atomic(self.path, json_bytes(step.after), mode=0o644)

    def report(self, observed: Optional[dict[str, Any]], applied: bool) -> dict[str, Any]:
        return {"state": self.desired}
