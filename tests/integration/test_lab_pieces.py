# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pieces that only some tests ask the lab for are what they claim to be."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labrun.hosts import Host, fresh_host, lab_facts, user_shell
from labrun.pieces import lab_piece
from labrun.registry import digest_of
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
    host.shell(f"cd {stack.folder} && docker compose restart mongo backend")
    host.shell("curl --silent --fail --retry 60 --retry-delay 1 --retry-all-errors http://localhost:5000/")
    assert stack.content() == before


def test_hosts_have_one_folder_in_common_and_one_of_their_own(host: Host) -> None:
    lab = lab_facts()
    mounts = json.loads(subprocess.run(["docker", "inspect", "-f", "{{json .Mounts}}", host.name], stdout=subprocess.PIPE, check=True).stdout)
    sources = {mount["Destination"]: mount["Name"] for mount in mounts}
    assert sources[lab["lab_shared_folder"]] == "toucan-lab-shared"
    assert sources[lab["lab_unshared_folder"]] != "toucan-lab-shared"
    host.shell(f"touch {lab['lab_shared_folder']}/from-{host.name}")
    look = ["docker", "run", "--rm", "--volume", "toucan-lab-shared:/seen", lab["lab_images"]["debian"], "ls", "/seen"]
    try:
        assert f"from-{host.name}" in subprocess.run(look, stdout=subprocess.PIPE, check=True).stdout.decode().split()
    finally:
        host.shell(f"rm {lab['lab_shared_folder']}/from-{host.name}")


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
reader, writer = (pymongo.MongoClient(mongodb[f"{role}_address"], tls=True, tlsCAFile="/ca.crt", **login) for role in ("reader", "writer"))
by_record.lab_pieces.notes.insert_one({"from": "srv"})
name, port = cache["address"].split(":")
secured = dict(host=name, port=int(port), ssl=True, ssl_ca_certs="/ca.crt")
print(json.dumps({
    "found": by_name.lab_pieces.notes.find_one({}, {"_id": 0}),
    "ping": redis.Redis(password=cache["password"], **secured).ping(),
    "without TLS": refusal(lambda: pymongo.MongoClient(mongodb["address"], **login).admin.command("ping")),
    "unknown CA": refusal(lambda: pymongo.MongoClient(mongodb["address"], tls=True, **login).admin.command("ping")),
    "reader": [refusal(lambda: reader.x.y.find_one()), refusal(lambda: reader.x.y.insert_one({}))],
    "writer": [refusal(lambda: writer.lab_pieces.y.insert_one({})), refusal(lambda: writer.drop_database("lab_pieces"))],
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
    assert seen["reader"][0] == seen["writer"][0] == "let in"
    assert 'not authorized on x to execute command { insert: "y"' in seen["reader"][1]
    assert "not authorized on lab_pieces to execute command { dropDatabase: 1" in seen["writer"][1]
    assert "connection closed" in seen["without TLS"]
    assert "CERTIFICATE_VERIFY_FAILED" in seen["unknown CA"]
    assert "Authentication failed" in seen["wrong password"]
    assert "Authentication required" in seen["no Redis password"]


def test_the_awkward_password_holds_every_character_that_an_uri_reserves() -> None:
    password = lab_piece("databases")["mongodb"]["password"]
    assert set("@:/%?#&+[]$'\"\\ é") <= set(password)


CADDYFILE = """
{{
    email admin@lab.test
    acme_ca {directory}
    acme_ca_root /ca.crt
    {account}
}}
{name} {{
    tls {{
        issuer acme {{
            {challenge}
        }}
    }}
    respond proven
}}
"""


@pytest.mark.parametrize(
    ("server", "account", "challenge"),
    [("", "", "disable_http_challenge"), ("bound_", "acme_eab {{\nkey_id {key_id}\nmac_key {mac_key}\n}}", "disable_tlsalpn_challenge")],
    ids=["tls-alpn-01", "http-01-with-external-account"],
)
def test_pebble_certifies_a_name_of_a_host(host: Host, server: str, account: str, challenge: str) -> None:
    pebble = lab_piece("pebble")
    log_in_to_registry(host)
    host.shell("cat > /root/ca.crt", Path(pebble["ca_file"]).read_bytes())
    name = f"app.{host.name}.lab.test"
    directory = pebble[f"{server}directory_url"]
    caddyfile = CADDYFILE.format(directory=directory, account=account.format(**pebble["eab"]), name=name, challenge=challenge)
    host.shell("cat > /root/Caddyfile", caddyfile.encode())
    image = lab_facts()["lab_service_images"]["caddy"]
    mounts = "-v /root/ca.crt:/ca.crt:ro -v /root/Caddyfile:/etc/caddy/Caddyfile:ro"
    host.shell(f"docker run -d --name acme-client --network host {mounts} {image}")
    try:
        root = Path(pebble[f"{server}root_file"]).read_bytes()
        look = f"curl -sS --retry 40 --retry-delay 1 --retry-all-errors --cacert /tmp/acme-root.crt https://{name}/"
        answer = user_shell(f"cat > /tmp/acme-root.crt; {look}", root)
    finally:
        log = host.shell("docker logs acme-client 2>&1; docker rm -f acme-client")
    assert answer == "proven", log


@pytest.fixture(scope="module")
def registries(host: Host) -> dict[str, Any]:
    """The other registries, trusted by the host's engine, which is logged in to none of them."""
    registries = lab_piece("registries")
    for registry in registries.values():
        trust = f"/etc/docker/certs.d/{registry['name']}"
        host.shell(f"mkdir -p {trust} && cat > {trust}/ca.crt", Path(lab_facts()["lab_ca_file"]).read_bytes())
    return registries


def said(host: Host, command: str, stdin: bytes | None = None) -> str:
    """What a command that has to fail says."""
    return host.shell(f"if {command} 2>&1; then echo 'it did not fail'; fi", stdin)


def log_in(host: Host, bearer: dict[str, Any], account: str) -> None:
    host.shell(f"docker login --username {account} --password-stdin {bearer['name']}", bearer["accounts"][account].encode())


def test_a_registry_with_tokens_gives_each_account_what_is_its(host: Host, registries: dict[str, Any]) -> None:
    bearer = registries["bearer"]
    image = f"{bearer['name']}/lab/redis:8"
    ours = f"{bearer['name']}/lab-pieces/redis:pushed"
    challenge = host.shell(f"curl -sS --cacert /etc/docker/certs.d/{bearer['name']}/ca.crt -o /dev/null -D - https://{bearer['name']}/v2/lab/redis/manifests/8")
    assert f'Bearer realm="{bearer["realm"]}",service="{bearer["name"]}",scope="repository:lab/redis:pull"' in challenge
    assert "denied" in said(host, f"docker pull {image}")
    assert "unauthorized" in said(host, f"docker login --username toucantoco+robot --password-stdin {bearer['name']}", b"wrong")
    log_in(host, bearer, "toucantoco+stranger")
    assert "denied" in said(host, f"docker pull {image}")
    log_in(host, bearer, "toucantoco+robot")
    host.shell(f"docker pull {image} && docker tag {image} {ours}")
    assert "denied" in said(host, f"docker push {ours}")
    log_in(host, bearer, "toucantoco+ci")
    host.shell(f"docker push {ours} && docker logout {bearer['name']}")


def test_a_mirror_pulls_through_for_everybody(host: Host, registries: dict[str, Any]) -> None:
    name = f"{registries['mirror']['name']}/lab/redis"
    host.shell(f"docker pull {name}:8")
    digests = json.loads(host.shell(f"docker image inspect -f '{{{{json .RepoDigests}}}}' {name}:8"))
    assert f"{name}@{digest_of('lab/redis', '8')}" in digests


def test_a_login_page_answers_whatever_is_asked(host: Host, registries: dict[str, Any]) -> None:
    name = registries["login_page"]["name"]
    for method, path in (("GET", "/v2/"), ("POST", "/v2/lab/redis/blobs/uploads/")):
        answer = host.shell(f"curl -sS -i -X {method} -d x --cacert /etc/docker/certs.d/{name}/ca.crt https://{name}{path}")
        assert answer.startswith("HTTP/1.1 200")
        assert "text/html" in answer
        assert "Sign in" in answer
    assert "it did not fail" not in said(host, f"docker pull {name}/lab/redis:8")
