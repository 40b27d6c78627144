# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives tell which images they hold; what is damaged, or no archive of images, is told in a sentence."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.image_archives import ArchivedImage, ArchiveFolder, archived_images

FIRST, SECOND, MANIFEST = ("1d" * 32, "2e" * 32, "sha256:" + "3f" * 32)
BACKEND = "quay.io/toucantoco/backend:v101.1.0"


def saved(manifest: Any, index: Any = None, layer: int = 20_000) -> bytes:
    """What ``docker save`` writes: layers first, its lists at the very end."""
    members = {"blobs/sha256/layer": bytes(range(256)) * (layer // 256)}
    if index is not None:
        members["index.json"] = json.dumps(index).encode()
    if manifest is not None:
        members["manifest.json"] = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def entry(identity: str = FIRST, names: Optional[list[str]] = None, config: str = "blobs/sha256/{}") -> dict[str, Any]:
    return {"Config": config.format(identity), "RepoTags": names, "Layers": ["blobs/sha256/layer"]}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("config", ["blobs/sha256/{}", "{}.json", "{}"])
def test_images_are_told_by_id_and_names(tmp_path: Path, pack: Any, config: str) -> None:
    path = tmp_path / "a.tar"
    index = {"manifests": [{"digest": MANIFEST}, {"digest": "sha256:short"}, "odd"]}
    path.write_bytes(pack(saved([entry(FIRST, [BACKEND, "b:1"], config), entry(SECOND, None, config)], index)))
    assert archived_images(str(path)) == [
        ArchivedImage(str(path), f"sha256:{FIRST}", (BACKEND, "b:1"), (MANIFEST,)),
        ArchivedImage(str(path), f"sha256:{SECOND}", (), (MANIFEST,)),
    ]


WHOLE = saved([entry(FIRST, [BACKEND])])
PACKED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is no whole archive of `docker save`"),
        (b"no archive at all" * 100, "is no whole archive of `docker save`"),
        (WHOLE[: len(WHOLE) // 2], "is no whole archive of `docker save`: "),
        (PACKED[: len(PACKED) // 2], "is no whole archive of `docker save`: "),
        (PACKED[:200] + b"\0\0\0\0" + PACKED[204:], "is no whole archive of `docker save`: "),
        (saved(None), "it has no manifest.json; make it anew with `docker save`, copy it whole, and compare the sizes"),
        (saved(b"{"), "manifest.json is no JSON"),
        (saved([]).replace(b"[]", b"{}"), "manifest.json describes no image"),
        (saved(["odd"]), "manifest.json describes no image"),
        (saved([{"RepoTags": ["a:1"]}]), "manifest.json describes no image"),
        (saved([entry("../../etc/passwd")]), "manifest.json describes no image"),
        (saved([{**entry(), "RepoTags": "a:1"}]), "manifest.json describes no image"),
        (saved([{**entry(), "RepoTags": [1]}]), "manifest.json describes no image"),
        (saved(b" " * (4 * 1024 * 1024 + 1)), "manifest.json has 4194305 bytes"),
    ],
)
def test_what_is_no_whole_archive_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(content)
    with pytest.raises(Failure, match=words) as caught:
        archived_images(str(path))
    assert caught.value.problem.startswith(str(path))


def test_an_archive_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Reading .*/a.tar failed: No such file or directory; correct its owner and mode"):
        archived_images(str(tmp_path / "a.tar"))


def test_an_image_is_found_in_the_first_archive_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "z.tar").write_bytes(saved([entry(FIRST, [BACKEND])]))
    (tmp_path / "c.tgz").write_bytes(gzip.compress(saved([entry(SECOND, [BACKEND, "redis:6.2-alpine"])])))
    folder = ArchiveFolder(str(tmp_path))
    assert folder.find(BACKEND).id == f"sha256:{FIRST}"
    found = folder.find("docker.io/library/redis:6.2-alpine")
    assert (found.id, found.path) == (f"sha256:{SECOND}", str(tmp_path / "c.tgz"))


def test_a_damaged_archive_matters_only_where_no_other_helps(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"damaged")
    (tmp_path / "b.tar").write_bytes(saved([entry(FIRST, [BACKEND])]))
    folder = ArchiveFolder(str(tmp_path))
    assert folder.find(BACKEND).id == f"sha256:{FIRST}"
    with pytest.raises(Failure, match="a.tar is no whole archive"):
        folder.find("redis:8")


def test_a_folder_without_the_image_tells_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(saved([entry(FIRST, [BACKEND])]))
    (tmp_path / "b.tar").write_bytes(saved([entry(SECOND, None)]))
    (tmp_path / "notes.txt").write_text("no archive")
    (tmp_path / "c.tar").symlink_to(tmp_path / "a.tar")
    (tmp_path / "d.tar").mkdir()
    asked = "quay.io/toucantoco/backend:v102.0.0"
    with pytest.raises(Failure) as caught:
        ArchiveFolder(str(tmp_path)).find(asked)
    assert str(caught.value) == (
        f"Folder {tmp_path} holds no image {asked}: there are a.tar ({BACKEND}), b.tar (an image without a name);"
        f" put there what `docker save {asked}` writes on a machine that has it, or correct `toucan_image_folder`."
    )


def test_only_the_first_archives_of_many_are_told(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.tar").write_bytes(saved([entry(FIRST, [f"a:{number}"])]))
    with pytest.raises(Failure, match=r"there are 00.tar \(a:0\), .*09.tar \(a:9\) and 2 more; put there"):
        ArchiveFolder(str(tmp_path)).find("b:1")


def test_a_folder_without_archives_or_none_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="holds no image a:1: no file in it ends in .tar, .tar.gz, .tgz; put there"):
        ArchiveFolder(str(tmp_path)).find("a:1")
    with pytest.raises(Failure, match="Looking into the folder of image archives .*/gone on this host failed: No such file.*; put the archives there"):
        ArchiveFolder(str(tmp_path / "gone")).find("a:1")
