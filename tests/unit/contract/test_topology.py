# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who publishes what to whom, for every split of the services over hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.filter.kept_secrets import kept_secrets
from ansible_collections.toucan.selfhosted.plugins.filter.stack_topology import stack_topology
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import ALL_KINDS, KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.topology import (
    CALLS,
    Member,
    Peer,
    maker,
    peers,
    published,
    refuse_unnamed,
    the_database,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

# One host for each service, in any way.
SPLITS = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=len(ALL_KINDS), max_size=len(ALL_KINDS)).map(
    lambda hosts: [
        Member(host, [kind for kind, where in zip(ALL_KINDS, hosts) if where == host], f"10.0.0.{number}", {})
        for number, host in enumerate(sorted(set(hosts)), start=1)
    ]
)


@given(SPLITS)
def test_a_port_is_published_exactly_where_another_host_calls_it(members: list[Member]) -> None:
    for member in members:
        for kind in KINDS:
            called = any(kind in CALLS.get(service, ()) for other in members if other is not member for service in other.services)
            assert (kind in published(members, member.host)) == (kind in member.services and called)


@given(SPLITS)
def test_what_a_host_calls_elsewhere_is_published_there(members: list[Member]) -> None:
    for member in members:
        for kind, found in peers(members, member.host).items():
            for peer in found:
                assert kind in published(members, peer.host)
                assert peer.host != member.host


def test_one_host_publishes_nothing_and_calls_nobody() -> None:
    members = [Member("a", ALL_KINDS, "", {})]
    assert (published(members, "a"), peers(members, "a"), maker(members)) == ((), {}, "a")


def test_a_service_named_outside_the_stack_is_not_published() -> None:
    members = [Member("a", ["backend"], "10.0.0.1", {}), Member("b", ["mongodb", "redis"], "10.0.0.2", {})]
    assert published(members, "b") == ("mongodb", "redis")
    assert published(members, "b", outside=["mongodb"]) == ("redis",)


def test_a_peer_is_written_as_the_address_and_port_that_it_has() -> None:
    assert str(Member("b", ["redis"], "10.0.0.2", {"redis": 6400}).peer("redis")) == "10.0.0.2:6400"
    assert str(Member("b", ["mongodb"], "fd00::2", {}).peer("mongodb")) == "[fd00::2]:27017"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("", "Other hosts call MongoDB on this one, and `toucan_stack_address` is not set; set `toucan_stack_address` of this host"),
        ("0.0.0.0", "`toucan_stack_address` is `0.0.0.0`, which is no single IP address"),
        ("::", "`toucan_stack_address` is `::`, which is no single IP address"),
        ("db.example.com", "`toucan_stack_address` is `db.example.com`, which is no single IP address"),
    ],
)
def test_a_service_for_others_needs_one_named_address(address: str, sentence: str) -> None:
    with pytest.raises(Failure) as caught:
        refuse_unnamed(address, "mongodb")
    assert sentence in str(caught.value)


def test_any_one_address_will_do() -> None:
    refuse_unnamed("10.0.0.2", "mongodb")
    refuse_unnamed("fd00::2", "mongodb")


def test_a_database_of_the_stack_stands_on_one_host() -> None:
    first, second = Peer("b", "10.0.0.2", 27017), Peer("c", "10.0.0.3", 27017)
    assert the_database([first], False, "mongodb", "toucan_mongodb_uri") == first
    assert the_database([], True, "mongodb", "toucan_mongodb_uri") is None
    with pytest.raises(Failure, match="More than one host of the stack runs MongoDB: b, c; name one in group `toucan_mongodb`; .*`toucan_group`"):
        the_database([first, second], False, "mongodb", "toucan_mongodb_uri")
    with pytest.raises(Failure, match="runs MongoDB: this one, b; "):
        the_database([first], True, "mongodb", "toucan_mongodb_uri")
    with pytest.raises(Failure, match="needs the MongoDB of b, which has no `toucan_stack_address`; set it there"):
        the_database([Peer("b", "", 27017)], False, "mongodb", "toucan_mongodb_uri")


# -- the filters --------------------------------------------------------------------------------------------------------


def host(*groups: str, **variables: Any) -> dict[str, Any]:
    return {"group_names": ["toucan", *groups], **variables}


def test_the_inventory_tells_the_topology() -> None:
    hostvars = {
        "edge": host("toucan_proxy", toucan_stack_env={"TOUCAN_NGINX_SUPERVISOR": "off"}),
        "front": host("toucan_frontend", toucan_stack_address="10.0.0.2"),
        "back": host("toucan_backend", "toucan_redis", toucan_stack_address="10.0.0.3", toucan_stack_ports={"backend": 5050}),
        "data": host("toucan_mongodb", toucan_stack_address="10.0.0.4"),
    }
    told = {name: stack_topology(list(hostvars), hostvars, name) for name in hostvars}
    assert {name: facts["published"] for name, facts in told.items()} == {"edge": [], "front": ["frontend"], "back": ["backend"], "data": ["mongodb"]}
    assert told["back"]["peers"] == {"mongodb": [{"host": "data", "address": "10.0.0.4", "port": 27017}]}
    assert told["edge"]["upstreams"] == {"frontend": ["10.0.0.2:8000"], "backend": ["10.0.0.3:5050"]}
    assert {facts["maker"] for facts in told.values()} == {"back"}
    assert told["edge"]["backends"] == ["back"]


def test_a_proxy_beside_one_of_two_backends_takes_both() -> None:
    hostvars = {
        "a": host(toucan_stack_env={"TOUCAN_NGINX_SUPERVISOR": "off"}),
        "b": host("toucan_backend", toucan_stack_address="10.0.0.2"),
    }
    assert stack_topology(["a", "b"], hostvars, "a")["upstreams"] == {"frontend": [], "backend": ["backend:5000", "10.0.0.2:5000"]}


def test_a_lone_host_leaves_the_proxy_its_own_defaults() -> None:
    assert stack_topology(["a"], {"a": host()}, "a")["upstreams"] == {"frontend": [], "backend": []}


def test_services_named_for_a_host_win_over_its_groups() -> None:
    hostvars = {"a": host("toucan_backend"), "b": host(toucan_stack_services=["mongodb", "redis"])}
    assert stack_topology(["a", "b"], hostvars, "b")["published"] == ["mongodb", "redis"]


def test_a_database_outside_the_stack_leaves_an_idle_one_unpublished() -> None:
    outside = {"toucan_mongodb_uri": "mongodb://db.example.com"}
    hostvars = {"a": host("toucan_backend", **outside), "b": host("toucan_mongodb", "toucan_redis", **outside)}
    assert stack_topology(["a", "b"], hostvars, "b")["published"] == ["redis"]


def test_a_host_learns_of_others_only_the_secrets_that_it_needs() -> None:
    kept = {"secrets": {"mongodb_password": "m", "redis_password": "r", "jwt_secret": "j"}, "data": True}
    hostvars = {
        "back": host(__toucan_stack_fetched={"kept": {"secrets": {}, "data": False}}, __toucan_stack_made={"kept": kept}),
        "data": host(__toucan_stack_fetched={"kept": {"secrets": {"mongodb_password": "m"}, "data": True}}, __toucan_stack_made={"skipped": True}),
        "away": host(),
    }
    assert kept_secrets(["back", "data", "away"], hostvars, "data", ["mongodb"]) == {
        "secrets": {"back": {"mongodb_password": "m"}, "away": {}},
        "with_data": ["back"],
    }
    assert kept_secrets(["back", "data"], hostvars, "back", ["backend"])["with_data"] == ["data"]
