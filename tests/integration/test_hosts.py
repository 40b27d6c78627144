# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One stack over four hosts: proxy and frontend, two backends, databases; each split from the same `site.yml`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labrun.hosts import Host, Stack, fresh_host, user_shell
from toolchain.places import ROOT

EDGE, FIRST, SECOND, DATA = "host13", "host14", "host15", "host16"
GROUPS = {EDGE: ("toucan_proxy", "toucan_frontend"), FIRST: ("toucan_backend",), SECOND: ("toucan_backend",), DATA: ("toucan_mongodb", "toucan_redis")}
#: The names of the product belong to another host of the lab.
ELSEWHERE = {"toucan_proxy_require_dns": False}
STORAGE = "/srv/shared/toucan"
SHARED = {**ELSEWHERE, "toucan_stack_storage_shared": True, "toucan_stack_storage_directory": STORAGE}


@pytest.fixture(name="stack", scope="module")
def _stack() -> Stack:
    for name in GROUPS:
        fresh_host(name)
    return stack_of(GROUPS)


def stack_of(groups: dict[str, tuple[str, ...]], **own: dict[str, Any]) -> Stack:
    """The hosts with the addresses that the others reach them at, and what else is theirs."""
    return Stack(groups, {name: {"toucan_stack_address": Host(name).address, **own.get(name, {})} for name in groups})


def asked(path: str, name: str = "api.lab.test") -> str:
    """What a user gets, through the proxy."""
    return user_shell(f"curl -sS --fail --resolve {name}:443:{Host(EDGE).address} https://{name}{path}")


def test_one_host_of_a_stack_has_no_address(stack: Stack) -> None:
    nameless = Stack(GROUPS, {**stack.own, DATA: {}})
    nameless.site(**ELSEWHERE).refused("Other hosts call MongoDB on this one, and `toucan_stack_address` is not set", "set `toucan_stack_address` of this host")


def test_two_hosts_with_a_mongodb_are_refused(stack: Stack) -> None:
    both = Stack({**GROUPS, SECOND: ("toucan_backend", "toucan_mongodb")}, stack.own)
    both.site(**ELSEWHERE, toucan_stack_storage_shared=True).refused(f"More than one host of the stack runs MongoDB: {SECOND}, {DATA}", "`toucan_mongodb_uri`")


def test_two_backends_without_shared_storage_are_refused(stack: Stack) -> None:
    stack.site(**ELSEWHERE).refused(f"2 hosts run a backend ({FIRST}, {SECOND}), each with files of its own", "`toucan_stack_storage_shared: true`")
    told = stack.site(**ELSEWHERE, toucan_stack_storage_shared=True, toucan_stack_storage_directory="/srv/alone")
    told.refused("The storage folder /srv/alone is not shared: what host14 wrote there is not seen here", "mount one file system there")
    assert [stack.host(name).containers() for name in GROUPS] == [{}, {}, {}, {}]
    assert [stack.host(name).shell("ls -A /srv/alone") for name in (FIRST, SECOND)] == ["", ""]


def test_four_hosts_become_one_product(stack: Stack) -> None:
    stack.host(FIRST).shell(f"rm -rf {STORAGE} && mkdir -p {STORAGE}")  # the folder outlives the lab's hosts
    stack.site(**SHARED).succeeded()
    assert json.loads(asked("/"))["status"] == "OK"
    assert asked("/tucana-version.txt", "app.lab.test").strip() == "v101.1.0"
    assert stack.changes(stack.site(**SHARED).succeeded()) == dict.fromkeys(GROUPS, 0)
    assert {name: sorted(stack.host(name).containers()) for name in GROUPS} == {
        EDGE: ["toucan-frontend-1", "toucan-proxy-caddy-1"],
        FIRST: ["toucan-backend-1"],
        SECOND: ["toucan-backend-1"],
        DATA: ["toucan-mongo-1", "toucan-redis-1"],
    }


def test_each_host_keeps_the_secrets_that_it_needs(stack: Stack) -> None:
    kept = {name: json.loads(stack.host(name).shell("cat /etc/toucan/secrets.json 2>/dev/null || echo '{}'")) for name in GROUPS}
    assert kept[FIRST] == kept[SECOND]
    assert len(kept[FIRST]) == 5
    assert kept[DATA] == {name: kept[FIRST][name] for name in ("mongodb_password", "redis_password")}
    assert kept[EDGE] == {}


def test_all_hosts_are_one_instance(stack: Stack) -> None:
    assert len({stack.host(name).state()["instance_id"] for name in GROUPS}) == 1


def test_ports_are_open_at_the_named_address_alone(stack: Stack) -> None:
    published = {name: stack.host(name).shell("docker ps --format '{{.Ports}}'").split() for name in (FIRST, DATA)}
    assert f"{Host(FIRST).address}:5000->80/tcp" in published[FIRST]
    assert [port for port in published[DATA] if "->" in port and not port.startswith(f"{Host(DATA).address}:")] == []


def test_a_lost_secrets_file_is_put_back_from_the_other_hosts(stack: Stack) -> None:
    kept, containers = stack.host(FIRST).shell("cat /etc/toucan/secrets.json"), stack.host(SECOND).containers()
    stack.host(SECOND).shell("rm /etc/toucan/secrets.json")
    run = stack.site("--diff", **SHARED).succeeded()
    assert f"taken from {FIRST}" in run.text
    assert json.loads(stack.host(SECOND).shell("cat /etc/toucan/secrets.json")) == json.loads(kept)
    assert stack.host(SECOND).containers() == containers


def test_secrets_that_differ_between_hosts_are_refused(stack: Stack) -> None:
    host = stack.host(SECOND)
    kept = host.shell("cp -p /etc/toucan/secrets.json /srv/kept.json; cat /etc/toucan/secrets.json")
    other = {**json.loads(kept), "encryption_secret": "keep-this-one-to-yourself"}
    host.shell("cat > /etc/toucan/secrets.json", stdin=json.dumps(other).encode())
    run = stack.site(**SHARED).refused("encryption_secret of", "differs from that of", "put the one that the data was made with into /etc/toucan/secrets.json")
    assert "keep-this-one-to-yourself" not in run.output
    host.shell("mv /srv/kept.json /etc/toucan/secrets.json")


def test_secrets_lost_on_all_hosts_are_not_made_anew(stack: Stack) -> None:
    for name in (FIRST, SECOND, DATA):
        stack.host(name).shell("mv /etc/toucan/secrets.json /srv/kept.json")
    stack.site(**SHARED).refused("There is data", "encryption_secret", "give them in `toucan_secrets`, or restore /etc/toucan/secrets.json from a backup")
    for name in (FIRST, SECOND, DATA):
        stack.host(name).shell("mv /srv/kept.json /etc/toucan/secrets.json")
    assert stack.changes(stack.site(**SHARED).succeeded()) == dict.fromkeys(GROUPS, 0)


def test_a_run_limited_to_one_host_knows_the_others(stack: Stack) -> None:
    stack.site("--limit", DATA, **SHARED).unchanged_on(DATA)
    stack.site("--limit", SECOND, **SHARED).unchanged_on(SECOND)


#: What the engine of a host did to containers since a moment: nanoseconds, event and name.
EVENTS = (
    "docker events --since {} --until $(date +%s) --filter event=die --filter event=start"
    " --format '{{{{.TimeNano}}}} {{{{.Action}}}} {{{{.Actor.Attributes.name}}}}'"
)
TIERS = {"toucan-proxy-caddy-1": 0, "toucan-frontend-1": 1, "toucan-backend-1": 2, "toucan-redis-1": 3, "toucan-mongo-1": 3}


def test_a_restart_takes_one_tier_on_all_hosts_after_the_other(stack: Stack) -> None:
    since = stack.host(EDGE).shell("date +%s").strip()
    stack.playbook(ROOT / "playbooks" / "restart.yml").succeeded()
    events = [line.split() for name in GROUPS for line in stack.host(name).shell(EVENTS.format(since)).splitlines()]
    ended, began = ([TIERS[name] for dummy, what, name in sorted(events) if what == event] for event in ("die", "start"))
    assert ended == [0, 1, 2, 2, 3, 3]
    assert began == [3, 3, 2, 2, 1, 0]
    assert json.loads(asked("/"))["status"] == "OK"


def test_one_service_stops_on_the_hosts_that_run_it(stack: Stack) -> None:
    run = stack.playbook(ROOT / "playbooks" / "stop.yml", "--check", variables={"toucan_services": ["redis"]}).succeeded()
    assert {name for name, changed in stack.changes(run).items() if changed} == {DATA}
    stack.playbook(ROOT / "playbooks" / "stop.yml", variables={"toucan_hosts": "toucan_backend", "toucan_services": ["redis"]}).refused(
        "No host of this run runs redis: site.yml deployed backend here; correct `toucan_services`"
    )


def test_a_removal_on_one_host_leaves_the_storage_of_the_others(stack: Stack) -> None:
    stack.host(FIRST).shell(f"touch {STORAGE}/file-of-both")
    instance = stack.host(FIRST).state()["instance_id"]
    asked_for = {"toucan_hosts": FIRST, "toucan_remove_data": True, "toucan_remove_confirm": instance}
    stack.playbook(ROOT / "playbooks" / "remove.yml", variables=asked_for).refused(f"files of the backend in {STORAGE} cannot be removed: other hosts may use")
    assert sorted(stack.host(FIRST).containers()) == ["toucan-backend-1"]
