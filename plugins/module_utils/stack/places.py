# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stack stands on its host: as asked, else as the state file has it, else where this collection puts one.

What was recorded wins over the usual, so that a stack that was adopted, or that another inventory made, stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROJECT = "toucan"
NETWORK = "toucan"
STORAGE = "/var/lib/toucan/storage"
DATABASE = "/var/lib/toucan/mongodb"


@dataclass(frozen=True)
class Places:
    """``storage`` and ``database`` are folders, which begin with ``/``, or names of Docker volumes."""

    project: str
    network: str
    storage: str
    database: str


def settle(asked: Mapping[str, Any], state: Mapping[str, Any]) -> Places:
    """The places that a run works with.

    :param asked: options ``project``, ``network``, ``storage_directory`` and ``database_directory``; missing, empty or None where unset.
    :param state: the state file.
    """
    compose, places = state.get("compose", {}), state.get("places", {})
    return Places(
        project=asked.get("project") or compose.get("project") or PROJECT,
        network=asked.get("network") or compose.get("network") or NETWORK,
        storage=asked.get("storage_directory") or places.get("storage") or STORAGE,
        database=asked.get("database_directory") or places.get("database") or DATABASE,
    )
