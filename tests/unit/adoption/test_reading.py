# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that containers tell is read: images as they run, places, URLs, secrets under their names, and all other variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.candidates import Candidate, Choice, find_stack
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.reading import Found, read_stack
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Attachment, Inspected, Mount, Publication, inspected
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.wiring import database_host, database_login, redis_host, uri_variable
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

Make = Callable[..., Inspected]


def read(containers: list[Inspected], initial_login: tuple[str, str] = ("", "")) -> Found:
    return read_stack(find_stack(containers, Choice(), lambda kind, container: "v101.1.0"), initial_login)


def test_the_vendors_stack_becomes_state_and_secrets(stack: list[Inspected]) -> None:
    found = read(stack)
    state = found.state()
    assert state["compose"] == {"project": "bi", "network": "bi_default"}
    assert state["urls"] == {"frontend": "http://localhost:8000", "backend": "http://localhost:5000"}
    assert state["places"] == {"storage": "/srv/storage", "database": "bi_data"}
    assert state["images"]["backend"] == {
        "name": "quay.io/toucantoco/backend",
        "tag": "latest-monthly",
        "digest": "sha256:" + "backend" * 8,
        "id": "sha256:backend",
        "version": "v101.1.0",
    }
    assert "version" not in state["images"]["mongodb"]
    assert state["adopted"]["compose_files"] == ["/opt/bi/docker-compose.yml"]
    assert state["adopted"]["containers"]["mongodb"] == "bi-mongo-1"
    assert found.secrets == {"encryption_secret": "chosen-by-hand"}
    assert found.environment == {"backend": {}, "frontend": {}}


def test_secrets_are_told_from_other_variables_which_are_kept_whole(make: Make) -> None:
    environment = {
        "TOUCAN_DB_ENCRYPTION_SECRET": "one",
        "TOUCAN_JWT_SECRET_KEY": "two",
        "TOUCAN_USER_SUPERADMIN_PASSWORD": "three",
        "TOUCAN_MONGODB_USER": "app",
        "TOUCAN_MONGODB_PASS": "four",
        "TOUCAN_REDIS_PASSWORD": "five",
        "TOUCAN_FRONTEND_URLS": '["https://bi.test"]',
        "TOUCAN_SMTP_PASSWORD": "six",
        "TOUCAN_INSTANCE_NAME": "ours",
    }
    frontend = make("frontend", environment={"API_BASEROUTE": "/_api", "PASSWORD": "seven"})
    found = read([make("backend", environment=environment), frontend, make("mongo"), make("redis")])
    assert found.secrets == {
        "encryption_secret": "one",
        "jwt_secret": "two",
        "admin_password": "three",
        "mongodb_password": "four",
        "redis_password": "five",
    }
    assert found.environment == {"backend": {"TOUCAN_SMTP_PASSWORD": "six", "TOUCAN_INSTANCE_NAME": "ours"}, "frontend": {"PASSWORD": "seven"}}
    assert found.urls == {"frontend": "https://bi.test", "backend": "https://bi.test/_api"}
    assert found.state()["adopted"]["environment"] == {"backend": ["TOUCAN_INSTANCE_NAME", "TOUCAN_SMTP_PASSWORD"], "frontend": ["PASSWORD"]}
    assert not {"six", "seven"} & set(str(found.state()).split("'")), "a value stands in the state"


def test_the_login_of_another_user_is_kept_to_make_ours_with(make: Make) -> None:
    backend = make("backend", environment={"TOUCAN_MONGODB_USER": "root", "TOUCAN_MONGODB_PASS": "secret"})
    containers = [backend, make("frontend"), make("mongo"), make("redis")]
    expected = {"MONGO_INITDB_ROOT_USERNAME": "root", "MONGO_INITDB_ROOT_PASSWORD": "secret"}
    assert "mongodb_password" not in read(containers).secrets
    assert read(containers).environment["mongodb"] == expected
    # Who started the server may do more than whom the backend logs in as.
    assert read(containers, ("first", "other")).environment["mongodb"] == {
        **expected,
        "MONGO_INITDB_ROOT_USERNAME": "first",
        "MONGO_INITDB_ROOT_PASSWORD": "other",
    }
    assert read(containers, ("app", "other")).secrets["mongodb_password"] == "other"


@pytest.mark.parametrize(
    ("environment", "host", "login"),
    [
        ({}, "mongo", ("", "")),
        ({"TOUCAN_MONGODB_HOST": "db.test", "TOUCAN_MONGODB_USER": "app", "TOUCAN_MONGODB_PASS": "a:b"}, "db.test", ("app", "a:b")),
        ({"ANY_NAME": "mongodb://app:p%40ss@db.test:27017,db2.test/?tls=true"}, "db.test", ("app", "p@ss")),
        ({"ANY_NAME": "mongodb+srv://cluster.test/admin"}, "cluster.test", ("", "")),
    ],
)
def test_the_database_is_read_from_variables_or_from_any_connection_string(environment: dict[str, str], host: str, login: tuple[str, str]) -> None:
    assert database_host(environment) == host
    assert database_login(environment) == login
    assert uri_variable(environment) == ("ANY_NAME" if "ANY_NAME" in environment else "")


@pytest.mark.parametrize(("value", "host"), [("", "redis"), ("cache", "cache"), ("redis://cache.test:6380/0", "cache.test")])
def test_redis_is_read_from_its_variable(value: str, host: str) -> None:
    assert redis_host({"TOUCAN_REDIS_HOST": value}) == host


def test_further_mounts_of_the_product_are_kept_and_the_databases_not(make: Make) -> None:
    ca = Mount("/etc/ssl/corp.crt", "/etc/ssl/myCA.crt", "/etc/ssl/corp.crt", writable=False)
    storage = Mount("files", "/app/storage", "/var/lib/docker/volumes/files/_data")
    config = Mount("0" * 64, "/data/configdb", "/var/lib/docker/volumes/0/_data")
    data = Mount("/srv/mongo", "/data/db", "/srv/mongo")
    found = read([make("backend", mounts=(ca, storage)), make("frontend"), make("mongo", mounts=(config, data)), make("redis")])
    assert found.mounts == {"backend": ("/etc/ssl/corp.crt:/etc/ssl/myCA.crt:ro",)}
    assert found.places == {"storage": "files", "database": "/srv/mongo"}


def test_data_below_a_mounted_folder_is_its_part(make: Make) -> None:
    above = Mount("/srv/all", "/app", "/srv/all")
    assert read([make("backend", mounts=(above,)), make("frontend")]).places["storage"] == "/srv/all/storage"


@pytest.mark.parametrize("mounts", [(), (Mount("files", "/app", "/var/lib/docker/volumes/files/_data"),)])
def test_data_in_the_container_itself_is_a_stop(make: Make, mounts: tuple[Mount, ...]) -> None:
    with pytest.raises(Failure, match=r"bi-backend-1 keeps its data at /app/storage in itself.*docker cp bi-backend-1:/app/storage FOLDER"):
        read([make("backend", mounts=mounts), make("frontend")])


@pytest.mark.parametrize(
    ("image", "digests", "expected"),
    [
        ("mongo:5.0.3", ("mongo@sha256:aa",), ("mongo", "5.0.3", "sha256:aa")),
        ("docker.io/library/mongo:5.0.3", ("mongo@sha256:aa",), ("docker.io/library/mongo", "5.0.3", "sha256:aa")),
        ("mongo:5.0.3", ("mirror.test/mongo@sha256:bb",), ("mongo", "5.0.3", "")),
        ("mongo:5.0.3", (), ("mongo", "5.0.3", "")),
    ],
)
def test_the_digest_is_the_one_of_the_same_name(make: Make, image: str, digests: tuple[str, ...], expected: tuple[str, str, str]) -> None:
    found = read([make("backend"), make("frontend"), make("mongo", image=image, digests=digests), make("redis")])
    assert tuple(found.images["mongodb"][key] for key in ("name", "tag", "digest")) == expected


def test_a_container_started_by_an_images_id_gets_one_of_its_names(make: Make) -> None:
    by_id = make("mongo", image="sha256:" + "0" * 64, tags=("mongo:5.0.3",), digests=("mongo@sha256:aa",))
    found = read([make("backend"), make("frontend"), by_id, make("redis")])
    assert {key: found.images["mongodb"][key] for key in ("name", "tag", "digest")} == {"name": "mongo", "tag": "5.0.3", "digest": "sha256:aa"}
    nameless = make("mongo", image="sha256:" + "0" * 64, digests=())
    with pytest.raises(Failure, match=r"Container bi-mongo-1 runs an image without a name, .*docker tag sha256:mongo NAME:TAG"):
        read([make("backend"), make("frontend"), nameless, make("redis")])


def test_the_network_is_the_one_that_most_share_and_never_the_engines_own(make: Make) -> None:
    two = {"corp": Attachment("10.0.0.2"), "bi_default": Attachment("172.18.0.3", ("backend",))}
    assert read([make("backend", networks=two), make("frontend"), make("mongo"), make("redis")]).network == "bi_default"
    own = {"bridge": Attachment("172.17.0.2")}
    assert read_stack(Candidate("", {"frontend": make("frontend", networks=own)})).network == ""


DETAIL: dict[str, Any] = {
    "Id": "1",
    "Name": "/bi-backend-1",
    "Image": "sha256:image",
    "State": {"Status": "running"},
    "Config": {
        "Image": "quay.io/toucantoco/backend:latest-monthly",
        "Env": ["PATH=/usr/bin", "LANG=de_DE.UTF-8", "TOUCAN_DB_ENCRYPTION_SECRET=a=b"],
        "Cmd": ["serve"],
        "Labels": {
            "com.docker.compose.project": "bi",
            "com.docker.compose.service": "backend",
            "com.docker.compose.project.working_dir": "/opt/bi",
            "com.docker.compose.project.config_files": "/opt/bi/docker-compose.yml,/opt/bi/docker-compose.override.yml",
        },
    },
    "HostConfig": {
        "RestartPolicy": {"Name": "unless-stopped"},
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "5000"}, {"HostIp": "::", "HostPort": "5000"}], "81/udp": [{"HostIp": "", "HostPort": "5001"}]},
    },
    "Mounts": [
        {"Type": "bind", "Source": "/srv/storage", "Destination": "/app/storage", "RW": True},
        {"Type": "volume", "Name": "logs", "Source": "/var/lib/docker/volumes/logs/_data", "Destination": "/app/logs", "RW": False},
        {"Type": "tmpfs", "Source": "", "Destination": "/tmp", "RW": True},
    ],
    "NetworkSettings": {"Networks": {"bi_default": {"IPAddress": "172.18.0.5", "Aliases": ["backend"]}}},
}
IMAGE: dict[str, Any] = {"Config": {"Env": ["PATH=/usr/bin", "LANG=C.UTF-8"], "Cmd": ["serve"]}, "RepoDigests": ["quay.io/toucantoco/backend@sha256:aa"]}


def test_an_inspection_becomes_plain_values() -> None:
    container = inspected(DETAIL, IMAGE)
    assert container.environment == {"LANG": "de_DE.UTF-8", "TOUCAN_DB_ENCRYPTION_SECRET": "a=b"}
    assert container.compose_files == ("/opt/bi/docker-compose.yml", "/opt/bi/docker-compose.override.yml")
    assert container.published == (Publication("", 5000, 80),)
    assert container.mounts == (
        Mount("/srv/storage", "/app/storage", "/srv/storage"),
        Mount("logs", "/app/logs", "/var/lib/docker/volumes/logs/_data", writable=False),
    )
    assert (container.restart, container.address, container.settings) == ("unless-stopped", "172.18.0.5", ())
    assert container.names == {"bi-backend-1", "backend"}
    changed = {
        **DETAIL,
        "Config": {**DETAIL["Config"], "Cmd": ["serve", "--fast"], "User": "1001", "Labels": {**DETAIL["Config"]["Labels"], "traefik.enable": "true"}},
        "HostConfig": {**DETAIL["HostConfig"], "ExtraHosts": ["db:10.0.0.9"], "Memory": 1 << 30},
    }
    assert inspected(changed, IMAGE).settings == ("extra_hosts", "mem_limit", "command", "user", "labels")


def test_of_an_image_that_is_gone_every_variable_counts() -> None:
    assert inspected(DETAIL, {}).environment.keys() == {"PATH", "LANG", "TOUCAN_DB_ENCRYPTION_SECRET"}
    assert inspected(DETAIL, {}).settings == ()
