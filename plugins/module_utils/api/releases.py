# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry has of the product: newer releases, what the monthly tag points to, how old an installed release is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple, Optional

from ..contract.services import MONTHLY_TAG
from ..core.versions import Version, parse_version
from .registry import Registry, newest_tags

# A moving tag points to a recent release; older ones are not worth a request each.
_MONTHLY_CANDIDATES = 10


class Located(NamedTuple):
    """A repository in a registry."""

    registry: Registry
    repository: str


class Monthly(NamedTuple):
    """Where the monthly tag points to; ``version`` is ``None`` where none of the newest releases has its digest."""

    digest: str
    version: Optional[Version]


class Releases(NamedTuple):
    """What a registry has, seen from an installed release.

    ``newer`` is in ascending order; ``monthly`` is ``None`` where the repository has no such tag; ``created`` is in UTC and ``None`` where
    the installed release's tag is gone or its image tells no date.
    """

    newer: list[Version]
    monthly: Optional[Monthly]
    created: Optional[datetime]


def look_up_releases(frontend: Located, backend: Located, installed: Version) -> Releases:
    """Compare the registry with ``installed``, by the backend's image where one of the two must speak for both.

    :raises Failure: when the registry refuses or does not answer.
    """
    backend_tags = backend.registry.tags(backend.repository)
    frontend_tags = frontend.registry.tags(frontend.repository)
    return Releases(
        newer=newer_releases(frontend_tags, backend_tags, installed),
        monthly=_monthly(backend, backend_tags),
        created=_created(backend, backend_tags, installed),
    )


def newer_releases(frontend_tags: Collection[str], backend_tags: Collection[str], installed: Version) -> list[Version]:
    """Versions above ``installed`` that both images are tagged with, ascending: a release needs the two of them."""
    both = {parse_version(tag) for tag in backend_tags} & {parse_version(tag) for tag in frontend_tags}
    return sorted(version for version in both if version and version > installed)


def _monthly(backend: Located, tags: Collection[str]) -> Optional[Monthly]:
    if MONTHLY_TAG not in tags:
        return None
    digest = backend.registry.digest(backend.repository, MONTHLY_TAG)
    for tag in newest_tags(tags, _MONTHLY_CANDIDATES):
        if backend.registry.digest(backend.repository, tag) == digest:
            return Monthly(digest, parse_version(tag))
    return Monthly(digest, None)


def _created(backend: Located, tags: Collection[str], installed: Version) -> Optional[datetime]:
    tag = next((tag for tag in tags if parse_version(tag) == installed), None)
    return backend.registry.created(backend.repository, tag) if tag else None
