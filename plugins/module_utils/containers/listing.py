# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which containers run on a host, asked of the engine's own socket: no library is needed, and no word is said where there is none."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOCKET = "/var/run/docker.sock"
_TIMEOUT = 5.0
_OWN_MACHINE = "127.0.0.1"


@dataclass(frozen=True)
class Listed:
    """A running container; ``address`` is where this host reaches it."""

    name: str
    image: str
    address: str


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def running_containers(path: str = SOCKET) -> list[Listed]:
    """What runs here; nothing where no engine lets this user look."""
    connection = _SocketConnection(path)
    try:
        connection.request("GET", "/containers/json")
        answer = connection.getresponse()
        found = json.loads(answer.read()) if answer.status == 200 else []
    except (OSError, ValueError, http.client.HTTPException):
        return []
    finally:
        connection.close()
    return [Listed(item["Names"][0].lstrip("/"), item["Image"], _address(item)) for item in found if item.get("Names")]


def _address(item: Mapping[str, Any]) -> str:
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    return _OWN_MACHINE if "host" in networks else next((known["IPAddress"] for known in networks.values() if known.get("IPAddress")), "")
