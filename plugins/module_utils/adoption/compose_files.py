# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a stack was once started from. What runs is taken from its containers; here is only seen whether the files still fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from ..containers.compose import read_foreign_yaml
from ..containers.inspection import Inspected
from ..core.errors import Failure
from ..core.files import read_bytes
from .candidates import Candidate

_REMEDY = "put it right, or set `toucan_adopt_ignore_files: true` to go by what the containers say"


def missing_files(stack: Candidate) -> list[str]:
    """Compose files that the containers name and that are gone.

    :raises Failure: when a compose file, or an env file that it names, cannot be read: the stack could then not be started anew as it runs.
    """
    missing = []
    for path, container in _compose_files(stack).items():
        definition = read_foreign_yaml(path)
        if definition is None:
            missing.append(path)
        for service, env_file in _env_files(definition, container.working_directory):
            _refuse_unreadable(env_file, path, service)
    return missing


def _compose_files(stack: Candidate) -> dict[str, Inspected]:
    return {path: container for container in stack.containers.values() for path in container.compose_files if path.startswith("/")}


def _env_files(definition: Any, folder: str) -> Iterator[tuple[str, str]]:
    """Service and path of each env file that must be there. A path that compose fills in is unknown here."""
    services = definition.get("services") if isinstance(definition, dict) else None
    for name, service in (services if isinstance(services, dict) else {}).items():
        named = (service.get("env_file") if isinstance(service, dict) else None) or []
        for item in [named] if isinstance(named, (str, dict)) else named:
            path, required = (item.get("path", ""), item.get("required", True)) if isinstance(item, dict) else (str(item), True)
            if path and required and "$" not in path:
                yield str(name), os.path.join(folder, path)


def _refuse_unreadable(path: str, compose_file: str, service: str) -> None:
    """:raises Failure: when an env file is missing, is no file, or is no text."""
    try:
        content = read_bytes(path)
        fault = "it is missing" if content is None else ""
        (content or b"").decode()
    except Failure as failure:
        fault = failure.problem.rpartition(": ")[2]
    except UnicodeDecodeError:
        fault = "it is no text in UTF-8"
    if fault:
        raise Failure(f"The env file {path}, which {compose_file} names for service {service}, cannot be read: {fault}", _REMEDY, subject=path)
