# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of a collection as they stand on the server: a cursor whose batches are bytes, and inserts of such bytes.

By plain commands, not by the driver's collections: those refuse names that servers have, decode what need not be decoded, and cost
time for each document.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Optional, Union

from ..core.errors import Failure
from .clients import raw
from .frames import frames
from .metadata import Namespace

try:
    from pymongo.errors import PyMongoError
except ImportError:
    PyMongoError = Exception

#: What one batch should hold: big enough that round trips do not count, small enough for a few in memory.
BATCH_BYTES = 4 * 1024 * 1024
_MOST_DOCUMENTS = 50_000
#: What one insert carries at most, but for a single document that is larger: far below the 48 MB of a message.
_INSERT_BYTES = 8 * 1024 * 1024
_EMBEDDED = 0x03
_SMALLEST = 5
_LENGTH = struct.Struct("<i").unpack_from


def batch_size(bytes_seen: int, documents_seen: int) -> int:
    """How many documents to ask for at once, so that they are about `BATCH_BYTES`."""
    if not documents_seen:
        return 1000
    return max(1, min(_MOST_DOCUMENTS, BATCH_BYTES * documents_seen // max(1, bytes_seen)))


def raw_batches(
    client: Any, namespace: Namespace, query: Optional[Mapping[str, Any]] = None, hint: Optional[Mapping[str, Any]] = None, average: int = 0
) -> Iterator[bytes]:
    """Yield the documents that fit ``query``, as bytes of whole documents one after the other.

    :param hint: which index or order to read by; None leaves it to the server.
    :param average: bytes of a document as far as known, for the first batch.
    :raises pymongo.errors.PyMongoError: for whatever comes in between.
    :raises Failure: for an answer that is none.
    """
    database = client.get_database(namespace.database)
    command: dict[str, Any] = {"find": namespace.collection, "filter": dict(query or {}), "batchSize": batch_size(average, 1) if average else 1000}
    if hint:
        command["hint"] = dict(hint)
    seen = documents = 0
    # A cursor belongs to the session that opened it, and the session keeps it alive.
    with client.start_session() as session:
        cursor = database.command(command, codec_options=raw(), session=session)["cursor"]
        identity, batch = int(cursor["id"]), "firstBatch"
        try:
            while True:
                found, number = joined(cursor.raw, batch)
                if found:
                    yield found
                seen, documents = seen + len(found), documents + number
                if not identity:
                    return
                more = {"getMore": cursor["id"], "collection": namespace.collection, "batchSize": batch_size(seen, documents)}
                cursor = database.command(more, codec_options=raw(), session=session)["cursor"]
                identity, batch = int(cursor["id"]), "nextBatch"
        finally:
            if identity:
                _kill(database, namespace, cursor["id"], session)


def _kill(database: Any, namespace: Namespace, identity: Any, session: Any) -> None:
    """Tell the server that a cursor is no longer read; where that fails it ends by itself."""
    try:
        database.command({"killCursors": namespace.collection, "cursors": [identity]}, session=session)
    except PyMongoError:
        pass


def joined(cursor: bytes, batch: str) -> tuple[bytes, int]:
    """The documents of an answer's ``cursor`` without the array around them, and their number.

    :param cursor: BSON of ``{firstBatch | nextBatch: [...], id: ..., ns: ...}``.
    """
    view = memoryview(cursor)
    start = _array(cursor, batch.encode())
    end = start + _LENGTH(view, start)[0] - 1
    position, documents = start + 4, []
    digits, index, longer = 1, 0, 10
    while position < end:
        # A type byte, the index in decimal, a NUL, and the document.
        if index == longer:
            digits, longer = digits + 1, longer * 10
        body = position + digits + 2
        length = _LENGTH(view, body)[0]
        if view[position] != _EMBEDDED or view[body - 1] or length < _SMALLEST or body + length > end:
            raise _broken(f"element {index} of its batch is no document")
        position = body + length
        documents.append(view[body:position])
        index += 1
    return b"".join(documents), index


def _array(cursor: bytes, name: bytes) -> int:
    """Where the array of that name begins in a cursor: servers put it at the start or behind id and ns."""
    position = 4
    while position < len(cursor) - 1:
        kind, end = cursor[position], cursor.index(b"\0", position)
        value = end + 1
        if cursor[position + 1 : end] == name:
            return value
        position = value + _size(kind, cursor, value)
    raise _broken(f"there is no {name.decode()} in it")


def _size(kind: int, data: bytes, position: int) -> int:
    """The size of a value of the few types that a cursor's answer has."""
    if kind == 0x02:
        return 4 + _LENGTH(data, position)[0]
    if kind in (0x03, 0x04):
        return _LENGTH(data, position)[0]
    sizes = {0x01: 8, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
    if kind not in sizes:
        raise _broken(f"it has a value of type {kind:#x}")
    return sizes[kind]


def _broken(reason: str) -> Failure:
    return Failure(f"The answer of MongoDB to a read cannot be understood: {reason}", "report it with the server's make and version", answer=reason)


class Documents:
    """Whole documents, one after the other, that the driver copies into an insert as they are, as it does with one `RawBSONDocument`."""

    # What the driver's encoders, the one in C too, take for a document whose bytes are in `raw`.
    _type_marker = 101

    def __init__(self, documents: Union[bytes, bytearray, memoryview]) -> None:
        self.raw = bytes(documents)


def split(documents: Union[bytes, memoryview], most: int) -> Iterator[tuple[memoryview, int]]:
    """Cut a buffer of whole documents into parts that one insert takes, each with its number of documents.

    :param most: documents that one insert takes.
    :raises BrokenBson: when it holds anything else.
    """
    view = memoryview(documents)
    start = end = number = 0
    for document in frames(view):
        if number == most or (number and end + len(document) - start > _INSERT_BYTES):
            yield view[start:end], number
            start, number = end, 0
        end += len(document)
        number += 1
    if number:
        yield view[start:end], number
