# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packed documents in files of their own."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.spool import Spool
from hypothesis import given
from hypothesis import strategies as st


@given(pieces=st.lists(st.binary(max_size=2000)))
def test_a_standard_reader_gets_back_what_was_put_in(tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("spool") / "1.gz"
    with Spool(path) as spool:
        for piece in pieces:
            spool.write(memoryview(piece))
        segment = spool.finish()
    whole = b"".join(pieces)
    assert gzip.decompress(path.read_bytes()) == whole
    assert (segment.path, segment.size, segment.packed, segment.crc) == (path, len(whole), path.stat().st_size, zlib.crc32(whole))


def test_an_error_takes_the_file_away(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other"), Spool(tmp_path / "1.gz") as spool:
        spool.write(b"x")
        raise ValueError("another error")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "1.gz"
    path.write_bytes(b"precious")
    with pytest.raises(Failure, match="1.gz cannot be written: File exists; make room there, or choose another folder"):
        Spool(path)
    assert path.read_bytes() == b"precious"


@pytest.fixture(name="small_disk")
def _small_disk() -> Iterator[None]:
    """Files may not grow beyond 2 MiB."""
    limits, former = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, former)


@pytest.mark.usefixtures("small_disk")
def test_no_room_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    noise = os.urandom(1 << 20)
    with pytest.raises(Failure, match="1.gz cannot be written: File too large"), Spool(tmp_path / "1.gz") as spool:
        for dummy in range(5):
            spool.write(noise)
        spool.finish()
    assert list(tmp_path.iterdir()) == []
