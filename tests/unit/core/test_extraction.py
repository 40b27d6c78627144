# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is unpacked equals what was packed, appears when it is whole, and nothing is written outside of its folder."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import extraction
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.entries import EntriesDigest, digest_of_tree
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.extraction import PARTIAL, digest_of_archive, extract
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.progress import Progress

from .tar_samples import END, block, file, folder, gnu_tar, hard_link, make_tree, needs_root, pax, record, symlink, tree

LIMITS = Limits(10**8)
MINE = (os.geteuid(), os.getegid())


def unpack(content: bytes, target: Path, owner: Optional[tuple[int, int]] = MINE) -> EntriesDigest:
    return extract(io.BytesIO(content), "storage.tar", str(target), LIMITS, owner)


@needs_root
@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_what_gnu_tar_packed_is_unpacked_equal(tmp_path: Path, form: str) -> None:
    make_tree(tmp_path / "tree")
    gnu_tar("-c", f"--format={form}", "-f", tmp_path / "a.tar", "-C", tmp_path / "tree", ".")
    content = (tmp_path / "a.tar").read_bytes()
    told = unpack(content, tmp_path / "ours", owner=None)
    (tmp_path / "gnu").mkdir()
    gnu_tar("-x", "-p", "--same-owner", "-f", tmp_path / "a.tar", "-C", tmp_path / "gnu")
    assert tree(tmp_path / "ours") == tree(tmp_path / "gnu")
    if form == "posix":  # the other holds whole seconds
        assert tree(tmp_path / "ours") == tree(tmp_path / "tree")
    assert told.hexdigest() == digest_of_tree(str(tmp_path / "ours")).hexdigest()
    assert told.hexdigest() == digest_of_archive(io.BytesIO(content), "x", LIMITS).hexdigest()
    assert os.stat(tmp_path / "ours").st_mtime_ns // 10**9 == os.stat(tmp_path / "tree").st_mtime_ns // 10**9


@needs_root
def test_all_may_be_given_to_one_owner(tmp_path: Path) -> None:
    unpack(folder(b"d") + file(b"d/f") + symlink(b"l", b"d") + file(b"implied/f") + END, tmp_path / "a", owner=(77, 88))
    assert {(status[1], status[2]) for path, status in tree(tmp_path / "a").items() if path} == {(77, 88)}
    assert os.stat(tmp_path / "a").st_uid == 77


def test_folders_that_the_archive_does_not_name_are_made(tmp_path: Path) -> None:
    unpack(file(b"a/b/c") + folder(b"a", mode=0o700) + END, tmp_path / "out")
    assert (tmp_path / "out/a/b/c").read_bytes() == b"content"
    assert [os.stat(tmp_path / "out" / name).st_mode & 0o777 for name in ("", "a", "a/b")] == [0o755, 0o700, 0o755]
    assert os.stat(tmp_path / "out/a").st_mtime == 1_700_000_000


def test_folders_without_any_rights_are_filled(tmp_path: Path) -> None:
    unpack(folder(b"a", mode=0) + folder(b"a/b", mode=0) + file(b"a/b/c", mode=0) + file(b"a/d") + END, tmp_path / "out")
    assert os.stat(tmp_path / "out/a").st_mode & 0o777 == 0
    assert os.stat(tmp_path / "out/a").st_mtime == 1_700_000_000


def test_the_top_gets_what_the_archive_says_of_it(tmp_path: Path) -> None:
    unpack(folder(b"./", mode=0o750, mtime=5) + file(b"./f") + END, tmp_path / "out")
    status = os.stat(tmp_path / "out")
    assert (status.st_mode & 0o777, status.st_mtime) == (0o750, 5)


REFUSED = {
    "absolute": file(b"/evil"),
    "up": file(b"../evil"),
    "through a link": symlink(b"d", b"..") + file(b"d/evil"),
    "through a link inside": folder(b"in") + symlink(b"d", b"in") + file(b"d/evil"),
    "link over a folder": folder(b"d") + symlink(b"d", b"/tmp") + file(b"d/evil"),
    "over a link": symlink(b"evil", b"x") + file(b"evil"),
    "hard link outside": hard_link(b"x", b"../outside"),
    "links in a chain": symlink(b"d/e/up", b"../..") + symlink(b"out", b"d/e/up/../outside"),
    "device": block(b"evil", b"3"),
    "setuid": file(b"evil", mode=0o4755),
    "name in a pax header": pax(record(b"path", b"../evil")) + file(b"x"),
    "bomb": block(b"evil", size=8 * 10**9),
}
HOSTILE = {
    **{name: content + END for name, content in REFUSED.items()},
    "cut": file(b"evil")[:-512],
    "no end": file(b"evil"),
    "garbage behind": file(b"evil") + END + b"x",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_is_left_of_what_is_refused_and_nothing_is_written_outside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "outside").write_text("kept")
    with pytest.raises(Failure, match=r"storage\.tar"):
        unpack(file(b"harmless") + content, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (tmp_path / "outside").read_text() == "kept" and os.stat(tmp_path / "outside").st_nlink == 1


def test_a_folder_that_is_there_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Failure, match="out is there already"):
        unpack(file() + END, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(Failure, match="is there already"):
        unpack(file() + END, tmp_path / "dangling")


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / f"out{PARTIAL}").mkdir()
    (tmp_path / f"out{PARTIAL}" / "old").symlink_to(tmp_path / "keep")
    unpack(file() + END, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert (tmp_path / "keep").is_dir()


def test_a_missing_parent_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="failed at its beginning: No such file"):
        unpack(file() + END, tmp_path / "missing" / "out")


def test_a_full_disk_is_told_and_frees_what_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(descriptor: int, content: Any) -> int:
        if bytes(content).startswith(b"second"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr(extraction.os, "write", full)
    with pytest.raises(Failure, match=r"failed at d/two: No space left on device; make room") as caught:
        unpack(file(b"one") + file(b"d/two", b"second") + END, tmp_path / "out")
    assert caught.value.subject == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    unpack(b"".join(file(b"a/b/c%d/d/f" % number) for number in range(9)) + hard_link(b"x/y", b"a/b/c3/d/f") + END, tmp_path / "out")
    with pytest.raises(Failure):
        unpack(file(b"a/b/c"), tmp_path / "other")
    assert len(os.listdir("/proc/self/fd")) == before


def test_progress_counts_bytes(tmp_path: Path) -> None:
    progress = Progress()
    extract(io.BytesIO(file(content=b"x" * 2_500_000) + END), "x", str(tmp_path / "out"), LIMITS, MINE, progress)
    assert progress.state()["done"] == 2_500_000


def test_damaged_archives_leave_nothing_or_the_same(tmp_path: Path) -> None:
    whole = folder(b"d") + file(b"d/one", b"1" * 600) + symlink(b"d/l", b"one") + hard_link(b"two", b"d/one") + END
    right = unpack(whole, tmp_path / "right").hexdigest()
    chance, refused = random.Random(4), 0
    for number in range(300):
        damaged = bytearray(whole)
        place = chance.choice([0, 512, 2048, 2560]) + chance.randrange(512)  # the four headers
        damaged[place] = chance.randrange(256)
        target = tmp_path / str(number)
        try:
            assert unpack(bytes(damaged), target).hexdigest() == right
            assert tree(target).keys() == tree(tmp_path / "right").keys()
        except Failure:
            refused += 1
            assert not target.exists() and not Path(f"{target}{PARTIAL}").exists()
    assert refused > 250


KILLED = """
import io, sys
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.extraction import extract
content = open(sys.argv[1], "rb")
print("begun", flush=True)
extract(content, "x", sys.argv[2], Limits(10**10), None)
"""


def test_a_kill_at_any_point_leaves_a_partial_folder_or_a_whole_one(tmp_path: Path) -> None:
    content = b"".join(file(b"d%d/f%d" % (number % 50, number), b"x" * 4000, owner=MINE) for number in range(4000)) + END
    (tmp_path / "a.tar").write_bytes(content)
    target, partial, seen = tmp_path / "out", Path(f"{tmp_path}/out{PARTIAL}"), []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for files in (0, 1, 10, 40):
        process = subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / "a.tar", target], stdout=subprocess.PIPE, env=environment)
        assert process.stdout and process.stdout.readline() == b"begun\n"
        # What an earlier run left is gone first; then this one has unpacked so many files into one of its folders.
        while process.poll() is None and not target.exists() and len(list(partial.glob("d0/*"))) < files:
            time.sleep(0.001)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.communicate()
        if target.exists():
            assert digest_of_tree(str(target)).entries == 4050
            seen.append("whole")
            shutil.rmtree(target)
        elif partial.exists():
            seen.append("partial")
    assert "partial" in seen
    extract(io.BytesIO(content), "x", str(target), LIMITS, None)
    assert digest_of_tree(str(target)).entries == 4050
    assert not partial.exists()
