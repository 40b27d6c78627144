# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of ``toucan_service`` is asked for, and what it finds on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..containers.docker_engine import Container
from ..contract.services import ALL_KINDS, BACKEND, FRONTEND, MONGODB, PROXY, REDIS

STARTED = "started"
STOPPED = "stopped"
RESTARTED = "restarted"
ABSENT = "absent"
STATES = (STARTED, STOPPED, RESTARTED, ABSENT)

# Whoever calls another service stops before it, and starts after it.
STOP_ORDER = (PROXY, FRONTEND, BACKEND, REDIS, MONGODB)
START_ORDER = tuple(reversed(STOP_ORDER))


@dataclass(frozen=True)
class ServiceRequest:
    """Everything a run was asked for.

    :param services: kinds; empty for all of the host.
    :param keep_containers: whether what is stopped keeps its container, so that the engine's next start brings it back.
    :param confirm: the instance id, which ``remove_data`` wants.
    :param start_timeout: seconds.
    :param status_shape: JMESPath over the backend's root answer.
    """

    state: str
    services: tuple[str, ...]
    state_path: str
    secrets_path: str
    start_timeout: float
    status_shape: str
    keep_containers: bool = False
    remove_data: bool = False
    confirm: str = ""


@dataclass(frozen=True)
class Network:
    """A Docker network: whether this collection made it, and the names of other containers that are on it."""

    name: str
    ours: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where data stands: a folder, or a Docker volume by name.

    :param what: the data in words.
    :param populated: whether anything is in it.
    :param fault: why it must not be removed by a program; empty where it may be.
    """

    where: str
    what: str
    populated: bool
    fault: str = ""


@dataclass(frozen=True)
class Configuration:
    """The folder of a compose project, and those files below it that this collection wrote; ``others`` are what stays in it."""

    folder: str
    files: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leavings:
    """What a stack has on its host beside containers; looked at only where it is to go."""

    configurations: tuple[Configuration, ...] = ()
    network: Optional[Network] = None
    places: tuple[Place, ...] = ()
    secrets: bool = False
    images: tuple[str, ...] = ()


@dataclass(frozen=True)
class Observed:
    """What stands on the host.

    :param recorded: the state file, ``None`` on a host that has none.
    :param definitions: each service as its compose file has it, by kind.
    :param containers: by kind.
    :param missing: kinds whose image the engine does not have.
    """

    recorded: Optional[Mapping[str, Any]] = None
    definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    containers: Mapping[str, Container] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    leavings: Leavings = Leavings()

    @property
    def known(self) -> tuple[str, ...]:
        """The kinds that this host was given to run, in the documentation's order."""
        listed = (self.recorded or {}).get("services") or []
        return tuple(kind for kind in ALL_KINDS if kind in listed)

    @property
    def stopped(self) -> frozenset[str]:
        """The kinds that were stopped on purpose."""
        return frozenset((self.recorded or {}).get("stopped") or [])
