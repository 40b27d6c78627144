# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage's archive holds all that it may, other programs unpack it equal, and what moved or stays out is told."""

from __future__ import annotations

import io
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.entries import digest_of_tree
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.extraction import digest_of_archive, extract
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.gzip_members import Engine, MembersReader, engines
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.progress import Progress
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import file_copy, storage
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.storage import StorageReport, measure_storage, write_storage

from ..core.tar_samples import gnu_tar, make_tree, needs_root, tree

LIMITS = Limits(10**9)


@pytest.fixture(name="engine", params=["isal", "zlib"])
def _engine(request: pytest.FixtureRequest) -> Engine:
    known = {engine.name: engine for engine in engines()}
    if request.param not in known:
        pytest.skip("the library isal is not installed here")
    return known[request.param]


@pytest.fixture(name="top")
def _top(tmp_path: Path) -> Path:
    make_tree(tmp_path / "storage")
    return tmp_path / "storage"


def write(top: Path, target: Path, names: list[str] | None = None, **options: Any) -> StorageReport:
    with target.open("wb") as out:
        return write_storage(out, str(top), names, **options)


def unpack(archive: Path, target: Path) -> str:
    with archive.open("rb") as stream:
        return extract(MembersReader(stream, "x"), "x", str(target), LIMITS).hexdigest()


def content_of(archive: Path) -> str:
    with archive.open("rb") as stream:
        return digest_of_archive(MembersReader(stream, "x"), "x", LIMITS).hexdigest()


def test_the_archive_holds_everything(top: Path, tmp_path: Path, engine: Engine) -> None:
    before = tree(top)
    report = write(top, tmp_path / "a.tar.gz", engine=engine)
    assert (report.left_out, report.changed) == ((), ())
    assert (report.entries, report.bytes) == (len(before) - 1, digest_of_tree(str(top)).bytes)
    assert report.digest == digest_of_tree(str(top)).hexdigest() == content_of(tmp_path / "a.tar.gz")
    assert tree(top) == before


@needs_root
def test_it_is_unpacked_equal_by_gnu_tar_and_by_us(top: Path, tmp_path: Path) -> None:
    report = write(top, tmp_path / "a.tar.gz")
    (tmp_path / "gnu").mkdir()
    gnu_tar("-x", "-z", "-p", "-f", tmp_path / "a.tar.gz", "-C", tmp_path / "gnu")
    assert tree(tmp_path / "gnu") == tree(top)
    assert unpack(tmp_path / "a.tar.gz", tmp_path / "ours") == report.digest == digest_of_tree(str(tmp_path / "ours")).hexdigest()
    assert tree(tmp_path / "ours") == tree(top)


def test_the_same_tree_makes_the_same_archive(top: Path, tmp_path: Path) -> None:
    write(top, tmp_path / "a")
    write(top, tmp_path / "b", workers=5)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_named_folders_come_with_those_above_them_alone(top: Path, tmp_path: Path) -> None:
    for name in ("deep/er", "deep"):
        os.chmod(top / "sales" / name, 0o755)
    report = write(top, tmp_path / "a", ["sales/deep", "empty", "./sales/deep/er/"])
    unpacked = [path.decode() for path in tree_of(tmp_path / "a", tmp_path / "out")]
    assert unpacked == sorted(
        ["empty", "sales", "sales/deep", *(f"sales/deep/{name}" for name in ("er", "er/again.json", "er/big", "gone", "late", "longer", "near", "up"))]
    )
    assert report.entries == len(unpacked)
    assert write(top, tmp_path / "b", []).entries == 0


def tree_of(archive: Path, target: Path) -> list[bytes]:
    with archive.open("rb") as stream:
        extract(MembersReader(stream, "x"), "x", str(target), LIMITS)
    return sorted(path for path in tree(target) if path)


@pytest.mark.parametrize(
    "name, words", [("missing", "No such file"), ("../x", "goes through `..`"), ("/etc", "is absolute"), ("", "has a name"), (".", "is empty")]
)
def test_a_name_that_is_no_folder_of_the_storage_is_refused(top: Path, tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        write(top, tmp_path / "a", [name])


def test_a_folder_that_is_a_link_is_refused_where_it_is_named(top: Path, tmp_path: Path) -> None:
    (top / "linked").symlink_to("sales")
    for name in ("linked", "linked/deep"):
        with pytest.raises(Failure, match="linked in .* is a link, and what it leads to would not be in the backup"):
            write(top, tmp_path / "a", [name])


def test_what_no_archive_can_hold_is_left_out_and_told(tmp_path: Path) -> None:
    top = tmp_path / "storage"
    (top / "sales").mkdir(parents=True)
    os.mkfifo(top / "sales" / "pipe")
    # A socket's path is short.
    folder = os.getcwd()
    os.chdir(top / "sales")
    try:
        socket.socket(socket.AF_UNIX).bind("socket")
    finally:
        os.chdir(folder)
    (top / "sales" / "x" / "y").mkdir(parents=True)
    links = {"absolute": "/etc", "out": "../../x", "chain": "x/y/up/../../../z", "x/y/up": "../..", "kept": "x/../tool"}
    for name, target in links.items():
        (top / "sales" / name).symlink_to(target)
    (top / "sales" / "tool").write_text("x")
    os.chmod(top / "sales" / "tool", 0o4755)
    report = write(top, tmp_path / "a")
    assert report.left_out == (
        "sales/absolute: a link that leaves the folder, to an absolute path",
        "sales/chain: a link that leaves the folder, through another link",
        "sales/out: a link that leaves the folder",
        "sales/pipe: a fifo",
        "sales/socket: a socket",
        "sales/tool: the bits 4000 of its mode",
    )
    assert tree_of(tmp_path / "a", tmp_path / "out") == [b"sales", b"sales/kept", b"sales/tool", b"sales/x", b"sales/x/y", b"sales/x/y/up"]
    assert stat.S_IMODE(os.stat(tmp_path / "out/sales/tool").st_mode) == 0o755
    assert report.digest == content_of(tmp_path / "a") == digest_of_tree(str(tmp_path / "out")).hexdigest()


def test_links_that_changed_during_the_copy_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "storage/x/y").mkdir(parents=True)
    (tmp_path / "storage/chain").symlink_to("x/y/up/../../z")
    (tmp_path / "storage/x/y/up").symlink_to("../..")
    # As if the second link had been made after the first was looked at.
    monkeypatch.setattr(storage._Copy, "_link_on_disk", lambda copy, parts: None)
    with pytest.raises(Failure, match="Links in .* changed during the copy; run the backup again"):
        write(tmp_path / "storage", tmp_path / "a")


def test_a_sparse_file_is_stored_in_full(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()
    with (tmp_path / "storage" / "holes").open("wb") as stream:
        stream.truncate(5_000_000)
        stream.seek(4_000_000)
        stream.write(b"x")
    report = write(tmp_path / "storage", tmp_path / "a")
    assert (report.bytes, report.left_out) == (5_000_000, ())
    unpack(tmp_path / "a", tmp_path / "out")
    assert (tmp_path / "out/holes").read_bytes() == (tmp_path / "storage/holes").read_bytes()


# -- files that change ----------------------------------------------------------------------------------------------------


class Meddler:
    """Does something to a file right after parts of it were read, a number of times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, action: Callable[[Path], Any], times: int) -> None:
        self.left = times
        self.read, self.path, self.action = os.read, path, action
        self.inode = path.stat().st_ino
        monkeypatch.setattr(file_copy.os, "read", self)
        monkeypatch.setattr(file_copy, "_PAUSE", 0.0)

    def __call__(self, descriptor: int, size: int) -> bytes:
        content = self.read(descriptor, size)
        if self.left and os.fstat(descriptor).st_ino == self.inode:
            self.left -= 1
            self.action(self.path)
        return content


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def cut(path: Path) -> None:
    os.truncate(path, 7)


def rewrite(path: Path) -> None:
    """The same size and, as far as a program can set it, the same time."""
    status = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"!")
    os.utime(path, ns=(0, status.st_mtime_ns))


ACTIONS = {"append": append, "cut": cut, "rewrite": rewrite}
SIZES = {"small": 3000, "large": 3 * file_copy.SMALL + 5}


@pytest.fixture(name="file", params=SIZES.values(), ids=SIZES.keys())
def _file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "before").write_text("before")
    (tmp_path / "storage" / "file").write_bytes(os.urandom(request.param))
    (tmp_path / "storage" / "past").write_text("past")
    return tmp_path / "storage" / "file"


@pytest.fixture(params=ACTIONS.values(), ids=ACTIONS.keys())
def action(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_file_that_changed_is_read_again(file: Path, tmp_path: Path, action: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    meddler = Meddler(monkeypatch, file, action, 2 if action is not cut else 1)
    report = write(file.parent, tmp_path / "a")
    assert meddler.left == 0
    assert (report.changed, report.entries) == ((), 3)
    assert unpack(tmp_path / "a", tmp_path / "out") == report.digest
    assert (tmp_path / "out/file").read_bytes() == file.read_bytes()
    assert report.digest == digest_of_tree(str(file.parent)).hexdigest()


def test_a_file_that_never_holds_still_is_stored_and_told(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Meddler(monkeypatch, file, append, 1000)
    report = write(file.parent, tmp_path / "a")
    assert report.changed == ("file: did not hold still during the copy, so that its parts may be of different times",)
    assert unpack(tmp_path / "a", tmp_path / "out") == report.digest == digest_of_tree(str(tmp_path / "out")).hexdigest()
    stored = (tmp_path / "out/file").read_bytes()
    assert file.read_bytes().startswith(stored)
    assert (tmp_path / "out/past").read_text() == "past"


def test_a_file_that_shrinks_every_time_leaves_the_archive_whole(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shrink(path: Path) -> None:
        os.truncate(path, max(path.stat().st_size - 100, 0))

    Meddler(monkeypatch, file, shrink, 1000)
    report = write(file.parent, tmp_path / "a")
    assert len(report.changed) == 1
    assert unpack(tmp_path / "a", tmp_path / "out") == report.digest == digest_of_tree(str(tmp_path / "out")).hexdigest()
    assert (tmp_path / "out/past").read_text() == "past"


class Pipe(io.BytesIO):
    def seekable(self) -> bool:
        return False


def test_where_the_archive_cannot_go_back_a_large_file_that_changed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "storage").mkdir()
    path = tmp_path / "storage" / "file"
    path.write_bytes(os.urandom(3 * file_copy.SMALL))
    Meddler(monkeypatch, path, append, 1)
    out = Pipe()
    report = write_storage(out, str(path.parent))
    assert len(report.changed) == 1
    out.seek(0)
    assert digest_of_archive(MembersReader(out, "x"), "x", LIMITS).hexdigest() == report.digest


def test_a_file_that_was_just_written_is_waited_for(tmp_path: Path) -> None:
    """Two writes within one tick of the clock may leave the same time: what is too young is looked at again after it."""
    slept: list[float] = []
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "out").touch()
    copier = file_copy.FileCopier(CountingArchive(), False, Progress(), slept.append)  # type: ignore[arg-type]
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        copier.copy(folder, b"f")
        assert slept == [0.02]
        os.utime(tmp_path / "f")
        time.sleep(0.03)
        copier.copy(folder, b"f")
        assert slept == [0.02]
    finally:
        os.close(folder)


class CountingArchive:
    def write(self, data: bytes) -> int:
        return len(data)


@pytest.fixture(name="busy")
def _busy(tmp_path: Path) -> Iterator[Path]:
    """A storage in which files and folders come and go all the time."""
    top = tmp_path / "storage"
    for number in range(30):
        (top / f"d{number}").mkdir(parents=True)
        (top / f"d{number}" / "stays").write_bytes(b"x" * 5000)
    stop = threading.Event()

    def work() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            folder = top / f"d{number % 30}"
            (folder / f"new{number}").write_bytes(b"y" * number)
            (folder / f"new{number - 40}").unlink(missing_ok=True) if number > 40 else None
            for old in (top / f"d{(number - 40) % 30}").glob("new*"):
                if int(old.name[3:]) < number - 40:
                    old.unlink()

    thread = threading.Thread(target=work)
    thread.start()
    yield top
    stop.set()
    thread.join()


def test_a_storage_in_use_makes_a_whole_archive(busy: Path, tmp_path: Path) -> None:
    for number in range(3):
        report = write(busy, tmp_path / f"a{number}")
        assert unpack(tmp_path / f"a{number}", tmp_path / f"out{number}") == report.digest
        assert report.digest == digest_of_tree(str(tmp_path / f"out{number}")).hexdigest()
        assert len(list((tmp_path / f"out{number}").glob("d*/stays"))) == 30


def test_a_file_that_went_away_is_told(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: [*listdir(folder), "ghost"])
    report = write(top, tmp_path / "a", ["empty"])
    assert report.changed == ("empty/ghost: went away during the copy",)


def test_a_folder_that_changed_meanwhile_is_told(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listdir = os.listdir

    def late(folder: Any) -> list[str]:
        names = listdir(folder)
        (top / "empty" / "late").touch()
        return names

    monkeypatch.setattr(os, "listdir", late)
    assert write(top, tmp_path / "a", ["empty"]).changed == ("empty: entries came or went during the copy",)


def test_what_cannot_be_read_is_no_backup(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int, size: int) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(file_copy.os, "read", broken)
    with pytest.raises(Failure, match="failed at sales/.*: Input/output error"):
        write(top, tmp_path / "a")
    with pytest.raises(Failure, match="failed at .: No such file"):
        write(tmp_path / "missing", tmp_path / "a")


def test_a_full_disk_is_told(top: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as out, pytest.raises(Failure, match="No space left on device"):
        write_storage(out, str(top))


def test_folders_without_end_are_told(tmp_path: Path) -> None:
    os.makedirs(tmp_path / "storage" / "/".join("d" * 205))
    with pytest.raises(Failure, match="nested too deeply"):
        write(tmp_path / "storage", tmp_path / "a")


def test_the_size_is_told_before(top: Path, tmp_path: Path) -> None:
    report = write(top, tmp_path / "a")
    assert measure_storage(str(top)) == (report.entries, report.bytes)
    assert measure_storage(str(top), ["empty", "missing"]) == (1, 0)
    with pytest.raises(Failure, match="No such file"):
        measure_storage(str(tmp_path / "missing"))


def test_progress_counts_bytes(top: Path, tmp_path: Path) -> None:
    progress = Progress()
    report = write(top, tmp_path / "a", progress=progress)
    assert progress.state()["done"] == report.bytes
