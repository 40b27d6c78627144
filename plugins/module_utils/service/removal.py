# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a removal would take: configuration, network and data of a host's stack; and what keeps a program from removing data."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..containers.docker_engine import Neighbour
from ..contract.dumps import FOLDER_PREFIX
from ..core.errors import Failure
from ..core.files import is_populated
from .request import Configuration

# Folders of the system, which hold more than a stack's data, and so do those above them.
_SYSTEM = (
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp",
    "/usr/local", "/var/backups", "/var/cache", "/var/lib/docker", "/var/log", "/var/spool", "/var/tmp", "/var/www",
)  # fmt: skip
# File systems that other hosts may have mounted, too.
_SHARED_TYPES = re.compile(r"nfs\d?|cifs|smb3|smbfs|9p|virtiofs|ceph|glusterfs|lustre|gpfs|ocfs2|gfs2|afs|fuse\..*")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A line of the kernel's list of mounted file systems."""

    point: str
    kind: str


@dataclass(frozen=True)
class Surroundings:
    """What else is on the host, for a judgement about a folder.

    :param protected: folders that must survive, with all folders above them.
    :param others: recorded places of data that are not asked to go.
    :param shared: whether other hosts are known to have the same folder.
    """

    mounts: tuple[Mount, ...]
    neighbours: tuple[Neighbour, ...]
    protected: frozenset[str]
    others: frozenset[str] = frozenset()
    shared: bool = False


def mounts(path: str = "/proc/self/mountinfo") -> tuple[Mount, ...]:
    """The file systems that are mounted on this host."""
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        rows = [line.split() for line in stream]
    return tuple(Mount(_OCTAL.sub(lambda match: chr(int(match[1], 8)), row[4]), row[row.index("-") + 1]) for row in rows)


def protected_folders(own: Iterable[str]) -> frozenset[str]:
    """Folders of the system, of its users, and ``own`` ones that must survive."""
    homes = [entry.pw_dir for entry in pwd.getpwall() if entry.pw_dir not in ("", "/nonexistent")]
    return frozenset(os.path.normpath(path) for path in (*_SYSTEM, *homes, *own) if path)


def is_within(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or stands below it; both are absolute and normalised."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def folder_fault(folder: str, around: Surroundings) -> str:
    """Why a folder of data must not be removed by a program, as a clause; empty where it may be."""
    path = os.path.normpath(folder)
    if os.path.realpath(path) != path:
        return f"it, or a folder above it, is a symbolic link to {os.path.realpath(path)}"
    survivor = min((item for item in around.protected if is_within(item, path)), default="")
    if survivor or path.count("/") < 2:
        return f"{survivor or path} is no folder of this stack alone"
    below = [mount.point for mount in around.mounts if mount.point != path and is_within(mount.point, path)]
    if below:
        return f"another file system is mounted below it, on {below[0]}"
    if around.shared or _SHARED_TYPES.fullmatch(_file_system(path, around.mounts)):
        return "other hosts may use the same folder"
    other = [item for item in around.others if is_within(item, path)]
    if other:
        return f"{other[0]}, which stays, stands in it"
    return users_fault(path, around.neighbours) or _backup_fault(path)


def users_fault(place: str, neighbours: Iterable[Neighbour]) -> str:
    """Says so where a container that is not the stack's mounts the folder or volume, or a part of it, or a folder above."""
    for neighbour in neighbours:
        if any(source == place or (source.startswith("/") and (is_within(source, place) or is_within(place, source))) for source in neighbour.sources):
            return f"container {neighbour.name}, which is not of this stack, uses it"
    return ""


def _file_system(path: str, listed: Iterable[Mount]) -> str:
    return max((mount for mount in listed if is_within(path, mount.point)), key=lambda mount: len(mount.point), default=Mount("/", "")).kind


def _backup_fault(folder: str) -> str:
    """Says so where a dump stands in the folder, however deep."""
    for path, folders, dummy in os.walk(folder):
        for name in folders:
            if name.startswith(FOLDER_PREFIX):
                return f"the backup {os.path.join(path, name)} stands in it"
    return ""


def configuration(folder: str, names: Iterable[str], definitions: Iterable[Mapping[str, Any]], places: Collection[str]) -> Configuration:
    """The files of a compose project, and what else stands in its folder.

    :param names: files and folders that this collection writes, relative to ``folder``.
    :param definitions: the services as the compose file has them: what they mount from the folder belongs to it, too.
    :param places: where data stands, which is no configuration.
    """
    mounted = [volume.split(":")[0] for definition in definitions for volume in definition.get("volumes") or ()]
    roots = {os.path.join(folder, name) for name in names} | {source for source in mounted if source != folder and is_within(source, folder)}
    files = {path for root in roots for path in _files(root, places)}
    others = set(_files(folder, places)) - files
    return Configuration(folder, tuple(sorted(files)), tuple(sorted(others)))


def _files(root: str, places: Collection[str]) -> list[str]:
    """Every file at or below ``root``, symbolic links as such, but for those in ``places``."""
    if any(is_within(root, place) for place in places):
        return []
    if os.path.islink(root) or os.path.isfile(root):
        return [root]
    found: list[str] = []
    for path, folders, files in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(path, name))]
        folders[:] = [name for name in folders if os.path.join(path, name) not in places]
        found.extend(os.path.join(path, name) for name in (*files, *links))
    return found


def remove_configuration(item: Configuration) -> None:
    """Remove the files, and those folders that are empty then. :raises Failure: when one cannot be removed."""
    try:
        for path in item.files:
            os.unlink(path)
        for folder in sorted({parent for path in item.files for parent in _parents(path, item.folder)}, key=len, reverse=True):
            remove_if_empty(folder)
    except OSError as error:
        raise _failure(item.folder, error) from error


def _parents(path: str, top: str) -> list[str]:
    """The folders above ``path``, up to ``top``."""
    parent = os.path.dirname(path)
    return [parent] if parent == top else [parent, *_parents(parent, top)]


def remove_if_empty(folder: str) -> None:
    """Remove a folder with nothing in it; any other, and one that is not there, stays as it is."""
    if os.path.isdir(folder) and not os.path.ismount(folder) and not os.listdir(folder):
        os.rmdir(folder)


def remove_folder(folder: str) -> None:
    """Remove a folder with all that is in it; of one that is a mount point, only what is in it.

    :raises Failure: when something in it cannot be removed.
    """
    try:
        if not os.path.ismount(folder):
            shutil.rmtree(folder)
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
    except OSError as error:
        raise _failure(folder, error) from error


def remove_file(path: str) -> None:
    """:raises Failure: when it cannot be removed."""
    try:
        os.unlink(path)
    except OSError as error:
        raise _failure(path, error) from error


def _failure(path: str, error: OSError) -> Failure:
    return Failure(
        f"Removing {error.filename or path} failed: {error.strerror}",
        "see what keeps it, and run again: what is gone already does not matter",
        subject=path,
        answer=str(error),
    )


def populated(folder: str) -> bool:
    """Whether there is anything in a folder that may not exist."""
    return os.path.isdir(folder) and is_populated(folder)
