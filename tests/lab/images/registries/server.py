# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTPS server with the certificate that is mounted for it."""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answerer(BaseHTTPRequestHandler):
    """Answers with whole bodies, so that a connection serves many requests."""

    protocol_version = "HTTP/1.1"

    def answer(self, status: int, content_type: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send one answer; its body is left out for HEAD."""
        # What a request brought along would otherwise be taken for the next one.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def serve(answerer: type[Answerer], port: int) -> None:
    """Serve for ever."""
    server = ThreadingHTTPServer(("", port), answerer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/etc/lab/server.crt", "/etc/lab/server.key")
    # The handshake in the connection's own thread: a client that never finishes it holds up nobody else.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()
