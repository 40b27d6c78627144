# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, apply and verify the services of one host."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Callable, Optional

from ..containers.compose import ComposeProject, read_yaml, to_yaml
from ..containers.docker_engine import Container, DockerEngine, LocalImage
from ..containers.health import wait_until_healthy
from ..containers.inspection import Inspected
from ..containers.supply import ImageSupply
from ..contract import environment as env
from ..contract import services as kinds
from ..contract.stack import COMPOSE_FILE, SECRETS_FILE, Definition, MountedFile, StackOptions, database_elsewhere, define, is_volume, needed_secrets
from ..core.errors import Failure
from ..core.files import is_populated, read_bytes, read_json, write_atomic
from ..core.fingerprints import fingerprint, refuse_other
from ..core.folders import Folder, make_folder, observe_folder
from ..core.images import Image
from ..core.plan import Step
from ..core.secrets import ENCRYPTION, MONGODB, NAMES, read_secrets
from ..core.versions import parse_version
from .external import ExternalDatabases, examine_databases, external_secrets, verify_from_inside
from .planner import Desired, Observed, deployed_images, keep_digests, plan_stack, refuse_version_change
from .request import StackRequest, refuse_unusable
from .takeover import still_foreign
from .users import lacks_user, make_user
from .verification import answered_versions, wait_for_peer, watch, ways_in


class StackEngine:
    """Engine of module ``toucan_stack``.

    :param connect: makes the connection to Docker; called only where ``has_engine``.
    :param check_mode: a plan may then be made before the secrets are.
    :param has_engine: False on a bare host in check mode, where the plan starts from nothing observed.
    """

    def __init__(self, request: StackRequest, connect: Callable[[], DockerEngine], check_mode: bool, has_engine: bool) -> None:
        self.request = request
        self.project = ComposeProject(request.options.project, request.options.directory)
        self._connect = connect
        self._check_mode = check_mode
        self._has_engine = has_engine
        self._secrets: Mapping[str, str] = {}
        self._external = ExternalDatabases()
        self._desired: Desired
        self._proven = False  # that the services are healthy after this run's changes
        self._warnings: list[str] = []

    def secret_values(self) -> list[str]:
        """What must not be seen in anything that a container or Docker says."""
        options = self.request.options
        brought = [value for variables in (options.adopted or {}).values() for value in variables.values()]
        own = [value for value in self._secrets.values() if isinstance(value, str)]
        return [*own, *env.variables(options.backend_secret_env).values(), *external_secrets(options), *brought]

    @functools.cached_property
    def docker(self) -> DockerEngine:
        return self._connect()

    @functools.cached_property
    def supply(self) -> ImageSupply:
        return ImageSupply(self.docker, self.request.credentials, self.request.image_folder)

    def observe(self) -> Observed:
        refuse_unusable(self.request)
        if not self._has_engine:
            self._desired = self._desire(self.request.images, hashed=False)
            return Observed()
        public = read_yaml(self._path(COMPOSE_FILE))
        containers = tuple(self.docker.containers(self.project.name))
        deployed = deployed_images(public, containers, self.request.recorded)
        images = self._resolve(deployed)
        desired = self._desired = self._desire(images, hashed=True)
        foreign = self._foreign()
        without_user = self._lacks_user(foreign.get(kinds.MONGODB))
        if kinds.MONGODB not in foreign:
            self._refuse_wrong_password(containers)
        if not self.request.only:
            self._external = examine_databases(self.request.options, self.request.host_ca_file)
        return Observed(
            foreign=foreign,
            without_user=without_user,
            public=public,
            secret=read_yaml(self._path(SECRETS_FILE)),
            files={item.path: self._as_desired(item) for item in desired.definition.files if os.path.exists(self._path(item.path))},
            folders={folder.path: observe_folder(folder.path) for folder in desired.folders},
            containers=containers,
            missing=frozenset(str(image) for image in images.values() if not self.docker.image_id(str(image))),
            archives=self.supply.archives,
            deployed=deployed,
            local=self._local_images(images, deployed),
            in_use=self.docker.images_in_use([container.id for container in containers]),
            stale=frozenset(self._stale(desired.definition, containers)),
            populated=frozenset(self._populated(public, desired.definition)),
            network=self.docker.network_exists(desired.network),
            stopped=self.request.stopped,
        )

    def _resolve(self, deployed: Mapping[str, Image]) -> dict[str, Image]:
        """Pin every image: by what is deployed where the same is asked for, else by what its registry says now."""
        options = self.request.options
        # The data of a MongoDB elsewhere cannot be seen from here: a host that has deployed nothing yet goes by its storage.
        has_data = any(self._is_populated(place) for place in (options.storage, options.database)) or bool(options.mongodb_uri and deployed)
        if not self.request.allow_version_change:
            refuse_version_change(self.request.images, deployed, has_data)
        kept = keep_digests(self.request.images, deployed)
        return {kind: self.supply.pin(image, kept[kind]) for kind, image in self.request.images.items()}

    def _local_images(self, *images: Mapping[str, Image]) -> tuple[LocalImage, ...]:
        names = {by_kind[kind].name for by_kind in images for kind in kinds.PRODUCT_REPOSITORIES if kind in by_kind}
        return tuple(self.docker.local_images(names)) if names else ()

    def _desire(self, images: Mapping[str, Image], hashed: bool) -> Desired:
        options = self.request.options
        if self._check_mode:
            # Names of secrets are shown in a plan, their values never; so a plan can be made before all of them are.
            known = (read_json(self.request.secrets_path) or {}) if self.request.secrets is None else self.request.secrets
            self._secrets = {name: known.get(name, "") for name in NAMES}
        else:
            self._secrets = read_secrets(self.request.secrets_path, needed_secrets(options.services))
        refuse_other(ENCRYPTION, self._secrets.get(ENCRYPTION, ""), self.request.fingerprints, self.request.secrets_path)
        definition = define(options, {kind: str(image) for kind, image in images.items()}, self._secrets, self.request.workers)
        return Desired(
            definition=definition,
            images=images,
            folders=_folders(options, definition, self.request.adopted.places),
            keep_strangers=bool(self.request.adopted.containers),
            network=options.network,
            places={
                "toucan_stack_storage_directory": (self.request.recorded_places.get("storage", ""), options.storage),
                "toucan_stack_database_directory": (self.request.recorded_places.get("database", ""), options.database),
            },
            allow_service_removal=self.request.allow_service_removal,
            only=self.request.only,
            image_folder=self.request.image_folder,
            keep_releases=self.request.keep_releases,
            hashes=self.project.hashes(definition.merged()) if hashed else {},
        )

    def _foreign(self) -> dict[str, Inspected]:
        """Containers of the services here that somebody else made, and that are still to be taken over."""
        if not self.request.adopted.containers:
            return {}
        found = still_foreign(self.request.adopted, self.docker.inspect_containers(), self.request.options.directory)
        return {kind: container for kind, container in found.items() if kind in self.request.watched}

    def _lacks_user(self, mongodb: Optional[Inspected]) -> bool:
        """Whether an adopted MongoDB has no user of the collection's yet. :raises Failure: when that cannot be seen, or none can be made."""
        if mongodb is None:
            return False
        return lacks_user(mongodb, self._secrets[MONGODB], self._mongodb_login())

    def _mongodb_login(self) -> tuple[str, str]:
        """Who may make users on an adopted MongoDB; both empty where it asks nobody."""
        brought = (self.request.options.adopted or {}).get(kinds.MONGODB, {})
        return brought.get(env.MONGODB_INIT_USER, ""), brought.get(env.MONGODB_INIT_PASSWORD, "")

    def _refuse_wrong_password(self, containers: tuple[Container, ...]) -> None:
        """:raises Failure: when the MongoDB that runs answers and refuses the password: its data was made with another one."""
        service, network = kinds.COMPOSE_NAMES[kinds.MONGODB], self.request.options.network
        for container in containers:
            if container.service == service and container.running and container.addresses.get(network) and self._secrets.get(MONGODB):
                watch(kinds.MONGODB, self.request, self._secrets).probe(container.addresses[network])

    def _as_desired(self, item: MountedFile) -> bool:
        path = self._path(item.path)
        status = os.stat(path)
        return read_bytes(path) == item.content.encode() and (status.st_uid, status.st_gid) == item.owner

    def _stale(self, definition: Definition, containers: tuple[Container, ...]) -> list[str]:
        """Kinds whose container was created before a file it reads was last written."""
        created = {container.service: _seconds(container.created) for container in containers}
        stale = []
        for item in definition.files:
            path, service = self._path(item.path), kinds.COMPOSE_NAMES[item.kind]
            if service in created and (not os.path.exists(path) or not self._as_desired(item) or os.stat(path).st_mtime > created[service]):
                stale.append(item.kind)
        return stale

    def _populated(self, public: Optional[Mapping[str, Any]], definition: Definition) -> list[str]:
        volumes = [
            volume.split(":")[0]
            for known in (public or {}, definition.public)
            for service in (known.get("services") or {}).values()
            for volume in service.get("volumes") or []
        ]
        folders = {*volumes, *self.request.recorded_places.values()}
        return [folder for folder in folders if self._is_populated(folder)]

    def _is_populated(self, place: str) -> bool:
        """Whether a folder or Docker volume holds data; a file, mounted as such, is none."""
        folder = self.docker.volume_folder(place) if is_volume(place) else place
        return os.path.isdir(folder) and is_populated(folder)

    def plan(self, observed: Observed) -> list[Step]:
        return plan_stack(self._desired, observed)

    def apply(self, step: Step) -> None:
        kind, dummy, name = step.id.partition(":")
        actions: dict[str, Callable[[str], None]] = {
            "image.pull": lambda kind: self.supply.pull(self._desired.images[kind]),
            "image.load": lambda kind: self.supply.load(self._desired.images[kind]),
            "image.tag": lambda kind: self.supply.mark(self._desired.images[kind]),
            "image.remove": lambda dummy: self._remove_image(step.before["names"]),
            "network": self._create_network,
            "folder": self._make_folder,
            "file": self._write_file,
            "mongodb.user": self._make_user,
            "container.remove": self._remove_container,
            "service.remove": self._remove,
            "service.create": self._start,
            "service.start": self._start,
            "service.recreate": self._recreate,
        }
        actions[kind](name)

    def _create_network(self, name: str) -> None:
        self.docker.create_network(name)

    def _remove_image(self, names: Sequence[str]) -> None:
        """Remove an image of a former release, once its successor has proved itself."""
        if not self._proven:
            self._wait(list(self.request.watched))
            self._proven = True
        try:
            for name in names:
                self.docker.remove_image(name)
        except Failure as failure:
            # Somebody began to use it meanwhile; the stack is well without its removal.
            self._warnings.append(str(failure))

    def _make_folder(self, path: str) -> None:
        make_folder(next(folder for folder in self._desired.folders if folder.path == path))

    def _write_file(self, path: str) -> None:
        definition = self._desired.definition
        if path == COMPOSE_FILE:
            write_atomic(self._path(path), to_yaml(definition.public), mode=0o644)
        elif path == SECRETS_FILE:
            write_atomic(self._path(path), to_yaml(definition.secret), mode=0o600)
        else:
            item = next(item for item in definition.files if item.path == path)
            write_atomic(self._path(path), item.content.encode(), mode=item.mode, owner=item.owner)

    def _remove(self, service: str) -> None:
        for container in self.docker.containers(self.project.name):
            if container.service == service:
                self.docker.remove(container.id)

    def _remove_container(self, name: str) -> None:
        for container in self._foreign().values():
            if container.name == name:
                self.docker.remove(container.id)

    def _make_user(self, name: str) -> None:
        make_user(self._foreign()[kinds.MONGODB], self._mongodb_login(), name, self._secrets[MONGODB])

    def _start(self, kind: str) -> None:
        for container in self.docker.containers(self.project.name):
            if container.service == kinds.COMPOSE_NAMES[kind] and container.state == "paused":
                self.docker.unpause(container.id)
        self._up(kind, recreate=False)

    def _recreate(self, kind: str) -> None:
        self._up(kind, recreate=True)

    def _up(self, kind: str, recreate: bool) -> None:
        if kind == kinds.BACKEND:
            # A backend that finds no database exits and is started again and again: that would look like a failing backend.
            for item in (kinds.MONGODB, kinds.REDIS):
                elsewhere = database_elsewhere(self.request.options, item)
                if elsewhere:
                    wait_for_peer(item, elsewhere, self.request, self._secrets)
                elif item in self.request.options.services:
                    self._wait([item])
        if kind in kinds.PRODUCT_REPOSITORIES:
            self.supply.mark(self._desired.images[kind])
        self.project.up(kinds.COMPOSE_NAMES[kind], recreate)

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        images = self._desired.images
        result: dict[str, Any] = {
            "workers": {"count": self.request.workers.count, "reason": self.request.workers.reason},
            "compose": {"project": self.project.name, "directory": self.request.options.directory, "network": self.request.options.network},
            "places": self._data_places(),
            "services": list(self.request.options.services),
            "images": {
                kind: {
                    "name": image.name,
                    "tag": image.tag,
                    "digest": image.digest,
                    "id": self.docker.image_id(str(image)) if self._has_engine else "",
                    "version": _version(image),
                }
                for kind, image in images.items()
            },
            "versions": {},
            "stopped": sorted(self.request.stopped - set(self.request.options.services)),
            "fingerprints": self._fingerprints(),
            "mongodb": self._external.mongodb,
            "warnings": [*self._warnings, *self._external.remarks],
        }
        if not applied:
            return result
        self._wait(list(self.request.watched))
        if self.request.only:
            return result
        containers = self.docker.containers(self.project.name)
        result["warnings"].extend(verify_from_inside(self.docker, containers, self.request.options))
        result["versions"] = answered_versions(self.request, containers)
        for kind, version in result["versions"].items():
            result["images"][kind]["version"] = version
        result["login"] = {"admin": kinds.DEFAULT_ADMIN, "providers": []}
        try:
            result["login"]["providers"] = ways_in(self.request, containers)
        except Failure as failure:
            # Good to know, but nothing that a healthy stack should be refused for.
            result["warnings"].append(str(failure))
        return result

    def _fingerprints(self) -> dict[str, Any]:
        """What tells the next run that the data was made with another secret: as recorded, else of what a backend here was given."""
        made_here = kinds.BACKEND in self.request.options.services and bool(self._secrets.get(ENCRYPTION))
        return dict(self.request.fingerprints) or ({ENCRYPTION: fingerprint(self._secrets[ENCRYPTION])} if made_here else {})

    def _data_places(self) -> dict[str, str]:
        options = self.request.options
        places = {"storage": (kinds.BACKEND, options.storage), "database": (kinds.MONGODB, options.database)}
        return {name: place for name, (kind, place) in places.items() if kind in options.services}

    def _wait(self, wanted: list[str]) -> None:
        watched = [watch(kind, self.request, self._secrets) for kind in wanted]
        wait_until_healthy(self.docker, self.project.name, self.request.options.network, watched, self.request.start_timeout)

    def _path(self, relative: str) -> str:
        return os.path.join(self.request.options.directory, relative)


def _version(image: Image) -> str:
    """The version of an image, as it once answered or as its tag says; empty where neither tells."""
    return image.version or (str(parse_version(image.tag)) if parse_version(image.tag) else "")


def _folders(options: StackOptions, definition: Definition, adopted: Sequence[str]) -> tuple[Folder, ...]:
    """:param adopted: places of a stack that somebody else started, which keep their owner and mode."""
    folders = [Folder(options.directory, (0, 0), "0750")]
    folders.extend(Folder(os.path.join(options.directory, os.path.dirname(item.path)), item.owner, "0700") for item in definition.files)
    if kinds.BACKEND in options.services and not is_volume(options.storage) and options.storage not in adopted:
        folders.append(Folder(options.storage, options.storage_owner, "0750"))
    if kinds.MONGODB in options.services and not is_volume(options.database) and options.database not in adopted:
        folders.append(Folder(options.database, kinds.MONGODB_OWNER, "0700"))
    return tuple(folders)


def _seconds(created: str) -> float:
    """Docker's time (RFC 3339 with nanoseconds, UTC) as seconds since the epoch."""
    whole, dummy, fraction = created.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
