#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_preflight
short_description: Look whether a host and the inventory are fit for a Toucan stack
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Compares every variable that begins with C(toucan_) with the options of all roles of this collection, and names the nearest option for
    each that is none.
  - Looks at the host's clock (against the controller's), free disk space, memory, Python and systemd.
  - Reports every finding, and fails with all problems in one message.
  - Needs no library on the host and changes nothing.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
attributes:
  action:
    description: Has an action plugin, which judges the variables and the clock on the controller.
    support: full
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details:
      - Changes nothing.
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux
options:
  allowed_variables:
    description: Variables of your own that begin with C(toucan_) and are to be let through.
    type: list
    elements: str
    default: []
  maximum_clock_skew_s:
    description: Largest difference in seconds between the clocks of host and controller. The time that the connection takes does not count.
    type: float
    default: 30
  disk_paths:
    description: Places that need free disk space. One that does not exist yet counts where its nearest parent is.
    type: list
    elements: path
    default: []
  minimum_disk_gb:
    description: Free space in GiB that each file system of O(disk_paths) must have.
    type: float
    default: 0
  minimum_memory_mb:
    description: Memory in MiB that the host must have.
    type: int
    default: 0
  python:
    description: The Python of the host from which the collection's environment is made. It must be 3.9 or newer.
    type: path
    default: /usr/bin/python3
  systemd_required:
    description: Whether systemd must run the host.
    type: bool
    default: true
  variables_only:
    description: Whether to judge the names of variables alone, and neither the clock nor the host.
    type: bool
    default: false
seealso:
  - module: toucan.selfhosted.toucan_environment
"""

EXAMPLES = r"""
- name: Look before anything is changed
  toucan.selfhosted.toucan_preflight:
    disk_paths: [/var/lib/toucan, /var/backups/toucan]
    minimum_disk_gb: 20
    minimum_memory_mb: 7500
"""

RETURN = r"""
checks:
  description: Every finding.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: What was looked at, V(variables), V(clock), V(memory), V(python), V(systemd) or V(disk:) and a mount point.
      type: str
    ok:
      description: Whether it is as it must be.
      type: bool
    message:
      description: What was found, and what to do about it.
      type: str
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

import os
import time
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.preflight import (
    Check,
    check_disk,
    check_memory,
    check_python,
    check_systemd,
    file_systems,
    total_memory_mb,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.python_environment import probe_python
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """Options of the module; the first two are judged by the action plugin."""
    return {
        "allowed_variables": {"type": "list", "elements": "str", "default": []},
        "maximum_clock_skew_s": {"type": "float", "default": 30},
        "disk_paths": {"type": "list", "elements": "path", "default": []},
        "minimum_disk_gb": {"type": "float", "default": 0},
        "minimum_memory_mb": {"type": "int", "default": 0},
        "python": {"type": "path", "default": "/usr/bin/python3"},
        "systemd_required": {"type": "bool", "default": True},
        "variables_only": {"type": "bool", "default": False},
    }


def python_check(executable: str) -> Check:
    """Whether there is a Python, and a new enough one."""
    try:
        return check_python(probe_python(executable).version, executable)
    except Failure as failure:
        return Check("python", False, str(failure))


def host_checks(params: dict[str, Any]) -> list[Check]:
    """Everything that is judged on the host itself. :raises Failure: when /proc cannot be read."""
    checks = [check_disk(system, params["minimum_disk_gb"]) for system in file_systems(params["disk_paths"])]
    with open("/proc/meminfo", encoding="ascii") as stream:
        checks.append(check_memory(total_memory_mb(stream.read()), params["minimum_memory_mb"]))
    checks.append(python_check(params["python"]))
    if params["systemd_required"]:
        checks.append(check_systemd(os.path.isdir("/run/systemd/system")))
    return checks


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        checks = [] if module.params["variables_only"] else host_checks(module.params)
    except Failure as failure:
        module.finish_failed(failure)
    # Failed checks do not fail the module: the action plugin adds the controller's own and tells all in one message.
    module.exit_json(
        changed=False,
        checks=[check.facts() for check in checks],
        host_time=time.time(),
        clock_limit=None if module.params["variables_only"] else module.params["maximum_clock_skew_s"],
    )


if __name__ == "__main__":
    main()
