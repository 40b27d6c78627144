# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that several hosts have one folder in common: one writes, each other reads and renames, the first sees it and clears up."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable
from typing import Callable

from .errors import Failure

_PREFIX = ".toucan-shared"
_REMEDY = "mount one file system there on all hosts with a backend, or run one backend and leave `toucan_stack_storage_shared` out"
# Network file systems keep what they know of a folder for some seconds.
_PATIENCE = 20.0


def write(folder: str, hosts: Iterable[str]) -> str:
    """Leave a file for each host. :returns: the token that it holds. :raises Failure: where the folder cannot be written."""
    token = secrets.token_hex(8)
    try:
        for host in hosts:
            with open(_path(folder, token, host), "x", encoding="ascii") as stream:
                stream.write(token)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        clear(folder, token)
        raise Failure(f"Writing into the storage folder {folder} failed: {error.strerror}", _REMEDY, subject=folder, answer=str(error)) from error
    return token


def read_and_rename(folder: str, token: str, host: str, writer: str, patience: float = _PATIENCE) -> None:
    """Find what ``writer`` left for this host, and rename it. :raises Failure: where it is not there, or cannot be renamed."""
    path = _path(folder, token, host)
    try:
        if not _appears(path, patience) or _content(path) != token:
            raise Failure(f"The storage folder {folder} is not shared: what {writer} wrote there is not seen here", _REMEDY, subject=folder)
        os.rename(path, _renamed(path))
    except OSError as error:
        raise Failure(f"Working in the shared storage folder {folder} failed: {error.strerror}", _REMEDY, subject=folder, answer=str(error)) from error


def see_and_clear(folder: str, token: str, hosts: Iterable[str], patience: float = _PATIENCE) -> None:
    """See the files renamed by each host, and remove them. :raises Failure: where one is not."""
    try:
        for host in hosts:
            if not _appears(_renamed(_path(folder, token, host)), patience):
                raise Failure(f"The storage folder {folder} is not shared: what {host} renamed there is not seen here", _REMEDY, subject=folder)
    finally:
        clear(folder, token)


def clear(folder: str, token: str) -> None:
    """Remove what a proof left."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            if name.startswith(f"{_PREFIX}-{token}-"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))


def _path(folder: str, token: str, host: str) -> str:
    return os.path.join(folder, f"{_PREFIX}-{token}-{host}")


def _renamed(path: str) -> str:
    return f"{path}.seen"


def _content(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as stream:
        return stream.read()


def _appears(path: str, patience: float, clock: Callable[[], float] = time.monotonic) -> bool:
    """Whether a file is in its folder by listing, which a network file system answers more freshly than a look-up by name."""
    deadline = clock() + patience
    while os.path.basename(path) not in os.listdir(os.path.dirname(path)):
        if clock() >= deadline:
            return False
        time.sleep(0.5)
    return True
