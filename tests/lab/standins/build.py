# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build the stand-ins for the vendor's private images.

    python3 tests/lab/standins/build.py --base IMAGE --prefix registry.lab.test:5000 [--service toolbox]

IMAGE is a local Debian trixie image with working apt. Without a service: backend and frontend. Prints the full name of each product image,
one a line and nothing else, on standard output; progress goes to standard error. Images that were
built of the same files are left as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from layering import Variant, write_variants

HERE = Path(__file__).resolve().parent
CONTENT_LABEL = "toucan.lab.content"
CREATED_LABEL = "org.opencontainers.image.created"
LAYERS = "toucan-lab/standin"
# Caches that tools leave beside the sources.
NOT_SHIPPED = ("__pycache__", ".*_cache")

# Debian trixie. nginx serves both; the rest is what the backend runs on.
NGINX_PACKAGES = ("nginx-light",)
PYTHON_PACKAGES = (
    "gunicorn",
    "python3-cryptography",
    "python3-flask",
    "python3-jwt",
    "python3-pymongo",
    "python3-redis",
    "python3-websockets",
    "supervisor",
)
NODE_PACKAGES = ("nodejs",)
# In the image that installs what package-lock.json names, and not in the product's.
NPM_PACKAGES = ("npm",)

# product-facts 1.1 [S:RTD, HELM, W6D, DOC04]: names, and tags vMAJOR.MINOR.PATCH and latest-monthly
REPOSITORIES = {"a": "toucantoco", "b": "toucantoco-b"}
SERVICES = ("backend", "frontend")
# Made when they are asked for.
FURTHER_SERVICES = ("toolbox",)
MOVING_TAG, MOVING_VERSION = "latest-monthly", "v101.1.0"


@dataclass(frozen=True)
class Release:
    """A version, the day it came out, and how its backend behaves."""

    version: str
    created: str
    backend_behaviour: str = "normal"


# product-facts 7 [S:BLOG, DOC04]: the last week of a month; fixes patch the latest
RELEASES = (
    Release("v100.1.0", "2026-08-27T08:00:00Z"),
    Release("v101.0.0", "2026-09-24T08:00:00Z"),
    Release("v101.1.0", "2026-10-29T08:00:00Z"),
    Release("v101.1.1", "2026-11-03T08:00:00Z", "never_healthy"),
    Release("v101.1.2", "2026-11-04T08:00:00Z", "migration_fails"),
    Release("v101.1.3", "2026-11-05T08:00:00Z", "slow"),
)


@dataclass(frozen=True)
class ProductImage:
    """One image of one service, in one dialect and release."""

    service: str
    dialect: str
    release: Release

    def repository(self, prefix: str) -> str:
        """Full name without tag."""
        if self.service == "toolbox":
            # product-facts 1.1 [UNKNOWN]
            return f"{prefix}/{json.loads(self._dialect())['toolbox_image']}"
        return f"{prefix}/{REPOSITORIES[self.dialect]}/{self.service}"

    def names(self, prefix: str) -> list[str]:
        """Full names: the release's, and the moving tag's where it points here."""
        tags = [self.release.version]
        if self.release.version == MOVING_VERSION:
            tags.append(MOVING_TAG)
        return [f"{self.repository(prefix)}:{tag}" for tag in tags]

    def files(self) -> dict[str, str]:
        """What its last layer holds: path in the image to text."""
        version = self.release.version
        files = {"/app/dialect.json": self._dialect()}
        if self.service == "frontend":
            # product-facts 1.5 [S:FE57, FAQ]
            return files | {"/usr/share/nginx/html/tucana-version.txt": f"{version}\n"}
        behaviour = "normal" if self.service == "toolbox" else self.release.backend_behaviour
        return files | {"/app/release.json": json.dumps({"version": version, "behaviour": behaviour})}

    def _dialect(self) -> str:
        return (HERE / "dialects" / f"{self.dialect}.json").read_text()


def product_images(services: Iterable[str] = SERVICES) -> list[ProductImage]:
    """Every image of ``services``, in every dialect and release."""
    return [ProductImage(service, dialect, release) for service in services for dialect in REPOSITORIES for release in RELEASES]


def content_hash(parts: Iterable[str | bytes]) -> str:
    """A short hash of ``parts``, in order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def folder_parts(folder: Path) -> Iterator[str | bytes]:
    """Paths, modes and contents of the files below ``folder``."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(fnmatch(part, pattern) for part in path.parts for pattern in NOT_SHIPPED):
            yield str(path.relative_to(folder))
            yield oct(path.stat().st_mode & 0o111)
            yield path.read_bytes()


def docker(*arguments: str) -> str:
    """Run docker and return its output; its own progress goes to standard error."""
    # Only the classic builder takes FROM an image that exists in the engine and nowhere else.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    result = subprocess.run(
        ["docker", *arguments],
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        output = (result.stdout + result.stderr)[-3000:]
        raise SystemExit(f"docker {' '.join(arguments[:2])} failed:\n{output}")
    return result.stdout


def local_images(repositories: set[str]) -> dict[str, str]:
    """Full name to content hash of the images of ``repositories`` that this program built."""
    listed = docker("image", "ls", "--filter", f"label={CONTENT_LABEL}", "--format", "{{.Repository}}:{{.Tag}}")
    names = [name for name in listed.split() if name.rpartition(":")[0] in repositories]
    if not names:
        return {}
    form = '{{index .Config.Labels "' + CONTENT_LABEL + '"}}'
    return dict(zip(names, docker("image", "inspect", "--format", form, *names).split()))


def build(context: Path, name: str, *arguments: str) -> None:
    """Build ``context`` as image ``name``."""
    print(f"building {name}", file=sys.stderr, flush=True)
    docker("build", "--force-rm", "-t", name, *arguments, str(context))


class Builder:
    """Builds layers on ``base``, each named by the hash of what went into it."""

    def __init__(self, base: str) -> None:
        base_id = docker("image", "inspect", "--format", "{{.Id}}", base).strip()
        nginx_key = content_hash([base_id, *NGINX_PACKAGES])
        nginx = (f"{LAYERS}-nginx:{nginx_key}", base, NGINX_PACKAGES)
        python_key = content_hash([nginx_key, *PYTHON_PACKAGES])
        python = (f"{LAYERS}-python:{python_key}", nginx[0], PYTHON_PACKAGES)
        node_key = content_hash([base_id, *NODE_PACKAGES])
        node = (f"{LAYERS}-node:{node_key}", base, NODE_PACKAGES)
        npm_key = content_hash([node_key, *NPM_PACKAGES])
        npm = (f"{LAYERS}-npm:{npm_key}", node[0], NPM_PACKAGES)
        self._layers = {"frontend": (nginx,), "backend": (nginx, python), "toolbox": (node, npm)}
        self._bases = {"frontend": {"PACKAGES": nginx[0]}, "backend": {"PACKAGES": python[0]}, "toolbox": {"PACKAGES": node[0], "NPM": npm[0]}}
        self._keys = {
            "frontend": content_hash([nginx_key, *folder_parts(HERE / "frontend")]),
            "backend": content_hash([python_key, *folder_parts(HERE / "backend")]),
            "toolbox": content_hash([npm_key, *folder_parts(HERE / "toolbox")]),
        }

    def key(self, image: ProductImage) -> str:
        """Hash of everything that ``image`` is made of."""
        files = [part for item in sorted(image.files().items()) for part in item]
        made_by = (HERE / "layering.py").read_bytes()
        return content_hash([self._keys[image.service], made_by, image.release.created, *files])

    def build(self, service: str, images: Sequence[ProductImage], prefix: str) -> None:
        """Make ``images`` of one service: each a tiny layer on what they share."""
        variants = [
            Variant(
                image.names(prefix),
                image.files(),
                image.release.created,
                {CONTENT_LABEL: self.key(image), CREATED_LABEL: image.release.created},
            )
            for image in images
        ]
        app = self._app(service)
        print(f"making {len(images)} releases of {app}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            saved, made = Path(folder) / "saved.tar", Path(folder) / "made.tar"
            docker("save", "--output", str(saved), app)
            write_variants(saved, variants, made)
            saved.unlink()
            docker("load", "--input", str(made))

    def _app(self, service: str) -> str:
        """Name of the image with the service's files, built when it is missing."""
        name = f"{LAYERS}-{service}:{self._keys[service]}"
        if not _exists(name):
            for layer in self._layers[service]:
                self._packages(*layer)
            arguments = [f"--build-arg={argument}={image}" for argument, image in self._bases[service].items()]
            with tempfile.TemporaryDirectory() as folder:
                context = Path(folder) / service
                shutil.copytree(HERE / service, context, ignore=shutil.ignore_patterns(*NOT_SHIPPED))
                build(context, name, *arguments)
        return name

    @staticmethod
    def _packages(name: str, base: str, packages: tuple[str, ...]) -> None:
        if _exists(name):
            return
        lines = [
            f"FROM {base}",
            "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y"
            f" --no-install-recommends {' '.join(packages)}"
            " && apt-get clean && rm -rf /var/lib/apt/lists/*",
        ]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")
            build(Path(folder), name)


def _exists(name: str) -> bool:
    return bool(docker("image", "ls", "--quiet", name).strip())


def main() -> None:
    """Build and print all names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", required=True, help="local Debian trixie image with working apt")
    parser.add_argument("--prefix", required=True, help="registry host and port of the names")
    choices = (*SERVICES, *FURTHER_SERVICES)
    parser.add_argument("--service", action="append", choices=choices, help="make this one instead of backend and frontend")
    arguments = parser.parse_args()

    services = arguments.service or SERVICES
    images = product_images(services)
    builder = Builder(arguments.base)
    present = local_images({image.repository(arguments.prefix) for image in images})
    for service in services:
        of_service = [image for image in images if image.service == service]
        names = {name: builder.key(image) for image in of_service for name in image.names(arguments.prefix)}
        if any(present.get(name) != key for name, key in names.items()):
            builder.build(service, of_service, arguments.prefix)
        for name in names:
            print(name, flush=True)


if __name__ == "__main__":
    main()
