#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_directories
short_description: Make folders with their owners and modes, many in one task
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Makes the folders that are missing, and corrects owner, group and mode of the others. What they hold is not touched.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
options:
  directories:
    description:
      - The folders. What an entry leaves out stays as it is. A new folder is then V(root)'s and has mode V(0755).
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The folder. Parents that are missing are made with mode V(0755).
        type: path
        required: true
      owner:
        description: Name or number of its user.
        type: str
        default: ""
      group:
        description: Name or number of its group.
        type: str
        default: ""
      mode:
        description: Its mode, three or four octal digits in quotes. A number is refused, since YAML reads V(0770) without quotes as 504.
        type: raw
        default: ""
seealso:
  - module: ansible.builtin.file
"""

EXAMPLES = r"""
- name: Make the folders of a stack
  toucan.selfhosted.toucan_directories:
    directories:
      - {path: /etc/toucan, owner: root, group: root, mode: "0755"}
      - {path: /var/backups/toucan, owner: root, group: root, mode: "0700"}
"""

RETURN = r"""
directories:
  description: Paths of the folders.
  returned: success
  type: list
  elements: str
  sample: [/etc/toucan, /var/backups/toucan]
plan:
  description: The steps that were taken, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - id: folder:/etc/toucan
      action: create
      object: /etc/toucan
      before:
      after: {owner: "0:0", mode: "0755"}
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.core.directories import DirectoriesEngine, Wanted
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """Options of the module."""
    return {
        "directories": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "path": {"type": "path", "required": True},
                "owner": {"type": "str", "default": ""},
                "group": {"type": "str", "default": ""},
                # As text, 504 would pass for octal digits.
                "mode": {"type": "raw", "default": ""},
            },
        }
    }


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    module.run_engine(DirectoriesEngine([Wanted(**folder) for folder in module.params["directories"]]))


if __name__ == "__main__":
    main()
