# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders by the names of their owners, as an engine: many in one run."""

from __future__ import annotations

import grp
import json
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .errors import Failure
from .folders import Folder, make_folder, observe_folder, plan_folders
from .plan import Step

DEFAULT_MODE = "0755"


@dataclass(frozen=True)
class Wanted:
    """A folder as a sysadmin names it; an empty part stays as it is, or is the system's usual one for a new folder.

    ``mode`` is what was written: octal digits as text, or what YAML made of them without quotes, which is refused.
    """

    path: str
    owner: str = ""
    group: str = ""
    mode: Any = ""


class DirectoriesEngine:
    """Engine of module ``toucan_directories``."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.wanted = wanted
        self.desired: dict[str, Folder] = {}

    def observe(self) -> dict[str, Optional[Folder]]:
        return {folder.path: observe_folder(folder.path) for folder in self.wanted}

    def plan(self, observed: Mapping[str, Optional[Folder]]) -> list[Step]:
        self.desired = {folder.path: resolve(folder, observed[folder.path]) for folder in self.wanted}
        return plan_folders(self.desired.values(), observed)

    def apply(self, step: Step) -> None:
        make_folder(self.desired[step.object])

    def report(self, observed: Mapping[str, Optional[Folder]], applied: bool) -> dict[str, Any]:
        return {"directories": [folder.path for folder in self.wanted]}


def resolve(wanted: Wanted, known: Optional[Folder]) -> Folder:
    """The folder with numbers for names, and with what is ``known`` where nothing is wanted.

    :raises Failure: when a user or group does not exist, or the mode is not octal digits as text.
    """
    former = known or Folder(wanted.path, (0, 0), DEFAULT_MODE)
    return Folder(
        wanted.path,
        (
            _user_id(wanted) if wanted.owner else former.owner[0],
            _group_id(wanted) if wanted.group else former.owner[1],
        ),
        _four_digits(wanted) if wanted.mode not in ("", None) else former.mode,
    )


def _user_id(wanted: Wanted) -> int:
    if wanted.owner.isdigit():
        return int(wanted.owner)
    try:
        return pwd.getpwnam(wanted.owner).pw_uid
    except KeyError as error:
        raise _unknown("user", wanted.owner, wanted.path) from error


def _group_id(wanted: Wanted) -> int:
    if wanted.group.isdigit():
        return int(wanted.group)
    try:
        return grp.getgrnam(wanted.group).gr_gid
    except KeyError as error:
        raise _unknown("group", wanted.group, wanted.path) from error


def _unknown(kind: str, name: str, path: str) -> Failure:
    return Failure(f"The {kind} {name} that is to own {path} does not exist on this host", "create it first, or name another or its number", subject=path)


def _four_digits(wanted: Wanted) -> str:
    if not isinstance(wanted.mode, str):
        told = f"The mode of {wanted.path} came as {json.dumps(wanted.mode)} and not as text, which YAML makes of digits without quotes"
    elif not re.fullmatch(r"[0-7]{3,4}", wanted.mode):
        told = f"The mode {wanted.mode} of {wanted.path} is no octal number"
    else:
        return wanted.mode.zfill(4)
    raise Failure(told, 'write three or four octal digits in quotes, such as "0750"', subject=wanted.path)
