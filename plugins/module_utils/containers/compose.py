# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose projects through the ``docker compose`` plugin; the one file that imports PyYAML."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..core.errors import Failure
from ..core.files import read_bytes

try:
    import yaml
except ImportError:
    yaml = None  # type: ignore[assignment]

_BANNER = "# Managed by the Ansible collection toucan.selfhosted: changes made here by hand are undone by its next run.\n"


def to_yaml(definition: Mapping[str, Any]) -> bytes:
    """A compose file as people read it. Every text value is quoted: what PyYAML takes for a text, compose may take for a number."""
    return (_BANNER + yaml.dump(_quoted(definition), Dumper=_dumper(), sort_keys=False, default_flow_style=False, width=1000, allow_unicode=True)).encode()


class _Quoted(str):
    """A text that is written between quotes."""


def _quoted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_quoted(item) for item in value]
    return _Quoted(value) if isinstance(value, str) else value


def _dumper() -> Any:
    class Dumper(yaml.SafeDumper):
        """Knows how to write a quoted text."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    Dumper.add_representer(_Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"'))
    return Dumper


def read_yaml(path: str) -> Optional[dict[str, Any]]:
    """The mapping in a compose file of this collection, or ``None`` where there is no file. :raises Failure: when it is damaged."""
    value = read_foreign_yaml(path)
    if value is None and read_bytes(path) is None:
        return None
    damaged = _damaged_part(value)
    if damaged:
        raise Failure(f"The compose file {path} {damaged}", "correct it, or move it away", subject=path)
    return value


def read_foreign_yaml(path: str) -> Any:
    """Whatever stands in a compose file that somebody else wrote, or ``None`` where there is none. :raises Failure: when it is no YAML."""
    content = read_bytes(path)
    if content is None:
        return None
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        # The error's own text quotes the line, which may hold a secret.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise Failure(f"The compose file {path} is not valid YAML{where}", "correct it, or move it away", subject=path) from error


def _damaged_part(value: Any) -> str:
    """What is not as this collection writes it, after a file was edited by hand; empty where all is well."""
    if not isinstance(value, dict):
        return "holds no mapping"
    services = value.get("services", {})
    if not isinstance(services, dict):
        return "holds no mapping at services"
    for name, service in services.items():
        if not isinstance(service, dict):
            return f"holds no mapping at services.{name}"
        if not isinstance(service.get("image", ""), str):
            return f"holds no text at services.{name}.image"
        if not isinstance(service.get("environment", {}), dict):
            return f"holds no mapping at services.{name}.environment"
        volumes = service.get("volumes", [])
        if not isinstance(volumes, list) or not all(isinstance(volume, str) and ":" in volume for volume in volumes):
            return f"holds other volumes than `FOLDER:PATH` at services.{name}"
    return ""


class ComposeProject:
    """A project by name and folder."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        self.folder = folder

    def hashes(self, definition: Mapping[str, Any]) -> dict[str, str]:
        """The configuration hash by service that compose itself compares to decide whether a container is created anew.

        The definition goes in by standard input, so that secrets touch neither disk nor argv.
        """
        output = self._run(["--file", "-", "config", "--hash", "*"], text=to_yaml(definition).decode())
        return dict(line.split() for line in output.splitlines() if line.strip())

    def up(self, service: str, recreate: bool) -> None:
        """Create or start one service from the files in the folder, from images that are here already.

        Not with ``--no-deps``: compose would leave the dependencies out of the hash that it labels the container with.
        """
        self._run(["up", "--detach", "--no-build", "--pull", "never", *(["--force-recreate"] if recreate else []), service])

    def start(self, service: str) -> None:
        """Start one service, and what it depends on, as they are: only what has no container is created from the files in the folder."""
        self._run(["up", "--detach", "--no-build", "--pull", "never", "--no-recreate", service])

    def _run(self, arguments: Sequence[str], text: str = "") -> str:
        argv = ["docker", "compose", "--project-name", self.name, "--project-directory", self.folder, *arguments]
        # The folder may not exist yet when a plan is made.
        folder = self.folder if os.path.isdir(self.folder) else "/"
        try:
            # The library runs without Ansible too, so there is no run_command.
            done = subprocess.run(argv, input=text, capture_output=True, text=True, cwd=folder, check=False)  # pylint: disable=ansible-bad-function
        except FileNotFoundError as error:
            raise Failure("The program `docker` is missing on this host", "run role `toucan_host` first", subject="docker") from error
        if done.returncode:
            answer = (done.stderr or done.stdout).strip()
            raise Failure(
                f"`docker compose {arguments[0]}` of project {self.name} failed: {_last_line(answer)}",
                f"read the whole answer in `failure.answer`, and the project in {self.folder}",
                subject=self.name,
                answer=answer,
            )
        return done.stdout


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"
