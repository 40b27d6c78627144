# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether BSON documents are sound within their frames, by the grammar alone (https://bsonspec.org/spec.html).

The driver's decoder goes first, as it is many times as fast. It is stricter than servers, which store for example a UUID of the wrong length; so what
it refuses is judged again by the grammar.
"""

from __future__ import annotations

from .frames import LENGTH, MIN_DOCUMENT_BYTES, BrokenBson, Buffer, frames, value_size, zero_after

try:
    import bson
    from bson.codec_options import CodecOptions, DatetimeConversion
    from bson.errors import BSONError
except ImportError:
    bson = None

_DOCUMENT, _ARRAY, _BOOLEAN = 0x03, 0x04, 0x08
_STRINGS = (0x02, 0x0D, 0x0E)
#: What the decoder makes objects of at once.
_SLICE = 256 * 1024


def check(batch: Buffer) -> None:
    """Look into each document of a buffer of whole ones. :raises BrokenBson: when one breaks the grammar."""
    view = memoryview(batch)
    start = end = 0
    for frame in frames(view):
        end += len(frame)
        if end - start >= _SLICE:
            _check_slice(view, start, end)
            start = end
    _check_slice(view, start, end)


def _check_slice(view: memoryview, start: int, end: int) -> None:
    if bson is not None:
        options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS, unicode_decode_error_handler="replace")
        try:
            bson.decode_all(view[start:end], options)
            return
        except (BSONError, ValueError, OverflowError, RecursionError):
            pass
    for frame in frames(view[start:end]):
        try:
            check_document(frame)
        except BrokenBson as error:
            raise BrokenBson(start, f"{error.reason}, {error.offset} bytes into a document of {len(frame)}") from error
        start += len(frame)


def check_document(document: Buffer) -> None:
    """Look into one framed document. :raises BrokenBson: when it breaks the grammar, with the place counted from the document's start."""
    view = memoryview(document)
    ends = [len(view) - 1]  # of this document and those around it: where its last zero byte must stand
    position = LENGTH.size
    while ends:
        if position == ends[-1]:
            if view[position]:
                raise BrokenBson(position, "a document within does not end in a zero byte")
            ends.pop()
            position += 1
            continue
        kind = view[position]
        if not kind:
            raise BrokenBson(position, "a document ends before its length says so")
        start = zero_after(view, position + 1, ends[-1]) + 1
        position = start + value_size(view, start, ends[-1], kind)
        if position > ends[-1]:
            raise BrokenBson(start, f"the value of an element of type {kind} reaches beyond its document")
        if kind in (_DOCUMENT, _ARRAY):
            if position - start < MIN_DOCUMENT_BYTES:
                raise BrokenBson(start, f"a document within claims to have {position - start} bytes")
            ends.append(position - 1)
            position = start + LENGTH.size
        elif kind in _STRINGS and (position - start <= LENGTH.size or view[position - 1]):
            raise BrokenBson(start, "a text does not end in a zero byte")
        elif kind == _BOOLEAN and view[start] > 1:
            raise BrokenBson(start, f"a boolean is {view[start]}")
