# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release, a registry and overrides come to one image each, and frontend and backend to one major."""

from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.releases import normal_tag, refuse_mixed_majors, wanted_images
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image


@pytest.mark.parametrize(
    "typed, tag", [("101.1.0", "v101.1.0"), ("v101.1.0", "v101.1.0"), (" v101.1.0 ", "v101.1.0"), ("latest-monthly", "latest-monthly"), ("latest", "latest")]
)
def test_a_release_becomes_the_vendors_tag(typed: str, tag: str) -> None:
    assert normal_tag(typed) == tag


@pytest.mark.parametrize("typed", ["", "v101", "v101.1", "latest-yearly", "V-101.1.0", "v101.1.0-rc1", "v101.1.0 v2"])
def test_what_is_no_release_is_refused_with_the_choices(typed: str) -> None:
    with pytest.raises(Failure, match=r"is no release of the product; write a version such as `v101.1.0`, or one of latest-monthly, .* in `toucan_release`"):
        normal_tag(typed)


def test_every_service_gets_its_image() -> None:
    images = wanted_images(KINDS, "registry.test:5000/toucantoco/", {"frontend": "101.1.0", "backend": "v101.0.0"}, {"mongodb": "mirror.test/mongo:5.0.1"})
    assert {kind: str(image) for kind, image in images.items()} == {
        "frontend": "registry.test:5000/toucantoco/frontend:v101.1.0",
        "backend": "registry.test:5000/toucantoco/backend:v101.0.0",
        "mongodb": "mirror.test/mongo:5.0.1",
        "redis": "docker.io/library/redis:6.2-alpine",
    }


def test_a_mirror_of_docker_hub_gives_what_comes_from_there_by_default() -> None:
    images = wanted_images(KINDS, "registry.test", {"frontend": "v101.1.0"}, {"backend": "docker.io/mine/backend:v1"}, "mirror.test:5000/hub/")
    assert {kind: str(image) for kind, image in images.items()} == {
        "frontend": "registry.test/frontend:v101.1.0",
        "backend": "docker.io/mine/backend:v1",
        "mongodb": "mirror.test:5000/hub/library/mongo:5.0.31",
        "redis": "mirror.test:5000/hub/library/redis:6.2-alpine",
    }


def test_only_the_services_of_the_host_get_an_image() -> None:
    assert list(wanted_images(("redis",), "registry.test", {}, {})) == ["redis"]


def test_an_override_wins_over_the_release() -> None:
    images = wanted_images(("backend",), "registry.test", {"backend": "v101.1.0"}, {"backend": "mine.test/backend:patched"})
    assert images["backend"].asked == "mine.test/backend:patched"


def test_a_product_service_without_release_is_refused() -> None:
    with pytest.raises(Failure, match="No release of the backend is asked for; set `toucan_release`"):
        wanted_images(("backend",), "registry.test", {"frontend": "v101.1.0"}, {"backend": ""})


def images(frontend: str, backend: str) -> dict[str, Image]:
    return {"frontend": Image("r.test/frontend", frontend), "backend": Image("r.test/backend", backend)}


@pytest.mark.parametrize("frontend, backend", [("v101.0.0", "v101.9.9"), ("latest-monthly", "latest-monthly")])
def test_one_major_passes(frontend: str, backend: str) -> None:
    refuse_mixed_majors(images(frontend, backend))


def test_one_of_the_two_alone_passes() -> None:
    refuse_mixed_majors({"backend": Image("r.test/backend", "v101.0.0"), "redis": Image("redis", "6")})


def test_two_majors_are_refused() -> None:
    with pytest.raises(Failure, match=r"Backend v101.1.0 and frontend v100.1.0 differ in major version; set `toucan_release`, or both overrides, to one major"):
        refuse_mixed_majors(images("v100.1.0", "v101.1.0"))


@pytest.mark.parametrize("frontend, backend", [("latest-monthly", "v101.1.0"), ("v101.1.0", "latest"), ("latest-monthly", "latest-weekly")])
def test_versions_that_cannot_be_compared_are_refused(frontend: str, backend: str) -> None:
    with pytest.raises(Failure, match="cannot be compared, because a moving tag names no version; set `toucan_release`"):
        refuse_mixed_majors(images(frontend, backend))
