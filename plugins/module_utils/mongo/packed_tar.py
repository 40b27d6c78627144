# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A packed tar that is put together of small bytes and of large files that were packed beforehand."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from ..core import gzip_members
from ..core.errors import Failure

_CHUNK = 1024 * 1024
_STORED = 0  # the level of zlib that does not pack
_GZIP = zlib.MAX_WBITS | 16
_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
_END = b"\0" * (2 * tarfile.BLOCKSIZE)


class Segment(Protocol):
    """Documents that a worker packed."""

    @property
    def path(self) -> Path:
        """A file of whole gzip members."""

    @property
    def size(self) -> int:
        """Bytes before packing."""

    @property
    def packed(self) -> int:
        """Bytes of the file."""


class PackedTar:
    """Writes a tar as gzip members. Whoever reads it sees one stream.

    :param out: where it goes; left open.
    :param time: of all members, in seconds since 1970.
    """

    def __init__(self, out: BinaryIO, time: int = 0) -> None:
        self._out = out
        self._time = time
        self._pending: list[bytes] = []
        self._folders: set[str] = set()
        self._missing = self._padding = 0

    def begin(self, path: str, size: int) -> None:
        """A file of ``size`` bytes follows; folders above it are made where they were not yet."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            self.folder("/".join(parts[:depth]))
        self._header(path, size, tarfile.REGTYPE, _FILE_MODE)
        self._missing, self._padding = size, -size % tarfile.BLOCKSIZE

    def folder(self, path: str) -> None:
        """A folder, unless it was made before."""
        if path not in self._folders:
            self._folders.add(path)
            self._header(path, 0, tarfile.DIRTYPE, _FOLDER_MODE)

    def put(self, content: bytes) -> None:
        """More of the file, which is packed here."""
        self._count(len(content))
        self._pending.append(content)

    def put_unpacked(self, segment: Segment) -> None:
        """More of the file: what a segment holds; its bytes go into the tar as they are. :raises Failure: when they changed or cannot be read."""
        self._count(segment.size)
        self._flush()
        copy(segment, self._out)

    def put_packed(self, segment: Segment) -> None:
        """More of the file: a segment as it is, packed. :raises Failure: when it changed or cannot be read."""
        self._count(segment.packed)
        self._flush()
        stored = zlib.compressobj(_STORED, zlib.DEFLATED, _GZIP)
        copy(segment, _Through(stored, self._out))
        self._out.write(stored.flush())

    def end(self) -> None:
        """That was all of the file."""
        if self._missing:
            raise AssertionError(f"{self._missing} bytes of the member are missing")
        self._pending.append(b"\0" * self._padding)

    def close(self) -> None:
        """That was all of the tar."""
        self._pending.append(_END)
        self._flush()

    def _header(self, path: str, size: int, kind: bytes, mode: int) -> None:
        member = tarfile.TarInfo(path)
        member.size, member.type, member.mode, member.mtime = size, kind, mode, self._time
        self._pending.append(member.tobuf(tarfile.PAX_FORMAT))

    def _count(self, size: int) -> None:
        self._missing -= size
        if self._missing < 0:
            raise AssertionError(f"the member has {-self._missing} bytes too many")

    def _flush(self) -> None:
        content, self._pending = b"".join(self._pending), []
        if content:
            self._out.write(gzip_members.pack(content))


class _Through:
    """Writes what a compressor makes of what is written."""

    def __init__(self, packer: object, out: BinaryIO) -> None:
        self._packer = packer
        self._out = out

    def write(self, content: bytes) -> None:
        self._out.write(self._packer.compress(content))  # type: ignore[attr-defined]


class Sink(Protocol):
    """Where bytes go."""

    def write(self, content: bytes, /) -> object:
        """Write all of it."""


def copy(segment: Segment, out: Sink) -> None:
    """Write the file of a segment as it is. :raises Failure: when it is not as large as it was, or cannot be read."""
    left = segment.packed
    with opened(segment) as file:
        while chunk := file.read(_CHUNK):
            left -= len(chunk)
            out.write(chunk)
    if left:
        raise _changed(segment.path, f"it has {segment.packed - left} bytes, not {segment.packed}")


def opened(segment: Segment) -> BinaryIO:
    """The file of a segment. :raises Failure: when it cannot be opened."""
    try:
        return open(segment.path, "rb")
    except OSError as error:
        raise _changed(segment.path, error.strerror or str(error)) from error


def _changed(path: Path, answer: str) -> Failure:
    return Failure(
        f"{path} changed before it was put into the dump: {answer}", "leave that folder to the backup alone and start again", subject=str(path), answer=answer
    )


def sizes(segments: Sequence[Segment]) -> tuple[int, int]:
    """Bytes of several segments before and after packing."""
    return sum(segment.size for segment in segments), sum(segment.packed for segment in segments)
