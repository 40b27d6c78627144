# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transport is, and how its failures are told.

A transport carries one request and returns one answer: it follows no redirect, verifies every certificate and gives up in time.
Everything else in this package is written against it, so that it runs on the standard library as well as on requests.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Optional, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from ..core.errors import Failure

BODY_LIMIT = 16 * 1024 * 1024  # bytes; no answer that is read here comes near it
DEFAULT_TIMEOUT = 10.0  # seconds
CA_OPTION = "`ca_path` (role variable `toucan_ca_file`)"
USER_AGENT = "toucan.selfhosted"

_REDIRECTS = (301, 302, 303, 307, 308)
_REDIRECT_LIMIT = 5
# OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED and the host name and address mismatches.
_EXPIRED = 10
_MISMATCHES = (62, 64)


class Response(NamedTuple):
    """One answer: status, headers with lower-case names (repeated ones joined by ``", "``), whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """``transport(method, url, headers, body)`` returns a :class:`Response` for any status, redirects included.

    :raises Failure: when no answer came.
    """

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: Optional[bytes] = None) -> Response:
        """Send one request and return its answer. :raises Failure: when none comes."""


def shown(url: str) -> str:
    """``url`` without what may be secret or long: user, password, query and fragment."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def origin(url: str) -> tuple[str, str, Optional[int]]:
    """Scheme, host and port: where credentials belong to."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), _port(parts)


def _port(parts: SplitResult) -> Optional[int]:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def check_url(url: str, option: str) -> str:
    """``url`` without a final slash. :raises Failure: naming ``option``, when it is no http or https URL with a host."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and _port(parts) is not None
    except ValueError:
        usable = False
    if not usable:
        raise Failure(f"`{url}` is no URL that can be asked", f"write {option} as `https://HOST` or `https://HOST/PREFIX`", subject=url)
    return url.rstrip("/")


def merged_headers(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as :class:`Response` holds them."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


def header_value(response: Response, name: str) -> str:
    """One header's value, empty where it was not sent."""
    return response.headers.get(name.lower(), "")


def follow(transport: Transport, method: str, url: str, headers: Mapping[str, str]) -> tuple[Response, str]:
    """Send a GET or HEAD and follow its redirects; returns the last answer and the URL that gave it.

    ``Authorization`` stays with the origin it was meant for, and no redirect leads from https to http.

    :raises Failure: when there are too many redirects, or one leads to plain http.
    """
    target, sent = url, dict(headers)
    for _hop in range(_REDIRECT_LIMIT + 1):
        response = transport(method, target, sent)
        location = header_value(response, "location")
        if response.status not in _REDIRECTS or not location:
            return response, target
        following = urljoin(target, location)
        if origin(following)[0] not in ("http", "https") or (origin(target)[0] == "https" and origin(following)[0] != "https"):
            raise Failure(
                f"{shown(url)} redirects to {shown(following)}, which is not encrypted", "correct the redirect, or give the final https URL", subject=shown(url)
            )
        if origin(following) != origin(target):
            sent = {name: value for name, value in sent.items() if name.lower() != "authorization"}
        target = following
    raise Failure(f"{shown(url)} redirects more than {_REDIRECT_LIMIT} times", "correct the redirects, or give the final URL", subject=shown(url))


def too_long(url: str) -> Failure:
    """The failure of an answer beyond ``BODY_LIMIT``."""
    return Failure(f"{shown(url)} answered more than {BODY_LIMIT // 2**20} MiB", "check that the URL is the right one", subject=shown(url))


def lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, verifying as browsers do.

    Python 3.13 began to refuse CAs without key identifiers, which many companies have and every browser takes.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def trusting_context(ca_file: str = "", option: str = CA_OPTION) -> ssl.SSLContext:
    """A context that verifies certificates and names, by the system's CAs and those in ``ca_file``.

    :raises Failure: naming ``option``, when ``ca_file`` is no readable file with certificates in PEM form.
    """
    context = lenient(ssl.create_default_context())
    if not ca_file:
        return context
    if not os.path.isfile(ca_file):
        raise Failure(f"The CA file {ca_file} does not exist on this host", f"correct {option}", subject=ca_file)
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise Failure(
            f"The CA file {ca_file} cannot be used: {error.strerror or error}", f"give certificates in PEM form in {option}", subject=ca_file, answer=str(error)
        ) from error
    return context


def connection_failure(url: str, error: BaseException, timeout: float, ca_option: str = CA_OPTION) -> Failure:
    """Why no answer came from ``url``, told from the first telling cause within ``error``.

    :param timeout: seconds that were granted.
    :param ca_option: the option that gives the CA file, for the sentence.
    """
    host = urlsplit(url).hostname or url
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _untrusted(url, cause, ca_option)
        if isinstance(cause, socket.gaierror):
            return _failure(url, f"the name {host} does not resolve", "correct the URL or the name service of this host", cause)
        if isinstance(cause, ConnectionRefusedError):
            return _failure(url, "the connection was refused", "check that the service runs and that the port is right", cause)
        if isinstance(cause, (TimeoutError, socket.timeout)):  # one type only from Python 3.10 on
            return _failure(url, f"no answer within {timeout:g} s", "check the network and its firewalls, or raise `timeout`", cause)
        if isinstance(cause, ssl.SSLError):
            return _failure(url, f"TLS could not be agreed ({getattr(cause, 'reason', None) or cause})", "check that the port speaks TLS", cause)
    return _failure(url, _innermost_text(error), "check the URL, the network and the proxy settings", error)


def _untrusted(url: str, cause: ssl.SSLCertVerificationError, ca_option: str) -> Failure:
    problem = f"its certificate is not trusted ({cause.verify_message})"
    if cause.verify_code == _EXPIRED:
        return _failure(url, problem, "renew the certificate", cause)
    if cause.verify_code in _MISMATCHES:
        return _failure(url, problem, "use a name that the certificate covers, or have it issued for this one", cause)
    return _failure(url, problem, f"give the CA that signed it in {ca_option}", cause)


def _failure(url: str, problem: str, remedy: str, cause: BaseException) -> Failure:
    return Failure(f"Asking {shown(url)} failed: {problem}", remedy, subject=shown(url), answer=str(cause))


def _innermost_text(error: BaseException) -> str:
    """What the system said, else what the last wrapped error says, on one line: the outer ones only name the library's parts."""
    causes = list(_causes(error))
    spoken = [cause.strerror for cause in causes if isinstance(cause, OSError) and isinstance(cause.strerror, str)]
    text = " ".join((spoken[0] if spoken else str(causes[-1])).split())
    return text or type(causes[-1]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it wraps, outermost first: libraries hide the cause in ``reason``, in their arguments, or chain it."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [getattr(current, "reason", None), *current.args, current.__cause__, current.__context__]
        waiting.extend(item for item in inner if isinstance(item, BaseException))
