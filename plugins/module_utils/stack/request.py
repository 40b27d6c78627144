# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of ``toucan_stack`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..containers.docker_engine import Credentials
from ..contract import routes
from ..contract.releases import refuse_mixed_majors
from ..contract.services import BACKEND
from ..contract.stack import StackOptions, define, refuse_incomplete
from ..contract.workers import Workers
from ..core.errors import Failure
from ..core.images import Image
from ..core.secrets import NAMES
from .takeover import Adopted


@dataclass(frozen=True)
class StackRequest:
    """Everything a run was asked for.

    :param recorded: images by kind as the state file has them; ``recorded_places`` the data folders (``storage``, ``database``) and
        ``recorded_project`` the compose project, likewise.
    :param start_timeout: seconds.
    :param stopped: kinds that the state file has as stopped on purpose.
    :param only: kinds to bring up now, all where it is empty; the others are left as they are.
    :param backends: names of the stack's hosts that run a backend.
    :param storage_shared: whether they have one storage folder in common.
    :param adopted: what is known of a stack that somebody else started; ``secrets`` stands in for those in ``secrets_path`` where a plan is made
        before they are written.
    :param fingerprints: of secrets, as the state file has them.
    :param host_ca_file: CA certificates that this host trusts beside the system's usual ones; empty for none.
    :param image_folder: of archives on this host, beside which no registry is asked; empty where one is.
    :param keep_releases: how many of each of the product's images stay, all where it is 0.
    :param status_shape: JMESPath over the backend's root answer, as ``version_shape``.
    """

    options: StackOptions
    images: Mapping[str, Image]
    credentials: Credentials
    workers: Workers
    secrets_path: str
    recorded: Mapping[str, Image]
    recorded_places: Mapping[str, str]
    recorded_project: str
    start_timeout: float
    allow_version_change: bool = False
    allow_service_removal: bool = False
    stopped: frozenset[str] = frozenset()
    status_shape: str = routes.BACKEND_STATUS_SHAPE
    version_shape: str = routes.BACKEND_VERSION_SHAPE
    adopted: Adopted = field(default_factory=Adopted)
    secrets: Optional[Mapping[str, Any]] = None
    only: tuple[str, ...] = ()
    host_ca_file: str = ""
    backends: tuple[str, ...] = ()
    storage_shared: bool = False
    image_folder: str = ""
    keep_releases: int = 0
    fingerprints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def watched(self) -> tuple[str, ...]:
        """The kinds that this run brings up."""
        return tuple(kind for kind in self.options.services if not self.only or kind in self.only)


def refuse_unusable(request: StackRequest) -> None:
    """Everything that can be said of the options alone, without a look at Docker or a registry.

    :raises Failure: when they cannot work.
    """
    refuse_incomplete(request.options)
    if request.keep_releases < 0:
        raise Failure(f"`toucan_stack_keep_releases` is {request.keep_releases}", "give the number of releases to keep, or 0 to keep all")
    refuse_mixed_majors(request.images)
    _refuse_torn_storage(request)
    if request.recorded_project not in ("", request.options.project):
        raise Failure(
            f"This host runs compose project {request.recorded_project}, and {request.options.project} would be a second one on the same data",
            "set `toucan_stack_project` back",
            subject=request.options.project,
        )
    define(request.options, {kind: str(image) for kind, image in request.images.items()}, dict.fromkeys(NAMES, ""), request.workers)


def _refuse_torn_storage(request: StackRequest) -> None:
    if BACKEND in request.options.services and len(request.backends) > 1 and not request.storage_shared:
        raise Failure(
            f"{len(request.backends)} hosts run a backend ({', '.join(request.backends)}), each with files of its own",
            "put the storage on a file system that they share and set `toucan_stack_storage_shared: true`, or run one backend",
        )
