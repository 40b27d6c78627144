# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's images: what each is made of, and building those whose recipe is not built yet.

An image is named by the hash of its recipe and of everything below it (``toucan-lab/redis:3f2a…``), so that an edit
rebuilds what depends on it and nothing else, and two checkouts share what is equal.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

from . import machine
from .command import LabError, run, run_logged, say
from .engine import docker
from .names import IMAGE_REPOSITORY, LAB_CACHE, RECIPES

# The documentation is left out, not the licences: Debian asks that they travel with the packages.
_LEFT_OUT = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "path-exclude=/usr/lib/postgresql/*/lib/bitcode/*",
)


@dataclass(frozen=True)
class Bootstrap:
    """A root file system made by mmdebstrap from Debian's packages."""

    suite: str
    packages: tuple[str, ...]
    variant: str = "minbase"
    pockets: tuple[str, ...] = ("updates", "security")
    keeps_package_lists: bool = False


@dataclass(frozen=True)
class Build:
    """A ``docker build`` of ``images/RECIPE`` (or of a folder named from there): build argument -> layer in ``bases``, argument -> text in ``arguments``."""

    recipe: str
    bases: dict[str, str]
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """A host of layer ``base`` in which ``images/RECIPE/prepare.sh`` was run once, then kept as an image."""

    recipe: str
    base: str


Layer = Union[Bootstrap, Build, Prepared]

_HOST_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "python3-apt", "sudo", "ca-certificates", "iproute2",
    "iptables", "procps", "curl",
)

_DOCKER_PACKAGES = "docker.io docker-cli docker-compose docker-buildx"

LAYERS: dict[str, Layer] = {
    "debian-root": Bootstrap("trixie", ("ca-certificates",)),
    "debian": Build("debian", {"BASE": "debian-root"}),
    "host-root": Bootstrap("trixie", _HOST_PACKAGES, variant="apt", keeps_package_lists=True),
    "host-bare": Build("host-bare", {"BASE": "host-root"}, {"DOCKER_PACKAGES": _DOCKER_PACKAGES}),
    "host-ready": Prepared("host-ready", "host-bare"),
    "dns": Build("dns", {"BASE": "debian"}),
    "registry": Build("registry", {"BASE": "debian"}),
    "golang": Build("golang", {"BASE": "debian"}),
    "ferretdb": Build("ferretdb", {"BASE": "debian", "GOLANG": "golang"}),
    "documentdb-root": Bootstrap("forky", ("ca-certificates", "postgresql-18-documentdb"), pockets=()),
    "mongodb": Build("mongodb", {"BASE": "documentdb-root", "FERRETDB": "ferretdb"}),
    "redis": Build("redis", {"BASE": "debian"}),
    "caddy": Build("caddy", {"BASE": "debian"}, {"SUITE": "trixie-backports"}),
    "caddy-2.6": Build("caddy", {"BASE": "debian"}, {"SUITE": "trixie"}),
    "client": Build("client", {"BASE": "debian"}),
    "browser": Build("browser", {"BASE": "client"}),
    "mongodb-narrow": Build("mongodb-narrow", {"BASE": "client"}),
    "pebble": Build("pebble", {"BASE": "debian"}),
    "registries": Build("registries", {"BASE": "registry"}),
    "execution-environment": Build("execution-environment", {"BASE": "debian"}),
    # The bench's own, which stands with the bench.
    "wire": Build("../../bench/wire", {"GOLANG": "golang"}),
    "host-bookworm-root": Bootstrap("bookworm", _HOST_PACKAGES, variant="apt", keeps_package_lists=True),
    # Debian 12 has no Compose 2.
    "host-bookworm": Build("host-bare", {"BASE": "host-bookworm-root"}, {"DOCKER_PACKAGES": "docker.io"}),
}
"""Every layer after those it is built from."""

CORE = ("debian", "host-bare", "host-ready", "dns", "registry", "mongodb", "redis", "caddy", "caddy-2.6", "client")
"""Layers that ``up`` provides; the others are built when they are first asked for."""


def image(name: str) -> str:
    """Full image name of layer ``name``, built or not."""
    return f"{IMAGE_REPOSITORY}/{name}:{digest(name)}"


def exists(name: str) -> bool:
    """Whether the image of layer ``name`` is there."""
    return run(["docker", "image", "inspect", image(name)], check=False).returncode == 0


def provide(names: Iterable[str]) -> dict[str, str]:
    """Build what is missing of layers ``names`` and of those below; returns layer name -> image name."""
    wanted = list(names)
    missing = [name for name in _with_bases(wanted) if not exists(name)]
    missing = _needed_for(wanted, missing)
    # Two at a time: one waits for the network while the other unpacks. Bases come first in the list, so no task can
    # wait for one that has not been started.
    with ThreadPoolExecutor(max_workers=2) as pool:
        running: dict[str, Future[None]] = {}
        for name in missing:
            below = [running[base] for base in _bases(name) if base in running]
            running[name] = pool.submit(_build_after, below, name)
        unfinished = wait(running.values(), return_when=FIRST_EXCEPTION).not_done
        for task in unfinished:
            task.cancel()
        for task in running.values():
            if task.done() and not task.cancelled():
                task.result()
    for name in wanted:
        docker("tag", image(name), f"{IMAGE_REPOSITORY}/{name}:latest")
    return {name: image(name) for name in wanted}


@functools.cache
def digest(name: str) -> str:
    """Twelve hexadecimal digits over the recipe of layer ``name``, its files, the bases and the machine's authorities."""
    if name not in LAYERS:
        raise LabError(f"There is no image layer {name!r}: choose one of {', '.join(LAYERS)}.")
    layer = LAYERS[name]
    total = hashlib.sha256(repr(layer).encode())
    if isinstance(layer, Bootstrap):
        total.update(repr((_LEFT_OUT, _sources(layer))).encode())
    for path in _recipe_files(name):
        total.update(f"{path.relative_to(RECIPES)} {stat.S_IMODE(path.stat().st_mode) & 0o111}\0".encode())
        total.update(path.read_bytes())
    if _takes_authorities(name):
        total.update("".join(machine.extra_authorities()).encode())
    for base in _bases(name):
        total.update(digest(base).encode())
    return total.hexdigest()[:12]


def _build_after(below: list[Future[None]], name: str) -> None:
    for task in below:
        task.result()
    started = time.monotonic()
    say(f"building {name}")
    layer = LAYERS[name]
    if isinstance(layer, Bootstrap):
        _bootstrap(name, layer)
    elif isinstance(layer, Build):
        _docker_build(name, layer)
    else:
        from . import hosts  # hosts are made of images, and this image of a host

        hosts.prepare_image(image(layer.base), RECIPES / layer.recipe / "prepare.sh", image(name))
    say(f"built {name} in {time.monotonic() - started:.0f} s")


def _bootstrap(name: str, layer: Bootstrap) -> None:
    with tempfile.TemporaryDirectory(prefix="toucan-lab-") as folder:
        archive = Path(folder) / "root.tar"
        command = [
            # A mirror that hangs would otherwise hold the lab for ever.
            "timeout", "900", "mmdebstrap", f"--variant={layer.variant}", f"--include={','.join(layer.packages)}",
            '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Languages "none"',
            "--dpkgopt=force-unsafe-io", *(f"--dpkgopt={line}" for line in _LEFT_OUT),
            # Without cleanup/apt the package lists stay, as on an installed host.
            "--skip=cleanup/apt,cleanup/reproducible" if layer.keeps_package_lists else "--skip=cleanup/reproducible",
            "--customize-hook=sed -i '/Proxy/d' \"$1\"/etc/apt/apt.conf.d/99mmdebstrap",
            # A cache of the lists (60 MB) that apt makes again when it needs it.
            "--customize-hook=rm -f \"$1\"/var/cache/apt/*.bin",
            "--customize-hook=rm -f \"$1\"/etc/ssh/ssh_host_* && : > \"$1\"/etc/machine-id",
            "--customize-hook=rm -f \"$1\"/var/cache/apt/archives/*.deb",
            layer.suite, str(archive), *_sources(layer),
        ]
        run_logged(command, _log(name), env={**os.environ, "TMPDIR": folder})
        docker("import", str(archive), image(name), timeout=300)


def _sources(layer: Bootstrap) -> list[str]:
    """Lines of sources.list: the machine's mirrors with the layer's suite."""
    mirror, security = machine.mirrors()
    lines = [f"deb {mirror} {layer.suite} main"]
    if "updates" in layer.pockets:
        lines.append(f"deb {mirror} {layer.suite}-updates main")
    if "security" in layer.pockets:
        lines.append(f"deb {security} {layer.suite}-security main")
    return lines


def _docker_build(name: str, layer: Build) -> None:
    with tempfile.TemporaryDirectory(prefix="toucan-lab-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(RECIPES / layer.recipe, context)
        if _takes_authorities(name):
            (context / "authorities").mkdir()
            for number, block in enumerate(machine.extra_authorities()):
                (context / "authorities" / f"machine-{number}.crt").write_text(block + "\n")
        arguments = {**layer.arguments, **{argument: image(base) for argument, base in layer.bases.items()}}
        if "ARG MIRROR" in (context / "Dockerfile").read_text():
            arguments["MIRROR"] = machine.mirrors()[0]
        options = [f"--build-arg={argument}={value}" for argument, value in arguments.items()]
        command = ["docker", "build", "--force-rm", "--tag", image(name), *options, str(context)]
        # BuildKit would look up the local base images in a registry.
        run_logged(command, _log(name), env={**os.environ, "DOCKER_BUILDKIT": "0"})


def _takes_authorities(name: str) -> bool:
    """Whether the Dockerfile of ``name`` copies the machine's extra authorities into the image."""
    return any(path.name == "Dockerfile" and "COPY authorities/" in path.read_text() for path in _recipe_files(name))


def _recipe_files(name: str) -> list[Path]:
    layer = LAYERS[name]
    if isinstance(layer, Bootstrap):
        return []
    return sorted(path for path in (RECIPES / layer.recipe).rglob("*") if path.is_file())


def _bases(name: str) -> list[str]:
    layer = LAYERS[name]
    if isinstance(layer, Build):
        return list(layer.bases.values())
    return [layer.base] if isinstance(layer, Prepared) else []


def _with_bases(names: Iterable[str]) -> list[str]:
    """``names`` and all below them, each after its bases."""
    ordered: dict[str, None] = {}

    def visit(name: str) -> None:
        digest(name)  # refuses unknown names
        for base in _bases(name):
            visit(base)
        ordered.setdefault(name)

    for name in names:
        visit(name)
    return list(ordered)


def _needed_for(wanted: list[str], missing: list[str]) -> list[str]:
    """Those of ``missing`` that are wanted, or that something wanted and missing is built from."""
    needed: set[str] = set()
    for name in reversed(missing):
        if name in wanted or any(name in _bases(other) for other in needed):
            needed.add(name)
    return [name for name in missing if name in needed]


def _log(name: str) -> Path:
    return LAB_CACHE / "logs" / f"{name}.log"
