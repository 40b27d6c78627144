# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are pinned by what is deployed, a registry or an archive; beside a folder of archives no registry is asked."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Credentials
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.supply import ImageSupply, plan_image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image

DIGEST, OLD = ("sha256:" + digit * 64 for digit in "ab")
ID, OTHER, MANIFEST = ("sha256:" + digit * 64 for digit in "123")
WANTED = Image("quay.io/toucantoco/backend", "v101.1.0")
LOCAL = Image(WANTED.name, WANTED.tag, id=ID)


class Docker:
    """An engine that has the images `here` (ID by reference), and takes in from archives what `loads` says."""

    def __init__(self, **loads: str) -> None:
        self.here: dict[str, str] = {}
        self.calls: list[tuple[str, ...]] = []
        self.loads: dict[str, str] = loads

    def image_id(self, reference: str) -> str:
        return self.here.get(reference) or (reference if reference in self.here.values() else "")

    def registry_digest(self, name: str, tag: str, credentials: Credentials, registry: str) -> str:
        self.calls.append(("asked", f"{name}:{tag}"))
        return DIGEST

    def load(self, path: str) -> None:
        self.calls.append(("load", Path(path).name))
        self.here.update(self.loads)

    def tag(self, image: str, reference: str) -> None:
        self.calls.append(("tag", image, reference))
        self.here[reference] = self.image_id(image)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> str:
    members: dict[str, Any] = {
        "index.json": {"manifests": [{"digest": MANIFEST}]},
        "manifest.json": [{"Config": f"blobs/sha256/{ID[7:]}", "RepoTags": [WANTED.asked]}],
    }
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, value in members.items():
            content = json.dumps(value).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return str(tmp_path)


def supply(docker: Docker, folder: str = "") -> ImageSupply:
    return ImageSupply(docker, Credentials(), folder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kept, here, pinned, asked",
    [
        (WANTED, {}, Image(WANTED.name, WANTED.tag, DIGEST), True),
        (Image(WANTED.name, WANTED.tag, OLD), {}, Image(WANTED.name, WANTED.tag, OLD), False),
        (LOCAL, {str(LOCAL): ID}, LOCAL, False),
        (LOCAL, {"elsewhere:1": ID}, LOCAL, False),
        (LOCAL, {}, Image(WANTED.name, WANTED.tag, DIGEST), True),
    ],
    ids=["new", "deployed by digest", "deployed by ID", "deployed by ID without its tag", "deployed by ID and gone"],
)
def test_with_a_registry(kept: Image, here: dict[str, str], pinned: Image, asked: bool) -> None:
    docker = Docker()
    docker.here = here
    assert supply(docker).pin(WANTED, kept) == pinned
    assert bool(docker.calls) is asked


@pytest.mark.parametrize(
    "kept, here, pinned, archived",
    [
        (WANTED, {}, LOCAL, True),
        (WANTED, {WANTED.asked: OTHER}, Image(WANTED.name, WANTED.tag, id=OTHER), False),
        (Image(WANTED.name, WANTED.tag, OLD), {f"{WANTED.asked}@{OLD}": OTHER}, Image(WANTED.name, WANTED.tag, OLD), False),
        (Image(WANTED.name, WANTED.tag, OLD), {}, LOCAL, True),
        (Image(WANTED.name, WANTED.tag, id=OTHER), {WANTED.asked: ID, "kept:1": OTHER}, Image(WANTED.name, WANTED.tag, id=OTHER), False),
        (WANTED, {"other:1": ID}, LOCAL, False),
    ],
    ids=["new", "here by name", "deployed by digest", "deployed by digest and gone", "deployed by ID", "here by ID"],
)
def test_with_a_folder(folder: str, kept: Image, here: dict[str, str], pinned: Image, archived: bool) -> None:
    docker = Docker()
    docker.here = here
    images = supply(docker, folder)
    assert images.pin(WANTED, kept) == pinned
    assert images.archives == ({str(LOCAL): f"{folder}/a.tar"} if archived else {})
    assert docker.calls == []


def test_what_is_pinned_to_a_registrys_digest_cannot_come_from_an_archive(folder: str) -> None:
    wanted = Image(WANTED.name, WANTED.tag, DIGEST)
    with pytest.raises(Failure, match="is pinned to what a registry has, which no archive can prove; name it by its tag alone, or leave `toucan_image_folder`"):
        supply(Docker(), folder).pin(wanted, wanted)


@pytest.mark.parametrize("identity", [ID, MANIFEST], ids=["ID of the configuration", "ID of the manifest"])
def test_a_loaded_image_gets_a_tag_of_its_own(folder: str, identity: str) -> None:
    docker = Docker(**{WANTED.asked: identity})
    images = supply(docker, folder)
    images.load(images.pin(WANTED, WANTED))
    assert docker.calls == [("load", "a.tar"), ("tag", identity, str(LOCAL))]


def test_an_archive_that_another_image_brought_in_is_not_loaded_again(folder: str) -> None:
    docker = Docker()
    images = supply(docker, folder)
    image = images.pin(WANTED, WANTED)
    docker.here[WANTED.asked] = ID
    images.load(image)
    assert docker.calls == [("tag", ID, str(LOCAL))]


def test_an_archive_that_gives_another_image_than_it_tells_is_refused(folder: str) -> None:
    docker = Docker(**{WANTED.asked: OTHER})
    images = supply(docker, folder)
    image = images.pin(WANTED, WANTED)
    with pytest.raises(Failure, match=f"Docker loaded .*/a.tar, and image {WANTED.asked} of its list .* did not come of it; make the archive anew"):
        images.load(image)
    assert str(LOCAL) not in docker.here


@pytest.mark.parametrize(
    "image, source, reference",
    [(Image("a", "1", DIGEST), f"a@{DIGEST}", "a:1"), (Image("a", "1", id=ID), ID, str(Image("a", "1", id=ID)))],
)
def test_a_deployed_image_is_marked_by_its_tag(image: Image, source: str, reference: str) -> None:
    docker = Docker()
    supply(docker).mark(image)
    assert docker.calls == [("tag", source, reference)]


@pytest.mark.parametrize(
    "image, missing, archive, folder, steps",
    [
        (Image("a", "1"), False, None, "", ["image.pull:redis"]),
        (Image("a", "1"), False, None, "/srv/images", ["image.load:redis"]),
        (Image("a", "1", DIGEST), True, None, "", ["image.pull:redis"]),
        (Image("a", "1", DIGEST), False, None, "", []),
        (Image("a", "1", id=ID), True, "/srv/images/a.tar", "/srv/images", ["image.load:redis"]),
        (Image("a", "1", id=ID), True, None, "/srv/images", ["image.tag:redis"]),
        (Image("a", "1", id=ID), False, None, "/srv/images", []),
    ],
)
def test_an_image_comes_by_the_step_that_it_needs(image: Image, missing: bool, archive: Any, folder: str, steps: list[str]) -> None:
    assert [step.id for step in plan_image("redis", image, missing, archive, folder)] == steps
