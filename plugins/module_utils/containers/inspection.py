# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers in every detail, whoever made them: what the engine's inspection says, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
_FILES_LABEL = "com.docker.compose.project.config_files"
_FOLDER_LABEL = "com.docker.compose.project.working_dir"
_COMPOSE = "com.docker.compose."
# Settings by the name that compose has for them: where the engine keeps them, empty unless somebody set them.
_OF_HOST = {
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "cpus": "NanoCpus",
    "devices": "Devices",
    "dns": "Dns",
    "dns_search": "DnsSearch",
    "extra_hosts": "ExtraHosts",
    "group_add": "GroupAdd",
    "links": "Links",
    "mem_limit": "Memory",
    "pid": "PidMode",
    "privileged": "Privileged",
    "read_only": "ReadonlyRootfs",
    "security_opt": "SecurityOpt",
    "sysctls": "Sysctls",
    "tmpfs": "Tmpfs",
    "ulimits": "Ulimits",
}
# The same for what an image may say as well.
_OF_IMAGE = {"command": "Cmd", "entrypoint": "Entrypoint", "user": "User"}
# Networks of every engine: a compose file cannot join them by name.
BUILT_IN_NETWORKS = ("bridge", "host", "none")
_OWN_MACHINE = "127.0.0.1"


@dataclass(frozen=True)
class Mount:
    """What stands at ``target`` in a container.

    ``source`` is a folder of the host or the name of a volume, and ``folder`` where its files stand on the host.
    """

    source: str
    target: str
    folder: str
    writable: bool = True

    @property
    def is_volume(self) -> bool:
        return not self.source.startswith("/")


@dataclass(frozen=True)
class Attachment:
    """A container on a network: its address there (empty where it does not run) and its names."""

    address: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Publication:
    """A port of the host that leads into a container; ``address`` is empty for all of the host's."""

    address: str
    port: int
    inside: int


@dataclass(frozen=True)
class Inspected:
    """A container as it was at one moment.

    ``environment`` holds what was set for the container beyond its image; ``project``, ``service``, ``working_directory`` and
    ``compose_files`` are empty for one that compose did not make. ``settings`` are those
    of its own that stand nowhere else here, as compose calls them; ``digests`` and ``tags`` are the names of its image with them.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    project: str = ""
    service: str = ""
    working_directory: str = ""
    compose_files: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    networks: Mapping[str, Attachment] = field(default_factory=dict)
    published: tuple[Publication, ...] = ()
    restart: str = "no"
    digests: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def address(self) -> str:
        """An address that this host reaches it at, empty where there is none."""
        if "host" in self.networks:
            return _OWN_MACHINE
        return next((attachment.address for attachment in self.networks.values() if attachment.address), "")

    @property
    def names(self) -> frozenset[str]:
        """Every name that a neighbour on one of its networks may call it by."""
        return frozenset({self.name, self.service, *(name for attachment in self.networks.values() for name in attachment.names)} - {""})

    def mount_at(self, target: str) -> Optional[Mount]:
        """The mount that holds ``target``, seen from there; ``None`` where the files stand in the container itself.

        A folder above ``target`` holds it too; of a volume above it a part cannot be mounted, so that counts as none.
        """
        for mount in sorted(self.mounts, key=lambda mount: len(mount.target), reverse=True):
            if mount.target == target:
                return mount
            if target.startswith(mount.target.rstrip("/") + "/") and not mount.is_volume:
                rest = target[len(mount.target.rstrip("/")) :]
                return Mount(mount.source.rstrip("/") + rest, target, mount.folder.rstrip("/") + rest, mount.writable)
        return None


def neighbour(container: Inspected, host: str, containers: Iterable[Inspected]) -> Optional[Inspected]:
    """The container of that host name on a network of ``container``."""
    for other in containers:
        if other.id != container.id and host in other.names and other.networks.keys() & container.networks.keys():
            return other
    return None


def inspected(detail: Mapping[str, Any], image: Mapping[str, Any]) -> Inspected:
    """What Docker's inspection of a container and of its image says (API 1.24 and newer).

    :param image: an empty mapping where the image is gone; variables of the image then count as the container's.
    """
    labels = detail["Config"].get("Labels") or {}
    of_image = _variables((image.get("Config") or {}).get("Env"))
    return Inspected(
        id=detail["Id"],
        name=detail["Name"].lstrip("/"),
        image=detail["Config"]["Image"],
        image_id=detail["Image"],
        state=detail["State"]["Status"],
        project=labels.get(PROJECT_LABEL, ""),
        service=labels.get(SERVICE_LABEL, ""),
        working_directory=labels.get(_FOLDER_LABEL, ""),
        compose_files=tuple(path for path in labels.get(_FILES_LABEL, "").split(",") if path),
        environment={name: value for name, value in _variables(detail["Config"].get("Env")).items() if of_image.get(name) != value},
        mounts=tuple(_mount(mount) for mount in detail.get("Mounts") or [] if mount["Type"] in ("bind", "volume")),
        networks={
            name: Attachment(settings.get("IPAddress") or "", tuple(settings.get("Aliases") or ()))
            for name, settings in (detail["NetworkSettings"].get("Networks") or {}).items()
        },
        published=_publications(detail["HostConfig"].get("PortBindings")),
        restart=(detail["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no",
        digests=tuple(image.get("RepoDigests") or ()),
        tags=tuple(image.get("RepoTags") or ()),
        settings=tuple(_settings(detail, image)),
    )


def _variables(env: Optional[list[str]]) -> dict[str, str]:
    pairs = (item.partition("=") for item in env or [])
    return {name: value for name, dummy, value in pairs}


def _settings(detail: Mapping[str, Any], image: Mapping[str, Any]) -> Iterator[str]:
    """Names of what was set for the container beyond its image and the engine's usual."""
    for name, key in _OF_HOST.items():
        if detail["HostConfig"].get(key):
            yield name
    of_image = image.get("Config")
    for name, key in _OF_IMAGE.items():
        if of_image is not None and (detail["Config"].get(key) or None) != (of_image.get(key) or None):
            yield name
    labels = (detail["Config"].get("Labels") or {}).items() - ((of_image or {}).get("Labels") or {}).items()
    if any(not label.startswith(_COMPOSE) for label, dummy in labels):
        yield "labels"


def _mount(mount: Mapping[str, Any]) -> Mount:
    source = mount["Name"] if mount["Type"] == "volume" else mount["Source"]
    return Mount(source, mount["Destination"], mount["Source"], bool(mount.get("RW", True)))


def _publications(bindings: Optional[Mapping[str, Any]]) -> tuple[Publication, ...]:
    """Ports of TCP that were asked for by number; those that the engine chose are not known from here."""
    found = []
    for inside, bound in (bindings or {}).items():
        number, dummy, protocol = inside.partition("/")
        for binding in bound or []:
            if protocol in ("", "tcp") and binding.get("HostPort", "").isdigit():
                address = binding.get("HostIp") or ""
                found.append(Publication("" if address in ("0.0.0.0", "::") else address, int(binding["HostPort"]), int(number)))
    return tuple(sorted(set(found), key=lambda publication: publication.port))
