# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caddy's files and its container on one host: what every step of a change does to them."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable

from ..containers.compose import ComposeProject
from ..containers.docker_engine import Container, DockerEngine
from ..core.errors import Failure
from ..core.files import json_bytes, read_bytes, read_json, write_atomic
from ..core.folders import Folder, make_folder
from . import acme
from . import caddyfile as caddy

# What a run compares with what is wanted.
_SOURCES = {
    caddy.CADDYFILE: 0o444,
    caddy.CERTIFICATE: 0o444,
    caddy.KEY: 0o400,
    acme.SERVER_CA: 0o444,
    acme.BINDING: 0o400,
    acme.ACCOUNT_KEY: 0o400,
}
_MODES = {**_SOURCES, caddy.ADAPTED: 0o400}
_SECRET = 0o400


class Installation:
    """The folder and the container of Caddy.

    :param connect: gives the connection to Docker; called only by methods that need it.
    """

    def __init__(self, options: caddy.ProxyOptions, connect: Callable[[], DockerEngine]) -> None:
        self.project = ComposeProject(options.project, options.directory)
        self.asked_at = 0.0  # when Caddy was last asked to take a configuration, in seconds since 1970
        self._options = options
        self._connect = connect

    @functools.cached_property
    def docker(self) -> DockerEngine:
        return self._connect()

    def container(self) -> Container:
        """The container of Caddy. :raises Failure: where there is none, because somebody removed it meanwhile."""
        for container in self.docker.containers(self.project.name):
            return container
        raise Failure("Caddy's container is gone", "run again, which creates it", subject=self.project.name)

    # -- files ------------------------------------------------------------------------------------------------------------------

    def path(self, relative: str) -> str:
        """A path below the folder of the compose project."""
        return os.path.join(self._options.directory, relative)

    def read(self, folder: str) -> dict[str, str]:
        """The files of a configuration by name, without what follows from them."""
        found = {name: read_bytes(self.path(f"{folder}/{name}")) for name in _SOURCES}
        return {name: content.decode(errors="replace") for name, content in found.items() if content is not None}

    def write(self, folder: str, files: Mapping[str, str]) -> None:
        """Write files for Caddy, each readable by it alone where it is secret."""
        make_folder(Folder(self.path(folder), self._options.owner, "0700"))
        for name, content in files.items():
            write_atomic(self.path(f"{folder}/{name}"), content.encode(), _MODES.get(name, _SECRET), self._options.owner)

    def remove_others(self, folder: str, files: Collection[str]) -> None:
        """Remove what an earlier configuration had and ``files`` do not name."""
        for name in set(_MODES) - set(files):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path(f"{folder}/{name}"))

    def clear(self, folder: str, keep: Collection[str] = ()) -> None:
        """Remove a folder if it is there, or all but ``keep`` in it."""
        if not keep:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.path(folder))
            return
        for name in set(os.listdir(self.path(folder))) - set(keep):
            os.unlink(self.path(f"{folder}/{name}"))

    def record(self) -> dict[str, Any]:
        """What was written of the configuration that the running Caddy took; empty before the first."""
        return read_json(self.path(caddy.LOADED)) or {}

    def write_record(self, record: Mapping[str, Any]) -> None:
        write_atomic(self.path(caddy.LOADED), json_bytes(record), mode=0o600)

    # -- Caddy ------------------------------------------------------------------------------------------------------------------

    def run_apart(self, image: str, command: Sequence[str], folder: str = "") -> tuple[int, str]:
        """Run Caddy in a container of its own, with ``folder`` as its configuration. :returns: exit code and output."""
        mounts = {self.path(folder): caddy.CONFIG_MOUNT} if folder else {}
        return self.docker.run_once(image, command, mounts, "{}:{}".format(*self._options.owner), [caddy.CAPABILITY])

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Run Caddy's program inside its container. :returns: exit code and output."""
        return self.docker.run(self.container().id, command)

    def up(self, recreate: bool) -> None:
        """Create or start the container from the files that are live."""
        self.asked_at = time.time()
        self.project.up(caddy.SERVICE, recreate)

    def reload(self, name: str) -> None:
        """Have the running Caddy take the configuration ``name``. :raises Failure: when it keeps the former one."""
        self.asked_at = time.time()
        code, text = self.run(caddy.reload_command(name))
        if code:
            raise Failure(
                f"Caddy did not take the new configuration: {last_error(text)}",
                "it keeps serving with the former one; correct what it says and run again",
                subject=self.project.name,
                answer=text,
            )


def adapted(answer: tuple[int, str], mount: str) -> str:
    """Caddy's own JSON with the account key, from exit code and output of ``caddy adapt``.

    :param mount: folder of the configuration in Caddy's container.
    :raises Failure: when Caddy does not understand its Caddyfile.
    """
    code, text = answer
    if code:
        raise Failure(f"Caddy does not understand its new configuration: {last_error(text)}", "correct what it says; the former one is in use", answer=text)
    return acme.with_account_key(text, f"{mount}/{acme.ACCOUNT_KEY}")


def last_error(text: str) -> str:
    """The line of Caddy's output that says why it failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no output"])[-1]
