# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where one BSON document ends and the next begins, without a look at what is in between (https://bsonspec.org/spec.html).

A document is its length (32 bits, little endian, itself included), its elements, and a zero byte.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Optional, Union

Buffer = Union[bytes, bytearray, memoryview]

#: The greatest document that servers store is 16 MiB; what they keep for themselves (buckets, the oplog) may be 16 KiB larger.
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024 + 16 * 1024
MIN_DOCUMENT_BYTES = 5
LENGTH = struct.Struct("<i")

_FIXED_SIZES = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}
_EMPTY = frozenset((0x06, 0x0A, 0x7F, 0xFF))
_STRINGS = frozenset((0x02, 0x0D, 0x0E))
_SIZED_WHOLE = frozenset((0x03, 0x04, 0x0F))
_BINARY, _REGEX, _POINTER = 0x05, 0x0B, 0x0C


class BrokenBson(ValueError):
    """Bytes that are no BSON documents.

    :param offset: where the broken document begins, in bytes from the start of what was looked at.
    :param reason: what is wrong there, as a clause.
    """

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"at byte {offset}: {reason}")
        self.offset = offset
        self.reason = reason

    def later(self, bytes_before: int) -> BrokenBson:
        """The same fault, counted from ``bytes_before`` bytes further ahead."""
        return BrokenBson(self.offset + bytes_before, self.reason)


def broken_at(view: memoryview, offset: int) -> BrokenBson:
    """What is wrong with the document that begins at ``offset``, for loops that noticed that something is."""
    left = len(view) - offset
    if left < LENGTH.size:
        return BrokenBson(offset, f"only {left} bytes are left of the length of a document")
    (length,) = LENGTH.unpack_from(view, offset)
    if not MIN_DOCUMENT_BYTES <= length <= MAX_DOCUMENT_BYTES:
        return BrokenBson(offset, f"a document claims to have {length} bytes")
    if length > left:
        return BrokenBson(offset, f"a document of {length} bytes is cut off after {left}")
    return BrokenBson(offset, f"a document of {length} bytes does not end in a zero byte")


def frames(buffer: Buffer) -> Iterator[memoryview]:
    """Each document of a buffer that holds whole ones. :raises BrokenBson: when it holds anything else."""
    view = memoryview(buffer)
    size, offset, unpack = len(view), 0, LENGTH.unpack_from
    try:
        while offset < size:
            (length,) = unpack(view, offset)
            end = offset + length
            if not MIN_DOCUMENT_BYTES <= length <= MAX_DOCUMENT_BYTES or end > size or view[end - 1]:
                break
            yield view[offset:end]
            offset = end
        else:
            return
    except struct.error:
        pass
    raise broken_at(view, offset)


def split_whole(buffer: Buffer) -> tuple[memoryview, memoryview]:
    """The whole documents at the start of a piece of a stream, and the rest, which the next piece continues.

    :raises BrokenBson: when a length cannot be right, or a document does not end as it should.
    """
    view = memoryview(buffer)
    dummy, end = measure(view)
    return view[:end], view[end:]


def count_documents(buffer: Buffer) -> int:
    """How many documents a buffer of whole ones holds. :raises BrokenBson: when it holds anything else."""
    view = memoryview(buffer)
    count, end = measure(view)
    if end != len(view):
        raise broken_at(view, end)
    return count


def measure(view: memoryview, terminator: Optional[int] = None) -> tuple[int, int]:
    """How many whole documents there are at the start, and where the last of them ends.

    :param terminator: what stands in place of a length where documents end; what follows it is not looked at.
    :raises BrokenBson: when a length cannot be right, or a document does not end as it should.
    """
    size, offset, count, unpack = len(view), 0, 0, LENGTH.unpack_from
    while size - offset >= MIN_DOCUMENT_BYTES:
        (length,) = unpack(view, offset)
        if length == terminator:
            break
        end = offset + length
        if not MIN_DOCUMENT_BYTES <= length <= MAX_DOCUMENT_BYTES or (end <= size and view[end - 1]):
            raise broken_at(view, offset)
        if end > size:
            break
        offset = end
        count += 1
    return count, offset


def id_of(document: Buffer) -> tuple[int, bytes]:
    """The type byte of a document's ``_id`` and its raw value; type 0 and no bytes where it has none.

    :raises BrokenBson: when the elements before it, or its own, do not fit into the document.
    """
    view = memoryview(document)
    offset, end = LENGTH.size, len(view) - 1
    while offset < end:
        kind = view[offset]
        name_end = zero_after(view, offset + 1, end)
        name, start = bytes(view[offset + 1 : name_end]), name_end + 1
        offset = start + value_size(view, start, end, kind)
        if offset > end:
            raise BrokenBson(start, f"the value of an element of type {kind} reaches beyond its document")
        if name == b"_id":
            return kind, bytes(view[start:offset])
    return 0, b""


def value_size(view: memoryview, start: int, end: int, kind: int) -> int:
    """Bytes of an element's value, which may reach beyond ``end``. :raises BrokenBson: when its type or length makes no sense."""
    if kind in _FIXED_SIZES:
        return _FIXED_SIZES[kind]
    if kind in _EMPTY:
        return 0
    if kind == _REGEX:
        return zero_after(view, zero_after(view, start, end) + 1, end) + 1 - start
    if end - start < LENGTH.size:
        raise BrokenBson(start, f"an element of type {kind} has no length")
    (length,) = LENGTH.unpack_from(view, start)
    extra = {_BINARY: 5, _POINTER: 16}.get(kind, 4 if kind in _STRINGS else 0 if kind in _SIZED_WHOLE else None)
    if extra is None:
        raise BrokenBson(start, f"there is no type {kind} of elements")
    if length < 0 or length + extra < LENGTH.size:
        raise BrokenBson(start, f"an element of type {kind} claims to have {length} bytes")
    return int(length) + extra


def zero_after(view: memoryview, start: int, end: int) -> int:
    """Where the next zero byte is. :raises BrokenBson: when there is none before ``end``."""
    for position in range(start, end):
        if not view[position]:
            return position
    raise BrokenBson(start, "a name or pattern does not end within its document")
