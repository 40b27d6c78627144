# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers that we write mean the same to Python's reader and to ours."""

from __future__ import annotations

import io
import tarfile

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import tar_headers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits, members
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.tar_headers import BrokenTar, Header
from hypothesis import assume, given
from hypothesis import strategies as st

from .tar_samples import block

NAMES = st.binary(min_size=1, max_size=120).map(lambda raw: raw.replace(b"\0", b"x").replace(b"/", b"y")).filter(lambda name: name not in (b".", b".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
IDS = st.integers(0, 2**32 - 2)
TIMES = st.integers(-(2**62), 2**62)


def reread(header: Header) -> tuple[bytes, bytes, int, int, int, int, bytes]:
    content = tar_headers.encode(header) + tar_headers.end_mark()
    member = next(members(io.BytesIO(content), "x", Limits(10**9)))
    kind = {"file": b"0", "directory": b"5", "symlink": b"2"}[member.kind]
    return member.path, kind, member.mode, member.uid, member.gid, member.mtime_ns, member.target


@given(PATHS, st.sampled_from([tar_headers.FILE, tar_headers.DIRECTORY]), st.integers(0, 0o777), IDS, IDS, TIMES)
def test_headers_make_the_round_trip(path: bytes, kind: bytes, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
    assert reread(Header(path, kind, mode, uid, gid, 0, mtime_ns)) == (path, kind, mode, uid, gid, mtime_ns, b"")


@given(PATHS, PATHS)
def test_links_make_the_round_trip(path: bytes, target: bytes) -> None:
    assert reread(Header(path, tar_headers.SYMLINK, 0o777, 0, 0, 0, 0, target))[-1] == target


@given(PATHS, st.integers(0, 2**40), IDS, st.integers(0, 2**61))
def test_python_reads_the_same(path: bytes, size: int, owner: int, mtime_ns: int) -> None:
    assume(not path.endswith(b"/"))
    header = tar_headers.encode(Header(path, tar_headers.FILE, 0o640, owner, owner, size, mtime_ns))
    with tarfile.open(fileobj=io.BytesIO(header + tar_headers.end_mark()), errors="surrogateescape") as archive:
        member = archive.next()
    assert member is not None
    assert (member.name.encode("utf-8", "surrogateescape"), member.size, member.uid, member.gid, member.mode) == (path, size, owner, owner, 0o640)
    assert member.mtime == pytest.approx(mtime_ns / 10**9)


@given(st.dictionaries(st.binary(min_size=1, max_size=20).filter(lambda key: b"=" not in key and b"\0" not in key), st.binary(max_size=1200), max_size=5))
def test_pax_records_make_the_round_trip(records: dict[bytes, bytes]) -> None:
    assert tar_headers.parse_pax(b"".join(tar_headers._record(key, value) for key, value in records.items())) == records


@pytest.mark.parametrize("size", [*range(85, 101), *range(980, 1002)])
def test_the_length_of_a_record_counts_its_own_digits(size: int) -> None:
    text = tar_headers._record(b"path", b"x" * size)
    assert int(text.split(b" ")[0]) == len(text)


def test_a_checksum_over_signed_bytes_is_read() -> None:
    header = bytearray(block("é".encode()))
    signed = sum(byte - 256 * (byte > 127) for byte in header[:148] + b" " * 8 + header[156:])
    header[148:156] = b"%06o\0 " % signed
    assert tar_headers.parse_block(bytes(header)).path == "é".encode()


@pytest.mark.parametrize("content", [b"", b"x" * 511, bytes(512), b"\xff" * 512])
def test_what_is_no_header_is_refused(content: bytes) -> None:
    with pytest.raises(BrokenTar):
        tar_headers.parse_block(content)


@given(st.binary(min_size=512, max_size=512))
def test_noise_is_refused_and_never_a_traceback(noise: bytes) -> None:
    with pytest.raises(BrokenTar):
        tar_headers.parse_block(noise)
