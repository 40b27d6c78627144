# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack that a sysadmin started by hand from the vendor's compose file, with data in it."""

from __future__ import annotations

import json
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labrun.hosts import Host, lab_facts
from toolchain.places import ROOT

COMPOSE_FILE = ROOT / "tests" / "lab" / "vendor" / "docker-compose.yml"
#: The built-in super admin's documented name; its password is the stand-in's of dialect `a` (product-facts 1.7 [S:RTD]).
SUPERADMIN = ("toucantoco", "hakunamapikata")
BACKEND = "http://localhost:5000"
FRONTEND = "http://localhost:8000"


@dataclass(frozen=True)
class VendorStack:
    """The vendor's stack on a host: what its compose file says, and its API as it is reached on the host."""

    host: Host
    tag: str = "v100.1.0"
    #: Where the sysadmin keeps the compose file; its last part is the name of the Compose project.
    folder: str = "/opt/bi"
    storage: str = "/srv/bi/storage"
    encryption_secret: str = "chosen-by-hand-in-2021"
    #: Where the host reaches the backend.
    backend: str = BACKEND

    def compose_file(self) -> str:
        """The compose file's text."""
        lab = lab_facts()
        return string.Template(COMPOSE_FILE.read_text(encoding="utf-8").partition("\n\n")[2]).substitute(
            MONGO_IMAGE=lab["lab_service_images"]["mongodb"],
            REDIS_IMAGE=lab["lab_service_images"]["redis"],
            BACKEND_IMAGE=f"{lab['lab_product_images']['a']['backend']}:{self.tag}",
            FRONTEND_IMAGE=f"{lab['lab_product_images']['a']['frontend']}:{self.tag}",
            ENCRYPTION_SECRET=self.encryption_secret,
            STORAGE=self.storage,
        )

    def start(self) -> None:
        """Log in to the registry and start the stack, as a sysadmin does; wait until frontend and backend answer."""
        log_in_to_registry(self.host)
        self.host.shell(f"mkdir -p {self.folder} && cat > {self.folder}/docker-compose.yml", self.compose_file().encode())
        self.host.shell(f"cd {self.folder} && docker compose up --detach --quiet-pull")
        for url in (BACKEND, FRONTEND):
            self.host.shell(f"curl --silent --show-error --fail --output /dev/null --retry 90 --retry-delay 1 --retry-all-errors {url}/")

    def log_in(self) -> str:
        """A token of the super admin, for `api`."""
        username, password = SUPERADMIN
        return self.api("POST", "/login", {"username": username, "password": password})["token"]

    def api(self, method: str, path: str, body: Any = None, *, token: str = "") -> Any:
        """Answer (parsed JSON) of the backend, called on the host itself; `body` is sent as JSON."""
        sent = [] if body is None else [("header", "Content-Type: application/json"), ("data-binary", json.dumps(body))]
        return self._call(method, path, token, *sent)

    def fill(self) -> None:
        """Put data in: a small app with a configuration in MongoDB and a file in the storage, and a user."""
        token = self.log_in()
        self.api("POST", "/small-apps", {"name": "Sales 2021"}, token=token)
        self.api("PUT", "/sales-2021/config/etl", {"DATA_SOURCES": [{"domain": "shops", "file": "shops.csv"}]}, token=token)
        self.host.shell("cat > /tmp/shops.csv", b"city,sum\nParis,1\n")
        self._call("POST", "/sales-2021/data/sources", token, ("form", "file=@/tmp/shops.csv"))
        self.api("POST", "/users", {"username": "ann@example.com", "password": "Ann's own 2021", "roles": ["USER"]}, token=token)

    def content(self) -> dict[str, Any]:
        """What the stack holds, as its API and its storage tell; equal before and after what leaves data alone."""
        token = self.log_in()
        paths = {"small apps": "/small-apps", "configuration": "/sales-2021/config/etl", "files": "/sales-2021/data/sources", "users": "/users"}
        told = {name: self.api("GET", path, token=token) for name, path in paths.items()}
        return {**told, "storage": self.host.shell(f"cd {self.storage} && find . -type f -exec sha256sum {{}} + | sort")}

    def _call(self, method: str, path: str, token: str, *options: tuple[str, str]) -> Any:
        """Answer of the backend to one call of curl, whose options travel by standard input: passwords and tokens are among them."""
        lines = [("url", self.backend + path), ("request", method), *([("header", f"Authorization: Bearer {token}")] if token else []), *options]
        config = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines)
        return json.loads(self.host.shell("curl --silent --show-error --fail-with-body --config -", config.encode()))


def log_in_to_registry(host: Host) -> None:
    """Let the host's engine trust the lab's registry, and log in there."""
    lab = lab_facts()
    trust = f"/etc/docker/certs.d/{lab['lab_registry']}"
    host.shell(f"mkdir -p {trust} && cat > {trust}/ca.crt", Path(lab["lab_ca_file"]).read_bytes())
    host.shell(f"docker login --username {lab['lab_registry_username']} --password-stdin {lab['lab_registry']}", lab["lab_registry_password"].encode())
