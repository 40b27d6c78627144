# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets file: given by the inventory or made once, readable by root alone, never made anew where data exists."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .errors import Failure
from .files import is_populated, json_bytes, read_json, write_atomic
from .plan import Step

DEFAULT_PATH = "/etc/toucan/secrets.json"
ENCRYPTION = "encryption_secret"
JWT = "jwt_secret"
ADMIN = "admin_password"
MONGODB = "mongodb_password"
REDIS = "redis_password"
NAMES = (ENCRYPTION, JWT, ADMIN, MONGODB, REDIS)
# Variables of an adopted stack by kind of service; they may hold secrets, so they stand with them.
ENVIRONMENT = "environment"
# What values in the database, and tokens in users' browsers, were made with.
_SHARED = (ENCRYPTION, JWT)
_CLOSED = "0600, this user"
_BYTES = 32


def read_secrets(path: str = DEFAULT_PATH) -> dict[str, str]:
    """The secrets in ``path``. :raises Failure: when there are none or some are missing."""
    known = read_json(path) or {}
    missing = [name for name in NAMES if not known.get(name)]
    if missing:
        raise Failure(f"The secrets file {path} lacks {', '.join(missing)}", "run role `toucan_stack`, or module `toucan_secrets`, on this host", subject=path)
    return known


def read_environment(path: str = DEFAULT_PATH) -> Optional[dict[str, dict[str, str]]]:
    """Variables by kind of service that an adopted stack brought along, or ``None`` for a stack that was not adopted."""
    return (read_json(path) or {}).get(ENVIRONMENT)


class SecretsEngine:
    """Engine of module ``toucan_secrets``.

    :param given: secrets of the inventory by name; they must be those the data was made with.
    :param data_folders: where data made with the secrets may stand.
    :param data_elsewhere: whether data is kept in a database outside this host, which cannot be seen from here.
    """

    def __init__(self, path: str, given: Mapping[str, str], data_folders: Sequence[str], data_elsewhere: bool = False) -> None:
        self.path = path
        self.data_elsewhere = data_elsewhere
        self.given = {name: value for name, value in given.items() if value}
        self.data_folders = data_folders
        self.exposed = ""  # mode and owner of a file that others may read

    def observe(self) -> dict[str, str]:
        known = read_json(self.path) or {}
        self.exposed = _exposed(self.path)
        # An empty value is none, as `read_secrets` has it.
        return {name: value for name, value in known.items() if value}

    def plan(self, observed: Mapping[str, str]) -> list[Step]:
        self._refuse_unknown_names()
        self._refuse_other_values(observed)
        missing = [name for name in NAMES if name not in {**observed, **self.given}]
        if missing:
            self._refuse_making_anew(missing)
        added = sorted((set(self.given) | set(missing)) - set(observed))
        if not added:
            return [Step(f"secrets.mode:{self.path}", "update", self.path, self.exposed, _CLOSED)] if self.exposed else []
        after = {name: "given" if name in self.given else "made" for name in added}
        return [Step(f"secrets:{self.path}", "update" if observed else "create", self.path, sorted(observed), {**dict.fromkeys(observed, "kept"), **after})]

    def apply(self, step: Step) -> None:
        values = {**self.observe(), **self.given}
        if not step.id.startswith("secrets.mode:"):
            for name in NAMES:
                values.setdefault(name, secrets.token_urlsafe(_BYTES))
        write_atomic(self.path, json_bytes(values), mode=0o600)

    def report(self, observed: Mapping[str, str], applied: bool) -> dict[str, Any]:
        return {"path": self.path}

    def _refuse_unknown_names(self) -> None:
        unknown = sorted(set(self.given) - set(NAMES))
        if unknown:
            raise Failure(f"`toucan_secrets` has no key {', '.join(unknown)}", f"use {', '.join(NAMES)}")

    def _refuse_other_values(self, observed: Mapping[str, str]) -> None:
        differing = sorted(name for name, value in self.given.items() if observed.get(name, value) != value)
        if differing:
            raise Failure(
                f"{', '.join(differing)} in `toucan_secrets` differ from the ones this stack was made with ({self.path})",
                "give those of this stack, or leave them out",
                subject=self.path,
            )

    def _refuse_making_anew(self, missing: Sequence[str]) -> None:
        shared = [name for name in missing if name in _SHARED]
        if self.data_elsewhere and shared:
            raise Failure(
                f"The data is in a MongoDB outside this host, and {', '.join(shared)} of what made it are not known",
                "give them in `toucan_secrets`; for a database that is still empty make them, with `openssl rand -hex 32` for example",
            )
        folder = _first_populated(self.data_folders)
        if folder:
            raise Failure(
                f"There is data in {folder}, but {', '.join(missing)} of the stack that made it are not known",
                f"give them in `toucan_secrets`, or restore {self.path} from a backup",
                subject=folder,
            )


def _exposed(path: str) -> str:
    """Mode and owner of a file that others than its owner, this user, may read or write; empty where there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return ""
    shown = f"{stat.S_IMODE(status.st_mode):04o}, user {status.st_uid}"
    return shown if status.st_mode & 0o077 or status.st_uid != os.geteuid() else ""


def _first_populated(folders: Sequence[str]) -> Optional[str]:
    return next((folder for folder in folders if folder and is_populated(folder)), None)
