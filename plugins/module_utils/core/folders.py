# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders with an owner and a mode, observed, planned and made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from .errors import Failure
from .plan import Step


@dataclass(frozen=True)
class Folder:
    """``owner`` is (uid, gid), ``mode`` four octal digits as text."""

    path: str
    owner: tuple[int, int]
    mode: str


def parse_owner(text: str, option: str) -> tuple[int, int]:
    """User and group from ``UID:GID``. :raises Failure: when it names them otherwise; ``option`` is what to correct."""
    uid, dummy, gid = text.partition(":")
    if not (uid.isdigit() and gid.isdigit()):
        raise Failure(f"`{text}` names no user and group by number", f"write `{option}` as `1000:1000`", subject=text)
    return int(uid), int(gid)


def observe_folder(path: str) -> Optional[Folder]:
    """The folder as it is, ``None`` where there is none. :raises Failure: where something else has its name."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(f"Looking at {path} failed: {error.strerror}", "correct its parent's owner and mode", subject=path) from error
    if not stat.S_ISDIR(status.st_mode):
        raise Failure(f"{path} is no folder", "move it away, or name another folder", subject=path)
    return Folder(path, (status.st_uid, status.st_gid), f"{stat.S_IMODE(status.st_mode):04o}")


def plan_folders(desired: Iterable[Folder], observed: Mapping[str, Optional[Folder]]) -> list[Step]:
    """A step for each folder that is missing or differs in owner or mode."""
    steps = []
    for folder in desired:
        known = observed.get(folder.path)
        if known != folder:
            steps.append(Step(f"folder:{folder.path}", "update" if known else "create", folder.path, _shown(known), _shown(folder)))
    return steps


def make_folder(folder: Folder) -> None:
    """Make the folder, its parents with the usual mode, and set owner and mode. :raises Failure: when it cannot be made."""
    try:
        os.makedirs(folder.path, mode=0o755, exist_ok=True)
        os.chown(folder.path, *folder.owner)
        os.chmod(folder.path, int(folder.mode, 8))
    except OSError as error:
        raise Failure(
            f"Making folder {folder.path} failed: {error.strerror}", "correct its parent's owner and mode", subject=folder.path, answer=str(error)
        ) from error


def _shown(folder: Optional[Folder]) -> Optional[dict[str, Any]]:
    return {"owner": "{}:{}".format(*folder.owner), "mode": folder.mode} if folder else None
