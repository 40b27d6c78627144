# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role `toucan_proxy` on a host that runs the product: what users see, what a change does to them, what is refused.

Every test leaves the proxy serving, with whatever good certificate it had last.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labrun.hosts import CONTAINERS, LAB, Host, Run, lab_facts, site_variables, user_shell
from labrun.lock import held_lock
from labrun.user import BACKEND, FRONTEND, bearer, curl, present_user, served_certificate

DIRECTORY = "/var/lib/toucan/proxy"
CONTAINER = "toucan-proxy-caddy-1"
BODY_LIMIT = 50 * 1024 * 1024
#: What a multipart form adds to a file, at most.
FORM_BYTES = 4096
APP = "proxy-test"
#: As a bit of a process' capabilities.
NET_BIND_SERVICE = 1 << 10


@dataclass(frozen=True)
class Certificate:
    """A chain and its key as PEM text, and the serial number in the server's certificate."""

    chain: str
    key: str
    serial: str

    @property
    def variables(self) -> dict[str, str]:
        return {"toucan_proxy_certificate": self.chain, "toucan_proxy_key": self.key}


def lab_certificate(name: str, key: str = "") -> dict[str, str]:
    """The role's variables for a certificate of the lab, with another one's key if `key` names one."""
    files = lab_facts()["lab_certificates"][name]
    return {
        "toucan_proxy_certificate": Path(files["certificate"]).read_text(encoding="utf-8"),
        "toucan_proxy_key": Path(key or files["key"]).read_text(encoding="utf-8"),
    }


@pytest.fixture
def renewed(tmp_path: Path) -> Certificate:
    """A certificate for the product's names that nobody has seen yet, signed by the lab's CA."""
    chain, key, authority = tmp_path / "chain.pem", tmp_path / "key.pem", LAB / "pki" / "ca.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90"),
            *("-subj", f"/CN={FRONTEND}", "-addext", f"subjectAltName=DNS:{FRONTEND},DNS:{BACKEND}", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-CA", authority, "-CAkey", authority.with_suffix(".key"), "-keyout", key, "-out", chain),
        ],
        capture_output=True,
        check=True,
    )
    serial = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", chain], capture_output=True, text=True, check=True).stdout.strip()
    return Certificate(chain.read_text(encoding="utf-8"), key.read_text(encoding="utf-8"), serial)


def apply(host: Host, *arguments: str, **variables: Any) -> Run:
    """Run the role with the lab's product, unless `variables` say otherwise."""
    return host.role("toucan_proxy", *arguments, variables={**site_variables(), **variables})


def picture(host: Host) -> str:
    """What is live: containers, Caddy's files with owner, mode and content, the state file."""
    files = f"find {DIRECTORY}/config {DIRECTORY}/compose.yaml {DIRECTORY}/loaded.json /etc/toucan -type f"
    return host.shell(f"{CONTAINERS}; {files} -printf '%p %m %U %G %T@\\n' | sort; {files} -exec sha256sum {{}} + | sort")


def serves(host: Host) -> bool:
    """Whether users get an answer from both, certificate verified."""
    return curl(host, f"-f https://{FRONTEND}/tucana-version.txt").strip() == "v101.1.0" and "OK" in curl(host, f"-f https://{BACKEND}/")


@contextmanager
def small_app(host: Host) -> Iterator[bytes]:
    """A small app while the block runs; gives the header of a logged-in admin."""
    header = bearer(host)
    created = json.loads(curl(host, f"-f https://{BACKEND}/small-apps -H @- -H 'Content-Type: application/json' --data '{{\"name\": \"{APP}\"}}'", header))
    try:
        yield header
    finally:
        curl(host, f"-f -X DELETE https://{BACKEND}/small-apps/{created['id']} -H @-", header)


def upload(host: Host, header: bytes, content: bytes) -> tuple[str, str]:
    """Answer to a user who puts a file into the small app: headers and body."""
    user_shell("cat > /tmp/proxy-test", content)
    form = f"-F 'file=@/tmp/proxy-test;filename=body' https://{BACKEND}/{APP}/data/sources"
    try:
        answer = curl(host, f"-D - {form} -H @-", header)
    finally:
        user_shell("rm /tmp/proxy-test")
    headers, dummy, body = answer.replace("\r", "").partition("\n\n")
    return headers, body


# -- What users see -------------------------------------------------------------------------------------------------------


def test_http_is_redirected_with_path_and_query(proxied: Host) -> None:
    for name in (FRONTEND, BACKEND):
        answer = curl(proxied, f"-o /dev/null -w '%{{http_code}} %{{redirect_url}}' 'http://{name}/a/b?x=1&y=%20z'")
        assert answer == f"301 https://{name}/a/b?x=1&y=%20z"


def test_a_login_gives_a_token_that_reaches_the_backend(proxied: Host) -> None:
    assert curl(proxied, f"-o /dev/null -w '%{{http_code}}' https://{BACKEND}/auth/check") == "401"
    user = json.loads(curl(proxied, f"-f https://{BACKEND}/auth/check -H @-", bearer(proxied)))
    assert (user["username"], user["roles"]) == ("toucantoco", ["SUPER_ADMIN"])


def test_the_frontend_may_ask_the_backend_from_another_origin(proxied: Host) -> None:
    def allowed(origin: str) -> dict[str, str]:
        asked = f"-H 'Origin: {origin}' -H 'Access-Control-Request-Method: POST' -H 'Access-Control-Request-Headers: authorization,x-json-flavor'"
        lines = curl(proxied, f"-o /dev/null -D - -X OPTIONS https://{BACKEND}/login {asked}").splitlines()
        assert lines[0].split()[1] == "204"
        return {name: value for name, dummy, value in (line.partition(": ") for line in lines[1:]) if name.startswith("access-control-")}

    headers = allowed(f"https://{FRONTEND}")
    assert headers["access-control-allow-origin"] == f"https://{FRONTEND}"
    assert {"authorization", "x-json-flavor"} <= set(headers["access-control-allow-headers"].split(", "))
    assert allowed("https://elsewhere.lab.test") == {}


def test_a_body_of_50_mb_is_stored_whole_and_a_bigger_one_refused_by_the_product(proxied: Host) -> None:
    content = os.urandom(BODY_LIMIT - FORM_BYTES)
    with small_app(proxied) as header:
        dummy, answer = upload(proxied, header, content)
        on_disk = proxied.shell(f"sha256sum /var/lib/toucan/storage/{APP}/data_sources/body").split()[0]
        assert on_disk == json.loads(answer)["sha256"] == hashlib.sha256(content).hexdigest()

        headers, dummy = upload(proxied, header, content + bytes(2**20))
        assert headers.split()[1] == "413"
        assert "server: nginx" in headers


def test_a_websocket_echoes(proxied: Host) -> None:
    with present_user(proxied) as seen:
        time.sleep(0.5)
    assert seen.echoes > 1
    assert seen.websocket == "open"


# -- Changes --------------------------------------------------------------------------------------------------------------


def test_a_renewed_certificate_is_taken_without_anyone_noticing(proxied: Host, renewed: Certificate) -> None:
    before, former = proxied.containers(), served_certificate(proxied)
    assert renewed.serial not in former
    with present_user(proxied) as seen:
        run = apply(proxied, "--diff", "-vvv", **renewed.variables).succeeded()
        assert renewed.serial in served_certificate(proxied)
    assert "config.reload:proxy" in run.text
    assert proxied.containers() == before
    assert seen.failures == []
    assert seen.answers > 10
    assert seen.websocket == "open"
    assert seen.echoes > 10
    apply(proxied, **renewed.variables).unchanged()


def test_the_key_is_never_shown(proxied: Host, renewed: Certificate) -> None:
    """Not in a diff, not at `-vvv`, not when it is refused; the certificate is, so the plan was shown."""
    body = renewed.key.splitlines()[1]
    for run in (
        apply(proxied, "--check", "--diff", "-vvv", **renewed.variables).succeeded(),
        apply(proxied, "--diff", "-vvv", **{**lab_certificate("product"), "toucan_proxy_key": renewed.key}).refused("fits no certificate"),
        apply(proxied, "--diff", "-vvv", **renewed.variables).succeeded(),
    ):
        assert body not in run.output
        assert site_variables()["toucan_registry"]["password"] not in run.output
    assert renewed.chain.splitlines()[1] in run.output
    assert "content not shown" in run.output


def test_a_configuration_that_caddy_refuses_is_never_live(proxied: Host, renewed: Certificate) -> None:
    before = picture(proxied)
    with present_user(proxied) as seen:
        run = apply(proxied, **renewed.variables, toucan_proxy_backend_upstreams=["backend:99999"])
    run.refused("Caddy refuses the new configuration", "parsing upstream 'backend:99999'", f"read it in {DIRECTORY}/candidate/Caddyfile", "still in use")
    assert picture(proxied) == before
    assert (seen.failures, seen.websocket) == ([], "open")
    assert "backend:99999" in proxied.shell(f"cat {DIRECTORY}/candidate/Caddyfile")
    assert proxied.shell(f"ls {DIRECTORY}/candidate").split() == ["Caddyfile"]


def test_a_reload_that_fails_leaves_the_former_configuration_and_is_made_up_for(proxied: Host, renewed: Certificate) -> None:
    former = served_certificate(proxied)
    proxied.shell(f"docker exec {CONTAINER} rm /run/caddy/admin.sock")
    apply(proxied, **renewed.variables).refused("Caddy did not take the new configuration", "admin.sock", "keeps serving with the former one")
    assert served_certificate(proxied) == former
    proxied.shell(f"docker restart {CONTAINER}")
    assert apply(proxied, **renewed.variables).succeeded().recap["changed"] == 1
    assert renewed.serial in served_certificate(proxied)
    apply(proxied, **renewed.variables).unchanged()


@pytest.mark.parametrize("command", ["stop", "pause"])
def test_a_proxy_that_does_not_run_is_started(proxied: Host, command: str) -> None:
    before = proxied.containers()
    proxied.shell(f"docker {command} {CONTAINER}")
    assert apply(proxied).succeeded().recap["changed"] == 1
    assert proxied.containers() == before
    assert serves(proxied)
    apply(proxied).unchanged()


def test_a_service_that_does_not_answer_behind_the_proxy_is_told(proxied: Host) -> None:
    proxied.shell("docker stop toucan-frontend-1")
    try:
        apply(proxied, toucan_proxy_start_timeout=1).refused(
            f"https://{FRONTEND} does not answer through the proxy: status 502", "that the service behind runs", "Last log lines:"
        )
    finally:
        proxied.shell("docker start toucan-frontend-1")


def test_an_older_caddy_is_warned_of_and_closes_websockets_at_a_reload(proxied: Host, renewed: Certificate) -> None:
    warning = "Caddy 2.6.2 closes websockets at every reload; version 2.7 or newer keeps them open."
    old = {"toucan_proxy_image": lab_facts()["lab_service_images"]["caddy-2.6"]}
    assert warning in apply(proxied, **old).succeeded().text
    assert "stream_close_delay" not in proxied.shell(f"cat {DIRECTORY}/config/Caddyfile")
    with present_user(proxied) as seen:
        assert warning in apply(proxied, **old, **renewed.variables).succeeded().text
        assert renewed.serial in served_certificate(proxied)
    assert seen.failures == []
    assert seen.websocket != "open"

    run = apply(proxied).succeeded()
    assert "closes websockets" not in run.text
    assert "stream_close_delay" in proxied.shell(f"cat {DIRECTORY}/config/Caddyfile")
    apply(proxied).unchanged()


def test_caddy_can_be_its_own_ca(proxied: Host) -> None:
    task = {"name": "Serve", "ansible.builtin.import_role": {"name": "toucan.selfhosted.toucan_proxy"}}
    tell = {"name": "Tell", "ansible.builtin.debug": {"var": "__toucan_proxy_result.internal_ca"}}
    variables = {**site_variables(), "toucan_proxy_tls": "internal"}
    run = proxied.play([task, tell], variables=variables).succeeded()
    root = f"{DIRECTORY}/data/caddy/pki/authorities/local/root.crt"
    assert f'"__toucan_proxy_result.internal_ca": "{root}"' in run.text or f"__toucan_proxy_result.internal_ca: {root}" in run.text

    assert proxied.shell(f"ls {DIRECTORY}/config").split() == ["Caddyfile"]
    with pytest.raises(AssertionError, match="unable to get local issuer certificate|self-signed"):
        serves(proxied)
    certificate = proxied.shell(f"cat {root}").encode()
    for name, path in ((FRONTEND, "/tucana-version.txt"), (BACKEND, "/")):
        assert "v101.1.0" in curl(proxied, f"-f --cacert /dev/stdin https://{name}{path}", certificate)
    versions_need_the_root(proxied, root)

    proxied.play([task, tell], variables=variables).unchanged()
    before = proxied.containers()
    apply(proxied).succeeded()
    assert proxied.containers() == before
    assert serves(proxied)


def versions_need_the_root(host: Host, root: str) -> None:
    """`toucan_version` asks the proxy where it is given the root of Caddy's CA, and says why it could not where it is not."""

    def ask(**options: str) -> list[dict[str, Any]]:
        claims = {"source": "url" if options else "state", "version": "v101.1.0"}
        that = [f"told.{part}.{name} == '{value}'" for part in ("frontend", "backend") for name, value in claims.items()]
        that += [f"told.{part}.error is not defined" if options else f"'certificate' in told.{part}.error" for part in ("frontend", "backend")]
        version = {"name": "Ask", "toucan.selfhosted.toucan_version": options, "register": "told"}
        return [version, {"name": "Compare", "ansible.builtin.assert": {"that": that}}]

    # The lab's names lead to another host.
    names = {"path": "/etc/hosts", "line": f"127.0.0.1 {FRONTEND} {BACKEND}", "insertbefore": "BOF", "unsafe_writes": True}
    name_it, forget_it = ({"name": "Name", "ansible.builtin.lineinfile": {**names, "state": state}} for state in ("present", "absent"))
    host.play([{"name": "Ask", "block": [name_it, *ask(), *ask(ca_path=root)], "always": [forget_it]}]).succeeded()


def test_a_pinned_image_is_kept(proxied: Host) -> None:
    apply(proxied).succeeded()
    image = proxied.shell(f"docker inspect -f '{{{{.Config.Image}}}}' {CONTAINER}").strip()
    assert "@sha256:" in image
    apply(proxied, toucan_proxy_image=image).unchanged()
    run = apply(proxied, "--check", "--diff", toucan_proxy_image=f"{image.partition('@')[0]}@sha256:{'0' * 64}").succeeded()
    assert f"@sha256:{'0' * 64}" in run.text


def test_a_compose_file_without_its_service_is_written_anew(proxied: Host) -> None:
    before = proxied.shell(f"cat {DIRECTORY}/compose.yaml")
    containers = proxied.containers()
    proxied.shell(f"cat > {DIRECTORY}/compose.yaml", b"services: {}\n")
    assert apply(proxied).succeeded().recap["changed"] == 1
    assert proxied.shell(f"cat {DIRECTORY}/compose.yaml") == before
    assert proxied.containers() == containers
    assert serves(proxied)


def test_a_backend_without_its_inner_nginx_is_reached_at_its_own_port(proxied: Host) -> None:
    def deploy(**variables: Any) -> Run:
        roles = [{"name": role, "ansible.builtin.import_role": {"name": f"toucan.selfhosted.{role}"}} for role in ("toucan_stack", "toucan_proxy")]
        return proxied.play(roles, variables={**site_variables(), **variables}).succeeded()

    try:
        deploy(toucan_stack_env={"TOUCAN_NGINX_SUPERVISOR": False})
        assert "backend:5000" in proxied.shell(f"cat {DIRECTORY}/config/Caddyfile")
        assert serves(proxied)
    finally:
        deploy()
    assert "backend:80" in proxied.shell(f"cat {DIRECTORY}/config/Caddyfile")
    assert serves(proxied)


def test_another_run_on_the_host_is_waited_for(proxied: Host, renewed: Certificate) -> None:
    before = picture(proxied)
    with held_lock(proxied):
        run = apply(proxied, toucan_proxy_lock_timeout=1, **renewed.variables)
    run.refused("toucan_proxy cannot run beside another run on this host, which did not end within 1 s; wait until it has ended")
    assert picture(proxied) == before
    apply(proxied).succeeded()


# -- Bad input ------------------------------------------------------------------------------------------------------------


#: What is wrong, the options that make it so, the words of the sentence.
BAD_INPUT: dict[str, tuple[Callable[[], dict[str, Any]], list[str]]] = {
    "expired certificate": (lambda: lab_certificate("expired"), ["expired on 2025-01-01", "renew it"]),
    "certificate for another name": (
        lambda: lab_certificate("other-name"),
        [f"does not cover {FRONTEND}, {BACKEND}, only elsewhere.lab.test", "have it issued for these names, or correct the URLs"],
    ),
    "key that fits none": (lambda: lab_certificate("product", lab_facts()["lab_stray_key"]), ["fits no certificate", "give the key that the certificate"]),
    "certificate of a CA that nobody trusts": (
        lambda: lab_certificate("untrusted"),
        [
            "does not trust the given certificate: unable to get local issuer certificate",
            "give the CA that signed it as `toucan_ca_file` and run role `toucan_host`",
        ],
    ),
    "no certificate": (
        lambda: {"toucan_proxy_certificate": ""},
        ["TLS mode `given` has no certificate", "set `toucan_proxy_certificate` or `toucan_proxy_certificate_file`, or `toucan_proxy_tls: internal`"],
    ),
    "no key": (lambda: {"toucan_proxy_key": ""}, ["TLS mode `given` has no key", "set `toucan_proxy_key` or `toucan_proxy_key_file`"]),
    "missing file": (
        lambda: {"toucan_proxy_certificate": "", "toucan_proxy_certificate_file": "/etc/nowhere.pem"},
        ["There is no file /etc/nowhere.pem on this host", "copy it there, or correct `toucan_proxy_certificate_file`"],
    ),
    "text that is no certificate": (
        lambda: {"toucan_proxy_certificate": "toucan.pem"},
        ["`toucan_proxy_certificate` holds no certificate in PEM form", "BEGIN CERTIFICATE"],
    ),
    "certificate twice": (
        lambda: {"toucan_proxy_certificate_file": "/etc/other.pem"},
        ["parameters are mutually exclusive: certificate|certificate_file"],
    ),
    "name that does not resolve": (
        lambda: {"toucan_proxy_tls": "internal", "toucan_proxy_frontend_url": "https://nowhere.lab.test"},
        ["The public name nowhere.lab.test does not resolve on this host", "set `toucan_proxy_require_dns: false`"],
    ),
    "URL with a path": (
        lambda: {"toucan_proxy_backend_url": f"https://{BACKEND}/api"},
        [f"https://{BACKEND}/api has a path, which this proxy does not serve", "a host name each"],
    ),
    "URL without TLS": (lambda: {"toucan_proxy_frontend_url": f"http://{FRONTEND}"}, ["is no https URL with a host name", "as `https://"]),
    "no URL": (lambda: {"toucan_proxy_frontend_url": ""}, ["`` is no https URL with a host name", "write `toucan_frontend_url`"]),
    "host name that would be Caddy's syntax": (
        lambda: {"toucan_proxy_tls": "internal", "toucan_proxy_frontend_url": "https://app{.lab.test"},
        ["`https://app{.lab.test` is no https URL with a host name"],
    ),
    "URL with a port that is none": (lambda: {"toucan_proxy_frontend_url": f"https://{FRONTEND}:https"}, ["is no URL", "write it as"]),
    "URL of another port": (
        lambda: {"toucan_proxy_frontend_url": f"https://{FRONTEND}:8443"},
        ["has port 8443, but the proxy publishes 443", "make the URL and `toucan_proxy_https_port` agree"],
    ),
    "one host name for both": (
        lambda: {"toucan_proxy_backend_url": f"https://{FRONTEND}"},
        [f"Frontend and backend share the host name {FRONTEND}", "give each a host name of its own"],
    ),
    "one port for both": (lambda: {"toucan_proxy_http_port": 443}, ["HTTP and HTTPS share port 443", "a port each"]),
    "upstream that would be Caddy's syntax": (
        lambda: {"toucan_proxy_frontend_upstreams": ["bad upstream"]},
        [f"`bad upstream`, which is to stand behind https://{FRONTEND}, is no address", "write it as `host:port`"],
    ),
    "user by name": (lambda: {"toucan_proxy_user": "caddy"}, ["`caddy` names no user and group by number", "as `1000:1000`"]),
    "name to listen on": (lambda: {"toucan_proxy_bind_address": "localhost"}, ["`localhost` is no IP address", "write `toucan_proxy_bind_address` as"]),
    "address of another host": (
        lambda: {"toucan_proxy_bind_address": "192.0.2.1"},
        ["This host cannot listen on 192.0.2.1: Cannot assign requested address", "set `toucan_proxy_bind_address` to an address of this host"],
    ),
    "image reference with a blank": (lambda: {"toucan_proxy_image": "caddy 2"}, ["`caddy 2` is no image reference"]),
    "image that the registry does not have": (
        lambda: {"toucan_proxy_image": f"{lab_facts()['lab_registry']}/lab/caddy:9.9"},
        ["has no image", "/lab/caddy:9.9", "`toucan_proxy_image`"],
    ),
    "image of something else": (
        lambda: {"toucan_proxy_image": lab_facts()["lab_service_images"]["redis"]},
        ["/lab/redis:8 does not run `caddy version`", "set `toucan_proxy_image` to an image of Caddy 2"],
    ),
    "registry that does not let in": (
        lambda: {
            "toucan_proxy_image": lab_facts()["lab_service_images"]["caddy-2.6"],
            "toucan_proxy_registry": {"name": lab_facts()["lab_registry"], "username": "nobody", "password": "wrong"},
        },
        ["refuses user nobody", "correct `toucan_registry.username` and `toucan_registry.password`"],
    ),
}


@pytest.fixture(scope="module")
def refusals(proxied: Host, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the role said to each bad input, in one play; nothing of what is live changed."""
    answers = tmp_path_factory.mktemp("refusals") / "said.json"
    tasks: list[dict[str, Any]] = []
    for wrong, (options, dummy) in BAD_INPUT.items():
        role = {"name": wrong, "ansible.builtin.include_role": {"name": "toucan.selfhosted.toucan_proxy"}}
        said = "{{ said | default({}) | combine({wrong: ansible_failed_result.msg}) }}"
        keep = {"name": "Keep what it said", "ansible.builtin.set_fact": {"said": said}, "vars": {"wrong": wrong}}
        tasks.append({"name": wrong, "vars": {**site_variables(), **options()}, "block": [role], "rescue": [keep]})
    copy = {"content": "{{ said | default({}) | to_json }}", "dest": str(answers), "mode": "0600"}
    tasks.append({"name": "Tell", "ansible.builtin.copy": copy, "delegate_to": "localhost"})
    before = picture(proxied)
    run = proxied.play(tasks).succeeded()
    assert "Traceback" not in run.output
    assert picture(proxied) == before
    assert serves(proxied)
    return json.loads(answers.read_text(encoding="utf-8"))


@pytest.mark.parametrize("wrong", BAD_INPUT)
def test_bad_input_is_refused_before_anything_changes(refusals: dict[str, str], wrong: str) -> None:
    dummy, words = BAD_INPUT[wrong]
    assert [word for word in words if word not in refusals[wrong]] == [], refusals[wrong]


def test_an_empty_image_is_refused(proxied: Host) -> None:
    """One without any program, which the engine cannot even start."""
    lab = lab_facts()
    image = f"{lab['lab_registry']}/scratch/empty:1"
    login = f"docker login --username {lab['lab_registry_username']} --password-stdin {lab['lab_registry']}"
    proxied.shell(f"{login} && tar --create --files-from /dev/null | docker import - {image} && docker push {image}; docker logout {lab['lab_registry']}",
                  lab["lab_registry_password"].encode())
    before = picture(proxied)
    apply(proxied, toucan_proxy_image=image).refused("/scratch/empty:1 does not run `caddy version`", "set `toucan_proxy_image` to an image of Caddy 2")
    assert picture(proxied) == before


def test_a_name_that_does_not_resolve_can_be_allowed(proxied: Host) -> None:
    variables = {"toucan_proxy_tls": "internal", "toucan_proxy_frontend_url": "https://nowhere.lab.test", "toucan_proxy_require_dns": False}
    run = apply(proxied, "--check", "--diff", **variables).succeeded()
    assert "+ https://nowhere.lab.test {" in run.text


def test_a_taken_port_is_told_with_the_program_that_listens(proxied: Host) -> None:
    proxied.shell("systemd-run --quiet --unit proxy-test-listener python3 -m http.server 8180")
    try:
        proxied.shell("until ss -tln | grep -q :8180; do sleep 0.1; done")
        before = picture(proxied)
        apply(proxied, toucan_proxy_http_port=8180).refused("Port 8180 is taken by python3 (process ", "stop that program, or set `toucan_proxy_http_port`")
        assert picture(proxied) == before
    finally:
        proxied.shell("systemctl stop proxy-test-listener")


def test_another_program_may_have_the_ports_on_another_address(proxied: Host) -> None:
    alone = {"toucan_proxy_bind_address": proxied.address}
    apply(proxied, **alone).succeeded()
    proxied.shell("systemd-run --quiet --unit proxy-test-neighbour python3 -m http.server --bind 127.0.0.2 443")
    try:
        proxied.shell("until ss -tln | grep -q 127.0.0.2:443; do sleep 0.1; done")
        apply(proxied, **alone).unchanged()
        before = picture(proxied)
        apply(proxied).refused("Port 443 is taken by python3 (process ", "which listens on 127.0.0.2", "or `toucan_proxy_bind_address` to an address")
        assert picture(proxied) == before
        assert serves(proxied)
    finally:
        proxied.shell("systemctl stop proxy-test-neighbour")
    apply(proxied).succeeded()
    assert serves(proxied)


def test_a_plan_warns_of_a_certificate_that_nobody_trusts_or_that_ends_soon(proxied: Host) -> None:
    """A plan does not refuse it, because the CA may come to the host in the same run."""
    before = picture(proxied)
    run = apply(proxied, "--check", toucan_proxy_warn_days=10_000, **lab_certificate("untrusted")).succeeded()
    assert "This host does not trust the given certificate: unable to get local issuer certificate." in run.text
    assert "The certificate expires in 7" in run.text
    assert picture(proxied) == before


# -- Hardening ------------------------------------------------------------------------------------------------------------


def test_caddy_runs_without_privileges(proxied: Host) -> None:
    apply(proxied).succeeded()
    inspected = json.loads(proxied.shell(f"docker inspect {CONTAINER}"))[0]
    assert inspected["HostConfig"]["ReadonlyRootfs"] is True
    assert inspected["HostConfig"]["Privileged"] is False
    assert inspected["HostConfig"]["CapAdd"] in (["NET_BIND_SERVICE"], ["CAP_NET_BIND_SERVICE"])
    assert {mount["Destination"]: mount["RW"] for mount in inspected["Mounts"]} == {"/etc/caddy": False, "/data": True}

    status = dict(line.split(":\t", 1) for line in proxied.shell(f"cat /proc/{inspected['State']['Pid']}/status").splitlines() if ":\t" in line)
    assert set(status["Uid"].split() + status["Gid"].split()) == {"1000"}
    assert status["NoNewPrivs"] == "1"
    assert [int(status[kind], 16) & ~NET_BIND_SERVICE for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5


def test_only_root_and_caddy_reach_the_key(proxied: Host) -> None:
    listed = proxied.shell(f"cd {DIRECTORY} && stat -c '%n %a %u:%g' . config data config/key.pem config/certificate.pem config/Caddyfile loaded.json")
    assert listed.splitlines() == [
        *(". 750 0:0", "config 700 1000:1000", "data 700 1000:1000"),
        *("config/key.pem 400 1000:1000", "config/certificate.pem 444 1000:1000", "config/Caddyfile 444 1000:1000", "loaded.json 600 0:0"),
    ]
