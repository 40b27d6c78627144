# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, apply and verify what is started, stopped, restarted or removed on one host.

Everything is learned from the host itself, from its state file, compose files and engine, so that no inventory decides what a stack is.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

from ..containers.compose import ComposeProject, read_yaml
from ..containers.docker_engine import Container, Credentials, DockerEngine, Neighbour
from ..containers.health import Watched, wait_until_healthy
from ..contract import services as kinds
from ..contract.stack import COMPOSE_FILE, MONGODB_CA, MONGODB_PASSWORD, REDIS_CONFIG, SECRETS_FILE, StackOptions
from ..contract.workers import Workers
from ..core.files import json_bytes, read_json, write_atomic
from ..core.plan import Step
from ..core.secrets import MONGODB
from ..core.state import merge_state, read_state
from ..proxy import caddyfile as caddy
from ..proxy.reachability import tls_probe
from ..stack.places import PROJECT
from ..stack.request import StackRequest
from ..stack.verification import watch
from . import removal
from .planner import kept, needed_by, plan_services, selected, warnings
from .request import ABSENT, RESTARTED, STARTED, Configuration, Leavings, Network, Observed, Place, ServiceRequest

STACK_DIRECTORY = "/var/lib/toucan/stack"
PROXY_DIRECTORY = "/var/lib/toucan/proxy"
PROXY_PROJECT = "toucan-proxy"
_STACK_FILES = (COMPOSE_FILE, SECRETS_FILE, MONGODB_CA, MONGODB_PASSWORD, REDIS_CONFIG)
_PROXY_FILES = (COMPOSE_FILE, caddy.LOADED, caddy.CONFIG_FOLDER, caddy.CANDIDATE_FOLDER)
_NAMES = {**kinds.COMPOSE_NAMES, kinds.PROXY: caddy.SERVICE}
_PLACES = {"storage": (kinds.BACKEND, "files of the backend"), "database": (kinds.MONGODB, "database")}
_BACKUPS = "/var/backups/toucan"


class ServiceEngine:
    """Engine of module ``toucan_service``.

    :param connect: makes the connection to Docker; called only where there is a stack.
    """

    def __init__(self, request: ServiceRequest, connect: Callable[[], DockerEngine]) -> None:
        self.request = request
        self._connect = connect
        self._observed = Observed()
        self._steps: list[Step] = []
        self._woken: set[str] = set()

    @functools.cached_property
    def docker(self) -> DockerEngine:
        return self._connect()

    @functools.cached_property
    def _secrets(self) -> dict[str, Any]:
        return {MONGODB: "", **(read_json(self.request.secrets_path) or {})}

    def secret_values(self) -> list[str]:
        """What must not be seen in anything that a container or Docker says."""
        return [value for value in self._secrets.values() if isinstance(value, str)]

    # -- observe ----------------------------------------------------------------------------------------------------------

    def observe(self) -> Observed:
        recorded = read_state(self.request.state_path)
        if recorded is None:
            return self._observed
        self._observed = Observed(recorded=recorded)
        definitions = {kind: definition for project in (kinds.BACKEND, kinds.PROXY) for kind, definition in self._definitions(project)}
        containers = {kind: container for project in (kinds.BACKEND, kinds.PROXY) for kind, container in self._containers(project)}
        self._observed = Observed(
            recorded=recorded,
            definitions=definitions,
            containers=containers,
            missing=frozenset(kind for kind, definition in definitions.items() if not self.docker.image_id(definition["image"])),
            leavings=self._leavings(definitions, containers) if self.request.state == ABSENT else Leavings(),
        )
        return self._observed

    def _recorded(self, key: str) -> Mapping[str, Any]:
        return (self._observed.recorded or {}).get(key) or {}

    def _project(self, kind: str) -> ComposeProject:
        """The compose project of a service: the proxy has one of its own."""
        if kind == kinds.PROXY:
            known = self._recorded("proxy")
            return ComposeProject(known.get("project") or PROXY_PROJECT, known.get("directory") or PROXY_DIRECTORY)
        known = self._recorded("compose")
        return ComposeProject(known.get("project") or PROJECT, known.get("directory") or STACK_DIRECTORY)

    def _compose_file(self, kind: str) -> Mapping[str, Any]:
        return read_yaml(os.path.join(self._project(kind).folder, COMPOSE_FILE)) or {}

    def _is_ours(self, project: str) -> bool:
        """Whether the state file knows of a project: what stands in its usual place may be another stack's."""
        key = "proxy" if project == kinds.PROXY else "compose"
        return bool(self._recorded(key)) or any(kind in self._observed.known for kind in _members(project))

    def _definitions(self, project: str) -> list[tuple[str, Mapping[str, Any]]]:
        if not self._is_ours(project):
            return []
        written = self._compose_file(project).get("services") or {}
        return [(kind, written[_NAMES[kind]]) for kind in _members(project) if written.get(_NAMES[kind], {}).get("image")]

    def _containers(self, project: str) -> list[tuple[str, Container]]:
        if not self._is_ours(project):
            return []
        found = {container.service: container for container in self.docker.containers(self._project(project).name)}
        return [(kind, found[_NAMES[kind]]) for kind in _members(project) if _NAMES[kind] in found]

    def _leavings(self, definitions: Mapping[str, Mapping[str, Any]], containers: Mapping[str, Container]) -> Leavings:
        neighbours = tuple(self.docker.neighbours([container.id for container in containers.values()]))
        places = tuple(self._places(neighbours))
        folders = [place.where for place in places]
        stack, proxy = self._project(kinds.BACKEND).folder, self._project(kinds.PROXY).folder
        configurations = []
        if self._is_ours(kinds.BACKEND):
            mounting = [definitions[kind] for kind in kinds.KINDS if kind in definitions]
            configurations.append(removal.configuration(stack, _STACK_FILES, mounting, folders))
        if self._is_ours(kinds.PROXY):
            configurations.append(removal.configuration(proxy, _PROXY_FILES, [], folders))
        return Leavings(
            configurations=tuple(configurations),
            network=self._network(neighbours),
            places=places,
            secrets=os.path.exists(self.request.secrets_path),
            images=tuple(self._images(definitions)),
        )

    def _images(self, definitions: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
        """The images that stay on the host, as the state file or a compose file names them."""
        for kind in self._observed.known:
            known = self._recorded("images").get(kind) or {}
            name = f"{known['name']}:{known['tag']}" if known.get("tag") else definitions.get(kind, {}).get("image", "")
            if name and (self.docker.image_id(name) or self.docker.image_id(known.get("id") or name)):
                yield name

    def _network(self, neighbours: Iterable[Neighbour]) -> Optional[Network]:
        name = self._recorded("compose").get("network") or ""
        if not name or not self.docker.network_exists(name):
            return None
        others = tuple(neighbour.name for neighbour in neighbours if name in neighbour.networks)
        return Network(name, ours=self.docker.network_is_ours(name), others=others)

    def _places(self, neighbours: tuple[Neighbour, ...]) -> Iterable[Place]:
        """The data of this host's services; that of services it runs no longer is not touched."""
        known, recorded = self._observed.known, self._recorded("places")
        wanted = [(str(recorded[key]), what) for key, (kind, what) in _PLACES.items() if kind in known and recorded.get(key)]
        if kinds.PROXY in known:
            wanted.append((os.path.join(self._project(kinds.PROXY).folder, caddy.DATA_FOLDER), "certificates and keys of the proxy"))
        around = self._surroundings(neighbours, frozenset(str(place) for place in recorded.values()) - {where for where, dummy in wanted})
        for where, what in wanted:
            if where.startswith("/"):
                shared = where == recorded.get("storage") and bool((self._observed.recorded or {}).get("storage_shared"))
                populated = removal.populated(where)
                yield Place(where, what, populated, removal.folder_fault(where, replace(around, shared=shared)) if populated else "")
            else:
                yield Place(where, what, bool(self.docker.volume_folder(where)), removal.users_fault(where, neighbours))

    def _surroundings(self, neighbours: tuple[Neighbour, ...], others: frozenset[str]) -> removal.Surroundings:
        request, recorded = self.request, self._observed.recorded or {}
        environment = os.path.dirname(os.path.dirname(recorded.get("python") or ""))
        own = [os.path.dirname(request.state_path), os.path.dirname(request.secrets_path), recorded.get("ca_file") or "", environment, _BACKUPS]
        return removal.Surroundings(
            mounts=removal.mounts(),
            neighbours=neighbours,
            protected=removal.protected_folders(own),
            others=frozenset(place for place in others if place.startswith("/")),
        )

    # -- plan and apply -----------------------------------------------------------------------------------------------------

    def plan(self, observed: Observed) -> list[Step]:
        self._steps = plan_services(self.request, observed)
        return self._steps

    def apply(self, step: Step) -> None:
        action, dummy, name = step.id.partition(":")
        actions: dict[str, Callable[[str], None]] = {
            "service.stop": lambda kind: self.docker.stop(self._awake(kind)),
            "service.remove": lambda kind: self.docker.remove(self._awake(kind)),
            "service.create": self._start,
            "service.start": self._start,
            "network.remove": self.docker.remove_network,
            "config.remove": lambda folder: removal.remove_configuration(self._configuration(folder)),
            "data.remove": self._remove_data,
            "secrets.remove": removal.remove_file,
            "state": lambda path: self._write_state(step.after),
            "state.remove": self._remove_state,
        }
        actions[action](name)

    def _awake(self, kind: str) -> str:
        """The ID of a service's container, which is no longer paused: the processes of a paused one cannot end in order."""
        container = self._observed.containers[kind]
        if container.state == "paused" and kind not in self._woken:
            self.docker.unpause(container.id)
            self._woken.add(kind)
        return container.id

    def _start(self, kind: str) -> None:
        if kind in self._observed.containers:
            self._awake(kind)
        if kind == kinds.BACKEND:
            # A backend that finds no database exits and is started again and again: that would look like a failing backend.
            self._wait([item for item in (kinds.MONGODB, kinds.REDIS) if item in needed_by([kind], self._observed.definitions)])
        self._project(kind).start(_NAMES[kind])

    def _configuration(self, folder: str) -> Configuration:
        return next(item for item in self._observed.leavings.configurations if item.folder == folder)

    def _remove_data(self, where: str) -> None:
        if where.startswith("/"):
            removal.remove_folder(where)
        else:
            self.docker.remove_volume(where)

    def _write_state(self, values: Mapping[str, Any]) -> None:
        write_atomic(self.request.state_path, json_bytes(merge_state(self._observed.recorded, values)), mode=0o644)

    def _remove_state(self, path: str) -> None:
        removal.remove_file(path)
        for item in self._observed.leavings.configurations:
            removal.remove_if_empty(item.folder)

    # -- verify and report --------------------------------------------------------------------------------------------------

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        request = self.request
        about = list(selected(request, observed))
        if applied and request.state in (STARTED, RESTARTED):
            self._wait([*about, *needed_by(about, observed.definitions)])
        return {
            "services": about,
            "stopped": next((step.after["stopped"] for step in self._steps if step.id.startswith("state:")), sorted(observed.stopped)),
            "kept": kept(request, observed) if request.state == ABSENT else [],
            "instance_id": str((observed.recorded or {}).get("instance_id", "")),
            "warnings": warnings(request, observed),
        }

    def _wait(self, wanted: list[str]) -> None:
        """:raises Failure: when a service does not become healthy in time, with its last log lines."""
        stack = [watch(kind, self._as_stack(), self._secrets) for kind in wanted if kind != kinds.PROXY]
        if stack:
            self._wait_in(kinds.BACKEND, stack)
        if kinds.PROXY in wanted:
            url = self._recorded("urls").get(kinds.FRONTEND) or self._recorded("urls").get(kinds.BACKEND) or ""
            self._wait_in(kinds.PROXY, [Watched("Proxy", caddy.SERVICE, tls_probe(caddy.HTTPS_PORT, urlsplit(url).hostname or ""))])

    def _wait_in(self, kind: str, watched: list[Watched]) -> None:
        project = self._project(kind)
        written = self._compose_file(kind).get("networks") or {}
        network = (written.get("default") or {}).get("name") or self._recorded("compose").get("network") or ""
        wait_until_healthy(self.docker, project.name, network, watched, self.request.start_timeout)

    def _as_stack(self) -> StackRequest:
        """What the health of the services is judged by, taken from the files of this host."""
        project, written = self._project(kinds.BACKEND), self._compose_file(kinds.BACKEND)
        backend = (written.get("services") or {}).get(kinds.COMPOSE_NAMES[kinds.BACKEND]) or {}
        options = StackOptions(
            project=project.name,
            services=tuple(kind for kind in kinds.KINDS if kind in self._observed.definitions),
            frontend_url=self._recorded("urls").get(kinds.FRONTEND, ""),
            backend_url=self._recorded("urls").get(kinds.BACKEND, ""),
            directory=project.folder,
            storage="",
            database="",
            network="",
            backend_env=backend.get("environment") or {},
        )
        return StackRequest(
            options=options,
            images={},
            credentials=Credentials(),
            workers=Workers(0, ""),
            secrets_path=self.request.secrets_path,
            recorded={},
            recorded_places={},
            recorded_project=project.name,
            start_timeout=self.request.start_timeout,
            status_shape=self.request.status_shape,
        )


def _members(project: str) -> tuple[str, ...]:
    """The services of a project, which is named by one of them."""
    return (kinds.PROXY,) if project == kinds.PROXY else kinds.KINDS
