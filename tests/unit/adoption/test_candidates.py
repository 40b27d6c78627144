# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One stack is found, by compose project, by image or by name; none, two and a half are told apart in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.candidates import Choice, find_stack, refuse_half
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Attachment, Inspected
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

KINDS = ("frontend", "backend", "mongodb", "redis")
Make = Callable[..., Inspected]


def answers(kind: str, container: Inspected) -> str:
    return "v101.1.0"


def silent(kind: str, container: Inspected) -> str:
    return ""


def names(containers: dict[str, Inspected]) -> dict[str, str]:
    return {kind: container.name for kind, container in containers.items()}


def test_the_vendors_project_is_found_with_the_databases_that_its_backend_calls(stack: list[Inspected], make: Make) -> None:
    stranger = make("mongo", project="other")
    found = find_stack([stranger, *stack], Choice(), answers)
    assert found.project == "bi"
    assert names(dict(found.containers)) == {
        "frontend": "bi-frontend-1",
        "backend": "bi-backend-1",
        "mongodb": "bi-mongo-1",
        "redis": "bi-redis-1",
    }
    assert found.versions == {"frontend": "v101.1.0", "backend": "v101.1.0"}
    refuse_half(found, KINDS)


def test_the_databases_are_those_that_the_backends_variables_name(make: Make) -> None:
    environment = {"TOUCAN_MONGODB_HOST": "database", "TOUCAN_REDIS_HOST": "bi-redis-1"}
    database = make("mongo", networks={"bi_default": Attachment("172.18.0.9", ("bi-mongo-1", "database"))})
    found = find_stack([make("backend", environment=environment), make("frontend"), database, make("redis")], Choice(), answers)
    assert names(dict(found.containers))["mongodb"] == "bi-mongo-1"
    assert names(dict(found.containers))["redis"] == "bi-redis-1"


def test_a_neighbour_of_that_name_on_another_network_is_not_the_backends(make: Make) -> None:
    apart = make("mongo", networks={"elsewhere": Attachment("172.19.0.2", ("mongo",))})
    found = find_stack([make("backend"), make("frontend"), apart, make("redis")], Choice(), answers)
    assert "mongodb" not in found.containers
    with pytest.raises(Failure, match=r"has no container of mongodb; its backend looks for one at mongo: .*`toucan_mongodb_uri`"):
        refuse_half(found, KINDS)
    refuse_half(found, ("frontend", "backend", "redis"))


def test_containers_run_by_hand_are_found_by_their_images(make: Make) -> None:
    found = find_stack([make(service, project="") for service in ("backend", "frontend", "mongo", "redis")], Choice(), answers)
    assert found.project == ""
    assert names(dict(found.containers)) == {"frontend": "frontend", "backend": "backend", "mongodb": "mongo", "redis": "redis"}


@pytest.mark.parametrize("image", ["mirror.corp:5000/quay/toucantoco/backend:v101.1.0", "toucantoco/backend@sha256:" + "0" * 64])
def test_the_vendors_name_in_any_registry_needs_no_answer(make: Make, image: str) -> None:
    found = find_stack([make("backend", image=image, state="exited"), make("frontend")], Choice(), silent)
    assert names(dict(found.containers))["backend"] == "bi-backend-1"


def test_other_images_called_so_are_asked(make: Make) -> None:
    ours = [make("backend", image="corp.test/bi/backend:7"), make("frontend", image="corp.test/bi/frontend:7")]
    shop = [make(service, project="shop", image=f"corp.test/shop/{service}:1") for service in ("backend", "frontend")]
    found = find_stack([*shop, *ours], Choice(), lambda kind, container: "v101.1.0" if container.project == "bi" else "")
    assert found.project == "bi"


def test_what_is_only_called_like_it_is_named_when_nothing_is_found(make: Make) -> None:
    shop = [make("backend", project="shop", image="corp.test/shop/backend:1"), make("redis", project="shop")]
    with pytest.raises(Failure, match=r"no stack of the product to adopt in 2 containers of this host \(shop-backend-1 are called like it and do not answer"):
        find_stack(shop, Choice(), silent)
    with pytest.raises(Failure, match=r"no stack of the product to adopt in compose project bi; .*`toucan_adopt_project`"):
        find_stack(shop, Choice("bi"), silent)


def test_of_two_stacks_one_must_be_named(make: Make) -> None:
    both = [make(service, project=project) for project in ("bi", "test") for service in ("backend", "frontend")]
    with pytest.raises(Failure, match=r"2 stacks .*: compose project bi; compose project test; name the one to adopt in `toucan_adopt_project`"):
        find_stack(both, Choice(), answers)
    assert find_stack(both, Choice("test"), answers).project == "test"


def test_two_containers_of_a_kind_are_refused(make: Make) -> None:
    with pytest.raises(Failure, match="Two containers could be the backend to adopt: bi-backend-1 and bi-backend-2; name the containers"):
        find_stack([make("backend"), make("backend", name="bi-backend-2", id="2"), make("frontend")], Choice(), answers)


def test_named_containers_are_taken_whatever_their_images_are_called(make: Make) -> None:
    laputa = make("backend", project="", name="laputa", image="sha256:" + "0" * 64)
    choice = Choice(containers={"backend": "laputa", "frontend": "frontend"})
    found = find_stack([laputa, make("frontend", project=""), make("mongo", project="")], choice, answers)
    assert names(dict(found.containers)) == {"backend": "laputa", "frontend": "frontend", "mongodb": "mongo"}


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"backend": "laputa"}, "This host has no container laputa; correct `toucan_adopt_containers`"),
        ({"backend": "bi-backend-1", "frontend": "test-frontend-1"}, "are of different compose projects: bi, test; name those of one stack"),
    ],
)
def test_wrong_names_are_refused(make: Make, chosen: dict[str, str], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        find_stack([make("backend"), make("frontend", project="test")], Choice(containers=chosen), answers)


@pytest.mark.parametrize(
    ("changes", "ask", "sentence"),
    [
        ({"state": "exited"}, answers, "Only half of the stack runs: container bi-backend-1 of backend is exited; start it"),
        ({}, silent, "Container bi-frontend-1 does not answer as a frontend of the product does"),
    ],
)
def test_half_a_stack_is_refused(make: Make, changes: dict[str, Any], ask: Callable[[str, Inspected], str], sentence: str) -> None:
    containers = [make("backend", **changes), make("frontend"), make("mongo"), make("redis")]
    with pytest.raises(Failure, match=sentence):
        refuse_half(find_stack(containers, Choice(), ask), KINDS)


def test_a_stack_without_a_service_of_this_host_is_refused(make: Make) -> None:
    found = find_stack([make("frontend")], Choice(), answers)
    with pytest.raises(Failure, match="Only half of the stack is here: compose project bi has no container of backend; start it"):
        refuse_half(found, KINDS)
    refuse_half(found, ("frontend",))
