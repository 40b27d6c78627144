# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job, shown: a bare host becomes the product over ssh, a user logs in, and a second run changes nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labrun.hosts import LAB, Host, Run, lab_command, lab_facts, site_variables, user_shell
from toolchain.places import ROOT

HOST = "host1"
#: How a terminal is told of a colour.
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def main() -> int:
    """Run the demonstration. :returns: exit code."""
    # What Ansible prints comes between our own lines, also where the output is a file.
    sys.stdout.reconfigure(line_buffering=True)
    told("The lab: a registry, a user's machine and a bare Debian 13 host, reached over ssh")
    lab_command("up", "--hosts", "1", "--image", "bare")
    lab_command("recreate", HOST, "--image", "bare")
    variables = write_variables()
    host = Host(HOST)

    told("site.yml against the bare host")
    if playbook(variables).code != 0:
        return 1

    told("What a user sees, certificate verified by the lab's CA")
    lab = lab_facts()
    for label, url in (("frontend", f"{lab['lab_frontend_url']}/tucana-version.txt"), ("backend", lab["lab_backend_url"])):
        print(f"{label:<10} {url}  {user_shell(f'curl --silent --show-error --fail {url}').strip()}")
    print(f"{'login':<10} {log_in(host, lab['lab_backend_url'])}")

    told("ansible -m toucan.selfhosted.toucan_version")
    if ansible("ansible", HOST, "-m", "toucan.selfhosted.toucan_version").code != 0:
        return 1

    told("A second run of site.yml")
    second = playbook(variables)
    if second.code != 0:
        return 1
    if second.recap["changed"]:
        print(f"\nThe second run of site.yml changed {second.recap['changed']} things on {HOST}, and should have changed none; see its tasks above.")
        return 1

    told("Done: the second run changed nothing")
    print(f"The lab stays up: `make lab-shell HOST={HOST}` logs in, `make lab-down` removes it. The inventory is {LAB.relative_to(ROOT) / 'inventory.yml'}.")
    return 0


def told(text: str) -> None:
    """A headline, with the time since the start."""
    print(f"\n=== {text}  [{time.monotonic() - _STARTED:.0f} s]")


def write_variables() -> Path:
    """The variables a sysadmin would write, as a file for root alone, because the registry's password is in it."""
    path = LAB / "demo.yml"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(site_variables()), encoding="utf-8")
    return path


def playbook(variables: Path) -> Run:
    """Run `site.yml` against the demonstration's host alone."""
    return ansible("ansible-playbook", "-e", f"@{variables}", "--limit", HOST, str(ROOT / "playbooks" / "site.yml"))


def ansible(program: str, *arguments: str) -> Run:
    """Run a program of Ansible on the lab's inventory, from the checkout, and show what it prints."""
    print("$", shlex.join([program, "-i", str((LAB / "inventory.yml").relative_to(ROOT)), *arguments]))
    return shown([str(Path(sys.executable).with_name(program)), "-i", str(LAB / "inventory.yml"), *arguments])


def shown(command: list[str]) -> Run:
    """Run a command from the checkout and pass on each line as it comes, in Ansible's colours where we write to a terminal."""
    environment = {**os.environ, **({"ANSIBLE_FORCE_COLOR": "1"} if sys.stdout.isatty() else {})}
    lines = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="")
            lines.append(COLOUR.sub("", line))
    return Run(HOST, process.returncode, "".join(lines))


def log_in(host: Host, backend: str) -> str:
    """Log in as the built-in super admin from the user's machine; the password travels by standard input only."""
    password = json.loads(host.shell("cat /etc/toucan/secrets.json"))["admin_password"]
    body = json.dumps({"username": "toucantoco", "password": password}).encode()
    answer = user_shell(f"curl --silent --show-error --fail -H 'Content-Type: application/json' --data @- {backend}/login", stdin=body)
    token = json.loads(answer)["token"]
    config = f'header = "Authorization: Bearer {token}"\n'.encode()
    return user_shell(f"curl --silent --show-error --fail --config - {backend}/auth/check", stdin=config).strip()


_STARTED = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
