# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on real folders: what it learns from state and compose files, and what each step does; Docker is a list of containers."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.compose import to_yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container, Neighbour
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.service import engine as module
from ansible_collections.toucan.selfhosted.plugins.module_utils.service import removal
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.engine import ServiceEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.request import ABSENT, RESTARTED, STARTED, STOPPED, ServiceRequest

INSTANCE = "5f0c6f1e-6a53-4a39-8f0b-6b8f5a1f1c9e"
KINDS = {"frontend": "frontend", "backend": "backend", "mongodb": "mongo", "redis": "redis"}


@dataclass
class Docker:
    """Containers by project and compose name, and what was done to them, in order."""

    running: dict[str, dict[str, Container]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    others: list[Neighbour] = field(default_factory=list)
    network: str = "toucan"
    volumes: set[str] = field(default_factory=set)

    def put(self, project: str, service: str, state: str = "running") -> None:
        container = Container(f"id-{service}", service, f"{service}:v1", "sha256:0", state, 0, 0, "2026-11-23T12:00:00Z", "hash")
        self.running.setdefault(project, {})[service] = container

    def containers(self, project: str) -> list[Container]:
        return list(self.running.get(project, {}).values())

    def image_id(self, reference: str) -> str:
        return f"id of {reference}"

    def neighbours(self, own: Collection[str]) -> list[Neighbour]:
        mine = [Neighbour(item.id, (), ("toucan",)) for services in self.running.values() for item in services.values() if item.id not in own]
        return [*self.others, *mine]

    def network_exists(self, name: str) -> bool:
        return name == self.network

    def network_is_ours(self, name: str) -> bool:
        return True

    def volume_folder(self, name: str) -> str:
        return f"/volumes/{name}" if name in self.volumes else ""

    def remove_network(self, name: str) -> None:
        self.done.append(f"remove network {name}")
        self.network = ""

    def remove_volume(self, name: str) -> None:
        self.volumes.remove(name)

    def _change(self, verb: str, container: str, state: str) -> None:
        self.done.append(f"{verb} {container}")
        for services in self.running.values():
            for name, item in list(services.items()):
                if item.id == container:
                    services[name] = replace(item, state=state)
                    if not state:
                        del services[name]

    def stop(self, container: str) -> None:
        self._change("stop", container, "exited")

    def unpause(self, container: str) -> None:
        self._change("unpause", container, "running")

    def remove(self, container: str) -> None:
        self._change("remove", container, "")


@dataclass
class Stack:
    """A host whose folders stand below `root`."""

    root: Path
    docker: Docker

    def path(self, relative: str) -> str:
        return str(self.root / relative)

    def write(self, relative: str, content: str) -> None:
        (self.root / relative).parent.mkdir(parents=True, exist_ok=True)
        (self.root / relative).write_text(content, encoding="utf-8")

    def state(self) -> dict[str, Any]:
        return json.loads((self.root / "etc/stack.json").read_text(encoding="utf-8"))

    def run(self, state: str, *services: str, check: bool = False, **changes: Any) -> dict[str, Any]:
        request = ServiceRequest(state, tuple(services), self.path("etc/stack.json"), self.path("etc/secrets.json"), 10, "status")
        return execute(ServiceEngine(replace(request, **changes), lambda: self.docker), check)  # type: ignore[arg-type, return-value]

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


@pytest.fixture(name="stack")
def _stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    docker = Docker()
    stack = Stack(tmp_path, docker)
    services = {name: {"image": f"{name}:v1"} for name in KINDS.values()}
    services["backend"] |= {"depends_on": ["mongo", "redis"], "volumes": [f"{tmp_path}/storage:/app"]}  # type: ignore[dict-item]
    services["redis"] |= {"volumes": [f"{tmp_path}/stack/redis:/conf:ro"]}  # type: ignore[dict-item]
    networks = {"default": {"name": "toucan", "external": True}}
    stack.write("stack/compose.yaml", to_yaml({"services": services, "networks": networks}).decode())
    stack.write("stack/redis/redis.conf", "x")
    stack.write("proxy/compose.yaml", to_yaml({"services": {"caddy": {"image": "caddy:v1"}}, "networks": networks}).decode())
    for name in ("proxy/config/Caddyfile", "proxy/loaded.json", "proxy/data/caddy/key", "storage/app/file", "mongodb/file", "etc/secrets.json"):
        stack.write(name, "{}")
    recorded = {
        "schema": 1,
        "instance_id": INSTANCE,
        "services": [*KINDS, "proxy"],
        "compose": {"project": "toucan", "directory": stack.path("stack"), "network": "toucan"},
        "proxy": {"project": "toucan-proxy", "directory": stack.path("proxy")},
        "places": {"storage": stack.path("storage"), "database": stack.path("mongodb")},
        "images": {"frontend": {"name": "frontend", "tag": "v1", "digest": "", "id": "sha256:0"}},
    }
    stack.write("etc/stack.json", json.dumps(recorded))
    for name in KINDS.values():
        docker.put("toucan", name)
    docker.put("toucan-proxy", "caddy")

    def start(project: Any, service: str) -> None:
        docker.done.append(f"start {service}")
        docker.put(project.name, service)

    def wait(docker: Docker, project: str, network: str, watched: Any, timeout: float) -> None:
        docker.done.append(f"wait {network}: {' '.join(item.title for item in watched)}")

    monkeypatch.setattr(module.ComposeProject, "start", start)
    monkeypatch.setattr(module, "wait_until_healthy", wait)
    # A developer's own folders must not decide here: all that these tests have stands below one that is for tests.
    monkeypatch.setattr(removal, "protected_folders", lambda own: frozenset(own) & {stack.path("etc")})
    return stack


def test_a_stop_removes_containers_in_order_and_records_it(stack: Stack) -> None:
    result = stack.run(STOPPED)
    assert stack.docker.done == ["remove id-caddy", "remove id-frontend", "remove id-backend", "remove id-redis", "remove id-mongo"]
    assert stack.state()["stopped"] == result["stopped"] == ["backend", "frontend", "mongodb", "proxy", "redis"]
    assert stack.run(STOPPED)["changed"] is False


def test_check_mode_touches_nothing(stack: Stack) -> None:
    before = stack.state()
    assert stack.run(STOPPED, check=True)["stopped"] == ["backend", "frontend", "mongodb", "proxy", "redis"]
    assert stack.run(ABSENT, check=True, remove_data=True, confirm=INSTANCE)["changed"] is True
    assert (stack.docker.done, stack.state()) == ([], before)


def test_a_start_waits_for_the_databases_before_the_backend_and_for_all_in_the_end(stack: Stack) -> None:
    stack.run(STOPPED)
    stack.docker.done.clear()
    assert stack.run(STARTED)["stopped"] == []
    assert stack.docker.done == [
        "start mongo",
        "start redis",
        "wait toucan: MongoDB Redis",
        "start backend",
        "start frontend",
        "start caddy",
        "wait toucan: Frontend Backend MongoDB Redis",
        "wait toucan: Proxy",
    ]
    assert stack.state()["stopped"] == []


def test_a_paused_container_runs_on_before_it_is_stopped(stack: Stack) -> None:
    stack.docker.put("toucan", "redis", "paused")
    stack.run(RESTARTED, "redis")
    assert stack.docker.done == ["unpause id-redis", "stop id-redis", "start redis", "wait toucan: Redis"]


def test_a_removal_leaves_data_secrets_and_state(stack: Stack) -> None:
    stack.write("stack/notes.txt", "mine")
    result = stack.run(ABSENT)
    assert stack.files() == ["etc/secrets.json", "etc/stack.json", "mongodb/file", "proxy/data/caddy/key", "stack/notes.txt", "storage/app/file"]
    assert stack.docker.done[-1] == "remove network toucan"
    assert {item["where"]: item["what"] for item in result["kept"]} == {
        stack.path("storage"): "files of the backend",
        stack.path("mongodb"): "database",
        stack.path("proxy/data"): "certificates and keys of the proxy",
        stack.path("etc/secrets.json"): "secrets",
        stack.path("etc/stack.json"): "state with the instance id",
        stack.path("stack/notes.txt"): "files that others wrote",
        "frontend:v1": "image",
        "backend:v1": "image",
        "mongo:v1": "image",
        "redis:v1": "image",
        "caddy:v1": "image",
    }
    again = stack.run(ABSENT)
    assert again["changed"] is False
    with pytest.raises(Failure, match="No compose.yaml on this host says how to run mongodb"):
        stack.run(STARTED)


def test_confirmed_data_goes_with_secrets_and_state(stack: Stack) -> None:
    stack.run(ABSENT, remove_data=True, confirm=INSTANCE)
    assert stack.files() == []
    assert sorted(path.name for path in stack.root.iterdir()) == ["etc"]
    assert stack.run(ABSENT, remove_data=True, confirm=INSTANCE)["changed"] is False


def test_a_proxy_in_the_usual_place_that_the_state_does_not_know_is_another_stacks(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROXY_DIRECTORY", stack.path("proxy"))
    recorded = {key: value for key, value in stack.state().items() if key != "proxy"}
    stack.write("etc/stack.json", json.dumps({**recorded, "services": list(KINDS)}))
    before = [name for name in stack.files() if name.startswith("proxy/")]
    stack.run(ABSENT, remove_data=True, confirm=INSTANCE)
    assert [name for name in stack.files() if name.startswith("proxy/")] == before
    assert list(stack.docker.running["toucan-proxy"]) == ["caddy"]


def test_data_in_a_volume_goes_as_one(stack: Stack) -> None:
    stack.docker.volumes.add("toucan_data")
    stack.write("etc/stack.json", json.dumps({**stack.state(), "places": {"database": "toucan_data"}}))
    assert {"what": "database", "where": "toucan_data"} in stack.run(ABSENT, check=True)["kept"]
    stack.run(ABSENT, remove_data=True, confirm=INSTANCE)
    assert stack.docker.volumes == set()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"storage_shared": True}, "files of the backend in .*/storage cannot be removed: other hosts may use the same folder"),
        ({"services": ["frontend", "backend"], "places": {"storage": "ROOT", "database": "ROOT/mongodb"}}, "removed: .*/etc is no folder of this stack"),
        ({"services": ["backend"], "places": {"storage": "ROOT/storage", "backups": "ROOT/storage/app"}}, "storage/app, which stays, stands in it"),
    ],
)
def test_data_in_a_place_that_is_not_its_own_stays(stack: Stack, changes: dict[str, Any], words: str) -> None:
    stack.write("etc/stack.json", json.dumps({**stack.state(), **changes}).replace("ROOT", str(stack.root)))
    before = stack.files()
    with pytest.raises(Failure, match=words):
        stack.run(ABSENT, remove_data=True, confirm=INSTANCE)
    assert (stack.files(), stack.docker.done) == (before, [])


def test_data_that_another_container_uses_stays(stack: Stack) -> None:
    stack.docker.others.append(Neighbour("grafana", (stack.path("mongodb"),), ("toucan",)))
    with pytest.raises(Failure, match="database in .*/mongodb cannot be removed: container grafana, which is not of this stack, uses it"):
        stack.run(ABSENT, remove_data=True, confirm=INSTANCE)
    result = stack.run(ABSENT)
    assert {"what": "network, because grafana use it", "where": "toucan"} in result["kept"]
    assert stack.docker.network == "toucan"


def test_a_host_without_state_needs_no_engine(tmp_path: Path) -> None:
    request = ServiceRequest(ABSENT, (), str(tmp_path / "none.json"), str(tmp_path / "secrets.json"), 10, "status")

    def connect() -> Any:
        raise AssertionError("nothing is to be looked for")

    assert execute(ServiceEngine(request, connect), check_mode=False)["changed"] is False
