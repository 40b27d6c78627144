# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images by reference: what was asked for, what it is pinned to, and what names mean the same.

Source of the rules: the reference grammar of the ``distribution`` registry, which Docker follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from .errors import Failure

_DOCKER_HUB = "docker.io/"
_OFFICIAL = "library/"  # folder of Docker Hub that a name without one means
_LOCAL = "-loaded-"  # in the tag of an image that came from no registry, before its ID
_LOCAL_TAG = re.compile(rf"(?P<tag>.+){_LOCAL}(?P<id>[0-9a-f]{{64}})")
_TAG_LIMIT = 128  # characters, by the distribution specification


@dataclass(frozen=True)
class Image:
    """An image by name and tag, pinned once it is resolved; the name holds its registry.

    :param digest: of one that came from a registry: ``name:tag@digest``.
    :param id: of one that came from none: it is pinned by a tag of this host alone, ``name:tag-loaded-…`` with the ID. Empty beside a digest.
    :param version: the one that the service answered, where it was once asked: a moving tag does not tell it.
    """

    name: str
    tag: str
    digest: str = ""
    id: str = ""
    version: str = field(default="", compare=False)

    @property
    def asked(self) -> str:
        """What was asked for: name and tag."""
        return f"{self.name}:{self.tag}"

    @property
    def pinned(self) -> bool:
        """Whether it is known what the tag means."""
        return bool(self.digest or self.id)

    def __str__(self) -> str:
        if self.digest:
            return f"{self.asked}@{self.digest}"
        return f"{self.asked}{_LOCAL}{self.id.partition(':')[2]}" if self.id else self.asked

    @property
    def registry(self) -> str:
        """Host and port of the registry, empty for an image of the engine's default registry."""
        first = self.name.split("/", 1)[0]
        return first if "/" in self.name and ("." in first or ":" in first or first == "localhost") else ""


def parse_image(reference: str) -> Image:
    """``name[:tag][@digest]`` as an image; the tag is ``latest`` where none is given.

    :raises Failure: when the reference is empty or has white space.
    """
    rest, dummy, digest = reference.partition("@")
    head, dummy, last = rest.rpartition("/")
    name, dummy, tag = last.partition(":")
    if not name or any(character.isspace() for character in reference):
        raise Failure(f"`{reference}` is no image reference", "write it as `registry.example.com/folder/name:tag`", subject=reference)
    name = f"{head}/{name}" if head else name
    local = None if digest else _LOCAL_TAG.fullmatch(tag)
    return Image(name, local["tag"], id=f"sha256:{local['id']}") if local else Image(name, tag or "latest", digest)


def pinned_by_id(image: Image, identity: str) -> Image:
    """An image that came from no registry, by its ID (``sha256:…``). :raises Failure: when its tag leaves no room for the ID."""
    local = replace(image, digest="", id=identity)
    if len(str(local).rpartition(":")[2]) > _TAG_LIMIT:
        raise Failure(f"The tag of {image.asked} is too long for an image without a registry", "give it a shorter one", subject=image.asked)
    return local


def pull_policy(reference: str) -> dict[str, str]:
    """What compose is told of an image beside its reference: what no registry gave, none can give again."""
    return {"pull_policy": "never"} if parse_image(reference).id else {}


def same_name(first: str, second: str) -> bool:
    """Whether two names, with or without tags, mean one: Docker Hub's may be written short (``redis``) or whole (``docker.io/library/redis``)."""
    return _short(first) == _short(second)


def _short(name: str) -> str:
    if not name.startswith(_DOCKER_HUB):
        return name
    rest = name[len(_DOCKER_HUB) :]
    return rest[len(_OFFICIAL) :] if rest.startswith(_OFFICIAL) else rest


def mirrored(image: Image, mirror: str) -> Image:
    """The image as a mirror of Docker Hub has it; one of another registry, and any where ``mirror`` is empty, as it is."""
    if not mirror or not image.name.startswith(_DOCKER_HUB):
        return image
    return replace(image, name=f"{mirror.rstrip('/')}/{image.name[len(_DOCKER_HUB):]}")
