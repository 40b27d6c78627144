# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of ``toucan_stack`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..containers.docker_engine import Credentials
from ..contract import routes
from ..contract.releases import Image, refuse_mixed_majors
from ..contract.stack import StackOptions, define, refuse_incomplete
from ..contract.workers import Workers
from ..core.errors import Failure
from ..core.secrets import NAMES


@dataclass(frozen=True)
class StackRequest:
    """Everything a run was asked for.

    :param recorded: images by kind as the state file has them; ``recorded_places`` the data folders (``storage``, ``database``) and
        ``recorded_project`` the compose project, likewise.
    :param start_timeout: seconds.
    :param stopped: kinds that the state file has as stopped on purpose.
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


def refuse_unusable(request: StackRequest) -> None:
    """Everything that can be said of the options alone, without a look at Docker or a registry.

    :raises Failure: when they cannot work.
    """
    refuse_incomplete(request.options)
    refuse_mixed_majors(request.images)
    if request.recorded_project not in ("", request.options.project):
        raise Failure(
            f"This host runs compose project {request.recorded_project}, and {request.options.project} would be a second one on the same data",
            "set `toucan_stack_project` back",
            subject=request.options.project,
        )
    define(request.options, {kind: str(image) for kind, image in request.images.items()}, dict.fromkeys(NAMES, ""), request.workers)
