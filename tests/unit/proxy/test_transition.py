# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is served is held in configurations beside the live one, whose files no step on the way touches."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import caddyfile as caddy
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import Acme
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.installation import Installation, adapted, last_error
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.issued import IssuedCertificates, Pair
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.transition import Served, Transition

from labrun.certificates import self_signed

SERVER = Acme(directory_url="https://acme.test/dir", ca_pem="ca-text")
CERTIFICATE = self_signed("app.test", days=30)
RUNNING = Container("id1", "caddy", "caddy:2", "sha256:1d", "running", 0, 0, "2026-11-23T12:00:00Z", "aa11")
ADAPTED = json.dumps({"apps": {"tls": {"automation": {"policies": [{"issuers": [{"module": "acme"}]}]}}}})


class Caddy:
    """Stands for the engine with Caddy's container: keeps what was run in it, and the file that a reload took."""

    def __init__(self, folder: Path, refuses: str = "") -> None:
        self.folder = folder
        self.refuses = refuses
        self.ran: list[str] = []
        self.taken: list[str] = []

    def containers(self, dummy: str) -> list[Container]:
        return [RUNNING]

    def run(self, dummy: str, argv: Sequence[str]) -> tuple[int, str]:
        config = argv[argv.index("--config") + 1]
        self.ran.append(f"{argv[1]} {config}")
        if argv[1] == self.refuses:
            return 1, '{"level":"info"}\nError: no such issuer\n'
        if argv[1] == "adapt":
            return 0, f'{{"level":"warn"}}\n{ADAPTED}\n'
        self.taken.append((self.folder / "config" / config[len("/etc/caddy/") :]).read_text())
        return 0, ""


class Scene:
    """A transition in a folder of its own."""

    def __init__(self, folder: Path, acme: Acme = SERVER, issuer: str = "", refuses: str = "") -> None:
        self.folder = folder
        self.live = folder / "config"
        self.live.mkdir()
        (self.live / "Caddyfile").write_text("live")
        self.caddy = Caddy(folder, refuses)
        self.options = caddy.ProxyOptions(
            project="proxy",
            sites=(caddy.Site("https://app.test", ("frontend:80",)), caddy.Site("https://api.test", ("backend:80",))),
            internal_ca=False,
            http_port=80,
            https_port=443,
            bind_address="",
            directory=str(folder),
            network="toucan",
            owner=(os.getuid(), os.getgid()),
            acme=acme,
        )
        connect: Any = lambda: self.caddy  # noqa: E731
        served = Served(issuer, None if issuer else Pair(CERTIFICATE.certificate, CERTIFICATE.key), IssuedCertificates(str(folder / "data")))
        files = {"Caddyfile": "wanted", "acme-ca.pem": "ca-text", **({"acme-account.key": "value-of-key"} if acme.account_key_pem else {})}
        self.transition = Transition(Installation(self.options, connect), self.options, files, served, streams_survive=True)

    def files(self) -> dict[str, str]:
        """What stands in the folder of the transition."""
        return {path.name: path.read_text() for path in (self.live / "transition").iterdir()}


def test_caddy_first_lets_go_and_then_orders(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.transition.let_go()
    scene.transition.order()
    assert scene.caddy.ran == ["reload /etc/caddy/transition/Caddyfile"] * 2
    first, second = scene.caddy.taken
    for config in (first, second):
        assert "load /etc/caddy/transition/app.test.pem\n" in config
        assert "trusted_roots /etc/caddy/transition/acme-ca.pem" in config
    assert "auto_https disable_certs" in first
    assert "auto_https ignore_loaded_certs" in second
    assert scene.files()["acme-ca.pem"] == "ca-text"
    assert scene.files()["app.test.pem"].startswith(CERTIFICATE.key.rstrip())
    assert scene.files()["app.test.pem"].count("BEGIN CERTIFICATE") == 2
    assert (scene.live / "Caddyfile").read_text() == "live"
    scene.transition.end()
    scene.transition.end()  # as after a run that was killed
    assert [path.name for path in scene.live.iterdir()] == ["Caddyfile"]


def test_a_certificate_of_another_server_is_held_with_its_key(tmp_path: Path) -> None:
    place = tmp_path / "data" / "caddy" / "certificates" / "other-dir" / "app.test"
    place.mkdir(parents=True)
    for kind, content in {"crt": CERTIFICATE.certificate, "key": "value-of-key\n", "json": "{}"}.items():
        (place / f"app.test.{kind}").write_text(content)
    scene = Scene(tmp_path, issuer="other-dir")
    scene.transition.let_go()
    assert "load /etc/caddy/transition/app.test.pem\n" in scene.caddy.taken[0]
    assert scene.files()["app.test.pem"].startswith("value-of-key\n-----BEGIN CERTIFICATE-----")
    assert "api.test.pem" not in scene.caddy.taken[0]
    assert "api.test.pem" not in scene.files()


def test_an_account_key_goes_along(tmp_path: Path) -> None:
    scene = Scene(tmp_path, acme=replace(SERVER, account_key_pem="value-of-key"))
    scene.transition.order()
    assert scene.caddy.ran == ["adapt /etc/caddy/transition/Caddyfile", "reload /etc/caddy/transition/caddy.json"]
    assert '"account_key": "{file./etc/caddy/transition/acme-account.key}"' in scene.caddy.taken[0]
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (scene.live / "transition").iterdir()}
    assert (modes["acme-account.key"], modes["caddy.json"], modes["Caddyfile"], modes["app.test.pem"]) == ("0o400", "0o400", "0o444", "0o400")
    assert oct((scene.live / "transition").stat().st_mode & 0o777) == "0o700"


def test_a_refused_configuration_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Caddy did not take the new configuration: Error: no such issuer; it keeps serving with the former one"):
        Scene(tmp_path, refuses="reload").transition.let_go()


def test_a_caddyfile_that_cannot_be_adapted_is_told() -> None:
    with pytest.raises(Failure, match="Caddy does not understand its new configuration: Error: no such issuer; correct what it says"):
        adapted((1, "Error: no such issuer"), "/etc/caddy")


def test_a_container_that_vanished_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    monkeypatch.setattr(scene.caddy, "containers", lambda dummy: [])
    with pytest.raises(Failure, match="Caddy's container is gone; run again, which creates it"):
        scene.transition.let_go()


@pytest.mark.parametrize(
    "text, line",
    [("", "no output"), ("first\n\nlast\n", "last"), ('{"level":"info"}\nError: reason\nusage: caddy', "Error: reason")],
)
def test_of_caddys_output_the_error_is_told(text: str, line: str) -> None:
    assert last_error(text) == line
