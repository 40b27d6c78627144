# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`awx_setup.yml` creates in AWX what its data say, by the modules of awx.awx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labrun.awx_rules import awx_data
from labrun.awx_server import TOKEN, Awx, awx_server
from labrun.hosts import Run
from toolchain.awx_collection import ensure_awx_collection
from toolchain.places import CACHE, ROOT

OPTIONS = {
    "awx_setup_project_url": "https://git.example.com/toucan-awx.git",
    "awx_setup_execution_environment": "Toucan",
    "awx_setup_execution_environment_image": "registry.example.com/toucan-ee:1",
    "awx_setup_credentials": ["Machines", "Our registry"],
}


def set_up(awx: Awx | None, collections: Path | None, options: dict[str, Any]) -> Run:
    """Run the playbook, with awx.awx out of a folder of collections."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CONTROLLER_", "TOWER_"))},
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(map(str, filter(None, (CACHE, collections)))),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "1",
        "CONTROLLER_HOST": awx.address if awx else "http://127.0.0.1:9",
        "CONTROLLER_OAUTH_TOKEN": TOKEN,
    }
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-e", json.dumps(options), "toucan.selfhosted.awx_setup"]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return Run("localhost", done.returncode, done.stdout.decode())


@pytest.fixture(scope="module")
def awx() -> Iterator[Awx]:
    with awx_server() as server:
        for name in OPTIONS["awx_setup_credentials"]:
            server.add("credentials", {"name": name})
        yield server


def test_everything_is_created(awx: Awx) -> None:
    set_up(awx, ensure_awx_collection(), OPTIONS).succeeded()
    data = awx_data()
    types, templates, schedules = awx.named("credential_types"), awx.named("job_templates"), awx.named("schedules")
    for kind in data["awx_setup_credential_types"]:
        assert {name: types[kind["name"]][name] for name in kind} == kind
    for template in data["awx_setup_job_templates"]:
        made = templates[template["name"]]
        assert (made["playbook"], made["description"]) == (template["playbook"], template["description"])
        assert made["project"] == awx.named("projects")["Toucan"]["id"]
        assert made["inventory"] == awx.named("inventories")["Toucan"]["id"]
        assert made["execution_environment"] == awx.named("execution_environments")["Toucan"]["id"]
        assert sorted(awx.credentials[made["id"]]) == sorted(item["id"] for item in awx.objects["credentials"])
        assert awx.surveys[made["id"]] == template["survey_spec"]
        assert made["survey_enabled"] is True
        assert made["ask_job_type_on_launch"] is True
    for schedule in data["awx_setup_schedules"]:
        made = schedules[schedule["name"]]
        assert made["unified_job_template"] == templates[schedule["unified_job_template"]]["id"]
        assert (made["job_type"], made["enabled"], made["rrule"]) == (schedule["job_type"], schedule["enabled"], schedule["rrule"])


def test_a_second_run_changes_nothing(awx: Awx) -> None:
    set_up(awx, ensure_awx_collection(), OPTIONS).unchanged()


def test_what_is_missing_or_misspelt_is_one_sentence() -> None:
    set_up(None, None, {}).refused("collection awx.awx, which is not installed here; run `ansible-galaxy collection install awx.awx`")
    set_up(None, None, {"awx_setup_organisation": "Ours"}).refused("awx_setup_organisation is no option of this playbook; write one of awx_setup_organization,")


def test_a_survey_that_awx_refuses_stops_the_run(awx: Awx) -> None:
    template = awx_data()["awx_setup_job_templates"][0]
    question = {"variable": "toucan_hosts", "question_name": "Hosts", "type": "boolean", "required": False}
    broken = {**template, "survey_spec": {"name": "Broken", "description": "", "spec": [question]}}
    run = set_up(awx, ensure_awx_collection(), {**OPTIONS, "awx_setup_job_templates": [broken], "awx_setup_schedules": []})
    run.refused("boolean is no type of a question")
