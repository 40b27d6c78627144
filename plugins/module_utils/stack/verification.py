# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each service of a stack is seen to work."""

from __future__ import annotations

import functools
import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..api.shapes import evaluate
from ..containers.docker_engine import Container
from ..containers.health import Probe, Watched, http_probe, http_text, json_judge, redis_probe, wait_for
from ..contract import environment, routes
from ..contract import services as kinds
from ..contract.topology import Peer
from ..core.errors import Failure
from ..core.secrets import MONGODB
from ..core.versions import parse_version, same_major
from ..mongo.connection import LoginRefused, NotReady, log_in
from .request import StackRequest

_SEE_LOG = "read the service's log with `docker compose logs` in the project's folder, and run again"


def watch(kind: str, request: StackRequest, secrets: Mapping[str, str]) -> Watched:
    """The service of this kind with the probe that judges it."""
    probes: dict[str, Probe] = {
        kinds.FRONTEND: http_probe(kinds.FRONTEND_PORT, routes.FRONTEND_VERSION),
        kinds.BACKEND: http_probe(
            environment.backend_port(request.options.backend_env),
            routes.BACKEND_ROOT,
            json_judge(lambda answer: evaluate(request.status_shape, answer, "`toucan_stack_status_shape`"), routes.BACKEND_STATUS_OK),
        ),
        **_database_probes(request, secrets),
    }
    return Watched(kinds.TITLES[kind], kinds.COMPOSE_NAMES[kind], probes[kind])


def wait_for_peer(kind: str, peer: Peer, request: StackRequest, secrets: Mapping[str, str]) -> None:
    """Return when a database of the stack on another host answers. :raises Failure: when it does not in time, or refuses the password."""
    probe = _database_probes(request, secrets, peer.port)[kind]
    fault = wait_for(lambda: probe(peer.address), request.start_timeout)
    if fault:
        raise Failure(
            f"{kinds.TITLES[kind]} of {peer.host} does not answer this host at {peer} after {request.start_timeout:.0f} s: {fault}",
            "see that it runs there, and that no firewall between the hosts closes its port",
            subject=str(peer),
        )


def _database_probes(request: StackRequest, secrets: Mapping[str, str], port: int = 0) -> dict[str, Probe]:
    """:param port: of a database on another host, where it is published at another than its own."""
    return {
        kinds.MONGODB: functools.partial(_mongodb_probe, port=port or kinds.MONGODB_PORT, password=secrets.get(MONGODB, ""), secrets_path=request.secrets_path),
        kinds.REDIS: redis_probe(port or kinds.REDIS_PORT),
    }


def _mongodb_probe(address: str, port: int, password: str, secrets_path: str) -> str:
    """:raises Failure: when the server answers and refuses the password: waiting would not help."""
    user = environment.MONGODB_STACK_USER
    try:
        log_in(address, port, user, password)
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
        versions[kinds.FRONTEND] = _ask(kinds.FRONTEND, addresses, kinds.FRONTEND_PORT, routes.FRONTEND_VERSION).strip()
    if kinds.BACKEND in addresses:
        port = environment.backend_port(request.options.backend_env)
        versions[kinds.BACKEND] = _version(request.version_shape, _ask(kinds.BACKEND, addresses, port, routes.BACKEND_ROOT))
    _refuse_two_majors(versions)
    return versions


def _version(shape: str, text: str) -> str:
    version = evaluate(shape, _parsed(routes.BACKEND_ROOT, text), "`toucan_stack_version_shape`")
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
    text = _ask(kinds.BACKEND, addresses, environment.backend_port(request.options.backend_env), routes.AUTH_PROVIDERS)
    return list(evaluate(routes.AUTH_PROVIDERS_SHAPE, _parsed(routes.AUTH_PROVIDERS, text), "the collection") or [])


def _ask(kind: str, addresses: Mapping[str, str], port: int, path: str) -> str:
    """The text that a service answers. :raises Failure: when it answers no longer, though it was healthy a moment ago."""
    try:
        status, text = http_text(port, path)(addresses[kind])
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{kinds.TITLES[kind]} answered, and then no longer: GET {path}: {error}", _SEE_LOG, subject=path, answer=str(error)) from error
    if status != 200:
        raise Failure(f"{kinds.TITLES[kind]} answered GET {path} with status {status}", _SEE_LOG, subject=path, answer=text[:200])
    return text


def _parsed(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise Failure(f"Backend answered GET {path} with no JSON", _SEE_LOG, subject=path, answer=text[:200]) from error


def _addresses(request: StackRequest, containers: Iterable[Container]) -> dict[str, str]:
    """Address on the stack's network by product service that runs on this host."""
    by_name = {container.service: container.addresses.get(request.options.network, "") for container in containers}
    return {kind: by_name[kinds.COMPOSE_NAMES[kind]] for kind in (kinds.FRONTEND, kinds.BACKEND) if kind in request.options.services}


def _refuse_two_majors(versions: Mapping[str, str]) -> None:
    front, back = (parse_version(versions.get(kind, "")) for kind in (kinds.FRONTEND, kinds.BACKEND))
    if front and back and not same_major(front, back):
        raise Failure(f"Backend {back} and frontend {front} differ in major version", "set `toucan_release`, or both overrides, to one major")
