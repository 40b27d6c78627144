# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of somebody else are looked at from the host and from inside the backend, and no sentence holds a secret."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import services as kinds
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.databases import MongodbUri
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import MONGODB_CA, StackOptions, define, refuse_incomplete
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import Workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.redis import RedisRefusal
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.external import MongodbFacts
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack import external
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.external import examine_databases, external_secrets, verify_from_inside

PASSWORD = "qz@me $1"
CA = "-----BEGIN CERTIFICATE-----\n"
OPTIONS = StackOptions(
    project="toucan",
    services=(kinds.FRONTEND, kinds.BACKEND),
    frontend_url="https://app.test",
    backend_url="https://api.test",
    directory="/srv/stack",
    storage="/srv/storage",
    database="/srv/mongodb",
    network="toucan",
    mongodb_uri="mongodb://db.test/?replicaSet=rs0",
    mongodb_username="ann",
    mongodb_password=PASSWORD,
    mongodb_ca=CA,
    redis_url="rediss://cache.test:7000",
    redis_password=PASSWORD,
)
IMAGES = dict.fromkeys(kinds.KINDS, "image")
BACKEND = Container("backend-id", "backend", "image", "", "running", 0, 0, "", "", {})


# -- what the compose project holds ---------------------------------------------------------------------------------------


def test_the_backend_gets_string_password_and_ca() -> None:
    definition = define(OPTIONS, IMAGES, dict.fromkeys(NAMES, "of the stack"), Workers(1, ""))
    secret = definition.secret["services"]["backend"]["environment"]
    uri = "mongodb://ann:qz%40me%20%241@db.test/?replicaSet=rs0&tls=true&tlsCAFile=/etc/ssl/myCA.crt"
    assert secret["TOUCAN_MONGODB_URI"] == uri
    assert secret["TOUCAN_REDIS_PASSWORD"] == PASSWORD.replace("$", "$$")
    assert (secret["TOUCAN_REDIS_HOST"], secret["TOUCAN_REDIS_PORT"], secret["TOUCAN_REDIS_SSL"]) == ("cache.test", "7000", "true")
    assert "qz" not in json.dumps(definition.public)
    assert f"/srv/stack/{MONGODB_CA}:/etc/ssl/myCA.crt:ro" in definition.public["services"]["backend"]["volumes"]
    assert [(file.path, file.content, file.kind, file.mode) for file in definition.files] == [(MONGODB_CA, CA, "backend", 0o644)]


def test_a_ca_that_is_given_takes_the_place_of_one_that_was_adopted() -> None:
    mounts = {"backend": ("/old/ca.crt:/etc/ssl/myCA.crt:ro", "/srv/fonts:/fonts:ro")}
    volumes = define(replace(OPTIONS, mounts=mounts), IMAGES, dict.fromkeys(NAMES, ""), Workers(1, "")).public["services"]["backend"]["volumes"]
    assert [volume for volume in volumes if volume.startswith("/old")] == []
    assert "/srv/fonts:/fonts:ro" in volumes
    kept = define(replace(OPTIONS, mounts=mounts, mongodb_ca=""), IMAGES, dict.fromkeys(NAMES, ""), Workers(1, "")).public["services"]["backend"]["volumes"]
    assert "/old/ca.crt:/etc/ssl/myCA.crt:ro" in kept


@pytest.mark.parametrize(
    ("option", "missing"),
    [
        ("mongodb_username", "toucan_mongodb_uri"),
        ("mongodb_password", "toucan_mongodb_uri"),
        ("mongodb_ca", "toucan_mongodb_uri"),
        ("redis_password", "toucan_redis_url"),
    ],
)
def test_a_login_for_a_database_that_is_not_named_is_refused(option: str, missing: str) -> None:
    bare = replace(OPTIONS, services=kinds.KINDS, mongodb_uri="", mongodb_username="", mongodb_password="", mongodb_ca="", redis_url="", redis_password="")
    refuse_incomplete(bare)
    with pytest.raises(Failure, match=f"is set, and `{missing}` is not; set `{missing}`; passwords of the stack's own databases stand in `toucan_secrets`"):
        refuse_incomplete(replace(bare, **{option: "x"}))


def test_every_form_of_a_secret_is_known_as_one() -> None:
    secrets = external_secrets(replace(OPTIONS, mongodb_uri="mongodb://ann:qz%40me%20%241@db.test", mongodb_username="", mongodb_password=""))
    assert {PASSWORD, "qz%40me%20%241"} <= set(secrets)
    assert "" not in secrets
    assert external_secrets(replace(OPTIONS, mongodb_uri="", mongodb_password="", redis_url="", redis_password="")) == []


# -- from the host --------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the two looks were called with, and what they answer."""

    facts: MongodbFacts = MongodbFacts("7.0.14", True, ())
    mongodb: list[tuple[str, str]] = field(default_factory=list)
    redis: list[tuple[Any, ...]] = field(default_factory=list)
    redis_error: Any = None


@pytest.fixture(name="seen")
def _seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen = Seen()

    def examine(uri: MongodbUri, ca_pem: str) -> MongodbFacts:
        seen.mongodb.append((str(uri), ca_pem))
        return seen.facts

    def log_in(*arguments: Any) -> None:
        seen.redis.append(arguments)
        if seen.redis_error:
            raise seen.redis_error

    monkeypatch.setattr(external, "examine", examine)
    monkeypatch.setattr(external, "log_in", log_in)
    return seen


def test_both_databases_are_looked_at_and_the_result_holds_no_secret(seen: Seen) -> None:
    found = examine_databases(OPTIONS, "")
    assert (found.mongodb, found.remarks) == ({"hosts": ["db.test"], "version": "7.0.14"}, [])
    assert [ca for dummy, ca in seen.mongodb] == [CA]
    [(host, port, password, context)] = seen.redis
    assert (host, port, password) == ("cache.test", 7000, PASSWORD)
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_databases_of_the_stack_and_hosts_without_a_backend_are_left_alone(seen: Seen) -> None:
    assert examine_databases(replace(OPTIONS, services=(kinds.FRONTEND,)), "").mongodb == {}
    own = replace(OPTIONS, mongodb_uri="", mongodb_username="", mongodb_password="", mongodb_ca="", redis_url="", redis_password="")
    assert examine_databases(own, "").mongodb == {}
    assert (seen.mongodb, seen.redis) == ([], [])


def test_redis_without_tls_gets_no_context(seen: Seen) -> None:
    examine_databases(replace(OPTIONS, redis_url="redis://cache.test"), "")
    assert seen.redis == [("cache.test", 6379, PASSWORD, None)]


def test_the_ca_of_this_host_counts_for_redis(seen: Seen, authority: Any) -> None:
    examine_databases(OPTIONS, str(authority.ca_file))
    subjects = [certificate["subject"] for certificate in seen.redis[0][3].get_ca_certs()]
    assert ((("commonName", "test authority"),),) in subjects


def test_rights_that_are_not_told_are_remarked_upon(seen: Seen) -> None:
    seen.facts = MongodbFacts("5.0.0", False, ("Something.",))
    assert examine_databases(OPTIONS, "").remarks == ["Something.", "MongoDB at db.test does not tell what user ann may do, so that was not looked at."]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RedisRefusal("NOAUTH Authentication required."), "Redis at cache.test:7000 wants a password, and none is given; set `toucan_redis_password`"),
        (RedisRefusal("WRONGPASS invalid username-password pair"), "refuses the password; correct `toucan_redis_password`"),
        (RedisRefusal("ERR invalid password"), "refuses the password"),
        (RedisRefusal("ERR AUTH <password> called without any password configured"), "has no password, and one is given; take `toucan_redis_password` out"),
        (RedisRefusal("HTTP/1.1 400 Bad Request"), "does not take what this host asks: HTTP/1.1 400 Bad Request; see that a Redis listens there"),
        (ConnectionRefusedError(111, "Connection refused"), "does not answer this host: .*Connection refused; `rediss://` is for a server with TLS"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "does not answer this host: .*wrong version number; `rediss://` is for a server"),
    ],
)
def test_what_is_wrong_with_redis_is_one_sentence(seen: Seen, error: Exception, words: str) -> None:
    seen.redis_error = error
    with pytest.raises(Failure, match=words) as caught:
        examine_databases(OPTIONS, "")
    assert PASSWORD not in str(caught.value.facts())


def test_a_certificate_of_redis_that_does_not_hold_names_the_ca_of_the_host(seen: Seen) -> None:
    seen.redis_error = ssl.SSLCertVerificationError(1, "x")
    seen.redis_error.verify_message = "unable to get local issuer certificate"
    with pytest.raises(Failure, match="does not hold on this host: unable to get local issuer certificate; give the CA that signed it in `toucan_ca_file`"):
        examine_databases(OPTIONS, "")


# -- from inside the backend ----------------------------------------------------------------------------------------------


@dataclass
class Engine:
    """An engine whose containers have the programs `answers`, each with what it gives."""

    answers: dict[str, tuple[int, str]]
    argv: list[Sequence[str]] = field(default_factory=list)

    def run_if_there(self, container: str, argv: Sequence[str]) -> tuple[int, str]:
        assert container == BACKEND.id
        self.argv.append(argv)
        return self.answers.get(argv[0], (127, "executable file not found in $PATH"))


def inside(answers: dict[str, tuple[int, str]], options: StackOptions = OPTIONS) -> tuple[list[str], Engine]:
    engine: Any = Engine(answers)
    return verify_from_inside(engine, [BACKEND], options), engine


@pytest.mark.parametrize("python", ["python3", "python"])
def test_the_backends_own_driver_is_asked_and_no_secret_is_in_its_arguments(python: str) -> None:
    remarks, engine = inside({python: (0, 'a warning of the driver\n{"version": "7.0.14"}\n')})
    assert remarks == []
    assert [argv[0] for argv in engine.argv][-1] == python
    assert engine.argv[-1][-1] == "TOUCAN_MONGODB_URI"
    assert "qz" not in str(engine.argv)


@pytest.mark.parametrize("answers", [{}, {"python3": (3, "")}], ids=["no Python", "no driver"])
def test_a_backend_without_a_driver_to_ask_is_remarked_upon(answers: dict[str, tuple[int, str]]) -> None:
    [remark] = inside(answers)[0]
    assert remark.startswith("MongoDB at db.test was looked at from this host alone: the backend's container has no Python with a driver")


def test_what_the_backend_cannot_reach_is_told_without_secrets() -> None:
    with pytest.raises(Failure, match="MongoDB at db.test answers this host, but not from inside the backend: no route for \\*+ and \\*+; see that") as caught:
        inside({"python3": (0, json.dumps({"error": "no route for qz@me $1 and qz%40me%20%241"}))})
    assert "qz" not in str(caught.value.facts())


@pytest.mark.parametrize("output", ["", "Killed\n", "[]"])
def test_a_look_from_inside_that_tells_nothing_is_a_failure(output: str) -> None:
    with pytest.raises(Failure, match="from inside the backend at the MongoDB in TOUCAN_MONGODB_URI ended without a result"):
        inside({"python3": (0, output)})


def test_nothing_is_run_where_the_stacks_own_database_is_used() -> None:
    own = replace(OPTIONS, mongodb_uri="", mongodb_username="", mongodb_password="", mongodb_ca="")
    assert inside({}, own)[0] == []
    assert inside({}, replace(OPTIONS, services=(kinds.FRONTEND,)))[0] == []


def run_program(uri: str, folder: Path, driver: str) -> subprocess.CompletedProcess[str]:
    """What the program itself does with a driver of that source."""
    (folder / "pymongo.py").write_text(driver, encoding="utf-8")
    environment = {**os.environ, "THE_URI": uri, "PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, "-c", external._PROGRAM, "THE_URI"], env=environment, capture_output=True, text=True, check=False)


def test_the_program_tells_what_the_driver_says(tmp_path: Path) -> None:
    driver = """
class MongoClient:
    def __init__(self, uri, **options):
        if uri == "bad":
            raise ValueError("no such server, Timeout: 5s, Topology Description: x")
        self.admin = self
    def command(self, *words, **options):
        assert words == ("listDatabases",)
    def server_info(self):
        return {"version": "7.0.14"}
"""
    done = run_program("mongodb://db.test", tmp_path, driver)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"version": "7.0.14"})
    assert json.loads(run_program("bad", tmp_path, driver).stdout) == {"error": "no such server"}
    assert run_program("bad", tmp_path, "raise ImportError").returncode == 3
