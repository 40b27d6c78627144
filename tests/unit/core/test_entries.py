# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of a tree is equal for equal trees, in any order, and differs where anything in them does."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.entries import EntriesDigest, digest_of_tree
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

from .tar_samples import make_tree, needs_root

OWNER = (1000, 1000)


def digest(folder: Path, names: list[str] | None = None) -> str:
    return digest_of_tree(str(folder), names).hexdigest()


@pytest.fixture(name="top")
def _top(tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree")
    return tmp_path / "tree"


def touch(path: Path) -> None:
    os.utime(path, ns=(0, os.lstat(path).st_mtime_ns + 1), follow_symlinks=False)


def rewrite(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"[]")
    os.utime(path, ns=(0, status.st_mtime_ns))


def separate(path: Path) -> None:
    """One of two names of a file as a file of its own, else equal."""
    inner = os.stat(path.parent)
    shutil.copy2(path, path.with_name("copy"))
    status = path.stat()
    os.chown(path.with_name("copy"), status.st_uid, status.st_gid)
    os.replace(path.with_name("copy"), path)
    os.utime(path.parent, ns=(0, inner.st_mtime_ns))


def relink(path: Path) -> None:
    inner, status = os.stat(path.parent), os.lstat(path)
    path.unlink()
    path.symlink_to("elsewhere")
    os.utime(path, ns=(0, status.st_mtime_ns), follow_symlinks=False)
    os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)
    os.utime(path.parent, ns=(0, inner.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda top: rewrite(top / "sales" / "plain.json"),
    "mode of a file": lambda top: (top / "sales" / "plain.json").chmod(0o600),
    "mode of a folder": lambda top: (top / "empty").chmod(0o755),
    "time of a file": lambda top: touch(top / "sales" / "plain.json"),
    "time of a folder": lambda top: touch(top / "empty"),
    "time of a link": lambda top: touch(top / "sales" / "deep" / "near"),
    "target of a link": lambda top: relink(top / "sales" / "deep" / "near"),
    "one file of two names": lambda top: separate(top / "sales" / "deep" / "er" / "again.json"),
    "another name": lambda top: (top / "empty").rename(top / "emptier"),
    "a file more": lambda top: (top / "empty" / "x").touch(),
    "a file less": lambda top: (top / "sales" / "none").unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_any_change_changes_the_digest(top: Path, change: Callable[[Path], object]) -> None:
    before = digest(top)
    assert digest(top) == before
    change(top)
    assert digest(top) != before


@needs_root
def test_another_owner_changes_the_digest(top: Path) -> None:
    for owner in ((7, -1), (-1, 7)):
        before = digest(top)
        os.chown(top / "sales" / "deep" / "near", *owner, follow_symlinks=False)
        assert digest(top) != before


def test_a_part_of_a_tree_is_that_of_its_names(top: Path) -> None:
    assert digest(top, ["sales", "empty"]) == digest(top) == digest(top, ["empty", "sales"])
    assert digest(top, ["sales"]) != digest(top)


def test_bytes_of_a_file_count_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    os.link(tmp_path / "a", tmp_path / "b")
    found = digest_of_tree(str(tmp_path))
    assert (found.entries, found.bytes) == (2, 5)


@given(st.randoms(use_true_random=False), st.integers(2, 5))
def test_the_order_does_not_count(randomness: random.Random, names: int) -> None:
    def build(shuffle: bool) -> str:
        found = EntriesDigest()
        same = [b"name%d" % number for number in range(names)]
        others: list[Callable[[], None]] = [
            lambda: found.add_directory(b"d", 0o755, OWNER, 5),
            lambda: found.add_symlink(b"l", OWNER, 5, b"d"),
            lambda: found.add_file(b"f", 0o644, OWNER, 5, 1, bytes(32), False),
            lambda: add_names(found, same),
        ]
        if shuffle:
            randomness.shuffle(same)
            randomness.shuffle(others)
        for add in others:
            add()
        return found.hexdigest()

    assert build(True) == build(False)


def add_names(found: EntriesDigest, names: list[bytes]) -> None:
    found.add_file(names[0], 0o644, OWNER, 5, 1, bytes(32), True)
    for before, name in zip(names, names[1:]):
        found.add_hard_link(name, before)


def test_a_digest_stays_the_same_over_versions() -> None:
    """It stands in manifests: a change of it would make every backup look damaged."""
    found = EntriesDigest()
    found.add_directory(b"sales", 0o755, OWNER, 1_700_000_000_000_000_000)
    found.add_symlink(b"sales/l", OWNER, -1, b"f")
    add_names(found, [b"sales/f", b"sales/g"])
    time = b"1700000000000000000"
    body = hashlib.sha256(b"644\x001000\x001000\x005\x001\0" + bytes(32)).digest()
    entries = [
        b"sales\0directory\x00755\x001000\x001000\0" + time + b"\0",
        b"sales/l\0symlink\x000\x001000\x001000\0-1\0f",
        b"sales/f\0file\0" + body,
        b"sales/g\0file\0" + body,
        b"one file\0sales/f\0sales/g",
    ]
    total = sum(int(hashlib.sha256(entry).hexdigest(), 16) for entry in entries) % 2**256
    assert found.hexdigest() == f"{total:064x}" == "878fb9583f5afc601c487880277944551739062d5ac5661434a02622f4a3e55d"


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Failure, match="pipe in .* is neither file, folder nor link"):
        digest(tmp_path)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="failed at sales: No such file"):
        digest(tmp_path, ["sales"])
    with pytest.raises(Failure, match="No such file"):
        digest(tmp_path / "missing")


def test_folders_without_end_are_told(tmp_path: Path) -> None:
    os.makedirs(tmp_path / "/".join("d" * 205))
    with pytest.raises(Failure, match="nested too deeply"):
        digest(tmp_path)
