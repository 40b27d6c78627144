# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and contents of the images that build.py makes, without an engine."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import sys
import tarfile
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "lab/standins/build.py"
sys.path.insert(0, str(BUILD.parent))
_spec = importlib.util.spec_from_file_location("standins_build", BUILD)
assert _spec is not None and _spec.loader is not None
build = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = build
_spec.loader.exec_module(build)

PREFIX = "registry.test:5000"
VERSIONS = ("v100.1.0", "v101.0.0", "v101.1.0", "v101.1.1", "v101.1.2", "v101.1.3")


def test_every_service_and_dialect_has_every_tag() -> None:
    names = [name for image in build.product_images() for name in image.names(PREFIX)]
    assert sorted(names) == sorted(
        f"{PREFIX}/{repository}/{service}:{tag}"
        for repository in ("toucantoco", "toucantoco-b")
        for service in ("backend", "frontend")
        for tag in (*VERSIONS, "latest-monthly")
    )


def test_the_toolbox_has_the_name_that_its_dialect_gives_it() -> None:
    images = build.product_images(["toolbox"])
    assert sorted(name for image in images for name in image.names(PREFIX)) == sorted(
        f"{PREFIX}/{repository}:{tag}" for repository in ("toucantoco/toolbox", "toucantoco-b/toucan-toolbox") for tag in (*VERSIONS, "latest-monthly")
    )
    assert {json.loads(image.files()["/app/release.json"])["behaviour"] for image in images} == {"normal"}


def test_what_the_toolbox_is_made_of_is_pinned() -> None:
    folder = BUILD.parent / "toolbox"
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert sorted(wanted) == ["bson", "mongodb", "tar-stream"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(one["integrity"].startswith("sha512-") for path, one in locked.items() if path)


def test_no_two_images_of_a_service_have_the_same_content() -> None:
    for service in (*build.SERVICES, *build.FURTHER_SERVICES):
        contents = [tuple(sorted(image.files().items())) for image in build.product_images([service])]
        assert len(set(contents)) == len(contents) == 2 * len(VERSIONS)


def test_releases_came_out_one_after_the_other() -> None:
    days = [release.created for release in build.RELEASES]
    assert sorted(set(days)) == days


def test_the_hash_sees_contents_names_and_executable_bits(tmp_path: Path) -> None:
    def key() -> str:
        return build.content_hash(build.folder_parts(tmp_path))

    script = tmp_path / "run.sh"
    script.write_text("true")
    keys = [key()]
    script.write_text("false")
    keys.append(key())
    script.chmod(0o755)
    keys.append(key())
    script.rename(tmp_path / "walk.sh")
    keys.append(key())
    assert len(set(keys)) == 4
    for cache in ("__pycache__", ".mypy_cache"):
        (tmp_path / cache).mkdir()
        (tmp_path / cache / "x").write_bytes(b"x")
    assert key() == keys[-1]


BASE_LAYER = b"the layer of the base image"
BASE_CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-11-23T00:00:00Z",
    "config": {"Entrypoint": ["/run"], "Labels": {"kept": "yes"}},
    "history": [{"created_by": "base"}],
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(BASE_LAYER).hexdigest()]},
}


def save_base(path: Path) -> None:
    """An archive as ``docker save`` writes it."""
    members = {
        "base.json": json.dumps(BASE_CONFIG).encode(),
        "base/layer.tar": BASE_LAYER,
        "manifest.json": json.dumps([{"Config": "base.json", "RepoTags": ["base:1"], "Layers": ["base/layer.tar"]}]).encode(),
    }
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def test_a_variant_is_the_base_with_one_dated_layer_more(tmp_path: Path) -> None:
    saved, made = tmp_path / "saved.tar", tmp_path / "made.tar"
    save_base(saved)
    days = ("2026-08-27T08:00:00Z", "2026-09-24T08:00:00Z")
    variants = [build.Variant([f"x:{day[:4]}"], {"/app/release": day}, day, {"new": day}) for day in days]
    build.write_variants(saved, variants, made)

    with tarfile.open(made) as archive:

        def read(name: str) -> bytes:
            content = archive.extractfile(name)
            assert content is not None
            return content.read()

        manifest = json.loads(read("manifest.json"))
        for variant, entry in zip(variants, manifest):
            config = json.loads(read(entry["Config"]))
            assert entry["RepoTags"] == list(variant.names)
            assert config["created"] == variant.created
            assert config["config"] == {"Entrypoint": ["/run"], "Labels": {"kept": "yes", "new": variant.created}}
            assert len(config["history"]) == 2
            layers = [read(name) for name in entry["Layers"]]
            assert layers[0] == BASE_LAYER
            assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
            with tarfile.open(fileobj=io.BytesIO(layers[1])) as layer:
                assert layer.getnames() == ["app/release"]
                assert layer.getmember("app/release").uid == 0
    assert len({entry["Config"] for entry in manifest}) == 2

    again = tmp_path / "again.tar"
    build.write_variants(saved, variants, again)
    with tarfile.open(again) as archive:
        content = archive.extractfile("manifest.json")
        assert content is not None
        assert json.loads(content.read()) == manifest
