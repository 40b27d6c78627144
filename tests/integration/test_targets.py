# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each module's target: a plain task list that calls the module as a user would and asserts what came of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labrun.hosts import Host, lab_facts
from toolchain.places import ROOT

TARGETS = sorted(path.name for path in (ROOT / "tests" / "integration" / "targets").iterdir() if (path / "tasks" / "main.yml").exists())
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("toucan_*.py"))


def test_every_module_has_a_target() -> None:
    assert TARGETS == MODULES


@pytest.mark.parametrize("target", TARGETS)
def test_target(deployed: Host, target: str, tmp_path: Path) -> None:
    tasks = ROOT / "tests" / "integration" / "targets" / target / "tasks" / "main.yml"
    deployed.play([{"name": target, "ansible.builtin.import_tasks": str(tasks)}], variables={**lab_facts(), "scratch": str(tmp_path)}).succeeded()
