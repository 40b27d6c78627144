# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the whole product of a host running, and `stop.yml`, `start.yml`, `restart.yml` and `remove.yml`, over ssh.

The tests build on each other, in their order; in the end the host runs the product again, as a new instance.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

from labrun.hosts import ENGINE, LISTING, Host, Run, fresh_host, site_variables
from labrun.user import BACKEND, FRONTEND, bearer, curl
from toolchain.places import ROOT

ALL = ["backend", "frontend", "mongodb", "proxy", "redis"]
CONTAINERS = {f"toucan-{name}-1" for name in ("backend", "frontend", "mongo", "proxy-caddy", "redis")}
SECRETS = "sha256sum /etc/toucan/secrets.json"
APP = "Kept Over Removals"
PATIENCE_SECONDS = 180


@pytest.fixture(scope="module")
def host() -> Host:
    """The host, with a small app, which has a row in the database and files in the storage."""
    made = fresh_host("host10")
    made.site().succeeded()
    body = json.dumps({"name": APP})
    curl(made, f"-f https://{BACKEND}/small-apps -H @- -H 'Content-Type: application/json' --data '{body}'", bearer(made))
    return made


def run(host: Host, playbook: str, *arguments: str, **variables: Any) -> Run:
    """Run one of the playbooks, which are told nothing of the inventory's."""
    return host.playbook(ROOT / "playbooks" / f"{playbook}.yml", *arguments, variables=variables)


def apps(host: Host) -> list[str]:
    """The names of the small apps, as a user who logs in sees them."""
    return [item["name"] for item in json.loads(curl(host, f"-f https://{BACKEND}/small-apps -H @-", bearer(host)))]


def kill_the_engine(host: Host) -> None:
    """End dockerd as the kernel would for want of memory; systemd starts it again."""
    host.shell("kill -9 $(cat /run/docker.pid)")


def restart_the_host(host: Host) -> None:
    """Stop the host in order, and start it."""
    subprocess.run(["docker", "restart", host.name], stdout=subprocess.DEVNULL, check=True)


def cut_the_power(host: Host) -> None:
    """End everything on the host at once, and start it."""
    subprocess.run(["docker", "kill", host.name], stdout=subprocess.DEVNULL, check=True)
    subprocess.run(["docker", "start", host.name], stdout=subprocess.DEVNULL, check=True)


def wait_for_the_engine(host: Host) -> None:
    """Return when the engine answers on a host that has just been started, and its ssh server with it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            host.shell("docker info")
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def started(host: Host) -> set[str]:
    """When backend and proxy started."""
    return set(host.shell("docker inspect -f '{{.State.StartedAt}}' toucan-backend-1 toucan-proxy-caddy-1").split())


def wait_until_users_are_served_anew(host: Host, before: set[str]) -> None:
    """Return when backend and proxy have started since `before`, and both public names answer; fail with the last refusal."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            assert not before & started(host), "the fault has not reached the containers"
            assert curl(host, f"-f https://{FRONTEND}/tucana-version.txt").strip() == "v101.1.0"
            assert '"OK"' in curl(host, f"-f https://{BACKEND}/")
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1)


@pytest.mark.parametrize("fault", [kill_the_engine, restart_the_host, cut_the_power])
def test_everything_returns_by_itself(host: Host, fault: Callable[[Host], None]) -> None:
    before, former = host.containers(), started(host)
    fault(host)
    wait_until_users_are_served_anew(host, former)
    assert host.containers() == before
    host.role("toucan_stack", variables=site_variables()).unchanged()


def test_check_mode_says_what_would_stop_and_stops_nothing(host: Host) -> None:
    before = host.shell(f"{ENGINE}; {LISTING}")
    assert "would change: remove service proxy; remove service frontend; remove service backend;" in run(host, "stop", "--check").succeeded().text
    assert host.shell(f"{ENGINE}; {LISTING}") == before


def test_what_is_stopped_stays_stopped_over_a_reboot(host: Host) -> None:
    done = run(host, "stop").succeeded()
    assert "remove service proxy; remove service frontend; remove service backend; remove service redis; remove service mongodb" in done.text
    assert host.containers() == {}
    # Not even the volumes that an image wants beside its data.
    assert host.shell("docker volume ls --quiet") == ""
    assert host.state()["stopped"] == ALL
    restart_the_host(host)
    wait_for_the_engine(host)
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
    command = "docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' $(docker ps -q) | sort"
    before = host.shell(command).splitlines()
    run(host, "restart", toucan_services=["frontend"]).succeeded()
    ((old, new),) = [(old.split(), new.split()) for old, new in zip(before, host.shell(command).splitlines()) if old != new]
    assert old[0] == "/toucan-frontend-1"
    assert old[:2] == new[:2]


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
