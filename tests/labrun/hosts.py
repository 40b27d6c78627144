# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the lab: shell on them, playbooks against them."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from toolchain.places import CACHE, ROOT

LAB = CACHE / "lab"
PLAYBOOK_SECONDS = 900
#: What a host is, for a comparison of before and after; what logs, caches and time change is left out.
LISTING = (
    "find /etc /opt /root /srv /usr /var -xdev"
    " \\( -path /var/log -o -path /var/tmp -o -path /root/.ansible -o -path /var/lib/systemd -o -path /var/cache/apt/pkgcache.bin"
    " -o -path /var/cache/apt/srcpkgcache.bin -o -path /var/lib/docker -o -path /var/lib/containerd -o -path /var/lib/toucan/mongodb \\) -prune"
    " -o -type d -printf '%p %m %U %G\\n' -o -printf '%p %s %m %U %G %T@\\n' | sort"
)
CONTAINERS = "docker ps --all --no-trunc --format '{{.ID}} {{.Names}} {{.Image}} {{.State}}' | sort"
#: All that an engine holds.
ENGINE = (
    f"{CONTAINERS}; docker image ls --all --digests --no-trunc --format '{{{{.ID}}}} {{{{.Repository}}}}:{{{{.Tag}}}}@{{{{.Digest}}}}' | sort;"
    " docker network ls --no-trunc --format '{{.ID}} {{.Name}}' | sort; docker volume ls --format '{{.Name}}' | sort"
)


@functools.cache
def lab_facts() -> dict[str, Any]:
    """What `lab.py` says of the lab that is up."""
    path = LAB / "vars.yml"
    assert path.exists(), "the lab is not up: run `make lab-up`"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def lab_command(*arguments: str) -> None:
    """Run `lab.py`."""
    done = subprocess.run([sys.executable, ROOT / "tests" / "lab" / "lab.py", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


def user_shell(command: str, stdin: bytes | None = None) -> str:
    """Output of a shell command on a user's machine: in the lab's network, trusting the lab's CA, knowing nothing else."""
    done = subprocess.run(["docker", "exec", "-i", "toucan-lab-client", "sh", "-c", command], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout.decode()} {done.stderr.decode()}"
    return done.stdout.decode()


@dataclass(frozen=True)
class Run:
    """What one run of a playbook against one host gave."""

    host: str
    code: int
    output: str

    @property
    def text(self) -> str:
        """The output with white space folded, so that a sentence can be found across line breaks."""
        return re.sub(r"\s+", " ", self.output)

    @property
    def recap(self) -> dict[str, int]:
        """The counts of the host's last line."""
        return self.recap_of(self.host)

    def recap_of(self, host: str) -> dict[str, int]:
        """The counts of the last line of a host."""
        line = re.search(rf"^{host} +: (.*)$", self.output, re.MULTILINE)
        assert line, self.output
        return {name: int(count) for name, count in (pair.split("=") for pair in line[1].split())}

    def succeeded(self) -> Run:
        """This run, if nothing failed."""
        assert self.code == 0, self.output
        return self

    def unchanged(self) -> Run:
        """This run, if it succeeded and changed nothing."""
        return self.unchanged_on(self.host)

    def unchanged_on(self, host: str) -> Run:
        """This run, if it succeeded and changed nothing on that host."""
        assert self.succeeded().recap_of(host)["changed"] == 0, self.output
        return self

    def refused(self, *words: str) -> Run:
        """This run, if it failed with all of `words` in what it said, and without a traceback."""
        assert self.code != 0, self.output
        assert [word for word in words if word not in self.text] == [], self.output
        assert "Traceback" not in self.output, self.output
        return self


class Plays:
    """What runs playbooks can run tasks and roles as well."""

    def playbook(self, playbook: str | Path, *arguments: str, variables: Mapping[str, Any] | None = None) -> Run:
        """Run a playbook, with extra variables from a file."""
        raise NotImplementedError

    def play(self, tasks: Sequence[Mapping[str, Any]], *arguments: str, variables: Mapping[str, Any] | None = None) -> Run:
        """Run tasks."""
        play = {"name": "Play", "hosts": "toucan", "gather_facts": False, "tasks": list(tasks)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "play.yml")
            path.write_text(yaml.safe_dump([play]), encoding="utf-8")
            return self.playbook(path, *arguments, variables=variables)

    def role(self, role: str, *arguments: str, variables: Mapping[str, Any] | None = None) -> Run:
        """Run one role of the collection."""
        task = {"name": "Apply the role", "ansible.builtin.import_role": {"name": f"toucan.selfhosted.{role}"}}
        return self.play([task], *arguments, variables=variables)


@dataclass(frozen=True)
class Host(Plays):
    """One host of the lab; in the inventory it is in `toucan` and in those `groups` that say what it runs.

    The hosts `beside` it are in `toucan` alone; a playbook runs against them too.
    """

    name: str
    groups: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Its address in the lab's network."""
        return self._inventory()["all"]["children"]["toucan"]["hosts"][self.name]["ansible_host"]

    def shell(self, command: str, stdin: bytes | None = None) -> str:
        """Output of a shell command on the host."""
        done = subprocess.run(["ssh", "-F", str(LAB / "ssh_config"), self.name, command], input=stdin, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout.decode()} {done.stderr.decode()}"
        return done.stdout.decode()

    def state(self) -> dict[str, Any]:
        """The state file."""
        return json.loads(self.shell("cat /etc/toucan/stack.json"))

    def containers(self) -> dict[str, str]:
        """ID by name of every container."""
        lines = self.shell("docker ps -a --no-trunc --format '{{.Names}} {{.ID}}'").splitlines()
        return dict(line.split() for line in lines)

    def playbook(self, playbook: str | Path, *arguments: str, variables: Mapping[str, Any] | None = None, ansible: Path | None = None) -> Run:
        """Run a playbook against this host alone, with extra variables from a file.

        :param ansible: folder with another `ansible-playbook` than the one of this interpreter.
        """
        return run_playbook(self._inventory(), self.name, playbook, *arguments, variables=variables, ansible=ansible)

    def site(self, *arguments: str, ansible: Path | None = None, **variables: Any) -> Run:
        """Run `site.yml` against this host alone, with the lab's product unless `variables` say otherwise; `ansible` as of `playbook`."""
        return self.playbook(ROOT / "playbooks" / "site.yml", *arguments, variables={**site_variables(), **variables}, ansible=ansible)

    def _inventory(self) -> dict[str, Any]:
        """The lab's inventory with this host and those beside it: what others are in the middle of does not matter."""
        inventory = yaml.safe_load((LAB / "inventory.yml").read_text(encoding="utf-8"))
        group = inventory["all"]["children"]["toucan"]
        group["hosts"] = {name: group["hosts"][name] for name in (self.name, *self.beside)}
        group["children"] = {name: {"hosts": {self.name: {}}} for name in self.groups}
        return inventory


@dataclass(frozen=True)
class Stack(Plays):
    """A stack on several hosts.

    :param groups: by host, those that it is in beside `toucan`.
    :param own: by host, variables of its own.
    """

    groups: Mapping[str, Sequence[str]]
    own: Mapping[str, Mapping[str, Any]]

    def host(self, name: str) -> Host:
        """One of them."""
        return Host(name)

    def playbook(self, playbook: str | Path, *arguments: str, variables: Mapping[str, Any] | None = None) -> Run:
        """Run a playbook against all of them, with extra variables from a file."""
        inventory = yaml.safe_load((LAB / "inventory.yml").read_text(encoding="utf-8"))
        group = inventory["all"]["children"]["toucan"]
        group["hosts"] = {name: {**group["hosts"][name], **self.own.get(name, {})} for name in self.groups}
        names = {name for groups in self.groups.values() for name in groups}
        group["children"] = {name: {"hosts": {host: {} for host, groups in self.groups.items() if name in groups}} for name in sorted(names)}
        return run_playbook(inventory, next(iter(self.groups)), playbook, *arguments, variables=variables)

    def site(self, *arguments: str, **variables: Any) -> Run:
        """Run `site.yml` against all of them, with the lab's product unless `variables` say otherwise."""
        return self.playbook(ROOT / "playbooks" / "site.yml", *arguments, variables={**site_variables(), **variables})

    def changes(self, run: Run) -> dict[str, int]:
        """How many tasks changed something, by host."""
        return {name: run.recap_of(name)["changed"] for name in self.groups}


def run_playbook(
    inventory: Mapping[str, Any],
    host: str,
    playbook: str | Path,
    *arguments: str,
    variables: Mapping[str, Any] | None = None,
    ansible: Path | None = None,
) -> Run:
    """Run a playbook with an inventory of its own, and extra variables from a file.

    :param host: the one whose recap the result tells first.
    :param ansible: folder with another `ansible-playbook` than the one of this interpreter.
    """
    with tempfile.TemporaryDirectory() as folder:
        hosts, extra = Path(folder, "inventory.yml"), Path(folder, "variables.json")
        hosts.write_text(yaml.safe_dump(dict(inventory)), encoding="utf-8")
        extra.write_text(json.dumps(dict(variables or {})), encoding="utf-8")
        extra.chmod(0o600)
        program = (ansible or Path(sys.executable).parent) / "ansible-playbook"
        done = subprocess.run(
            [program, "-i", hosts, "-e", f"@{extra}", *arguments, playbook],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PLAYBOOK_SECONDS,
            check=False,
        )
    return Run(host, done.returncode, done.stdout.decode())


def fresh_host(name: str, image: str = "ready") -> Host:
    """A host of that name just made from an image of the lab: `bare`, `ready` (with Docker) or `bookworm`."""
    lab_command("recreate", name, "--image", image)
    return Host(name)


def site_variables(dialect: str = "a") -> dict[str, Any]:
    """What a sysadmin would write into the inventory for the lab's product."""
    lab = lab_facts()
    certificate = lab["lab_certificates"]["product"]
    return {
        "toucan_release": "v101.1.0",
        "toucan_frontend_url": lab["lab_frontend_url"],
        "toucan_backend_url": lab["lab_backend_url"],
        "toucan_ca_file": lab["lab_ca_file"],
        "toucan_registry": {
            "name": lab["lab_product_images"][dialect]["backend"].rpartition("/")[0],
            "username": lab["lab_registry_username"],
            "password": lab["lab_registry_password"],
        },
        "toucan_stack_images": {kind: lab["lab_service_images"][kind] for kind in ("mongodb", "redis")},
        "toucan_stack_start_timeout": 120,
        "toucan_proxy_image": lab["lab_service_images"]["caddy"],
        "toucan_proxy_certificate": Path(certificate["certificate"]).read_text(encoding="utf-8"),
        "toucan_proxy_key": Path(certificate["key"]).read_text(encoding="utf-8"),
    }
