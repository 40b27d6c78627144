#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_stack
short_description: Run the services of a Toucan stack on a host
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Brings a compose project with exactly the given services to a healthy run, from what a release and a registry name.
  - Images are pinned by digest in what is deployed. A tag that moved in the registry changes nothing by itself.
  - Only services whose image, configuration or mounted files changed are created anew, and the plan names them beforehand by the
    hash that compose itself compares.
  - Health is judged from outside the containers.
  - Configuration without secrets stands in C(compose.yaml) and the rest in C(compose.override.yaml), which only root can read.
    C(docker compose) in O(directory) reads both.
requirements:
  - docker (Python SDK), PyYAML and pymongo in the environment that role C(toucan_host) installs
  - Docker Engine and Compose v2
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.lock
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
    details:
      - On a host without Docker the plan starts from nothing, and images are named by the tag asked for.
  diff_mode:
    support: full
    details:
      - Of variables that may hold secrets the difference shows names, never values.
  idempotent:
    support: full
  platform:
    support: full
options:
  project:
    description: Name of the compose project. Where it is unset, the one that the state file has, else V(toucan).
    type: str
  directory:
    description: Folder of the compose project.
    type: path
    default: /var/lib/toucan/stack
  network:
    description: Name of the Docker network that the services share. Where it is unset, the one that the state file has, else V(toucan).
    type: str
  services:
    description: The services of this host.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis]
    default: [frontend, backend, mongodb, redis]
  release:
    description: The product's release, such as V(v101.1.0) or V(latest-monthly).
    type: str
  frontend_release:
    description: The frontend's release, where it differs.
    type: str
  backend_release:
    description: The backend's release, where it differs.
    type: str
  images:
    description: Full image references of services that do not follow the release.
    type: dict
    default: {}
    suboptions:
      frontend:
        description: Image of the frontend.
        type: str
      backend:
        description: Image of the backend.
        type: str
      mongodb:
        description: Image of MongoDB.
        type: str
      redis:
        description: Image of Redis.
        type: str
  registry:
    description: Where the product's images come from.
    type: dict
    suboptions:
      name:
        description: Registry with the folder of the images.
        type: str
        default: quay.io/toucantoco
      username:
        description: User, or name of a robot account.
        type: str
      password:
        description: Its password or token. It is handed to the engine for each pull, and not stored on the host.
        type: str
      ca_file:
        description: Not read here. Role C(toucan_host) makes Docker trust it.
        type: path
  image_mirror:
    description:
      - Registry, with a folder where it has one, that has the images of Docker Hub, such as V(mirror.example.com/docker-hub).
      - It takes the place of C(docker.io) in the names of images, those of MongoDB and Redis among them.
    type: str
  image_folder:
    description:
      - Folder of this host with archives of C(docker save), for a site without a way to a registry. No registry is asked then.
      - An image that the engine does not have under the name asked for is loaded from the archive that has it under this name.
      - It is pinned by its ID, through a tag of this host.
    type: path
  keep_releases:
    description:
      - How many releases of each of the product's images stay when another one is deployed, with the one that is deployed.
      - The others go when all services are healthy, unless a container is made of them. V(0) keeps all.
    type: int
    default: 2
  frontend_url:
    description: Public URL of the frontend.
    type: str
    required: true
  backend_url:
    description: Public URL of the backend, with its path prefix where it has one.
    type: str
    required: true
  instance_name:
    description:
      - Name of the instance, as the backend is told.
      - Where it is unset, an adopted stack keeps what it has, even if that is none, and any other gets V(toucan).
    type: str
  log_level:
    description: Log level of the backend. Where it is unset, what an adopted stack has, else V(INFO).
    type: str
    choices: [DEBUG, INFO, WARNING, ERROR]
  cross_origins:
    description: Further origins that may call the backend from a browser.
    type: list
    elements: str
    default: []
  mail:
    description: How the backend sends mail.
    type: dict
    suboptions:
      provider:
        description: Kind of sender.
        type: str
        choices: [smtp, sendgrid]
        default: smtp
      host:
        description: SMTP server.
        type: str
      port:
        description: Its port.
        type: int
      login:
        description: User on it.
        type: str
      password:
        description: The user's password.
        type: str
      tls:
        description: Whether to use STARTTLS.
        type: bool
      smtps:
        description: Whether to use TLS from the first byte.
        type: bool
      from_email:
        description: Sender's address.
        type: str
      from_name:
        description: Sender's name.
        type: str
  features:
    description: Feature flags of the backend by the name of their variable.
    type: dict
    default: {}
  env:
    description:
      - Further variables of the backend, by name. They win over all others.
      - Booleans are written as the product's flags, lists and mappings as JSON. One that is null is left out.
      - They show in plans and in C(compose.yaml). Give secrets in O(secret_env).
    type: dict
    default: {}
  secret_env:
    description: Further variables of the backend whose values are secrets. They never show.
    type: dict
    default: {}
  frontend_env:
    description: Further variables of the frontend, written likewise.
    type: dict
    default: {}
  gunicorn_workers:
    description: Number of the backend's web workers. V(0) takes what an adopted stack has, else computes it from CPUs and memory.
    type: int
    default: 0
  worker_memory_mb:
    description: Memory to plan for one web worker, in MiB.
    type: int
    default: 400
  mongodb_uri:
    description:
      - Connection string of a MongoDB outside the stack, of one server, of a replica set or of an SRV record.
      - It is looked at from this host before anything changes, and from inside the backend afterwards. Nothing is written there.
    type: str
  mongodb_username:
    description: User of that MongoDB, in any characters. O(mongodb_uri) then holds no login.
    type: str
  mongodb_password:
    description: Its password, in any characters.
    type: str
  mongodb_ca:
    description:
      - CA certificates in PEM form that sign the certificate of that MongoDB.
      - They are mounted into the backend at O(mongodb_ca_path), and O(mongodb_uri) is completed by C(tls=true) and C(tlsCAFile).
    type: str
  mongodb_ca_file:
    description: A file of this host with them.
    type: path
  mongodb_ca_path:
    description: Where the backend finds them in its container.
    type: str
    default: /etc/ssl/myCA.crt
  mongodb_uri_variable:
    description: The backend's variable that takes O(mongodb_uri). Its real name is not public.
    type: str
    default: TOUCAN_MONGODB_URI
  redis_url:
    description:
      - URL of a Redis outside the stack, V(rediss://) for one with TLS. It is looked at from this host before anything changes.
      - Its certificate has to hold on this host. Whom the backend trusts is a matter of its image.
    type: str
  redis_password:
    description: Password of that Redis, in any characters. O(redis_url) then holds none.
    type: str
  redis_memory_mb:
    description: Memory limit of the stack's Redis, in MiB.
    type: int
    default: 256
  storage_directory:
    description:
      - Folder, or Docker volume, of the backend's files.
      - Where it is unset, the one that the state file has, else V(/var/lib/toucan/storage).
    type: str
  storage_owner:
    description: User and group, as numbers, that the backend writes its files as.
    type: str
    default: "1000:1000"
  database_directory:
    description:
      - Folder, or Docker volume, of the stack's MongoDB.
      - Where it is unset, the one that the state file has, else V(/var/lib/toucan/mongodb).
    type: str
  address:
    description:
      - Address of this host that the stack's other hosts reach it at. Services that they call are published at it, and nowhere else.
      - Published ports bypass most host firewalls, so take a private address.
    type: str
  published:
    description: Services of this host that other hosts of the stack call.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis]
    default: []
  ports:
    description: Ports to publish them at, where not V(8000), V(5000), V(27017) and V(6379).
    type: dict
    default: {}
    suboptions:
      frontend:
        description: Port of the frontend.
        type: int
      backend:
        description: Port of the backend.
        type: int
      mongodb:
        description: Port of MongoDB.
        type: int
      redis:
        description: Port of Redis.
        type: int
  peers:
    description:
      - Services on other hosts of the stack that those of this host call, by service, each with C(host), C(address) and C(port).
      - Filter P(toucan.selfhosted.stack_topology#filter) makes it from the inventory.
    type: dict
    default: {}
  backends:
    description: Names of the stack's hosts that run a backend.
    type: list
    elements: str
    default: []
  storage_shared:
    description: Whether the hosts that run a backend have O(storage_directory) in common. Several backends demand it.
    type: bool
    default: false
  only:
    description: Services to bring up now. The others are left as they are. None means all.
    type: list
    elements: str
    choices: [frontend, backend, mongodb, redis]
    default: []
  secrets_path:
    description: The secrets file that M(toucan.selfhosted.toucan_secrets) keeps.
    type: path
    default: /etc/toucan/secrets.json
  start_timeout:
    description: Seconds that all services together get to become healthy. A backend migrates its data before it answers.
    type: int
    default: 900
  allow_version_change:
    description: Whether another release may be deployed over existing data without a backup.
    type: bool
    default: false
  allow_service_removal:
    description:
      - Whether the backend or MongoDB may be removed from a host that holds its data.
      - The data stays.
    type: bool
    default: false
  adopt:
    description:
      - Plan as if M(toucan.selfhosted.toucan_adopt) had recorded the stack that somebody else started here.
      - For check mode alone, since nothing is recorded.
    type: dict
    suboptions:
      project:
        description: As there.
        type: str
      containers:
        description: As there.
        type: dict
        default: {}
      ignore_files:
        description: As there.
        type: bool
        default: false
      secrets:
        description: As there.
        type: dict
        default: {}
  options_only:
    description:
      - Whether to look at the options alone, and refuse those that cannot work.
      - Needs neither Docker nor a library, and returns no plan.
    type: bool
    default: false
  status_shape:
    description: Where the status stands in the backend's root answer, as JMESPath.
    type: str
    default: status
  version_shape:
    description: Where the version stands in the backend's root answer, as JMESPath.
    type: str
    default: version
seealso:
  - module: toucan.selfhosted.toucan_secrets
  - module: toucan.selfhosted.toucan_state
"""

EXAMPLES = r"""
- name: Run the whole product on this host
  toucan.selfhosted.toucan_stack:
    release: v101.1.0
    frontend_url: https://toucan.example.com
    backend_url: https://api-toucan.example.com
    registry:
      username: "{{ vault_registry_robot }}"
      password: "{{ vault_registry_token }}"

- name: Show what a changed log level would restart
  toucan.selfhosted.toucan_stack:
    release: v101.1.0
    frontend_url: https://toucan.example.com
    backend_url: https://api-toucan.example.com
    log_level: DEBUG
  check_mode: true
  diff: true
"""

RETURN = r"""
plan:
  description: The changes, as steps in the order they are made. No step holds a secret.
  returned: success, unless with O(options_only=true)
  type: list
  elements: dict
  contains:
    id:
      description: Stable name of the step.
      type: str
      returned: always
      sample: service.recreate:backend
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
  description: The services of this host.
  returned: success, unless with O(options_only=true)
  type: list
  elements: str
images:
  description: Name, tag, digest and, when deployed, ID of each service's image.
  returned: success, unless with O(options_only=true)
  type: dict
versions:
  description: The versions that answered, by service.
  returned: success, unless with O(options_only=true)
  type: dict
  sample:
    frontend: v101.1.0
    backend: v101.1.0
login:
  description: The built-in super admin's name, and the login providers that the backend lists.
  returned: outside check mode, unless with O(options_only=true)
  type: dict
  sample:
    admin: toucantoco
    providers: []
workers:
  description: Number of web workers, and why.
  returned: success, unless with O(options_only=true)
  type: dict
  sample:
    count: 5
    reason: 2*2+1 = 5 for 2 CPUs; 50% of 16000 MiB of memory at 400 MiB each allows 20
stopped:
  description: The services of this host that stay stopped on purpose. Those that M(toucan.selfhosted.toucan_stack) runs are no longer among them.
  returned: success, unless with O(options_only=true)
  type: list
  elements: str
fingerprints:
  description: Salted fingerprints of secrets that must stay the same while there is data, by name, as the state file has them, else made now.
  returned: success, unless with O(options_only=true)
  type: dict
compose:
  description: Project, folder and network.
  returned: success, unless with O(options_only=true)
  type: dict
mongodb:
  description: The C(hosts) and C(version) of a MongoDB outside the stack. Empty where the stack's own is used, and on a host without a backend.
  returned: success, unless with O(options_only=true)
  type: dict
  sample:
    hosts: [mongodb.example.com:27017]
    version: 7.0.14
places:
  description: Where the data of this host's services is, C(storage) and C(database), each a folder or a Docker volume.
  returned: success, unless with O(options_only=true)
  type: dict
"""

import os
from datetime import datetime, timezone
from typing import Any, Optional

from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.candidates import Choice
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.engine import AdoptEngine, AdoptRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Credentials, DockerEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import databases, environment, routes, services, workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.releases import wanted_images
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import StackOptions
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.topology import Peer
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.files import read_bytes
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.folders import parse_owner
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image, mirrored, parse_image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import DEFAULT_PATH as SECRETS_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import ENVIRONMENT, read_environment
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.x509 import HAS_CRYPTOGRAPHY, certificates_alone, check_ca_bundle
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.engine import StackEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.places import settle
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.request import StackRequest, refuse_unusable
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.takeover import adopted_of
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """The module's options; DOCUMENTATION says the same."""
    return dict(
        project=dict(type="str"),
        directory=dict(type="path", default="/var/lib/toucan/stack"),
        network=dict(type="str"),
        services=dict(type="list", elements="str", choices=list(services.KINDS), default=list(services.KINDS)),
        release=dict(type="str"),
        frontend_release=dict(type="str"),
        backend_release=dict(type="str"),
        images=dict(type="dict", default={}, options={kind: dict(type="str") for kind in services.KINDS}),
        registry=dict(
            type="dict",
            apply_defaults=True,
            options=dict(
                name=dict(type="str", default=services.PRODUCT_REGISTRY),
                username=dict(type="str"),
                password=dict(type="str", no_log=True),
                ca_file=dict(type="path"),
            ),
        ),
        image_mirror=dict(type="str"),
        image_folder=dict(type="path"),
        keep_releases=dict(type="int", default=2),
        frontend_url=dict(type="str", required=True),
        backend_url=dict(type="str", required=True),
        instance_name=dict(type="str"),
        log_level=dict(type="str", choices=list(environment.LOG_LEVELS)),
        cross_origins=dict(type="list", elements="str", default=[]),
        mail=dict(
            type="dict",
            options=dict(
                provider=dict(type="str", choices=list(environment.MAIL_PROVIDERS), default=environment.MAIL_PROVIDERS[0]),
                host=dict(type="str"),
                port=dict(type="int"),
                login=dict(type="str"),
                password=dict(type="str", no_log=True),
                tls=dict(type="bool"),
                smtps=dict(type="bool"),
                from_email=dict(type="str"),
                from_name=dict(type="str"),
            ),
        ),
        features=dict(type="dict", default={}),
        env=dict(type="dict", default={}),
        secret_env=dict(type="dict", default={}, no_log=True),
        frontend_env=dict(type="dict", default={}),
        gunicorn_workers=dict(type="int", default=0),
        worker_memory_mb=dict(type="int", default=workers.MEMORY_PER_WORKER_MB),
        mongodb_uri=dict(type="str", no_log=True),
        mongodb_username=dict(type="str"),
        mongodb_password=dict(type="str", no_log=True),
        mongodb_ca=dict(type="str"),
        mongodb_ca_file=dict(type="path"),
        mongodb_ca_path=dict(type="str", default=databases.BACKEND_CA_FILE),
        mongodb_uri_variable=dict(type="str", default=environment.MONGODB_URI),
        redis_url=dict(type="str", no_log=True),
        redis_password=dict(type="str", no_log=True),
        redis_memory_mb=dict(type="int", default=256),
        storage_directory=dict(type="str"),
        storage_owner=dict(type="str", default="{}:{}".format(*services.STORAGE_OWNER)),
        database_directory=dict(type="str"),
        address=dict(type="str"),
        published=dict(type="list", elements="str", choices=list(services.KINDS), default=[]),
        ports=dict(type="dict", default={}, options={kind: dict(type="int") for kind in services.KINDS}),
        peers=dict(type="dict", default={}),
        backends=dict(type="list", elements="str", default=[]),
        storage_shared=dict(type="bool", default=False),
        only=dict(type="list", elements="str", choices=list(services.KINDS), default=[]),
        secrets_path=dict(type="path", default=SECRETS_PATH, no_log=False),
        state_path=dict(type="path", default=STATE_PATH),
        lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        start_timeout=dict(type="int", default=900),
        allow_version_change=dict(type="bool", default=False),
        allow_service_removal=dict(type="bool", default=False),
        adopt=dict(
            type="dict",
            options=dict(
                project=dict(type="str"),
                containers=dict(type="dict", default={}),
                ignore_files=dict(type="bool", default=False),
                secrets=dict(type="dict", default={}, no_log=True),
            ),
        ),
        options_only=dict(type="bool", default=False),
        status_shape=dict(type="str", default=routes.BACKEND_STATUS_SHAPE),
        version_shape=dict(type="str", default=routes.BACKEND_VERSION_SHAPE),
    )


def stack_options(params: dict[str, Any], state: dict[str, Any], brought: Optional[dict[str, dict[str, str]]]) -> StackOptions:
    """The part of the options that decides what the compose project holds.

    :param brought: variables by kind that an adopted stack brought along.
    """
    places = settle(params, state)
    return StackOptions(
        project=places.project,
        services=tuple(params["services"]),
        frontend_url=params["frontend_url"],
        backend_url=params["backend_url"],
        directory=params["directory"],
        storage=places.storage,
        database=places.database,
        network=places.network,
        storage_owner=parse_owner(params["storage_owner"], "toucan_stack_storage_owner"),
        instance_name=params["instance_name"] or "",
        log_level=params["log_level"] or "",
        adopted=brought,
        mounts={kind: tuple(mounts) for kind, mounts in state.get("adopted", {}).get("mounts", {}).items()},
        cross_origins=tuple(params["cross_origins"]),
        mail=params["mail"] or {},
        features=params["features"],
        backend_env=params["env"],
        backend_secret_env=params["secret_env"],
        frontend_env=params["frontend_env"],
        mongodb_uri=params["mongodb_uri"] or "",
        mongodb_username=params["mongodb_username"] or "",
        mongodb_password=params["mongodb_password"] or "",
        mongodb_ca=mongodb_ca(params),
        mongodb_ca_path=params["mongodb_ca_path"],
        mongodb_uri_variable=params["mongodb_uri_variable"],
        redis_url=params["redis_url"] or "",
        redis_password=params["redis_password"] or "",
        redis_memory_mb=params["redis_memory_mb"],
        address=params["address"] or "",
        published=tuple(params["published"]),
        ports={kind: port for kind, port in params["ports"].items() if port},
        peers={kind: tuple(Peer(item["host"], item["address"], int(item["port"])) for item in known) for kind, known in params["peers"].items()},
    )


def mongodb_ca(params: dict[str, Any]) -> str:
    """The CA certificates of a MongoDB outside the stack, empty for none. :raises Failure: when they are none."""
    path = params["mongodb_ca_file"] or ""
    content: Optional[bytes] = (params["mongodb_ca"] or "").encode()
    if path:
        content = read_bytes(path)
        if content is None:
            raise Failure(f"There is no file {path} on this host", "correct `toucan_mongodb_ca_file`", subject=path)
    if not content:
        return ""
    named = f"`toucan_mongodb_ca_file` ({path})" if path else "`toucan_mongodb_ca_file`"
    if HAS_CRYPTOGRAPHY:
        check_ca_bundle(content, datetime.now(timezone.utc), named)
    return certificates_alone(content, named).decode(errors="replace")


def needed_libraries(params: dict[str, Any]) -> list[str]:
    """What this run imports."""
    ca = ["cryptography"] if params["mongodb_ca"] or params["mongodb_ca_file"] else []
    record = ["dns"] if (params["mongodb_uri"] or "").startswith("mongodb+srv:") else []
    return ["docker", "yaml", "pymongo", *ca, *record]


def stack_images(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Image]:
    """The image asked for by kind; databases that were adopted keep theirs. :raises Failure: when a release cannot be read or none is given."""
    adopted = recorded_images(state) if "adopted" in state else {}
    kept = {kind: adopted[kind].asked for kind in (services.MONGODB, services.REDIS) if kind in adopted}
    mirror = params["image_mirror"] or ""
    given = {kind: str(mirrored(parse_image(reference), mirror)) for kind, reference in (params["images"] or {}).items() if reference}
    releases = {kind: params[f"{kind}_release"] or params["release"] or "" for kind in services.PRODUCT_REPOSITORIES}
    registry = params["registry"]["name"] or services.PRODUCT_REGISTRY
    return wanted_images(tuple(params["services"]), registry, releases, {**kept, **given}, mirror)


def stack_workers(params: dict[str, Any], brought: Optional[dict[str, dict[str, str]]]) -> workers.Workers:
    """The number of web workers: as told, as an adopted stack has it, or from this host's CPUs and memory."""
    if params["gunicorn_workers"] > 0:
        return workers.Workers(params["gunicorn_workers"], "as set in gunicorn_workers")
    adopted = (brought or {}).get(services.BACKEND, {}).get(environment.GUNICORN_WORKERS, "")
    if adopted.isdigit():
        return workers.Workers(int(adopted), "as the stack had it when it was adopted")
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // (1 << 20)
    return workers.gunicorn_workers(len(os.sched_getaffinity(0)), memory_mb, params["worker_memory_mb"])


def recorded_image(image: dict[str, Any]) -> Image:
    """One image as the state file has it: pinned by its digest, or by its ID where it came from no registry."""
    digest = image.get("digest", "")
    return Image(image["name"], image["tag"], digest, "" if digest else image.get("id", ""), image.get("version", ""))


def recorded_images(state: dict[str, Any]) -> dict[str, Image]:
    """Images by kind as the state file has them."""
    return {
        kind: recorded_image(image)
        for kind, image in state.get("images", {}).items()
        if image.get("tag")
    }


def as_adopted(params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """State and secrets as they would be once the stack that runs here is adopted. :raises Failure: when it cannot be."""
    asked = params["adopt"]
    request = AdoptRequest(
        services=tuple(params["services"]),
        choice=Choice(asked["project"] or "", {kind: name for kind, name in asked["containers"].items() if name}),
        directory=params["directory"],
        state_path=params["state_path"],
        secrets_path=params["secrets_path"],
        given=asked["secrets"],
        ignore_files=asked["ignore_files"],
        status_shape=params["status_shape"],
        version_shape=params["version_shape"],
    )
    engine = AdoptEngine(request, DockerEngine)
    engine.plan(engine.observe())
    return engine.state, engine.secrets


def stack_request(params: dict[str, Any], state: dict[str, Any], secrets: Optional[dict[str, Any]] = None) -> StackRequest:
    """Everything the engine needs.

    :param secrets: what the secrets file would hold, instead of what it holds.
    :raises Failure: when an option is refused.
    """
    registry = params["registry"]
    brought = read_environment(params["secrets_path"]) if secrets is None else secrets.get(ENVIRONMENT)
    return StackRequest(
        options=stack_options(params, state, brought),
        images=stack_images(params, state),
        credentials=Credentials((registry["name"] or services.PRODUCT_REGISTRY).split("/", 1)[0], registry["username"] or "", registry["password"] or ""),
        workers=stack_workers(params, brought),
        secrets_path=params["secrets_path"],
        recorded=recorded_images(state),
        recorded_places=state.get("places", {}),
        recorded_project=state.get("compose", {}).get("project", ""),
        stopped=frozenset(state.get("stopped") or []),
        host_ca_file=state.get("ca_file") or "",
        start_timeout=params["start_timeout"],
        adopted=adopted_of(state),
        secrets=secrets,
        only=tuple(params["only"]),
        backends=tuple(params["backends"]),
        storage_shared=params["storage_shared"],
        fingerprints=state.get("fingerprints", {}),
        image_folder=params["image_folder"] or "",
        keep_releases=params["keep_releases"],
        allow_version_change=params["allow_version_change"],
        allow_service_removal=params["allow_service_removal"],
        status_shape=params["status_shape"],
        version_shape=params["version_shape"],
    )


def refuse_adoption_in_earnest(check_mode: bool) -> None:
    """:raises Failure: outside check mode."""
    if not check_mode:
        raise Failure("`adopt` of toucan_stack only plans", "run it in check mode, and record the stack with module toucan_adopt")


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True, mutually_exclusive=[("mongodb_ca", "mongodb_ca_file")])
    options_only = module.params["options_only"]
    has_libraries = not options_only and module.need_libraries(needed_libraries(module.params))
    state, secrets = module.state(), None
    try:
        if module.params["adopt"] and has_libraries:
            refuse_adoption_in_earnest(module.check_mode)
            state, secrets = as_adopted(module.params)
        request = stack_request(module.params, state, secrets)
        refuse_unusable(request)
    except Failure as failure:
        module.finish_failed(failure)
    if options_only:
        module.exit_json(changed=False)
    module.run_engine(StackEngine(request, DockerEngine, check_mode=module.check_mode, has_engine=has_libraries), lock=HOST_LOCK)


if __name__ == "__main__":
    main()
