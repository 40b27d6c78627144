# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image a service gets: from a release, a registry and overrides to a reference."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.errors import Failure
from ..core.images import Image, mirrored, parse_image
from ..core.versions import parse_version, same_major
from .services import BACKEND, FRONTEND, MONGODB, MONGODB_IMAGE, MOVING_TAGS, PRODUCT_REGISTRY, PRODUCT_REPOSITORIES, REDIS, REDIS_IMAGE


def product_kind(image: str) -> str:
    """The product's service whose image is called so, in whatever registry; empty for any other image."""
    if image.startswith("sha256:"):
        return ""
    repository = parse_image(image).name.rpartition("/")[2]
    return next((kind for kind, name in PRODUCT_REPOSITORIES.items() if name == repository), "")


def is_vendors(image: str) -> bool:
    """Whether the image stands below the vendor's own name. Others called like it are to be asked: many programs have a backend."""
    return parse_image(image).name.split("/")[-2:-1] == [PRODUCT_REGISTRY.rpartition("/")[2]]


def normal_tag(release: str) -> str:
    """The vendor's tag for a release a person typed: ``101.1.0`` and ``v101.1.0`` are one. :raises Failure: for anything else unknown."""
    release = release.strip()
    version = parse_version(release)
    if version:
        return str(version)
    if release in MOVING_TAGS:
        return release
    raise Failure(
        f"`{release}` is no release of the product",
        f"write a version such as `v101.1.0`, or one of {', '.join(MOVING_TAGS)}, in `toucan_release`",
        subject=release,
    )


def wanted_images(
    kinds: tuple[str, ...], registry: str, releases: Mapping[str, str], overrides: Mapping[str, str], mirror: str = ""
) -> dict[str, Image]:
    """Image by kind.

    :param releases: release by product service, as a person typed it.
    :param overrides: full reference by kind; wins.
    :param mirror: where the defaults that Docker Hub has come from instead.
    :raises Failure: when a product service has neither.
    """
    defaults = {MONGODB: MONGODB_IMAGE, REDIS: REDIS_IMAGE}
    images = {}
    for kind in kinds:
        if overrides.get(kind):
            images[kind] = parse_image(overrides[kind])
        elif kind in PRODUCT_REPOSITORIES:
            if not releases.get(kind):
                raise Failure(f"No release of the {kind} is asked for", "set `toucan_release`", subject=kind)
            images[kind] = Image(f"{registry.rstrip('/')}/{PRODUCT_REPOSITORIES[kind]}", normal_tag(releases[kind]))
        else:
            images[kind] = mirrored(parse_image(defaults[kind]), mirror)
    return images


def refuse_mixed_majors(images: Mapping[str, Image]) -> None:
    """:raises Failure: when frontend and backend differ in major version, or cannot be compared."""
    if FRONTEND not in images or BACKEND not in images:
        return
    front, back = images[FRONTEND].tag, images[BACKEND].tag
    first, second = parse_version(front), parse_version(back)
    remedy = "set `toucan_release`, or both overrides, to one major"
    if first and second:
        if not same_major(first, second):
            raise Failure(f"Backend {second} and frontend {first} differ in major version", remedy)
    elif front != back:
        raise Failure(f"Backend `{back}` and frontend `{front}` cannot be compared, because a moving tag names no version", remedy)
