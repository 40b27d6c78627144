# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checksum of archives, against the one that liblzma puts into XZ files."""

from __future__ import annotations

import lzma

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import crc64
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.crc64 import Crc64
from hypothesis import given
from hypothesis import strategies as st


def by_lzma(data: bytes) -> int:
    """The check of the only block of an XZ file: it stands before the index, whose size the footer tells."""
    packed = lzma.compress(data, lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=0)
    index_size = (int.from_bytes(packed[-8:-4], "little") + 1) * 4
    end = len(packed) - 12 - index_size
    return int.from_bytes(packed[end - 8 : end], "little")


def test_the_published_check_value() -> None:
    checksum = Crc64()
    checksum.update(b"123456789")
    assert checksum.value == 0x995DC9BBDF1939FA
    assert Crc64().value == 0


@given(st.integers(0, 70_000), st.integers(0, 255), st.lists(st.integers(0, 70_000), max_size=3))
def test_any_length_in_any_pieces(size: int, seed: int, cuts: list[int]) -> None:
    data = bytes((seed + index * index * 7) & 0xFF for index in range(size))
    checksum, places = Crc64(), [0, *sorted(min(cut, size) for cut in cuts), size]
    for start, end in zip(places, places[1:]):
        checksum.update(memoryview(data)[start:end])
    assert checksum.value == (by_lzma(data) if data else 0)


@pytest.mark.parametrize("size", [crc64._SHORT - 1, crc64._SHORT + 1, 300_001, 4_200_000])
@pytest.mark.parametrize("byte", [b"\0", b"\xff", b"a"])
def test_monotonous_data_at_the_borders(size: int, byte: bytes) -> None:
    checksum = Crc64()
    checksum.update(byte * size)
    assert checksum.value == by_lzma(byte * size)
