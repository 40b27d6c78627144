# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caddy's own certificates are found where it keeps them, and waited for no longer than makes sense."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import issued
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import Acme
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.issued import IssuedCertificates, Pair, await_certificates, held_chain

from labrun.certificates import self_signed

SERVER = Acme(directory_url="https://acme.test/dir")
FOLDER = "acme.test-dir"
REFUSED = "HTTP 400 urn:ietf:params:acme:error:dns - NXDOMAIN"


def keep(folder: Path, host: str, *kinds: str, days: float = 60) -> Pair:
    """Put parts of a certificate where Caddy would; all of them if none is named."""
    pair = self_signed(host.encode("idna").decode(), days)
    place = folder / "caddy" / "certificates" / FOLDER / host
    place.mkdir(parents=True, exist_ok=True)
    content = {"crt": pair.certificate, "key": pair.key, "json": "{}"}
    for kind in kinds or content:
        (place / f"{host}.{kind}").write_text(content[kind])
    return Pair(*pair)


def log(retrying_in: float) -> Callable[[], list[str]]:
    """A log with an attempt that failed just now."""
    entry = {"level": "error", "ts": time.time(), "logger": "tls.obtain", "msg": "will retry", "error": REFUSED, "retrying_in": retrying_in}
    return lambda: [json.dumps(entry)]


def test_a_certificate_is_there_when_all_of_it_is(tmp_path: Path) -> None:
    found = IssuedCertificates(str(tmp_path))
    kept = keep(tmp_path, "app.test")
    keep(tmp_path, "api.test", "crt", "key")
    assert found.has(FOLDER, "app.test")
    assert not found.has("other", "app.test")
    assert found.missing(FOLDER, ["app.test", "api.test", "new.test"]) == ("api.test", "new.test")
    assert found.read(FOLDER, "app.test") == kept


@pytest.mark.parametrize("days, missing", [(-0.001, True), (-30, True), (0.001, False)])
def test_a_certificate_that_has_expired_is_as_good_as_none(days: float, missing: bool, tmp_path: Path) -> None:
    keep(tmp_path, "app.test", days=days)
    assert bool(IssuedCertificates(str(tmp_path)).missing(FOLDER, ["app.test"])) is missing


def test_a_name_of_other_letters_is_found_by_its_ascii_form(tmp_path: Path) -> None:
    keep(tmp_path, "xn--bro-hoa.test")
    assert IssuedCertificates(str(tmp_path)).has(FOLDER, "büro.test")


def test_a_certificate_that_vanished_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"Caddy's certificate for app.test is gone: there is no file .*app.test.crt; run again"):
        IssuedCertificates(str(tmp_path)).read(FOLDER, "app.test")


def test_what_is_there_is_not_waited_for(tmp_path: Path) -> None:
    keep(tmp_path, "app.test")
    await_certificates(SERVER, IssuedCertificates(str(tmp_path)), ["app.test"], list, since=time.time(), timeout=0)


def test_what_comes_later_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issued, "_INTERVAL", 0.01)
    since, asked = time.time(), list[float]()

    def slow_log() -> list[str]:
        asked.append(time.time())
        if len(asked) == 3:
            keep(tmp_path, "app.test")
        return log(0.1)()  # an attempt that failed, and that Caddy repeats in time

    await_certificates(SERVER, IssuedCertificates(str(tmp_path)), ["app.test"], slow_log, since=since, timeout=5)
    assert len(asked) == 3


def test_an_order_whose_next_attempt_comes_too_late_fails_at_once(tmp_path: Path) -> None:
    keep(tmp_path, "app.test")
    began = time.time()
    with pytest.raises(Failure) as failure:
        await_certificates(SERVER, IssuedCertificates(str(tmp_path)), ["app.test", "api.test"], log(60), since=began, timeout=30)
    assert time.time() - began < 5
    sentence = str(failure.value)
    assert sentence.startswith(
        "Caddy got no certificate for api.test from https://acme.test/dir, because the ACME server finds no address of the name:"
        f" {REFUSED}; create its public DNS record."
    )
    assert "will retry" in sentence.splitlines()[-1]


def test_a_failure_of_an_earlier_order_does_not_count(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"https://acme.test/dir gave Caddy no certificate for app.test in 0 s; see what Caddy logs"):
        await_certificates(SERVER, IssuedCertificates(str(tmp_path)), ["app.test"], log(600), since=time.time() + 60, timeout=0.1)


def test_a_held_chain_is_another_that_says_the_same() -> None:
    first, last = (f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n" for text in ("one", "two"))
    assert held_chain(first + last) == first + last + last
    assert held_chain(first.rstrip()) == first + first
