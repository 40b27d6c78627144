# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""gzip as a chain of members, each packed on its own: by several threads at once, or by a worker beforehand.

RFC 1952 lets a file hold any number of members one after another, and GNU gzip, Python and Node.js read such a file as one stream. ISA-L packs
where the library ``isal`` is installed; the standard library does it otherwise, slower and with the same result for a reader.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Union

from .errors import Failure

try:
    from isal import isal_zlib as _isal
except ImportError:
    _isal = None

Buffer = Union[bytes, bytearray, memoryview]

BLOCK = 1024 * 1024
#: What is read at once: a chain of tiny members costs the square of it.
_CHUNK = 64 * 1024
_MAGIC = b"\x1f\x8b"
_GZIP = 31  # window bits that mean: with gzip's header and trailer
#: Of each library its own scale: both are some four times as fast as the level 6 of gzip, for an archive that is a little larger.
_LEVELS = {"isal": 2, "zlib": 2}


@dataclass(frozen=True)
class Engine:
    """A library that packs and unpacks, with the interface of ``zlib``."""

    name: str
    library: Any

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        return (zlib.error, self.library.error)

    def compressor(self) -> Any:
        return self.library.compressobj(_LEVELS[self.name], zlib.DEFLATED, _GZIP)

    def decompressor(self) -> Any:
        return self.library.decompressobj(_GZIP)


def engines() -> list[Engine]:
    """What is at hand, the fastest first."""
    return [*([Engine("isal", _isal)] if _isal else []), Engine("zlib", zlib)]


ENGINE = engines()[0]


def pack(data: Buffer, engine: Engine = ENGINE) -> bytes:
    """``data`` as one whole member."""
    packer = engine.compressor()
    return packer.compress(data) + packer.flush()


class MemberWriter:
    """One member, written piece by piece, as a worker does to a spool file.

    ``raw_size`` and ``crc`` tell what went in, ``packed_size`` what came out; all are final after ``close``, which leaves the file open.
    """

    def __init__(self, out: BinaryIO, engine: Engine = ENGINE) -> None:
        self._out = out
        self._packer = engine.compressor()
        self._crc32 = engine.library.crc32
        self.raw_size = self.packed_size = self.crc = 0

    def write(self, data: Buffer) -> int:
        size = len(data)
        self.raw_size += size
        self.crc = self._crc32(data, self.crc)
        self._put(self._packer.compress(data))
        return size

    def close(self) -> None:
        self._put(self._packer.flush())

    def _put(self, packed: bytes) -> None:
        self.packed_size += len(packed)
        self._out.write(packed)


@dataclass
class Mark:
    """A border between two members; its place in the file is known once what came before it is written."""

    raw_size: int
    packed_size: int = 0
    place: int = 0


class MembersWriter:
    """A stream cut into blocks of 1 MiB, each a member of its own, packed by ``workers`` threads and written in order.

    Holds two blocks a worker in memory. ``close`` writes what is left and leaves the file open.
    """

    def __init__(self, out: BinaryIO, workers: int = 0, engine: Engine = ENGINE) -> None:
        self._out = out
        self._engine = engine
        self._workers = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="pack")
        self._packing: deque[Union[Future[bytes], Mark]] = deque()
        self._pieces: list[bytes] = []
        self._gathered = 0
        self.raw_size = self.packed_size = 0

    def __enter__(self) -> MembersWriter:
        return self

    def __exit__(self, kind: Any, *dummy: Any) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def write(self, data: bytes) -> int:
        """Take ``data``, which must not change any more."""
        self._pieces.append(data)
        self._gathered += len(data)
        self.raw_size += len(data)
        if self._gathered >= BLOCK:
            self._submit()
        return len(data)

    def append_packed(self, members: bytes, raw_size: int) -> None:
        """Put members that are packed already behind what was written; they hold ``raw_size`` bytes."""
        self.flush()
        self.raw_size += raw_size
        self._put(members)

    def flush(self) -> None:
        """Have all that was taken in the file, the last member ended."""
        self._submit()
        while self._packing:
            self._write_next()

    def mark(self) -> Mark:
        """A place to ``go_back`` to, with a new member from there on; the file must be one that can be truncated."""
        self._submit()
        mark = Mark(self.raw_size)
        self._packing.append(mark)
        return mark

    def go_back(self, mark: Mark) -> None:
        """Forget what was written since ``mark``."""
        self._pieces, self._gathered = [], 0
        self.flush()
        self.raw_size, self.packed_size = mark.raw_size, mark.packed_size
        self._out.seek(mark.place)
        self._out.truncate()

    def close(self) -> None:
        try:
            self.flush()
            if not self.packed_size:
                self._put(pack(b"", self._engine))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """End the threads without writing any more."""
        for waiting in self._packing:
            if not isinstance(waiting, Mark):
                waiting.cancel()
        self._packing.clear()
        self._pool.shutdown()

    def _submit(self) -> None:
        if not self._gathered:
            return
        block, self._pieces, self._gathered = b"".join(self._pieces), [], 0
        self._packing.append(self._pool.submit(pack, block, self._engine))
        while len(self._packing) > 2 * self._workers:
            self._write_next()

    def _write_next(self) -> None:
        waiting = self._packing.popleft()
        if isinstance(waiting, Mark):
            waiting.packed_size, waiting.place = self.packed_size, self._out.tell()
        else:
            self._put(waiting.result())

    def _put(self, packed: bytes) -> None:
        self.packed_size += len(packed)
        self._out.write(packed)


class MembersReader:
    """The stream that a chain of members holds, read with a bounded part of it in memory, whatever its ratio.

    :param source: what to call the file in a sentence.
    """

    def __init__(self, stream: BinaryIO, source: str, engine: Engine = ENGINE) -> None:
        self._blocks = unpacked(stream, source, engine)
        self._block = memoryview(b"")

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer only at the end. :raises Failure: when the file is damaged."""
        if size <= len(self._block):
            taken, self._block = self._block[:size], self._block[size:]
            return bytes(taken)
        parts, missing = [self._block], size - len(self._block)
        self._block = memoryview(b"")
        while missing:
            block = memoryview(next(self._blocks, b""))
            if not block:
                break
            parts.append(block[:missing])
            self._block = block[missing:]
            missing -= len(parts[-1])
        return b"".join(parts)


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so is gzip's."""
    return start.startswith(_MAGIC)


def unpacked(stream: BinaryIO, source: str, engine: Engine = ENGINE) -> Iterator[bytes]:
    """Blocks of at most 1 MiB of what the members hold. Zeros behind the last one, as tapes have them, are let pass.

    :raises Failure: when the file is no gzip, is cut off, has other bytes behind its end, or fails a checksum.
    """
    pending = _read(stream, source)
    if not _MAGIC.startswith(pending[: len(_MAGIC)]):
        raise _damaged(source, "it does not begin as gzip does")
    decoder = engine.decompressor()
    while True:
        try:
            block = decoder.decompress(pending, BLOCK)
        except engine.errors as error:
            raise _damaged(source, str(error)) from error
        if block:
            yield block
        if decoder.eof:
            pending = decoder.unused_data or _read(stream, source)
            if not pending:
                return
            if not pending.strip(b"\0"):
                _only_zeros(stream, source)
                return
            if not _MAGIC.startswith(pending[: len(_MAGIC)]):
                raise _damaged(source, "other bytes follow its end")
            decoder = engine.decompressor()
        else:
            pending = decoder.unconsumed_tail or (b"" if len(block) == BLOCK else _next(stream, source))


def _next(stream: BinaryIO, source: str) -> bytes:
    chunk = _read(stream, source)
    if not chunk:
        raise _damaged(source, "it is cut off")
    return chunk


def _only_zeros(stream: BinaryIO, source: str) -> None:
    while chunk := _read(stream, source):
        if chunk.strip(b"\0"):
            raise _damaged(source, "other bytes follow its end")


def _read(stream: BinaryIO, source: str) -> bytes:
    try:
        return stream.read(_CHUNK)
    except OSError as error:
        raise Failure(f"Reading {source} failed: {error.strerror or error}", "see that the disk is well, and try again", subject=source) from error


def _damaged(source: str, answer: str) -> Failure:
    return Failure(f"{source} is no whole gzip file: {answer}", "take another copy of it", subject=source, answer=answer)
