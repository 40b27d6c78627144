# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of starting, stopping, restarting and removing: the right order, only what is needed, and no harm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import ALL_KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.planner import kept, plan_services, selected, warnings
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.request import (
    ABSENT,
    RESTARTED,
    START_ORDER,
    STARTED,
    STOP_ORDER,
    STOPPED,
    Configuration,
    Leavings,
    Network,
    Observed,
    Place,
    ServiceRequest,
)
from hypothesis import given
from hypothesis import strategies as st

STATE = "/etc/toucan/stack.json"
SECRETS = "/etc/toucan/secrets.json"
INSTANCE = "5f0c6f1e-6a53-4a39-8f0b-6b8f5a1f1c9e"
DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    "frontend": {"image": "frontend:v1"},
    "backend": {"image": "backend:v1", "depends_on": ["mongo", "redis"]},
    "mongodb": {"image": "mongo:7"},
    "redis": {"image": "redis:8"},
    "proxy": {"image": "caddy:2"},
}


def request(state: str, *services: str, **changes: Any) -> ServiceRequest:
    return replace(ServiceRequest(state, tuple(services), STATE, SECRETS, 10, "status"), **changes)


def container(kind: str, state: str = "running") -> Container:
    return Container(f"id-of-{kind}", kind, DEFINITIONS[kind]["image"], "sha256:0", state, 0, 0, "2026-11-23T12:00:00Z", "hash")


def host(up: Any = ALL_KINDS, stopped: Any = (), known: Any = ALL_KINDS, **changes: Any) -> Observed:
    """A host that was given the services `known`, of which those `up` run."""
    recorded = {"schema": 1, "instance_id": INSTANCE, "services": list(known), "stopped": sorted(stopped)}
    definitions = {kind: DEFINITIONS[kind] for kind in known}
    return replace(Observed(recorded, definitions, {kind: container(kind) for kind in up}), **changes)


def ids(steps: Any) -> list[str]:
    return [step.id for step in steps]


def refusal(asked: ServiceRequest, observed: Observed) -> str:
    with pytest.raises(Failure) as caught:
        plan_services(asked, observed)
    return str(caught.value)


def test_all_stops_in_order_and_is_kept_in_mind() -> None:
    steps = plan_services(request(STOPPED), host())
    assert ids(steps) == [*(f"service.remove:{kind}" for kind in ("proxy", "frontend", "backend", "redis", "mongodb")), f"state:{STATE}"]
    assert steps[-1].after == {"stopped": sorted(ALL_KINDS)}


def test_one_stops_alone() -> None:
    assert ids(plan_services(request(STOPPED, "frontend"), host())) == ["service.remove:frontend", f"state:{STATE}"]


def test_what_is_stopped_already_changes_nothing() -> None:
    assert plan_services(request(STOPPED), host(up=(), stopped=ALL_KINDS)) == []


def test_a_container_that_was_stopped_by_hand_goes_too_for_a_reboot_would_start_it() -> None:
    observed = host(containers={"redis": container("redis", "exited")})
    assert ids(plan_services(request(STOPPED, "redis"), observed)) == ["service.remove:redis", f"state:{STATE}"]


def test_containers_may_be_kept_and_are_not_recorded_as_stopped_on_purpose() -> None:
    observed = host(up=("backend", "redis"))
    assert ids(plan_services(request(STOPPED, keep_containers=True), observed)) == ["service.stop:backend", "service.stop:redis"]


def test_all_starts_in_order() -> None:
    steps = plan_services(request(STARTED), host(up=(), stopped=ALL_KINDS))
    assert ids(steps) == [*(f"service.create:{kind}" for kind in ("mongodb", "redis", "backend", "frontend", "proxy")), f"state:{STATE}"]
    assert steps[0].before == {"state": "stopped on purpose"}
    assert steps[-1].after == {"stopped": []}


def test_what_runs_is_not_started() -> None:
    assert plan_services(request(STARTED), host()) == []


@pytest.mark.parametrize(("state", "starts"), [("running", False), ("restarting", False), ("paused", True), ("exited", True), ("created", True)])
def test_a_container_is_started_unless_it_is_up(state: str, starts: bool) -> None:
    observed = host(containers={**host().containers, "redis": container("redis", state)})
    assert ids(plan_services(request(STARTED, "redis"), observed)) == (["service.start:redis"] if starts else [])


def test_a_backend_takes_its_databases_along_and_says_why() -> None:
    steps = plan_services(request(STARTED, "backend"), host(up=("redis",), stopped=("backend", "mongodb", "frontend")))
    assert ids(steps) == ["service.create:mongodb", "service.create:backend", f"state:{STATE}"]
    assert steps[0].after == {"image": "mongo:7", "state": "running", "because": "backend needs it"}
    assert steps[-1].after == {"stopped": ["frontend"]}


def test_a_restart_stops_and_starts_in_order() -> None:
    steps = plan_services(request(RESTARTED, "backend", "redis"), host())
    assert ids(steps) == ["service.stop:backend", "service.stop:redis", "service.start:redis", "service.start:backend"]


def test_a_restart_of_all_leaves_what_was_stopped_on_purpose() -> None:
    observed = host(up=("backend", "mongodb", "redis"), stopped=("proxy", "frontend"))
    assert selected(request(RESTARTED), observed) == ("backend", "mongodb", "redis")
    assert not [step for step in plan_services(request(RESTARTED), observed) if "frontend" in step.id or "proxy" in step.id]


def test_a_restart_brings_back_what_is_named() -> None:
    steps = plan_services(request(RESTARTED, "frontend"), host(up=("backend",), stopped=("frontend",)))
    assert ids(steps) == ["service.create:frontend", f"state:{STATE}"]


KINDS = st.sets(st.sampled_from(ALL_KINDS))


@given(st.sampled_from([STARTED, STOPPED, RESTARTED]), KINDS, KINDS, KINDS)
def test_orders_hold_whatever_runs(state: str, up: set[str], stopped: set[str], named: set[str]) -> None:
    """Nothing stops before its callers, nothing starts before what it calls, and nothing starts while something is still to stop."""
    steps = plan_services(request(state, *named), host(up=up, stopped=stopped))
    ends = [step.id.split(":")[1] for step in steps if step.action in ("stop", "remove")]
    begins = [step.id.split(":")[1] for step in steps if step.action in ("create", "start")]
    assert ends == [kind for kind in STOP_ORDER if kind in ends]
    assert begins == [kind for kind in START_ORDER if kind in begins]
    turns = [{"stop": 0, "remove": 0, "update": 2}.get(step.action, 1) for step in steps]
    assert turns == sorted(turns)


# -- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "observed", "words"),
    [
        (request(STARTED), Observed(), f"No stack is known on this host: there is no state file {STATE}; run site.yml"),
        (request(STOPPED), Observed(), "No stack is known on this host"),
        (request(STARTED, "redis"), host(known=("frontend", "proxy")), "does not run redis: site.yml deployed frontend, proxy here"),
        (request(STARTED, "redis"), host(known=()), "does not run redis: site.yml deployed nothing here"),
        (request(RESTARTED), host(known=()), "site.yml has deployed nothing on this host; run site.yml first."),
        (request(STARTED), host(up=(), missing=frozenset({"redis"})), "redis cannot be started: its image redis:8 is not on this host; run site.yml"),
        (request(STARTED, "proxy"), host(up=(), definitions={}), "No compose.yaml on this host says how to run proxy; run site.yml"),
        (request(ABSENT, "redis"), host(), "`absent` removes all that the stack has on this host, and services are named"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(asked: ServiceRequest, observed: Observed, words: str) -> None:
    assert words in refusal(asked, observed)


@pytest.mark.parametrize("state", [STARTED, STOPPED, RESTARTED, ABSENT])
def test_a_stack_that_site_has_not_taken_over_is_left_to_its_own_compose_file(state: str) -> None:
    observed = host(definitions={})
    adopted = {**(observed.recorded or {}), "adopted": {"at": "2026-11-23", "compose_files": ["/srv/toucan/docker-compose.yml"]}}
    sentence = refusal(request(state), replace(observed, recorded=adopted))
    assert "site.yml has not taken it over yet; run site.yml first, or go on with /srv/toucan/docker-compose.yml." in sentence


def test_an_image_is_not_missed_where_a_container_has_it() -> None:
    observed = host(containers={"redis": container("redis", "exited")}, missing=frozenset({"redis"}))
    assert ids(plan_services(request(STARTED, "redis"), observed)) == ["service.start:redis"]


def test_stopping_a_database_under_a_running_backend_is_warned_of() -> None:
    assert warnings(request(STOPPED, "mongodb"), host()) == ["The backend goes on running without mongodb, and will answer with errors."]
    assert warnings(request(STOPPED), host()) == []
    assert warnings(request(STOPPED, "mongodb"), host(up=("mongodb",))) == []
    assert warnings(request(STARTED, "mongodb"), host()) == []


# -- removal --------------------------------------------------------------------------------------------------------------

STORAGE = Place("/var/lib/toucan/storage", "files of the backend", populated=True)
DATABASE = Place("/var/lib/toucan/mongodb", "database", populated=True)
COMPOSE = Configuration("/var/lib/toucan/stack", ("/var/lib/toucan/stack/compose.yaml",))
LEAVINGS = Leavings((COMPOSE,), Network("toucan", ours=True), (STORAGE, DATABASE), secrets=True, images=("backend:v1",))


def test_a_removal_takes_containers_network_and_configuration() -> None:
    observed = host(up=("proxy", "backend"), leavings=LEAVINGS)
    assert ids(plan_services(request(ABSENT), observed)) == [
        "service.remove:proxy",
        "service.remove:backend",
        "network.remove:toucan",
        "config.remove:/var/lib/toucan/stack",
        f"state:{STATE}",
    ]
    assert kept(request(ABSENT), observed) == [
        {"what": "files of the backend", "where": "/var/lib/toucan/storage"},
        {"what": "database", "where": "/var/lib/toucan/mongodb"},
        {"what": "secrets", "where": SECRETS},
        {"what": "state with the instance id", "where": STATE},
        {"what": "image", "where": "backend:v1"},
    ]


def test_a_second_removal_changes_nothing() -> None:
    assert plan_services(request(ABSENT), host(up=(), stopped=ALL_KINDS, leavings=replace(LEAVINGS, configurations=(), network=None))) == []
    assert plan_services(request(ABSENT), Observed()) == []
    assert kept(request(ABSENT), Observed()) == []


def test_containers_that_neither_state_nor_compose_file_know_are_not_this_stacks() -> None:
    foreign = {kind: container(kind) for kind in ("backend", "mongodb")}
    assert plan_services(request(ABSENT), host(known=(), containers=foreign)) == []
    # What a first run started that died before it recorded anything is.
    steps = plan_services(request(ABSENT), host(known=(), containers=foreign, definitions={"backend": DEFINITIONS["backend"]}))
    assert ids(steps) == ["service.remove:backend"]


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Network("toucan", ours=True, others=("grafana",)), "network, because grafana use it"),
        (Network("toucan", ours=False), "network, because it was not made by this collection"),
    ],
)
def test_a_network_of_others_stays(network: Network, words: str) -> None:
    observed = host(leavings=replace(LEAVINGS, network=network))
    assert not [step for step in plan_services(request(ABSENT), observed) if "network" in step.id]
    assert {"what": words, "where": "toucan"} in kept(request(ABSENT), observed)


def test_files_of_others_in_the_folder_are_said_to_stay() -> None:
    observed = host(leavings=replace(LEAVINGS, configurations=(replace(COMPOSE, others=("/var/lib/toucan/stack/notes.txt",)),)))
    assert {"what": "files that others wrote", "where": "/var/lib/toucan/stack/notes.txt"} in kept(request(ABSENT), observed)


def test_data_goes_when_confirmed_and_the_state_last() -> None:
    asked = request(ABSENT, remove_data=True, confirm=INSTANCE)
    observed = host(up=("backend",), leavings=LEAVINGS)
    assert ids(plan_services(asked, observed)) == [
        "service.remove:backend",
        "network.remove:toucan",
        "config.remove:/var/lib/toucan/stack",
        "data.remove:/var/lib/toucan/storage",
        "data.remove:/var/lib/toucan/mongodb",
        f"secrets.remove:{SECRETS}",
        f"state.remove:{STATE}",
    ]
    assert kept(asked, observed) == [{"what": "image", "where": "backend:v1"}]


@pytest.mark.parametrize(("confirm", "word"), [("", "not confirmed"), ("00000000-0000-0000-0000-000000000000", "confirmed for 00000000")])
def test_data_does_not_go_unconfirmed(confirm: str, word: str) -> None:
    sentence = refusal(request(ABSENT, remove_data=True, confirm=confirm), host(leavings=LEAVINGS))
    assert f"Removing the data of instance {INSTANCE} is {word}" in sentence
    assert f"`toucan_remove_confirm: {INSTANCE}`" in sentence


def test_data_in_an_unsafe_place_is_not_removed() -> None:
    unsafe = replace(DATABASE, fault="another file system is mounted below it, on /var/lib/toucan/mongodb/disk")
    observed = host(leavings=replace(LEAVINGS, places=(STORAGE, unsafe)))
    sentence = refusal(request(ABSENT, remove_data=True, confirm=INSTANCE), observed)
    assert "The database in /var/lib/toucan/mongodb cannot be removed: another file system is mounted below it" in sentence
    assert plan_services(request(ABSENT), observed)[-1].id == f"state:{STATE}"


def test_secrets_stay_where_the_database_is_elsewhere() -> None:
    asked = request(ABSENT, remove_data=True, confirm=INSTANCE)
    observed = host(up=(), known=("frontend", "backend"), leavings=replace(LEAVINGS, places=(STORAGE,)))
    assert not [step for step in plan_services(asked, observed) if step.id.startswith("secrets")]
    assert {"what": "secrets, because the database is not on this host", "where": SECRETS} in kept(asked, observed)
