# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of containers that somebody else made when this collection takes them over: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..containers.inspection import Inspected
from ..contract.services import COMPOSE_NAMES
from ..core.images import Image

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Adopted:
    """What the state file has recorded of a stack that was adopted: container names by kind, and where its data was."""

    containers: Mapping[str, str] = field(default_factory=dict)
    places: tuple[str, ...] = ()


def adopted_of(state: Mapping[str, Any]) -> Adopted:
    """The part of a state file that adoption wrote; nothing for a stack that was not adopted."""
    if "adopted" not in state:
        return Adopted()
    return Adopted(state["adopted"].get("containers", {}), tuple(state.get("places", {}).values()))


def still_foreign(adopted: Adopted, containers: Iterable[Inspected], directory: str) -> dict[str, Inspected]:
    """By kind the adopted containers that are as somebody else made them; those that were made from ``directory`` are this collection's."""
    by_name = {container.name: container for container in containers}
    named = {kind: by_name[name] for kind, name in adopted.containers.items() if name in by_name}
    return {kind: container for kind, container in named.items() if container.working_directory != directory}


def is_in_place(kind: str, container: Inspected, project: str) -> bool:
    """Whether compose itself will put the new container in the place of this one; any other has to go first."""
    return container.project == project and container.service == COMPOSE_NAMES[kind]


def changes(container: Inspected, service: Mapping[str, Any], image: Image, network: str) -> dict[str, Any]:
    """What will be otherwise for the container's next one, free of secrets; what stays is left out.

    :param service: the service in the merged compose definition.
    """
    kept = any(digest.endswith(image.digest) for digest in container.digests) if image.digest else image.id == container.image_id
    told = {
        "image": "" if kept else f"{container.image} becomes {image}",
        "restart": "" if container.restart == service["restart"] else f"{container.restart} becomes {service['restart']}",
        "variables": _variables(container.environment, service.get("environment") or {}),
        "ports_closed": _closed(container, service.get("ports") or []),
        "networks_left": sorted(container.networks.keys() - {network}),
        "mounts_left": _left(container, service.get("volumes") or []),
        "settings_left": [name for name in container.settings if name not in service],
    }
    return {name: value for name, value in told.items() if value}


def _variables(former: Mapping[str, str], latter: Mapping[str, str]) -> dict[str, list[str]]:
    """Names of variables that are added, changed or removed."""
    plain = {name: value.replace("$$", "$") for name, value in latter.items()}
    told = {
        "added": sorted(plain.keys() - former.keys()),
        "changed": sorted(name for name in plain.keys() & former.keys() if plain[name] != former[name]),
        "removed": sorted(former.keys() - plain.keys()),
    }
    return {name: names for name, names in told.items() if names}


def _closed(container: Inspected, ports: Iterable[str]) -> list[str]:
    open_still = {port.rsplit(":", 1)[0].rpartition(":")[2] for port in ports}
    return [f"{item.address}:{item.port}" if item.address else str(item.port) for item in container.published if str(item.port) not in open_still]


def _left(container: Inspected, volumes: Iterable[str]) -> list[str]:
    """Paths in the container that somebody mounted something at, and nothing will be; a volume that the image itself asks for is empty anyway."""
    kept = {volume.split(":")[1] for volume in volumes}
    return [mount.target for mount in container.mounts if mount.target not in kept and not _ANONYMOUS.fullmatch(mount.source)]
