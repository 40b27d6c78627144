# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test runner counts what really ran, ends what does not end by itself, and finds real interpreters."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from pathlib import Path

import pytest

from toolchain import interpreters, stages
from toolchain.places import ROOT, replace_link, source_files
from toolchain.processes import TIMED_OUT, run
from toolchain.report import Count, judge, read_junit, tail
from toolchain.stages import Check, run_checks

JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite name="x">
  <testcase name="good"/>
  <testcase name="bad"><failure message="no"/></testcase>
  <testcase name="broken"><error message="no"/></testcase>
  <testcase name="idle"><skipped message="No tests applicable."/></testcase>
  <testcase name="later"><skipped message="no Docker here"/></testcase>
</testsuite></testsuites>
"""


def test_junit_files_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(JUNIT)
    count = read_junit([tmp_path / "a.xml", tmp_path / "a.xml"])
    assert (count.passed, count.failed, count.skipped) == (2, 4, ["later: no Docker here"] * 2)
    assert count.ran() == 6


def test_a_junit_file_that_was_cut_off_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(JUNIT[:90])
    assert read_junit([tmp_path / "a.xml"]) == Count(failed=1)


@pytest.mark.parametrize(
    ("count", "exit_code", "failed"),
    [
        (Count(passed=3), 0, 0),
        (Count(passed=3), 1, 1),
        (Count(passed=3, failed=2), 1, 2),
        (Count(), 0, 1),
        (Count(skipped=["why"]), 0, 0),
        (Count(skipped=["why"]), 2, 1),
    ],
)
def test_a_tool_that_fails_or_tests_nothing_is_a_failure(count: Count, exit_code: int, failed: int) -> None:
    assert judge(count, exit_code).failed == failed


def test_counts_add_up() -> None:
    total = Count(passed=1)
    total.add(Count(passed=2, failed=3, skipped=["why"]))
    assert total == Count(passed=3, failed=3, skipped=["why"])


def test_tail_keeps_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == ""
    log.write_text("one\ntwo\nthree\n")
    assert tail(log, lines=2) == "    two\n    three"


def test_a_check_without_its_proof_fails(tmp_path: Path) -> None:
    log = tmp_path / "log"
    checks = [
        Check("proven", [sys.executable, "-c", "print('3 files processed')"], proof=r"[1-9] files processed"),
        Check("idle", [sys.executable, "-c", "print('0 files processed')"], proof=r"[1-9] files processed"),
        Check("flawed", [sys.executable, "-c", "print('3 files processed'); print('WARNING: no')"], flaw="^WARNING"),
        Check("broken", [sys.executable, "-c", "raise SystemExit(7)"]),
    ]
    count = run_checks(checks, log, {}, seconds=30)
    assert (count.passed, count.failed) == (1, 3)
    assert log.read_text().endswith("Failed: idle (exit code 0), flawed (exit code 0), broken (exit code 7)\n")


def test_a_playbook_counts_only_where_its_name_leads_to_the_installed_one(tmp_path: Path) -> None:
    check = stages.syntax_check(tmp_path / "environment", tmp_path / "installed", "site")
    assert check.command[-1] == "toucan.selfhosted.site"
    assert check.holds(0, f"\nplaybook: {tmp_path}/installed/ansible_collections/toucan/selfhosted/playbooks/site.yml\n")
    assert not check.holds(0, f"\nplaybook: {ROOT}/playbooks/site.yml\n")
    assert not check.holds(0, f"\nplaybook: {tmp_path}/installed/ansible_collections/toucan/selfhosted/playbooks/stop.yml\n")
    assert not check.holds(0, "")


def test_time_limit_ends_the_command_and_its_children(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; child = subprocess.Popen(['sleep', '60']); print('child', child.pid, flush=True); time.sleep(60)"
    log = tmp_path / "log"
    started = time.monotonic()
    assert run([sys.executable, "-c", code], log, cwd=tmp_path, seconds=2) == TIMED_OUT
    assert time.monotonic() - started < 30
    text = log.read_text()
    assert "it did not end within 2 s" in text
    assert_ends(int(text.split("child ")[-1].split()[0]))


def test_nothing_of_a_finished_command_stays(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(["sh", "-c", "sleep 60 & echo child $!"], log, cwd=tmp_path, seconds=30) == 0
    assert_ends(int(log.read_text().split()[-1]))


def test_what_was_meant_to_stay_stays(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run(["sh", "-c", "sleep 60 & echo child $!"], log, cwd=tmp_path, seconds=30, keep_children=True)
    child = int(log.read_text().split()[-1])
    os.kill(child, 9)
    assert_ends(child)


def assert_ends(pid: int) -> None:
    """Fail unless a process ends within a few seconds; one that nobody waited for counts as ended."""
    for _attempt in range(50):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} is still running")


@pytest.fixture
def lab_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a lab in place that only writes down how it was called, and fails where a file named after the command exists."""
    calls = tmp_path / "calls"
    lab = tmp_path / "lab.py"
    lab.write_text(
        "import pathlib, sys\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "with (folder / 'calls').open('a') as calls:\n"
        "    print(*sys.argv[1:], file=calls)\n"
        "sys.exit((folder / sys.argv[1]).exists())\n"
    )
    monkeypatch.setattr(stages, "LAB", lab)
    monkeypatch.setattr(stages, "set_up_main", lambda: Path(sys.executable).parents[1])
    monkeypatch.setattr(stages, "integration_suites", lambda: [[Path("test_a.py"), Path("test_b.py")], [Path("test_c.py")]])
    monkeypatch.setattr(stages, "pytest", lambda environment, targets, log, seconds: Count(passed=len(targets)))
    monkeypatch.delenv("HOSTS", raising=False)
    return calls


@pytest.mark.parametrize(
    ("keep_lab", "failing", "calls", "count"),
    [
        (False, None, ["up --hosts 1", "down --engine"], Count(passed=4)),
        (True, None, ["up --hosts 1"], Count(passed=4)),
        (False, "up", ["up --hosts 1", "down --engine"], Count(failed=1)),
        (False, "down", ["up --hosts 1", "down --engine"], Count(passed=4, failed=1)),
    ],
)
def test_the_lab_is_taken_down_whatever_happened(
    lab_calls: Path, tmp_path: Path, keep_lab: bool, failing: str | None, calls: list[str], count: Count
) -> None:
    if failing:
        (tmp_path / failing).touch()
    assert stages.integration(keep_lab, tmp_path / "log") == count
    assert lab_calls.read_text().splitlines() == calls


def test_every_file_of_integration_tests_runs_once() -> None:
    suites = stages.integration_suites()
    run_files = sorted(path.name for suite in suites for path in suite)
    assert run_files == sorted(path.name for path in (ROOT / "tests" / "integration").glob("test_*.py"))
    assert len(suites) > 5


def hosts_of(text: str, fixtures: dict[str, set[str]]) -> set[str]:
    """The lab's hosts that a test file names, or that the shared fixtures it takes name."""
    taken = [hosts for fixture, hosts in fixtures.items() if re.search(rf"\b{fixture}: (Host|Secretive)\b", text)]
    return set(re.findall(r'"(host\d+)"', text)).union(*taken)


def test_suites_beside_each_other_have_hosts_of_their_own() -> None:
    folder = ROOT / "tests" / "integration"
    shared = (folder / "conftest.py").read_text(encoding="utf-8").split("@pytest.fixture")[1:]
    fixtures = {re.findall(r"def (\w+)\(", text)[0]: set(re.findall(r'"(host\d+)"', text)) for text in shared}
    assert fixtures["stack"] == {"host4"} and len(fixtures) > 3
    users: dict[str, set[str]] = {}
    for suite in stages.integration_suites():
        for path in suite:
            for host in hosts_of(path.read_text(encoding="utf-8"), fixtures):
                users.setdefault(host, set()).add(suite[0].stem)
    assert {host: names for host, names in users.items() if len(names) > 1} == {}


def test_suites_run_side_by_side_and_failures_are_told_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)

    def suite(environment: object, targets: list[Path], log: Path, seconds: float) -> Count:
        both.wait()
        log.write_text(f"log of {targets[0].stem}\n")
        return Count(failed=1) if targets[0].stem == "test_a" else Count(passed=1)

    monkeypatch.setattr(stages, "pytest", suite)
    log = tmp_path / "integration.log"
    assert stages.side_by_side([[Path("test_a.py")], [Path("test_b.py")]], log) == Count(passed=1, failed=1)
    assert log.read_text() == "log of test_b\nlog of test_a\n"


def test_the_lab_is_taken_down_after_an_exception(lab_calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> Count:
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "pytest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stages.integration(False, tmp_path / "log")
    assert lab_calls.read_text().splitlines() == ["up --hosts 1", "down --engine"]


def test_input_is_closed_and_variables_are_added(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os, sys; print(repr(sys.stdin.read()), os.environ['TOOLCHAIN_PROBE'])"
    assert run([sys.executable, "-c", code], log, cwd=tmp_path, seconds=30, environment={"TOOLCHAIN_PROBE": "seen"}) == 0
    assert log.read_text().endswith("'' seen\n")


def test_a_shim_of_another_version_is_not_taken(tmp_path: Path) -> None:
    shim = tmp_path / "python3.11"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    assert interpreters.probe(shim, "3.11") is None
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert interpreters.probe(Path(sys.executable), version) is not None
    assert interpreters.probe(Path(sys.executable), "3.1") is None
    assert interpreters.probe(tmp_path / "none", version) is None


def test_real_interpreters_come_before_the_inherited_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(["/opt/pyenv/shims", "/usr/bin"]))
    folders = interpreters.path_with_real_interpreters(Path("/first")).split(os.pathsep)
    assert folders[0] == "/first"
    assert "/usr/bin" in folders
    assert "/opt/pyenv/shims" not in folders


def test_a_link_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "deep" / "link"
    for name in ("one", "two", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        replace_link(link, tmp_path / name)
        assert link.resolve() == (tmp_path / name).resolve()
        assert os.readlink(link) == f"../{name}"


def test_source_files_exist_and_leave_the_cache_out() -> None:
    files = source_files()
    assert Path("galaxy.yml") in files
    assert not [path for path in files if path.parts[0] == ".cache"]
    assert all(os.path.lexists(ROOT / path) for path in files)
