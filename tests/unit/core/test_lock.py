# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes keep each other out, wait for each other, and leave nothing behind when they are killed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import lock as module
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import Lock, holder

COLLECTIONS = Path(module.__file__).parents[6]
#: Holds a lock until a line or the end of its input, and then lets it go and says so.
HOLD = f"""
import sys
sys.path.insert(0, {str(COLLECTIONS)!r})
from {Lock.__module__} import Lock
with Lock(sys.argv[1], "first", 30, shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.readline()
print("gone", flush=True)
sys.stdin.readline()
"""
#: Adds one to the number in a file under the lock, as slowly as others can see.
COUNT = f"""
import sys, time
sys.path.insert(0, {str(COLLECTIONS)!r})
from {Lock.__module__} import Lock
for turn in range(5):
    with Lock(sys.argv[1], "count", 60):
        number = int(open(sys.argv[2]).read())
        time.sleep(0.01)
        open(sys.argv[2], "w").write(str(number + 1))
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A lock file in a folder that is not there yet."""
    return str(tmp_path / "toucan" / "lock")


@pytest.fixture
def hold() -> Iterator[Start]:
    """Start a process that holds the lock; it is ended after the test."""
    with ExitStack() as ended:

        def start(path: str, mode: str = "exclusive") -> subprocess.Popen[str]:
            process = ended.enter_context(subprocess.Popen([sys.executable, "-c", HOLD, path, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            ended.callback(process.kill)
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            return process

        yield start


def let_go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "gone\n"


def test_a_second_process_is_told_who_holds_it(path: str, hold: Start) -> None:
    first = hold(path)
    with pytest.raises(Failure) as caught, Lock(path, "second", 0.5):
        pytest.fail("both hold the lock")
    since = json.loads(Path(path).read_text())["since"]
    assert str(caught.value) == (
        f"second cannot run beside first of process {first.pid} (since {since}), which did not end within 0.5 s; "
        "wait until it has ended and run again, or end it if it hangs, or wait longer with `lock_timeout`."
    )


def test_no_patience_is_no_wait(path: str, hold: Start) -> None:
    first = hold(path)
    with pytest.raises(Failure, match=rf"^second cannot run beside first of process {first.pid} \(since [^)]* UTC\); wait"):
        Lock(path, "second").acquire()


def test_a_second_process_waits_for_the_first_to_let_go(path: str, hold: Start) -> None:
    first = hold(path)
    timer = threading.Timer(0.5, let_go, [first])
    timer.start()
    with Lock(path, "second", 30) as lock:
        assert lock.waited > 0
        assert lock.waited_for.startswith(f"first of process {first.pid}")
        assert holder(path).startswith(f"second of process {os.getpid()}")
    timer.join()
    assert first.poll() is None


def test_a_killed_holder_is_no_holder(path: str, hold: Start) -> None:
    first = hold(path)
    first.kill()
    first.wait()
    assert "first" in Path(path).read_text()
    assert holder(path) == ""
    with Lock(path, "second") as lock:
        assert lock.waited == 0


def test_what_is_let_go_tells_of_nobody_and_can_be_taken_again(path: str) -> None:
    lock = Lock(path, "first")
    for dummy in range(2):
        with lock:
            assert holder(path).startswith("first of process")
        assert Path(path).read_text() == ""
    lock.release()


def test_no_count_is_lost_among_many_processes(path: str, tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, path, str(number)]) for dummy in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    assert number.read_text() == "20"


def test_only_its_owner_may_open_the_file(path: str) -> None:
    former = os.umask(0)
    try:
        with Lock(path, "first"):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    finally:
        os.umask(former)


def test_a_program_that_is_started_meanwhile_does_not_keep_the_lock(path: str) -> None:
    lock = Lock(path, "first")
    lock.acquire()
    child = subprocess.Popen(["sleep", "30"], close_fds=False)
    lock.release()
    try:
        Lock(path, "second").acquire()
    finally:
        child.kill()
        child.wait()


# -- looking only ---------------------------------------------------------------------------------------------------------


def test_who_only_looks_leaves_no_file(path: str) -> None:
    with Lock(path, "look", shared=True):
        assert not Path(path).parent.exists()


def test_who_only_looks_waits_for_a_change(path: str, hold: Start) -> None:
    first = hold(path)
    with pytest.raises(Failure, match=f"look cannot run beside first of process {first.pid}"):
        Lock(path, "look", shared=True).acquire()
    let_go(first)
    with Lock(path, "look", shared=True):
        assert Path(path).read_text() == ""


def test_those_who_only_look_do_so_together_and_keep_a_change_waiting(path: str, hold: Start) -> None:
    with Lock(path, "first"):
        pass
    first = hold(path, "shared")
    with Lock(path, "look", shared=True):
        pass
    with pytest.raises(Failure, match=r"^second cannot run beside another run on this host; wait"):
        Lock(path, "second").acquire()
    let_go(first)
    with Lock(path, "second"):
        pass


# -- bad input ------------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match=f"Opening the lock file {tmp_path}/file/lock failed: .*; correct its owner and mode, or run with `become: true`"):
        Lock(str(tmp_path / "file" / "lock"), "first").acquire()


@pytest.mark.parametrize("shared", [False, True])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, shared: bool) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure, match="Opening the lock file .* failed"):
        Lock(str(tmp_path / "lock"), "first", shared=shared).acquire()
    assert (tmp_path / "elsewhere").read_text() == "precious"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}', "\N{SNOWMAN}"])
def test_a_file_of_another_content_tells_of_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text, encoding="utf-8")
    assert holder(str(tmp_path / "lock")) == ""
    with Lock(str(tmp_path / "lock"), "first"):
        assert holder(str(tmp_path / "lock")) != ""
