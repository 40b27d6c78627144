# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration shows what Ansible prints, and fails where it should not have gone well."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from labrun.hosts import Run
from toolchain.places import ROOT

sys.path.insert(0, str(ROOT / "tests" / "lab"))

import demo

RECAP = "PLAY RECAP ***\nhost1                      : ok=9    changed={}    unreachable=0    failed=0    skipped=1\n"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """What each run of Ansible is to give, in turn; there is no lab."""
    found: list[Run] = []
    monkeypatch.setattr(demo, "shown", lambda command: found.pop(0))
    monkeypatch.setattr(demo, "lab_command", lambda *arguments: None)
    monkeypatch.setattr(demo, "write_variables", lambda: Path("variables.yml"))
    monkeypatch.setattr(demo, "lab_facts", lambda: {"lab_frontend_url": "https://app.test", "lab_backend_url": "https://api.test"})
    monkeypatch.setattr(demo, "user_shell", lambda command, stdin=None: "answer")
    monkeypatch.setattr(demo, "log_in", lambda host, backend: "user")
    return found


def run(changed: int, code: int = 0) -> Run:
    return Run("host1", code, RECAP.format(changed))


def test_a_second_run_without_changes_ends_well_and_tells_the_time(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    runs += [run(12), run(0), run(0)]
    assert demo.main() == 0
    assert runs == []
    assert "=== Done: the second run changed nothing  [" in capsys.readouterr().out


def test_a_second_run_that_changed_something_is_a_failure(runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
    runs += [run(12), run(0), run(2)]
    assert demo.main() == 1
    output = capsys.readouterr().out
    assert "The second run of site.yml changed 2 things on host1, and should have changed none" in output
    assert "Done" not in output


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_run_that_fails_ends_the_demonstration(runs: list[Run], failing: int) -> None:
    runs += [run(0, code=2 if index == failing else 0) for index in range(3)]
    assert demo.main() == 1
    assert len(runs) == 2 - failing


def test_output_is_shown_as_it_is_and_kept_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    coloured = "\x1b[0;33mhost1\x1b[0m : \x1b[0;32mok=9   \x1b[0m \x1b[0;33mchanged=1   \x1b[0m\n"
    kept = demo.shown([sys.executable, "-c", f"print({coloured!r}, end=''); raise SystemExit(3)"])
    assert capsys.readouterr().out == coloured
    assert (kept.code, kept.recap) == (3, {"ok": 9, "changed": 1})
