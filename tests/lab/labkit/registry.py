# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's registry: started with TLS and a password, and filled with the product's stand-ins and the services."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from typing import Iterable

from . import layers, pki
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


def push_standins(base: str) -> None:
    """Build the product's stand-ins on image ``base`` and push them; says so where their program is missing."""
    program = STANDINS / "build.py"
    if not program.is_file():
        say(f"no product images: {program.relative_to(STANDINS.parents[2])} is missing")
        return
    built = subprocess.run(
        [sys.executable, str(program), "--base", base, "--prefix", REGISTRY], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True, check=False,
    )
    if built.returncode != 0:
        raise LabError(f"Building the product's stand-ins ended with {built.returncode}; its output is above.")
    push(built.stdout.split())


def push(names: Iterable[str]) -> None:
    """Push images ``names`` (``registry.lab.test:5000/…``), leaving out what the registry was already given."""
    pushed = _pushed()
    address = _loopback_address()
    for name in names:
        identity = docker("image", "inspect", "--format", "{{.Id}}", name)
        if pushed["images"].get(name) == identity:
            continue
        say(f"pushing {name}")
        alias = address + name.removeprefix(REGISTRY)
        docker("tag", name, alias)
        docker("--config", str(CLIENT_CONFIG), "push", "--quiet", alias, timeout=900)
        docker("rmi", "--no-prune", alias)
        pushed["images"][name] = identity
        PUSHED.write_text(json.dumps(pushed, indent=1))


def _pushed() -> dict:
    """What this registry volume was given: ``{"volume": when it was made, "images": {name: image ID}}``."""
    volume = docker("volume", "inspect", "--format", "{{.CreatedAt}}", VOLUME)
    try:
        pushed = json.loads(PUSHED.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        pushed = {}
    return pushed if pushed.get("volume") == volume else {"volume": volume, "images": {}}


def _loopback_address() -> str:
    return docker("port", CONTAINER, "5000/tcp").splitlines()[0]


def _log_in() -> bool:
    command = ["docker", "--config", str(CLIENT_CONFIG), "login", "--username", REGISTRY_USER, "--password-stdin", _loopback_address()]
    return run(command, stdin=password(), check=False).returncode == 0
