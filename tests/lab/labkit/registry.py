# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's registry: started with TLS and a password, and filled with the product's stand-ins and the services."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Optional

from . import pki
from .command import LabError, run, say, wait_for
from .containers import ensure_service
from .engine import docker
from .names import LAB_CACHE, LABEL, REGISTRY, REGISTRY_IP, REGISTRY_NAME, REGISTRY_USER, STANDINS

CONTAINER = "toucan-lab-registry"
VOLUME = "toucan-lab-registry"
PASSWORD_FILE = LAB_CACHE / "passwords" / "registry"
HTPASSWD = LAB_CACHE / "passwords" / "registry.htpasswd"
PUSHED = LAB_CACHE / "pushed.json"
CLIENT_CONFIG = LAB_CACHE / "docker-client"

SERVICE_TAGS = {"mongodb": "lab/mongodb:7.0", "redis": "lab/redis:8", "caddy": "lab/caddy:2.11", "caddy-2.6": "lab/caddy:2.6"}
"""Layer -> its repository and tag in the registry."""


def password() -> str:
    """The robot's password, made on first use."""
    if not PASSWORD_FILE.exists():
        PASSWORD_FILE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        PASSWORD_FILE.touch(mode=0o600)
        PASSWORD_FILE.write_text(secrets.token_urlsafe(18))
    return PASSWORD_FILE.read_text()


def ensure(image: str) -> None:
    """Start the registry if it does not run, and wait until it answers."""
    if not HTPASSWD.exists():
        command = ["docker", "run", "--rm", "--interactive", image, "htpasswd", "-niB", REGISTRY_USER]
        HTPASSWD.write_text(run(command, stdin=password() + "\n").stdout.strip() + "\n")
    docker("volume", "create", "--label", LABEL, VOLUME)
    certificate = pki.certificate("registry")
    ensure_service(
        CONTAINER, "registry", image, "--ip", REGISTRY_IP, "--network-alias", REGISTRY_NAME,
        # This machine's engine pushes to a loopback address, which it trusts, so nothing of the machine is configured.
        "--publish", "127.0.0.1::5000", "--volume", f"{VOLUME}:/var/lib/registry",
        "--volume", f"{certificate}:/etc/lab/registry.crt:ro",
        "--volume", f"{certificate.with_suffix('.key')}:/etc/lab/registry.key:ro",
        "--volume", f"{HTPASSWD}:/etc/lab/htpasswd:ro",
    )
    wait_for("the registry (`docker logs toucan-lab-registry` tells)", _log_in, seconds=30)


def push_services(built: dict[str, str]) -> None:
    """Push the service images among layers ``built`` (layer -> image) under their names in the registry."""
    names = []
    for layer, tag in SERVICE_TAGS.items():
        docker("tag", built[layer], f"{REGISTRY}/{tag}")
        names.append(f"{REGISTRY}/{tag}")
    push(names)


def push_standins(base: str, *services: str) -> None:
    """Build the product's stand-ins on image ``base`` and push them; says so where their program is missing.

    :param services: these instead of those that every lab has
    """
    program = STANDINS / "build.py"
    if not program.is_file():
        say(f"no product images: {program.relative_to(STANDINS.parents[2])} is missing")
        return
    built = subprocess.run(
        [sys.executable, str(program), "--base", base, "--prefix", REGISTRY, *(f"--service={service}" for service in services)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False,
    )
    if built.returncode != 0:
        raise LabError(f"Building the product's stand-ins ended with {built.returncode}; its output is above.")
    push(built.stdout.split())


def push(names: Iterable[str]) -> None:
    """Push those of images ``names`` (``registry.lab.test:5000/…``) that the registry does not hold as they are here."""
    pushed = _pushed()
    identities = {name: docker("image", "inspect", "--format", "{{.Id}}", name) for name in names}
    due = [name for name, identity in identities.items() if pushed.get(name) != [identity, digest(name)]]
    if not due:
        return
    say(f"pushing {len(due)} images, from {due[0]} to {due[-1]}")
    # Most images differ in a small last layer: such a push is waiting, not work.
    with ThreadPoolExecutor(max_workers=4) as pool:
        aliases = list(pool.map(_push_one, due))
    # One after the other: the engine loses track when two names of one image go at once.
    docker("rmi", "--no-prune", *aliases)
    pushed.update({name: [identities[name], digest(name)] for name in due})
    PUSHED.write_text(json.dumps(pushed, indent=1))


def digest(name: str) -> Optional[str]:
    """Digest of image ``name`` (``registry.lab.test:5000/…``) in the registry; None if it is not there."""
    repository, dummy, tag = name.removeprefix(REGISTRY).rpartition(":")
    credentials = base64.b64encode(f"{REGISTRY_USER}:{password()}".encode()).decode()
    connection = http.client.HTTPSConnection(
        _loopback_address(), timeout=20, context=ssl.create_default_context(cafile=str(pki.AUTHORITY)),
    )
    with contextlib.closing(connection):
        connection.request("HEAD", f"/v2{repository}/manifests/{tag}", headers={
            "Authorization": f"Basic {credentials}", "Accept": "application/vnd.docker.distribution.manifest.v2+json",
        })
        answer = connection.getresponse()
    if answer.status not in (200, 404):
        raise LabError(f"The lab's registry answered {answer.status} to a look at {name}: `docker logs {CONTAINER}` tells more.")
    return answer.getheader("Docker-Content-Digest") if answer.status == 200 else None


def _push_one(name: str) -> str:
    """Push image ``name`` under a name of this machine's loopback address; returns that name, which stays."""
    alias = _loopback_address() + name.removeprefix(REGISTRY)
    docker("tag", name, alias)
    docker("--config", str(CLIENT_CONFIG), "push", "--quiet", alias, timeout=900)
    return alias


def _pushed() -> dict[str, list[Optional[str]]]:
    """Image name -> [ID of the image that was pushed, digest it got]."""
    try:
        return json.loads(PUSHED.read_text())
    except FileNotFoundError:
        return {}


def _loopback_address() -> str:
    return docker("port", CONTAINER, "5000/tcp").splitlines()[0]


def _log_in() -> bool:
    command = ["docker", "--config", str(CLIENT_CONFIG), "login", "--username", REGISTRY_USER, "--password-stdin", _loopback_address()]
    return run(command, stdin=password(), check=False).returncode == 0
