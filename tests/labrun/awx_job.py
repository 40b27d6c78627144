# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a playbook as AWX runs a job: ansible-runner in a container, a user without rights, a project that nobody can write to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.places import ROOT

from .awx_rules import credential_type, extra_vars_file, inject
from .hosts import LAB, PLAYBOOK_SECONDS, Host, Run

WRAPPER = ROOT / "docs" / "awx"
#: User and group of the jobs.
RUNNER = (1000, 0)
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Controller:
    """What AWX has after it updated the project: a checkout, its collections beside it, and an execution environment."""

    folder: Path
    image: str

    @property
    def project(self) -> Path:
        """The checkout of the project."""
        return self.folder / "project"

    @property
    def collections(self) -> Path:
        """What `collections/requirements.yml` of the project led to."""
        return self.folder / "requirements_collections"

    def container(self, job: Path, command: Sequence[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command in the execution environment, on a job's folder, with a home that is gone afterwards and nobody to ask."""
        variables = {
            "HOME": "/home/runner",
            "ANSIBLE_COLLECTIONS_PATH": "/runner/requirements_collections",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": "/runner/cp",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            **(environment or {}),
        }
        words = [
            *("docker", "run", "--rm", "--init", "--network", "toucan-lab", "--read-only", "--cap-drop", "ALL"),
            *("--tmpfs", "/tmp", "--tmpfs", f"/home/runner:uid={RUNNER[0]},mode=700"),
            *("--volume", f"{job}:/runner", "--volume", f"{self.project}:/runner/project:ro"),
            *("--volume", f"{self.collections}:/runner/requirements_collections:ro"),
            *(word for name, value in variables.items() for word in ("--env", f"{name}={value}")),
        ]
        return subprocess.run(
            [*words, self.image, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PLAYBOOK_SECONDS,
            check=False,
        )


@dataclass(frozen=True)
class Job:
    """One launch: a playbook of the project, extra variables, and credentials (name of the type, and its inputs)."""

    playbook: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    def run(self, controller: Controller, host: Host, inventory: Mapping[str, Any], folder: Path) -> Run:
        """Run it against one host in `folder`, which is made anew, with what stands in the inventory."""
        environment = self._write(folder, host, inventory)
        done = controller.container(folder, ["ansible-runner", "run", "/runner", "--playbook", self.playbook, "--ident", "1"], environment)
        return Run(host.name, done.returncode, _COLORS.sub("", done.stdout.decode()))

    def _write(self, folder: Path, host: Host, inventory: Mapping[str, Any]) -> dict[str, str]:
        """Write the job's folder; returns the variables of its environment."""
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("env", "inventory", "artifacts", "cp", "project", "requirements_collections"):
            (folder / name).mkdir(parents=True)
        words = ["-u", "root", *self.arguments]
        environment: dict[str, str] = {}
        for number, (name, inputs) in enumerate(self.credentials.items()):
            injected = inject(credential_type(name), inputs)
            environment.update(injected.environment)
            for path, text in injected.files.items():
                (folder / path).write_text(text, encoding="utf-8")
            (folder / "env" / f"credential-{number}").write_text(extra_vars_file(injected.extra_vars), encoding="utf-8")
            words += ["-e", f"@/runner/env/credential-{number}"]
        (folder / "env" / "extravars").write_text(extra_vars_file({"awx_job_id": 1, **self.variables}), encoding="utf-8")
        (folder / "env" / "cmdline").write_text(" ".join(words), encoding="utf-8")
        (folder / "env" / "ssh_key").write_bytes((LAB / "ssh" / "id_ed25519").read_bytes())
        script = folder / "inventory" / "hosts"
        script.write_text(f"#! /usr/bin/env python3\nprint({json.dumps(_hosts(host, inventory))!r})\n", encoding="utf-8")
        script.chmod(0o700)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *RUNNER)
            path.chmod(path.stat().st_mode & 0o700)
        return environment


def _hosts(host: Host, variables: Mapping[str, Any]) -> dict[str, Any]:
    """What the script that AWX makes of an inventory prints."""
    return {
        "all": {"children": ["toucan"], "vars": dict(variables)},
        "toucan": {"hosts": [host.name]},
        "_meta": {"hostvars": {host.name: {"ansible_host": host.address, "remote_tower_enabled": "true", "remote_tower_id": 1}}},
    }
