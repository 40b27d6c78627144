# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secrets file: given by the inventory or made once, readable by root alone, never made anew where data exists."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .errors import Failure
from .files import is_populated, json_bytes, read_json, write_atomic
from .fingerprints import refuse_other
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
# New and former values of a rotation that is under way: see package `rotation`.
ROTATION = "rotation"
# What values in the database, and tokens in users' browsers, were made with.
_SHARED = (ENCRYPTION, JWT)
_CLOSED = "0600, this user"
_BYTES = 32


def read_secrets(path: str = DEFAULT_PATH, needed: Sequence[str] = NAMES) -> dict[str, str]:
    """The secrets in ``path``. :raises Failure: when some of those needed are missing."""
    known = read_json(path) or {}
    missing = [name for name in needed if not known.get(name)]
    if missing:
        raise Failure(f"The secrets file {path} lacks {', '.join(missing)}", "run role `toucan_stack`, or module `toucan_secrets`, on this host", subject=path)
    return known


def read_environment(path: str = DEFAULT_PATH) -> Optional[dict[str, dict[str, str]]]:
    """Variables by kind of service that an adopted stack brought along, or ``None`` for a stack that was not adopted."""
    return (read_json(path) or {}).get(ENVIRONMENT)


@dataclass(frozen=True)
class OtherHosts:
    """What the other hosts of the stack keep.

    :param secrets: value by name by host.
    :param maker: the host that makes missing secrets; empty where that is this one.
    :param with_data: hosts that hold data made with the secrets.
    """

    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    maker: str = ""
    with_data: Sequence[str] = ()

    def first(self, name: str) -> tuple[str, str]:
        """The first host that keeps a secret, and its value; both empty where none does."""
        return next(((host, known[name]) for host, known in self.secrets.items() if known.get(name)), ("", ""))


class SecretsEngine:
    """Engine of module ``toucan_secrets``.

    :param given: secrets of the inventory by name; they must be those the data was made with.
    :param data_folders: where data made with the secrets may stand.
    :param data_elsewhere: whether data is kept in a database outside the stack, which cannot be seen from here.
    :param needed: names of the secrets that this host keeps.
    :param fingerprints: of the state file, by name.
    """

    def __init__(
        self,
        path: str,
        given: Mapping[str, str],
        data_folders: Sequence[str],
        data_elsewhere: bool = False,
        needed: Sequence[str] = NAMES,
        others: Optional[OtherHosts] = None,
        fingerprints: Optional[Mapping[str, Any]] = None,
    ) -> None:
        self.path = path
        self.data_elsewhere = data_elsewhere
        self.given = {name: value for name, value in given.items() if value}
        self.data_folders = data_folders
        self.needed = needed
        self.others = others or OtherHosts()
        self.fingerprints = fingerprints or {}
        self.exposed = ""  # mode and owner of a file that others may read

    def observe(self) -> dict[str, str]:
        known = read_json(self.path) or {}
        self.exposed = _exposed(self.path)
        # An empty value is none, as `read_secrets` has it.
        return {name: value for name, value in known.items() if value}

    def plan(self, observed: Mapping[str, str]) -> list[Step]:
        self._refuse_unknown_names()
        self._refuse_unfinished_rotation(observed)
        self._refuse_other_values(observed)
        self._refuse_differing_hosts(observed)
        for name in self.needed:
            refuse_other(name, observed.get(name) or self.given.get(name) or self.others.first(name)[1], self.fingerprints, self.path)
        lacking = [name for name in self.needed if name not in observed]
        after = {name: "given" if name in self.given else f"taken from {host}" if host else "made" for name, host in self._sources(lacking).items()}
        missing = [name for name, source in after.items() if source == "made"]
        if missing and self.others.maker:
            after.update(dict.fromkeys(missing, f"taken from {self.others.maker}"))
        elif missing:
            self._refuse_making_anew(missing)
        if not after:
            return [Step(f"secrets.mode:{self.path}", "update", self.path, self.exposed, _CLOSED)] if self.exposed else []
        return [Step(f"secrets:{self.path}", "update" if observed else "create", self.path, sorted(observed), {**dict.fromkeys(observed, "kept"), **after})]

    def apply(self, step: Step) -> None:
        values = dict(self.observe())
        if not step.id.startswith("secrets.mode:"):
            for name in self.needed:
                known = values.get(name) or self.given.get(name) or self.others.first(name)[1]
                if not known and self.others.maker:
                    raise Failure(
                        f"This host needs {name}, which {self.others.maker} makes and this run has not learned from it",
                        f"run on {self.others.maker} too, or on all hosts of the stack",
                        subject=name,
                    )
                values[name] = known or secrets.token_urlsafe(_BYTES)
        write_atomic(self.path, json_bytes(values), mode=0o600)

    def report(self, observed: Mapping[str, str], applied: bool) -> dict[str, Any]:
        return {"path": self.path}

    def kept(self) -> dict[str, Any]:
        """The secrets of this host by name, and whether it holds data made with such."""
        return {"secrets": {name: value for name, value in self.observe().items() if name in NAMES}, "data": bool(_first_populated(self.data_folders))}

    def _sources(self, lacking: Sequence[str]) -> dict[str, str]:
        """The other host that each lacking secret is taken from, empty where none keeps it."""
        return {name: self.others.first(name)[0] for name in lacking}

    def _refuse_unknown_names(self) -> None:
        unknown = sorted(set(self.given) - set(NAMES))
        if unknown:
            raise Failure(f"`toucan_secrets` has no key {', '.join(unknown)}", f"use {', '.join(NAMES)}")

    def _refuse_unfinished_rotation(self, observed: Mapping[str, Any]) -> None:
        begun = ", ".join(sorted((observed.get(ROTATION) or {}).get("new") or {}))
        if begun:
            # Whether the database takes the new or the former password is for the rotation to find out.
            raise Failure(
                f"A rotation of {begun} was begun here and is not finished",
                f"run `rotate.yml` with `toucan_rotate: [{begun}]`, which finishes it",
                subject=self.path,
            )

    def _refuse_other_values(self, observed: Mapping[str, str]) -> None:
        differing = sorted(name for name, value in self.given.items() if observed.get(name, value) != value)
        if differing:
            raise Failure(
                f"{', '.join(differing)} in `toucan_secrets` differ from the ones this stack was made with ({self.path})",
                "give those of this stack, or leave them out",
                subject=self.path,
            )

    def _refuse_differing_hosts(self, observed: Mapping[str, str]) -> None:
        for name in NAMES:
            values = {host: known[name] for host, known in self.others.secrets.items() if known.get(name)}
            if observed.get(name):
                values["this host"] = observed[name]
            first = next(iter(values), "")
            other = next((host for host, value in values.items() if value != values[first]), "")
            if other:
                raise Failure(
                    f"{name} of {other} differs from that of {first}, and a stack has one",
                    f"put the one that the data was made with into {self.path} of each",
                    subject=name,
                )

    def _refuse_making_anew(self, missing: Sequence[str]) -> None:
        shared = [name for name in missing if name in _SHARED]
        if self.data_elsewhere and shared:
            raise Failure(
                f"The data is in a MongoDB outside the stack, and {', '.join(shared)} of what made it are not known",
                "give them in `toucan_secrets`; for a database that is still empty make them, with `openssl rand -hex 32` for example",
            )
        if self.others.with_data:
            raise Failure(
                f"There is data on {', '.join(self.others.with_data)}, but {', '.join(missing)} of the stack that made it are not known on any host",
                f"give them in `toucan_secrets`, or restore {self.path} from a backup",
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
    # A Docker volume, which has no slash, cannot be looked into from here: it is named because it held data before.
    return next((folder for folder in folders if folder and (not folder.startswith("/") or is_populated(folder))), None)
