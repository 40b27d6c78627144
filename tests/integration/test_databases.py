# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack on a MongoDB and a Redis of somebody else: TLS by an authority of their own, passwords with every awkward character.

The tests build on each other, in their order.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from labrun.hosts import CONTAINERS, LISTING, Host, Run, fresh_host, lab_facts, site_variables, user_shell
from labrun.pieces import lab_piece
from labrun.user import BACKEND, bearer, curl

#: The databases' groups are left out: they stand outside the stack.
GROUPS = ("toucan_frontend", "toucan_backend", "toucan_proxy")
#: The end of a password, which no way of writing it changes.
CANARY_LENGTH = 12
INSTANCE = "outside"
#: Databases that the stand-ins make on the server, by dialect.
DATABASES = {"a": INSTANCE, "b": "laputa"}
SECRETS = {"encryption_secret": "an encryption secret of the tests", "jwt_secret": "a secret for tokens of the tests"}
CA_ON_HOST = "/root/databases-ca.crt"
REFUSALS = "/root/refusals.json"
#: A client of the lab's MongoDB that the collection knows nothing of.
CLIENT = """
import json, sys, pymongo
given = json.load(sys.stdin)
open("/tmp/databases-ca.crt", "w").write(given["ca"])
mongodb = given["mongodb"]
client = pymongo.MongoClient(mongodb["address"], tls=True, tlsCAFile="/tmp/databases-ca.crt", username=mongodb["username"], password=mongodb["password"])
"""


@pytest.fixture(scope="module")
def host() -> Host:
    return replace(fresh_host("host17"), groups=GROUPS)


@pytest.fixture(scope="module")
def pieces() -> dict[str, Any]:
    pieces = lab_piece("databases")
    for database in DATABASES.values():
        asked(pieces, f"client.drop_database({database!r})")
    return pieces


@pytest.fixture(scope="module")
def variables(pieces: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a sysadmin writes into the inventory, by a plain connection string."""
    both = tmp_path_factory.mktemp("trust") / "ca.crt"
    both.write_bytes(Path(lab_facts()["lab_ca_file"]).read_bytes() + Path(pieces["ca_file"]).read_bytes())
    mongodb, redis = pieces["mongodb"], pieces["redis"]
    return {
        **site_variables(),
        "toucan_ca_file": str(both),
        # What stands in a database of somebody else was made with secrets that the inventory knows.
        "toucan_secrets": SECRETS,
        "toucan_stack_instance_name": INSTANCE,
        "toucan_mongodb_uri": f"mongodb://{mongodb['address']}",
        "toucan_mongodb_username": mongodb["username"],
        "toucan_mongodb_password": mongodb["password"],
        "toucan_mongodb_ca_file": pieces["ca_file"],
        "toucan_redis_url": f"rediss://{redis['address']}",
        "toucan_redis_password": redis["password"],
        # Whom a backend trusts that speaks TLS with Redis is not public; one on OpenSSL's defaults trusts whom this names.
        "toucan_stack_env": {"SSL_CERT_FILE": "/etc/ssl/myCA.crt"},
    }


def asked(pieces: Mapping[str, Any], question: str) -> Any:
    """What the lab's MongoDB answers to a question in Python about its `client`."""
    given = {**pieces, "ca": Path(pieces["ca_file"]).read_text(encoding="utf-8")}
    program = f"{CLIENT}\nprint(json.dumps({question}))\n"
    return json.loads(user_shell(f"python3 -c {shlex.quote(program)}", json.dumps(given).encode()))


def canaries(pieces: Mapping[str, Any]) -> list[str]:
    return [pieces[name]["password"][-CANARY_LENGTH:] for name in ("mongodb", "redis")]


def refuse_canaries(text: str, pieces: Mapping[str, Any]) -> None:
    """Fail where a text holds a password in whatever way it is written."""
    assert [canary for canary in canaries(pieces) if canary in text] == []


def test_a_bare_host_is_planned_for_without_a_look_at_the_databases(host: Host, variables: dict[str, Any]) -> None:
    run = host.site("--check", **variables).succeeded()
    assert "service backend" in run.text
    assert host.containers() == {}


def test_the_product_runs_on_databases_of_somebody_else(host: Host, pieces: dict[str, Any], variables: dict[str, Any]) -> None:
    run = host.site("-vvvv", **variables).succeeded()
    assert f'"mongodb": {{"hosts": ["{pieces["mongodb"]["address"]}"], "version": "7.0' in run.output
    assert "was looked at from this host alone" not in run.text
    refuse_canaries(run.output, pieces)
    assert [name for name in sorted(host.containers()) if not name.startswith("toucan-proxy")] == ["toucan-backend-1", "toucan-frontend-1"]
    curl(host, f"-f https://{BACKEND}/small-apps -H @- -H 'Content-Type: application/json' --data '{{\"name\": \"Sales 2021\"}}'", bearer(host))
    assert "Sales 2021" in str(asked(pieces, f"[str(list(client[{INSTANCE!r}][name].find())) for name in client[{INSTANCE!r}].list_collection_names()]"))


def test_the_passwords_stand_where_root_alone_reads_them(host: Host, pieces: dict[str, Any]) -> None:
    folder = "/var/lib/toucan/stack"
    refuse_canaries(host.shell(f"cat {folder}/compose.yaml /etc/toucan/stack.json; ps -eo args; docker logs toucan-backend-1 2>&1"), pieces)
    assert host.shell(f"stat -c '%a %U' {folder}/compose.override.yaml") == "600 root\n"
    written = host.shell(f"cat {folder}/compose.override.yaml")
    assert [canary for canary in canaries(pieces) if canary not in written] == []


def test_a_second_run_changes_nothing(host: Host, variables: dict[str, Any]) -> None:
    host.site(**variables).unchanged()


#: What a sysadmin gets wrong: options of the module, and what is said of them.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "not reachable": ({"mongodb_uri": "mongodb://mongodb.lab.test:27099"}, "MongoDB at mongodb.lab.test:27099 does not answer this host: "),
    "no such name": ({"mongodb_uri": "mongodb://nowhere.lab.test"}, "MongoDB at nowhere.lab.test:27017 does not answer this host: "),
    "no such record": ({"mongodb_uri": "mongodb+srv://nowhere.lab.test"}, "There is no SRV record of nowhere.lab.test to be found from this host"),
    "no TLS asked for": ({"mongodb_ca": None}, "wants TLS, and `toucan_mongodb_uri` asks for none"),
    "no CA": (
        {"mongodb_ca": None, "mongodb_uri": "mongodb://narrow-mongodb.lab.test:27018/?tls=true&tlsCAFile=/srv/x.crt"},
        "`toucan_mongodb_uri` has tlsCAFile=/srv/x.crt, a file that nothing puts into the backend's container",
    ),
    "wrong CA": ({"mongodb_ca": "LAB"}, "is not signed by the CA in `toucan_mongodb_ca_file`"),
    "no CA at all": ({"mongodb_ca": "no certificate"}, "`toucan_mongodb_ca_file` holds no certificate in PEM form"),
    "name of no certificate": ({"mongodb_uri": "mongodb://IP:27017"}, "is of another name: IP address mismatch"),
    "wrong password": ({"mongodb_password": "wrong"}, "refuses user toucan with this password"),
    "reads alone": ({"mongodb_uri": "mongodb://narrow-mongodb.lab.test:27017"}, "User toucan of MongoDB at narrow-mongodb.lab.test:27017 may not do remove,"),
    "drops nothing": ({"mongodb_uri": "mongodb://narrow-mongodb.lab.test:27018"}, "may not do dropDatabase on every database"),
    "not escaped": (
        {"mongodb_uri": "mongodb://toucan:@:/%@mongodb.lab.test", "mongodb_username": None, "mongodb_password": None, "options_only": True},
        "not escaped; give them as `toucan_mongodb_username` and `toucan_mongodb_password`",
    ),
    "Redis without TLS": ({"redis_url": "redis://redis.lab.test:6380"}, "Redis at redis.lab.test:6380 does not answer this host: "),
    "wrong password of Redis": ({"redis_password": "wrong"}, "Redis at redis.lab.test:6380 refuses the password; correct `toucan_redis_password`"),
    "no password of Redis": ({"redis_password": None}, "Redis at redis.lab.test:6380 wants a password, and none is given"),
}
#: Other ways to write what is right.
WAYS: dict[str, dict[str, Any]] = {
    "login in the string": {"mongodb_uri": "mongodb://toucan:QUOTED@mongodb.lab.test:27017", "mongodb_username": None, "mongodb_password": None},
    "CA on the host": {"mongodb_ca": None, "mongodb_ca_file": CA_ON_HOST},
}


def module_options(variables: Mapping[str, Any], pieces: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `toucan_stack` as the role gives them, but for what is `changed`; None leaves one out."""
    usual = {
        "services": ["frontend", "backend"],
        "release": variables["toucan_release"],
        "registry": variables["toucan_registry"],
        "frontend_url": variables["toucan_frontend_url"],
        "backend_url": variables["toucan_backend_url"],
        "instance_name": variables["toucan_stack_instance_name"],
        "env": variables["toucan_stack_env"],
        "mongodb_uri": variables["toucan_mongodb_uri"],
        "mongodb_username": variables["toucan_mongodb_username"],
        "mongodb_password": variables["toucan_mongodb_password"],
        "mongodb_ca": Path(pieces["ca_file"]).read_text(encoding="utf-8"),
        "redis_url": variables["toucan_redis_url"],
        "redis_password": variables["toucan_redis_password"],
    }
    given = {**usual, **changed}
    if given["mongodb_ca"] == "LAB":
        given["mongodb_ca"] = Path(lab_facts()["lab_ca_file"]).read_text(encoding="utf-8")
    mongodb = pieces["mongodb"]
    given["mongodb_uri"] = given["mongodb_uri"].replace("//IP:", f"//{mongodb['ip']}:").replace("QUOTED", quote(mongodb["password"], safe=""))
    return {name: value for name, value in given.items() if value is not None}


def answers_of(host: Host, cases: Mapping[str, Mapping[str, Any]]) -> tuple[Run, dict[str, dict[str, Any]]]:
    """What `toucan_stack` says in check mode to each of the options, by one play."""
    tasks: list[dict[str, Any]] = [
        {"name": name, "toucan.selfhosted.toucan_stack": options, "check_mode": True, "ignore_errors": True, "register": f"answer_{number}"}
        for number, (name, options) in enumerate(cases.items())
    ]
    answers = ", ".join(f"answer_{number}" for number in range(len(cases)))
    tasks.append({"name": "Keep the answers", "ansible.builtin.copy": {"content": f"{{{{ [{answers}] | to_json }}}}", "dest": REFUSALS, "mode": "0600"}})
    run = host.play(tasks, "-vvv").succeeded()
    return run, dict(zip(cases, json.loads(host.shell(f"cat {REFUSALS} && rm {REFUSALS}"))))


def test_each_mistake_is_one_sentence_and_nothing_is_touched(host: Host, pieces: dict[str, Any], variables: dict[str, Any]) -> None:
    host.shell(f"cat > {CA_ON_HOST}", Path(pieces["ca_file"]).read_bytes())
    before = host.shell(f"{CONTAINERS}; {LISTING}")
    cases = {**{name: changed for name, (changed, dummy) in MISTAKES.items()}, **WAYS}
    run, answers = answers_of(host, {name: module_options(variables, pieces, changed) for name, changed in cases.items()})
    refuse_canaries(run.output, pieces)
    said = {name: answers[name].get("msg", "it was not refused") for name in MISTAKES}
    assert {name: said[name] for name, (dummy, words) in MISTAKES.items() if words not in said[name]} == {}
    assert {name: answers[name].get("msg") for name in WAYS if answers[name].get("mongodb", {}).get("version", "")[:2] != "7."} == {}
    assert host.shell(f"{CONTAINERS}; {LISTING}") == before


def test_a_mistake_stops_site_before_anything_is_restarted(host: Host, pieces: dict[str, Any], variables: dict[str, Any]) -> None:
    before = host.containers()
    wrong = {**variables, "toucan_mongodb_password": "wrong", "toucan_stack_log_level": "DEBUG"}
    host.site(**wrong).refused("MongoDB at mongodb.lab.test:27017 refuses user toucan with this password")
    missing = host.site(**{**variables, "toucan_mongodb_ca_file": "/nowhere/ca.crt"})
    missing.refused("/nowhere/ca.crt")
    assert host.containers() == before
    assert "DEBUG" not in host.shell("cat /var/lib/toucan/stack/compose.yaml")


def test_the_other_dialect_is_told_of_an_srv_record(host: Host, pieces: dict[str, Any], variables: dict[str, Any]) -> None:
    assert DATABASES["b"] not in asked(pieces, "client.list_database_names()")
    other = {
        **variables,
        "toucan_registry": site_variables("b")["toucan_registry"],
        "toucan_mongodb_uri": f"mongodb+srv://{pieces['mongodb']['srv_name']}",
        "toucan_stack_mongodb_uri_variable": "TOUCAN_MONGODB_HOST",
    }
    host.role("toucan_stack", variables=other).succeeded()
    assert "toucantoco-b/backend" in host.state()["images"]["backend"]["name"]
    assert DATABASES["b"] in asked(pieces, "client.list_database_names()")
    host.role("toucan_stack", variables=other).unchanged()
