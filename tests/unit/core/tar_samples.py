# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives made by hand, byte by byte, and trees to compare; nothing here is taken from what is tested."""

from __future__ import annotations

import io
import os
import stat
import subprocess
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits, members

LIMITS = Limits(expanded=10_000_000, members=1000)
END = bytes(1024)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


def block(
    name: bytes = b"file",
    kind: bytes = b"0",
    size: int = 0,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] = (1000, 1000),
    mtime: int = 1_700_000_000,
    target: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    fields: Optional[dict[int, bytes]] = None,
) -> bytes:
    """One header with its right checksum; ``fields`` are bytes put over others at a place, before the checksum is made."""
    header = bytearray(512)
    plain = {0: name, 100: b"%07o" % mode, 108: b"%07o" % owner[0], 116: b"%07o" % owner[1], 124: b"%011o" % size, 136: b"%011o" % mtime}
    for place, value in {**plain, 156: kind, 157: target, 257: magic, 345: prefix, **(fields or {})}.items():
        header[place : place + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def file(name: bytes = b"file", content: bytes = b"content", **odd: Any) -> bytes:
    return block(name, size=odd.pop("size", len(content)), **odd) + padded(content)


def folder(name: bytes, **odd: Any) -> bytes:
    return block(name, b"5", mode=odd.pop("mode", 0o755), **odd)


def symlink(name: bytes, target: bytes) -> bytes:
    return block(name, b"2", mode=0o777, target=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return block(name, b"1", target=target)


def pax(records: bytes, kind: bytes = b"x") -> bytes:
    return block(b"././@PaxHeader", kind, len(records)) + padded(records)


def record(key: bytes, value: bytes) -> bytes:
    """A pax record; its length is found by trying."""
    return next(text for length in range(5, 200_000) if len(text := b"%d %s=%s\n" % (length, key, value)) == length)


def read(content: bytes, limits: Limits = LIMITS) -> dict[bytes, tuple[str, bytes]]:
    """Path to kind and content of each member."""
    return {member.path: (member.kind, b"".join(member.chunks)) for member in members(io.BytesIO(content), "storage.tar.gz", limits)}


def tree(top: Path) -> dict[bytes, tuple[Any, ...]]:
    """All that a tree holds, by relative path: kind and mode, owner, time, content or target, and the names of the same file."""
    found: dict[bytes, tuple[Any, ...]] = {}
    inodes: dict[int, list[bytes]] = {}
    for path, status in _walk(os.fsencode(top)):
        name = os.path.relpath(path, os.fsencode(top))
        content: Any = None
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as stream:
                content = stream.read()
            inodes.setdefault(status.st_ino, []).append(name)
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[name] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, content)
    found[b""] = (sorted(sorted(names) for names in inodes.values() if len(names) > 1),)
    return found


def _walk(top: bytes) -> list[tuple[bytes, os.stat_result]]:
    found = []
    for entry in os.scandir(top):
        found.append((entry.path, entry.stat(follow_symlinks=False)))
        if entry.is_dir(follow_symlinks=False):
            found += _walk(entry.path)
    return found


def make_tree(top: Path) -> None:
    """A tree with all that a storage may hold, of which each kind of name, link, mode, owner and time is a part."""
    top.mkdir()
    deep = top / "sales" / "deep" / "er"
    deep.mkdir(parents=True)
    (top / "empty").mkdir(mode=0o700)
    long = top / "sales" / ("é" * 120) / ("n" * 255)
    long.mkdir(parents=True)
    files = {b"plain.json": b"{}", "été \U0001f99c.csv".encode(): b"a;b", b'line\nbreak "quoted" $x': b"1", b"not utf-8 \xff\xfe": b"2", b"none": b""}
    for name, content in files.items():
        Path(os.fsdecode(os.fsencode(top / "sales") + b"/" + name)).write_bytes(content)
    (long / "file").write_bytes(b"long")
    (deep / "big").write_bytes(os.urandom(1000) + b"text" * 700_000 + os.urandom(700))
    os.link(top / "sales" / "plain.json", deep / "again.json")
    os.link(long / "file", top / "sales" / "aa first")
    for link, target in {"near": "plain.json", "up": "../../sales/deep", "gone": "nowhere", "longer": "x/" * 120 + "y", "late": "deep/../plain.json"}.items():
        (top / "sales" / "deep" / link).symlink_to(target)
    os.chmod(top / "sales" / "deep", 0o2770)
    os.chmod(top / "sales" / "none", 0o000)
    os.chmod(top / "sales" / "plain.json", 0o640)
    os.chmod(deep, 0o1777)
    _give(top)


def _give(top: Path) -> None:
    """Owners, where they may be given, and times: of whole seconds, with a fraction, long ago and far away, of folders last."""
    moments = [1_700_000_000_123_456_789, 1_700_000_000_000_000_000, 1, 0, -1_500_000_000, 9_000_000_000_500_000_000, 1_600_000_000_100_000_000]
    paths = sorted((path for path, dummy in _walk(os.fsencode(top))), key=lambda path: -path.count(b"/"))
    for place, path in enumerate(paths):
        if os.geteuid() == 0:
            os.chown(path, *[(1000, 1000), (0, 0), (3_000_000, 2_500_000)][place % 3], follow_symlinks=False)
            if stat.S_ISDIR(os.lstat(path).st_mode) and path.endswith(b"deep"):
                os.chmod(path, 0o2770)
        os.utime(path, ns=(0, moments[place % len(moments)]), follow_symlinks=False)


def gnu_tar(*arguments: Any) -> None:
    """GNU tar, with a locale that holds any name. Skips the test where it is not installed."""
    try:
        known = subprocess.run(["tar", "--version"], check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        known = ""
    if "GNU tar" not in known:
        pytest.skip("GNU tar is not installed here")
    subprocess.run(["tar", *map(str, arguments)], check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
