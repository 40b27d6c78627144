# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers on 127.0.0.1, over http and https."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest


class Request(NamedTuple):
    """What reached a server; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class Answer(NamedTuple):
    """What a server sends back; a header may be listed more than once."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


Respond = Callable[[Request], Answer]


class Server:
    """An HTTP server whose answers are a function of the request; ``requests`` holds what it got, in order."""

    def __init__(self, respond: Respond, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
                server.requests.append(request)
                answer = respond(request)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_POST = _answer

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._http = _QuietServer(("127.0.0.1", 0), Handler)
        if context:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'https' if context else 'http'}://{self.host}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up on purpose are part of the tests."""


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers: ``serve(respond, context=None)``; all of them stop with the test."""
    servers: list[Server] = []

    def start(respond: Respond, context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(respond, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def answer() -> type[Answer]:
    """The type of an answer, for tests that cannot import this file."""
    return Answer


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a proxy of the machine out of what is served on 127.0.0.1."""
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
