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
  - Never makes a secret anew where data exists, and never replaces one by another.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
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
      - Whether the data is in a MongoDB outside this host.
      - It cannot be seen from here, so C(encryption_secret) and C(jwt_secret) are then never made, but must be given.
    type: bool
    default: false
  data_folders:
    description:
      - Folders of data that was made with the secrets.
      - Where one of them holds anything, secrets that are not known are an error.
    type: list
    elements: path
    default: [/var/lib/toucan/storage, /var/lib/toucan/mongodb]
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
path:
  description: The secrets file.
  returned: success
  type: str
  sample: /etc/toucan/secrets.json
plan:
  description: The changes, as steps. No step holds a secret.
  returned: success
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

from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import DEFAULT_PATH, SecretsEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def main() -> None:
    module = ToucanModule(
        argument_spec=dict(
            path=dict(type="path", default=DEFAULT_PATH),
            # Without suboptions, so that a misspelt key is refused here: Ansible's own refusal may show the value.
            secrets=dict(type="dict", default={}, no_log=True),
            data_elsewhere=dict(type="bool", default=False),
            data_folders=dict(type="list", elements="path", default=["/var/lib/toucan/storage", "/var/lib/toucan/mongodb"]),
        ),
        supports_check_mode=True,
    )
    params = module.params
    module.run_engine(SecretsEngine(params["path"], params["secrets"], params["data_folders"], params["data_elsewhere"]))


if __name__ == "__main__":
    main()
