#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_backup_info
short_description: Tell which dumps of a Toucan stack there are, and whether they can be read
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Lists the dumps in a folder of the host, those of M(toucan.selfhosted.toucan_backup) as well as those of the vendor's toolbox.
  - With O(verify) it reads them, too. Needs neither the product nor a database.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    support: full
options:
  folder:
    description: Folder of this host that the dumps stand in.
    type: path
    default: /var/backups/toucan
  names:
    description: Names of the dumps to look at. Without any, all that stand there.
    type: list
    elements: str
    default: []
  verify:
    description:
      - V(checksums) compares size and hash of every file with the manifest. V(structure) reads every document and file as well.
      - A dump of the vendor's has no manifest, so either reads what is in it.
    type: str
    choices: [none, checksums, structure]
    default: none
  identity_file:
    description: File of this host with private keys of C(age), as C(age-keygen) writes it, to read encrypted dumps with.
    type: path
seealso:
  - module: toucan.selfhosted.toucan_backup
"""

EXAMPLES = r"""
- name: List the dumps of this host
  toucan.selfhosted.toucan_backup_info:
  register: backups

- name: Read one from beginning to end
  toucan.selfhosted.toucan_backup_info:
    names: [on-premise_backup-4fk2pq9x]
    verify: structure
"""

RETURN = r"""
dumps:
  description: The dumps by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of its folder.
      type: str
      returned: always
      sample: on-premise_backup-4fk2pq9x
    path:
      description: Where it stands.
      type: str
      returned: always
    kind:
      description: V(app) or V(instance), C(vendor's) for one without a manifest, C(partial) for one that was not finished, C(ours) for one whose manifest is
        damaged.
      type: str
      returned: always
    problems:
      description: What is wrong with it, as sentences. Empty where nothing was found, as far as it was looked.
      type: list
      elements: str
      returned: always
    notes:
      description: What is worth knowing and not wrong.
      type: list
      elements: str
      returned: always
    proven:
      description: Whether a test restore of it, as it is now, was right in everything.
      type: bool
      returned: always
    apps:
      description: Ids of the small apps in it, as far as it tells.
      type: list
      elements: str
      returned: always
    begun:
      description: When it was made, in UTC. Empty where it does not tell.
      type: str
      returned: always
      sample: "2026-11-23T12:00:00Z"
    bytes:
      description: Size of its files.
      type: int
      returned: always
    consistency:
      description: V(hot), V(paused) or V(stopped), as really reached. Empty where it does not tell.
      type: str
      returned: always
    encrypted:
      description: Whether a key is needed to read it.
      type: bool
      returned: always
    instance_id:
      description: The stack that it was made of. Empty where it does not tell.
      type: str
      returned: always
    product:
      description: Version of the product that it was made of. Empty where it was not read.
      type: str
      returned: always
      sample: v101.1.0
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.info import dumps_info
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.request import READINGS, UNPROVEN
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.files import read_bytes
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.encryption import parse_identities
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """The module's options; DOCUMENTATION says the same."""
    return dict(
        folder=dict(type="path", default="/var/backups/toucan"),
        names=dict(type="list", elements="str", default=[]),
        verify=dict(type="str", choices=list(READINGS), default=UNPROVEN),
        identity_file=dict(type="path"),
        state_path=dict(type="path", default=STATE_PATH),
    )


def identities(path: str) -> list[Any]:
    """The keys in a file. :raises Failure: when there is none, or it holds no key."""
    content = read_bytes(path)
    if content is None:
        raise Failure(f"There is no file {path}", "correct `identity_file`", subject=path)
    return parse_identities(content.decode(errors="replace"))


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    # The libraries that read what is in a dump; a list of dumps needs none.
    if params["verify"] != UNPROVEN:
        module.need_libraries([*(["pyrage"] if params["identity_file"] else []), "pymongo"])
    try:
        keys = identities(params["identity_file"]) if params["identity_file"] else []
        dumps = dumps_info(params["folder"], params["names"], params["verify"], keys)
    except Failure as failure:
        module.finish_failed(failure)
    module.exit_json(changed=False, dumps=dumps)


if __name__ == "__main__":
    main()
