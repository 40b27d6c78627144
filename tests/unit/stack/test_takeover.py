# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that somebody else made are taken over one by one, and of each is said beforehand what will be otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Attachment, Inspected, Mount, Publication
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import COMPOSE_NAMES, KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import StackOptions, define
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import Workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Step
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.connection import LoginRefused, NotReady
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack import users
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.planner import (
    Desired,
    Observed,
    deployed_images,
    keep_digests,
    plan_stack,
    refuse_version_change,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.takeover import Adopted, adopted_of, changes, still_foreign

DIGEST = "sha256:" + "0f" * 32
IMAGE = Image("quay.io/toucantoco/backend", "v101.1.0", DIGEST)
FOREIGN = Inspected(
    id="1",
    name="bi-backend-1",
    image="quay.io/toucantoco/backend:latest-monthly",
    image_id="sha256:image",
    state="running",
    project="bi",
    service="backend",
    working_directory="/opt/bi",
    environment={"SAME": "cost$", "OLD": "1", "OTHER": "secret-before"},
    mounts=(Mount("/srv/storage", "/app/storage", "/srv/storage"), Mount("0" * 64, "/data", "/x"), Mount("/etc/x", "/etc/x", "/etc/x")),
    networks={"bi_default": Attachment("172.18.0.2"), "corp": Attachment("10.0.0.2")},
    published=(Publication("", 5000, 80), Publication("127.0.0.1", 5001, 80), Publication("", 8443, 443)),
    digests=(f"quay.io/toucantoco/backend@{DIGEST}",),
    settings=("command", "extra_hosts", "read_only"),
)
SERVICE: dict[str, Any] = {
    "environment": {"SAME": "cost$$", "OTHER": "secret-after", "NEW": "1"},
    "volumes": ["/srv/storage:/app/storage"],
    "ports": ["10.0.0.1:8443:443"],
    "restart": "always",
    "read_only": True,
}


def test_what_will_be_otherwise_is_told_without_values() -> None:
    told = changes(FOREIGN, SERVICE, IMAGE, "bi_default")
    assert told == {
        "restart": "no becomes always",
        "variables": {"added": ["NEW"], "changed": ["OTHER"], "removed": ["OLD"]},
        "ports_closed": ["5000", "127.0.0.1:5001"],
        "networks_left": ["corp"],
        "mounts_left": ["/etc/x"],
        "settings_left": ["command", "extra_hosts"],
    }
    assert "secret" not in str(told)


def test_an_image_that_came_from_no_registry_is_the_same_by_its_id() -> None:
    local = replace(FOREIGN, digests=())
    assert "image" not in changes(local, SERVICE, replace(IMAGE, digest="", id="sha256:image"), "bi_default")
    assert "image" in changes(local, SERVICE, replace(IMAGE, digest="", id="sha256:other"), "bi_default")


def test_another_digest_is_another_image() -> None:
    told = changes(FOREIGN, SERVICE, replace(IMAGE, digest="sha256:other"), "bi_default")
    assert told["image"] == "quay.io/toucantoco/backend:latest-monthly becomes quay.io/toucantoco/backend:v101.1.0@sha256:other"


def test_containers_of_the_collections_own_folder_are_no_longer_foreign() -> None:
    adopted = adopted_of({"adopted": {"containers": {"backend": "bi-backend-1", "redis": "gone"}}, "places": {"storage": "/srv/storage"}})
    assert adopted.places == ("/srv/storage",)
    assert still_foreign(adopted, [FOREIGN], "/var/lib/toucan/stack") == {"backend": FOREIGN}
    assert still_foreign(adopted, [FOREIGN], "/opt/bi") == {}
    assert adopted_of({"places": {"storage": "/srv/storage"}}) == Adopted()


# -- the plan -------------------------------------------------------------------------------------------------------------

OPTIONS = StackOptions(
    project="bi",
    services=KINDS,
    frontend_url="https://app.test",
    backend_url="https://api.test",
    directory="/srv/stack",
    storage="/srv/storage",
    database="bi_data",
    network="bi_default",
    adopted={"backend": {}, "frontend": {}},
)
IMAGES = {kind: Image(f"registry.test/{kind}", "v101.1.0", f"sha256:{number:064x}") for number, kind in enumerate(KINDS)}


def desire() -> Desired:
    definition = define(OPTIONS, {kind: str(image) for kind, image in IMAGES.items()}, dict.fromkeys(NAMES, "x"), Workers(5, "because"))
    return Desired(definition, IMAGES, (), "bi_default", {}, keep_strangers=True)


def foreign(kind: str, **differences: Any) -> Inspected:
    return replace(FOREIGN, name=f"bi-{kind}-1", service=COMPOSE_NAMES[kind], **differences)


def services_of(steps: list[Step]) -> list[str]:
    return [step.id for step in steps if step.id.partition(":")[0] not in ("image.pull", "folder", "file", "network")]


def test_compose_containers_are_replaced_by_compose_after_the_user_is_made() -> None:
    observed = Observed(foreign={kind: foreign(kind) for kind in KINDS}, without_user=True, network=True)
    assert services_of(plan_stack(desire(), observed)) == [
        "mongodb.user:app",
        "service.recreate:mongodb",
        "service.recreate:redis",
        "service.recreate:backend",
        "service.recreate:frontend",
    ]


@pytest.mark.parametrize("differences", [{"project": ""}, {"service": "database"}])
def test_a_container_that_compose_would_not_replace_is_removed_right_before_its_successor_starts(differences: dict[str, Any]) -> None:
    server = replace(foreign("mongodb"), **differences)
    observed = Observed(foreign={"mongodb": server, **{kind: foreign(kind) for kind in KINDS if kind != "mongodb"}}, network=True)
    steps = plan_stack(desire(), observed)
    assert services_of(steps)[:2] == ["container.remove:bi-mongodb-1", "service.create:mongodb"]
    created = next(step for step in steps if step.id == "service.create:mongodb")
    assert created.after["because"] == ["taken over"]


@pytest.mark.parametrize(("keep", "expected"), [(True, []), (False, ["service.remove:screenshot"])])
def test_other_services_of_an_adopted_project_are_left_alone(keep: bool, expected: list[str]) -> None:
    stranger = Container("1", "screenshot", "x", "sha256:x", "running", 0, 0, "", "")
    observed = Observed(foreign={kind: foreign(kind) for kind in KINDS}, containers=(stranger,), network=True)
    steps = plan_stack(replace(desire(), keep_strangers=keep), observed)
    assert [step.id for step in steps if step.id.startswith("service.remove")] == expected


# -- versions -------------------------------------------------------------------------------------------------------------

RUNNING = Container("1", "backend", "quay.io/toucantoco/backend:latest-monthly", "sha256:x", "running", 0, 0, "", "")
RECORDED = {"backend": Image("quay.io/toucantoco/backend", "latest-monthly", DIGEST, version="v101.1.0")}


def test_a_container_that_names_just_its_tag_keeps_the_recorded_digest() -> None:
    deployed = deployed_images(None, [RUNNING], RECORDED)
    assert deployed["backend"] == RECORDED["backend"]
    assert keep_digests({"backend": Image("quay.io/toucantoco/backend", "latest-monthly")}, deployed)["backend"].digest == DIGEST
    moved = replace(RUNNING, image=f"{RUNNING.image}@sha256:other")
    assert deployed_images(None, [moved], RECORDED)["backend"].digest == "sha256:other"


def test_the_tag_of_the_version_that_answered_is_no_other_version() -> None:
    deployed = deployed_images(None, [RUNNING], RECORDED)
    refuse_version_change({"backend": Image("mirror.test/backend", "v101.1.0")}, deployed, has_data=True)
    with pytest.raises(Failure, match=r"runs backend latest-monthly \(v101\.1\.0\), but v101\.1\.1 is asked for"):
        refuse_version_change({"backend": Image("quay.io/toucantoco/backend", "v101.1.1")}, deployed, has_data=True)
    with pytest.raises(Failure, match="but latest-weekly is asked for"):
        refuse_version_change({"backend": Image("quay.io/toucantoco/backend", "latest-weekly")}, deployed, has_data=True)


# -- the user of MongoDB --------------------------------------------------------------------------------------------------


class Server:
    """A MongoDB that takes `passwords` by user, and lets `may` see and make users."""

    def __init__(self, passwords: dict[str, str], may: str | None = "", answers: bool = True) -> None:
        self.passwords, self.may, self.answers = passwords, may, answers

    def log_in(self, address: str, port: int, username: str, password: str) -> None:
        if not self.answers:
            raise NotReady("connection refused")
        if self.passwords.get(username) != password:
            raise LoginRefused("error code 18")

    def may_manage_users(self, address: str, port: int, username: str, password: str) -> bool:
        return username == self.may

    def give_user(self, address: str, port: int, by: tuple[str, str], username: str, password: str) -> None:
        self.passwords[username] = password


@pytest.fixture(name="serve")
def _serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    def serve(server: Server) -> Server:
        for name in ("log_in", "may_manage_users", "give_user"):
            monkeypatch.setattr(users, name, getattr(server, name))
        return server

    return serve


def test_a_server_without_login_gets_the_user_once(serve: Any) -> None:
    server = serve(Server({}))
    assert users.lacks_user(FOREIGN, "sesame", ("", ""))
    users.make_user(FOREIGN, ("", ""), "app", "sesame")
    assert server.passwords == {"app": "sesame"}
    assert not users.lacks_user(FOREIGN, "sesame", ("", ""))


def test_a_known_administrator_makes_it(serve: Any) -> None:
    serve(Server({}, may="root"))
    assert users.lacks_user(FOREIGN, "sesame", ("root", "secret"))


@pytest.mark.parametrize(
    ("server", "container", "sentence"),
    [
        (Server({}, may=None), FOREIGN, "refuses user app, and lets nobody without a login make none; make that user there with role root"),
        (Server({}, answers=False), FOREIGN, "bi-backend-1 does not answer: connection refused"),
        (Server({}), replace(FOREIGN, state="exited"), "bi-backend-1 of MongoDB is exited, so that user app cannot be made in it; start it"),
    ],
)
def test_a_server_in_which_no_user_can_be_made_is_a_stop(serve: Any, server: Server, container: Inspected, sentence: str) -> None:
    serve(server)
    with pytest.raises(Failure, match=sentence):
        users.lacks_user(container, "sesame", ("", ""))


def test_a_server_that_does_not_take_its_new_user_is_a_stop(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(Server({}))
    monkeypatch.setattr(users, "give_user", lambda *arguments: None)
    with pytest.raises(Failure, match="did not take its new user app: error code 18"):
        users.make_user(FOREIGN, ("", ""), "app", "sesame")
