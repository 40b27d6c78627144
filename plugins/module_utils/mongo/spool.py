# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents on their way into a dump: one gzip member in a file of its own, packed while they are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Optional

from ..core.errors import Failure
from ..core.gzip_members import Buffer, MemberWriter

_BUFFER = 1024 * 1024


@dataclass(frozen=True)
class Segment:
    """Packed bytes, ready to be put into an archive.

    :param path: a file with one gzip member.
    :param size: bytes before packing.
    :param packed: bytes of the file.
    :param crc: CRC-32 of the bytes before packing.
    """

    path: Path
    size: int
    packed: int
    crc: int


class Spool:
    """Packs what is written to it into a new file; left by an error, it removes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _writing(path):
            self._file = path.open("xb", buffering=_BUFFER)
        self._member = MemberWriter(self._file)

    def write(self, data: Buffer) -> None:
        """Add bytes. :raises Failure: when there is no room for them."""
        with _writing(self.path):
            self._member.write(data)

    def finish(self) -> Segment:
        """Write what is left. :raises Failure: when there is no room for it."""
        with _writing(self.path):
            self._member.close()
            self._file.close()
        return Segment(self.path, self._member.raw_size, self._member.packed_size, self._member.crc)

    def abandon(self) -> None:
        """Remove the file; what was written is of no use."""
        try:
            self._file.close()
        except OSError:
            pass  # what did not get to the disk is not wanted there
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if kind is not None:
            self.abandon()


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Tell what the file system refuses."""
    try:
        yield
    except OSError as error:
        answer = error.strerror or str(error)
        raise Failure(f"{path} cannot be written: {answer}", "make room there, or choose another folder", subject=str(path), answer=answer) from error
