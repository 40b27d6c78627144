# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificates that Caddy got for itself, and the wait for those it is to get."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Callable, NamedTuple

from ..core.errors import Failure
from ..core.files import read_bytes
from ..core.x509 import days_left, load_certificates
from . import caddyfile as caddy
from .acme import Acme, explain, failed_attempts, short, storage_name, told

_INTERVAL = 0.5
_LOG_LINES = 8


class Pair(NamedTuple):
    """A certificate chain and its key as PEM text."""

    chain_pem: str
    key_pem: str


class IssuedCertificates:
    """Caddy's storage below its data folder, as certmagic lays it out: ``certificates/ISSUER/HOST/HOST.{crt,key,json}``."""

    def __init__(self, data_folder: str) -> None:
        self._folder = data_folder

    def has(self, issuer: str, host: str) -> bool:
        """Whether all of a certificate is there, be it valid or not."""
        return all(os.path.exists(os.path.join(self._folder, self._relative(issuer, host, kind))) for kind in ("crt", "key", "json"))

    def missing(self, issuer: str, hosts: Iterable[str]) -> tuple[str, ...]:
        """Those of ``hosts`` that ``issuer`` gave no certificate for, or one that has expired: it may have been out of use for long."""
        return tuple(host for host in hosts if not self.has(issuer, host) or self._has_expired(issuer, host))

    def _has_expired(self, issuer: str, host: str) -> bool:
        chain = load_certificates(self._text(issuer, host, "crt").encode(), f"Caddy's certificate for {host}")
        return days_left(chain[:1], datetime.now(timezone.utc)) < 0

    def read(self, issuer: str, host: str) -> Pair:
        """:raises Failure: when a part is missing or cannot be read."""
        return Pair(self._text(issuer, host, "crt"), self._text(issuer, host, "key"))

    def _text(self, issuer: str, host: str, kind: str) -> str:
        path = os.path.join(self._folder, self._relative(issuer, host, kind))
        content = read_bytes(path)
        if content is None:
            raise Failure(f"Caddy's certificate for {host} is gone: there is no file {path}", "run again, so that Caddy orders another", subject=path)
        return content.decode(errors="replace")

    @staticmethod
    def _relative(issuer: str, host: str, kind: str) -> str:
        name = storage_name(_ascii(host))
        return f"{caddy.ISSUED}/{issuer}/{name}/{name}.{kind}"


def await_certificates(acme: Acme, issued: IssuedCertificates, hosts: Sequence[str], log: Callable[[], Sequence[str]], since: float, timeout: float) -> None:
    """Wait until Caddy has a certificate for each of ``hosts``.

    :param log: gives Caddy's last log lines.
    :param since: when the order began, in seconds since 1970; what was logged before does not count.
    :param timeout: in seconds. It is not waited for when Caddy's next attempt would come too late.
    :raises Failure: with Caddy's own words about the order that failed.
    """
    deadline = time.time() + timeout
    while True:
        missing = issued.missing(acme.folder, hosts)
        if not missing:
            return
        lines = log()
        failed = failed_attempts(lines, since)
        late = time.time() >= deadline
        # Each name is ordered by itself, and one may be through while another failed.
        if late or any(attempt.time + attempt.retrying_in > deadline for attempt in failed):
            raise _failure(acme, missing, failed[-1].error if failed else "", lines, timeout)
        time.sleep(_INTERVAL)


def _failure(acme: Acme, missing: Sequence[str], error: str, lines: Sequence[str], timeout: float) -> Failure:
    names = " and ".join(missing)
    if not error:
        return Failure(
            f"{acme.directory} gave Caddy no certificate for {names} in {timeout:.0f} s",
            "see what Caddy logs, or raise `toucan_proxy_start_timeout`",
            subject=missing[0],
            log=told(lines)[-_LOG_LINES:],
        )
    meaning, remedy = explain(error)
    return Failure(
        f"Caddy got no certificate for {names} from {acme.directory}, because {meaning}: {short(error)}",
        remedy,
        subject=missing[0],
        answer=error,
        log=told(lines)[-_LOG_LINES:],
    )


def held_chain(chain_pem: str) -> str:
    """A chain to hold while Caddy lets go of the certificate that it manages, and to be told apart from it.

    Caddy knows certificates by the hash of their chain, and would drop this one with the other. A client does not mind
    that the last certificate stands twice (RFC 8446, 4.4.2).
    """
    blocks = chain_pem.split("-----BEGIN CERTIFICATE-----")
    return f"{chain_pem.rstrip()}\n-----BEGIN CERTIFICATE-----{blocks[-1].rstrip()}\n"


def _ascii(host: str) -> str:
    try:
        return host.encode("idna").decode()
    except UnicodeError:  # a label that is empty or too long; the check of the names has said so
        return host
