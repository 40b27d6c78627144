# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true around a proxy: names resolve, ports are free, and a user gets in."""

from __future__ import annotations

import contextlib
import glob
import http.client
import ipaddress
import os
import re
import socket
import ssl
import struct
from collections.abc import Collection, Iterable
from typing import NamedTuple, Optional, Union
from urllib.parse import urlsplit

from ..api.transport import lenient
from ..containers.health import Probe
from ..core.errors import Failure

_LISTEN = "0A"
_ANY = {ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::")}
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_DIRECTORY_BYTES = 100_000
_TIMEOUT = 15.0  # more than Caddy waits for what is behind it, so that its own answer is seen


Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


class _Listener(NamedTuple):
    """A TCP socket that listens, as the kernel lists it."""

    address: Address
    port: int
    inode: str

    def takes(self, wanted: set[Address]) -> bool:
        """Whether it is in the way of ``wanted`` on its port. That ``::`` leaves IPv4 alone cannot be seen, so it is taken not to."""
        return self.address in wanted | _ANY or bool(wanted & _ANY)

    def where(self) -> str:
        return "all addresses" if self.address in _ANY else str(self.address)


def refuse_unresolved(hosts: Iterable[str]) -> None:
    """:raises Failure: for a public name that this host cannot resolve."""
    for host in hosts:
        try:
            socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:  # the latter for a label that is empty or too long
            raise Failure(
                f"The public name {host} does not resolve on this host: {getattr(error, 'strerror', error)}",
                "create its DNS record, or set `toucan_proxy_require_dns: false` to go on before the DNS change",
                subject=host,
            ) from error


def refuse_foreign_address(address: str) -> None:
    """:raises Failure: for an address to listen on that this host does not have."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        raise Failure(
            f"This host cannot listen on {address}: {error.strerror}",
            "set `toucan_proxy_bind_address` to an address of this host, or leave it unset for all",
            subject=address,
        ) from error


def refuse_taken_ports(ports: Iterable[int], address: str = "", own: Collection[tuple[str, int]] = ()) -> None:
    """See that nobody else listens where the proxy is to.

    :param address: IP address to listen on, empty for all.
    :param own: address and port of each listener that the proxy has now.
    :raises Failure: for a port that another program holds there, naming the program.
    """
    wanted = {ipaddress.ip_address(address)} if address else _ANY
    ours = {(ipaddress.ip_address(text), port) for text, port in own}
    others = [listener for listener in _listeners() if (listener.address, listener.port) not in ours and listener.takes(wanted)]
    for port in ports:
        for listener in others:
            if listener.port == port:
                raise Failure(
                    f"Port {port} is taken by {_program(listener.inode)}, which listens on {listener.where()}",
                    "stop that program, or set `toucan_proxy_http_port` and `toucan_proxy_https_port` to free ports,"
                    " or `toucan_proxy_bind_address` to an address that it does not listen on",
                    subject=str(port),
                )


def _listeners() -> list[_Listener]:
    """Every TCP socket of this host that listens, from the kernel's tables."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as stream:
                rows = [line.split() for line in stream][1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for row in rows:
            if row[3] == _LISTEN:
                address, port = row[1].split(":")
                found.append(_Listener(_address(address), int(port, 16), row[9]))
    return found


def _address(digits: str) -> Address:
    """An address of the kernel's table: words of 32 bits, each as a number of this machine's byte order."""
    packed = b"".join(struct.pack("=I", int(digits[start : start + 8], 16)) for start in range(0, len(digits), 8))
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address


def _program(inode: str) -> str:
    for link in glob.iglob("/proc/[0-9]*/fd/*"):
        try:
            match = _SOCKET.fullmatch(os.readlink(link))
            if match and match[1] == inode:
                process = link.split("/")[2]
                with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as stream:
                    return f"{stream.read().strip()} (process {process})"
        except OSError:  # a process that ended while we looked
            continue
    return "another program"


def handshake_fault(chain_pem: str, key_pem: str, host: str, ca_pem: Optional[str]) -> str:
    """Shake hands in memory, as a user's client does with a server of this certificate.

    :param ca_pem: the CA to trust; the system's where it is ``None``.
    :returns: why the client refuses, empty where it accepts.
    :raises Failure: when ``ca_pem`` cannot be used.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _user_context(ca_pem).wrap_bio(to_client, to_server, server_hostname=host)
    try:
        server = _server_context(chain_pem, key_pem).wrap_bio(to_server, to_client, server_side=True)
        while True:
            try:
                client.do_handshake()
                return ""
            except ssl.SSLWantReadError:
                with contextlib.suppress(ssl.SSLWantReadError):
                    server.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return str(error.verify_message)
    except ssl.SSLError as error:
        return str(error.reason)


def _user_context(ca_pem: Optional[str]) -> ssl.SSLContext:
    try:
        return lenient(ssl.create_default_context(cadata=ca_pem))
    except (ssl.SSLError, TypeError) as error:  # the latter for text that is not ASCII
        raise Failure(
            f"The CA certificates that users are to trust cannot be read: {getattr(error, 'reason', None) or error}",
            "give certificates in PEM form as `toucan_ca_file`",
            answer=str(error),
        ) from error


def _server_context(chain_pem: str, key_pem: str) -> ssl.SSLContext:
    """A context of this certificate; OpenSSL reads it from a file, which here is memory that nobody else can open."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, f"{chain_pem}\n{key_pem}\n".encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        return context
    finally:
        os.close(descriptor)


def refuse_no_acme_directory(url: str, ca_pem: Optional[str]) -> None:
    """See that an ACME server answers at its directory (RFC 8555, 7.1.1).

    :param ca_pem: the CA to trust; the system's where it is ``None``.
    :raises Failure: when it does not.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=_TIMEOUT, context=_user_context(ca_pem))
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        answer = connection.getresponse()
        content = answer.read(_DIRECTORY_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise Failure(
            f"The certificate of the ACME server at {url} is not trusted: {error.verify_message}",
            "give the CA that signed it as `toucan_proxy_acme_ca_file`",
            subject=url,
            answer=str(error),
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Failure(
            f"The ACME server at {url} does not answer this host: {error}",
            "correct `toucan_proxy_acme_directory_url`, or let this host reach it",
            subject=url,
            answer=str(error),
        ) from error
    finally:
        connection.close()
    if answer.status != 200 or b"newOrder" not in content:
        raise Failure(
            f"{url} is no ACME directory: status {answer.status}",
            "write `toucan_proxy_acme_directory_url` as the CA names it, often with a path such as `/directory`",
            subject=url,
            answer=content[:200].decode(errors="replace"),
        )


def open_as_user(host: str, address: str, port: int, path: str, ca_pem: Optional[str]) -> str:
    """GET ``https://host:port/path`` at ``address``, certificate verified.

    :param ca_pem: the CA to trust; the system's where it is ``None``.
    :returns: what is wrong, empty where the answer has status 200.
    :raises Failure: when ``ca_pem`` cannot be used.
    """
    context = _user_context(ca_pem)
    try:
        with socket.create_connection((address, port), timeout=_TIMEOUT) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
            connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT)
            connection.sock = secure
            connection.request("GET", path)
            status = connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    return "" if status == 200 else f"status {status}"


def tls_probe(port: int, server_name: str) -> Probe:
    """A probe that wants an HTTP answer of any status over TLS: what stands behind a proxy is judged by itself.

    The certificate is not verified here: it was when it was put in place, and one that has expired since is no reason to leave a proxy down.
    """
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def probe(address: str) -> str:
        try:
            with socket.create_connection((address, port), timeout=_TIMEOUT) as plain, context.wrap_socket(plain, server_hostname=server_name) as secure:
                connection = http.client.HTTPSConnection(server_name, port, timeout=_TIMEOUT)
                connection.sock = secure
                connection.request("GET", "/")
                connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            return f"HTTPS on port {port}: {error}"
        return ""

    return probe
