# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.instance import Instance, find_instance
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Attachment, Inspected, Mount
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

STATE = {"compose": {"project": "toucan"}}
LOGIN = {"TOUCAN_MONGODB_HOST": "mongo", "TOUCAN_MONGODB_PORT": "27017", "TOUCAN_MONGODB_USER": "app", "TOUCAN_MONGODB_PASS": "p@ss/word"}


def container(service: str, address: str = "172.18.0.2", **changes: Any) -> Inspected:
    name = f"toucan-{service}-1"
    made = Inspected(name, name, "image", "id", "running", "toucan", service, networks={"toucan": Attachment(address, (service,))})
    return replace(made, **changes)


def stack(environment: Mapping[str, str], *mounts: Mount, **mongodb: Any) -> list[Inspected]:
    storage = Mount("/var/lib/toucan/storage", "/app/storage", "/var/lib/toucan/storage")
    return [container("backend", "172.18.0.3", environment=environment, mounts=(storage, *mounts)), container("mongo", **mongodb)]


def find(environment: Mapping[str, str], *mounts: Mount, **mongodb: Any) -> Instance:
    return find_instance(stack(environment, *mounts, **mongodb), STATE)


def test_the_stacks_own_database_is_reached_at_its_containers_address() -> None:
    found = find({**LOGIN, "TOUCAN_INSTANCE_NAME": "acme"})
    assert str(found.mongodb) == "mongodb://app:p%40ss%2Fword@172.18.0.2:27017/?directConnection=true"
    assert (found.storage, found.name, found.mongodb_ca) == ("/var/lib/toucan/storage", "acme", "")


def test_a_connection_string_keeps_its_options() -> None:
    found = find({"TOUCAN_MONGODB_HOST": "mongodb://u:p%40@mongo/?authSource=x&directConnection=false"})
    assert str(found.mongodb) == "mongodb://u:p%40@172.18.0.2/?authSource=x&directConnection=true"


def test_a_database_outside_is_taken_as_it_is_with_the_ca_of_the_backend(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("PEM")
    uri = "mongodb://u:p@db1.example.com,db2.example.com/?replicaSet=rs0&tlsCAFile=/etc/ssl/myCA.crt"
    found = find({"TOUCAN_MONGODB_URI": uri}, Mount(str(tmp_path / "ca.crt"), "/etc/ssl/myCA.crt", str(tmp_path / "ca.crt")))
    assert (str(found.mongodb), found.mongodb_ca) == (uri, "PEM")


def test_a_ca_within_the_container_is_told() -> None:
    with pytest.raises(Failure, match="trusts the CA in its file /etc/ssl/myCA.crt, which this host has no copy of; mount it from a file of this host"):
        find({"TOUCAN_MONGODB_URI": "mongodb://db.example.com/?tlsCAFile=/etc/ssl/myCA.crt"})


def test_a_database_that_does_not_run_is_told() -> None:
    with pytest.raises(Failure, match="MongoDB toucan-mongo-1 of this stack does not run; start it with `start.yml`"):
        find(LOGIN, address="")


def test_an_adopted_backend_is_known_by_its_container() -> None:
    containers = [replace(item, project="", service="") if item.service == "backend" else item for item in stack(LOGIN)]
    state = {**STATE, "adopted": {"containers": {"backend": "toucan-backend-1"}}}
    assert find_instance(containers, state).backend.name == "toucan-backend-1"


@pytest.mark.parametrize("state", [{}, STATE, {"compose": {"project": "other"}}])
def test_a_host_without_a_backend_is_told(state: Mapping[str, Any]) -> None:
    with pytest.raises(Failure, match="This host has no backend of the stack.*; run this on a host of group `toucan_backend`"):
        find_instance([container("mongo")], state)


def test_storage_inside_the_container_is_told() -> None:
    with pytest.raises(Failure, match="keeps /app/storage in its own container"):
        find_instance([container("backend", environment=LOGIN), container("mongo")], STATE)
