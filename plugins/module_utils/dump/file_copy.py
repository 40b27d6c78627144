# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file into an archive while others may write to it: read again until it held still."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from ..core import tar_headers
from ..core.archives import odd_mode
from ..core.gzip_members import MembersWriter
from ..core.progress import Progress
from ..core.tar_headers import Header

#: A larger file is not held in memory: reading it again goes back in the archive.
SMALL = 1024 * 1024
ATTEMPTS = 3
_PAUSE = 0.05  # seconds before a file is read again, times the number of the attempt
#: Two writes within one tick of the kernel's clock (10 ms at most) may leave the same time on a file.
_TICK_NS = 20_000_000


@dataclass(frozen=True)
class Copied:
    """What went into the archive: content as it was written, and ``note`` where the file did not hold still."""

    status: os.stat_result
    size: int
    sha256: bytes
    note: str = ""


class FileCopier:
    """Writes files into an archive.

    :param can_go_back: whether the archive can forget what was written last; else a large file is read once.
    """

    def __init__(self, archive: MembersWriter, can_go_back: bool, progress: Progress, sleep: Callable[[float], None] = time.sleep) -> None:
        self._archive = archive
        self._can_go_back = can_go_back
        self._progress = progress
        self._sleep = sleep

    def copy(self, parent: int, path: bytes) -> Copied:
        """The file at ``path``, the last name of which is in the open folder ``parent``.

        :raises OSError: when it cannot be read; ``ENOENT``, ``ELOOP`` or ``ENXIO`` when it is none any more.
        """
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            descriptor = os.open(os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
            try:
                status = self._settled(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.ENXIO, "it is no file any more")
                copied = (self._small if status.st_size <= SMALL else self._large)(descriptor, path, status, last)
            finally:
                os.close(descriptor)
            if copied is not None:
                return copied
            self._sleep(attempt * _PAUSE)
        raise AssertionError("the last attempt always copies")

    def _settled(self, descriptor: int) -> os.stat_result:
        """What the file is like, once a write from now on would change its times."""
        status = os.fstat(descriptor)
        if abs(time.time_ns() - status.st_ctime_ns) < _TICK_NS:
            self._sleep(_TICK_NS / 10**9)
            status = os.fstat(descriptor)
        return status

    def _small(self, descriptor: int, path: bytes, status: os.stat_result, last: bool) -> Optional[Copied]:
        content = _read(descriptor, status.st_size)
        held = len(content) == status.st_size and _same(status, os.fstat(descriptor))
        if not held and not last:
            return None
        self._archive.write(tar_headers.encode(header_of(path, tar_headers.FILE, status, len(content))))
        self._archive.write(content + bytes(tar_headers.padding(len(content))))
        self._progress.advance(len(content))
        return Copied(status, len(content), hashlib.sha256(content).digest(), _note(held))

    def _large(self, descriptor: int, path: bytes, status: os.stat_result, last: bool) -> Optional[Copied]:
        mark = self._archive.mark() if self._can_go_back and not last else None
        self._archive.write(tar_headers.encode(header_of(path, tar_headers.FILE, status, status.st_size)))
        read, sha256 = self._stream(descriptor, status.st_size)
        held = read == status.st_size and _same(status, os.fstat(descriptor))
        if not held and mark is not None:
            self._archive.go_back(mark)
            return None
        return Copied(status, status.st_size, sha256, _note(held))

    def _stream(self, descriptor: int, size: int) -> tuple[int, bytes]:
        """As many bytes as the header told; zeros stand for those that went away. Returns how many were there."""
        sha256, left = hashlib.sha256(), size
        while left:
            chunk = os.read(descriptor, min(left, SMALL))
            if not chunk:
                break
            self._put(chunk, sha256)
            left -= len(chunk)
        read = size - left
        while left:
            self._put(bytes(min(left, SMALL)), sha256)
            left -= min(left, SMALL)
        self._archive.write(bytes(tar_headers.padding(size)))
        return read, sha256.digest()

    def _put(self, chunk: bytes, sha256: hashlib._Hash) -> None:
        self._archive.write(chunk)
        sha256.update(chunk)
        self._progress.advance(len(chunk))


def header_of(path: bytes, kind: bytes, status: os.stat_result, size: int = 0, target: bytes = b"") -> Header:
    """A header with what ``status`` tells, without the bits of its mode that a restore would refuse."""
    mode = 0o777 if kind == tar_headers.SYMLINK else kept_mode(kind, status)
    return Header(path, kind, mode, status.st_uid, status.st_gid, size, status.st_mtime_ns, target)


def kept_mode(kind: bytes, status: os.stat_result) -> int:
    """The mode as it is stored."""
    mode = stat.S_IMODE(status.st_mode)
    return mode & ~odd_mode(kind, mode)


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)


def _note(held: bool) -> str:
    return "" if held else "did not hold still during the copy, so that its parts may be of different times"


def _read(descriptor: int, size: int) -> bytes:
    """``size`` bytes, fewer only at the end."""
    content = os.read(descriptor, size)
    while len(content) < size and (more := os.read(descriptor, size - len(content))):
        content += more
    return content
