# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a certificate or key is wrong has its sentence; what is right passes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import x509 as judged
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.x509 import (
    check_ca_bundle,
    check_names,
    check_server_certificate,
    covered_names,
    days_left,
    load_certificates,
    load_key,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
LABELS = st.from_regex(r"[a-z]([a-z0-9]{0,4}[a-z0-9])?", fullmatch=True)


class Pair(NamedTuple):
    """A certificate and its key, in PEM form."""

    certificate: Any
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def issue(name: str, names: Sequence[str] = (), issuer: Optional[Pair] = None, ca: Optional[bool] = None, start: int = -10, end: int = 80) -> Pair:
    """A pair of subject ``name``, valid from ``start`` to ``end`` days from ``NOW``; self-signed without ``issuer``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(255)
        .not_valid_before(NOW + timedelta(days=start))
        .not_valid_after(NOW + timedelta(days=end))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([general_name(item) for item in names]), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def general_name(text: str) -> Any:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


ROOT = issue("root", ca=True, end=3000)
MIDDLE = issue("middle", issuer=ROOT, ca=True, end=1000)
SERVER = issue("server", ["app.example.com", "*.apps.example.com", "10.0.0.1"], issuer=MIDDLE, ca=False)
STRANGER = issue("stranger", ["app.example.com"], ca=True)


def check(chain: Sequence[Pair], key: Pair, *names: str, now: datetime = NOW) -> Any:
    return check_server_certificate(b"".join(pair.pem for pair in chain), key.key_pem, names, now, "tls.crt", "tls.key")


def test_good_certificate_is_described() -> None:
    facts = check([SERVER, MIDDLE, ROOT], SERVER, "app.example.com", "10.0.0.1")
    assert facts == ("CN=server", "CN=middle", ("app.example.com", "*.apps.example.com", "10.0.0.1"), NOW + timedelta(days=80), 80)


def test_text_around_the_blocks_does_no_harm() -> None:
    noisy = b"subject=CN = server\r\n" + SERVER.pem.replace(b"\n", b"\r\n") + b"\nissuer\n" + MIDDLE.pem
    assert load_certificates(noisy, "x") == (SERVER.certificate, MIDDLE.certificate)


def test_one_file_may_hold_key_and_chain() -> None:
    both = SERVER.key_pem + SERVER.pem
    assert check_server_certificate(both, both, ["app.example.com"], NOW).days_left == 80


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_keys_that_openssl_writes(kind: str, tmp_path: Path) -> None:
    options = {"rsa": ["-newkey", "rsa:2048"], "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "ed25519": ["-newkey", "ed25519"]}[kind]
    names = ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:app.example.com"]
    command = ["openssl", "req", "-x509", "-nodes", *options, *names, "-keyout", tmp_path / "key", "-out", tmp_path / "crt", "-days", "9"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    facts = check_server_certificate((tmp_path / "crt").read_bytes(), (tmp_path / "key").read_bytes(), ["app.example.com"], datetime.now(timezone.utc))
    assert facts.days_left in (8, 9)


def test_traditional_key_is_read() -> None:
    assert load_key(SERVER.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()), "x").key_size == 256


def test_expired() -> None:
    with pytest.raises(Failure, match="^The certificate of CN=server in tls.crt expired on 2027-02-11 12:00 UTC; renew it.$"):
        check([SERVER, MIDDLE], SERVER, "app.example.com", now=NOW + timedelta(days=81))


def test_intermediate_expired() -> None:
    middle = issue("middle", issuer=ROOT, ca=True, end=-1)
    server = issue("server", ["a.b"], issuer=middle)
    with pytest.raises(Failure, match="The certificate of CN=middle in tls.crt expired on 2026-11-22 12:00 UTC"):
        check([server, middle], server, "a.b")


def test_not_yet_valid() -> None:
    with pytest.raises(Failure, match="of CN=server in tls.crt is valid only from 2026-11-13 12:00 UTC on; wait, or correct the clock of this host"):
        check([SERVER], SERVER, now=NOW - timedelta(days=11))


def test_exact_ends_are_valid() -> None:
    check([SERVER], SERVER, now=NOW + timedelta(days=80))
    check([SERVER], SERVER, now=NOW - timedelta(days=10))


def test_names_that_are_not_covered() -> None:
    with pytest.raises(
        Failure, match=r"does not cover api.example.com, 10.0.0.2, only app.example.com, \*.apps.example.com, 10.0.0.1; have it issued for these"
    ):
        check([SERVER], SERVER, "app.example.com", "api.example.com", "10.0.0.2")


def test_common_name_does_not_count() -> None:
    pair = issue("app.example.com")
    with pytest.raises(Failure, match="does not cover app.example.com, only no name at all"):
        check([pair], pair, "app.example.com")


@pytest.mark.parametrize(
    ("name", "covered"),
    [
        ("APP.example.com.", True),
        ("one.apps.example.com", True),
        ("apps.example.com", False),
        ("two.one.apps.example.com", False),
        (".apps.example.com", False),
        ("10.0.0.1", True),
        ("10.0.0.01", False),
        ("x" * 70 + ".apps.example.com", False),
    ],
)
def test_which_names_are_covered(name: str, covered: bool) -> None:
    if covered:
        check_names(SERVER.certificate, [name], "x")
    else:
        with pytest.raises(Failure, match="does not cover"):
            check_names(SERVER.certificate, [name], "x")


def test_international_name() -> None:
    check_names(issue("x", ["xn--caf-dma.example.com"]).certificate, ["Café.example.com"], "x")


def test_wildcard_stands_for_no_part_of_an_address() -> None:
    with pytest.raises(Failure, match="does not cover 10.0.0.1"):
        check_names(issue("x", ["*.0.0.1"]).certificate, ["10.0.0.1"], "x")


@given(st.lists(LABELS, min_size=2, max_size=4), st.lists(LABELS, min_size=1, max_size=4))
def test_wildcard_stands_for_one_label(parent: list[str], labels: list[str]) -> None:
    certificate = issue("x", ["*." + ".".join(parent)]).certificate
    name = ".".join([*labels, *parent])
    if len(labels) == 1:
        check_names(certificate, [name], "x")
    else:
        with pytest.raises(Failure):
            check_names(certificate, [name], "x")


def test_key_that_fits_none() -> None:
    with pytest.raises(Failure, match="The private key in tls.key fits no certificate in tls.crt; give the key that the certificate was requested with"):
        check([SERVER, MIDDLE], STRANGER)


def test_key_of_another_place_in_the_chain() -> None:
    with pytest.raises(Failure, match="The private key in tls.key belongs to certificate 2 in tls.crt, not to the first; put that one first"):
        check([MIDDLE, SERVER], SERVER)


def test_encrypted_key() -> None:
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        with pytest.raises(Failure, match="The private key in tls.key is encrypted; decrypt it with `openssl pkey"):
            load_key(SERVER.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")), "tls.key")


def test_certificate_where_the_key_should_be() -> None:
    with pytest.raises(Failure, match="tls.key holds no private key in PEM form"):
        load_key(SERVER.pem, "tls.key")


def test_damaged_key() -> None:
    with pytest.raises(Failure, match=r"The private key in tls.key is damaged or of an unknown kind; copy the file again\.$"):
        load_key(b"-----BEGIN PRIVATE KEY-----\nMIGHsecret\n-----END PRIVATE KEY-----\n", "tls.key")


@pytest.mark.parametrize("content", [b"", b"hello", SERVER.key_pem, SERVER.certificate.public_bytes(Encoding.DER)])
def test_file_without_certificate(content: bytes) -> None:
    with pytest.raises(Failure, match="tls.crt holds no certificate in PEM form; give a file with BEGIN CERTIFICATE lines"):
        load_certificates(content, "tls.crt")


def test_damaged_certificate() -> None:
    lines = MIDDLE.pem.splitlines(keepends=True)
    with pytest.raises(Failure, match="Certificate 2 in tls.crt is damaged: .*; copy the file again"):
        load_certificates(SERVER.pem + b"".join(lines[:2] + lines[3:]), "tls.crt")


def test_chain_out_of_order() -> None:
    with pytest.raises(Failure, match=r"Certificate 1 in tls.crt \(CN=server\) is not signed by certificate 2 \(CN=root\); put the server's certificate first"):
        check([SERVER, ROOT, MIDDLE], SERVER)


def test_issuer_of_the_same_name_only() -> None:
    with pytest.raises(Failure, match=r"Certificate 1 in tls.crt \(CN=server\) is not signed by certificate 2 \(CN=middle\)"):
        check([SERVER, issue("middle", issuer=ROOT, ca=True)], SERVER)


def test_certificate_without_subject_is_named_by_what_it_covers() -> None:
    for names, shown in ((["a.b", "c.d"], "a.b, c.d"), ([], "serial number ff")):
        pair = issue("", names, end=-1)
        with pytest.raises(Failure, match=f"The certificate of {shown} in tls.crt expired"):
            check([pair], pair)


def test_days_are_those_of_the_first_to_end() -> None:
    assert days_left([ROOT.certificate, SERVER.certificate], NOW) == 80
    assert days_left([SERVER.certificate], NOW + timedelta(days=80, hours=1)) == -1


def test_bundle_of_authorities() -> None:
    assert check_ca_bundle(ROOT.pem + MIDDLE.pem, NOW) == 2
    assert check_ca_bundle(ROOT.pem + issue("old", ca=True, end=-1).pem, NOW) == 1


@pytest.mark.parametrize("pair", [SERVER, issue("bare")])
def test_bundle_with_a_servers_certificate(pair: Pair) -> None:
    with pytest.raises(Failure, match="ca.pem holds the certificate of CN=.*, which is no CA's; give the certificate of the CA that signed it instead"):
        check_ca_bundle(ROOT.pem + pair.pem, NOW, "ca.pem")


def test_bundle_without_a_valid_authority() -> None:
    with pytest.raises(Failure, match="The certificate of CN=old in ca.pem expired on 2026-11-22 12:00 UTC"):
        check_ca_bundle(issue("old", ca=True, end=-1).pem, NOW, "ca.pem")


def test_empty_bundle() -> None:
    with pytest.raises(Failure, match="ca.pem holds no certificate in PEM form"):
        check_ca_bundle(b"", NOW, "ca.pem")


@pytest.mark.parametrize("load", [load_certificates, load_key])
def test_library_is_needed(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judged, "HAS_CRYPTOGRAPHY", False)
    with pytest.raises(Failure, match="library cryptography is missing; run role `toucan_host`"):
        load(SERVER.pem, "x")


class OldCertificate:
    """A certificate as cryptography before 40 gives it: naive times, and no check of a signature."""

    HIDDEN = ("not_valid_after_utc", "not_valid_before_utc", "verify_directly_issued_by")

    def __init__(self, certificate: Any) -> None:
        self._certificate = certificate

    @property
    def not_valid_after(self) -> datetime:
        return self._certificate.not_valid_after_utc.replace(tzinfo=None)

    def __getattr__(self, name: str) -> Any:
        if name in self.HIDDEN:
            raise AttributeError(name)
        return getattr(self._certificate, name)


def test_older_library_is_served() -> None:
    server, middle = OldCertificate(SERVER.certificate), OldCertificate(MIDDLE.certificate)
    assert (days_left([server], NOW), covered_names(server)[0]) == (80, "app.example.com")
    judged.check_order([server, middle], "x")
    with pytest.raises(Failure, match="not signed by"):
        judged.check_order([middle, server], "x")


def test_a_combined_file_is_taken_apart() -> None:
    both = SERVER.key_pem + SERVER.pem + MIDDLE.pem
    chain = judged.certificates_alone(both, "x")
    assert load_certificates(chain, "x") == (SERVER.certificate, MIDDLE.certificate)
    assert b"PRIVATE KEY" not in chain
    assert judged.key_alone(both, "x").strip() == SERVER.key_pem.strip()
