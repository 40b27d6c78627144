# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's certificate authority, and certificates of it that are good or wrong in one way."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from .command import run
from .names import (
    BACKEND_NAME,
    FRONTEND_NAME,
    LAB_CACHE,
    LOGIN_IP,
    LOGIN_NAME,
    MIRROR_IP,
    MIRROR_NAME,
    MONGODB_NAME,
    NARROW_MONGODB_NAME,
    PEBBLE_IP,
    PEBBLE_NAME,
    QUAY_IP,
    QUAY_NAME,
    REDIS_NAME,
    REGISTRY_NAME,
)

FOLDER = LAB_CACHE / "pki"
AUTHORITY = FOLDER / "ca.crt"
AUTHORITY_KEY = FOLDER / "ca.key"
DATABASES_AUTHORITY = FOLDER / "databases-ca.crt"
"""Of the databases that are not the lab's own: nothing else of the lab is signed by it, nor they by the lab's authority."""
ACME_ROOT = FOLDER / "acme-root.crt"
ACME_BOUND_ROOT = FOLDER / "acme-bound-root.crt"
"""Of certificates that the ACME servers issue; the servers make their own."""

PRODUCT_NAMES = (FRONTEND_NAME, BACKEND_NAME)


def certificate(name: str) -> Path:
    """Place of certificate ``name``; its key is beside it with the suffix ``.key``."""
    return FOLDER / f"{name}.crt"


def ensure() -> None:
    """Make the authority and every certificate that is missing.

    ``registry``; ``product`` (good for frontend and backend); and for tests ``expired`` (since last year), ``other-name``
    (for another host), ``untrusted`` (right names, unknown authority) and ``stray.key`` (fits no certificate).
    """
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not AUTHORITY.exists():
        _make_authority(AUTHORITY, AUTHORITY_KEY, "Toucan lab CA")
    _issue("registry", (REGISTRY_NAME,), extra_sans=("IP:127.0.0.1",))
    _issue("product", PRODUCT_NAMES)
    _issue("expired", PRODUCT_NAMES, validity=("20240101000000Z", "20250101000000Z"))
    _issue("other-name", ("elsewhere.lab.test",))
    if not certificate("untrusted").exists():
        _make_authority(FOLDER / "untrusted-ca.crt", FOLDER / "untrusted-ca.key", "Nobody's CA")
        _issue("untrusted", PRODUCT_NAMES, authority=FOLDER / "untrusted-ca.crt")
    if not (FOLDER / "stray.key").exists():
        _make_key(FOLDER / "stray.key")


def ensure_databases() -> None:
    """Make the authority and the certificates of the external databases, as far as they are missing."""
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not DATABASES_AUTHORITY.exists():
        _make_authority(DATABASES_AUTHORITY, DATABASES_AUTHORITY.with_suffix(".key"), "Database team CA")
    _issue("mongodb", (MONGODB_NAME,), authority=DATABASES_AUTHORITY)
    _issue("narrow-mongodb", (NARROW_MONGODB_NAME,), authority=DATABASES_AUTHORITY)
    _issue("redis", (REDIS_NAME,), authority=DATABASES_AUTHORITY)


def ensure_pebble() -> None:
    """Make the certificate of the ACME server's own HTTPS if it is missing."""
    _issue("pebble", (PEBBLE_NAME,), extra_sans=(f"IP:{PEBBLE_IP}",))


def ensure_registries() -> None:
    """Make the certificates of the other registries, and that of who signs their tokens, as far as they are missing."""
    _issue("quay", (QUAY_NAME,), extra_sans=(f"IP:{QUAY_IP}",))
    _issue("login", (LOGIN_NAME,), extra_sans=(f"IP:{LOGIN_IP}",))
    _issue("mirror", (MIRROR_NAME,), extra_sans=(f"IP:{MIRROR_IP}",))
    _issue("token-signer", ("tokens.lab.test",))


def key_and_certificate(name: str) -> Path:
    """One file with the key and certificate ``name``, readable by whatever user a server in a container becomes.

    The folder keeps everybody else of this machine out.
    """
    place = FOLDER / f"{name}.pem"
    if not place.exists():
        place.write_text(certificate(name).with_suffix(".key").read_text() + certificate(name).read_text())
        place.chmod(0o444)
    return place


def _make_key(place: Path) -> None:
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(place)])


def _make_authority(place: Path, key: Path, common_name: str) -> None:
    _make_key(key)
    run([
        "openssl", "req", "-x509", "-new", "-key", str(key), "-sha256", "-days", "3650", "-subj", f"/O=Toucan lab/CN={common_name}",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", str(place),
    ])


def _issue(
    name: str, dns_names: Sequence[str], *, extra_sans: Sequence[str] = (), validity: tuple[str, str] | None = None,
    authority: Path = AUTHORITY,
) -> None:
    """Issue certificate ``name`` for ``dns_names``, valid for two years or from/to ``validity`` (ASN.1 times)."""
    place, key = certificate(name), certificate(name).with_suffix(".key")
    if place.exists():
        return
    _make_key(key)
    sans = ",".join([*(f"DNS:{dns_name}" for dns_name in dns_names), *extra_sans])
    with tempfile.TemporaryDirectory() as folder:
        request, database, settings = (Path(folder) / part for part in ("request.pem", "index.txt", "ca.conf"))
        database.touch()
        settings.write_text(
            f"[ca]\ndefault_ca = lab\n[lab]\ndatabase = {database}\nnew_certs_dir = {folder}\nrand_serial = yes\n"
            "default_md = sha256\nunique_subject = no\npolicy = names\n[names]\norganizationName = optional\n"
            "commonName = supplied\n[leaf]\nbasicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n"
            f"extendedKeyUsage = serverAuth\nsubjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\nsubjectAltName = {sans}\n"
        )
        run(["openssl", "req", "-new", "-key", str(key), "-subj", f"/O=Toucan lab/CN={dns_names[0]}", "-out", str(request)])
        dates = ["-startdate", validity[0], "-enddate", validity[1]] if validity else ["-days", "730"]
        # `openssl ca` rather than `x509 -req`: only it can date a certificate in the past.
        run([
            "openssl", "ca", "-batch", "-notext", "-config", str(settings), "-extensions", "leaf", *dates,
            "-cert", str(authority), "-keyfile", str(authority.with_suffix(".key")), "-in", str(request), "-out", str(place),
        ])
