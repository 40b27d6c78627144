# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of the vendor's toolbox, called as a sysadmin calls it, and the lab's own reader and writer of dumps beside it."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymongo
from pymongo.errors import PyMongoError

from .hosts import lab_facts
from .pieces import lab_piece

LABEL = ("--label", "test.lab.toucan=toolbox")
TAG = "v101.1.0"
USERNAME, PASSWORD = "root", "a password: @/%+ of the tests"
CONTAINER_SECONDS = 300
SERVER_SECONDS = 90
#: On the backend stand-in's own code: `apps` and `instance` are what a program after it works on.
BACKEND_PROGRAM = """
import json, os
from standin.config import Config, toucan_variables
from standin.database import InstanceDatabases, connect_mongodb
from standin.identity import read_dialect, read_release
from standin.migrations import migrate
from standin.small_apps import SmallApps
config, dialect = Config(toucan_variables(os.environ)), read_dialect()
databases = InstanceDatabases(connect_mongodb(config, dialect), config, dialect)
apps, instance = SmallApps(databases), databases.instance
"""


@dataclass(frozen=True)
class Server:
    """A MongoDB of the lab in a container of its own, with a login."""

    container: str
    address: str

    def client(self) -> pymongo.MongoClient[Any]:
        """A client on this machine, which is no part of the lab's network and reaches it."""
        return pymongo.MongoClient(self.address, username=USERNAME, password=PASSWORD, serverSelectionTimeoutMS=5000)

    @property
    def uri(self) -> str:
        """Connection string as containers in the lab's network write it."""
        return f"mongodb://{USERNAME}:{quote(PASSWORD, safe='')}@{self.container}:27017/"


@contextmanager
def mongodb_server() -> Iterator[Server]:
    """A fresh server that answers, for as long as the block runs."""
    container = f"toucan-lab-toolbox-{uuid.uuid4().hex[:8]}"
    variables = {"MONGO_INITDB_ROOT_USERNAME": USERNAME, "MONGO_INITDB_ROOT_PASSWORD": PASSWORD}
    image = lab_facts()["lab_service_images"]["mongodb"]
    try:
        _docker("run", "--detach", "--name", container, *_in_the_lab(variables), image, variables=variables)
        address = _docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
        server = Server(container, address)
        _wait_for(server)
        yield server
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=False)


@dataclass(frozen=True)
class Instance:
    """An instance of the product as the toolbox sees it: a server, a folder of storage, and a name (of which dialect `b` knows nothing)."""

    dialect: str
    server: Server
    storage: Path
    name: str = "main"

    @property
    def told(self) -> dict[str, Any]:
        """What is known of the toolbox in this dialect."""
        return lab_piece("toolbox")[self.dialect]

    @property
    def variables(self) -> dict[str, str]:
        """The toolbox's variables by the dialect's names."""
        values = {"host": self.server.container, "port": "27017", "user": USERNAME, "password": PASSWORD, "uri": self.server.uri}
        return {**{name: values[part] for part, name in self.told["mongodb_variables"].items()}, "TOUCAN_INSTANCE_NAME": self.name}

    def database(self, small_app: str) -> str:
        """Name of a small app's database."""
        return f"{self.name}-{small_app}" if self.dialect == "a" else f"laputa_app_{small_app}"

    def toolbox(self, *command: str, output: Path, tag: str = TAG, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the toolbox with folder `output` as its /tmp."""
        options = ("--volume", f"{output}:/tmp", "--volume", f"{self.storage}:/storage")
        return run_container(f"{self.told['image']}:{tag}", *command, options=options, variables={**self.variables, **variables})

    def export(self, output: Path, **variables: str) -> Path:
        """Folder of an export's dump."""
        done = self.toolbox(*self.told["export_command"], output=output, **variables)
        assert done.returncode == 0, done.stderr
        return output / Path(done.stdout.strip()).name

    def restore(self, dump: Path, **variables: str) -> str:
        """Restore a dump; what the toolbox said on standard error."""
        done = self.toolbox("toucan_restore", f"/tmp/{dump.name}", "/storage", output=dump.parent, **variables)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def backend(self, program: str) -> Any:
        """What a Python program on the backend's own code prints, which is JSON."""
        variables = {"TOUCAN_INSTANCE_NAME": self.name, **self._backend_mongodb()}
        image = f"{lab_facts()['lab_product_images'][self.dialect]['backend']}:{TAG}"
        options = ("--entrypoint", "python3", "--volume", f"{self.storage}:/app/storage")
        done = run_container(image, "-c", BACKEND_PROGRAM + program, options=options, variables=variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _backend_mongodb(self) -> dict[str, str]:
        if self.dialect == "b":
            return {"TOUCAN_MONGODB_HOST": self.server.uri}
        return {"TOUCAN_MONGODB_HOST": self.server.container, "TOUCAN_MONGODB_USER": USERNAME, "TOUCAN_MONGODB_PASS": PASSWORD}


def read_dump(dump: Path) -> subprocess.CompletedProcess[str]:
    """Let the lab's reader, which is on the official Node.js driver's `bson`, tell as JSON what a dump holds."""
    return _tool("read_dump.js", dump, "")


def write_dump(dump: Path, content: Mapping[str, Any]) -> Path:
    """Let the lab's writer make a dump; for `content` see its head."""
    done = _tool("write_dump.js", dump, json.dumps(content))
    assert done.returncode == 0, done.stderr
    return dump


def run_container(
    image: str, *command: str, options: Sequence[str] = (), variables: Mapping[str, str] | None = None, stdin: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a container to its end in the lab's network. Values of variables stand in no command line."""
    given = variables or {}
    argv = ["docker", "run", "--rm", "--interactive", *_in_the_lab(given), *options, image, *command]
    return subprocess.run(argv, input=stdin, env={**os.environ, **given}, capture_output=True, text=True, check=False, timeout=CONTAINER_SECONDS)


def _tool(name: str, dump: Path, stdin: str) -> subprocess.CompletedProcess[str]:
    image = f"{lab_piece('toolbox')['a']['image']}:{TAG}"
    options = ("--entrypoint", "node", "--volume", f"{dump.parent}:/dumps")
    return run_container(image, f"/app/tools/{name}", f"/dumps/{dump.name}", options=options, stdin=stdin)


def _in_the_lab(variables: Mapping[str, str]) -> list[str]:
    names = [item for name in variables for item in ("--env", name)]
    return [*LABEL, "--network", lab_facts()["lab_network"], *names]


def _docker(*arguments: str, variables: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(["docker", *arguments], env={**os.environ, **(variables or {})}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _wait_for(server: Server) -> None:
    """Return when a server takes the login."""
    deadline = time.monotonic() + SERVER_SECONDS
    while True:
        try:
            with server.client() as client:
                client.list_database_names()
            return
        except PyMongoError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
