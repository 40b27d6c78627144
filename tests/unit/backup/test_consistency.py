# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup import consistency
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.consistency import Quiet, left_behind, systemd_timer
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure


class Engine:
    """Notes what it is told, and fails where it is told to."""

    def __init__(self, told: list[str], fails: Sequence[str] = ()) -> None:
        self.told = told
        self.fails = list(fails)

    def _do(self, words: str) -> None:
        if words in self.fails:
            self.fails.remove(words)
            raise Failure(f"{words} failed", "see the engine's log")
        self.told.append(words)

    def pause(self, container: str) -> None:
        self._do(f"pause {container}")

    def unpause(self, container: str) -> None:
        self._do(f"unpause {container}")

    def stop(self, container: str, grace: int = 60) -> None:
        self._do(f"stop {container}")

    def start(self, container: str) -> None:
        self._do(f"start {container}")


@pytest.fixture(name="told")
def _told() -> list[str]:
    return []


@pytest.fixture(name="lease")
def _lease(tmp_path: Path) -> Path:
    return tmp_path / "pause.json"


def quiet(told: list[str], lease: Path, *containers: str, limit: float = 30.0, fails: Sequence[str] = ()) -> Quiet:
    def guard(argv: Sequence[str], seconds: float) -> None:
        told.append(f"in {seconds:.0f} s: {' '.join(argv)}" if argv else "no timer")

    return Quiet(containers, Engine(told, fails), limit, str(lease), guard)


@pytest.mark.parametrize(("mode", "halt", "resume"), [("paused", "pause", "unpause"), ("stopped", "stop", "start")])
def test_all_are_held_while_the_block_runs(told: list[str], lease: Path, mode: str, halt: str, resume: str) -> None:
    with quiet(told, lease, "a", "b").held(mode) as still:
        assert told == [f"in 35 s: docker {resume} a b", f"{halt} a", f"{halt} b"]
        assert json.loads(lease.read_text())["containers"] == ["a", "b"]
        assert left_behind(str(lease)) == {}, "its owner lives"
    assert told[3:] == [f"{resume} b", f"{resume} a", "no timer"]
    assert (still.reached, still.early, lease.exists()) == (mode, False, False)


def test_hot_holds_nothing(told: list[str], lease: Path) -> None:
    with quiet(told, lease, "a").held("hot") as still:
        assert told == []
    assert (still.reached, still.seconds) == ("hot", 0.0)


def test_the_limit_ends_it_in_the_middle_and_the_result_says_so(told: list[str], lease: Path) -> None:
    with quiet(told, lease, "a", limit=0.05).held("paused") as still:
        deadline = time.monotonic() + 10
        while "unpause a" not in told and time.monotonic() < deadline:
            time.sleep(0.01)
        assert told[-1] == "unpause a"
    assert (still.reached, still.early, still.seconds) == ("hot", True, 0.05)
    assert told.count("unpause a") == 1


def test_what_fails_within_lets_them_go(told: list[str], lease: Path) -> None:
    with pytest.raises(ZeroDivisionError), quiet(told, lease, "a").held("paused"):
        raise ZeroDivisionError
    assert told[-2:] == ["unpause a", "no timer"]
    assert not lease.exists()


def test_one_that_cannot_be_paused_lets_the_others_go(told: list[str], lease: Path) -> None:
    with pytest.raises(Failure, match="pause b failed"), quiet(told, lease, "a", "b", fails=["pause b"]).held("paused"):
        raise AssertionError("the block ran")
    assert told[1:] == ["pause a", "unpause a", "no timer"]


def test_one_that_cannot_be_let_go_is_left_to_the_timer(told: list[str], lease: Path) -> None:
    with pytest.raises(Failure, match="unpause a failed"), quiet(told, lease, "a", fails=["unpause a"]).held("paused"):
        pass
    assert "no timer" not in told
    assert lease.exists()


def test_the_end_tries_again_what_the_limit_could_not(told: list[str], lease: Path) -> None:
    with quiet(told, lease, "a", limit=0.05, fails=["unpause a"]).held("paused") as still:
        time.sleep(0.3)
        assert still.early
    assert told[-2:] == ["unpause a", "no timer"]


def test_the_lease_of_a_process_that_was_killed_is_found(lease: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lease.write_text(json.dumps({"mode": "paused", "containers": ["a"], "owner": ended.pid}))
    assert left_behind(str(lease))["containers"] == ["a"]
    assert left_behind(str(lease) + "-none") == {}


def test_without_a_timer_nothing_is_held(told: list[str], lease: Path) -> None:
    def guard(argv: Sequence[str], seconds: float) -> None:
        if argv:
            raise Failure("no timer", "mend systemd")

    with pytest.raises(Failure, match="no timer"), Quiet(["a"], Engine(told), 30, str(lease), guard).held("paused"):
        raise AssertionError("the block ran")
    assert (told, lease.exists()) == ([], False)


def test_a_timer_of_a_killed_run_makes_room_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(words: list[str], **dummy: object) -> subprocess.CompletedProcess[str]:
        commands.append(words)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(consistency.subprocess, "run", run)
    systemd_timer(["docker", "unpause", "a"], 10)
    assert commands[0] == ["systemctl", "stop", "toucan-backup-resume.timer"]
    assert commands[-1][:1] + commands[-1][-4:] == ["systemd-run", "--timer-property=AccuracySec=1s", "docker", "unpause", "a"]
    assert "--on-active=10" in commands[-1]


def test_without_systemd_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "UNIT", "toucan-test-resume")
    monkeypatch.setattr(consistency.subprocess, "run", lambda *words, **options: subprocess.CompletedProcess(words, 1, "", "Failed to connect to bus"))
    with pytest.raises(Failure, match="systemd does not take the timer .*: Failed to connect to bus; correct what it says, or make the backup with"):
        systemd_timer(["docker", "unpause", "a"], 10)
