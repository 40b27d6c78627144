# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation that is killed at any point is finished by the next run, on one host and on two.

The stages run as role `toucan_stack` calls them, on secrets files in a folder, with a MongoDB that is one password.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Engine, execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.connection import LoginRefused
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation import engine, services
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.engine import Completion, Preparation, Promotion, kept_facts
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.record import Kept
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.request import RotationRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.services import MongodbChange, RunningStack, proofs

FORMER = {name: f"former-{name}" for name in ("admin_password", "encryption_secret", "jwt_secret", "mongodb_password", "redis_password")}
NAMES = ("mongodb_password", "admin_password", "jwt_secret")
ONE_HOST = {"app": ("frontend", "backend", "mongodb", "redis")}
TWO_HOSTS = {"app": ("frontend", "backend", "redis"), "data": ("mongodb",)}


class Killed(BaseException):
    """The run dies here; nothing of the collection catches it."""


@dataclass
class World:
    """A stack: hosts with secrets files, what its MongoDB takes, and what its backend was started with.

    :param dies_at: count of the moment at which a run is killed; the moments are just before and just after each change. 0 is never.
    """

    folder: Path
    topology: Mapping[str, tuple[str, ...]]
    mongodb: str = FORMER["mongodb_password"]
    backend: dict[str, str] = field(default_factory=lambda: dict(FORMER))
    dies_at: int = 0
    moment: int = 0
    logins: list[tuple[str, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for host, kinds in self.topology.items():
            known = FORMER if "backend" in kinds else {"mongodb_password": FORMER["mongodb_password"]}
            Path(self.path(host)).write_text(json.dumps(known), encoding="utf-8")

    def path(self, host: str) -> str:
        return str(self.folder / f"{host}.json")

    def held(self, host: str) -> dict[str, Any]:
        return json.loads(Path(self.path(host)).read_text(encoding="utf-8"))

    def tick(self) -> None:
        self.moment += 1
        if self.moment == self.dies_at:
            raise Killed

    def rotate(self, values: Mapping[str, str] | None = None) -> None:
        """What the role does, task by task, each on all hosts before the next."""
        self.moment = 0
        requests = {host: RotationRequest(NAMES, values or {}, kinds) for host, kinds in self.topology.items()}
        maker, others = "app", [host for host in self.topology if host != "app"]
        self._run(Preparation(self.path(maker), requests[maker], self._others(maker, requests), ""))
        for host in others:
            self._run(Preparation(self.path(host), requests[host], self._others(host, requests), maker))
        for host, request in requests.items():
            if "mongodb" in request.services:
                self._run(MongodbChange(self.path(host), request, Running(), foreseen=False))
        for host, request in requests.items():
            self._run(Promotion(self.path(host), request, foreseen=False))
        self.tick()
        self.backend = {name: value for name, value in self.held("app").items() if name in FORMER}
        self.tick()
        for host, request in requests.items():
            logs_in = host == maker
            self._run(Completion(self.path(host), request, proofs(Running(), self.path(host), request, logs_in), {}))

    def _others(self, host: str, requests: Mapping[str, RotationRequest]) -> dict[str, dict[str, Kept]]:
        known = {name: kept_facts(self.path(name), request.here) for name, request in requests.items() if name != host}
        return {name: {key: Kept(**values) for key, values in facts.items() if key in requests[host].here} for name, facts in known.items()}

    def _run(self, stage: Engine) -> None:
        execute(stage, check_mode=False)


MakeWorld = Callable[..., World]


class Running(RunningStack):
    """Services at an address that needs no Docker."""

    def __init__(self) -> None:
        pass

    def address(self, kind: str) -> str:
        return "192.0.2.1"

    def backend_port(self) -> int:
        return 80


@pytest.fixture(name="make_world")
def _make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeWorld:
    write = engine.write_kept

    def make(topology: Mapping[str, tuple[str, ...]], dies_at: int = 0) -> World:
        folder = tmp_path / f"world-{dies_at}"
        folder.mkdir()
        world = World(folder, topology, dies_at=dies_at)

        def log_in(address: str, port: int, username: str, password: str) -> None:
            if password != world.mongodb:
                raise LoginRefused("error code 18")

        def change_password(address: str, port: int, username: str, former: str, password: str) -> None:
            assert (username, former) == ("app", world.mongodb)
            world.tick()
            world.mongodb = password
            world.tick()

        def write_kept(path: str, changed: Mapping[str, Kept]) -> None:
            world.tick()
            write(path, changed)
            world.tick()

        def admin_may_log_in(address: str, port: int, password: str) -> bool:
            taken = password == world.backend["admin_password"]
            world.logins.append((password, taken))
            return taken

        monkeypatch.setattr(services, "log_in", log_in)
        monkeypatch.setattr(services, "change_password", change_password)
        monkeypatch.setattr(engine, "write_kept", write_kept)
        monkeypatch.setattr(services, "admin_may_log_in", admin_may_log_in)
        monkeypatch.setattr(services, "redis_takes", lambda address, password: pytest.fail("Redis' password was not rotated"))
        return world

    return make


def assert_finished(world: World) -> None:
    """All hosts, MongoDB and the backend have the same new values, and nothing of the rotation is left."""
    app = world.held("app")
    assert app.keys() == FORMER.keys()
    assert {name for name in FORMER if app[name] != FORMER[name]} == set(NAMES)
    assert world.backend == app
    assert world.mongodb == app["mongodb_password"]
    for host, kinds in world.topology.items():
        if "backend" not in kinds:
            assert world.held(host) == {"mongodb_password": world.mongodb}


@pytest.mark.parametrize("topology", [ONE_HOST, TWO_HOSTS], ids=["one host", "two hosts"])
@pytest.mark.parametrize("values", [{}, {name: f"given-{name}" for name in NAMES}], ids=["made", "given"])
def test_a_rotation_leaves_the_new_values_alone(make_world: MakeWorld, topology: Mapping[str, tuple[str, ...]], values: Mapping[str, str]) -> None:
    world = make_world(topology)
    world.rotate(values)
    assert_finished(world)
    assert not values or {name: world.held("app")[name] for name in NAMES} == values
    assert [taken for dummy, taken in world.logins] == [True, False]


@pytest.mark.parametrize("topology", [ONE_HOST, TWO_HOSTS], ids=["one host", "two hosts"])
@pytest.mark.parametrize("values", [{}, {name: f"given-{name}" for name in NAMES}], ids=["made", "given"])
def test_killed_at_any_moment_the_next_run_finishes_it(make_world: MakeWorld, topology: Mapping[str, tuple[str, ...]], values: Mapping[str, str]) -> None:
    count = 0
    while True:
        world = make_world(topology, dies_at=count + 1)
        try:
            world.rotate(values)
        except Killed:
            count += 1
        else:
            break
        kept = [world.held(host) for host in topology]
        known = {value for secrets in kept for value in (secrets["mongodb_password"], secrets.get("rotation", {}).get("new", {}).get("mongodb_password"))}
        assert world.mongodb in known, "the password of MongoDB is lost"
        world.dies_at = 0
        world.rotate(values)
        assert_finished(world)
    # Prepared, changed, promoted and forgotten: each at least two moments a secret.
    assert count >= 2 * (3 * len(NAMES) + 1)
