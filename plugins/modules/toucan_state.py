#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_state
short_description: Read or record what is true of the Toucan stack on a host
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Reads the state file of a host, and records in it what its options give.
  - With neither O(instance_id) nor a value it only reads.
  - What an option does not give stays as it is. Mappings are merged key by key, O(services) and each image are replaced whole.
  - The file holds no secret, and everyone on the host may read it.
notes:
  - The first recording on a host makes the instance id. Copy it to the other hosts of the same stack with O(instance_id).
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.lock
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
    details:
      - On a host without state and without O(instance_id), the id that check mode shows is not the one that a run will make.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
options:
  instance_id:
    description:
      - The stack that this host belongs to, a UUID.
      - A host without state takes it. A host that belongs to another stack is refused.
      - Where it is unset, a host without state gets a new one with its first value.
    type: str
  services:
    description: The services of the stack that run on this host.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis, proxy]
  urls:
    description: The public URLs of the stack, each with its path prefix where it has one.
    type: dict
    suboptions:
      frontend:
        description: Where people open the product.
        type: str
      backend:
        description: Where the frontend reaches the API.
        type: str
  compose:
    description: The compose project on this host.
    type: dict
    suboptions:
      project:
        description: Its name.
        type: str
      directory:
        description: The folder of its compose file.
        type: path
      network:
        description: The network that its services share.
        type: str
  images:
    description: The deployed image of each service.
    type: dict
    suboptions:
      frontend: &image
        description: The deployed image of this service.
        type: dict
        suboptions:
          name:
            description: Name with registry and repository, without tag.
            type: str
            required: true
          tag:
            description: The tag that was asked for.
            type: str
            default: ""
          digest:
            description: Digest in the registry, such as V(sha256:…). Empty for an image that was loaded or built on the host.
            type: str
            default: ""
          id:
            description: The image's ID in the engine, such as V(sha256:…).
            type: str
            default: ""
          version:
            description: The version that the service answered, which a moving tag does not tell.
            type: str
            default: ""
      backend: *image
      mongodb: *image
      redis: *image
      proxy: *image
  ca_file:
    description:
      - CA certificates on this host, in PEM form, that the stack's own URLs need beyond the system's.
      - An empty text records that none are needed.
    type: path
  python:
    description: The interpreter of the collection's Python environment on this host.
    type: path
  places:
    description: Where the data stands on this host.
    type: dict
    suboptions:
      storage:
        description: Folder of the backend's storage.
        type: path
      database:
        description: Folder of the database's files.
        type: path
  proxy:
    description: The proxy's own compose project on this host.
    type: dict
    suboptions:
      project:
        description: Its name.
        type: str
      directory:
        description: The folder of its compose file.
        type: path
  storage_shared:
    description: Whether other hosts with a backend have the same storage folder, so that no removal on one host may take it.
    type: bool
  stopped:
    description: The services that were stopped on purpose. M(toucan.selfhosted.toucan_service) records them by itself.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis, proxy]
  fingerprints:
    description:
      - Salted fingerprints of secrets that must stay the same while there is data, by name. They tell another secret, and do not tell the secret.
      - M(toucan.selfhosted.toucan_stack) returns them.
    type: dict
seealso:
  - module: toucan.selfhosted.toucan_version
"""

EXAMPLES = r"""
- name: Read what is recorded about this host
  toucan.selfhosted.toucan_state:
  register: recorded

- name: Record the public URLs
  toucan.selfhosted.toucan_state:
    urls:
      frontend: https://dashboards.example.com
      backend: https://api.dashboards.example.com

- name: Record this host as a part of the same stack
  toucan.selfhosted.toucan_state:
    instance_id: "{{ hostvars[groups['toucan_backend'][0]].recorded.state.instance_id }}"
    services: [frontend]
"""

RETURN = r"""
state:
  description: What the file holds after the run, or would hold after it in check mode. Empty on a host without state.
  returned: success
  type: dict
  sample:
    schema: 1
    instance_id: 5f0c6f1e-6a53-4a39-8f0b-6b8f5a1f1c9e
    services: [frontend, backend, mongodb, redis]
    urls:
      frontend: https://dashboards.example.com
      backend: https://api.dashboards.example.com
plan:
  description: The steps that were taken, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - id: state:/etc/toucan/stack.json
      action: update
      object: /etc/toucan/stack.json
      before: {}
      after: {}
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import ALL_KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH, KEYS, StateEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def image_spec() -> dict[str, Any]:
    """Suboptions of one image."""
    return {
        "type": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "tag": {"type": "str", "default": ""},
            "digest": {"type": "str", "default": ""},
            "id": {"type": "str", "default": ""},
            "version": {"type": "str", "default": ""},
        },
    }


def argument_spec() -> dict[str, Any]:
    """Options of the module; those of ``KEYS`` are the values that can be recorded."""
    return {
        "state_path": {"type": "path", "default": DEFAULT_PATH},
        "lock_timeout": {"type": "int", "default": DEFAULT_TIMEOUT},
        "instance_id": {"type": "str"},
        "services": {"type": "list", "elements": "str", "choices": list(ALL_KINDS)},
        "urls": {"type": "dict", "options": {"frontend": {"type": "str"}, "backend": {"type": "str"}}},
        "compose": {
            "type": "dict",
            "options": {"project": {"type": "str"}, "directory": {"type": "path"}, "network": {"type": "str"}},
        },
        "images": {"type": "dict", "options": {kind: image_spec() for kind in ALL_KINDS}},
        "ca_file": {"type": "path"},
        "python": {"type": "path"},
        "places": {"type": "dict", "options": {"storage": {"type": "path"}, "database": {"type": "path"}}},
        "proxy": {"type": "dict", "options": {"project": {"type": "str"}, "directory": {"type": "path"}}},
        "storage_shared": {"type": "bool"},
        "stopped": {"type": "list", "elements": "str", "choices": list(ALL_KINDS)},
        "fingerprints": {"type": "dict"},
    }


def given_values(params: dict[str, Any]) -> dict[str, Any]:
    """The values that the options really give: what Ansible filled in with null is left out, at both levels."""
    values = {}
    for key in KEYS:
        value = params[key]
        if isinstance(value, dict):
            value = {name: part for name, part in value.items() if part is not None} or None
        if value is not None:
            values[key] = value
    return values


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    engine = StateEngine(module.params["state_path"], given_values(module.params), module.params["instance_id"] or "")
    # Whoever only reads needs no rights for the lock, and waits for nobody.
    module.run_engine(engine, lock=HOST_LOCK, only_to_write=True)


if __name__ == "__main__":
    main()
