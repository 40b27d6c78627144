# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compose project of a host: which service gets which image, environment, mounts and rights.

Pure: options in, mappings out. Two compose files, because the first is what support asks for and the second holds secrets;
``docker compose`` in the project's folder reads both by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core import secrets as names
from ..core.errors import Failure
from ..core.images import pull_policy
from . import databases, topology
from . import environment as env
from . import services as kinds
from .workers import Workers

COMPOSE_FILE = "compose.yaml"  # [OURS]
SECRETS_FILE = "compose.override.yaml"  # [OURS]
REDIS_CONFIG = "redis/redis.conf"  # [OURS]
MONGODB_PASSWORD = "mongodb/password"  # [OURS]
MONGODB_CA = "backend/mongodb-ca.crt"  # [OURS]
_REDIS_MOUNT = "/usr/local/etc/redis"  # where the image's documentation puts a configuration [IMAGE]
_REDIS_SERVER = "redis-server"  # [IMAGE]
_MONGODB_MOUNT = "/run/toucan"  # [OURS]
_PLACE = re.compile(r"/.*|[A-Za-z0-9][A-Za-z0-9_.-]*")  # folder or Docker volume [OURS]
# What is under our control is hardened fully; the vendor's images run as the vendor ships them.
_HARDENED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}  # [OURS]


@dataclass(frozen=True)
class StackOptions:
    """What is wanted of the services of one host.

    :param storage: a folder, or the name of a Docker volume; ``database`` likewise.
    :param published: kinds that other hosts call, at ``address`` and the port of ``ports`` or the usual one.
    :param peers: services on other hosts that those here call, by kind.
    :param instance_name: empty for what an adopted stack has, else the usual; ``log_level`` likewise.
    :param adopted: variables by kind that an adopted stack brought along, which all others win over; ``None`` for a stack that was not adopted.
    :param mounts: further mounts by kind, as ``SOURCE:TARGET[:ro]``.
    :param mongodb_uri: of a MongoDB outside the stack, whose login and CA (PEM) may stand beside it; ``redis_url`` likewise.
    :param mongodb_ca_path: where the backend finds the CA in its container.
    """

    project: str
    services: tuple[str, ...]
    frontend_url: str
    backend_url: str
    directory: str
    storage: str
    database: str
    network: str
    instance_name: str = ""
    log_level: str = ""
    cross_origins: tuple[str, ...] = ()
    mail: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, bool] = field(default_factory=dict)
    backend_env: Mapping[str, Any] = field(default_factory=dict)
    backend_secret_env: Mapping[str, Any] = field(default_factory=dict)
    frontend_env: Mapping[str, Any] = field(default_factory=dict)
    storage_owner: tuple[int, int] = kinds.STORAGE_OWNER
    address: str = ""
    published: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    peers: Mapping[str, tuple[topology.Peer, ...]] = field(default_factory=dict)
    mongodb_uri: str = ""
    mongodb_username: str = ""
    mongodb_password: str = ""
    mongodb_ca: str = ""
    mongodb_ca_path: str = databases.BACKEND_CA_FILE
    mongodb_uri_variable: str = env.MONGODB_URI
    redis_url: str = ""
    redis_password: str = ""
    redis_memory_mb: int = 256
    adopted: Optional[Mapping[str, Mapping[str, str]]] = None
    mounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    log_size_mb: int = 20
    log_files: int = 5


@dataclass(frozen=True)
class MountedFile:
    """A file that a container reads; ``path`` is relative to the project's folder."""

    path: str
    content: str
    owner: tuple[int, int]
    kind: str
    mode: int = 0o400


@dataclass(frozen=True)
class Definition:
    """A compose project: ``public`` and ``secret`` are compose files as mappings, ``files`` stand beside them."""

    public: dict[str, Any]
    secret: dict[str, Any]
    files: tuple[MountedFile, ...]

    def merged(self) -> dict[str, Any]:
        """Both files as compose merges them."""
        services = {name: dict(service) for name, service in self.public["services"].items()}
        for name, service in self.secret["services"].items():
            services[name]["environment"] = {**services[name].get("environment", {}), **service["environment"]}
        return {**self.public, "services": services}


def refuse_incomplete(options: StackOptions) -> None:
    """:raises Failure: when a service here needs another one that is neither here nor named, or a URL that is none."""
    if kinds.FRONTEND in options.services or kinds.BACKEND in options.services:
        env.host_of(options.frontend_url, "toucan_frontend_url")
        env.host_of(options.backend_url, "toucan_backend_url")
    for place, option in ((options.storage, "toucan_stack_storage_directory"), (options.database, "toucan_stack_database_directory")):
        if not _PLACE.fullmatch(place):
            raise Failure(f"`{option}` is `{place}`, which is neither a folder nor a Docker volume", "write the whole path of a folder", subject=place)
    for kind in options.published:
        topology.refuse_unnamed(options.address, kind)
    if kinds.BACKEND not in options.services:
        return
    if not options.mongodb_uri and kinds.MONGODB not in options.services and not database_elsewhere(options, kinds.MONGODB):
        raise Failure("This host runs a backend but no MongoDB", "add a host to group `toucan_mongodb`, or set `toucan_mongodb_uri`")
    if not options.redis_url and kinds.REDIS not in options.services and not database_elsewhere(options, kinds.REDIS):
        raise Failure("This host runs a backend but no Redis", "add a host to group `toucan_redis`, or set `toucan_redis_url`")
    _refuse_loose_database_options(options)


def _refuse_loose_database_options(options: StackOptions) -> None:
    """:raises Failure: when there is a login or a CA for a database outside the stack, and no such database: the stack's own would be used instead."""
    loose = {
        "toucan_mongodb_username": (options.mongodb_username, options.mongodb_uri, "toucan_mongodb_uri"),
        "toucan_mongodb_password": (options.mongodb_password, options.mongodb_uri, "toucan_mongodb_uri"),
        "toucan_mongodb_ca_file": (options.mongodb_ca, options.mongodb_uri, "toucan_mongodb_uri"),
        "toucan_redis_password": (options.redis_password, options.redis_url, "toucan_redis_url"),
    }
    for option, (value, address, missing) in loose.items():
        if value and not address:
            raise Failure(f"`{option}` is set, and `{missing}` is not", f"set `{missing}`; passwords of the stack's own databases stand in `toucan_secrets`")


def mongodb_outside(options: StackOptions) -> Optional[databases.MongodbUri]:
    """The connection string that the backend gets for a MongoDB outside the stack; None where the stack's own is used.

    :raises Failure: when it cannot work.
    """
    if not options.mongodb_uri:
        return None
    given = databases.ExternalMongodb(options.mongodb_uri, options.mongodb_username, options.mongodb_password, options.mongodb_ca, options.mongodb_ca_path)
    return given.settled()


def redis_outside(options: StackOptions) -> Optional[databases.RedisServer]:
    """A Redis outside the stack; None where the stack's own is used. :raises Failure: when it cannot work."""
    return databases.parse_redis_url(options.redis_url, options.redis_password) if options.redis_url else None


def database_elsewhere(options: StackOptions, kind: str) -> Optional[topology.Peer]:
    """The MongoDB or Redis of the stack on another host that a backend here uses. :raises Failure: when it cannot be told."""
    outside, option = (options.mongodb_uri, "toucan_mongodb_uri") if kind == kinds.MONGODB else (options.redis_url, "toucan_redis_url")
    if outside or kinds.BACKEND not in options.services:
        return None
    return topology.the_database(options.peers.get(kind, ()), kind in options.services, kind, option)


def needed_secrets(services: Iterable[str]) -> tuple[str, ...]:
    """Names of the secrets that a host with these services keeps."""
    needs = {kinds.BACKEND: names.NAMES, kinds.MONGODB: (names.MONGODB,), kinds.REDIS: (names.REDIS,)}
    wanted = {name for kind in services for name in needs.get(kind, ())}
    return tuple(name for name in names.NAMES if name in wanted)


def define(options: StackOptions, images: Mapping[str, str], secrets: Mapping[str, str], workers: Workers) -> Definition:
    """The compose project that ``options`` ask for.

    :param images: pinned reference by kind.
    :param secrets: values by name, at least those of ``needed_secrets``.
    """
    builders = {kinds.FRONTEND: _frontend, kinds.BACKEND: _backend, kinds.MONGODB: _mongodb, kinds.REDIS: _redis}
    # With the name in the file, `docker compose` in the folder speaks of this project, too.
    public: dict[str, Any] = {"name": options.project, "services": {}, "networks": {"default": {"name": options.network, "external": True}}}
    for kind in kinds.KINDS:
        if kind in options.services:
            public["services"][kinds.COMPOSE_NAMES[kind]] = {
                "image": images[kind],
                **pull_policy(images[kind]),
                **_ports(kind, options),
                "restart": "always",
                "logging": {"driver": "json-file", "options": {"max-size": f"{options.log_size_mb}m", "max-file": str(options.log_files)}},
                **builders[kind](options, workers),
            }
    volumes = [place for place in (*_places(options), *_mounted(options)) if is_volume(place)]
    if volumes:
        # They hold data that was there before this file, so that no `docker compose down` may take them along.
        public["volumes"] = {name: {"name": name, "external": True} for name in volumes}
    secret: dict[str, Any] = {"services": {}}
    if kinds.BACKEND in options.services:
        secret["services"][kinds.COMPOSE_NAMES[kinds.BACKEND]] = {"environment": _secret_environment(options, secrets, workers)}
    if kinds.FRONTEND in options.services and _adopted(options, kinds.FRONTEND):
        ours = public["services"][kinds.COMPOSE_NAMES[kinds.FRONTEND]]["environment"]
        brought = {name: value for name, value in _adopted(options, kinds.FRONTEND).items() if name not in ours}
        secret["services"][kinds.COMPOSE_NAMES[kinds.FRONTEND]] = {"environment": brought}
    return Definition(escape(public), escape(secret), _files(options, secrets))


def escape(value: Any) -> Any:
    """Keep compose from reading ``$`` in a value as a variable of its own."""
    if isinstance(value, dict):
        return {key: escape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def is_volume(place: str) -> bool:
    """Whether a place of data is a Docker volume rather than a folder."""
    return not place.startswith("/")


def _places(options: StackOptions) -> list[str]:
    """Where the data of the services here is."""
    places = {kinds.BACKEND: options.storage, kinds.MONGODB: options.database}
    return [place for kind, place in places.items() if kind in options.services]


def _ports(kind: str, options: StackOptions) -> dict[str, list[str]]:
    if kind not in options.published:
        return {}
    inside = {
        kinds.FRONTEND: kinds.FRONTEND_PORT,
        kinds.BACKEND: env.backend_port(options.backend_env),
        kinds.MONGODB: kinds.MONGODB_PORT,
        kinds.REDIS: kinds.REDIS_PORT,
    }
    outside = options.ports.get(kind) or kinds.PUBLISHED_PORTS[kind]
    return {"ports": [f"{topology.endpoint(options.address, outside)}:{inside[kind]}"]}


def _mounted(options: StackOptions) -> list[str]:
    """What further mounts of the services here come from."""
    return [mount.split(":")[0] for kind, mounts in options.mounts.items() if kind in options.services for mount in mounts]


def _adopted(options: StackOptions, kind: str) -> Mapping[str, str]:
    """Variables that a service brought along when it was adopted."""
    return (options.adopted or {}).get(kind, {})


def _frontend(options: StackOptions, workers: Workers) -> dict[str, Any]:
    service: dict[str, Any] = {"environment": {**env.frontend_environment(options.backend_url), **env.variables(options.frontend_env)}}
    if options.mounts.get(kinds.FRONTEND):
        service["volumes"] = list(options.mounts[kinds.FRONTEND])
    return service


def _backend(options: StackOptions, workers: Workers) -> dict[str, Any]:
    here = [kinds.COMPOSE_NAMES[kind] for kind in (kinds.MONGODB, kinds.REDIS) if kind in options.services]
    service: dict[str, Any] = {
        "environment": _backend_environment(options, workers),
        "volumes": [f"{options.storage}:{kinds.BACKEND_STORAGE}", *_ca_mount(options), *_further_mounts(options)],
        "stop_grace_period": "60s",
    }
    if here:
        service["depends_on"] = here
    return service


def _ca_mount(options: StackOptions) -> list[str]:
    """The file alone, since its folder in the container holds more; the container is made anew when it changes."""
    return [f"{options.directory}/{MONGODB_CA}:{options.mongodb_ca_path}:ro"] if options.mongodb_ca else []


def _further_mounts(options: StackOptions) -> list[str]:
    """Those of an adopted backend, but for a CA that is given now and stands at the same place."""
    taken = [options.mongodb_ca_path] if options.mongodb_ca else []
    return [mount for mount in options.mounts.get(kinds.BACKEND, ()) if mount.split(":")[1] not in taken]


def _backend_environment(options: StackOptions, workers: Workers) -> dict[str, str]:
    derived = {
        **_usual(options),
        env.SERVER_NAME: env.host_of(options.backend_url, "toucan_backend_url"),
        env.FRONTEND_URLS: env.encode([options.frontend_url]),
        env.BEHIND_PROXY: env.encode(True),
        env.GUNICORN_WORKERS: str(workers.count),
        **{name: env.flag(name, value) for name, value in options.features.items()},
    }
    kept = {name: value for name, value in derived.items() if name not in options.backend_env}
    return {**kept, **env.variables(options.backend_env)}


def _usual(options: StackOptions) -> dict[str, str]:
    """What is set to the usual where nobody asks for anything else, unless the stack was adopted and has a value of its own.

    An adopted stack that has no instance's name gets none: databases are called by it [GUESS], so another name would look like lost data.
    """
    asked = {
        env.INSTANCE_NAME: (options.instance_name, "toucan" if options.adopted is None else ""),
        env.CROSS_ORIGINS: (env.encode(list(options.cross_origins)) if options.cross_origins else "", env.encode([])),
        env.LOG_LEVEL: (options.log_level, env.LOG_LEVEL_USUAL),
    }
    brought = _adopted(options, kinds.BACKEND)
    values = {name: value or ("" if name in brought else usual) for name, (value, usual) in asked.items()}
    return {name: value for name, value in values.items() if value}


def _secret_environment(options: StackOptions, secrets: Mapping[str, str], workers: Workers) -> dict[str, str]:
    """Secrets, and what may hold some. The free maps win over what is derived here, and that over what an adopted stack brought along."""
    public = _backend_environment(options, workers)
    brought = {name: value for name, value in _adopted(options, kinds.BACKEND).items() if name not in public}
    derived = {
        **brought,
        env.ENCRYPTION_SECRET: secrets[names.ENCRYPTION],
        env.JWT_SECRET: secrets[names.JWT],
        env.ADMIN_PASSWORD: secrets[names.ADMIN],
        **env.mongodb_environment(mongodb_outside(options), options.mongodb_uri_variable, secrets[names.MONGODB], database_elsewhere(options, kinds.MONGODB)),
        **env.redis_environment(redis_outside(options), secrets[names.REDIS], database_elsewhere(options, kinds.REDIS)),
        **env.mail_environment(options.mail),
    }
    kept = {name: value for name, value in derived.items() if name not in options.backend_env}
    return {**kept, **env.variables(options.backend_secret_env)}


def _mongodb(options: StackOptions, workers: Workers) -> dict[str, Any]:
    return {
        **_HARDENED,
        "user": "{}:{}".format(*kinds.MONGODB_OWNER),
        "environment": {
            env.MONGODB_INIT_USER: env.MONGODB_STACK_USER,
            env.MONGODB_INIT_PASSWORD_FILE: f"{_MONGODB_MOUNT}/{os.path.basename(MONGODB_PASSWORD)}",
        },
        "volumes": [f"{options.database}:{kinds.MONGODB_DATA}", f"{options.directory}/{os.path.dirname(MONGODB_PASSWORD)}:{_MONGODB_MOUNT}:ro"],
        "tmpfs": ["/tmp:mode=1777"],
        "stop_grace_period": "60s",
    }


def _redis(options: StackOptions, workers: Workers) -> dict[str, Any]:
    return {
        **_HARDENED,
        "user": "{}:{}".format(*kinds.REDIS_OWNER),
        "command": [_REDIS_SERVER, f"{_REDIS_MOUNT}/{os.path.basename(REDIS_CONFIG)}"],
        "volumes": [f"{options.directory}/{os.path.dirname(REDIS_CONFIG)}:{_REDIS_MOUNT}:ro"],
        # A broker and a cache: nothing in it needs saving.
        "tmpfs": ["{}:mode=0700,uid={},gid={}".format(kinds.REDIS_DATA, *kinds.REDIS_OWNER)],
    }


def _files(options: StackOptions, secrets: Mapping[str, str]) -> tuple[MountedFile, ...]:
    files = []
    if kinds.BACKEND in options.services and options.mongodb_ca:
        # Users that the vendor's image has and this collection does not know read it.
        files.append(MountedFile(MONGODB_CA, options.mongodb_ca, (0, 0), kinds.BACKEND, mode=0o644))
    if kinds.MONGODB in options.services:
        files.append(MountedFile(MONGODB_PASSWORD, secrets[names.MONGODB], kinds.MONGODB_OWNER, kinds.MONGODB))
    if kinds.REDIS in options.services:
        files.append(MountedFile(REDIS_CONFIG, _redis_config(options, secrets[names.REDIS]), kinds.REDIS_OWNER, kinds.REDIS))
    return tuple(files)


def _redis_config(options: StackOptions, password: str) -> str:
    quoted = '"' + password.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "\n".join(
        [
            f"port {kinds.REDIS_PORT}",
            "bind * -::*",
            "protected-mode yes",
            f"requirepass {quoted}",
            'save ""',
            "appendonly no",
            f"dir {kinds.REDIS_DATA}",
            f"maxmemory {options.redis_memory_mb}mb",
            # Cached answers carry an expiry and may go; queued tasks carry none and must not.
            "maxmemory-policy volatile-lru",
            "",
        ]
    )
