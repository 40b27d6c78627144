# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine through its SDK; the one file that imports it."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ..api.registry import parse_created, web_page_failure
from ..contract.services import PRODUCT_REPOSITORIES
from ..core.errors import Failure
from ..core.files import is_populated
from ..core.images import same_name
from .inspection import ONE_OFF_LABEL, PROJECT_LABEL, SERVICE_LABEL, Inspected, inspected

try:
    import docker
    from docker.errors import APIError, DockerException, ImageNotFound, NotFound
    from requests.exceptions import HTTPError, RequestException
    from urllib3.exceptions import HTTPError as BrokenAnswer
except ImportError:
    docker = None

HASH_LABEL = "com.docker.compose.config-hash"
OURS_LABEL = "toucan.selfhosted"
_NO_NAME = re.compile("[0-9a-f]{64}")  # what the engine calls a volume that nobody named
# What the engine says of an answer that is a page for people: it looked for JSON, or for the type of a manifest.
_PAGE = re.compile("text/html|<!doctype html|invalid character '<'")
_NO_PROGRAM = re.compile("executable file not found|no such file or directory")


@dataclass(frozen=True)
class Container:
    """A container as it was at one moment.

    ``created`` is RFC 3339 text in UTC, ``addresses`` goes from network name to IP, ``published`` holds address and port of
    the host that it has now, none where it does not run.
    """

    id: str
    service: str
    image: str
    image_id: str
    state: str
    exit_code: int
    restarts: int
    created: str
    config_hash: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    published: tuple[tuple[str, int], ...] = ()

    @property
    def running(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True)
class Neighbour:
    """A container of something else on the same engine: ``sources`` are the folders and volumes that it mounts."""

    name: str
    sources: tuple[str, ...]
    networks: tuple[str, ...]


@dataclass(frozen=True)
class LocalImage:
    """An image of this host.

    ``references`` are those of its names that were asked for, tags before digests; ``tagged`` is when one of its names was
    last given to it, in seconds since the epoch, 0 where that is unknown.
    """

    id: str
    references: tuple[str, ...]
    tagged: float = 0


@dataclass(frozen=True)
class Credentials:
    """Of one registry; empty where it wants none."""

    registry: str = ""
    username: str = ""
    password: str = ""

    def for_registry(self, registry: str) -> Optional[dict[str, str]]:
        """What the SDK sends for an image of ``registry``; never another registry's secret."""
        if self.username and registry == self.registry:
            return {"username": self.username, "password": self.password}
        return None


class DockerEngine:
    """One connection to the engine of this host. :raises Failure: from every method, with a sentence."""

    def __init__(self, timeout: int = 120) -> None:
        if docker is None:
            raise Failure("The Python library docker is missing", "run role `toucan_host` on this host first")
        with _told("Connecting to the Docker engine"):
            self._client = docker.from_env(timeout=timeout)
            self._client.ping()

    def containers(self, project: str) -> list[Container]:
        """Every service's container of a compose project, running or not, by service name; not what ``docker compose run`` left."""
        labels = [f"{PROJECT_LABEL}={project}", f"{ONE_OFF_LABEL}=False"]
        with _told(f"Listing the containers of project {project}"):
            found = self._client.api.containers(all=True, filters={"label": labels})
            details = [self._client.api.inspect_container(item["Id"]) for item in found]
        return sorted((_container(detail) for detail in details), key=lambda container: container.service)

    def inspect_containers(self) -> list[Inspected]:
        """Every container of this host in detail, by name; not what ``docker compose run`` left."""
        with _told("Listing the containers of this host"):
            found = [self._inspect(item["Id"]) for item in self._client.api.containers(all=True)]
        return sorted((container for container in found if container), key=lambda container: container.name)

    def _inspect(self, container: str) -> Optional[Inspected]:
        """One container, unless it went away since it was listed, or is a one-off."""
        try:
            detail = self._client.api.inspect_container(container)
        except NotFound:
            return None
        if (detail["Config"].get("Labels") or {}).get(ONE_OFF_LABEL, "False") != "False":
            return None
        try:
            image = self._client.api.inspect_image(detail["Image"])
        except (ImageNotFound, NotFound):
            image = {}
        return inspected(detail, image)

    def neighbours(self, own: Collection[str]) -> list[Neighbour]:
        """Every container, running or not, but for those with the IDs ``own``."""
        with _told("Listing all containers"):
            found = self._client.api.containers(all=True)
        return [_neighbour(item) for item in found if item["Id"] not in own]

    def image_id(self, reference: str) -> str:
        """The ID of a local image, empty where the engine does not have it."""
        with _told(f"Looking for image {reference}"):
            try:
                return self._client.api.inspect_image(reference)["Id"]
            except (ImageNotFound, NotFound):
                return ""

    def registry_digest(self, name: str, tag: str, credentials: Credentials, registry: str) -> str:
        """What ``name:tag`` points to in its registry now."""
        reference = f"{name}:{tag}"
        with _told_of_registry(reference, registry, credentials):
            answer = self._client.api.inspect_distribution(reference, auth_config=credentials.for_registry(registry))
        return answer["Descriptor"]["digest"]

    def pull(self, name: str, tag: str, digest: str, credentials: Credentials, registry: str) -> None:
        """Fetch an image by digest and give it its tag here, so that people see a name in ``docker images``."""
        with _told_of_registry(f"{name}:{tag}", registry, credentials):
            for event in self._client.api.pull(name, tag=digest, stream=True, decode=True, auth_config=credentials.for_registry(registry)):
                if "error" in event:
                    raise DockerException(event["error"])
            self._client.api.tag(f"{name}@{digest}", name, tag, force=True)

    def load(self, path: str) -> None:
        """Take in the images of an archive that ``docker save`` made; each comes under the names it was saved with."""
        try:
            with open(path, "rb") as stream, _sdk_errors():
                for event in self._client.api.load_image(stream, quiet=False):
                    if "error" in event:
                        raise DockerException(event["error"])
        except (DockerException, RequestException, OSError) as error:
            raise Failure(
                f"Loading the images of {path} into Docker failed: {_explanation(error)}",
                "see that the archive is whole and that the disk has room, or make it anew with `docker save`",
                subject=path,
                answer=_explanation(error),
            ) from error

    def tag(self, image: str, reference: str) -> None:
        """Give a local image a further name and tag; the engine notes when it last did."""
        name, dummy, tag = reference.rpartition(":")
        with _told(f"Tagging image {image} as {reference}"):
            self._client.api.tag(image, name, tag, force=True)

    def local_images(self, names: Collection[str]) -> list[LocalImage]:
        """The images here that have one of ``names`` (without tags), newest first by when they were last tagged."""
        with _told("Listing the images of this host"):
            found = self._client.api.images()
            known = ((item["Id"], _references(item, names)) for item in found)
            images = [LocalImage(identity, references, self._tagged(identity)) for identity, references in known if references]
        return sorted(images, key=lambda image: image.tagged, reverse=True)

    def _tagged(self, identity: str) -> float:
        try:
            metadata = self._client.api.inspect_image(identity).get("Metadata") or {}
        except (ImageNotFound, NotFound):
            return 0
        tagged = parse_created(metadata.get("LastTagTime"))
        return tagged.timestamp() if tagged else 0

    def images_in_use(self, except_for: Collection[str]) -> frozenset[str]:
        """IDs of the images that containers are made of, running or not, but for the containers with these IDs."""
        with _told("Listing all containers"):
            return frozenset(item["ImageID"] for item in self._client.api.containers(all=True) if item["Id"] not in except_for)

    def remove_image(self, reference: str) -> None:
        """Take a name away from an image; the image itself goes with its last name. A name that is gone already is none too few."""
        with _told(f"Removing image {reference}"), contextlib.suppress(ImageNotFound, NotFound):
            self._client.api.remove_image(reference)

    def log_tail(self, container: str, lines: int = 20) -> tuple[str, ...]:
        """The last log lines of a container, oldest first."""
        with _told(f"Reading the log of container {container[:12]}"):
            raw = self._client.api.logs(container, tail=lines)
        return tuple(raw.decode(errors="replace").splitlines())

    def pause(self, container: str) -> None:
        """Freeze all processes of a container."""
        with _told(f"Pausing container {container}"):
            self._client.api.pause(container)

    def unpause(self, container: str) -> None:
        """Let a paused container run on; compose itself refuses to start one."""
        with _told(f"Unpausing container {container[:12]}"):
            self._client.api.unpause(container)

    def start(self, container: str) -> None:
        """Start a container that is there, as it is."""
        with _told(f"Starting container {container}"):
            self._client.api.start(container)

    def stop(self, container: str, grace: int = 60) -> None:
        """End a container's processes within ``grace`` seconds; the container stays."""
        with _told(f"Stopping container {container[:12]}"):
            self._client.api.stop(container, timeout=grace)

    def remove(self, container: str, grace: int = 60) -> None:
        """Stop a container and remove it; its mounted files stay.

        Volumes that the engine made for it by itself go, too, if nothing is in them: the next container gets new ones.
        """
        with _told(f"Removing container {container[:12]}"):
            own = _own_volumes(self._client.api.inspect_container(container))
            self._client.api.stop(container, timeout=grace)
            self._client.api.remove_container(container)
            for name, folder in own.items():
                if os.path.isdir(folder) and not is_populated(folder):
                    self._client.api.remove_volume(name)

    def run(self, container: str, argv: Sequence[str]) -> tuple[int, str]:
        """Run a program inside a running container. :returns: exit code and both outputs."""
        with _told(f"Running {argv[0]} in container {container[:12]}"):
            prepared = self._client.api.exec_create(container, list(argv))
            output = self._client.api.exec_start(prepared["Id"])
            code = self._client.api.exec_inspect(prepared["Id"])["ExitCode"]
        return code, output.decode(errors="replace")

    def run_if_there(self, container: str, argv: Sequence[str]) -> tuple[int, str]:
        """As :meth:`run`; 127, as a shell says it, and the engine's words where the container has no such program."""
        try:
            return self.run(container, argv)
        except Failure as failure:
            if _NO_PROGRAM.search(failure.answer):
                return 127, failure.answer
            raise

    def run_once(self, image: str, argv: Sequence[str], mounts: Mapping[str, str], user: str, capabilities: Sequence[str] = ()) -> tuple[int, str]:
        """Run a program in a throw-away container without network, with read-only mounts (host path to container path).

        :param capabilities: those the program's file demands; all others are dropped.
        :returns: exit code and both outputs; 127, as a shell says it, and the engine's words where the image has no such program.
        """
        with _told(f"Running {argv[0]} from image {image}"):
            container = self._client.containers.create(
                image,
                command=list(argv),
                network_mode="none",
                user=user,
                read_only=True,
                cap_drop=["ALL"],
                cap_add=list(capabilities),
                security_opt=["no-new-privileges:true"],
                tmpfs={"/tmp": "mode=1777"},
                environment={"HOME": "/tmp", "XDG_DATA_HOME": "/tmp", "XDG_CONFIG_HOME": "/tmp"},
                volumes={source: {"bind": target, "mode": "ro"} for source, target in mounts.items()},
            )
            try:
                try:
                    container.start()
                except APIError as error:
                    if _NO_PROGRAM.search(_explanation(error)):
                        return 127, _explanation(error)
                    raise
                code = container.wait()["StatusCode"]
                return code, container.logs().decode(errors="replace")
            finally:
                container.remove(force=True)

    def volume_folder(self, name: str) -> str:
        """Where the files of a volume stand on this host; empty where the engine has no such volume."""
        with _told(f"Looking for volume {name}"):
            try:
                return self._client.api.inspect_volume(name)["Mountpoint"]
            except NotFound:
                return ""

    def network_exists(self, name: str) -> bool:
        """Whether the engine has a network of exactly this name."""
        with _told(f"Looking for network {name}"):
            return any(network["Name"] == name for network in self._client.api.networks(names=[name]))

    def create_network(self, name: str) -> None:
        """Make a bridge network; it belongs to no compose project, because several use it."""
        with _told(f"Creating network {name}"):
            self._client.api.create_network(name, driver="bridge", check_duplicate=True, labels={OURS_LABEL: ""})

    def network_is_ours(self, name: str) -> bool:
        """Whether there is a network of this name that :meth:`create_network` made."""
        with _told(f"Looking for network {name}"):
            found = self._client.api.networks(names=[name], filters={"label": OURS_LABEL})
        return any(network["Name"] == name for network in found)

    def remove_network(self, name: str) -> None:
        """Remove a network that no container uses."""
        with _told(f"Removing network {name}"):
            self._client.api.remove_network(name)

    def remove_volume(self, name: str) -> None:
        """Remove a volume, and the data in it."""
        with _told(f"Removing volume {name}"):
            self._client.api.remove_volume(name)


def _container(detail: Mapping[str, Any]) -> Container:
    labels = detail["Config"].get("Labels") or {}
    networks = detail["NetworkSettings"].get("Networks") or {}
    bindings = detail["NetworkSettings"].get("Ports") or {}
    return Container(
        id=detail["Id"],
        service=labels.get(SERVICE_LABEL, ""),
        image=detail["Config"]["Image"],
        image_id=detail["Image"],
        state=detail["State"]["Status"],
        exit_code=detail["State"].get("ExitCode", 0),
        restarts=detail.get("RestartCount", 0),
        created=detail["Created"],
        config_hash=labels.get(HASH_LABEL, ""),
        addresses={name: settings["IPAddress"] for name, settings in networks.items() if settings.get("IPAddress")},
        published=tuple((binding["HostIp"], int(binding["HostPort"])) for bound in bindings.values() for binding in bound or []),
    )


def _own_volumes(detail: Mapping[str, Any]) -> dict[str, str]:
    """Folder by name of the volumes that the engine made because the image wants them, and nobody named."""
    asked = detail["HostConfig"]
    named = {bind.split(":")[0] for bind in asked.get("Binds") or []} | {mount.get("Source") for mount in asked.get("Mounts") or []}
    volumes = [mount for mount in detail.get("Mounts") or [] if mount["Type"] == "volume" and _NO_NAME.fullmatch(mount["Name"])]
    return {mount["Name"]: mount["Source"] for mount in volumes if mount["Name"] not in named}


def _references(item: Mapping[str, Any], names: Collection[str]) -> tuple[str, ...]:
    """The references of an image with one of these names, tags before digests."""
    tags = [(reference, reference.rpartition(":")[0]) for reference in item.get("RepoTags") or []]
    digests = [(reference, reference.partition("@")[0]) for reference in item.get("RepoDigests") or []]
    return tuple(reference for reference, name in (*tags, *digests) if any(same_name(name, known) for known in names))


def _neighbour(item: Mapping[str, Any]) -> Neighbour:
    mounts = item.get("Mounts") or []
    sources = {source for mount in mounts for source in (mount.get("Name"), mount.get("Source")) if source}
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    return Neighbour(item["Names"][0].lstrip("/"), tuple(sorted(sources)), tuple(sorted(networks)))


@contextlib.contextmanager
def _sdk_errors() -> Iterator[None]:
    """Make the SDK's own errors of what it lets through."""
    try:
        yield
    except BrokenAnswer as error:  # urllib3's, from an answer that breaks off while it is read piece by piece
        raise DockerException(str(error)) from error
    except (KeyError, TypeError) as error:  # from the SDK's search for a message in an error that has none
        refused = error.__context__
        if not isinstance(refused, HTTPError):
            raise
        raise DockerException(str(refused)) from error


@contextlib.contextmanager
def _told(attempt: str) -> Iterator[None]:
    """Turn the SDK's errors into the collection's."""
    try:
        with _sdk_errors():
            yield
    except (DockerException, RequestException) as error:
        raise Failure(
            f"{attempt} failed: {_explanation(error)}", "see that the Docker engine runs (`systemctl status docker`)", answer=_explanation(error)
        ) from error


@contextlib.contextmanager
def _told_of_registry(reference: str, registry: str, credentials: Credentials) -> Iterator[None]:
    """As ``_told``, for a request the engine passes on to a registry."""
    where = registry or "the engine's default registry"
    try:
        with _sdk_errors():
            yield
    except (DockerException, RequestException) as error:
        answer = _explanation(error)
        raise Failure(*_registry_sentence(answer.lower(), reference, where, credentials, answer), subject=reference, answer=answer) from error


def _registry_sentence(answer: str, reference: str, where: str, credentials: Credentials, verbatim: str) -> tuple[str, str]:
    if _PAGE.search(answer):
        page = web_page_failure(where)
        return page.problem, page.remedy
    if "x509" in answer or "certificate" in answer:
        return f"The certificate of {where} is not trusted by Docker: {verbatim}", "give its CA as `toucan_registry.ca_file`"
    if "unauthorized" in answer or "denied" in answer or "no basic auth" in answer or "authentication required" in answer:
        return _refusal(answer, reference, where, credentials)
    if "manifest unknown" in answer or "not found" in answer or "name unknown" in answer:
        return f"Registry {where} has no image {reference}", _remedy_for_unknown(reference)
    return f"Registry {where} did not give {reference}: {verbatim}", "see that this host reaches the registry"


def _refusal(answer: str, reference: str, where: str, credentials: Credentials) -> tuple[str, str]:
    if credentials.username and where != credentials.registry:
        return (
            f"Registry {where} refuses an anonymous user for {reference}",
            f"take an image that wants no login, or one of {credentials.registry}: the login of `toucan_registry` is for that registry alone",
        )
    who = f"user {credentials.username}" if credentials.username else "an anonymous user"
    remedy = "correct `toucan_registry.username` and `toucan_registry.password`"
    if credentials.username and "denied" in answer:
        remedy = f"have this account let in to the repository, or {remedy}"
    return f"Registry {where} refuses {who} for {reference}", remedy


def _remedy_for_unknown(reference: str) -> str:
    if reference.rpartition("/")[2].partition(":")[0] in PRODUCT_REPOSITORIES.values():
        return "correct `toucan_release` or `toucan_registry.name`"
    return "correct the image in `toucan_stack_images` or `toucan_proxy_image`"


def _explanation(error: Exception) -> str:
    if isinstance(error, APIError) and error.explanation:
        return str(error.explanation)
    return str(error)
