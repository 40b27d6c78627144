# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long work by real playbooks on this machine, with a module that writes progress and sleeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ACTION = """
from ansible_collections.toucan.selfhosted.plugins.plugin_utils import long_work
long_work._FOLDER = {folder!r}
long_work._LINE_EVERY = {{True: 0.0, False: 0.0}}
ActionModule = long_work.LongWork
"""
MODULE = """#!/usr/bin/python
import json, os, time
from ansible.module_utils.basic import AnsibleModule
spec = dict(progress_path=dict(default=""), seconds=dict(type="float", default=0), fails=dict(type="bool", default=False))
module = AnsibleModule(spec, supports_check_mode=True)
with open({calls!r}, "a") as calls:
    calls.write("%s %s\\n" % (module.check_mode, bool(module.params["progress_path"])))
if module.params["progress_path"]:
    with open(module.params["progress_path"], "w") as stream:
        json.dump({{"what": "sales", "detail": "3 of 12 collections", "done": 5, "total": 10, "rate": 1, "left_seconds": 5, "time": 0}}, stream)
time.sleep(module.params["seconds"])
if module.params["fails"]:
    module.fail_json(msg="One sentence.", plan=[])
module.exit_json(changed=True, plan=["done"])
"""


@pytest.fixture(name="play")
def _play(tmp_path: Path) -> Path:
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "library").mkdir()
    (tmp_path / "action_plugins" / "slow.py").write_text(ACTION.format(folder=str(tmp_path)))
    (tmp_path / "library" / "slow.py").write_text(MODULE.format(calls=str(tmp_path / "calls")))
    return tmp_path


def run(play: Path, arguments: str, *options: str) -> subprocess.CompletedProcess[str]:
    tasks = [{"name": "Work", "slow": arguments, "register": "done", "ignore_errors": True}, {"ansible.builtin.debug": {"var": "done"}}]
    (play / "play.yml").write_text(json.dumps([{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]))
    (play / "ansible.cfg").touch()
    variables = {
        "ANSIBLE_ASYNC_DIR": str(play / "jobs"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache"),
        "ANSIBLE_CONFIG": str(play / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-e", f"ansible_python_interpreter={sys.executable}", *options, "play.yml"]
    return subprocess.run(command, cwd=play, env={**os.environ, **variables}, capture_output=True, text=True, check=False)


def test_a_job_is_started_once_and_told_of_while_it_works(play: Path) -> None:
    done = run(play, "seconds=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "localhost: sales: 3 of 12 collections" in done.stdout
    assert (play / "calls").read_text() == "False True\n"
    assert '"plan": [\n            "done"' in done.stdout and "ansible_job_id" not in done.stdout
    assert list((play / "jobs").iterdir()) == []


def test_the_sentence_of_a_failure_arrives(play: Path) -> None:
    done = run(play, "fails=true")
    assert '"msg": "One sentence."' in done.stdout and '"failed": true' in done.stdout, done.stdout + done.stderr
    assert list((play / "jobs").iterdir()) == []


def test_check_mode_needs_no_job(play: Path) -> None:
    done = run(play, "seconds=0", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (play / "calls").read_text() == "True False\n"
    assert not (play / "jobs").exists()
