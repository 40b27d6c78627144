# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A login and a `PING` are spoken as Redis' documentation writes RESP."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import redis
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.redis import RedisRefusal, log_in

LOCALHOST = "127.0.0.1"


@contextmanager
def server(answers: Sequence[bytes], context: Optional[ssl.SSLContext] = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives the answers in turn, each to one command, and then hangs up; its port, and what it was sent."""
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        plain = listener.accept()[0]
        try:
            with plain, context.wrap_socket(plain, server_side=True) if context else plain as peer, peer.makefile("rb") as stream:
                for answer in answers:
                    words = int(stream.readline()[1:])
                    heard.append(b" ".join(stream.read(int(stream.readline()[1:]) + 2)[:-2] for dummy in range(words)))
                    peer.sendall(answer)
        except OSError:
            heard.append(b"hung up")

    with socket.create_server((LOCALHOST, 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        thread.join(5)


def test_a_password_of_any_characters_is_sent_whole() -> None:
    with server([b"+OK\r\n", b"+PONG\r\n"]) as (port, heard):
        log_in(LOCALHOST, port, "@:/% \r\n é", None)
    assert heard == [b"AUTH " + "@:/% \r\n é".encode(), b"PING"]


def test_without_a_password_none_is_sent() -> None:
    with server([b"+PONG\r\n"]) as (port, heard):
        log_in(LOCALHOST, port, "", None)
    assert heard == [b"PING"]


def test_over_tls_the_certificate_is_verified(authority: Any) -> None:
    trusting = ssl.create_default_context(cafile=str(authority.ca_file))
    with server([b"+PONG\r\n"], authority.server_context()) as (port, heard):
        log_in(LOCALHOST, port, "", trusting)
    assert heard == [b"PING"]
    with server([b"+PONG\r\n"], authority.server_context()) as (port, heard), pytest.raises(ssl.SSLCertVerificationError):
        log_in(LOCALHOST, port, "", ssl.create_default_context())
    assert heard == [b"hung up"]


@pytest.mark.parametrize("answer", [b"-NOAUTH Authentication required.\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
def test_any_other_answer_is_told(answer: bytes) -> None:
    with server([answer]) as (port, dummy), pytest.raises(RedisRefusal) as caught:
        log_in(LOCALHOST, port, "", None)
    assert str(caught.value) == answer.decode().strip().lstrip("-")


def test_a_server_that_hangs_up_did_not_answer() -> None:
    with server([b""]) as (port, dummy), pytest.raises(ConnectionResetError, match="the server closed the connection"):
        log_in(LOCALHOST, port, "", None)


def test_a_server_that_keeps_silent_did_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis, "TIMEOUT_S", 0.1)
    with socket.create_server((LOCALHOST, 0)) as listener, pytest.raises(OSError, match="timed out"):
        log_in(LOCALHOST, listener.getsockname()[1], "", None)
