# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains of gzip members: any reader takes them, ours takes any, and what is damaged is told in a sentence."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import gzip_members
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.gzip_members import (
    BLOCK,
    Engine,
    MembersReader,
    MembersWriter,
    MemberWriter,
    engines,
    is_packed,
    pack,
    unpacked,
)
from hypothesis import given, settings
from hypothesis import strategies as st

ENGINES = {engine.name: engine for engine in engines()}


@pytest.fixture(name="engine", params=["isal", "zlib"])
def _engine(request: pytest.FixtureRequest) -> Engine:
    if request.param not in ENGINES:
        pytest.skip("the library isal is not installed here")
    return ENGINES[request.param]


def read_all(content: bytes, engine: Engine) -> bytes:
    return b"".join(unpacked(io.BytesIO(content), "storage.tar.gz", engine))


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def test_the_standard_library_is_always_at_hand() -> None:
    assert "zlib" in ENGINES


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=2000), max_size=6), st.integers(1, 700), st.sampled_from(list(ENGINES.values())))
def test_members_make_one_stream(parts: list[bytes], step: int, engine: Engine) -> None:
    content = b"".join(pack(part, engine) for part in parts) or pack(b"", engine)
    assert gzip.decompress(content) == b"".join(parts) == read_all(content, engine)
    reader, got = MembersReader(io.BytesIO(content), "x", engine), []
    while piece := reader.read(step):
        got.append(piece)
    assert b"".join(got) == b"".join(parts)
    assert all(len(piece) == step for piece in got[:-1])


@pytest.mark.parametrize("chunk", [1, 2, 3, 19, 65536])
def test_members_may_be_cut_anywhere_by_the_reads(monkeypatch: pytest.MonkeyPatch, engine: Engine, chunk: int) -> None:
    monkeypatch.setattr(gzip_members, "_CHUNK", chunk)
    content = pack(noise(700), engine) + pack(b"", engine) + gzip.compress(b"other" * 99)
    assert read_all(content, engine) == noise(700) + b"other" * 99


def test_workers_keep_the_order(engine: Engine, tmp_path: Path) -> None:
    data = noise(BLOCK) + b"text " * BLOCK + noise(5)
    with (tmp_path / "a.gz").open("wb") as out, MembersWriter(out, 3, engine) as writer:
        for place in range(0, len(data), 300_001):
            writer.write(data[place : place + 300_001])
        writer.append_packed(pack(b"spooled", engine), 7)
        writer.write(b"end")
    assert writer.raw_size == len(data) + 10
    content = (tmp_path / "a.gz").read_bytes()
    assert writer.packed_size == len(content)
    assert gzip.decompress(content) == data + b"spooledend" == read_all(content, engine)
    assert subprocess.run([str(shutil.which("gzip")), "-dc", tmp_path / "a.gz"], check=True, capture_output=True).stdout == data + b"spooledend"


def test_what_was_written_since_a_mark_is_forgotten(engine: Engine, tmp_path: Path) -> None:
    with (tmp_path / "a.gz").open("wb") as out, MembersWriter(out, 2, engine) as writer:
        writer.write(noise(2 * BLOCK + 7))
        mark = writer.mark()
        writer.write(noise(3 * BLOCK, 2))
        writer.write(b"half a block")
        writer.go_back(mark)
        writer.write(b"instead")
    content = (tmp_path / "a.gz").read_bytes()
    assert gzip.decompress(content) == noise(2 * BLOCK + 7) + b"instead"
    assert (writer.raw_size, writer.packed_size) == (2 * BLOCK + 14, len(content))


def test_nothing_written_is_an_empty_member(engine: Engine) -> None:
    out = io.BytesIO()
    MembersWriter(out, 1, engine).close()
    assert gzip.decompress(out.getvalue()) == b"" == read_all(out.getvalue(), engine)


def test_a_writer_that_fails_ends_its_threads_and_writes_no_end(engine: Engine) -> None:
    out = io.BytesIO()
    with pytest.raises(ValueError), MembersWriter(out, 2, engine) as writer:
        writer.write(b"begun")
        raise ValueError
    assert out.getvalue() == b""
    with pytest.raises(RuntimeError):
        writer.write(noise(BLOCK))


def test_a_spooled_member_tells_sizes_and_checksum(engine: Engine) -> None:
    out = io.BytesIO()
    writer = MemberWriter(out, engine)
    for piece in (noise(70_000), b"", memoryview(b"more" * 9)):
        writer.write(piece)
    writer.close()
    raw = noise(70_000) + b"more" * 9
    assert gzip.decompress(out.getvalue()) == raw
    assert (writer.raw_size, writer.packed_size, writer.crc) == (len(raw), len(out.getvalue()), zlib.crc32(raw))


def test_zeros_behind_the_end_are_let_pass(engine: Engine) -> None:
    assert read_all(pack(b"x", engine) + bytes(200_000), engine) == b"x"


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "it is cut off"),
        (b"\x1f", "it is cut off"),
        (b"PK\3\4" + bytes(99), "does not begin as gzip does"),
        (pack(b"x") + b"garbage", "other bytes follow its end"),
        (pack(b"x") + bytes(9) + b"garbage", "other bytes follow its end"),
        (pack(b"x") + bytes(70_000) + b"garbage", "other bytes follow its end"),
    ],
)
def test_what_is_no_whole_gzip_is_refused(engine: Engine, content: bytes, words: str) -> None:
    with pytest.raises(Failure, match=words) as caught:
        read_all(content, engine)
    assert "storage.tar.gz" in str(caught.value)


def test_every_cut_is_found(engine: Engine) -> None:
    first, second = pack(noise(300), engine), pack(b"y" * 3000, engine)
    whole = first + second
    for size in range(len(whole)):
        if size == len(first):
            assert read_all(whole[:size], engine) == noise(300)  # a border between members: the tar inside tells that its end is missing
            continue
        with pytest.raises(Failure):
            read_all(whole[:size], engine)


def test_a_flipped_bit_is_found_or_harmless(engine: Engine) -> None:
    whole = pack(noise(200) + b"y" * 500, engine) + pack(b"tail", engine)
    found = 0
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert read_all(bytes(flipped), engine) == noise(200) + b"y" * 500 + b"tail"
        except Failure:
            found += 1
    assert found > 6 * len(whole)


def test_a_bomb_is_read_in_small_blocks(engine: Engine) -> None:
    bomb = pack(bytes(64 * BLOCK), engine)
    assert len(bomb) < BLOCK
    assert max(map(len, unpacked(io.BytesIO(bomb), "x", engine))) <= BLOCK


def test_a_disk_that_fails_is_told() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(Failure, match="Reading x failed: Input/output error"):
        list(unpacked(Broken(), "x"))


def test_gzip_is_known_by_its_start() -> None:
    assert is_packed(pack(b"")) and not is_packed(b"dump/")
