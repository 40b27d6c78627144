# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of a collection as they stand on the server: a cursor whose batches are bytes, and inserts of such bytes.

By plain commands, not by the driver's collections: those refuse names that servers have, decode what need not be decoded, and cost
time for each document.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from ..core.errors import Failure
from .clients import raw
from .frames import frames
from .metadata import Namespace

try:
    from bson import Int64
    from pymongo.errors import PyMongoError
except ImportError:
    PyMongoError = Exception

#: What one batch should hold: big enough that round trips do not count, small enough for a few in memory.
BATCH_BYTES = 4 * 1024 * 1024
_MOST_DOCUMENTS = 50_000
#: What one insert carries at most, but for a single document that is larger: far below the 48 MB of a message.
_INSERT_BYTES = 8 * 1024 * 1024
_STRING, _EMBEDDED, _ARRAY, _INT64 = 0x02, 0x03, 0x04, 0x12
_SMALLEST = 5
_LENGTH, _NUMBER = struct.Struct("<i").unpack_from, struct.Struct("<q").unpack_from


def batch_size(bytes_seen: int, documents_seen: int) -> int:
    """How many documents to ask for at once, so that they are about `BATCH_BYTES`."""
    if not documents_seen:
        return 1000
    return max(1, min(_MOST_DOCUMENTS, BATCH_BYTES * documents_seen // max(1, bytes_seen)))


def raw_batches(
    client: Any, namespace: Namespace, query: Optional[Mapping[str, Any]] = None, hint: Optional[Mapping[str, Any]] = None, average: int = 0
) -> Generator[bytes, None, None]:
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
        identity = 0
        try:
            while True:
                # By its bytes: asked for a field, the driver would make an object of each document.
                batch = joined(database.command(command, codec_options=raw(), session=session)["cursor"].raw)
                identity = batch.cursor
                if batch.documents:
                    yield batch.documents
                if not identity:
                    return
                seen, documents = seen + len(batch.documents), documents + batch.count
                command = {"getMore": Int64(identity), "collection": namespace.collection, "batchSize": batch_size(seen, documents)}
        finally:
            if identity:
                _kill(database, namespace, identity, session)


def _kill(database: Any, namespace: Namespace, identity: int, session: Any) -> None:
    """Tell the server that a cursor is no longer read; where that fails it ends by itself."""
    try:
        database.command({"killCursors": namespace.collection, "cursors": [Int64(identity)]}, session=session)
    except PyMongoError:
        pass


@dataclass(frozen=True)
class Batch:
    """What a read answered.

    :param documents: one after the other.
    :param cursor: the number by which there is more; 0 at the end.
    """

    documents: bytes
    count: int
    cursor: int


def joined(cursor: bytes) -> Batch:
    """Take the documents out of the array around them.

    :param cursor: BSON of ``{firstBatch | nextBatch: [...], id: ..., ns: ...}``, in any order.
    :raises Failure: where it is none.
    """
    places = {name: (kind, place) for kind, name, place in _elements(cursor)}
    array = places.get(b"firstBatch") or places.get(b"nextBatch")
    number = places.get(b"id")
    if array is None or array[0] != _ARRAY:
        raise _broken("there is no batch in it")
    if number is None or number[0] != _INT64:
        raise _broken("there is no cursor's number in it")
    view = memoryview(cursor)
    documents = list(_documents(view, array[1]))
    return Batch(b"".join(documents), len(documents), _NUMBER(view, number[1])[0])


def _documents(view: memoryview, start: int) -> Iterator[memoryview]:
    """The embedded documents of an array."""
    end, position = start + _LENGTH(view, start)[0] - 1, start + 4
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
        yield view[body:position]
        index += 1


def _elements(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The type, name and place of each value of a document that has few of them."""
    position = 4
    while position < len(data) - 1:
        end = data.index(b"\0", position)
        yield data[position], data[position + 1 : end], end + 1
        position = end + 1 + _size(data[position], data, end + 1)


def _size(kind: int, data: bytes, position: int) -> int:
    """The size of a value of the few types that a cursor's answer has."""
    if kind == _STRING:
        return 4 + _LENGTH(data, position)[0]
    if kind in (_EMBEDDED, _ARRAY):
        return _LENGTH(data, position)[0]
    sizes = {0x01: 8, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, _INT64: 8}
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
