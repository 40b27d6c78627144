# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private ACME server: pebble, which checks http-01 on port 80 and tls-alpn-01 on 443 of whatever a name of the lab leads to."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import secrets
import ssl
from pathlib import Path

from . import pki
from .command import wait_for
from .containers import ensure_service
from .names import LAB_CACHE, PEBBLE_IP, PEBBLE_NAME

WHAT = "an ACME server"
LAYERS = ("pebble",)
CONTAINER = "toucan-lab-pebble"
PORT = 14000
MANAGEMENT_PORT = 15000
BOUND_PORT = 14001
BOUND_MANAGEMENT_PORT = 15001
ACCOUNT_KEY_ID = "lab-account"

MAC_KEY_FILE = LAB_CACHE / "passwords" / "acme-mac-key"
SETTINGS = LAB_CACHE / "pebble"


def ensure(images: dict[str, str]) -> None:
    """Start it from ``images`` of LAYERS if it does not run; keep the roots it signs with, which are new with every start."""
    pki.ensure_pebble()
    SETTINGS.mkdir(exist_ok=True, mode=0o700)
    for name, port, management_port, bound in (("open", PORT, MANAGEMENT_PORT, False), ("bound", BOUND_PORT, BOUND_MANAGEMENT_PORT, True)):
        (SETTINGS / f"{name}.json").write_text(json.dumps({"pebble": settings(port, management_port, bound)}, indent=2))
    certificate = pki.certificate("pebble")
    ensure_service(
        CONTAINER, "pebble", images["pebble"], "--ip", PEBBLE_IP, "--network-alias", PEBBLE_NAME,
        "--volume", f"{SETTINGS}:/etc/lab/pebble:ro", "--volume", f"{certificate}:/etc/lab/pebble.crt:ro",
        "--volume", f"{certificate.with_suffix('.key')}:/etc/lab/pebble.key:ro",
    )
    for management_port, root in ((MANAGEMENT_PORT, pki.ACME_ROOT), (BOUND_MANAGEMENT_PORT, pki.ACME_BOUND_ROOT)):
        wait_for(f"pebble (`docker logs {CONTAINER}` tells)", functools.partial(_keep_root, management_port, root), seconds=30)


def settings(port: int, management_port: int, bound: bool) -> dict[str, object]:
    """Configuration of one pebble; a ``bound`` one wants accounts that are known elsewhere (RFC 8555, 7.3.4)."""
    return {
        "listenAddress": f"0.0.0.0:{port}",
        "managementListenAddress": f"0.0.0.0:{management_port}",
        "certificate": "/etc/lab/pebble.crt",
        "privateKey": "/etc/lab/pebble.key",
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": bound,
        "externalAccountMACKeys": {ACCOUNT_KEY_ID: mac_key()},
    }


def facts() -> dict[str, object]:
    """What a sysadmin is told by whoever runs the server; the two roots hold until it is started anew."""
    return {
        "directory_url": f"https://{PEBBLE_NAME}:{PORT}/dir",
        "ca_file": str(pki.AUTHORITY),
        "root_file": str(pki.ACME_ROOT),
        "bound_directory_url": f"https://{PEBBLE_NAME}:{BOUND_PORT}/dir",
        "bound_root_file": str(pki.ACME_BOUND_ROOT),
        "eab": {"key_id": ACCOUNT_KEY_ID, "mac_key": mac_key()},
        "ip": PEBBLE_IP,
        "container": CONTAINER,
    }


def mac_key() -> str:
    """Key of the external account, in base64url, made on first use."""
    if not MAC_KEY_FILE.exists():
        MAC_KEY_FILE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        MAC_KEY_FILE.touch(mode=0o600)
        MAC_KEY_FILE.write_text(secrets.token_urlsafe(32))
    return MAC_KEY_FILE.read_text()


def _keep_root(management_port: int, place: Path) -> bool:
    """Write the root that a pebble signs with to ``place``; False where it does not answer."""
    connection = http.client.HTTPSConnection(
        PEBBLE_IP, management_port, timeout=5, context=ssl.create_default_context(cafile=str(pki.AUTHORITY)),
    )
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/roots/0")
            answer = connection.getresponse()
            root = answer.read()
        except OSError:
            return False
    if answer.status != 200:
        return False
    place.write_bytes(root)
    return True
