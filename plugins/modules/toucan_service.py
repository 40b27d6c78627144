#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_service
short_description: Start, stop, restart or remove what a Toucan stack runs on a host
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Works from what stands on the host, its state file, compose files and images. It needs no inventory and no registry.
  - Services stop in the order proxy, frontend, backend, databases, and start the other way round, each when those before it are healthy.
  - What is stopped has its containers removed, so that no reboot starts it. The state file keeps that it was stopped on purpose.
  - What is removed loses its containers, its configuration and its network. Data, secrets, state and images stay, unless O(remove_data=true).
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.state
  - toucan.selfhosted.lock
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=restarted) restarts at every run.
  platform:
    support: full
options:
  state:
    description:
      - V(started) starts what does not run, and waits until all is healthy, whether it had to be started or not.
      - V(stopped) removes the containers. Files and data stay.
      - V(restarted) stops what runs, keeps its container and with it its log, and starts it again. Without O(services), what was stopped on purpose stays so.
      - V(absent) removes all that the stack has on this host but its data, secrets, state and images.
    type: str
    choices: [started, stopped, restarted, absent]
    required: true
  services:
    description:
      - The services to act on, out of those that the host runs. All of them where it is unset.
      - Starting a backend starts the databases of the same host, too.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis, proxy]
    default: []
  keep_containers:
    description:
      - With O(state=stopped), whether the containers stay, with their logs.
      - The engine's next start then brings the services back, and the state file does not say that they were stopped on purpose.
    type: bool
    default: false
  remove_data:
    description:
      - With O(state=absent), whether data, secrets and state go, too.
      - Secrets stay where the database is not on this host, because they may have encrypted what is in it.
      - Refused for folders that a program should not remove, such as one that is shared, holds a mount point, or in which a backup stands.
    type: bool
    default: false
  confirm:
    description: The instance id of the stack whose data is to go, without which O(remove_data=true) is refused.
    type: str
    default: ""
  secrets_path:
    description: The secrets file that M(toucan.selfhosted.toucan_secrets) keeps.
    type: path
    default: /etc/toucan/secrets.json
  start_timeout:
    description: Seconds that all services together get to become healthy.
    type: int
    default: 900
  status_shape:
    description: Where the status stands in the backend's root answer, as JMESPath.
    type: str
    default: status
seealso:
  - module: toucan.selfhosted.toucan_stack
  - module: toucan.selfhosted.toucan_proxy
"""

EXAMPLES = r"""
- name: Stop everything on this host, and keep it stopped over a reboot
  toucan.selfhosted.toucan_service:
    state: stopped

- name: Start it again
  toucan.selfhosted.toucan_service:
    state: started

- name: Restart the backend
  toucan.selfhosted.toucan_service:
    state: restarted
    services: [backend]

- name: Show what a removal would take, and what it would leave
  toucan.selfhosted.toucan_service:
    state: absent
  check_mode: true
  register: removal
"""

RETURN = r"""
plan:
  description: The changes, as steps in the order they are made. No step holds a secret.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Stable name of the step.
      type: str
      returned: always
      sample: service.remove:backend
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
services:
  description: The services that the run was about.
  returned: success
  type: list
  elements: str
  sample: [frontend, backend]
stopped:
  description: The services that are stopped on purpose after the run, or would be in check mode.
  returned: success
  type: list
  elements: str
kept:
  description: What a removal leaves on the host. Empty with other states.
  returned: success
  type: list
  elements: dict
  contains:
    what:
      description: What it is.
      type: str
      returned: always
      sample: database
    where:
      description: Its path, or its name in the engine.
      type: str
      returned: always
      sample: /var/lib/toucan/mongodb
instance_id:
  description: The stack that this host belongs to, empty where none is recorded.
  returned: success
  type: str
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import DockerEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import routes, services
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import DEFAULT_PATH as SECRETS_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.engine import ServiceEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.request import STATES, ServiceRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """The module's options; DOCUMENTATION says the same."""
    return dict(
        state=dict(type="str", choices=list(STATES), required=True),
        services=dict(type="list", elements="str", choices=list(services.ALL_KINDS), default=[]),
        keep_containers=dict(type="bool", default=False),
        remove_data=dict(type="bool", default=False),
        confirm=dict(type="str", default=""),
        secrets_path=dict(type="path", default=SECRETS_PATH, no_log=False),
        state_path=dict(type="path", default=STATE_PATH),
        lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        start_timeout=dict(type="int", default=900),
        status_shape=dict(type="str", default=routes.BACKEND_STATUS_SHAPE),
    )


def service_request(params: dict[str, Any]) -> ServiceRequest:
    """Everything the engine needs."""
    return ServiceRequest(
        state=params["state"],
        services=tuple(dict.fromkeys(params["services"])),
        state_path=params["state_path"],
        secrets_path=params["secrets_path"],
        start_timeout=params["start_timeout"],
        status_shape=params["status_shape"],
        keep_containers=params["keep_containers"],
        remove_data=params["remove_data"],
        confirm=params["confirm"],
    )


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    # Without a state file there is nothing to look for, so a bare host needs no library to be told so.
    if module.state():
        module.need_libraries(["docker", "yaml", "pymongo"])
    module.run_engine(ServiceEngine(service_request(module.params), DockerEngine), lock=HOST_LOCK)


if __name__ == "__main__":
    main()
