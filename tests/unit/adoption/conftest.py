# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack that somebody else started, as containers in detail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Attachment, Inspected, Mount, Publication

IMAGES = {
    "frontend": "quay.io/toucantoco/frontend:latest-monthly",
    "backend": "quay.io/toucantoco/backend:latest-monthly",
    "mongo": "mongo:5.0.3",
    "redis": "redis:6.2.1-alpine",
}


def container_of(service: str, project: str = "bi", **changes: Any) -> Inspected:
    """A running container of the vendor's compose file, in its project or run by hand."""
    name = f"{project}-{service}-1" if project else service
    image = IMAGES[service]
    container = Inspected(
        id=f"id of {name}",
        name=name,
        image=image,
        image_id=f"sha256:{service}",
        state="running",
        project=project,
        service=service if project else "",
        working_directory=f"/opt/{project}" if project else "",
        compose_files=(f"/opt/{project}/docker-compose.yml",) if project else (),
        networks={f"{project}_default" if project else "shared": Attachment("172.18.0.2", (name, service))},
        digests=(f"{image.rpartition(':')[0]}@sha256:{service * 8}",),
    )
    own: dict[str, dict[str, Any]] = {
        "backend": {
            "environment": {"TOUCAN_DB_ENCRYPTION_SECRET": "chosen-by-hand"},
            "mounts": (Mount("/srv/storage", "/app/storage", "/srv/storage"),),
            "published": (Publication("", 5000, 80),),
        },
        "frontend": {"environment": {"API_BASEROUTE": "http://localhost:5000"}, "published": (Publication("", 8000, 80),)},
        "mongo": {"mounts": (Mount("bi_data", "/data/db", "/var/lib/docker/volumes/bi_data/_data"),)},
        "redis": {},
    }
    return replace(container, **{**own[service], **changes})


Make = Callable[..., Inspected]


@pytest.fixture(name="make")
def _make() -> Make:
    """Makes a container of the vendor's compose file by its service."""
    return container_of


@pytest.fixture(name="stack")
def _stack() -> list[Inspected]:
    """The vendor's stack as its compose file starts it."""
    return [container_of(service) for service in IMAGES]
