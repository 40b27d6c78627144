# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instance that runs on this host, as its backend sees it: which database it talks to, and where its files stand.

What the backend was started with counts, not an inventory: so it is right for an adopted stack and for an ad hoc run, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..containers.inspection import Inspected, neighbour
from ..contract import environment as env
from ..contract.databases import MongodbUri
from ..contract.services import BACKEND, BACKEND_STORAGE, COMPOSE_NAMES
from ..contract.wiring import database_uri
from ..core.errors import Failure
from ..core.files import read_bytes

_CA_FILE = "tlsCAFile"


@dataclass(frozen=True)
class Instance:
    """What a backup or a restore works on.

    :param mongodb: as this host reaches it; ``mongodb_ca`` are the certificates in PEM form that sign the server's, empty for none of its own.
    :param mongodb_is_own: whether it is a container of this host's stack, which nobody else uses.
    :param storage: folder of this host.
    :param name: the instance's name, which databases may be called after; empty where the backend was given none.
    """

    backend: Inspected
    mongodb: MongodbUri
    mongodb_ca: str
    mongodb_is_own: bool
    storage: str
    name: str

    @property
    def api_url(self) -> str:
        """Where this host reaches the backend's API, past any proxy."""
        return f"http://{self.backend.address}:{env.backend_port(self.backend.environment)}"


def find_instance(containers: Sequence[Inspected], state: Mapping[str, Any]) -> Instance:
    """The instance of the stack that the state file knows.

    :param containers: all of this host.
    :raises Failure: when there is no backend here, or it does not say where its data stands.
    """
    backend = _backend(containers, state)
    told = database_uri(backend.environment)
    uri = _as_this_host_reaches(told, backend, containers)
    uri, ca = _with_ca_of_the_backend(uri, backend)
    storage = backend.mount_at(BACKEND_STORAGE)
    if storage is None:
        raise Failure(
            f"The backend {backend.name} keeps {BACKEND_STORAGE} in its own container, where nothing of it can be read from outside",
            "mount a folder or a volume there first; `site.yml` does",
            subject=BACKEND_STORAGE,
        )
    return Instance(backend, uri, ca, uri.hosts != told.hosts, storage.folder, backend.environment.get(env.INSTANCE_NAME, ""))


def _backend(containers: Sequence[Inspected], state: Mapping[str, Any]) -> Inspected:
    project = (state.get("compose") or {}).get("project", "")
    adopted = ((state.get("adopted") or {}).get("containers") or {}).get(BACKEND, "")
    for container in containers:
        if container.project == project and container.service == COMPOSE_NAMES[BACKEND] or adopted and container.name == adopted:
            return container
    raise Failure(
        "This host has no backend of the stack" + (f" in compose project {project}" if project else ""),
        "run this on a host of group `toucan_backend`, with the stack started",
        subject=BACKEND,
    )


def _as_this_host_reaches(uri: MongodbUri, backend: Inspected, containers: Iterable[Inspected]) -> MongodbUri:
    """The URI with the address of a container in the place of its name, which only its neighbours know."""
    host, colon, port = uri.hosts[0].rpartition(":")
    name = host if colon else uri.hosts[0]
    found = neighbour(backend, name, containers)
    if found is None:
        return uri
    shared = next(network for network in found.networks if network in backend.networks)
    address = found.networks[shared].address
    if not address:
        raise Failure(f"MongoDB {found.name} of this stack does not run", "start it with `start.yml`, and run again", subject=found.name)
    # A member of a replica set would else be asked for the names of the others.
    options = (*((name, value) for name, value in uri.options if name.lower() != "directconnection"), ("directConnection", "true"))
    return replace(uri, hosts=(f"{address}:{port}" if colon else address,), options=options, written="")


def _with_ca_of_the_backend(uri: MongodbUri, backend: Inspected) -> tuple[MongodbUri, str]:
    """The URI and the certificates that it names, which stand in the backend's container."""
    path = uri.option(_CA_FILE)
    if not path:
        return uri, ""
    mount = backend.mount_at(path)
    content = read_bytes(mount.folder) if mount and os.path.isfile(mount.folder) else None
    if content is None:
        raise Failure(
            f"The backend {backend.name} trusts the CA in its file {path}, which this host has no copy of",
            "mount it from a file of this host; `toucan_mongodb_ca_file` does",
            subject=path,
        )
    return uri, content.decode(errors="replace")
