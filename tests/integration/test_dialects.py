# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The product as two vendors' secrets might have it: `site.yml` brings up both dialects, told of them by options alone.

The other tests run on dialect `a`; the tests here build on each other, in their order.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from labrun.hosts import Host, fresh_host, lab_facts, site_variables, user_shell
from labrun.user import bearer
from toolchain.places import ROOT

OUTSIDE = "toucan-lab-outside-mongodb"
OUTSIDE_PASSWORD = "a pass/word: with @ and %"
WITHOUT_MONGODB = ("toucan_frontend", "toucan_backend", "toucan_redis", "toucan_proxy")
#: What a sysadmin must say to leave a database with data behind.
MOVED = {"toucan_stack_allow_service_removal": True, "toucan_stack_allow_version_change": True}
#: Options whose values only the vendor knows for sure.
OPTIONS: dict[str, dict[str, str]] = {"a": {}, "b": {"toucan_stack_mongodb_uri_variable": "TOUCAN_MONGODB_HOST"}}


@pytest.fixture(scope="module")
def host() -> Host:
    return fresh_host("host5")


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    """Connection string of a MongoDB of the lab outside any stack."""
    lab = lab_facts()
    variables = {"MONGO_INITDB_ROOT_USERNAME": "outsider", "MONGO_INITDB_ROOT_PASSWORD": OUTSIDE_PASSWORD}
    named = [item for name in variables for item in ("--env", name)]
    command = ["docker", "run", "--rm", "--detach", "--name", OUTSIDE, "--network", lab["lab_network"], *named]
    subprocess.run([*command, lab["lab_images"]["mongodb"]], env={**os.environ, **variables}, stdout=subprocess.DEVNULL, check=True)
    try:
        shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = subprocess.run(["docker", "inspect", "-f", shown, OUTSIDE], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        yield f"mongodb://outsider:{quote(OUTSIDE_PASSWORD, safe='')}@{address}:27017/?directConnection=true"
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", OUTSIDE], stdout=subprocess.DEVNULL, check=True)


def dialect(name: str) -> dict[str, Any]:
    """What the stand-ins of a dialect do."""
    return json.loads((ROOT / "tests/lab/standins/dialects" / f"{name}.json").read_text(encoding="utf-8"))


def databases(uri: str) -> list[str]:
    """Names of the databases of a server."""
    program = "import json, pymongo, sys; print(json.dumps(pymongo.MongoClient(sys.stdin.read()).list_database_names()))"
    return json.loads(user_shell(f"python3 -c '{program}'", uri.encode()))


def test_the_dialects_differ_in_what_is_tested_here() -> None:
    a, b = dialect("a"), dialect("b")
    assert a["mongodb_uri_variable"] == "TOUCAN_MONGODB_URI"
    assert b["mongodb_uri_variable"] == OPTIONS["b"]["toucan_stack_mongodb_uri_variable"]
    assert a["instance_database"] != b["instance_database"]


def test_the_other_dialect_comes_up_and_stays(host: Host) -> None:
    variables = {**site_variables("b"), "toucan_stack_worker_memory_mb": 1 << 20}
    run = host.site(**variables).succeeded()
    assert "Frontend https://app.lab.test v101.1.0" in run.text
    assert "Backend https://api.lab.test v101.1.0" in run.text
    assert "CPUs, capped to 1: 50% of" in run.text and "at 1048576 MiB each allows 0" in run.text
    assert "toucantoco-b/backend" in host.state()["images"]["backend"]["name"]
    assert bearer(host)
    host.site(**variables).unchanged()


def test_a_wrong_variable_for_the_connection_string_is_told_with_the_backends_own_words(host: Host, outside: str) -> None:
    variables = {**site_variables("b"), **MOVED, "toucan_mongodb_uri": outside, "toucan_stack_start_timeout": 20}
    run = replace(host, groups=WITHOUT_MONGODB).site(**variables)
    run.refused("Backend (registry.lab.test:5000/toucantoco-b/backend:v101.1.0) is not healthy after 20 s", "MongoDB does not answer yet")
    assert quote(OUTSIDE_PASSWORD, safe="") not in run.output


@pytest.mark.parametrize("name", ["b", "a"])
def test_a_mongodb_outside_is_reached_by_the_dialects_variable(host: Host, outside: str, name: str) -> None:
    kept = host.shell("ls /var/lib/toucan/mongodb")
    here = replace(host, groups=WITHOUT_MONGODB)
    database = dialect(name)["instance_database"].format(instance_name="toucan")
    assert database not in databases(outside)
    variables = {**site_variables(name), **OPTIONS[name], **MOVED, "toucan_mongodb_uri": outside}
    here.site(**variables).succeeded()
    assert bearer(host)
    assert database in databases(outside)
    assert "toucan-mongo-1" not in host.containers()
    assert "mongodb" not in host.state()["services"]
    assert host.shell("ls /var/lib/toucan/mongodb") == kept != ""
    here.site(**variables).unchanged()
