# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a stack that stands into the state and the secrets file; nothing else is written, and nothing is started or stopped."""

from __future__ import annotations

import http.client
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from ..api.shapes import evaluate
from ..containers.docker_engine import DockerEngine
from ..containers.health import http_text
from ..containers.inspection import Inspected
from ..contract import environment as env
from ..contract import routes
from ..contract.services import BACKEND, FRONTEND, FRONTEND_PORT, KINDS, MONGODB, MONGODB_DATA, MONGODB_OWNER
from ..core.errors import Failure
from ..core.files import json_bytes, read_bytes, read_json, write_atomic
from ..core.plan import Step
from ..core.secrets import ENCRYPTION, ENVIRONMENT, NAMES
from ..core.state import merge_state, read_state
from ..core.versions import parse_version
from .candidates import Candidate, Choice, find_stack, refuse_half
from .compose_files import missing_files
from .reading import Found, read_stack

_BYTES = 32


@dataclass(frozen=True)
class AdoptRequest:
    """What is asked for.

    :param services: kinds that this host runs, as the inventory has them.
    :param directory: folder of the collection's own compose project: a stack that was started from there is the collection's already.
    :param given: secrets of the inventory by name.
    :param ignore_files: whether to go by the containers alone.
    """

    services: tuple[str, ...]
    choice: Choice
    directory: str
    state_path: str
    secrets_path: str
    given: Mapping[str, str] = field(default_factory=dict)
    ignore_files: bool = False
    status_shape: str = routes.BACKEND_STATUS_SHAPE
    version_shape: str = routes.BACKEND_VERSION_SHAPE


@dataclass(frozen=True)
class Observed:
    """``found`` is ``None`` where the collection runs the stack already."""

    state: Optional[dict[str, Any]]
    secrets: Mapping[str, Any]
    found: Optional[Found]
    missing_files: tuple[str, ...] = ()


class AdoptEngine:
    """Engine of module ``toucan_adopt``.

    :param connect: makes the connection to Docker.
    :param now: the time of adoption, in UTC.
    """

    def __init__(self, request: AdoptRequest, connect: Callable[[], DockerEngine], now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> None:
        self.request = request
        self._connect = connect
        self._now = now
        self._secret_values: list[str] = []
        self.state: dict[str, Any] = {}
        self.secrets: dict[str, Any] = {}

    def secret_values(self) -> list[str]:
        """What must not be seen in anything that a container or Docker says."""
        return self._secret_values

    def observe(self) -> Observed:
        state = read_state(self.request.state_path)
        known = read_json(self.request.secrets_path) or {}
        containers = self._connect().inspect_containers()
        if state and "adopted" in state and any(self._is_ours(container) for container in containers):
            # Names that were given for the containers of before are none any more.
            return Observed(state, known, None)
        stack = find_stack(containers, self.request.choice, self._version)
        if any(self._is_ours(container) for container in stack.containers.values()):
            return Observed(state, known, None)
        refuse_half(stack, self.request.services)
        wanted = Candidate(stack.project, {kind: stack.containers[kind] for kind in KINDS if kind in stack.containers}, stack.versions)
        missing = () if self.request.ignore_files else tuple(missing_files(wanted))
        found = read_stack(wanted, _initial_login(wanted.containers.get(MONGODB)))
        self._secret_values = found.secret_values()
        _refuse_foreign_owner(wanted.containers.get(MONGODB))
        return Observed(state, known, found, missing)

    def _is_ours(self, container: Inspected) -> bool:
        """Whether the collection made this container of the stack."""
        return container.working_directory == self.request.directory

    def _version(self, kind: str, container: Inspected) -> str:
        """The version that a container answers as the product's service of this kind; empty where it does not."""
        if not container.running or not container.address:
            return ""
        path = routes.FRONTEND_VERSION if kind == FRONTEND else routes.BACKEND_ROOT
        port = FRONTEND_PORT if kind == FRONTEND else env.backend_port(container.environment)
        try:
            status, text = http_text(port, path)(container.address)
        except (OSError, http.client.HTTPException):
            return ""
        version = parse_version(text if kind == FRONTEND else self._told(text)) if status == 200 else None
        return str(version) if version else ""

    def _told(self, text: str) -> str:
        answer = _parsed(text)
        told = evaluate(self.request.version_shape, answer, "`toucan_stack_version_shape`")
        return told if isinstance(told, str) and isinstance(evaluate(self.request.status_shape, answer, "`toucan_stack_status_shape`"), str) else ""

    def plan(self, observed: Observed) -> list[Step]:
        if observed.found is None:
            self.state, self.secrets = dict(observed.state or {}), dict(observed.secrets)
            return []
        _refuse_other_stack(observed.state, observed.found, self.request.state_path)
        self.secrets = self._merge_secrets(observed)
        self.state = self._merge_state(observed)
        steps = []
        if self.secrets != observed.secrets:
            path, before = self.request.secrets_path, sorted(observed.secrets) if observed.secrets else None
            steps.append(
                Step(f"secrets:{path}", "update" if observed.secrets else "create", path, before, _sources(observed, self.request.given, self.secrets))
            )
        if self.state != observed.state:
            path = self.request.state_path
            steps.append(Step(f"state:{path}", "update" if observed.state else "create", path, observed.state, self.state))
        return steps

    def _merge_secrets(self, observed: Observed) -> dict[str, Any]:
        """What the containers say wins over what was made for them; only what nobody knows is made.

        :raises Failure: when the inventory gives another secret than the stack has, or the one that cannot be made is not known.
        """
        if observed.found is None:
            raise AssertionError("a stack is recorded only after it was found")
        found, given = observed.found.secrets, {name: value for name, value in self.request.given.items() if value}
        differing = sorted(name for name in given if found.get(name, given[name]) != given[name])
        if differing:
            raise Failure(
                f"{', '.join(differing)} in `toucan_secrets` differ from the ones that the stack runs with",
                "give those of the stack, or leave them out",
            )
        merged = {**observed.secrets, **given, **found, ENVIRONMENT: {kind: dict(values) for kind, values in observed.found.environment.items()}}
        if BACKEND in observed.found.stack.containers and not merged.get(ENCRYPTION):
            raise Failure(
                f"Container {observed.found.stack.containers[BACKEND].name} has no variable {env.ENCRYPTION_SECRET}, without which its data cannot be read",
                f"give its value in `toucan_secrets` as `{ENCRYPTION}`",
                subject=env.ENCRYPTION_SECRET,
            )
        for name in NAMES if BACKEND in observed.found.stack.containers else ():
            if not merged.get(name):
                merged[name] = secrets.token_urlsafe(_BYTES)
        return merged

    def _merge_state(self, observed: Observed) -> dict[str, Any]:
        if observed.found is None:
            raise AssertionError("a stack is recorded only after it was found")
        values = observed.found.state()
        former = (observed.state or {}).get("adopted", {})
        values["adopted"] = {**values["adopted"], "at": former.get("at") or self._now().strftime("%Y-%m-%dT%H:%M:%SZ")}
        merged = merge_state(observed.state, values)
        # What was adopted before and is gone must not stay.
        merged["adopted"] = values["adopted"]
        return merged

    def apply(self, step: Step) -> None:
        kind, dummy, path = step.id.partition(":")
        if kind == "secrets":
            write_atomic(path, json_bytes(self.secrets), mode=0o600)
        else:
            write_atomic(path, json_bytes(self.state), mode=0o644)

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        if observed.found is None:
            return {"taken_over": True, "state": self.state}
        found = observed.found
        return {
            "taken_over": False,
            "state": self.state,
            "project": found.stack.project,
            "versions": dict(found.stack.versions),
            "containers": {kind: container.name for kind, container in found.stack.containers.items()},
            "secrets": _sources(observed, self.request.given, self.secrets),
            "missing_files": list(observed.missing_files),
        }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _sources(observed: Observed, given: Mapping[str, str], merged: Mapping[str, Any]) -> dict[str, str]:
    """Where each secret comes from: ``found`` in a container, ``given``, ``kept`` from before, or ``made``."""
    if observed.found is None:
        raise AssertionError("a stack is recorded only after it was found")
    known = (("found", observed.found.secrets), ("given", given), ("kept", observed.secrets))
    return {name: next((source for source, values in known if values.get(name)), "made") for name in NAMES if name in merged}


def _initial_login(mongodb: Optional[Inspected]) -> tuple[str, str]:
    """User and password that MongoDB's container was first started with, both empty for none."""
    if mongodb is None:
        return "", ""
    user, password = (mongodb.environment.get(name, "") for name in (env.MONGODB_INIT_USER, env.MONGODB_INIT_PASSWORD))
    password_file = mongodb.environment.get(env.MONGODB_INIT_PASSWORD_FILE, "")
    mount = mongodb.mount_at(password_file) if password_file else None
    content = read_bytes(mount.folder) if mount else None
    return user, password or (content or b"").decode(errors="replace").strip()


def _refuse_foreign_owner(mongodb: Optional[Inspected]) -> None:
    """:raises Failure: when files of MongoDB belong to another user than the one that it will run as."""
    mount = mongodb.mount_at(MONGODB_DATA) if mongodb else None
    if mount is None or not os.path.isdir(mount.folder):
        return
    wanted = MONGODB_OWNER[0]
    with os.scandir(mount.folder) as entries:
        foreign = next((entry for entry in entries if entry.name != "lost+found" and entry.stat(follow_symlinks=False).st_uid != wanted), None)
    if foreign:
        raise Failure(
            f"The database's file {foreign.path} does not belong to user {wanted}, which MongoDB of this collection runs as",
            f"stop MongoDB, run `chown -R {wanted}:{MONGODB_OWNER[1]} {mount.folder}`, start it as that user, and adopt it then",
            subject=foreign.path,
        )


def _refuse_other_stack(state: Optional[Mapping[str, Any]], found: Found, path: str) -> None:
    """:raises Failure: when the collection already runs another stack on this host."""
    recorded = (state or {}).get("compose", {}).get("project", "")
    adopted = (state or {}).get("adopted")
    if recorded and (recorded != found.stack.project or adopted is None):
        raise Failure(
            f"This host already belongs to instance {(state or {}).get('instance_id')} with compose project {recorded} ({path}), "
            f"and {found.stack.title} is another stack",
            "adopt it on a host of its own, or move the state file away if that instance is gone",
            subject=recorded,
        )
