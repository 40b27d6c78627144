#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_shared_storage
short_description: Prove that the backends of a stack have one storage folder in common
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - One host writes a file for each other, these read and rename theirs, and the first sees that and removes them. Role C(toucan_stack) calls the steps.
  - Nothing stays behind, so the module never reports a change. In check mode it does nothing, and says that nothing was proven.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: partial
    details:
      - A proof needs a file, so none is made in check mode.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    support: full
options:
  step:
    description: V(write) on the first host, V(rename) on each other, V(see) on the first again, V(clear) there after a failure.
    type: str
    choices: [write, rename, see, clear]
    required: true
  storage_directory:
    description: The folder. Where it is unset, the one that the state file has, else V(/var/lib/toucan/storage).
    type: str
  token:
    description: What step V(write) returned.
    type: str
    default: ""
  host:
    description: Name of this host, for step V(rename).
    type: str
    default: ""
  writer:
    description: Name of the host that wrote, for step V(rename).
    type: str
    default: ""
  hosts:
    description: Names of the other hosts, for steps V(write) and V(see).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Leave a file for the other host
  toucan.selfhosted.toucan_shared_storage:
    step: write
    hosts: [backend2]
  register: proof
"""

RETURN = r"""
token:
  description: What the other steps need.
  returned: with O(step=write), outside check mode
  type: str
"""

from ansible_collections.toucan.selfhosted.plugins.module_utils.core import shared_storage
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.places import settle
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def main() -> None:
    module = ToucanModule(
        argument_spec=dict(
            step=dict(type="str", choices=["write", "rename", "see", "clear"], required=True),
            storage_directory=dict(type="str"),
            token=dict(type="str", default="", no_log=False),
            host=dict(type="str", default=""),
            writer=dict(type="str", default=""),
            hosts=dict(type="list", elements="str", default=[]),
            state_path=dict(type="path", default=STATE_PATH),
        ),
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, msg="whether the storage is shared is proven by a run, not in check mode")
    params = module.params
    folder = settle(params, module.state()).storage
    result = {}
    try:
        if params["step"] == "write":
            result["token"] = shared_storage.write(folder, params["hosts"])
        elif params["step"] == "rename":
            shared_storage.read_and_rename(folder, params["token"], params["host"], params["writer"])
        elif params["step"] == "see":
            shared_storage.see_and_clear(folder, params["token"], params["hosts"])
        elif params["token"]:
            shared_storage.clear(folder, params["token"])
    except Failure as failure:
        module.finish_failed(failure)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
