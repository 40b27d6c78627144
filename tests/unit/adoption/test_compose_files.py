# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the containers name are looked at, so that nobody learns at the next reboot that they no longer fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.candidates import Candidate
from ansible_collections.toucan.selfhosted.plugins.module_utils.adoption.compose_files import missing_files
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.inspection import Inspected
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

Make = Callable[..., Inspected]


@pytest.fixture(name="look")
def _look(make: Make, tmp_path: Path) -> Callable[[Any], list[str]]:
    def look(env_file: Any) -> list[str]:
        path = tmp_path / "docker-compose.yml"
        path.write_text(yaml.safe_dump({"services": {"backend": {"image": "x", "env_file": env_file}, "redis": {"image": "y"}}}))
        backend = make("backend", working_directory=str(tmp_path), compose_files=(str(path), "-"))
        return missing_files(Candidate("bi", {"backend": backend}))

    return look


def test_files_that_can_be_read_are_nothing_to_tell(look: Callable[[Any], list[str]], tmp_path: Path) -> None:
    (tmp_path / "toucan.env").write_text("A=1\n")
    for env_file in (
        None,
        "toucan.env",
        ["./toucan.env", str(tmp_path / "toucan.env")],
        [{"path": "toucan.env"}, {"path": "none", "required": False}],
        "${STAGE}.env",
    ):
        assert look(env_file) == []


def test_a_compose_file_that_is_gone_is_named(make: Make) -> None:
    assert missing_files(Candidate("bi", {"backend": make("backend")})) == ["/opt/bi/docker-compose.yml"]


@pytest.mark.parametrize("env_file", ["lost.env", ["lost.env"], [{"path": "lost.env"}]])
def test_an_env_file_that_is_gone_is_refused(look: Callable[[Any], list[str]], tmp_path: Path, env_file: Any) -> None:
    sentence = (
        f"The env file {tmp_path}/lost.env, which {tmp_path}/docker-compose.yml names for service backend, cannot be read: it is missing; put it right, or"
    )
    with pytest.raises(Failure, match=sentence):
        look(env_file)


def test_an_env_file_that_is_a_folder_or_no_text_is_refused(look: Callable[[Any], list[str]], tmp_path: Path) -> None:
    (tmp_path / "folder.env").mkdir()
    (tmp_path / "binary.env").write_bytes(b"SECRET=\xff\xfe")
    with pytest.raises(Failure, match="cannot be read: Is a directory; put it right, or set `toucan_adopt_ignore_files: true`"):
        look("folder.env")
    with pytest.raises(Failure, match="cannot be read: it is no text in UTF-8") as caught:
        look("binary.env")
    assert "SECRET" not in str(caught.value)


def test_a_compose_file_that_is_no_yaml_is_refused_without_its_text(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "docker-compose.yml"
    path.write_text("services:\n  backend: {SECRET: [}\n")
    with pytest.raises(Failure, match=r"docker-compose.yml is not valid YAML at line 2") as caught:
        missing_files(Candidate("bi", {"backend": make("backend", compose_files=(str(path),))}))
    assert "SECRET" not in str(caught.value)
