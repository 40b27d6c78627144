#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_secrets
short_description: Keep the secrets of a Toucan stack on its host
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Writes the secrets file of a host, which root alone can read, from the inventory's vault or by making what is missing once.
  - Never makes a secret anew where data exists, and never replaces one by another. An C(encryption_secret) that is not the one which the state
    file has a fingerprint of is refused.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.lock
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - The difference shows names, never values.
  idempotent:
    support: full
  platform:
    support: full
options:
  path:
    description: The secrets file.
    type: path
    default: /etc/toucan/secrets.json
  secrets:
    description:
      - Secrets of the inventory. What is left out is kept, or made once.
      - C(encryption_secret) is what the backend encrypts values in MongoDB with. It can never change while there is data.
      - C(jwt_secret) is what the backend signs its tokens with.
      - C(admin_password), C(mongodb_password) and C(redis_password) are those of the built-in super admin, the stack's MongoDB and its Redis.
    type: dict
    default: {}
  data_elsewhere:
    description:
      - Whether the data is in a MongoDB outside the stack.
      - It cannot be seen from here, so C(encryption_secret) and C(jwt_secret) are then never made, but must be given.
    type: bool
    default: false
  storage_directory:
    description:
      - Folder of the backend's files, which were made with the secrets. A Docker volume is taken to hold some.
      - Where it holds anything, secrets that are not known are an error.
      - Where it is unset, the one that the state file has, else V(/var/lib/toucan/storage).
    type: str
  database_directory:
    description: Folder of the stack's MongoDB, likewise. Where it is unset, the one that the state file has, else V(/var/lib/toucan/mongodb).
    type: str
  services:
    description: Services of this host. It keeps the secrets that they need, and no others.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis]
    default: [frontend, backend, mongodb, redis]
  others:
    description:
      - What the other hosts of the stack keep, value by name by host. What this host lacks is taken from there.
      - A secret that differs between hosts is an error.
    type: dict
    default: {}
  others_with_data:
    description: Hosts that hold data made with the secrets.
    type: list
    elements: str
    default: []
  maker:
    description: The other host that makes missing secrets. Empty where this one does.
    type: str
    default: ""
  fetch:
    description:
      - Return what this host keeps, and change nothing.
      - The task must have C(no_log=true), else it is refused.
    type: bool
    default: false
seealso:
  - module: toucan.selfhosted.toucan_stack
"""

EXAMPLES = r"""
- name: Keep the secrets of the vault, and make what it does not give
  toucan.selfhosted.toucan_secrets:
    secrets:
      encryption_secret: "{{ vault_toucan_encryption_secret }}"

- name: Say which secrets would be made
  toucan.selfhosted.toucan_secrets:
  check_mode: true
"""

RETURN = r"""
kept:
  description: What this host keeps, C(secrets) by name, and with C(data) whether it holds data made with such.
  returned: with O(fetch=true)
  type: dict
path:
  description: The secrets file.
  returned: success, unless with O(fetch=true)
  type: str
  sample: /etc/toucan/secrets.json
plan:
  description: The changes, as steps. No step holds a secret.
  returned: success, unless with O(fetch=true)
  type: list
  elements: dict
  contains:
    id:
      description: Stable name of the step.
      type: str
      returned: always
    action:
      description: What is done.
      type: str
      returned: always
    object:
      description: What it is done to.
      type: str
      returned: always
    before:
      description: How it was.
      type: raw
      returned: always
    after:
      description: How it will be.
      type: raw
      returned: always
"""

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import needed_secrets
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import DEFAULT_PATH, OtherHosts, SecretsEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.places import settle
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def main() -> None:
    module = ToucanModule(
        argument_spec=dict(
            path=dict(type="path", default=DEFAULT_PATH),
            # Without suboptions, so that a misspelt key is refused here: Ansible's own refusal may show the value.
            secrets=dict(type="dict", default={}, no_log=True),
            data_elsewhere=dict(type="bool", default=False),
            storage_directory=dict(type="str"),
            database_directory=dict(type="str"),
            services=dict(type="list", elements="str", choices=list(KINDS), default=list(KINDS)),
            others=dict(type="dict", default={}, no_log=True),
            others_with_data=dict(type="list", elements="str", default=[]),
            maker=dict(type="str", default=""),
            fetch=dict(type="bool", default=False),
            lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
            state_path=dict(type="path", default=STATE_PATH),
        ),
        supports_check_mode=True,
    )
    params = module.params
    others = OtherHosts(params["others"], params["maker"], params["others_with_data"])
    state = module.state()
    places = settle(params, state)
    engine = SecretsEngine(
        params["path"],
        params["secrets"],
        [places.storage, places.database],
        params["data_elsewhere"],
        needed_secrets(params["services"]),
        others,
        state.get("fingerprints"),
    )
    if not params["fetch"]:
        module.run_engine(engine, lock=HOST_LOCK, only_to_write=True)
    try:
        if not module.no_log:
            raise Failure("`fetch` returns secrets, and this task would show them", "set `no_log: true` on the task")
        module.exit_json(changed=False, kept=engine.kept())
    except Failure as failure:
        module.finish_failed(failure)


if __name__ == "__main__":
    main()
