# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References of images are taken apart and put together again, and names that mean one are known as one."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image, mirrored, parse_image, pinned_by_id, same_name
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "sha256:" + "0f" * 32
NAMES = st.from_regex(r"([a-z][a-z0-9.-]{0,8}(:[1-9][0-9]{0,3})?/)?[a-z][a-z0-9_-]{0,8}(/[a-z][a-z0-9_-]{0,8})?", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
ID = "sha256:" + "1d" * 32


@pytest.mark.parametrize(
    "reference, image, registry",
    [
        ("caddy", Image("caddy", "latest"), ""),
        ("library/mongo:5.0", Image("library/mongo", "5.0"), ""),
        ("quay.io/toucantoco/backend:v101.1.0", Image("quay.io/toucantoco/backend", "v101.1.0"), "quay.io"),
        ("registry.test:5000/a/b", Image("registry.test:5000/a/b", "latest"), "registry.test:5000"),
        ("localhost/a:1", Image("localhost/a", "1"), "localhost"),
        (f"registry.test:5000/a/b:v1@{DIGEST}", Image("registry.test:5000/a/b", "v1", DIGEST), "registry.test:5000"),
    ],
)
def test_a_reference_is_taken_apart(reference: str, image: Image, registry: str) -> None:
    assert parse_image(reference) == image
    assert image.registry == registry


@given(NAMES, TAGS, st.sampled_from([("", ""), (DIGEST, ""), ("", ID)]))
def test_an_image_is_read_back_from_what_it_writes(name: str, tag: str, pin: tuple[str, str]) -> None:
    image = Image(name, tag, *pin)
    assert image.pinned == any(pin)
    assert parse_image(str(image)) == image


@pytest.mark.parametrize("reference", ["", "registry.test/", ":v1", "a b:c", "mongo:5.0 "])
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(Failure, match="is no image reference; write it as `registry.example.com/folder/name:tag`"):
        parse_image(reference)


def test_an_image_of_no_registry_is_pinned_by_a_tag_of_this_host() -> None:
    image = pinned_by_id(Image("quay.io/toucantoco/backend", "v101.1.0"), ID)
    assert str(image) == f"quay.io/toucantoco/backend:v101.1.0-loaded-{'1d' * 32}"
    assert (image.asked, image.digest) == ("quay.io/toucantoco/backend:v101.1.0", "")


def test_a_tag_without_room_for_an_id_is_refused() -> None:
    assert pinned_by_id(Image("a", "t" * 56), ID).id == ID
    with pytest.raises(Failure, match="The tag of a:t* is too long for an image without a registry; give it a shorter one"):
        pinned_by_id(Image("a", "t" * 57), ID)


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("redis", "docker.io/library/redis", True),
        ("redis:6", "docker.io/library/redis:6", True),
        ("toucantoco/backend", "docker.io/toucantoco/backend", True),
        ("quay.io/toucantoco/backend", "toucantoco/backend", False),
        ("redis:6", "redis:7", False),
    ],
)
def test_names_that_mean_one_are_known_as_one(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same_name(other, one) is same


@pytest.mark.parametrize("name", ["quay.io/a", "redis", "docker.iox/a"])
def test_only_images_of_docker_hub_come_from_its_mirror(name: str) -> None:
    assert mirrored(Image(name, "1"), "mirror.test") == Image(name, "1")
    assert mirrored(Image("docker.io/a", "1"), "") == Image("docker.io/a", "1")
