# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces that only some tests ask the lab for are what they claim to be."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from labrun.hosts import Host, fresh_host, lab_facts
from labrun.pieces import lab_piece
from labrun.vendor import VendorStack, log_in_to_registry


@pytest.fixture(scope="module")
def host() -> Host:
    return fresh_host("host9")


def test_the_vendors_compose_file_runs_as_it_is_and_keeps_what_is_written(host: Host) -> None:
    stack = VendorStack(host)
    stack.start()
    assert json.loads(host.shell("docker inspect -f '{{json .HostConfig.PortBindings}}' bi-backend-1")) == {"80/tcp": [{"HostIp": "", "HostPort": "5000"}]}
    assert "TOUCAN_MONGODB_" not in host.shell("docker inspect bi-backend-1")
    stack.fill()
    before = stack.content()
    assert [app["name"] for app in before["small apps"]] == ["Sales 2021"]
    assert [file["name"] for file in before["files"]] == ["shops.csv"]
    host.shell(f"cd {stack.folder} && docker compose restart")
    host.shell("curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors http://localhost:5000/")
    assert stack.content() == before


#: Both databases as a program in a container of a host sees them: by certificate, name and password, and by SRV record.
LOOK_AT_DATABASES = """
import json, ssl, sys
import pymongo, redis
given = json.load(sys.stdin)
mongodb, cache = given["mongodb"], given["redis"]
login = dict(username=mongodb["username"], password=mongodb["password"], serverSelectionTimeoutMS=5000)

def refusal(question):
    try:
        question()
    except (pymongo.errors.PyMongoError, redis.RedisError) as error:
        return str(error)
    return "let in"

by_record = pymongo.MongoClient("mongodb+srv://" + mongodb["srv_name"], tlsCAFile="/ca.crt", **login)
by_name = pymongo.MongoClient(mongodb["address"], tls=True, tlsCAFile="/ca.crt", **login)
by_record.lab_pieces.notes.insert_one({"from": "srv"})
name, port = cache["address"].split(":")
secured = dict(host=name, port=int(port), ssl=True, ssl_ca_certs="/ca.crt")
print(json.dumps({
    "found": by_name.lab_pieces.notes.find_one({}, {"_id": 0}),
    "ping": redis.Redis(password=cache["password"], **secured).ping(),
    "without TLS": refusal(lambda: pymongo.MongoClient(mongodb["address"], **login).admin.command("ping")),
    "unknown CA": refusal(lambda: pymongo.MongoClient(mongodb["address"], tls=True, **login).admin.command("ping")),
    "wrong password": refusal(lambda: pymongo.MongoClient(mongodb["address"], tls=True, tlsCAFile="/ca.crt", **{**login, "password": "x"}).x.y.find_one()),
    "no Redis password": refusal(lambda: redis.Redis(**secured).ping()),
}))
by_name.drop_database("lab_pieces")
"""


def test_external_databases_want_tls_and_a_password_and_have_an_srv_record(host: Host) -> None:
    databases = lab_piece("databases")
    host.shell("cat > /root/databases-ca.crt", Path(databases["ca_file"]).read_bytes())
    log_in_to_registry(host)
    image = f"{lab_facts()['lab_product_images']['a']['backend']}:v100.1.0"
    program = f"docker run --rm -i -v /root/databases-ca.crt:/ca.crt:ro --entrypoint python3 {image} -c {shlex.quote(LOOK_AT_DATABASES)}"
    seen = json.loads(host.shell(program, json.dumps(databases).encode()))
    assert seen["found"] == {"from": "srv"}
    assert seen["ping"] is True
    assert "connection closed" in seen["without TLS"]
    assert "CERTIFICATE_VERIFY_FAILED" in seen["unknown CA"]
    assert "Authentication failed" in seen["wrong password"]
    assert "Authentication required" in seen["no Redis password"]


def test_the_awkward_password_holds_every_character_that_an_uri_reserves() -> None:
    password = lab_piece("databases")["mongodb"]["password"]
    assert set("@:/%?#&+[]$'\"\\ é") <= set(password)
