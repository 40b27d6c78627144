# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each service of a stack is seen to work."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..api.shapes import evaluate
from ..containers.docker_engine import Container
from ..containers.health import Probe, Watched, http_probe, http_text, json_judge, redis_probe
from ..contract import environment, routes
from ..contract import services as kinds
from ..contract.stack import backend_port
from ..core.errors import Failure
from ..core.secrets import MONGODB
from ..core.versions import parse_version, same_major
from ..mongo.connection import LoginRefused, NotReady, log_in
from .request import StackRequest

_TITLES = {kinds.FRONTEND: "Frontend", kinds.BACKEND: "Backend", kinds.MONGODB: "MongoDB", kinds.REDIS: "Redis"}


def watch(kind: str, request: StackRequest, secrets: Mapping[str, str]) -> Watched:
    """The service of this kind with the probe that judges it."""
    probes: dict[str, Probe] = {
        kinds.FRONTEND: http_probe(kinds.FRONTEND_PORT, routes.FRONTEND_VERSION),
        kinds.BACKEND: http_probe(
            backend_port(request.options),
            routes.BACKEND_ROOT,
            json_judge(lambda answer: evaluate(request.status_shape, answer, "`toucan_stack_status_shape`"), routes.BACKEND_STATUS_OK),
        ),
        kinds.MONGODB: functools.partial(_mongodb_probe, password=secrets[MONGODB], secrets_path=request.secrets_path),
        kinds.REDIS: redis_probe(kinds.REDIS_PORT),
    }
    return Watched(_TITLES[kind], kinds.COMPOSE_NAMES[kind], probes[kind])


def _mongodb_probe(address: str, password: str, secrets_path: str) -> str:
    """:raises Failure: when the server answers and refuses the password: waiting would not help."""
    user = environment.MONGODB_STACK_USER
    try:
        log_in(address, kinds.MONGODB_PORT, user, password)
    except LoginRefused as error:
        raise Failure(
            f"The stack's MongoDB refuses the password of user {user} in {secrets_path}: its data was made with another one",
            f"put that one there as `{MONGODB}`, and into `toucan_secrets` if that gives it",
            subject=address,
            answer=str(error),
        ) from error
    except NotReady as error:
        return str(error)
    return ""


def answered_versions(request: StackRequest, containers: Iterable[Container]) -> dict[str, str]:
    """The versions that the product's services on this host answer, by kind.

    :raises Failure: when their majors differ, or the backend's version is not where it is looked for.
    """
    addresses = _addresses(request, containers)
    versions = {}
    if kinds.FRONTEND in addresses:
        dummy, text = http_text(kinds.FRONTEND_PORT, routes.FRONTEND_VERSION)(addresses[kinds.FRONTEND])
        versions[kinds.FRONTEND] = text.strip()
    if kinds.BACKEND in addresses:
        dummy, text = http_text(backend_port(request.options), routes.BACKEND_ROOT)(addresses[kinds.BACKEND])
        versions[kinds.BACKEND] = _version(request.version_shape, text)
    _refuse_two_majors(versions)
    return versions


def _version(shape: str, text: str) -> str:
    version = evaluate(shape, json.loads(text), "`toucan_stack_version_shape`")
    if not isinstance(version, str):
        raise Failure(
            f"The backend answered no version at `{shape}`",
            "set `toucan_stack_version_shape` to where this release tells it",
            subject=shape,
            answer=text[:200],
        )
    return version


def ways_in(request: StackRequest, containers: Iterable[Container]) -> list[dict[str, Any]]:
    """The login providers that this host's backend lists, each with ``id``, ``type`` and ``name``; none where no backend runs here."""
    addresses = _addresses(request, containers)
    if kinds.BACKEND not in addresses:
        return []
    status, text = http_text(backend_port(request.options), routes.AUTH_PROVIDERS)(addresses[kinds.BACKEND])
    try:
        return list(evaluate(routes.AUTH_PROVIDERS_SHAPE, json.loads(text), "the collection") or [])
    except ValueError as error:
        raise Failure(
            f"The backend's {routes.AUTH_PROVIDERS} answered status {status} and no JSON",
            "see its log with `docker compose logs backend` in the project's folder",
            subject=routes.AUTH_PROVIDERS,
            answer=text[:200],
        ) from error


def _addresses(request: StackRequest, containers: Iterable[Container]) -> dict[str, str]:
    """Address on the stack's network by product service that runs on this host."""
    by_name = {container.service: container.addresses.get(request.options.network, "") for container in containers}
    return {kind: by_name[kinds.COMPOSE_NAMES[kind]] for kind in (kinds.FRONTEND, kinds.BACKEND) if kind in request.options.services}


def _refuse_two_majors(versions: Mapping[str, str]) -> None:
    front, back = (parse_version(versions.get(kind, "")) for kind in (kinds.FRONTEND, kinds.BACKEND))
    if front and back and not same_major(front, back):
        raise Failure(f"Backend {back} and frontend {front} differ in major version", "set `toucan_release`, or both overrides, to one major")
