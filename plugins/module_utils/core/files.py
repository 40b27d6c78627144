# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Safe files: written whole or not at all, never readable by others for a moment."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from typing import Any, Optional

from .errors import Failure


def write_atomic(path: str, data: bytes, mode: int = 0o644, owner: Optional[tuple[int, int]] = None) -> None:
    """Replace ``path`` by ``data`` in one rename, synced to disk, with the final mode and owner from the first byte on.

    :param owner: ``(uid, gid)``; the caller's own where it is not given.
    :raises Failure: when the folder is missing, full or not writable; the former file is then untouched.
    """
    folder = os.path.dirname(path) or "."
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(path)}.", dir=folder)
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        sync_directory(folder)
    except OSError as error:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        remedy = "create its folder first" if error.errno == errno.ENOENT else "free space there, correct its owner and mode, or run with `become: true`"
        raise Failure(f"Writing {path} failed: {error.strerror}", remedy, subject=path, answer=str(error)) from error


def sync_directory(folder: str) -> None:
    """Make renames in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: str) -> Optional[bytes]:
    """The file's content, or ``None`` where there is none. :raises Failure: when it exists and cannot be read."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Failure(
            f"Reading {path} failed: {error.strerror}", "correct its owner and mode, or run with `become: true`", subject=path, answer=str(error)
        ) from error


def read_json(path: str) -> Optional[dict[str, Any]]:
    """The JSON object in ``path``, or ``None`` where there is no file. :raises Failure: when it is not a JSON object."""
    content = read_bytes(path)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except ValueError as error:
        raise Failure(f"{path} is not valid JSON: {error}", "restore the file from a backup or correct it by hand", subject=path) from error
    if not isinstance(value, dict):
        raise Failure(f"{path} holds no JSON object", "restore the file from a backup or correct it by hand", subject=path)
    return value


def json_bytes(value: Any) -> bytes:
    """``value`` as JSON for people: indented, sorted, with a final newline."""
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def is_populated(folder: str) -> bool:
    """True where ``folder`` exists and holds anything but ``lost+found``."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name != "lost+found" for entry in entries)
    except FileNotFoundError:
        return False
    except NotADirectoryError as error:
        raise Failure(f"{folder} is no folder", "move it away, or name another folder", subject=folder) from error
    except OSError as error:
        raise Failure(f"Looking into {folder} failed: {error.strerror}", "correct its owner and mode, or run with `become: true`", subject=folder) from error
