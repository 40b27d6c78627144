# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine finds of former runs; the product and its databases are looked at in the lab."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.engine import BackupEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.request import BackupRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import proofs
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.retention import Policy

from ..dump import small_dump


def never(*dummy: Any) -> Any:
    raise AssertionError("nothing but the dumps is to be looked at")


def engine(folder: Path, **options: Any) -> BackupEngine:
    request = BackupRequest(**{"state": "absent", "folder": str(folder), "spool_folder": str(folder), **options})
    return BackupEngine(request, {}, str(folder / "secrets.json"), never, never, "0.1.0", lease=str(folder / "pause.json"))


def test_a_removal_looks_at_the_dumps_alone_and_takes_the_proof_along(tmp_path: Path) -> None:
    dump = small_dump.write(tmp_path)
    path = proofs.record(str(tmp_path), proofs.Proof(dump.name, dump.manifest_sha256, small_dump.samples.time(), "MongoDB 7.0"))
    foreseen = execute(engine(tmp_path, names=(dump.name,)), check_mode=True)
    assert Path(dump.path).exists()
    done = execute(engine(tmp_path, names=(dump.name,)), check_mode=False)
    assert [step["id"] for step in done["plan"]] == [f"dump.remove:{dump.name}"] == [step["id"] for step in foreseen["plan"]]
    assert (Path(dump.path).exists(), Path(path).exists()) == (False, False)
    assert execute(engine(tmp_path, names=(dump.name,)), check_mode=False)["changed"] is False


def test_a_proof_keeps_a_dump_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    older, newer = small_dump.write(tmp_path / "a"), small_dump.write(tmp_path / "b")
    folder = tmp_path / "dumps"
    folder.mkdir()
    for dump in (older, newer):
        Path(dump.path).rename(folder / dump.name)
    path = proofs.record(str(folder), proofs.Proof(older.name, older.manifest_sha256, small_dump.samples.time(), "MongoDB 7.0"))
    kept = execute(engine(folder, keep=Policy(daily=1)), check_mode=True)
    assert [step["id"] for step in kept["plan"]] in ([], [f"dump.remove:{newer.name}"])
    Path(path).write_text("{")
    damaged = execute(engine(folder, keep=Policy(daily=1)), check_mode=True)
    assert len(damaged["plan"]) == 1
    assert path in damaged["warnings"][0]


def test_the_lease_of_a_killed_run_is_seen(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lease = {"mode": "paused", "containers": ["toucan-backend-1"], "owner": ended.pid}
    (tmp_path / "pause.json").write_text(json.dumps(lease))
    (step,) = execute(engine(tmp_path), check_mode=True)["plan"]
    assert (step["id"], step["before"]) == ("backend.resume", lease)


def test_a_recipient_that_is_none_stops_before_anything_is_looked_at(tmp_path: Path) -> None:
    pytest.importorskip("pyrage", reason="the library pyrage is not installed in this environment")
    with pytest.raises(Failure, match="`nobody` is no age recipient"):
        execute(engine(tmp_path, state="present", recipients=("nobody",)), check_mode=True)
