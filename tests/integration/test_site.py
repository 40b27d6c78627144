# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`site.yml` from a bare host to the product, over ssh.

The tests build on each other, in their order: the bare host is made once.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from labrun.hosts import CONTAINERS, ENGINE, LISTING, Host, fresh_host, user_shell
from labrun.user import BACKEND, FRONTEND, curl
from toolchain.environments import CORE_2_16, CORE_2_21, Environment, ensure

#: Aims of the project; what was measured stands in the benches.
TASKS_OF_A_SECOND_RUN = 60
#: Every document of every database, as one hash, read with the collection's own pymongo on the host.
DATABASE_HASH = """
{python} - <<'PY'
import hashlib, json, subprocess
from bson import json_util
from pymongo import MongoClient
secret = json.load(open("/etc/toucan/secrets.json"))["mongodb_password"]
address = subprocess.run(["docker", "inspect", "-f", "{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}", "toucan-mongo-1"],
                         capture_output=True, text=True, check=True).stdout.strip()
client = MongoClient(address, username="app", password=secret, directConnection=True)
documents = [
    (database, collection, json_util.dumps(document, sort_keys=True))
    for database in sorted(client.list_database_names())
    for collection in sorted(client[database].list_collection_names())
    for document in client[database][collection].find(sort=[("_id", 1)])
]
print(len(documents), hashlib.sha256(repr(documents).encode()).hexdigest())
PY
"""


@pytest.fixture(scope="module")
def host() -> Host:
    return fresh_host("host1", "bare")


def ansible_of(environment: Environment) -> Path:
    """Folder of the programs of another ansible-core than the main one; a machine without a Python for it skips the test."""
    missing = environment.missing()
    if missing:
        pytest.skip(missing)
    folder = ensure(environment) / "bin"
    version = subprocess.run([folder / "ansible-playbook", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    # Named like `core-2.16`; otherwise the test would be of the main version once more.
    assert version.startswith(f"ansible-playbook [{environment.name.replace('-', ' ')}."), version
    return folder


def picture(host: Host) -> set[str]:
    """Files and folders of a host, and what its engine holds, a line each."""
    return {*host.shell(LISTING).splitlines(), *host.shell(f"if command -v docker >/dev/null; then {ENGINE}; fi").splitlines()}


def database_hash(host: Host) -> str:
    return host.shell(DATABASE_HASH.format(python=host.state()["python"]))


def test_check_mode_on_a_bare_host_plans_and_changes_nothing(host: Host) -> None:
    before = picture(host)
    run = host.site("--check", "--diff").succeeded()
    assert "create service backend" in run.text
    assert picture(host) ^ before == set()


def test_a_bare_host_becomes_the_product(host: Host) -> None:
    run = host.site().succeeded()
    assert "Frontend https://app.lab.test v101.1.0" in run.text
    assert "Backend https://api.lab.test v101.1.0" in run.text
    cpus = int(host.shell("nproc"))
    assert f"2*{cpus}+1 = {2 * cpus + 1} for {cpus} CPUs" in run.text
    assert user_shell("curl -sS https://app.lab.test/tucana-version.txt").strip() == "v101.1.0"
    assert json.loads(user_shell("curl -sS https://api.lab.test/")) == {"status": "OK", "version": "v101.1.0"}


def test_the_state_file_says_what_was_deployed_and_no_secret(host: Host) -> None:
    state = host.state()
    assert state["services"] == ["frontend", "backend", "mongodb", "redis", "proxy"]
    assert state["urls"] == {"frontend": "https://app.lab.test", "backend": "https://api.lab.test"}
    running = {line.split()[1].split("-")[-2]: line.split()[2] for line in host.shell(CONTAINERS).splitlines()}
    for kind, name in (("frontend", "frontend"), ("backend", "backend"), ("mongodb", "mongo"), ("redis", "redis"), ("proxy", "caddy")):
        image = state["images"][kind]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])
        assert host.shell(f"docker inspect -f '{{{{.Config.Image}}}}' {'toucan-proxy' if kind == 'proxy' else 'toucan'}-{name}-1").strip() == (
            f"{image['name']}:{image['tag']}@{image['digest']}"
        )
        assert name in running
    secrets = json.loads(host.shell("cat /etc/toucan/secrets.json"))
    assert [value for value in secrets.values() if value in json.dumps(state)] == []
    assert host.shell("stat -c '%a %U' /etc/toucan/secrets.json /etc/toucan/stack.json").split() == ["600", "root", "644", "root"]


def test_a_second_run_changes_nothing(host: Host) -> None:
    before, hashed = picture(host), database_hash(host)
    run = host.site("--diff").unchanged()
    assert run.recap["ok"] + run.recap["skipped"] <= TASKS_OF_A_SECOND_RUN
    assert "Services unchanged" in run.text
    assert picture(host) ^ before == set()
    assert database_hash(host) == hashed


def test_check_mode_on_the_deployed_host_changes_nothing(host: Host) -> None:
    before, hashed = picture(host), database_hash(host)
    assert int(hashed.split()[0]) > 0
    host.site("--check", "--diff").unchanged()
    run = host.site("--check", "--diff", toucan_stack_log_level="DEBUG").succeeded()
    assert "recreate service backend" in run.text
    assert picture(host) ^ before == set()
    assert database_hash(host) == hashed


@pytest.mark.parametrize("environment", [CORE_2_16, CORE_2_21], ids=lambda environment: environment.name)
def test_another_ansible_core_finds_nothing_to_change_and_foresees_the_same(host: Host, environment: Environment) -> None:
    ansible = ansible_of(environment)
    before = picture(host)
    run = host.site("--diff", ansible=ansible).unchanged()
    assert "Services unchanged" in run.text
    assert "WARNING" not in run.output, run.output
    foreseen = host.site("--check", "--diff", ansible=ansible, toucan_stack_log_level="DEBUG").succeeded()
    assert "Services would change: update compose.yaml; recreate service backend" in foreseen.text
    assert picture(host) ^ before == set()


def test_only_what_changed_is_started_anew(host: Host) -> None:
    before = host.containers()
    host.site(toucan_stack_log_level="DEBUG").succeeded()
    after = host.containers()
    assert {name for name in before if before[name] != after.get(name)} == {"toucan-backend-1"}
    host.site(toucan_stack_log_level="DEBUG").unchanged()


def test_the_versions_are_answered_ad_hoc(host: Host) -> None:
    ask = {"name": "Ask", "toucan.selfhosted.toucan_version": {}, "register": "answer"}
    run = host.play([ask, {"name": "Tell", "ansible.builtin.debug": {"var": "answer.summary"}}])
    assert "Frontend v101.1.0 and backend v101.1.0 fit together." in run.succeeded().text


def test_the_oldest_ansible_core_brings_a_new_host_to_the_product() -> None:
    ansible = ansible_of(CORE_2_16)
    host = fresh_host("host7")
    assert "create service backend" in host.site("--check", "--diff", ansible=ansible).succeeded().text
    assert host.containers() == {}
    run = host.site("--diff", ansible=ansible).succeeded()
    assert "WARNING" not in run.output, run.output
    assert curl(host, f"https://{FRONTEND}/tucana-version.txt").strip() == "v101.1.0"
    assert json.loads(curl(host, f"https://{BACKEND}/")) == {"status": "OK", "version": "v101.1.0"}
    # What the oldest made, the main one takes for its own.
    host.site().unchanged()
