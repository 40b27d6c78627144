# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRC-64 of ECMA-182 as XZ and mongodump's archives have it, in Python alone and still at hundreds of megabytes a second.

A CRC is the remainder of a polynomial over GF(2), so that many parts of the data can be reduced at once: the data are cut into columns that stand in
one big integer, and one exclusive or of such integers is a step of the reduction in thousands of columns. The generator is the same in each column,
because P(x)**(2**k) = P(x**(2**k)). What is left in the end is short, and is reduced byte by byte by a table.
"""

from __future__ import annotations

from .frames import Buffer

_POLYNOMIAL = 0xC96C5795D7870F42  # reflected: the lowest bit stands for the highest power
_ALL = (1 << 64) - 1
#: By how many columns a coefficient moves towards the end of the data when it is reduced.
_MOVES = tuple(shift + 1 for shift in range(64) if _POLYNOMIAL >> shift & 1)
_DEGREE = 64
_LARGEST_COLUMN = 8192  # bytes
_SHORT = 1024


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for dummy in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()


class Crc64:
    """The checksum of a stream."""

    def __init__(self) -> None:
        self._state = _ALL

    def update(self, data: Buffer) -> None:
        """Take in the next piece; large ones are taken in faster."""
        if len(data) < 8:
            self._state = _by_table(data, self._state)
            return
        # A state is as good as other first bytes of the data.
        first = int.from_bytes(data[:8], "little") ^ self._state
        self._state = _remainder(first.to_bytes(8, "little") + bytes(data[8:]))

    @property
    def value(self) -> int:
        """The checksum of what was taken in, without sign."""
        return self._state ^ _ALL


def _remainder(data: bytes) -> int:
    column = _LARGEST_COLUMN
    while len(data) > _SHORT:
        while column > 1 and len(data) < 4 * _DEGREE * column:
            column //= 2
        data = _reduced(data, column)
    return _by_table(data, 0)


def _reduced(data: bytes, column: int) -> bytes:
    """Shorter data of the same remainder."""
    data = bytes(-len(data) % column) + data  # zeros before the first power change nothing
    columns = [int.from_bytes(data[start : start + column], "little") for start in range(0, len(data), column)]
    kept = len(columns) - _DEGREE
    for position in range(kept):
        value = columns[position]
        if value:
            for move in _MOVES:
                columns[position + move] ^= value
    return b"".join(value.to_bytes(column, "little") for value in columns[kept:])


def _by_table(data: Buffer, state: int) -> int:
    table = _TABLE
    for byte in bytes(data):
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state
