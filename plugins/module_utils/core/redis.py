# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""As much of Redis' protocol (RESP) as a login and a ``PING`` take."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any, Optional

TIMEOUT_S = 5.0


class RedisRefusal(Exception):
    """What the server answered instead of yes; its text is the server's."""


def log_in(host: str, port: int, password: str, context: Optional[ssl.SSLContext]) -> None:
    """Prove that the server answers and takes this password.

    :param password: empty for none.
    :param context: of TLS; None speaks without.
    :raises RedisRefusal: when it answers and refuses.
    :raises OSError: when it does not answer; ``ssl.SSLError`` is one.
    """
    with _connected(host, port, context) as stream:
        if password:
            _ask(stream, ["AUTH", password])
        _ask(stream, ["PING"])


@contextlib.contextmanager
def _connected(host: str, port: int, context: Optional[ssl.SSLContext]) -> Iterator[Any]:
    """A stream of bytes to and from the server."""
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as plain:
        if context is None:
            with plain.makefile("rwb") as stream:
                yield stream
            return
        with context.wrap_socket(plain, server_hostname=host) as secure, secure.makefile("rwb") as stream:
            yield stream


def _ask(stream: Any, words: Sequence[str]) -> None:
    """Give one command.

    :param stream: of bytes, to read and to write.
    :raises RedisRefusal: unless the answer is a simple string.
    """
    encoded = [word.encode() for word in words]
    stream.write(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded))
    stream.flush()
    answer = stream.readline(1024)
    if not answer:
        raise ConnectionResetError("the server closed the connection")
    if not answer.startswith(b"+"):
        raise RedisRefusal(answer.decode(errors="replace").strip().lstrip("-"))
