# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`stop.yml`, `start.yml`, `restart.yml` and `remove.yml` on a host with the whole product, over ssh.

The tests build on each other, in their order; in the end the host runs the product again, as a new instance.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from labrun.hosts import ENGINE, LISTING, Host, Run
from labrun.user import BACKEND, FRONTEND, bearer, curl
from toolchain.places import ROOT

ALL = ["backend", "frontend", "mongodb", "proxy", "redis"]
CONTAINERS = {f"toucan-{name}-1" for name in ("backend", "frontend", "mongo", "proxy-caddy", "redis")}
SECRETS = "sha256sum /etc/toucan/secrets.json"
APP = "Kept Over Removals"


@pytest.fixture(scope="module")
def host(proxied: Host) -> Host:
    """The host, with a small app, which has a row in the database and files in the storage."""
    body = json.dumps({"name": APP})
    curl(proxied, f"-f https://{BACKEND}/small-apps -H @- -H 'Content-Type: application/json' --data '{body}'", bearer(proxied))
    return proxied


def run(host: Host, playbook: str, *arguments: str, **variables: Any) -> Run:
    """Run one of the playbooks, which are told nothing of the inventory's."""
    return host.playbook(ROOT / "playbooks" / f"{playbook}.yml", *arguments, variables=variables)


def apps(host: Host) -> list[str]:
    """The names of the small apps, as a user who logs in sees them."""
    return [item["name"] for item in json.loads(curl(host, f"-f https://{BACKEND}/small-apps -H @-", bearer(host)))]


def test_check_mode_says_what_would_stop_and_stops_nothing(host: Host) -> None:
    before = host.shell(f"{ENGINE}; {LISTING}")
    assert "would change: remove service proxy; remove service frontend; remove service backend;" in run(host, "stop", "--check").succeeded().text
    assert host.shell(f"{ENGINE}; {LISTING}") == before


def test_what_is_stopped_stays_stopped_over_a_reboot(host: Host) -> None:
    done = run(host, "stop").succeeded()
    assert "remove service proxy; remove service frontend; remove service backend; remove service redis; remove service mongodb" in done.text
    assert host.containers() == {}
    assert host.state()["stopped"] == ALL
    subprocess.run(["docker", "restart", host.name], stdout=subprocess.DEVNULL, check=True)
    host.shell("timeout 120 sh -c 'until docker info >/dev/null 2>&1; do sleep 0.2; done'")
    run(host, "stop").unchanged()
    assert host.containers() == {}


def test_one_service_starts_with_the_databases_it_needs(host: Host) -> None:
    # As a survey may send it.
    done = run(host, "start", toucan_services="backend").succeeded()
    assert "create service mongodb; create service redis; create service backend" in done.text
    assert set(host.containers()) == CONTAINERS - {"toucan-frontend-1", "toucan-proxy-caddy-1"}
    assert host.state()["stopped"] == ["frontend", "proxy"]


def test_all_starts_and_a_second_run_changes_nothing(host: Host) -> None:
    done = run(host, "start").succeeded()
    assert "changed: create service frontend; create service proxy" in done.text
    assert APP in apps(host)
    assert curl(host, f"https://{FRONTEND}/tucana-version.txt").strip() == "v101.1.0"
    assert host.state()["stopped"] == []
    run(host, "start").unchanged()


def test_a_restart_of_one_leaves_the_others_and_keeps_the_container(host: Host) -> None:
    started = "docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' $(docker ps -q) | sort"
    before = host.shell(started).splitlines()
    run(host, "restart", toucan_services=["frontend"]).succeeded()
    changed = [(old.split(), new.split()) for old, new in zip(before, host.shell(started).splitlines()) if old != new]
    assert [(old[:2], new[0]) for old, new in changed] == [(changed[0][1][:2], "/toucan-frontend-1")]


def test_site_brings_back_what_was_stopped_on_purpose_and_says_so(host: Host) -> None:
    run(host, "stop", toucan_services=["frontend", "proxy"]).succeeded()
    foreseen = run(host, "restart", "--check").succeeded().text
    assert "stop service backend" in foreseen and "service frontend" not in foreseen, foreseen
    assert set(host.containers()) == CONTAINERS - {"toucan-frontend-1", "toucan-proxy-caddy-1"}
    done = host.site("--diff").succeeded()
    assert "changed: create service frontend; create service proxy" in done.text
    assert done.text.count("stopped on purpose") == 2
    assert host.state()["stopped"] == []


@pytest.mark.parametrize(
    ("playbook", "variables", "words"),
    [
        ("stop", {"toucan_services": ["bakend"]}, ["bakend", "must be one or more of", "backend"]),
        ("stop", {"toucan_service": ["backend"]}, ["`toucan_service` is no option of this collection; write `toucan_services`"]),
        ("remove", {"toucan_services": ["redis"]}, ["`absent` removes all that the stack has on this host, and services are named"]),
        ("remove", {"toucan_remove_data": "true"}, ["Removing the data of instance", "is not confirmed; set `toucan_remove_confirm: "]),
        ("remove", {"toucan_remove_data": True, "toucan_remove_confirm": "an-id"}, ["is confirmed for an-id; set `toucan_remove_confirm: "]),
        ("stop", {"toucan_service_state_path": "/etc/none.json"}, ["there is no state file /etc/none.json; run site.yml"]),
    ],
)
def test_bad_input_is_refused_in_a_sentence_before_anything_changes(host: Host, playbook: str, variables: dict[str, Any], words: list[str]) -> None:
    before = host.containers()
    run(host, playbook, **variables).refused(*words)
    assert host.containers() == before


def test_a_removal_leaves_data_and_says_where(host: Host) -> None:
    before = host.shell(SECRETS), host.state()
    foreseen = run(host, "remove", "--check").succeeded()
    assert set(host.containers()) == CONTAINERS
    done = run(host, "remove").succeeded()
    for told in ("remove network toucan", "remove configuration in /var/lib/toucan/stack", "Stays files of the backend: /var/lib/toucan/storage",
                 "database: /var/lib/toucan/mongodb", "secrets: /etc/toucan/secrets.json", f"Instance {before[1]['instance_id']}"):  # fmt: skip
        assert told in done.text and told in foreseen.text, told
    assert host.containers() == {}
    assert host.shell("docker network ls --format '{{.Name}}'").split() == ["bridge", "host", "none"]
    assert host.shell("find /var/lib/toucan/stack /var/lib/toucan/proxy -type f 2>/dev/null | grep -v ^/var/lib/toucan/proxy/data/ || true") == ""
    assert (host.shell(SECRETS), host.state()) == (before[0], {**before[1], "stopped": ALL})
    run(host, "remove").unchanged()


def test_nothing_starts_where_the_configuration_is_gone(host: Host) -> None:
    run(host, "start").refused("No compose.yaml on this host says how to run mongodb; run site.yml, which writes it.")


def test_site_builds_the_stack_on_the_data_that_stayed(host: Host) -> None:
    before = host.shell(SECRETS), host.state()["instance_id"]
    host.site().succeeded()
    assert (host.shell(SECRETS), host.state()["instance_id"]) == before
    assert APP in apps(host)


def test_confirmed_data_goes_and_site_makes_a_new_instance(host: Host) -> None:
    secrets, instance = host.shell(SECRETS), host.state()["instance_id"]
    confirmed = {"toucan_remove_data": True, "toucan_remove_confirm": instance}
    assert "remove database in /var/lib/toucan/mongodb" in run(host, "remove", **confirmed).succeeded().text
    assert host.shell("ls /etc/toucan; find /var/lib/toucan -type f") == ""
    assert host.containers() == {}
    run(host, "remove", **confirmed).unchanged()
    host.site().succeeded()
    assert host.state()["instance_id"] != instance
    assert host.shell(SECRETS) != secrets
    assert APP not in apps(host)
