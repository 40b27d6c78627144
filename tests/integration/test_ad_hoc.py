# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program `ansible`, from a checkout, against a host that is there and one that is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest
import yaml

from labrun.hosts import LAB, Host, Run
from toolchain.places import ROOT

UNREACHABLE = "nowhere"
#: Exit code of Ansible where a host could not be reached and none failed.
EXIT_UNREACHABLE = 4
SECONDS = 120


@pytest.fixture(scope="module")
def inventory(deployed: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's inventory with the host that runs the product, and one at an address that nobody has."""
    lab = yaml.safe_load((LAB / "inventory.yml").read_text(encoding="utf-8"))
    lab["all"]["children"]["toucan"]["hosts"] = {
        deployed.name: {"ansible_host": deployed.address},
        UNREACHABLE: {"ansible_host": nobodys_address(deployed)},
    }
    path = tmp_path_factory.mktemp("ad-hoc") / "inventory.yml"
    path.write_text(yaml.safe_dump(lab), encoding="utf-8")
    return path


def nobodys_address(host: Host) -> str:
    """The last address beside a host's in the lab's network, which the lab gives to nobody."""
    return str(ip_network(f"{host.address}/24", strict=False)[-2])


def ansible(host: Host, inventory: Path, *arguments: str) -> Run:
    """What `ansible` says when it is called in the checkout, with nothing but the checkout's own settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible"), "-i", inventory, *arguments],
        cwd=ROOT,
        env={**environment, "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return Run(host.name, done.returncode, done.stdout.decode())


@pytest.mark.parametrize("module", ["toucan_version", "toucan.selfhosted.toucan_version"])
def test_the_versions_of_all_hosts_are_told_and_who_cannot_be_reached_is_named(deployed: Host, inventory: Path, module: str) -> None:
    before = deployed.containers()
    run = ansible(deployed, inventory, "all", "-m", module)
    assert run.code == EXIT_UNREACHABLE, run.output
    told, lost = (said(run.output, name) for name in (deployed.name, UNREACHABLE))
    assert told.startswith(f"{deployed.name} | SUCCESS => ")
    assert "Frontend v101.1.0 and backend v101.1.0 fit together." in told
    assert told.count("source: url") == 2, told
    assert "changed: false" in told
    assert lost.startswith(f"{UNREACHABLE} | UNREACHABLE! => ")
    assert nobodys_address(deployed) in lost
    assert "Traceback" not in run.output
    assert deployed.containers() == before


def test_a_service_is_looked_after_ad_hoc(deployed: Host, inventory: Path) -> None:
    before = deployed.containers()
    run = ansible(deployed, inventory, deployed.name, "--become", "-m", "toucan_service", "-a", "state=stopped services=frontend,redis", "--check")
    told = said(run.output, deployed.name)
    assert told.startswith(f"{deployed.name} | CHANGED => ")
    assert re.findall(r"id: (service\S+)", told) == ["service.remove:frontend", "service.remove:redis"], told
    assert deployed.containers() == before


def said(output: str, host: str) -> str:
    """What one host said: from the line that its name begins to the next host's."""
    lines = output.splitlines()
    starts = [index for index, line in enumerate(lines) if " | " in line and not line.startswith(" ")]
    start = next(index for index in starts if lines[index].startswith(f"{host} | "))
    return "\n".join(lines[start : next((index for index in starts if index > start), len(lines))])
