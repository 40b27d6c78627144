# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook as a job of AWX, with its template and survey, on host8.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labrun.awx_job import RUNNER, WRAPPER, Controller, Job
from labrun.awx_rules import awx_data, job_template, survey_variables
from labrun.hosts import Host, Run, fresh_host, site_variables
from toolchain import collection
from toolchain.places import LOGS, ROOT

Launch = Callable[..., Run]
#: The playbooks of jobs that ran for real, to their end.
SUCCEEDED: set[str] = set()


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    """The wrapper project of the documentation, with the built collection beside it as its requirements would bring it."""
    folder = tmp_path_factory.mktemp("controller")
    made = Controller(folder, execution_environment())
    shutil.copytree(WRAPPER, made.project)
    environment = Path(sys.executable).parents[1]
    archive = collection.build(environment, LOGS / "awx-build.log")
    # Without `--force` the checkout would do, which the tests' own path of Python modules shows to Ansible.
    galaxy = [environment / "bin" / "ansible-galaxy", "collection", "install", archive, "--force", "--offline", "--collections-path", made.collections]
    subprocess.run(galaxy, check=True, stdout=subprocess.DEVNULL, env={**os.environ, **collection.settings(environment)})
    for path in (made.project, *made.project.rglob("*"), made.collections, *made.collections.rglob("*")):
        os.chown(path, *RUNNER, follow_symlinks=False)
    return made


def execution_environment() -> str:
    """The image of the lab that jobs run in, built on first use."""
    command = [sys.executable, ROOT / "tests" / "lab" / "lab.py", "images", "--layer", "execution-environment"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode().split()[-1]


@pytest.fixture(scope="module")
def host() -> Host:
    return fresh_host("host8")


@pytest.fixture(scope="module")
def launch(controller: Controller, host: Host, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """Launches a job of a playbook's template with answers to its survey; AWX's own extra variables and inventory as they are given."""
    folder = tmp_path_factory.mktemp("jobs") / "job"

    def launched(playbook: str, *arguments: str, answers: dict[str, Any] | None = None, inventory: dict[str, Any] | None = None, **more: Any) -> Run:
        variables = survey_variables(job_template(playbook)["survey_spec"], answers or {})
        job = Job(playbook, {**variables, **more}, credentials(), arguments)
        run = job.run(controller, host, {**inventory_variables(), **(inventory or {})}, folder)
        if run.code == 0 and "--check" not in arguments:
            SUCCEEDED.add(playbook)
        return run

    return launched


#: What credentials carry, and so not the inventory.
CREDENTIALS = ("toucan_registry", "toucan_ca_file", "toucan_proxy_certificate", "toucan_proxy_key")


def inventory_variables() -> dict[str, Any]:
    """What the inventory says of the lab's product."""
    return {name: value for name, value in site_variables().items() if name not in CREDENTIALS}


def credentials() -> dict[str, dict[str, str]]:
    """The inputs of the job's credentials, by their types."""
    given = site_variables()
    return {
        "Toucan registry": given["toucan_registry"],
        "Toucan secrets": {"admin_password": "chosen in the vault {{ not a template }}"},
        "Toucan TLS certificate": {"certificate": given["toucan_proxy_certificate"], "key": given["toucan_proxy_key"]},
        "Toucan CA": {"certificates": Path(given["toucan_ca_file"]).read_text(encoding="utf-8")},
    }


def unset_options() -> dict[str, Any]:
    """Every option of every role that a survey can ask for and that has a default of its own, answered as if it were not there."""
    answers = {}
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            for name, option in entry.get("options", {}).items():
                if "default" in option and "choices" not in option and name not in site_variables():
                    answers.update(as_a_survey_sends(name, option))
    return answers


def as_a_survey_sends(name: str, option: dict[str, Any]) -> dict[str, Any]:
    """An option's default as an answer: a boolean as text, an integer as integer, a text as an empty one; nothing for other types."""
    kinds: dict[str, Any] = {"bool": str(option["default"]).lower(), "int": option["default"], "str": "", "path": ""}
    kind = option.get("type", "str")
    return {name: kinds[kind]} if kind in kinds else {}


def test_a_job_can_write_neither_into_its_project_nor_beside_its_collections(controller: Controller, tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    for place in ("project", "requirements_collections/ansible_collections/toucan/selfhosted/playbooks"):
        done = controller.container(job, ["sh", "-c", f"id -u; ls -A ~; ls /runner/{place}/site.yml; echo x > /runner/{place}/written"])
        assert done.returncode != 0
        assert done.stdout.decode().splitlines()[:2] == ["1000", f"/runner/{place}/site.yml"]
        assert "Read-only file system" in done.stdout.decode()


def test_a_ready_host_becomes_the_product(launch: Launch, host: Host) -> None:
    run = launch("site.yml").succeeded()
    assert "Frontend https://app.lab.test v101.1.0" in run.text
    assert "chosen in the vault {{ not a template }}" in host.shell("cat /etc/toucan/secrets.json")


def test_a_second_job_changes_nothing_whatever_else_was_left_empty(launch: Launch) -> None:
    launch("site.yml", **unset_options()).unchanged()


@pytest.mark.parametrize(("answer", "code"), [("false", 2), ("true", 0)])
def test_false_is_false_and_true_is_true(launch: Launch, host: Host, answer: str, code: int) -> None:
    before = host.containers()
    older = {"toucan_release": "v101.0.0", "toucan_stack_allow_version_change": answer == "false"}
    run = launch("site.yml", "--check", answers={"toucan_stack_allow_version_change": answer}, inventory=older)
    assert run.code == code, run.output
    assert ("toucan_stack_allow_version_change" in run.text) == (answer == "false")
    assert host.containers() == before


def test_a_misspelt_extra_variable_is_one_sentence(launch: Launch, host: Host) -> None:
    before = host.containers()
    run = launch("site.yml", toucan_stack_log_levle="DEBUG")
    run.refused("`toucan_stack_log_levle` is no option of this collection; write `toucan_stack_log_level`")
    assert host.containers() == before


def test_a_job_adopts_what_runs(launch: Launch, host: Host) -> None:
    before = host.containers()
    launch("adopt.yml").succeeded()
    assert host.containers() == before


def test_jobs_stop_start_and_restart_what_was_chosen(launch: Launch, host: Host) -> None:
    before = set(host.containers())
    launch("stop.yml", answers={"toucan_services": ["frontend"]}).succeeded()
    assert before - set(host.containers()) == {"toucan-frontend-1"}
    launch("start.yml").succeeded()
    assert set(host.containers()) == before
    started = host.shell("docker inspect -f '{{.State.StartedAt}}' toucan-redis-1")
    launch("restart.yml", answers={"toucan_services": ["redis"]}).succeeded()
    assert host.shell("docker inspect -f '{{.State.StartedAt}}' toucan-redis-1") != started


def test_a_job_rotates_what_was_chosen(launch: Launch, host: Host) -> None:
    before = json.loads(host.shell("cat /etc/toucan/secrets.json"))
    launch("rotate.yml", answers={"toucan_rotate": ["redis_password"]}).succeeded()
    after = json.loads(host.shell("cat /etc/toucan/secrets.json"))
    assert {name for name in before if before[name] != after.get(name)} == {"redis_password"}


def test_a_job_removes_no_data_that_was_not_confirmed(launch: Launch, host: Host) -> None:
    before = host.containers()
    launch("remove.yml", answers={"toucan_remove_data": "true"}).refused("toucan_remove_confirm")
    assert host.containers() == before
    launch("remove.yml").succeeded()
    assert host.containers() == {}
    assert host.shell("ls /var/lib/toucan/mongodb /etc/toucan/secrets.json").split()[1:]


def test_the_playbook_that_sets_awx_up_says_in_a_job_what_it_lacks(controller: Controller, host: Host, tmp_path: Path) -> None:
    job = Job("toucan.selfhosted.awx_setup")
    job.run(controller, host, {}, tmp_path / "job").refused("collection awx.awx, which is not installed here")


def test_every_playbook_was_a_job() -> None:
    assert {template["playbook"] for template in awx_data()["awx_setup_job_templates"]} - SUCCEEDED == set()
