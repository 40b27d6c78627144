# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of ``toucan_stack`` is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..containers.docker_engine import Credentials
from ..contract import routes
from ..contract.releases import Image
from ..contract.stack import StackOptions
from ..contract.workers import Workers


@dataclass(frozen=True)
class StackRequest:
    """Everything a run was asked for; ``start_timeout`` in seconds, the shapes as JMESPath over the backend's root answer."""

    project: str
    options: StackOptions
    images: Mapping[str, Image]
    credentials: Credentials
    workers: Workers
    secrets_path: str
    start_timeout: float
    allow_version_change: bool = False
    status_shape: str = routes.BACKEND_STATUS_SHAPE
    version_shape: str = routes.BACKEND_VERSION_SHAPE
