# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An order through the whole engine: what is in use is replaced when the new certificates are there, or is in use again."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.compose import ComposeProject, to_yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container, Credentials
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.releases import parse_image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import caddyfile as caddy
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import engine as module
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import Acme
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.engine import GivenCertificate, ProxyEngine, ProxyRequest, fingerprint

from labrun.certificates import self_signed

IMAGE = "registry.test/caddy:2.11@sha256:" + "0f" * 32
HOSTS = ("app.test", "api.test")
CHAIN = self_signed("app.test", 30).certificate
GIVEN = {"Caddyfile": "with the given one", "certificate.pem": CHAIN, "key.pem": f"value-of-key\n{CHAIN}"}
TRANSITION = "/etc/caddy/transition/Caddyfile"
LIVE = "/etc/caddy/Caddyfile"


class Site:
    """A host whose Caddy serves a given certificate, and is asked to get others from an ACME server.

    :param gives: whether that server does, as soon as Caddy orders.
    """

    def __init__(self, folder: Path, gives: bool = True) -> None:
        self.folder = folder
        self.gives = gives
        self.certificate: Optional[GivenCertificate] = None
        self.reloads: list[str] = []
        self.held: list[str] = []  # what each of them has Caddy hold for the first host
        self.managing: list[bool] = []  # of each configuration on the way, whether Caddy manages certificates by it
        sites = tuple(caddy.Site(f"https://{host}", ("service:80",)) for host in HOSTS)
        owner = (os.getuid(), os.getgid())
        acme = Acme(directory_url="https://acme.test/dir")
        self.options = caddy.ProxyOptions("proxy", sites, False, 80, 443, "", str(folder), "toucan", owner, acme=acme)
        (folder / "config").mkdir()
        for name, content in GIVEN.items():
            (folder / "config" / name).write_text(content)
        self.record: Mapping[str, str] = {"files": fingerprint(GIVEN), "image": IMAGE, "version": "v2.11.2", "issuer": ""}
        (folder / "loaded.json").write_text(json.dumps(self.record))
        (folder / "compose.yaml").write_bytes(to_yaml(caddy.compose(self.options, IMAGE)))

    def engine(self) -> ProxyEngine:
        request = ProxyRequest(self.options, parse_image(IMAGE), Credentials(), self.certificate, None, False, start_timeout=0)
        return ProxyEngine(request, lambda: self, has_engine=True)  # type: ignore[arg-type,return-value]

    def run_all(self) -> list[str]:
        """Apply the whole plan; the IDs of its steps."""
        engine = self.engine()
        steps = engine.plan(engine.observe())
        for step in steps:
            engine.apply(step)
        return [step.id for step in steps if not step.id.startswith("folder:")]

    def live(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.folder / "config").iterdir()}

    def loaded(self) -> dict[str, Any]:
        return json.loads((self.folder / "loaded.json").read_text())

    # -- the engine of Docker ---------------------------------------------------------------------------------------------------

    def containers(self, dummy: str) -> list[Container]:
        return [Container("id1", "caddy", IMAGE, "sha256:1d", "running", 0, 0, "2026-11-23T12:00:00Z", "aa11")]

    def image_id(self, dummy: str) -> str:
        return "sha256:1d"

    def network_exists(self, dummy: str) -> bool:
        return True

    def run_once(self, *dummy: Any) -> tuple[int, str]:
        return 0, "Valid configuration"

    def run(self, dummy: str, argv: Sequence[str]) -> tuple[int, str]:
        config = argv[argv.index("--config") + 1]
        self.reloads.append(config)
        if config == TRANSITION:
            # A run that is killed here must not leave the impression that Caddy runs what is live.
            assert self.loaded()["files"] == ""
            self.held.extend(path.read_text() for path in (self.folder / "config" / "transition").glob(f"{HOSTS[0]}.pem"))
            self.managing.append("disable_certs" not in (self.folder / "config" / "transition" / "Caddyfile").read_text())
            if self.gives and self.managing[-1]:
                self.give("acme.test-dir")
        return 0, ""

    def log_tail(self, dummy: str, lines: int) -> tuple[str, ...]:
        error = "HTTP 400 urn:ietf:params:acme:error:dns - NXDOMAIN"
        return (json.dumps({"level": "error", "ts": time.time(), "logger": "tls.obtain", "msg": "will retry", "error": error, "retrying_in": 60}),)

    def give(self, issuer: str) -> None:
        """Put certificates where Caddy keeps those of an ACME server."""
        for host in HOSTS:
            pair = self_signed(host, 60)
            place = self.folder / "data" / "caddy" / "certificates" / issuer / host
            place.mkdir(parents=True)
            for kind, content in (("crt", pair.certificate), ("key", pair.key), ("json", "{}")):
                (place / f"{host}.{kind}").write_text(content)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything around Caddy is as it should be."""
    monkeypatch.setattr(ComposeProject, "hashes", lambda self, definition: {"caddy": "aa11"})
    for name in ("refuse_taken_ports", "refuse_no_acme_directory"):
        monkeypatch.setattr(module, name, lambda *dummy, **named: None)
    monkeypatch.setattr(module, "handshake_fault", lambda *dummy: "")


def test_the_new_certificates_are_there_before_the_given_one_goes(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.run_all() == ["certificate.order:proxy", "config.replace:proxy", "config.reload:proxy"]
    assert site.reloads == [TRANSITION, TRANSITION, LIVE]
    assert site.held == [f"value-of-key\n{CHAIN}{CHAIN}"] * 2
    assert site.live().keys() == {"Caddyfile"}
    assert site.loaded()["issuer"] == "acme.test-dir"
    assert site.run_all() == []


def test_a_given_certificate_is_written_as_caddy_loads_it(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.options, site.certificate = replace(site.options, acme=None), GivenCertificate(CHAIN, "value-of-other-key\n", None)
    site.run_all()
    assert site.reloads == [LIVE]
    assert site.live()["key.pem"] == f"value-of-other-key\n{CHAIN}"
    assert site.run_all() == []


def test_an_order_that_fails_is_undone(tmp_path: Path) -> None:
    site = Site(tmp_path, gives=False)
    with pytest.raises(Failure, match="Caddy got no certificate for app.test and api.test from https://acme.test/dir, because .* finds no address"):
        site.run_all()
    assert site.reloads == [TRANSITION, TRANSITION, TRANSITION, LIVE]
    assert site.managing == [False, True, False]
    assert site.live() == GIVEN
    assert site.loaded() == site.record


def test_an_order_that_failed_before_is_tried_again_at_once(tmp_path: Path) -> None:
    """Caddy is made to let go first, because it orders nothing for a name whose certificate it has in memory alone."""
    site = Site(tmp_path)
    site.run_all()
    shutil.rmtree(tmp_path / "data")
    site.gives, site.reloads = False, []
    with pytest.raises(Failure, match="Caddy got no certificate"):
        site.run_all()
    assert site.reloads == [TRANSITION, LIVE]
    assert site.live().keys() == {"Caddyfile"}
    assert site.loaded()["files"] == fingerprint(site.live())


def test_certificates_that_nobody_trusts_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "handshake_fault", lambda *dummy: "unable to get local issuer certificate")
    site = Site(tmp_path)
    sentence = "does not trust the certificates of https://acme.test/dir: unable to get local issuer certificate; add the root of that CA to `toucan_ca_file`"
    for reloads in ([TRANSITION, TRANSITION, TRANSITION, LIVE], []):  # the second time they are there already
        site.reloads = []
        with pytest.raises(Failure, match=sentence):
            site.run_all()
        assert site.reloads == reloads
        assert site.live() == GIVEN
        assert site.loaded() == site.record


def test_caddy_lets_go_of_another_servers_certificates_though_there_is_nothing_to_order(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.give("other-dir")
    site.give("acme.test-dir")
    (tmp_path / "loaded.json").write_text(json.dumps({**site.record, "issuer": "other-dir"}))
    assert site.run_all() == ["config.replace:proxy", "config.reload:proxy"]
    assert site.reloads == ["/etc/caddy/transition/Caddyfile", LIVE]
    assert site.live().keys() == {"Caddyfile"}


def test_a_certificate_that_caddy_does_not_renew_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path)
    site.run_all()
    monkeypatch.setattr(module, "_RENEWED_BEFORE", 0.9)
    engine = site.engine()
    result = engine.report(engine.observe(), applied=False)
    assert result["certificate"]["issuer"] in {f"CN={host}" for host in HOSTS}
    assert result["warnings"] == [f"Caddy should have renewed the certificate for {host}, which ends in 59 days; see its log." for host in HOSTS]
