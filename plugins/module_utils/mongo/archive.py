# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The format of `mongodump --archive`: a prelude that names all collections, then blocks of documents of one collection or another.

Source: mongo-tools 100, `common/archive`. After four bytes of magic comes one block of the prelude, whose header tells of versions and whose body has
one document for each collection. Every other block begins with a header that names its collection, and holds some of its documents; one with
``EOF`` ends the collection and has the CRC-64 of all its documents. A block ends with four bytes of ones.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..core.archives import Stream
from ..core.errors import Failure
from .frames import LENGTH, MIN_DOCUMENT_BYTES, BrokenBson, broken_at, measure

try:
    import bson
    from bson.errors import BSONError
except ImportError:
    bson = None

MAGIC = struct.pack("<I", 0x8199E26D)
TERMINATOR = b"\xff\xff\xff\xff"
VERSION = "0.1"

_TERMINATOR_AS_LENGTH = -1
_CHUNK = 1024 * 1024
_CRC_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Listed:
    """A collection in the prelude; an oplog has no database.

    :param metadata: what stands in `*.metadata.json` otherwise; empty where there is none.
    """

    database: str
    collection: str
    metadata: str
    type: str = ""


@dataclass(frozen=True)
class Prelude:
    """What an archive says of itself at its start."""

    server_version: str
    tool_version: str
    listed: tuple[Listed, ...]


@dataclass(frozen=True)
class Header:
    """The start of a block. ``crc`` counts where ``end``, without sign."""

    database: str
    collection: str
    end: bool = False
    crc: int = 0


def prelude_bytes(prelude: Prelude) -> bytes:
    """The start of an archive."""
    header = {"concurrent_collections": 1, "version": VERSION, "server_version": prelude.server_version, "tool_version": prelude.tool_version}
    documents = [bson.encode(header)]
    for each in prelude.listed:
        documents.append(bson.encode({"db": each.database, "collection": each.collection, "metadata": each.metadata, "size": 0, "type": each.type}))
    return MAGIC + b"".join(documents) + TERMINATOR


def header_bytes(header: Header) -> bytes:
    """The start of a block."""
    signed = header.crc - (1 << 64) if header.crc >> 63 else header.crc
    return bytes(bson.encode({"db": header.database, "collection": header.collection, "EOF": header.end, "CRC": bson.Int64(signed)}))


class Blocks:
    """Reads an archive from its start, with some MiB of it in memory.

    Every method raises ``BrokenBson`` with the place in the archive where it is not as it should be.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._buffer = b""
        self._position = 0
        self._before = 0

    def prelude(self) -> Prelude:
        """What stands at the start."""
        if not self._fill(len(MAGIC)) or not self._buffer.startswith(MAGIC):
            raise BrokenBson(0, "it does not begin as archives of mongodump do")
        self._position = len(MAGIC)
        header = self._decoded(self._document())
        if header.get("version") != VERSION:
            raise self._broken(f"its format is {header.get('version')!r}, where {VERSION!r} is known")
        listed = []
        while not self._terminated():
            listed.append(self._listed(self._decoded(self._document())))
        return Prelude(str(header.get("server_version", "")), str(header.get("tool_version", "")), tuple(listed))

    def header(self) -> Optional[Header]:
        """The start of the next block; ``None`` at the end of the archive."""
        if not self._fill(1):
            return None
        if self._terminated():
            raise self._broken("a block has no header")
        found = self._decoded(self._document())
        values = (found.get("db"), found.get("collection"), found.get("EOF"), found.get("CRC"))
        database, collection, end, crc = values
        if not (isinstance(database, str) and isinstance(collection, str) and collection and isinstance(end, bool) and isinstance(crc, int)):
            raise self._broken("a block does not say of which collection it is")
        return Header(database, collection, end, crc & _CRC_MASK)

    def body(self) -> Iterator[tuple[bytes, int]]:
        """The documents up to the end of the block: pieces of whole ones, each with how many there are."""
        while not self._terminated():
            view = memoryview(self._buffer)[self._position :]
            try:
                count, end = measure(view, _TERMINATOR_AS_LENGTH)
            except BrokenBson as error:
                raise error.later(self._place) from error
            if end:
                piece = bytes(view[:end])
                self._position += end
                yield piece, count
            else:
                (length,) = LENGTH.unpack_from(view)
                # Fewer bytes than any document has are not looked at by `measure`, whatever length they claim.
                if not self._fill(max(length, MIN_DOCUMENT_BYTES)):
                    raise self._cut_off()

    # -- bytes ------------------------------------------------------------------------------------------------------------

    @property
    def _place(self) -> int:
        return self._before + self._position

    def _document(self) -> bytes:
        if not self._fill(LENGTH.size):
            raise self._cut_off()
        (length,) = LENGTH.unpack_from(self._buffer, self._position)
        if length > 0 and not self._fill(length):
            raise self._cut_off()
        view = memoryview(self._buffer)[self._position : self._position + max(length, 0)]
        try:
            count, end = measure(view)
            if count != 1:
                raise broken_at(memoryview(self._buffer)[self._position :], 0)
        except BrokenBson as error:
            raise error.later(self._place) from error
        self._position += end
        return bytes(view)

    def _terminated(self) -> bool:
        """Whether a block ends here; its mark is passed over."""
        if not self._fill(len(TERMINATOR)):
            raise self._cut_off()
        if not self._buffer.startswith(TERMINATOR, self._position):
            return False
        self._position += len(TERMINATOR)
        return True

    def _fill(self, size: int) -> bool:
        """Have ``size`` bytes at hand. False where the archive has fewer."""
        missing = size - (len(self._buffer) - self._position)
        if missing > 0:
            parts = [self._buffer[self._position :]]
            while missing > 0 and (chunk := self._stream.read(max(missing, _CHUNK))):
                parts.append(chunk)
                missing -= len(chunk)
            self._before += self._position
            self._buffer, self._position = b"".join(parts), 0
        return missing <= 0

    # -- documents of the format itself -----------------------------------------------------------------------------------

    def _decoded(self, document: bytes) -> Mapping[str, Any]:
        try:
            return dict(bson.decode(document))
        except BSONError as error:
            raise self._broken(f"a document of the archive itself cannot be read: {error}") from error

    def _listed(self, found: Mapping[str, Any]) -> Listed:
        values = [found.get(name, default) for name, default in (("db", None), ("collection", None), ("metadata", ""), ("type", ""))]
        if not all(isinstance(value, str) for value in values) or not values[1]:
            raise self._broken("the list of collections is not as mongodump writes it")
        return Listed(*values)

    def _cut_off(self) -> BrokenBson:
        return self._broken("it is cut off")

    def _broken(self, reason: str) -> BrokenBson:
        return BrokenBson(self._place, reason)


def need_library() -> None:
    """:raises Failure: where the library for BSON is missing."""
    if bson is None:
        raise Failure("The Python library pymongo is missing", "run role `toucan_host` on this host first")
