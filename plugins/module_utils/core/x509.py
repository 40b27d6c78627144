# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and keys that people hand in, judged before anything uses them.

Times are given, never taken from the clock, so that every check can be tested. Paths are for the sentences only. Times are UTC.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from .errors import Failure

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)


class CertificateFacts(NamedTuple):
    """What is worth telling about a server's certificate: subject and issuer as RFC 4514 names, SANs, end, days until the first of the chain ends."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_after: datetime
    days_left: int


def check_server_certificate(
    chain_pem: bytes, key_pem: bytes, names: Sequence[str], now: datetime, chain_path: str = "the certificate", key_path: str = "the key"
) -> CertificateFacts:
    """All checks of a certificate that a server is to use for ``names``.

    :param chain_pem: the server's certificate first, then the intermediate ones, each signed by the next.
    :param now: aware time.
    :raises Failure: by the first check that fails.
    """
    chain = load_certificates(chain_pem, chain_path)
    check_key(chain, load_key(key_pem, key_path), chain_path, key_path)
    check_order(chain, chain_path)
    check_validity(chain, now, chain_path)
    check_names(chain[0], names, chain_path)
    return certificate_facts(chain, now)


def certificate_facts(chain: Sequence[Any], now: datetime) -> CertificateFacts:
    """What is worth telling about the first certificate of a chain at the aware time ``now``."""
    return CertificateFacts(
        subject=chain[0].subject.rfc4514_string(),
        issuer=chain[0].issuer.rfc4514_string(),
        names=tuple(covered_names(chain[0])),
        not_after=_not_after(chain[0]),
        days_left=days_left(chain, now),
    )


def check_ca_bundle(bundle_pem: bytes, now: datetime, path: str = "the CA file") -> int:
    """Check that a file of CA certificates can serve as a root of trust; returns how many of them are valid now.

    :raises Failure: when it holds no certificate, one that is no CA's, or none that is valid.
    """
    certificates = load_certificates(bundle_pem, path)
    for certificate in certificates:
        if not is_ca(certificate):
            raise Failure(
                f"{path} holds the certificate of {_name(certificate)}, which is no CA's",
                "give the certificate of the CA that signed it instead",
                subject=path,
            )
    valid = [certificate for certificate in certificates if _not_before(certificate) <= now <= _not_after(certificate)]
    if not valid:
        check_validity(certificates, now, path)
    return len(valid)


def certificates_alone(pem: bytes, path: str) -> bytes:
    """The certificates of a PEM file and nothing else: a combined file holds the key, too. :raises Failure: when there is none."""
    blocks = _CERTIFICATE.findall(pem)
    if not blocks:
        raise Failure(f"{path} holds no certificate in PEM form", "give a file with BEGIN CERTIFICATE lines", subject=path)
    return b"\n".join(blocks) + b"\n"


def key_alone(pem: bytes, path: str) -> bytes:
    """The private key of a PEM file and nothing else. :raises Failure: when there is none."""
    block = _KEY.search(pem)
    if not block:
        raise Failure(f"{path} holds no private key in PEM form", "give a file with a BEGIN PRIVATE KEY line", subject=path)
    return block[0] + b"\n"


def load_certificates(pem: bytes, path: str) -> tuple[Any, ...]:
    """All certificates in a PEM file, in its order. :raises Failure: when there is none, or one is damaged."""
    _need_cryptography()
    certificates = []
    for number, block in enumerate(_CERTIFICATE.findall(certificates_alone(pem, path)), 1):
        try:
            certificates.append(x509.load_pem_x509_certificate(block))
        except ValueError as error:
            raise Failure(f"Certificate {number} in {path} is damaged: {error}", "copy the file again", subject=path, answer=str(error)) from error
    return tuple(certificates)


def load_key(pem: bytes, path: str) -> Any:
    """The private key in a PEM file. :raises Failure: when there is none, it is encrypted or damaged."""
    _need_cryptography()
    try:
        return load_pem_private_key(key_alone(pem, path), password=None)
    except TypeError as error:
        raise Failure(
            f"The private key in {path} is encrypted", "decrypt it with `openssl pkey -in KEY -out NEW`, and protect the new file", subject=path
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        # The library's text may quote what it read, so it stays out of the sentence.
        raise Failure(f"The private key in {path} is damaged or of an unknown kind", "copy the file again", subject=path) from error


def check_key(chain: Sequence[Any], key: Any, chain_path: str, key_path: str) -> None:
    """:raises Failure: when ``key`` does not belong to the first certificate of the chain."""
    wanted = _public_bytes(key.public_key())
    fitting = [number for number, certificate in enumerate(chain, 1) if _public_bytes(certificate.public_key()) == wanted]
    if fitting and fitting[0] == 1:
        return
    if fitting:
        raise Failure(
            f"The private key in {key_path} belongs to certificate {fitting[0]} in {chain_path}, not to the first", "put that one first", subject=chain_path
        )
    raise Failure(
        f"The private key in {key_path} fits no certificate in {chain_path}", "give the key that the certificate was requested with", subject=key_path
    )


def check_order(chain: Sequence[Any], path: str) -> None:
    """:raises Failure: when a certificate of the chain is not signed by the next one."""
    for number, (certificate, issuer) in enumerate(zip(chain, chain[1:]), 1):
        if not _is_signed_by(certificate, issuer):
            raise Failure(
                f"Certificate {number} in {path} ({_name(certificate)}) is not signed by certificate {number + 1} ({_name(issuer)})",
                "put the server's certificate first, then each one's issuer",
                subject=path,
            )


def check_validity(chain: Sequence[Any], now: datetime, path: str) -> None:
    """:raises Failure: when a certificate has expired, or is not yet valid, at the aware time ``now``."""
    for certificate in chain:
        if now > _not_after(certificate):
            raise Failure(
                f"The certificate of {_name(certificate)} in {path} expired on {_not_after(certificate):%Y-%m-%d %H:%M} UTC", "renew it", subject=path
            )
        if now < _not_before(certificate):
            raise Failure(
                f"The certificate of {_name(certificate)} in {path} is valid only from {_not_before(certificate):%Y-%m-%d %H:%M} UTC on",
                "wait, or correct the clock of this host",
                subject=path,
            )


def check_names(certificate: Any, names: Sequence[str], path: str) -> None:
    """:raises Failure: when the SANs do not cover each of ``names`` (RFC 6125: a wildcard stands for one whole label; the CN is ignored)."""
    covered = covered_names(certificate)
    missing = [name for name in names if not any(_covers(pattern, name) for pattern in covered)]
    if missing:
        raise Failure(
            f"The certificate in {path} does not cover {', '.join(missing)}, only {', '.join(covered) or 'no name at all'}",
            "have it issued for these names, or correct the URLs",
            subject=path,
        )


def covered_names(certificate: Any) -> list[str]:
    """DNS names and addresses in the certificate's SAN, as written there."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*alternatives.get_values_for_type(x509.DNSName), *(str(address) for address in alternatives.get_values_for_type(x509.IPAddress))]


def is_ca(certificate: Any) -> bool:
    """Whether the certificate may sign others. One without the extension may not, save a self-signed one of the time before it existed."""
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return bool(certificate.version == x509.Version.v1 and certificate.subject == certificate.issuer)


def days_left(chain: Sequence[Any], now: datetime) -> int:
    """Whole days until the first certificate of the chain expires; negative when one has."""
    return (min(_not_after(certificate) for certificate in chain) - now).days


def share_left(certificate: Any, now: datetime) -> float:
    """Which part of its life a certificate has left, from 1.0 down; negative when it has expired."""
    return (_not_after(certificate) - now) / (_not_after(certificate) - _not_before(certificate))


def _covers(pattern: str, name: str) -> bool:
    if _is_address(name):
        # A wildcard never stands for a part of an address.
        return _is_address(pattern) and ipaddress.ip_address(pattern) == ipaddress.ip_address(name)
    pattern, name = pattern.lower().rstrip("."), _ascii_name(name)
    if not pattern.startswith("*."):
        return pattern == name
    label, dot, parent = name.partition(".")
    return bool(label and dot) and parent == pattern[2:]


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _ascii_name(name: str) -> str:
    """A host name as certificates write it; empty, so that it matches nothing, where it cannot be one."""
    try:
        return name.rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        return ""


def _is_signed_by(certificate: Any, issuer: Any) -> bool:
    if certificate.issuer != issuer.subject:
        return False
    if not hasattr(certificate, "verify_directly_issued_by"):
        return True  # cryptography before 40, which some distributions carry: the names must do
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _not_after(certificate: Any) -> datetime:
    moment = getattr(certificate, "not_valid_after_utc", None)  # from cryptography 42 on
    return moment or certificate.not_valid_after.replace(tzinfo=timezone.utc)


def _not_before(certificate: Any) -> datetime:
    moment = getattr(certificate, "not_valid_before_utc", None)
    return moment or certificate.not_valid_before.replace(tzinfo=timezone.utc)


def _name(certificate: Any) -> str:
    """The subject for a sentence, or what it covers where the subject is empty."""
    return certificate.subject.rfc4514_string() or ", ".join(covered_names(certificate)) or f"serial number {certificate.serial_number:x}"


def _public_bytes(key: Any) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _need_cryptography() -> None:
    if not HAS_CRYPTOGRAPHY:
        raise Failure("The Python library cryptography is missing", "run role `toucan_host` on this host first", subject="cryptography")
