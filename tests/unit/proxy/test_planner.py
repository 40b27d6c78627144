# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the proxy: nothing for what is as desired, a reload where a new container is not needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.folders import Folder
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Step
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.engine import Desired, Observed, fingerprint, plan_proxy
from hypothesis import given
from hypothesis import strategies as st

IMAGE = Image("registry.test/caddy", "2.11", "sha256:" + "0f" * 32)
FOLDER = Folder("/srv/proxy", (0, 0), "0750")
FILES = {"Caddyfile": "text", "certificate.pem": "chain", "key.pem": "value-of-key"}
DESIRED = Desired(compose={"services": {"caddy": {"image": str(IMAGE)}}}, image=IMAGE, files=FILES, folders=(FOLDER,), network="toucan", config_hash="aa11")
CONTAINER = Container("id1", "caddy", str(IMAGE), "sha256:1d", "running", 0, 0, "2026-11-23T12:00:00Z", "aa11")
APPLIED = Observed(
    compose=DESIRED.compose,
    files=FILES,
    folders={FOLDER.path: FOLDER},
    container=CONTAINER,
    has_image=True,
    has_network=True,
    loaded=fingerprint(FILES),
)


def ids(steps: Sequence[Step]) -> list[str]:
    return [step.id for step in steps]


def test_a_bare_host_gets_everything_in_an_order_that_works() -> None:
    assert ids(plan_proxy(DESIRED, Observed())) == [
        "image.pull:proxy",
        "network:toucan",
        "folder:/srv/proxy",
        "config.replace:proxy",
        "file:compose.yaml",
        "service.create:proxy",
    ]


def test_a_proxy_that_was_stopped_on_purpose_is_brought_back_and_the_plan_says_so() -> None:
    (step,) = plan_proxy(DESIRED, replace(APPLIED, container=None, stopped=True))
    assert (step.id, step.before) == ("service.create:proxy", {"state": "stopped on purpose"})
    (step,) = plan_proxy(DESIRED, replace(APPLIED, container=None))
    assert step.before is None


def test_what_was_just_applied_needs_nothing() -> None:
    assert plan_proxy(DESIRED, APPLIED) == []


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"files": {**FILES, "Caddyfile": "former"}, "loaded": "former"}, ["config.replace:proxy", "config.reload:proxy"]),
        ({"loaded": "former"}, ["config.reload:proxy"]),
        ({"container": None}, ["service.create:proxy"]),
        ({"container": replace(CONTAINER, state="exited")}, ["service.start:proxy"]),
        ({"container": replace(CONTAINER, config_hash="bb22")}, ["service.recreate:proxy"]),
        ({"container": replace(CONTAINER, image="registry.test/caddy:2.6")}, ["service.recreate:proxy"]),
        ({"has_image": False, "container": replace(CONTAINER, image="registry.test/caddy:2.6")}, ["image.pull:proxy", "service.recreate:proxy"]),
        ({"compose": {"services": {}}, "container": replace(CONTAINER, config_hash="bb22")}, ["file:compose.yaml", "service.recreate:proxy"]),
        ({"folders": {FOLDER.path: Folder(FOLDER.path, (1, 1), "0750")}}, ["folder:/srv/proxy"]),
        ({"has_network": False}, ["network:toucan"]),
    ],
)
def test_each_difference_has_its_step_and_no_more(changes: dict[str, Any], expected: list[str]) -> None:
    assert ids(plan_proxy(DESIRED, replace(APPLIED, **changes))) == expected


DIRECTORY = "https://acme.test/dir"
ORDERED = replace(DESIRED, files={"Caddyfile": "acme"}, directory=DIRECTORY)


@pytest.mark.parametrize(
    "observed, expected",
    [
        (Observed(uncertified=("app", "api")), ["config.replace:proxy", "file:compose.yaml", "service.create:proxy", "certificate.order:proxy"]),
        (replace(APPLIED, files=ORDERED.files, loaded=fingerprint(ORDERED.files), uncertified=("api",)), ["certificate.order:proxy"]),
        (replace(APPLIED, uncertified=("api",)), ["config.replace:proxy", "config.reload:proxy", "certificate.order:proxy"]),
        (replace(APPLIED, uncertified=("api",), held=("api",)), ["certificate.order:proxy", "config.replace:proxy", "config.reload:proxy"]),
        (replace(APPLIED, files=ORDERED.files, loaded=fingerprint(ORDERED.files)), []),
    ],
    ids=["nothing there", "an order that failed before", "nothing to hold", "another in use", "all there"],
)
def test_certificates_are_ordered_last_but_where_others_are_in_use(observed: Observed, expected: list[str]) -> None:
    assert ids(plan_proxy(ORDERED, observed))[-len(expected) or None :] == expected


def test_an_order_says_for_whom_and_from_where() -> None:
    step = plan_proxy(ORDERED, replace(APPLIED, uncertified=("app", "api"), held=("app",)))[0]
    assert (step.action, step.object, step.before, step.after) == ("order", "certificate for app and api", "given", DIRECTORY)
    step = plan_proxy(ORDERED, replace(APPLIED, uncertified=("app",), held=("app",), issuer="acme-staging"))[0]
    assert step.before == "acme-staging"


def test_a_certificate_that_is_no_longer_given_is_a_change() -> None:
    desired = replace(DESIRED, files={"Caddyfile": "text"})
    assert ids(plan_proxy(desired, APPLIED)) == ["config.replace:proxy", "config.reload:proxy"]


def test_a_new_key_alone_is_a_change_that_does_not_show_it() -> None:
    steps = plan_proxy(replace(DESIRED, files={**FILES, "key.pem": "value-of-new-key"}), APPLIED)
    assert ids(steps) == ["config.replace:proxy", "config.reload:proxy"]
    assert "value-of" not in json.dumps([(step.before, step.after) for step in steps])


@given(
    st.fixed_dictionaries(
        {
            "compose": st.sampled_from([None, DESIRED.compose, {"services": {}}]),
            "files": st.sampled_from([{}, FILES, {"Caddyfile": "former"}]),
            "folders": st.sampled_from([{}, APPLIED.folders]),
            "container": st.sampled_from([None, CONTAINER, replace(CONTAINER, state="exited"), replace(CONTAINER, config_hash="bb22")]),
            "has_image": st.booleans(),
            "has_network": st.booleans(),
            "loaded": st.sampled_from(["", fingerprint(FILES), "former"]),
        }
    )
)
def test_every_plan_proves_before_it_starts_and_hides_the_key(changes: dict[str, Any]) -> None:
    steps = plan_proxy(DESIRED, Observed(**changes))
    named = ids(steps)
    order = ["image.pull", "network", "folder", "config.replace", "file", "service.create", "service.recreate", "service.start", "config.reload"]
    assert [name.partition(":")[0] for name in named] == sorted((name.partition(":")[0] for name in named), key=order.index)
    assert len(set(named)) == len(named)
    assert "value-of" not in json.dumps([(step.before, step.after) for step in steps])
    acts = [name for name in named if name.startswith("service.") or name == "config.reload:proxy"]
    takes_effect = changes["container"] == CONTAINER and changes["loaded"] == fingerprint(FILES)
    assert len(acts) == (0 if takes_effect else 1)


@given(st.dictionaries(st.sampled_from(list(FILES)), st.text(), min_size=1), st.dictionaries(st.sampled_from(list(FILES)), st.text(), min_size=1))
def test_a_fingerprint_tells_files_apart(first: dict[str, str], second: dict[str, str]) -> None:
    assert (fingerprint(first) == fingerprint(second)) == (first == second)
    assert fingerprint(first) == fingerprint(dict(reversed(list(first.items()))))
