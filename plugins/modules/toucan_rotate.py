#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_rotate
short_description: Replace passwords of a Toucan stack, in steps that can be resumed
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - The steps of playbook C(rotate.yml) that replace a secret by a new one. Use the playbook, which calls them in the order that works.
  - A new value is written to the secrets file first, beside the one in use, so that a run that was killed at any point can be run again and finishes.
  - Each step finds out what is left to do, and changes nothing where nothing is.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.lock
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
    details:
      - A plan foresees all steps, though nothing was prepared.
  diff_mode:
    support: full
    details:
      - The difference shows names, never values.
  idempotent:
    support: partial
    details:
      - Each rotation without O(values) makes a new value.
  platform:
    support: full
options:
  step:
    description:
      - V(validate) refuses what cannot be rotated, and does nothing else.
      - V(registry) proves that the credentials in O(registry), or those in O(values), may pull every image of this host that came from there.
      - V(fetch) returns what this host keeps, for the other hosts. The task must have C(no_log=true), else it is refused.
      - V(prepare) writes down the new values.
      - V(change) gives the user of the stack's MongoDB the new password.
      - V(promote) makes the new values those in use. M(toucan.selfhosted.toucan_stack) then brings the services to them.
      - V(finish) sees that services take the new values and no longer the former ones, and forgets these.
    type: str
    required: true
    choices: [validate, registry, fetch, prepare, change, promote, finish]
  names:
    description:
      - What to rotate, some of C(admin_password), C(jwt_secret), C(mongodb_password), C(redis_password) and C(registry).
      - C(encryption_secret) cannot be rotated, because values in the database were encrypted with it.
    type: list
    elements: str
    required: true
  values:
    description: New values by name, and C(registry_username) and C(registry_password). What is left out is made, but for the registry's.
    type: dict
    default: {}
  services:
    description: Services of this host.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis]
    default: [frontend, backend, mongodb, redis]
  outside:
    description: Databases that this stack uses outside of it.
    type: list
    elements: str
    choices: [mongodb, redis]
    default: []
  left_out:
    description: Hosts of the stack that the run leaves out.
    type: list
    elements: str
    default: []
  others:
    description: What V(fetch) returned on the other hosts, by host.
    type: dict
    default: {}
  maker:
    description: The other host that makes new values and logs in to the backend. Empty where this one does.
    type: str
    default: ""
  inventory:
    description: Secrets that the inventory gives, to tell which of them are no longer the ones in use.
    type: dict
    default: {}
  registry:
    description: The registry whose credentials are proven.
    type: dict
    suboptions:
      name:
        description: Registry, with or without the folder of the images.
        type: str
      username:
        description: User or robot account.
        type: str
      password:
        description: Its password or token.
        type: str
      ca_file:
        description: Not used here. The host knows the CA that its engine trusts.
        type: path
  secrets_path:
    description: The secrets file.
    type: path
    default: /etc/toucan/secrets.json
  project:
    description: Compose project. Where it is unset, the one that the state file has.
    type: str
  network:
    description: Docker network of the stack. Where it is unset, the one that the state file has.
    type: str
  directory:
    description: Folder of the compose project.
    type: path
    default: /var/lib/toucan/stack
seealso:
  - module: toucan.selfhosted.toucan_secrets
  - module: toucan.selfhosted.toucan_stack
"""

EXAMPLES = r"""
- name: Prove that a new robot account may pull what this host runs
  toucan.selfhosted.toucan_rotate:
    step: registry
    names: [registry]
    registry:
      name: quay.io/toucantoco
      username: "{{ new_robot }}"
      password: "{{ new_token }}"

- name: Say whether the password of MongoDB could be changed
  toucan.selfhosted.toucan_rotate:
    step: change
    names: [mongodb_password]
  check_mode: true
"""

RETURN = r"""
begun:
  description: Secrets of which a rotation was begun on this host and is not finished.
  returned: with O(step=fetch)
  type: list
  elements: str
kept:
  description: What this host keeps of each secret, the values C(current), C(new) and C(former).
  returned: with O(step=fetch)
  type: dict
proven:
  description: Images that the registry gives to these credentials.
  returned: with O(step=registry)
  type: list
  elements: str
outdated:
  description: Secrets that O(inventory) gives and that are no longer the ones in use.
  returned: with O(step=finish)
  type: list
  elements: str
plan:
  description: The changes, as steps. No step holds a secret.
  returned: with O(step=prepare), O(step=change), O(step=promote) and O(step=finish)
  type: list
  elements: dict
  sample:
    - id: secret.promote:mongodb_password
      action: update
      object: mongodb_password in /etc/toucan/secrets.json
      before: in use
      after: new value, with which MongoDB and Backend start anew
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import DockerEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import KINDS, MONGODB, REDIS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import COMPOSE_FILE
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import Engine
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import DEFAULT_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.engine import Completion, Preparation, Promotion, kept_facts
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.record import Kept
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.registry import prove_pull
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.request import REGISTRY_VALUES, RotationRequest, refuse_unusable
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.services import MongodbChange, RunningStack, proofs
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.places import settle
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule

STAGES = ("prepare", "change", "promote", "finish")


def argument_spec() -> dict[str, Any]:
    """Options of the module."""
    return dict(
        step=dict(type="str", required=True, choices=["validate", "registry", "fetch", *STAGES]),
        names=dict(type="list", elements="str", required=True),
        values=dict(type="dict", default={}, no_log=True),
        services=dict(type="list", elements="str", choices=list(KINDS), default=list(KINDS)),
        outside=dict(type="list", elements="str", choices=[MONGODB, REDIS], default=[]),
        left_out=dict(type="list", elements="str", default=[]),
        others=dict(type="dict", default={}, no_log=True),
        maker=dict(type="str", default=""),
        inventory=dict(type="dict", default={}, no_log=True),
        registry=dict(
            type="dict",
            options=dict(name=dict(type="str"), username=dict(type="str"), password=dict(type="str", no_log=True), ca_file=dict(type="path")),
        ),
        secrets_path=dict(type="path", default=DEFAULT_PATH, no_log=False),
        project=dict(type="str"),
        network=dict(type="str"),
        directory=dict(type="path", default="/var/lib/toucan/stack"),
        lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        state_path=dict(type="path", default=STATE_PATH),
    )


def rotation_request(params: Mapping[str, Any], state: Mapping[str, Any]) -> RotationRequest:
    """What is asked for, on this host."""
    return RotationRequest(
        names=tuple(params["names"]),
        # A survey's or vault's empty text is a value that was not given.
        values={name: value for name, value in params["values"].items() if value not in ("", None)},
        services=tuple(params["services"]),
        outside=tuple(params["outside"]),
        left_out=tuple(params["left_out"]),
        stopped=tuple(state.get("stopped") or []),
        deployed=bool(state) and os.path.exists(os.path.join(params["directory"], COMPOSE_FILE)),
    )


def stage(params: Mapping[str, Any], state: Mapping[str, Any], request: RotationRequest, check_mode: bool) -> Engine:
    """The engine of a step that changes something."""
    path, places = params["secrets_path"], settle(params, state)
    stack = RunningStack(DockerEngine, places.project, places.network, params["directory"])
    if params["step"] == "prepare":
        others = {host: {name: Kept(**values) for name, values in known.items()} for host, known in params["others"].items()}
        return Preparation(path, request, others, params["maker"])
    if params["step"] == "change":
        return MongodbChange(path, request, stack, foreseen=check_mode)
    if params["step"] == "promote":
        return Promotion(path, request, foreseen=check_mode)
    return Completion(path, request, proofs(stack, path, request, logs_in=not params["maker"]), params["inventory"])


def registry_proof(params: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    """The images that the new credentials may pull. :raises Failure: when they may not."""
    known = params["registry"] or {}
    username, password = (params["values"].get(name) or known.get(key) or "" for name, key in zip(REGISTRY_VALUES, ("username", "password")))
    return prove_pull(state, known.get("name") or "", username, password)


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    params, state = module.params, module.state()
    if params["step"] in ("change", "finish"):
        module.need_libraries(["docker", "yaml", "pymongo"])
    try:
        request = rotation_request(params, state)
        refuse_unusable(request)
        if params["step"] == "fetch" and not module.no_log:
            raise Failure("`fetch` returns secrets, and this task would show them", "set `no_log: true` on the task")
        if params["step"] == "fetch":
            kept = kept_facts(params["secrets_path"], request.here)
            module.exit_json(changed=False, kept=kept, begun=[name for name, values in kept.items() if values["new"] or values["former"]])
        if params["step"] == "registry":
            module.exit_json(changed=False, proven=registry_proof(params, state))
        if params["step"] == "validate":
            module.exit_json(changed=False)
    except Failure as failure:
        module.finish_failed(failure)
    module.run_engine(stage(params, state, request, module.check_mode), lock=HOST_LOCK)


if __name__ == "__main__":
    main()
