# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role `toucan_proxy` with certificates from an ACME server: pebble, once open to everybody and once for accounts known elsewhere.

The tests share one host, and each leaves it serving. They run in the order of this file, so that few certificates are ordered.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from labrun.certificates import self_signed
from labrun.hosts import CONTAINERS, LAB, Host, Run, fresh_host, lab_command, lab_facts, site_variables, user_shell
from labrun.user import present_user

FRONTEND = "app.host11.lab.test"
BACKEND = "api.host11.lab.test"
DIRECTORY = "/var/lib/toucan/proxy"
CONTAINER = "toucan-proxy-caddy-1"
#: Where role `toucan_host` puts `toucan_ca_file` on Debian.
CA_ON_HOST = "/usr/local/share/ca-certificates/toucan.crt"
#: Of a user who trusts both servers' roots.
TRUST = "/tmp/acme-test-roots.pem"
#: Where Caddy keeps what the open server gave.
ISSUED = f"{DIRECTORY}/data/caddy/certificates/pebble.lab.test-14000-dir"
ACCOUNT = f"{DIRECTORY}/data/caddy/acme/pebble.lab.test-14000-dir/users/it@lab.test"


def pebble() -> dict[str, Any]:
    """What `lab.py` says of the two servers."""
    return lab_facts()["lab_pebble"]


def server(bound: bool = False) -> dict[str, Any]:
    """The role's variables for the open server, or for the one that wants an external account."""
    if bound:
        return {"toucan_proxy_acme_directory_url": pebble()["bound_directory_url"], "toucan_proxy_acme_eab": pebble()["eab"]}
    return {"toucan_proxy_acme_directory_url": pebble()["directory_url"]}


def variables(trusted: Path) -> dict[str, Any]:
    """An inventory's variables for a product on a host of its own names, with certificates of the open server."""
    return {
        **site_variables(),
        **server(),
        "toucan_frontend_url": f"https://{FRONTEND}",
        "toucan_backend_url": f"https://{BACKEND}",
        "toucan_ca_file": str(trusted),
        "toucan_proxy_tls": "acme",
        "toucan_proxy_acme_email": "it@lab.test",
        "toucan_proxy_acme_ca_file": CA_ON_HOST,
    }


class Site:
    """The host, the run that deployed it, and how to run the role again."""

    def __init__(self, host: Host, trusted: Path) -> None:
        self.host = host
        self.variables = variables(trusted)
        self.first = host.site(**self.variables).succeeded()

    def apply(self, *arguments: str, **changes: Any) -> Run:
        return self.host.role("toucan_proxy", *arguments, variables={**self.variables, **changes})

    def picture(self) -> str:
        """What is live: containers, Caddy's configuration with owner, mode and content, what it took."""
        files = f"find {DIRECTORY}/config {DIRECTORY}/compose.yaml {DIRECTORY}/loaded.json -type f"
        return self.host.shell(f"{CONTAINERS}; {files} -printf '%p %m %U %G\\n' | sort; {files} -exec sha256sum {{}} + | sort")

    def served(self) -> dict[str, str]:
        """Issuer and serial number by name, as a user gets them."""
        show = f"openssl s_client -connect {self.host.address}:443 -servername {{}} </dev/null 2>/dev/null | openssl x509 -noout -issuer -serial"
        return {name: user_shell(show.format(name)) for name in (FRONTEND, BACKEND)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Host11 just made, with the lab's product and certificates of the open server."""
    lab_command("pebble")
    roots = "".join(Path(pebble()[name]).read_text(encoding="utf-8") for name in ("ca_file", "root_file", "bound_root_file"))
    trusted = tmp_path_factory.mktemp("acme") / "roots.pem"
    trusted.write_text(roots, encoding="utf-8")
    user_shell(f"cat > {TRUST}", roots.encode())
    return Site(fresh_host("host11"), trusted)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The role's variables for a certificate of the lab's CA."""
    folder, authority = tmp_path_factory.mktemp("given"), LAB / "pki" / "ca.crt"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90"),
            *("-subj", f"/CN={FRONTEND}", "-addext", f"subjectAltName=DNS:{FRONTEND},DNS:{BACKEND}", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-CA", authority, "-CAkey", authority.with_suffix(".key"), "-keyout", folder / "key.pem", "-out", folder / "chain.pem"),
        ],
        capture_output=True,
        check=True,
    )
    return {
        "toucan_proxy_tls": "given",
        "toucan_proxy_certificate": (folder / "chain.pem").read_text(encoding="utf-8"),
        "toucan_proxy_key": (folder / "key.pem").read_text(encoding="utf-8"),
    }


@contextmanager
def unreachable(host: Host) -> Iterator[None]:
    """The ACME server cannot come to the host's port 80 while the block runs."""
    rule = f"DOCKER-USER -s {pebble()['ip']} -p tcp --dport 8080 -j REJECT --reject-with tcp-reset"
    host.shell(f"iptables -I {rule}")
    try:
        yield
    finally:
        host.shell(f"iptables -D {rule}")


def test_site_gets_certificates_and_says_from_whom(site: Site) -> None:
    assert "order certificate for app.host11.lab.test and api.host11.lab.test" in site.first.text
    assert re.search(r"Certificate +by CN=Pebble Intermediate CA \w+, ends in \d+ days, on 20\d\d-", site.first.text)
    assert all("Pebble Intermediate CA" in certificate for certificate in site.served().values())


def test_certificates_outlive_runs_and_containers(site: Site) -> None:
    before = site.served()
    site.apply().unchanged()
    site.host.shell(f"docker rm --force {CONTAINER}")
    run = site.apply("-v").succeeded()
    assert "service.create:proxy" in run.text
    assert "certificate.order" not in run.text
    assert site.served() == before


def test_users_notice_no_change_of_the_certificates_source(site: Site, given: dict[str, str]) -> None:
    """From one ACME server to a given certificate, to another server, and back to the first, whose certificate is still there.

    Some have a connection before a reload and begin with TLS after it.
    """
    first = site.served()
    with present_user(site.host, FRONTEND, BACKEND, TRUST, slowness=0.3) as seen:
        site.apply(**given).succeeded()
        assert all("Toucan lab CA" in certificate for certificate in site.served().values())
        planned = site.apply("--check", "--diff", **server(bound=True)).succeeded()
        site.apply("--diff", "-vvv", toucan_proxy_acme_challenge="tls-alpn-01", **server(bound=True)).succeeded()
        second = site.served()
        run = site.apply("-v").succeeded()
    assert "pebble.lab.test:14001" in planned.text
    assert not set(first.values()) & set(second.values())
    assert all("Pebble Intermediate CA" in certificate for certificate in second.values())
    assert "certificate.order" not in run.text
    assert site.served() == first
    assert (seen.failures, seen.websocket) == ([], "open")
    assert seen.answers > 10
    site.apply().unchanged()


def test_an_order_that_fails_leaves_the_certificate_in_use(site: Site, given: dict[str, str]) -> None:
    """Here the order is one for new certificates in the place of those that the server gave once and that have expired."""
    site.apply(**given).succeeded()
    for name in (FRONTEND, BACKEND):  # as after months with the given one
        for kind, content in zip(("crt", "key"), self_signed(name, days=-30)):
            site.host.shell(f"cat > {ISSUED}/{name}/{name}.{kind}", content.encode())
    before, served = site.picture(), site.served()
    with present_user(site.host, FRONTEND, BACKEND, TRUST) as seen, unreachable(site.host):
        site.apply(toucan_proxy_acme_ca_file="").refused("because Caddy does not trust the certificate of the ACME server", "`toucan_proxy_acme_ca_file`")
        site.apply(toucan_proxy_acme_challenge="http-01").refused(
            f"Caddy got no certificate for {FRONTEND} and {BACKEND} from https://pebble.lab.test:14000/dir, because the ACME server does not reach this host",
            "let it reach port 80 for http-01",
            "Last log lines:",
            "challenge failed",
        )
        assert site.served() == served
    assert site.picture() == before
    assert (seen.failures, seen.websocket) == ([], "open")
    site.apply(**given).unchanged()
    site.apply(toucan_proxy_acme_challenge="http-01").succeeded()
    assert all("Pebble Intermediate CA" in certificate for certificate in site.served().values())
    site.apply().succeeded()


def test_an_account_can_be_brought_along_and_its_key_is_never_shown(site: Site) -> None:
    """The account that Caddy made stands for one that the company has; a key that the server does not know is told."""
    key, account = site.host.shell(f"cat {ACCOUNT}/it.key"), json.loads(site.host.shell(f"cat {ACCOUNT}/it.json"))["location"]
    site.host.shell(f"rm -r {ISSUED} {ACCOUNT}")
    stray = Path(lab_facts()["lab_stray_key"]).read_text(encoding="utf-8")
    runs = [
        site.apply("--diff", "-vvv", toucan_proxy_acme_account_key=stray, toucan_proxy_start_timeout=20).refused(
            "because the ACME server knows no account of that key", "register it first, or leave `toucan_proxy_acme_account_key` unset"
        ),
        site.apply("--diff", "-vvv", toucan_proxy_acme_account_key=key).succeeded(),
        site.apply("--diff", "-vvv", toucan_proxy_acme_account_key=key).unchanged(),
    ]
    assert json.loads(site.host.shell(f"cat {ACCOUNT}/it.json"))["location"] == account
    secrets = [key.splitlines()[1], stray.splitlines()[1], pebble()["eab"]["mac_key"]]
    assert [secret for secret in secrets for run in runs if secret in run.output] == []
    shown = site.host.shell(f"cat {DIRECTORY}/compose.yaml; docker inspect {CONTAINER}; docker logs {CONTAINER} 2>&1; cat /etc/toucan/stack.json")
    assert [secret for secret in secrets if secret in shown] == []
    listed = site.host.shell(f"cd {DIRECTORY}/config && stat -c '%n %a %u' acme-account.key caddy.json Caddyfile")
    assert listed.splitlines() == ["acme-account.key 400 1000", "caddy.json 400 1000", "Caddyfile 444 1000"]
    site.apply().succeeded()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"toucan_proxy_acme_directory_url": "https://pebble.lab.test:14000/"}, ("is no ACME directory: status", "often with a path such as `/directory`")),
        ({"toucan_proxy_acme_ca_file": "/etc/hostname"}, ("/etc/hostname holds no certificate in PEM form",)),
    ],
)
def test_what_cannot_work_is_refused_before_anything_changes(site: Site, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    before = site.picture()
    site.host.shell(f"mv {ISSUED} {ISSUED}.away")
    try:
        site.apply(**changes).refused(*words)
    finally:
        site.host.shell(f"mv {ISSUED}.away {ISSUED}")
    assert site.picture() == before


def test_a_server_that_wants_an_external_account_says_so(site: Site) -> None:
    site.host.shell(f"rm -rf {DIRECTORY}/data/caddy/*/pebble.lab.test-14001-dir")
    before, served = site.picture(), site.served()
    site.apply(toucan_proxy_acme_directory_url=pebble()["bound_directory_url"]).refused(
        "because the ACME server refuses the external account binding, or misses one", "correct `toucan_proxy_acme_eab`"
    )
    assert (site.picture(), site.served()) == (before, served)


def test_a_ca_that_the_host_does_not_trust_is_refused_unless_named(site: Site) -> None:
    """As with the staging server of Let's Encrypt: what it gives is not for users."""
    site.host.shell(f"rm -rf {DIRECTORY}/data/caddy/certificates/pebble.lab.test-14001-dir; cp {CA_ON_HOST} /root/roots.pem")
    before, served = site.picture(), site.served()
    lab_ca = Path(pebble()["ca_file"]).read_bytes()
    site.host.shell("cat > /root/lab.pem", lab_ca)
    untrusted = {**server(bound=True), "toucan_proxy_acme_root_file": "/root/lab.pem"}
    site.apply(**untrusted).refused(
        f"This host does not trust the certificates of {pebble()['bound_directory_url']}: unable to get local issuer certificate",
        "add the root of that CA to `toucan_ca_file`",
        "name its file as `toucan_proxy_acme_root_file`",
    )
    assert (site.picture(), site.served()) == (before, served)
    site.apply(**{**untrusted, "toucan_proxy_acme_root_file": "/root/roots.pem"}).succeeded()
    assert site.served() != served
