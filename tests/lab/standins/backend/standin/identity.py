# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this image is: its release and the answers its dialect gives to what nobody outside knows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

RELEASE_PATH = Path("/app/release.json")
DIALECT_PATH = Path("/app/dialect.json")

BEHAVIOURS = ("normal", "never_healthy", "migration_fails", "slow")


@dataclass(frozen=True)
class Release:
    """Version ``vMAJOR.MINOR.PATCH`` of the image and how it behaves, one of BEHAVIOURS."""

    version: str
    behaviour: str

    def __post_init__(self) -> None:
        # product-facts 1.1 [S:DOC04]
        if not re.fullmatch(r"v\d+\.\d+\.\d+", self.version):
            raise ValueError(f"{self.version!r} is no version such as v101.1.0")
        if self.behaviour not in BEHAVIOURS:
            raise ValueError(f"{self.behaviour!r} is none of {BEHAVIOURS}")

    @property
    def major(self) -> int:
        """The part of the version before its first dot."""
        return int(self.version[1:].split(".")[0])


@dataclass(frozen=True)
class Dialect:
    """The keys of a dialect file that the backend acts on (all keys: dialects/README.md)."""

    mongodb_uri_variable: str
    instance_database: str
    small_app_database: str
    superadmin_password: str
    basic_auth: bool
    unhealthy_http_status: int


def read_release(path: Path = RELEASE_PATH) -> Release:
    """The release this image carries."""
    return Release(**json.loads(path.read_text(encoding="utf-8")))


def read_dialect(path: Path = DIALECT_PATH) -> Dialect:
    """The dialect this image carries."""
    keys = json.loads(path.read_text(encoding="utf-8"))
    return Dialect(**{field.name: keys[field.name] for field in fields(Dialect)})
