#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_environment
short_description: Make the collection's own Python environment on a host
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Makes a virtual environment of the host's own Python and installs in it, each in one exact version, the libraries that the modules
    of this collection need, and the collection's own library C(toucan_selfhosted) in the version of the controller.
  - The host's own Python is never changed.
  - A new environment is built beside the one in use, tried, and swapped in by one rename. Where any of it fails, the old one stays in use.
  - An environment that already is as wanted is recognised by its files alone; neither pip nor the network is asked.
notes:
  - Libraries are installed as wheels only, so that no compiler is needed on the host.
  - O(path) is a symbolic link into the folder of the same name that ends in C(.d). The environment before the present one is kept there
    for processes that still run from it.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
attributes:
  action:
    description: Has an action plugin, so that some options are filled in on the controller.
    support: full
  check_mode:
    support: full
    details:
      - Does not ask the package index, so it cannot foresee that a library is missing there.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux
options:
  path:
    description: Where the environment stands.
    type: path
    default: /opt/toucan/venv
  python:
    description: The Python from which the environment is made, 3.9 or newer.
    type: path
    default: /usr/bin/python3
  index_url:
    description:
      - The package index, such as V(https://user:password@pypi.example.com/simple). Handed to pip by its environment, so that a password in it
        shows nowhere.
      - Where it is empty, the host's own pip configuration decides.
    type: str
    default: ""
  wheel_folder:
    description:
      - A folder on the host that holds the wheels. No index is asked then.
      - RV(libraries) of a run in check mode says which ones.
    type: str
    default: ""
  proxies:
    description: HTTP proxies for the way to the index.
    type: dict
    default: {}
    suboptions:
      http_proxy:
        description: URL of the proxy for plain HTTP.
        type: str
      https_proxy:
        description: URL of the proxy for HTTPS.
        type: str
      no_proxy:
        description: Host names that are reached without a proxy, separated by commas.
        type: str
  ca_file:
    description: CA certificates on the host, in PEM form, by which the index is verified. Where it is empty, pip's own.
    type: str
    default: ""
  timeout:
    description: Longest time in seconds for one step such as the installation of all libraries.
    type: int
    default: 600
  package_hash:
    description: Filled in by the action plugin. Hash of the library C(toucan_selfhosted) of the controller.
    type: str
    required: true
  package_version:
    description: Filled in by the action plugin. Version of the collection on the controller.
    type: str
    required: true
  package_archive:
    description: Filled in by the action plugin, which sends the archive only where the host has another version.
    type: path
seealso:
  - module: toucan.selfhosted.toucan_state
"""

EXAMPLES = r"""
- name: Make the environment from the index that the host is configured for
  toucan.selfhosted.toucan_environment:

- name: Make it without any network
  toucan.selfhosted.toucan_environment:
    wheel_folder: /srv/wheels

- name: Make it from a mirror behind a proxy
  toucan.selfhosted.toucan_environment:
    index_url: https://pypi.example.com/simple
    ca_file: /etc/ssl/certs/ca-certificates.crt
    proxies:
      https_proxy: http://proxy.example.com:3128
"""

RETURN = r"""
path:
  description: Where the environment stands.
  returned: success
  type: str
  sample: /opt/toucan/venv
python:
  description: Its interpreter, for M(toucan.selfhosted.toucan_state).
  returned: success
  type: str
  sample: /opt/toucan/venv/bin/python
python_version:
  description: Version of that interpreter.
  returned: success
  type: str
  sample: "3.13"
libraries:
  description: The libraries and their exact versions.
  returned: success
  type: dict
  sample:
    docker: 7.2.0
    pymongo: 4.16.0
package:
  description: The collection's own library in the environment.
  returned: success
  type: dict
  sample:
    name: toucan_selfhosted
    version: 0.1.0
    hash: 3f0d6c0c6b0f1f3c1b8a9a9f0c3e6f4d7c1f0e2b5d8a6c9b0e1f2a3b4c5d6e7f
plan:
  description: The steps that were taken, or would be in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - id: package.install:toucan_selfhosted
      action: create
      object: package toucan_selfhosted
      before:
      after:
        version: 0.1.0
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.python_environment import INSTALL, EnvironmentEngine, Source
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """Options of the module."""
    return {
        "path": {"type": "path", "default": "/opt/toucan/venv"},
        "python": {"type": "path", "default": "/usr/bin/python3"},
        # The whole URL is kept out of results and logs, and messages show it without user and password.
        "index_url": {"type": "str", "default": "", "no_log": True},
        "wheel_folder": {"type": "str", "default": ""},
        "proxies": {
            "type": "dict",
            "default": {},
            "options": {
                "http_proxy": {"type": "str", "no_log": True},
                "https_proxy": {"type": "str", "no_log": True},
                "no_proxy": {"type": "str"},
            },
        },
        "ca_file": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 600},
        "package_hash": {"type": "str", "required": True},
        "package_version": {"type": "str", "required": True},
        "package_archive": {"type": "path"},
    }


def engine_of(params: dict[str, Any]) -> EnvironmentEngine:
    """The engine for the module's options."""
    proxies = {name: value for name, value in params["proxies"].items() if value}
    source = Source(params["index_url"], params["wheel_folder"], proxies, params["ca_file"])
    return EnvironmentEngine(
        path=params["path"],
        python=params["python"],
        source=source,
        package_hash=params["package_hash"],
        package_version=params["package_version"],
        package_archive=params["package_archive"] or "",
        timeout=params["timeout"],
    )


def lacks_archive(engine: EnvironmentEngine) -> bool:
    """Whether the plan installs the package while the controller has not sent it yet."""
    if engine.package_archive:
        return False
    return any(step.id.startswith(INSTALL) for step in engine.plan(engine.observe()))


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    engine = engine_of(module.params)
    try:
        if not module.check_mode and lacks_archive(engine):
            module.exit_json(changed=False, package_needed=True)
    except Failure as failure:
        module.finish_failed(failure)
    module.run_engine(engine)


if __name__ == "__main__":
    main()
