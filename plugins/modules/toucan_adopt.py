#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_adopt
short_description: Record a Toucan stack that already runs on a host
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Finds the containers of a stack that somebody else started, by compose project or by image, and records in the state file and the secrets
    file what they tell, so that M(toucan.selfhosted.toucan_stack) can take the stack over with its data, secrets, network and images.
  - Writes these two files and nothing else. No container is started, stopped or changed.
  - A stack that the collection runs already is left as it is recorded.
notes:
  - The secrets file also gets every variable of the frontend's and the backend's container that the collection does not set itself. They stay
    in force below the options of M(toucan.selfhosted.toucan_stack).
requirements:
  - docker (Python SDK) and PyYAML in the environment that role C(toucan_host) installs
  - Docker Engine
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.state
  - toucan.selfhosted.lock
attributes:
  check_mode:
    support: full
    details:
      - On a host without the collection's Python environment nothing can be looked at, and no plan is returned.
  diff_mode:
    support: full
    details:
      - The difference shows names of secrets and variables, never values.
  idempotent:
    support: full
  platform:
    support: full
options:
  services:
    description:
      - The services that this host runs. Each of them must have a running container.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis]
    default: [frontend, backend, mongodb, redis]
  project:
    description: The compose project to adopt, where several are candidates.
    type: str
  containers:
    description: Names of the containers to adopt, where they are called otherwise than the vendor calls them.
    type: dict
    default: {}
    suboptions:
      frontend:
        description: Container of the frontend.
        type: str
      backend:
        description: Container of the backend.
        type: str
      mongodb:
        description: Container of MongoDB. Where it is unset, the one that the backend calls.
        type: str
      redis:
        description: Container of Redis. Where it is unset, the one that the backend calls.
        type: str
  ignore_files:
    description:
      - Whether to go by the containers alone, without a look at the compose and env files that they were made from.
    type: bool
    default: false
  secrets:
    description:
      - Secrets of the inventory, as for M(toucan.selfhosted.toucan_secrets).
      - One that the stack has with another value is refused. One that neither the stack nor the inventory has is made.
    type: dict
    default: {}
  directory:
    description: Folder of the collection's own compose project. A stack that runs from there is the collection's already.
    type: path
    default: /var/lib/toucan/stack
  secrets_path:
    description: The secrets file.
    type: path
    default: /etc/toucan/secrets.json
  status_shape:
    description: Where the status stands in the backend's root answer, as JMESPath.
    type: str
    default: status
  version_shape:
    description: Where the version stands in the backend's root answer, as JMESPath.
    type: str
    default: version
seealso:
  - module: toucan.selfhosted.toucan_stack
  - module: toucan.selfhosted.toucan_secrets
  - module: toucan.selfhosted.toucan_state
"""

EXAMPLES = r"""
- name: Say what would be recorded of the stack that runs here
  toucan.selfhosted.toucan_adopt:
  check_mode: true
  diff: true

- name: Record one of two stacks
  toucan.selfhosted.toucan_adopt:
    project: production

- name: Record containers that were run by hand
  toucan.selfhosted.toucan_adopt:
    containers:
      backend: laputa
      frontend: tucana
"""

RETURN = r"""
plan:
  description: The two files as steps, where they change. No step holds a secret.
  returned: success, unless nothing could be looked at
  type: list
  elements: dict
  sample:
    - id: secrets:/etc/toucan/secrets.json
      action: create
      object: /etc/toucan/secrets.json
      before: null
      after: {encryption_secret: found, jwt_secret: made}
taken_over:
  description: Whether the collection runs the stack already, so that there is nothing to adopt.
  returned: success, unless nothing could be looked at
  type: bool
state:
  description: What the state file holds after the run, or would hold after it in check mode.
  returned: success, unless nothing could be looked at
  type: dict
project:
  description: The compose project, empty where compose did not make the containers.
  returned: when there is a stack to adopt
  type: str
containers:
  description: Name of each service's container.
  returned: when there is a stack to adopt
  type: dict
  sample:
    backend: bi-backend-1
versions:
  description: The versions that answered, by service.
  returned: when there is a stack to adopt
  type: dict
  sample:
    frontend: v101.1.0
    backend: v101.1.0
secrets:
  description: Where each secret comes from, V(found) in a container, V(given) by the inventory, V(kept) from an earlier run, or V(made).
  returned: when there is a stack to adopt
  type: dict
  sample:
    encryption_secret: found
missing_files:
  description: Compose files that the containers name and that are gone.
  returned: when there is a stack to adopt
  type: list
  elements: str
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.candidates import Choice
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.engine import AdoptEngine, AdoptRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import DockerEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import routes, services
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import DEFAULT_PATH as SECRETS_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """The module's options; DOCUMENTATION says the same."""
    return dict(
        services=dict(type="list", elements="str", choices=list(services.KINDS), default=list(services.KINDS)),
        project=dict(type="str"),
        containers=dict(type="dict", default={}, options={kind: dict(type="str") for kind in services.KINDS}),
        ignore_files=dict(type="bool", default=False),
        # Without suboptions, as in toucan_secrets: Ansible's own refusal of a misspelt key may show the value.
        secrets=dict(type="dict", default={}, no_log=True),
        directory=dict(type="path", default="/var/lib/toucan/stack"),
        secrets_path=dict(type="path", default=SECRETS_PATH, no_log=False),
        state_path=dict(type="path", default=STATE_PATH),
        lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        status_shape=dict(type="str", default=routes.BACKEND_STATUS_SHAPE),
        version_shape=dict(type="str", default=routes.BACKEND_VERSION_SHAPE),
    )


def adopt_request(params: dict[str, Any]) -> AdoptRequest:
    """Everything the engine needs."""
    return AdoptRequest(
        services=tuple(params["services"]),
        choice=Choice(params["project"] or "", {kind: name for kind, name in params["containers"].items() if name}),
        directory=params["directory"],
        state_path=params["state_path"],
        secrets_path=params["secrets_path"],
        given=params["secrets"],
        ignore_files=params["ignore_files"],
        status_shape=params["status_shape"],
        version_shape=params["version_shape"],
    )


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    if not module.need_libraries(["docker", "yaml"]):
        module.warn("This host does not have the collection's Python environment yet, so that nothing can be looked at; run without check mode.")
        module.exit_json(changed=False)
    module.run_engine(AdoptEngine(adopt_request(module.params), DockerEngine), lock=HOST_LOCK)


if __name__ == "__main__":
    main()
