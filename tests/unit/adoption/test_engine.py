# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Adoption writes the state and the secrets file, says where each secret comes from, and adopts nothing twice."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption import engine as module
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.candidates import Choice
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.engine import AdoptEngine, AdoptRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Inspected, Mount
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES

KINDS = ("frontend", "backend", "mongodb", "redis")
Make = Callable[..., Inspected]
Adopt = Callable[..., dict[str, Any]]


class Docker:
    """An engine with these containers."""

    def __init__(self, containers: Sequence[Inspected]) -> None:
        self._containers = list(containers)

    def inspect_containers(self) -> list[Inspected]:
        return self._containers


@pytest.fixture(name="adopt")
def _adopt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adopt:
    """Adopts containers that answer as the product does: `adopt(containers, check_mode=…, day=…, OPTION=…)`."""
    answers = {"/tucana-version.txt": "v101.1.0\n", "/": '{"status": "OK", "version": "v101.1.0"}'}
    monkeypatch.setattr(module, "http_text", lambda port, path: lambda address: (200, answers[path]))
    request = AdoptRequest(
        services=KINDS,
        choice=Choice(),
        directory="/var/lib/toucan/stack",
        state_path=str(tmp_path / "stack.json"),
        secrets_path=str(tmp_path / "secrets.json"),
    )

    def adopt(containers: Sequence[Inspected], check_mode: bool = False, day: int = 23, **options: Any) -> dict[str, Any]:
        now = datetime(2026, 11, day, tzinfo=timezone.utc)
        return execute(AdoptEngine(replace(request, **options), lambda: Docker(containers), lambda: now), check_mode)  # type: ignore[arg-type, return-value]

    return adopt


def held(tmp_path: Path, name: str) -> dict[str, Any]:
    return json.loads((tmp_path / name).read_text())


def test_a_stack_is_recorded_and_missing_secrets_are_made(adopt: Adopt, stack: list[Inspected], tmp_path: Path) -> None:
    result = adopt(stack)
    assert [step["id"].partition(":")[0] for step in result["plan"]] == ["secrets", "state"]
    assert result["secrets"] == {**dict.fromkeys(NAMES, "made"), "encryption_secret": "found"}
    assert result["versions"] == {"frontend": "v101.1.0", "backend": "v101.1.0"}
    secrets = held(tmp_path, "secrets.json")
    assert secrets["encryption_secret"] == "chosen-by-hand"
    assert secrets["environment"] == {"backend": {}, "frontend": {}}
    assert all(len(secrets[name]) > 20 for name in set(NAMES) - {"encryption_secret"})
    assert stat.S_IMODE(os.stat(tmp_path / "secrets.json").st_mode) == 0o600
    state = held(tmp_path, "stack.json")
    assert state["adopted"]["at"] == "2026-11-23T00:00:00Z"
    assert state["instance_id"]
    text = json.dumps(result) + json.dumps(state)
    assert not [value for name, value in secrets.items() if name in NAMES and value in text], "a secret shows"


def test_adopted_again_it_stays_as_it_is(adopt: Adopt, stack: list[Inspected], tmp_path: Path) -> None:
    adopt(stack)
    before = (tmp_path / "stack.json").read_bytes(), (tmp_path / "secrets.json").read_bytes()
    result = adopt(stack, day=24)
    assert not result["changed"]
    assert ((tmp_path / "stack.json").read_bytes(), (tmp_path / "secrets.json").read_bytes()) == before
    assert result["secrets"] == {**dict.fromkeys(NAMES, "kept"), "encryption_secret": "found"}


def test_check_mode_writes_nothing_and_says_the_same(adopt: Adopt, stack: list[Inspected], tmp_path: Path) -> None:
    planned = adopt(stack, check_mode=True)
    assert list(tmp_path.iterdir()) == []
    assert [step["id"] for step in planned["plan"]] == [step["id"] for step in adopt(stack)["plan"]]


def test_what_changed_before_the_stack_is_taken_over_is_recorded_anew(adopt: Adopt, stack: list[Inspected], make: Make, tmp_path: Path) -> None:
    adopt(stack)
    environment = {"TOUCAN_DB_ENCRYPTION_SECRET": "chosen-by-hand", "TOUCAN_JWT_SECRET_KEY": "set later", "TOUCAN_CACHE": "enable"}
    result = adopt([make("backend", environment=environment), *stack[:1], *stack[2:]])
    assert result["changed"]
    assert held(tmp_path, "secrets.json")["jwt_secret"] == "set later"
    assert held(tmp_path, "stack.json")["adopted"]["environment"]["backend"] == ["TOUCAN_CACHE"]


def test_a_stack_that_the_collection_runs_is_left_alone(adopt: Adopt, stack: list[Inspected], tmp_path: Path) -> None:
    adopt(stack)
    before = (tmp_path / "stack.json").read_bytes()
    result = adopt([replace(container, working_directory="/var/lib/toucan/stack", state="exited") for container in stack])
    assert (result["changed"], result["taken_over"]) == (False, True)
    assert (tmp_path / "stack.json").read_bytes() == before


def test_names_of_containers_that_were_taken_over_do_not_matter_any_more(adopt: Adopt, make: Make) -> None:
    by_hand = [make(service, project="") for service in ("backend", "frontend", "mongo", "redis")]
    chosen = Choice(containers={"backend": "backend"})
    adopt(by_hand, choice=chosen)
    ours = [make(service, project="toucan", working_directory="/var/lib/toucan/stack") for service in ("backend", "frontend", "mongo", "redis")]
    assert not adopt(ours, choice=chosen)["changed"]
    with pytest.raises(Failure, match="no container backend"):
        adopt([make("frontend", project="toucan")], choice=chosen)


def test_given_secrets_are_used_where_the_stack_has_none_and_refused_where_it_has_another(adopt: Adopt, stack: list[Inspected], tmp_path: Path) -> None:
    result = adopt(stack, given={"admin_password": "as it is", "encryption_secret": "chosen-by-hand", "jwt_secret": ""})
    assert (result["secrets"]["admin_password"], result["secrets"]["jwt_secret"]) == ("given", "made")
    assert held(tmp_path, "secrets.json")["admin_password"] == "as it is"
    with pytest.raises(Failure, match="^encryption_secret in `toucan_secrets` differ from the ones that the stack runs with; give those of the stack"):
        adopt(stack, given={"encryption_secret": "another"})


def test_without_an_encryption_secret_nothing_is_adopted(adopt: Adopt, stack: list[Inspected], make: Make, tmp_path: Path) -> None:
    containers = [make("backend", environment={}), *stack[:1], *stack[2:]]
    with pytest.raises(
        Failure, match="bi-backend-1 has no variable TOUCAN_DB_ENCRYPTION_SECRET, .*; give its value in `toucan_secrets` as `encryption_secret`"
    ):
        adopt(containers)
    assert list(tmp_path.iterdir()) == []
    adopt(containers, given={"encryption_secret": "known from elsewhere"})


@pytest.mark.parametrize("state", [{"compose": {"project": "toucan"}}, {"compose": {"project": "bi"}}, {"compose": {"project": "old"}, "adopted": {}}])
def test_a_host_of_another_stack_is_refused(adopt: Adopt, stack: list[Inspected], tmp_path: Path, state: Mapping[str, Any]) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"schema": 1, "instance_id": "this", **state}))
    with pytest.raises(Failure, match="This host already belongs to instance this with compose project .* and compose project bi is another stack"):
        adopt(stack)
    assert not (tmp_path / "secrets.json").exists()


def test_a_host_that_is_only_prepared_keeps_what_is_recorded(adopt: Adopt, stack: list[Inspected], tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps({"schema": 1, "instance_id": "this", "python": "/opt/python", "ca_file": ""}))
    adopt(stack)
    assert (held(tmp_path, "stack.json")["instance_id"], held(tmp_path, "stack.json")["python"]) == ("this", "/opt/python")


def test_a_database_of_another_user_is_refused(adopt: Adopt, stack: list[Inspected], make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "WiredTiger").write_text("")
    os.chown(folder / "WiredTiger", 1001, 1001)
    mongo = make("mongo", mounts=(Mount(str(folder), "/data/db", str(folder)),))
    with pytest.raises(Failure, match=f"{folder}/WiredTiger does not belong to user 999, .*chown -R 999:999 {folder}"):
        adopt([mongo, *(container for container in stack if container.service != "mongo")])
    os.chown(folder / "WiredTiger", 999, 999)
    adopt([mongo, *(container for container in stack if container.service != "mongo")])


def test_the_servers_first_login_may_stand_in_a_file(adopt: Adopt, stack: list[Inspected], make: Make, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    mongo = make(
        "mongo",
        environment={"MONGO_INITDB_ROOT_USERNAME": "app", "MONGO_INITDB_ROOT_PASSWORD_FILE": "/run/secrets/password"},
        mounts=(Mount("data", "/data/db", "/nowhere"), Mount(str(tmp_path), "/run/secrets", str(tmp_path))),
    )
    adopt([mongo, *(container for container in stack if container.service != "mongo")])
    assert held(tmp_path, "secrets.json")["mongodb_password"] == "from the file"


@pytest.mark.parametrize(("status", "text"), [(503, ""), (200, "<html>"), (200, '{"status": "OK"}'), (200, '{"status": "OK", "version": "next"}')])
def test_a_backend_that_answers_otherwise_is_no_stack(adopt: Adopt, stack: list[Inspected], monkeypatch: pytest.MonkeyPatch, status: int, text: str) -> None:
    answers = {"/tucana-version.txt": (200, "v101.1.0"), "/": (status, text)}
    monkeypatch.setattr(module, "http_text", lambda port, path: lambda address: answers[path])
    with pytest.raises(Failure, match="Container bi-backend-1 does not answer as a backend of the product does"):
        adopt(stack)


def test_an_env_file_that_is_gone_stops_unless_files_are_ignored(adopt: Adopt, stack: list[Inspected], make: Make, tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text("services: {backend: {env_file: lost.env}}\n")
    containers = [make("backend", compose_files=(str(path),), working_directory=str(tmp_path)), *stack[:1], *stack[2:]]
    with pytest.raises(Failure, match=r"lost\.env.*cannot be read"):
        adopt(containers)
    assert adopt(containers, ignore_files=True)["missing_files"] == []
