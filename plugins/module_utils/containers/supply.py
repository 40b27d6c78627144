# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the images of a host come from: a registry, or a folder of archives, beside which no registry is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Optional

from ..core.errors import Failure
from ..core.image_archives import ArchivedImage, ArchiveFolder
from ..core.images import Image, pinned_by_id
from ..core.plan import Step
from .docker_engine import Credentials, DockerEngine


class ImageSupply:
    """Pins images and brings them to this host.

    :param folder: of archives on this host; empty where a registry is asked.
    """

    def __init__(self, docker: DockerEngine, credentials: Credentials, folder: str = "") -> None:
        self._docker = docker
        self._credentials = credentials
        self._folder = ArchiveFolder(folder) if folder else None
        self._archived: dict[str, ArchivedImage] = {}

    @property
    def archives(self) -> Mapping[str, str]:
        """Path of the archive by reference, of the images that were pinned and have to be loaded."""
        return {reference: image.path for reference, image in self._archived.items()}

    def pin(self, wanted: Image, kept: Image) -> Image:
        """What ``wanted`` is: what is deployed of it, where that can still be had, else what its registry or an archive says now.

        :param kept: the wanted image, with the digest or ID of what is deployed where that is the same name and tag.
        :raises Failure: when it cannot be had.
        """
        if self._folder is None:
            if kept.digest or (kept.id and self._is_here(kept)):
                return kept
            return replace(wanted, digest=self._docker.registry_digest(wanted.name, wanted.tag, self._credentials, wanted.registry))
        if kept.pinned and self._is_here(kept):
            return kept
        if wanted.digest:
            raise Failure(
                f"Image {wanted} is pinned to what a registry has, which no archive can prove",
                "name it by its tag alone, or leave `toucan_image_folder` unset",
                subject=str(wanted),
            )
        return self._pin_without_registry(wanted, self._folder)

    def _pin_without_registry(self, wanted: Image, folder: ArchiveFolder) -> Image:
        here = self._docker.image_id(wanted.asked)
        if here:
            return pinned_by_id(wanted, here)
        archived = folder.find(wanted.asked)
        image = pinned_by_id(wanted, archived.id)
        if not self._is_here(image):
            self._archived[str(image)] = archived
        return image

    def _is_here(self, image: Image) -> bool:
        return bool(self._docker.image_id(str(image)) or (image.id and self._docker.image_id(image.id)))

    def pull(self, image: Image) -> None:
        """Fetch a pinned image from its registry."""
        self._docker.pull(image.name, image.tag, image.digest, self._credentials, image.registry)

    def load(self, image: Image) -> None:
        """Load an image from its archive, unless another one out of the same archive brought it along, and pin it.

        :raises Failure: when the archive gives another image than its own list tells.
        """
        archived = self._archived[str(image)]
        if not self._docker.image_id(image.id):
            self._docker.load(archived.path)
        loaded = next((name for name in (image.id, *archived.manifests) if self._docker.image_id(name)), "")
        if not loaded:
            raise Failure(
                f"Docker loaded {archived.path}, and image {image.asked} of its list ({image.id}) did not come of it",
                "make the archive anew with `docker save`",
                subject=archived.path,
            )
        self._docker.tag(loaded, str(image))

    def mark(self, image: Image) -> None:
        """Give a pinned image that is here its tag, which the engine notes the time of: the time when it was last deployed."""
        if image.digest:
            self._docker.tag(f"{image.name}@{image.digest}", image.asked)
        else:
            self._docker.tag(self._docker.image_id(str(image)) or image.id, str(image))


def plan_image(kind: str, image: Image, missing: bool, archive: Optional[str], folder: str) -> list[Step]:
    """The step that brings an image to the host, where one is needed.

    :param missing: whether the engine does not have the reference.
    :param archive: where it is to be loaded from; ``None`` for one that is here and lacks its tag, or comes from a registry.
    :param folder: of archives, for an image that is not pinned yet because there is no engine.
    """
    what = f"image of {kind}"
    if not image.pinned:
        if folder:
            return [Step(f"image.load:{kind}", "load", what, None, {"image": str(image), "archive": folder})]
        return [Step(f"image.pull:{kind}", "pull", what, None, str(image))]
    if not missing:
        return []
    if image.digest:
        return [Step(f"image.pull:{kind}", "pull", what, None, str(image))]
    if archive:
        return [Step(f"image.load:{kind}", "load", what, None, {"image": str(image), "archive": archive})]
    return [Step(f"image.tag:{kind}", "tag", what, image.id, str(image))]
