# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other ways to the images of the lab's registry: by tokens as Quay has them, through a mirror; and a login page in the place of one."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import secrets
import ssl
from pathlib import Path

from . import pki, registry
from .command import wait_for
from .containers import ensure_service
from .names import LAB_CACHE, LOGIN_IP, LOGIN_NAME, MIRROR_IP, MIRROR_NAME, QUAY_IP, QUAY_NAME

WHAT = "a registry with bearer tokens, one that pulls through it, and a login page in the place of one"
LAYERS = ("registries",)
QUAY = "toucan-lab-quay"
LOGIN = "toucan-lab-login"
MIRROR = "toucan-lab-mirror"

SETTINGS = LAB_CACHE / "registries"
PASSWORDS = LAB_CACHE / "passwords"
ISSUER = "lab tokens"
RIGHTS = {"toucantoco+robot": ("pull",), "toucantoco+ci": ("pull", "push"), "toucantoco+stranger": ()}
"""Account -> what it may do in every repository. The last can log in, and that is all."""
ROBOT = "toucantoco+robot"


def ensure(images: dict[str, str]) -> None:
    """Start all three from ``images`` of LAYERS, as far as they do not run, and wait until they answer."""
    image = images["registries"]
    pki.ensure_registries()
    SETTINGS.mkdir(exist_ok=True, mode=0o700)
    _ensure_quay(image)
    ensure_service(
        LOGIN, "login", image, "--ip", LOGIN_IP, "--network-alias", LOGIN_NAME, *_server_certificate("login"),
        command=["python3", "/usr/local/lib/lab/login-page"],
    )
    _wait_for(LOGIN, LOGIN_IP, LOGIN_NAME, 200)
    # It looks at the other registry when it starts.
    _ensure_mirror(image)


def facts() -> dict[str, object]:
    """Names to pull from (``NAME/toucantoco/backend:TAG``), and who may."""
    return {
        "bearer": {
            "name": QUAY_NAME,
            "realm": _realm(),
            "accounts": {account: password(account) for account in RIGHTS},
            "username": ROBOT,
            "password": password(ROBOT),
            "ip": QUAY_IP,
            "container": QUAY,
        },
        "login_page": {"name": LOGIN_NAME, "ip": LOGIN_IP, "container": LOGIN},
        "mirror": {"name": MIRROR_NAME, "ip": MIRROR_IP, "container": MIRROR},
    }


def password(account: str) -> str:
    """Password of an account of the registry with tokens, made on first use."""
    place = PASSWORDS / f"quay-{account}"
    if not place.exists():
        PASSWORDS.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.touch(mode=0o600)
        place.write_text(secrets.token_urlsafe(24))
    return place.read_text()


def _ensure_quay(image: str) -> None:
    """The registry's own content, asked for with tokens; what is pushed here is there too."""
    accounts = {account: {"password": password(account), "rights": rights} for account, rights in RIGHTS.items()}
    tokens = _settings_file("tokens.json", {"issuer": ISSUER, "service": QUAY_NAME, "accounts": accounts})
    authentication = {"token": {"realm": _realm(), "service": QUAY_NAME, "issuer": ISSUER, "rootcertbundle": "/etc/lab/ca.crt"}}
    config = _settings_file("quay.json", {**_registry_settings(), "auth": authentication})
    signer = pki.certificate("token-signer")
    ensure_service(
        QUAY, "quay", image, "--ip", QUAY_IP, "--network-alias", QUAY_NAME, *_server_certificate("quay"),
        "--volume", f"{registry.VOLUME}:/var/lib/registry", "--volume", f"{config}:/etc/lab/config.json:ro",
        "--volume", f"{tokens}:/etc/lab/tokens.json:ro", "--volume", f"{pki.AUTHORITY}:/etc/lab/ca.crt:ro",
        "--volume", f"{signer}:/etc/lab/signer.crt:ro", "--volume", f"{signer.with_suffix('.key')}:/etc/lab/signer.key:ro",
        command=["/usr/local/lib/lab/token-registry"],
    )
    _wait_for(QUAY, QUAY_IP, QUAY_NAME, 401)


def _ensure_mirror(image: str) -> None:
    """A pull-through cache, as companies run them for all their hosts: it knows a robot, and asks nobody who he is."""
    proxy = {"remoteurl": f"https://{QUAY_NAME}", "username": ROBOT, "password": password(ROBOT)}
    config = _settings_file("mirror.json", {**_registry_settings(), "proxy": proxy})
    ensure_service(
        MIRROR, "mirror", image, "--ip", MIRROR_IP, "--network-alias", MIRROR_NAME, *_server_certificate("mirror"),
        "--volume", f"{config}:/etc/lab/config.json:ro", "--volume", f"{pki.AUTHORITY}:/etc/lab/ca.crt:ro",
        "--env", "SSL_CERT_FILE=/etc/lab/ca.crt",
        command=["docker-registry", "serve", "/etc/lab/config.json"],
    )
    _wait_for(MIRROR, MIRROR_IP, MIRROR_NAME, 200)


def _realm() -> str:
    return f"https://{QUAY_NAME}:8443/v2/auth"


def _registry_settings() -> dict[str, object]:
    """What all configurations of docker-registry have in common."""
    return {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": "/var/lib/registry"}},
        "http": {"addr": ":443", "tls": {"certificate": "/etc/lab/server.crt", "key": "/etc/lab/server.key"}},
    }


def _settings_file(name: str, content: dict[str, object]) -> Path:
    """A file for root alone: passwords are in it. JSON is YAML, which the registry reads."""
    place = SETTINGS / name
    place.touch(mode=0o600)
    place.write_text(json.dumps(content, indent=2))
    return place


def _server_certificate(name: str) -> tuple[str, ...]:
    certificate = pki.certificate(name)
    return "--volume", f"{certificate}:/etc/lab/server.crt:ro", "--volume", f"{certificate.with_suffix('.key')}:/etc/lab/server.key:ro"


def _wait_for(container: str, address: str, name: str, status: int) -> None:
    wait_for(f"{name} (`docker logs {container}` tells)", functools.partial(_answers, address, name, status), seconds=30)


def _answers(address: str, name: str, status: int) -> bool:
    """Whether the server at ``address`` shows a certificate for it and answers a first look at its API with ``status``."""
    connection = http.client.HTTPSConnection(address, timeout=5, context=ssl.create_default_context(cafile=str(pki.AUTHORITY)))
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/v2/", headers={"Host": name})
            return connection.getresponse().status == status
        except OSError:
            return False
