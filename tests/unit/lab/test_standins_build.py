# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and contents of the images that build.py makes, without an engine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "lab/standins/build.py"
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


def test_no_two_images_of_a_service_have_the_same_content() -> None:
    for service in build.SERVICES:
        contents = [tuple(sorted(image.files().items())) for image in build.product_images() if image.service == service]
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
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/x.pyc").write_bytes(b"x")
    assert key() == keys[-1]
