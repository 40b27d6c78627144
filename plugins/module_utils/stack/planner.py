# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a stack: pure, from (desired, observed) to steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..containers.docker_engine import Container, LocalImage
from ..containers.inspection import Inspected
from ..containers.supply import plan_image
from ..contract.environment import MONGODB_STACK_USER
from ..contract.services import BACKEND, COMPOSE_NAMES, FRONTEND, KINDS, MONGODB, PRODUCT_REPOSITORIES
from ..contract.stack import COMPOSE_FILE, SECRETS_FILE, Definition
from ..core.errors import Failure
from ..core.folders import Folder, plan_folders
from ..core.images import Image, parse_image, same_name
from ..core.plan import Step
from ..core.state import STOPPED_ON_PURPOSE
from ..core.versions import parse_version
from .takeover import changes, is_in_place

_TITLES = {name: kind for kind, name in COMPOSE_NAMES.items()}


@dataclass(frozen=True)
class Desired:
    """``hashes`` (by compose name) is empty where no engine is there yet to compute them.

    ``only`` names the kinds to bring up, all where it is empty. Of each of the product's images ``keep_releases`` stay, all where it is 0.
    ``places`` goes from the option of a data folder to what the state file has recorded for it and what is wanted now.
    """

    definition: Definition
    images: Mapping[str, Image]
    folders: tuple[Folder, ...]
    network: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    allow_service_removal: bool = False
    only: tuple[str, ...] = ()
    keep_strangers: bool = False
    image_folder: str = ""
    keep_releases: int = 0


@dataclass(frozen=True)
class Observed:
    """What stands on the host; a bare host is the default.

    ``foreign`` are containers by kind that somebody else made and that are taken over; ``without_user`` says that the MongoDB
    among them has no user of the collection's yet. ``stale`` holds the kinds whose container is older than a file it reads;
    ``files`` goes from relative path to whether the content and owner are as desired; ``missing`` are references the engine
    does not have, and ``archives`` goes from those of them that are to be loaded to where from; ``stopped`` are kinds that were
    stopped on purpose, and that a run brings back. ``deployed`` is the image by kind that the host ran up to now, ``local`` are all
    that it has of the product's, and ``in_use`` the IDs of those that containers beside this stack are made of.
    """

    public: Optional[Mapping[str, Any]] = None
    secret: Optional[Mapping[str, Any]] = None
    files: Mapping[str, bool] = field(default_factory=dict)
    folders: Mapping[str, Optional[Folder]] = field(default_factory=dict)
    containers: tuple[Container, ...] = ()
    missing: frozenset[str] = frozenset()
    archives: Mapping[str, str] = field(default_factory=dict)
    deployed: Mapping[str, Image] = field(default_factory=dict)
    local: tuple[LocalImage, ...] = ()
    in_use: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    populated: frozenset[str] = frozenset()
    network: bool = False
    stopped: frozenset[str] = frozenset()
    foreign: Mapping[str, Inspected] = field(default_factory=dict)
    without_user: bool = False


def deployed_images(public: Optional[Mapping[str, Any]], containers: Iterable[Container], recorded: Mapping[str, Image]) -> dict[str, Image]:
    """Image by kind of what is deployed: as the compose file says, else as a container runs, else as the state file records.

    The compose file alone would not do: whoever loses it must not lose the knowledge of which release made the data.
    """
    services = (public or {}).get("services") or {}
    written = {kind: parse_image(services[name]["image"]) for name, kind in _TITLES.items() if services.get(name, {}).get("image")}
    running = {_TITLES[container.service]: parse_image(container.image) for container in containers if container.service in _TITLES}
    return {kind: _completed(image, recorded.get(kind)) for kind, image in {**recorded, **running, **written}.items()}


def _completed(image: Image, recorded: Optional[Image]) -> Image:
    """With the digest, else the ID, and version that are recorded of the same image: a container that somebody else started names just its tag."""
    if not recorded or image.asked != recorded.asked or image.digest not in ("", recorded.digest) or image.id not in ("", recorded.id):
        return image
    return recorded


def keep_digests(wanted: Mapping[str, Image], deployed: Mapping[str, Image]) -> dict[str, Image]:
    """The wanted images, with the digest or ID of what is deployed wherever the same name and tag is asked for without one.

    So a tag that moved in its registry changes nothing by itself.
    """
    return {kind: deployed[kind] if not image.pinned and kind in deployed and deployed[kind].asked == image.asked else image for kind, image in wanted.items()}


def refuse_version_change(wanted: Mapping[str, Image], deployed: Mapping[str, Image], has_data: bool) -> None:
    """Another registry with the same tag is no other release.

    :raises Failure: when data is there, and another release of the product is asked for or the one that made the data is not known.
    """
    remedy = "take a backup, then set `toucan_stack_allow_version_change: true`; playbook `upgrade.yml` will do both, once this collection has it"
    for kind in (BACKEND, FRONTEND):
        if not has_data or kind not in wanted:
            continue
        if kind not in deployed:
            if kind == BACKEND:
                raise Failure("This stack has data, but no compose file, container or state file tells which release made it", remedy, subject=kind)
        elif wanted[kind].tag != deployed[kind].tag and not _is_that_version(wanted[kind].tag, deployed[kind].version):
            runs = f"{deployed[kind].tag} ({deployed[kind].version})" if deployed[kind].version not in ("", deployed[kind].tag) else deployed[kind].tag
            raise Failure(f"This stack has data and runs {kind} {runs}, but {wanted[kind].tag} is asked for", remedy, subject=kind)


def _is_that_version(tag: str, version: str) -> bool:
    """Whether a tag names the version that a moving tag brought."""
    return parse_version(tag) is not None and parse_version(tag) == parse_version(version)


def refuse_removed_data(desired: Desired, observed: Observed) -> None:
    """:raises Failure: when the backend or MongoDB would go from a host that holds its data."""
    for container in observed.containers:
        kind = _TITLES.get(container.service)
        if kind not in (BACKEND, MONGODB) or container.service in desired.definition.public["services"]:
            continue
        sources = _bind_sources(observed.public).get(container.service, {}).values()
        if any(source in observed.populated for source in sources):
            raise Failure(
                f"Service {kind} runs here and has data, but this host is asked to run it no longer",
                "correct the groups that the host is in, or set `toucan_stack_allow_service_removal: true`; the data stays",
                subject=kind,
            )


def refuse_moved_data(desired: Desired, observed: Observed) -> None:
    """:raises Failure: when a service would start on an empty folder while its former one holds data."""
    for option, (recorded, wanted) in desired.places.items():
        if recorded and recorded != wanted and recorded in observed.populated and wanted not in observed.populated:
            raise Failure(
                f"The stack would start on {wanted}, which is empty, while its data is in {recorded}",
                f"move the data first, or correct `{option}`",
                subject=wanted,
            )
    former = _bind_sources(observed.public)
    for name, target_sources in _bind_sources(desired.definition.public).items():
        for target, source in target_sources.items():
            before = former.get(name, {}).get(target)
            if before and before != source and before in observed.populated and source not in observed.populated:
                raise Failure(
                    f"Service {_TITLES.get(name, name)} would start on {source}, which is empty, while its data is in {before}",
                    "move the data first, or correct the folder's option",
                    subject=source,
                )


def plan_stack(desired: Desired, observed: Observed) -> list[Step]:
    """Images first, then folders, files and services, databases before the backend.

    :raises Failure: when the change would lose data.
    """
    refuse_moved_data(desired, observed)
    if not desired.allow_service_removal:
        refuse_removed_data(desired, observed)
    return [
        *_images(desired, observed),
        *plan_network(desired.network, observed.network),
        *plan_folders(desired.folders, observed.folders),
        *_files(desired, observed),
        *_users(observed),
        *_services(desired, observed),
        *_old_images(desired, observed),
    ]


def _users(observed: Observed) -> list[Step]:
    """The collection's own user on a MongoDB that was adopted and still runs without it."""
    if not observed.without_user:
        return []
    return [
        Step(f"mongodb.user:{MONGODB_STACK_USER}", "create", f"user {MONGODB_STACK_USER} of MongoDB", None, {"password": "`mongodb_password` of the secrets"})
    ]


def _images(desired: Desired, observed: Observed) -> list[Step]:
    return [
        step
        for kind, image in desired.images.items()
        if not desired.only or kind in desired.only
        for step in plan_image(kind, image, str(image) in observed.missing, observed.archives.get(str(image)), desired.image_folder)
    ]


def _old_images(desired: Desired, observed: Observed) -> list[Step]:
    """Of each of the product's images that becomes another one: what goes when all is well, but for the releases that are kept.

    Only then, so that a run that deploys nothing removes nothing.
    """
    if desired.only or not desired.keep_releases:
        return []
    steps: list[Step] = []
    for kind in PRODUCT_REPOSITORIES:
        image, former = desired.images.get(kind), observed.deployed.get(kind)
        if image and former and str(image) != str(former):
            others = [item for item in observed.local if _is_of(item, (image, former)) and not _is(item, image)]
            others.sort(key=lambda item: (_is(item, former), item.tagged), reverse=True)
            steps.extend(_removal(item) for item in others[desired.keep_releases - 1 :] if item.id not in observed.in_use)
    return steps


def _removal(image: LocalImage) -> Step:
    name = image.references[0]
    return Step(f"image.remove:{name}", "remove", f"image {name}", {"id": image.id, "names": list(image.references)}, None)


def _is_of(local: LocalImage, images: Iterable[Image]) -> bool:
    """Whether a local image is some release of one of the images."""
    return any(same_name(parse_image(reference).name, image.name) for reference in local.references for image in images)


def _is(local: LocalImage, image: Image) -> bool:
    """Whether a local image is exactly this one."""
    if image.digest:
        return any(same_name(reference, f"{image.name}@{image.digest}") for reference in local.references)
    return local.id == image.id or any(same_name(reference, str(image)) for reference in local.references)


def plan_network(name: str, exists: bool) -> list[Step]:
    """The network belongs to no compose project: the stack's and the proxy's both use it."""
    return [] if exists else [Step(f"network:{name}", "create", f"network {name}", None, {"driver": "bridge"})]


def _files(desired: Desired, observed: Observed) -> list[Step]:
    steps = []
    if observed.public != desired.definition.public:
        steps.append(Step(f"file:{COMPOSE_FILE}", "update" if observed.public else "create", COMPOSE_FILE, observed.public, desired.definition.public))
    if observed.secret != desired.definition.secret:
        before, after = _secret_change(observed.secret, desired.definition.secret)
        steps.append(Step(f"file:{SECRETS_FILE}", "update" if observed.secret else "create", SECRETS_FILE, before, after))
    for item in desired.definition.files:
        if not observed.files.get(item.path):
            known = item.path in observed.files
            steps.append(Step(f"file:{item.path}", "update" if known else "create", item.path, "other content" if known else None, "content not shown"))
    return steps


def _secret_change(before: Optional[Mapping[str, Any]], after: Mapping[str, Any]) -> tuple[Optional[dict[str, str]], dict[str, str]]:
    """Which variables change, never to what."""
    former = _variables(before)
    latter = _variables(after)
    shown = {name: "unchanged" if former.get(name) == value else "new value" if name in former else "added" for name, value in latter.items()}
    gone = {name: "removed" for name in former if name not in latter}
    return (dict.fromkeys(sorted(former), "present") if before is not None else None, {**shown, **gone})


def _variables(definition: Optional[Mapping[str, Any]]) -> dict[str, str]:
    services = (definition or {}).get("services") or {}
    return {name: value for service in services.values() for name, value in (service.get("environment") or {}).items()}


def _services(desired: Desired, observed: Observed) -> list[Step]:
    containers = {container.service: container for container in observed.containers}
    steps = []
    known = {*_TITLES, *((observed.public or {}).get("services") or {})}
    for name, container in containers.items():
        if name not in desired.definition.public["services"] and (name in known or not desired.keep_strangers):
            steps.append(Step(f"service.remove:{name}", "remove", f"service {_TITLES.get(name, name)}", _running(container), None))
    for kind in (MONGODB, *(kind for kind in reversed(KINDS) if kind not in (MONGODB, BACKEND, FRONTEND)), BACKEND, FRONTEND):
        name = COMPOSE_NAMES[kind]
        if name in desired.definition.public["services"] and (not desired.only or kind in desired.only):
            foreign = observed.foreign.get(kind)
            steps.extend(_take_over(kind, desired, foreign) if foreign else _service(kind, name, desired, observed, containers.get(name)))
    return steps


def _take_over(kind: str, desired: Desired, container: Inspected) -> list[Step]:
    """Put a new container in the place of one that somebody else made; it says what of it will be otherwise."""
    image = desired.images[kind]
    definition = desired.definition.merged()
    after = {
        "image": str(image),
        "because": ["taken over"],
        "changes": changes(container, definition["services"][COMPOSE_NAMES[kind]], image, desired.network),
    }
    before = {"container": container.name, "image": container.image, "state": container.state}
    if is_in_place(kind, container, definition["name"]):
        return [Step(f"service.recreate:{kind}", "recreate", f"service {kind}", before, after)]
    # Two servers on the same data would destroy it.
    return [
        Step(f"container.remove:{container.name}", "remove", f"container {container.name}", before, None),
        Step(f"service.create:{kind}", "create", f"service {kind}", None, after),
    ]


def _service(kind: str, name: str, desired: Desired, observed: Observed, container: Optional[Container]) -> list[Step]:
    image = str(desired.images[kind])
    after = {"image": image}
    if container is None:
        before = {"state": STOPPED_ON_PURPOSE} if kind in observed.stopped else None
        return [Step(f"service.create:{kind}", "create", f"service {kind}", before, after)]
    reasons = []
    if container.image != image:
        reasons.append("image")
    elif container.config_hash != desired.hashes.get(name):
        reasons.append("configuration")
    if kind in observed.stale:
        reasons.append("mounted files")
    if reasons:
        return [Step(f"service.recreate:{kind}", "recreate", f"service {kind}", _running(container), {**after, "because": reasons})]
    if not container.running and container.state != "restarting":
        return [Step(f"service.start:{kind}", "start", f"service {kind}", _running(container), {**after, "state": "running"})]
    return []


def _running(container: Container) -> dict[str, Any]:
    return {"image": container.image, "state": container.state}


def _bind_sources(public: Optional[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Host folder by container path by service."""
    found: dict[str, dict[str, str]] = {}
    for name, service in ((public or {}).get("services") or {}).items():
        for volume in service.get("volumes") or []:
            source, target = volume.split(":")[:2]
            found.setdefault(name, {})[target] = source
    return found
