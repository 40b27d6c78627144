# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Health judged from outside a container: nothing inside it is run, so nothing inside it is assumed."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable, Optional

from ..core.errors import Failure
from .docker_engine import Container, DockerEngine

# A probe looks at a service by address and says what is wrong, or nothing where it is healthy.
Probe = Callable[[str], str]
_TIMEOUT = 5.0
_RESTARTS_MEAN_A_LOOP = 3


def http_text(port: int, path: str) -> Callable[[str], tuple[int, str]]:
    """A getter of ``path``: address to status and text. :raises OSError, http.client.HTTPException: as the standard library does."""

    def get(address: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(1 << 20).decode(errors="replace")
        finally:
            connection.close()

    return get


def http_probe(port: int, path: str, judge: Callable[[str], str] = lambda text: "") -> Probe:
    """A probe that wants status 200 and an answer in which ``judge`` finds no fault."""
    get = http_text(port, path)

    def probe(address: str) -> str:
        try:
            status, text = get(address)
        except (OSError, http.client.HTTPException) as error:
            return f"GET {path} on port {port}: {error}"
        return judge(text) if status == 200 else f"GET {path} on port {port} answered status {status}"

    return probe


def redis_probe(port: int) -> Probe:
    """A probe that wants Redis' own answer to ``PING``; that it asks for a password is healthy, too."""

    def probe(address: str) -> str:
        try:
            with socket.create_connection((address, port), timeout=_TIMEOUT) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(64)
        except OSError as error:
            return f"PING on port {port}: {error}"
        return "" if answer.startswith((b"+PONG", b"-NOAUTH")) else f"PING on port {port} answered {answer!r}"

    return probe


def json_judge(shape: Callable[[object], object], expected: str) -> Callable[[str], str]:
    """Judge a JSON answer: what ``shape`` takes from it must be ``expected``."""

    def judge(text: str) -> str:
        try:
            value = shape(json.loads(text))
        except ValueError:
            return f"the answer is no JSON: {text[:80]!r}"
        return "" if value == expected else f"status is {value!r}, not {expected!r}"

    return judge


def wait_for(look: Callable[[], str], timeout: float, clock: Callable[[], float] = time.monotonic, pause: Callable[[float], None] = time.sleep) -> str:
    """Look again and again until nothing is wrong. :returns: the last fault, empty where there is none any more."""
    deadline = clock() + timeout
    fault = look()
    while fault and clock() < deadline:
        pause(1.0)
        fault = look()
    return fault


@dataclass(frozen=True)
class Watched:
    """A service to wait for."""

    title: str
    service: str
    probe: Probe


def wait_until_healthy(
    engine: DockerEngine,
    project: str,
    network: str,
    watched: list[Watched],
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return when every service is healthy.

    A container that restarts again and again ends the wait at once; one that is merely slow gets the whole time, because a
    backend migrates its data before it answers.

    :param timeout: seconds for all services together.
    :raises Failure: with the failing container's last log lines.
    """
    deadline = clock() + timeout
    waiting = list(watched)
    first_restarts: dict[str, int] = {}
    ended_with: dict[str, int] = {}
    while True:
        containers = {container.service: container for container in engine.containers(project)}
        faults: Mapping[str, str] = {item.service: _fault(item, containers.get(item.service), network) for item in waiting}
        waiting = [item for item in waiting if faults[item.service]]
        if not waiting:
            return
        for item in waiting:
            container = containers.get(item.service)
            if container and not container.running:
                # Of a container that runs again, the engine no longer tells it.
                ended_with[container.id] = container.exit_code
            if container and container.restarts - first_restarts.setdefault(container.id, container.restarts) >= _RESTARTS_MEAN_A_LOOP:
                code = f" (exit code {ended_with[container.id]})" if container.id in ended_with else ""
                raise _failure(engine, item, container, f"keeps restarting{code}")
        if clock() >= deadline:
            item = waiting[0]
            raise _failure(engine, item, containers.get(item.service), f"is not healthy after {timeout:.0f} s: {faults[item.service]}")
        pause(1.0)


def _fault(item: Watched, container: Optional[Container], network: str) -> str:
    if container is None:
        return "it has no container"
    if not container.running:
        return f"its container is {container.state}, exit code {container.exit_code}"
    address = container.addresses.get(network)
    if not address:
        return f"its container has no address on network {network}"
    return item.probe(address)


def _failure(engine: DockerEngine, item: Watched, container: Optional[Container], problem: str) -> Failure:
    image = container.image.split("@")[0] if container else "no image"
    return Failure(
        f"{item.title} ({image}) {problem}",
        "read the log lines below; a slow machine or a long migration wants a longer `toucan_stack_start_timeout`",
        subject=item.service,
        log=engine.log_tail(container.id) if container else (),
    )
