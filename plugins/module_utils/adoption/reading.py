# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stack that stands tells about itself: pure, from its containers to what the state and the secrets file will hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from ..containers.inspection import BUILT_IN_NETWORKS, Inspected
from ..contract import environment as env
from ..contract.services import BACKEND, BACKEND_STORAGE, FRONTEND, MONGODB, MONGODB_DATA, REDIS
from ..contract.wiring import database_login, uri_variable
from ..core.errors import Failure
from ..core.images import parse_image
from ..core.secrets import ADMIN, ENCRYPTION, JWT
from ..core.secrets import MONGODB as MONGODB_PASSWORD
from ..core.secrets import REDIS as REDIS_PASSWORD
from .candidates import Candidate

# Data of a service by kind: name of the place in the state file, and where it stands in the container.
_PLACES = {BACKEND: ("storage", BACKEND_STORAGE), MONGODB: ("database", MONGODB_DATA)}
_DERIVED = {BACKEND: env.DERIVED_BACKEND, FRONTEND: env.DERIVED_FRONTEND}


@dataclass(frozen=True)
class Found:
    """A stack as it was found.

    ``secrets`` are those known under the collection's names; ``environment`` holds by kind, for the product's services, every variable that the
    collection does not set itself, and may hold secrets, too. ``images`` have the shape of the state file. ``mounts`` are, by kind, further
    mounts of the product's services as ``SOURCE:TARGET[:ro]``.
    """

    stack: Candidate
    network: str
    urls: Mapping[str, str]
    places: Mapping[str, str]
    images: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, str]
    environment: Mapping[str, Mapping[str, str]]
    mounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def compose_files(self) -> tuple[str, ...]:
        """The compose files that made it, each once."""
        return tuple(dict.fromkeys(path for container in self.stack.containers.values() for path in container.compose_files))

    def secret_values(self) -> list[str]:
        """Every value that may be a secret."""
        return [*self.secrets.values(), *(value for variables in self.environment.values() for value in variables.values())]

    def state(self) -> dict[str, Any]:
        """What the state file records of it, but for the time."""
        compose = {name: value for name, value in (("project", self.stack.project), ("network", self.network)) if value}
        return {
            "services": list(self.stack.containers),
            "urls": dict(self.urls),
            "compose": compose,
            "images": {kind: dict(image) for kind, image in self.images.items()},
            "places": dict(self.places),
            "adopted": {
                "compose_files": list(self.compose_files),
                "containers": {kind: container.name for kind, container in self.stack.containers.items()},
                "services": {kind: container.service for kind, container in self.stack.containers.items() if container.service},
                "environment": {kind: sorted(variables) for kind, variables in self.environment.items()},
                "mounts": {kind: list(mounts) for kind, mounts in self.mounts.items()},
            },
        }


def read_stack(stack: Candidate, initial_login: tuple[str, str] = ("", "")) -> Found:
    """Everything that ``stack`` tells.

    :param initial_login: user and password that MongoDB's container was first started with.
    :raises Failure: when data stands in a container itself, where the next container would not have it.
    """
    containers = stack.containers
    return Found(
        stack=stack,
        network=_network(containers),
        urls=_urls(containers),
        places=_places(containers),
        images={kind: _image(container, stack.versions.get(kind, "")) for kind, container in containers.items()},
        secrets=_secrets(containers, initial_login),
        environment=_environment(containers, initial_login),
        mounts={kind: _mounts(kind, containers[kind]) for kind in (FRONTEND, BACKEND) if kind in containers and _mounts(kind, containers[kind])},
    )


def _network(containers: Mapping[str, Inspected]) -> str:
    """The network that most of the containers share, the backend's first one where several do; none where all are the engine's own."""
    counts: dict[str, int] = {}
    for kind in (BACKEND, *(kind for kind in containers if kind != BACKEND)):
        for name in containers[kind].networks if kind in containers else ():
            if name not in BUILT_IN_NETWORKS:
                counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: counts[name]) if counts else ""


def _urls(containers: Mapping[str, Inspected]) -> dict[str, str]:
    """Where people reach the product: as its own variables say, else as ports are published."""
    frontend, backend = containers.get(FRONTEND), containers.get(BACKEND)
    urls = {}
    first = _first_text(backend.environment.get(env.FRONTEND_URLS, "")) if backend else ""
    urls[FRONTEND] = first or _published_url(frontend)
    route = frontend.environment.get(env.API_BASEROUTE, "") if frontend else ""
    urls[BACKEND] = (urljoin(urls[FRONTEND], route) if route.startswith("/") else route).rstrip("/") or _published_url(backend)
    return {kind: url for kind, url in urls.items() if url}


def _first_text(value: str) -> str:
    """The first text of a JSON list, or the text itself where it is no JSON."""
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    first = parsed[0] if isinstance(parsed, list) and parsed else parsed
    return first if isinstance(first, str) else ""


def _published_url(container: Any) -> str:
    if container is None or not container.published:
        return ""
    first = container.published[0]
    return f"http://{first.address or 'localhost'}:{first.port}"


def _places(containers: Mapping[str, Inspected]) -> dict[str, str]:
    """:raises Failure: when a service keeps its data inside its container."""
    places = {}
    for kind, (place, target) in _PLACES.items():
        if kind not in containers:
            continue
        mount = containers[kind].mount_at(target)
        if mount is None:
            name = containers[kind].name
            raise Failure(
                f"Container {name} keeps its data at {target} in itself, so that a new container would start without it",
                f"copy it out while the product stands still (`docker cp {name}:{target} FOLDER`), start {kind} with that folder mounted there, "
                "and adopt it then",
                subject=name,
            )
        places[place] = mount.source
    return places


def _image(container: Inspected, version: str) -> dict[str, str]:
    """As the state file has it; the digest is that of the image that runs, wherever its tag points to now.

    :raises Failure: when the image has no name, without which nobody could start it anew.
    """
    image = parse_image(_reference(container))
    pulled = (digest.partition("@") for digest in container.digests)
    digest = image.digest or next((digest for name, dummy, digest in pulled if name == _canonical(image.name)), "")
    described = {"name": image.name, "tag": image.tag, "digest": digest, "id": container.image_id}
    return {**described, "version": version} if version else described


def _reference(container: Inspected) -> str:
    """The image's name: the one that the container was started by, else one that the image has."""
    if not container.image.startswith("sha256:"):
        return container.image
    names = (*container.tags, *container.digests)
    if not names:
        raise Failure(
            f"Container {container.name} runs an image without a name, {container.image[:19]}…",
            f"give it one (`docker tag {container.image_id} NAME:TAG`) and run again",
            subject=container.name,
        )
    return names[0]


def _canonical(name: str) -> str:
    """An image's name as the engine writes it beside a digest: without its default registry."""
    for prefix in ("docker.io/library/", "docker.io/"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


def _secrets(containers: Mapping[str, Inspected], initial_login: tuple[str, str]) -> dict[str, str]:
    """What is known under the collection's own names. MongoDB's password counts only with the user that the collection has."""
    backend = containers.get(BACKEND)
    environment = backend.environment if backend else {}
    logins = (database_login(environment), initial_login)
    found = {
        ENCRYPTION: environment.get(env.ENCRYPTION_SECRET, ""),
        JWT: environment.get(env.JWT_SECRET, ""),
        ADMIN: environment.get(env.ADMIN_PASSWORD, ""),
        MONGODB_PASSWORD: next((password for user, password in logins if user == env.MONGODB_STACK_USER), "") if MONGODB in containers else "",
        REDIS_PASSWORD: environment.get(env.REDIS_PASSWORD, "") if REDIS in containers else "",
    }
    return {name: value for name, value in found.items() if value}


def _environment(containers: Mapping[str, Inspected], initial_login: tuple[str, str]) -> dict[str, dict[str, str]]:
    kept = {}
    for kind, derived in _DERIVED.items():
        if kind in containers:
            variables = containers[kind].environment
            kept[kind] = {name: value for name, value in variables.items() if name not in derived and name != uri_variable(variables)}
    login = initial_login if initial_login[0] else database_login(containers[BACKEND].environment) if BACKEND in containers else ("", "")
    if MONGODB in containers and login[0] not in ("", env.MONGODB_STACK_USER):
        # Who may create the collection's own user on that server.
        kept[MONGODB] = {env.MONGODB_INIT_USER: login[0], env.MONGODB_INIT_PASSWORD: login[1]}
    return kept


def _mounts(kind: str, container: Inspected) -> tuple[str, ...]:
    """Mounts other than the data: certificates, drivers and files that somebody put over the image's."""
    data = _PLACES.get(kind, ("", ""))[1]
    return tuple(f"{mount.source}:{mount.target}{'' if mount.writable else ':ro'}" for mount in container.mounts if mount.target != data)
