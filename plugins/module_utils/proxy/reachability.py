# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true around a proxy: names resolve, ports are free, and a user gets in."""

from __future__ import annotations

import contextlib
import glob
import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterable
from typing import Optional

from ..core.errors import Failure

_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_TIMEOUT = 15.0  # more than Caddy waits for what is behind it, so that its own answer is seen


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


def refuse_taken_ports(ports: Iterable[int]) -> None:
    """:raises Failure: for a port that another program of this host listens on, naming the program."""
    listeners = _listeners()
    for port in ports:
        if port in listeners:
            raise Failure(
                f"Port {port} is taken by {_program(listeners[port])}",
                "stop that program, or set `toucan_proxy_http_port` and `toucan_proxy_https_port` to free ports",
                subject=str(port),
            )


def _listeners() -> dict[int, str]:
    """Socket inode by listening TCP port, from the kernel's tables."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as stream:
                rows = [line.split() for line in stream][1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for row in rows:
            if row[3] == _LISTEN:
                found[int(row[1].rsplit(":", 1)[1], 16)] = row[9]
    return found


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
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context(cadata=ca_pem).wrap_bio(to_client, to_server, server_hostname=host)
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


def open_as_user(host: str, address: str, port: int, path: str, ca_pem: Optional[str]) -> str:
    """GET ``https://host:port/path`` at ``address``, certificate verified.

    :param ca_pem: the CA to trust; the system's where it is ``None``.
    :returns: what is wrong, empty where the answer has status 200.
    """
    context = ssl.create_default_context(cadata=ca_pem)
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
