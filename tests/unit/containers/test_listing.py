# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's socket is asked without a library; where it does not answer, nothing is listed."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.listing import Listed, running_containers

CONTAINERS = [
    {
        "Names": ["/bi-backend-1"],
        "Image": "quay.io/toucantoco/backend",
        "NetworkSettings": {"Networks": {"x": {"IPAddress": ""}, "bi": {"IPAddress": "172.18.0.2"}}},
    },
    {"Names": ["/host"], "Image": "sha256:0", "NetworkSettings": {"Networks": {"host": {"IPAddress": ""}}}},
    {"Names": ["/none"], "Image": "x", "NetworkSettings": {}},
]


@contextmanager
def engine(path: Path, status: int, body: str) -> Iterator[str]:
    """A socket that answers one request, as Docker's does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/containers/json" else 404)
            self.end_headers()
            self.wfile.write(body.encode())

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield str(path)
        server.shutdown()


def test_running_containers_are_listed_with_an_address_of_this_host(tmp_path: Path) -> None:
    with engine(tmp_path / "s", 200, json.dumps(CONTAINERS)) as path:
        assert running_containers(path) == [
            Listed("bi-backend-1", "quay.io/toucantoco/backend", "172.18.0.2"),
            Listed("host", "sha256:0", "127.0.0.1"),
            Listed("none", "x", ""),
        ]


@pytest.mark.parametrize(("status", "body"), [(500, "[]"), (200, "no JSON")])
def test_an_engine_that_refuses_lists_nothing(tmp_path: Path, status: int, body: str) -> None:
    with engine(tmp_path / "s", status, body) as path:
        assert running_containers(path) == []


def test_no_engine_lists_nothing(tmp_path: Path) -> None:
    assert running_containers(str(tmp_path / "none")) == []
