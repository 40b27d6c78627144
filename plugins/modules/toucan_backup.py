#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_backup
short_description: Back up small apps or the whole instance of a Toucan stack
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Makes a dump directory for each small app, or one for the whole instance, as the vendor's toolbox names them, with a manifest of every file
    and every collection beside. A dump without its manifest is none; it is written last.
  - Runs on a host with a backend, and finds the databases and the storage by what the backend was started with.
  - What a dump does not hold is said in each result, such as the secrets that are needed to read it where it is not encrypted.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.api
  - toucan.selfhosted.lock
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
    details:
      - The plan names every small app with its databases and folder, the bytes to read and the disk needed. The names of the new dumps are random.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=present) makes new dumps each time. O(state=absent) changes nothing the second time.
  platform:
    support: full
options:
  state:
    description:
      - V(present) makes dumps, then removes those that O(keep) no longer keeps.
      - V(absent) removes the dumps in O(names), or without any those that O(keep) does not keep. It makes none.
    type: str
    choices: [present, absent]
    default: present
  instance:
    description: Whether the whole instance becomes one dump, with its users and settings. Else each small app becomes one.
    type: bool
    default: true
  apps:
    description: Ids of small apps, with O(instance=false). Without any, all that the instance knows.
    type: list
    elements: str
    default: []
  names:
    description: Names of the dumps to remove.
    type: list
    elements: str
    default: []
  folder:
    description: Folder of this host that the dumps stand in. It must not stand within the storage or the database of the stack.
    type: path
    default: /var/backups/toucan
  spool_folder:
    description: Folder for what is packed meanwhile, of about the size of the dump. Where it is unset, O(folder).
    type: path
  consistency:
    description:
      - V(hot) reads while the product works. V(paused) freezes the backend meanwhile, V(stopped) stops it.
      - The result says which of them was really reached, because a pause ends after O(pause_limit).
    type: str
    choices: [hot, paused, stopped]
    default: hot
  pause_limit:
    description: Seconds after which the backend goes on, though not all was read. Systemd sees to that should the module be killed.
    type: int
    default: 300
  other_backends:
    description: Names of other hosts that run a backend of this stack. They are not held still, and the result says so.
    type: list
    elements: str
    default: []
  layout:
    description: What stands within C(mongodump.tar.gz), as C(mongodump) writes it to a folder or to an archive, each packed once more or not.
    type: str
    choices: [folder, folder_gzip, archive, archive_gzip]
    default: folder
  workers:
    description: How many collections are read at once. Where it is unset, one for each CPU.
    type: int
  recipients:
    description:
      - Public keys of C(age) that the dump is encrypted for. It then holds the encryption secret, the JWT secret and the environment of the
        backend, so that a new machine can be made of the dump and one of the private keys alone.
    type: list
    elements: str
    default: []
  verify:
    description:
      - How the new dump is proven. V(checksums) reads its files again, V(structure) reads every document and file in it.
      - V(restore) restores it as well, into databases and a folder of their own beside the live ones, compares every document, index and file with the
        manifest, removes them, and records the proof in C(proofs) beside the dumps. It needs as much room once more.
    type: str
    choices: [none, checksums, structure, restore]
    default: structure
  keep:
    description:
      - Which dumps are kept. One that any of these keeps stays, and so does the newest proven one of each small app and of the instance.
      - Without any, all are kept.
    type: dict
    default: {}
    suboptions:
      count:
        description: So many of the newest.
        type: int
        default: 0
      daily:
        description: The newest of each of so many days that have one.
        type: int
        default: 0
      weekly:
        description: The same of weeks.
        type: int
        default: 0
      monthly:
        description: The same of months.
        type: int
        default: 0
  app_database:
    description: How the database of a small app is named, with C({app}) for its id and C({instance_name}) for the name of the instance.
    type: str
    default: "{instance_name}-{app}"
  instance_database:
    description: The database with the users and settings of the instance, on a server that others use, too. Where it is unset, the one with migrations.
    type: str
  app_storage:
    description: How the folder of a small app below the storage is named.
    type: str
    default: "{app}"
  small_apps_shape:
    description: Where the backend's list of small apps tells their C(id) and C(name), as JMESPath.
    type: str
    default: "[].{id: id, name: name}"
  secrets_path:
    description: The secrets file that M(toucan.selfhosted.toucan_secrets) keeps.
    type: path
    default: /etc/toucan/secrets.json
  progress_path:
    description: File that the progress is written to. The controller's half of this module fills it in.
    type: path
seealso:
  - module: toucan.selfhosted.toucan_service
"""

EXAMPLES = r"""
- name: Save the whole instance
  toucan.selfhosted.toucan_backup:

- name: Save two small apps, each as a dump of its own, with the backend held still for at most two minutes
  toucan.selfhosted.toucan_backup:
    instance: false
    apps: [sales, finance]
    consistency: paused
    pause_limit: 120

- name: Save everything that a new machine needs, encrypted, and keep a week and a year of it
  toucan.selfhosted.toucan_backup:
    recipients: ["{{ backup_public_key }}"]
    keep:
      daily: 7
      monthly: 12

- name: Show what would be removed
  toucan.selfhosted.toucan_backup:
    state: absent
    keep: {count: 3}
  check_mode: true
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
      sample: dump.create:app:sales
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
dumps:
  description: The dumps that were made.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of its folder.
      type: str
      returned: always
      sample: on-premise_backup-4fK2pQ9x
    path:
      description: Where it stands.
      type: str
      returned: always
    kind:
      description: V(app) or V(instance).
      type: str
      returned: always
    apps:
      description: Ids of the small apps in it.
      type: list
      elements: str
      returned: always
    bytes:
      description: Size of its files.
      type: int
      returned: always
    documents:
      description: Number of documents in it.
      type: int
      returned: always
    files:
      description: Number of files and folders of the storage in it.
      type: int
      returned: always
    consistency:
      description: What was really reached.
      type: str
      returned: always
      sample: paused
    held_seconds:
      description: For how long the backend was held still.
      type: float
      returned: always
    notes:
      description: What changed while it was read, and what was left out, as sentences.
      type: list
      elements: str
      returned: always
    begun:
      description: When the run began, in UTC.
      type: str
      returned: always
      sample: "2026-11-23T12:00:00Z"
    ended:
      description: When it was written, in UTC.
      type: str
      returned: always
    verified:
      description: How it was read again, empty where it was not.
      type: str
      returned: always
missing:
  description: What a new machine would need beside the dumps, and must be kept elsewhere.
  returned: success
  type: list
  elements: str
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

import importlib
import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.api.requests_transport import RequestsTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.session import Session
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.consistency import HOT, MODES
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.engine import BackupEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.backup.request import PRESENT, PROOFS, STATES, STRUCTURE, BackupRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import DockerEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import apps, routes
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import DEFAULT_ADMIN
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import secrets
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.progress import Progress
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.manifest import LAYOUTS
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.retention import Policy
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule

_LIBRARIES = ("docker", "pymongo", "requests", "jmespath", "toucan_selfhosted")


def argument_spec() -> dict[str, Any]:
    """The module's options; DOCUMENTATION says the same."""
    keep = {name: dict(type="int", default=0) for name in ("count", "daily", "weekly", "monthly")}
    return dict(
        state=dict(type="str", choices=list(STATES), default=PRESENT),
        instance=dict(type="bool", default=True),
        apps=dict(type="list", elements="str", default=[]),
        names=dict(type="list", elements="str", default=[]),
        folder=dict(type="path", default="/var/backups/toucan"),
        spool_folder=dict(type="path"),
        consistency=dict(type="str", choices=list(MODES), default=HOT),
        pause_limit=dict(type="int", default=300),
        other_backends=dict(type="list", elements="str", default=[]),
        layout=dict(type="str", choices=list(LAYOUTS), default="folder"),
        workers=dict(type="int"),
        recipients=dict(type="list", elements="str", default=[]),
        verify=dict(type="str", choices=list(PROOFS), default=STRUCTURE),
        keep=dict(type="dict", default={}, options=keep),
        app_database=dict(type="str", default=apps.APP_DATABASE),
        app_storage=dict(type="str", default=apps.APP_STORAGE),
        instance_database=dict(type="str"),
        small_apps_shape=dict(type="str", default=routes.SMALL_APPS_SHAPE),
        secrets_path=dict(type="path", default=secrets.DEFAULT_PATH, no_log=False),
        progress_path=dict(type="path"),
        state_path=dict(type="path", default=STATE_PATH),
        lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        api_url=dict(type="str"),
        api_username=dict(type="str", default=DEFAULT_ADMIN),
        api_password=dict(type="str", no_log=True),
        api_token=dict(type="str", no_log=True),
        api_ca_file=dict(type="path"),
    )


def backup_request(params: Mapping[str, Any], processors: int) -> BackupRequest:
    """What is asked for."""
    return BackupRequest(
        state=params["state"],
        folder=params["folder"],
        spool_folder=params["spool_folder"] or params["folder"],
        instance=params["instance"],
        apps=tuple(params["apps"]),
        names=tuple(params["names"]),
        consistency=params["consistency"],
        pause_limit=float(params["pause_limit"]),
        other_backends=tuple(params["other_backends"]),
        layout=params["layout"],
        workers=params["workers"] or processors,
        recipients=tuple(params["recipients"]),
        verify=params["verify"],
        keep=Policy(**params["keep"]),
        naming=apps.Naming("", params["app_database"], params["app_storage"], params["instance_database"] or ""),
        small_apps_shape=params["small_apps_shape"],
    )


def session(params: Mapping[str, Any], state: Mapping[str, Any], own_url: str) -> Session:
    """The API of this host's backend, as the options or the files of the host say it."""
    password = params["api_password"] or ""
    if not password and not params["api_token"]:
        password = secrets.read_secrets(params["secrets_path"], needed=[secrets.ADMIN])[secrets.ADMIN]
    transport = RequestsTransport(params["api_ca_file"] or state.get("ca_file") or "", ca_option="`api_ca_file`")
    return Session(transport, params["api_url"] or own_url, params["api_username"], password, params["api_token"] or "")


def collection_version() -> str:
    """Version of the collection that is installed on this host."""
    return str(importlib.import_module("toucan_selfhosted").__version__)


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    state = module.state()
    if not module.need_libraries(_LIBRARIES):
        module.exit_json(changed=False, plan=[], dumps=[], missing=[], warnings=["This host has no environment of the collection yet, so nothing can be told."])
    try:
        request = backup_request(module.params, os.cpu_count() or 1)
    except Failure as failure:
        module.finish_failed(failure)
    progress = Progress(module.params["progress_path"])
    engine = BackupEngine(
        request, state, module.params["secrets_path"], DockerEngine, lambda url: session(module.params, state, url), collection_version(), progress
    )
    module.run_engine(engine, lock=HOST_LOCK)


if __name__ == "__main__":
    main()
