# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose files come back as they were written, secrets go to compose by standard input, and its failures are sentences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.compose import ComposeProject, read_yaml, to_yaml
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import KINDS
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import StackOptions, define, escape
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import Workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES
from hypothesis import given
from hypothesis import strategies as st

AWKWARD = {
    "DOLLAR": "a$b ${C} $$",
    "QUOTES": '"it\'s"',
    "LINES": "first\nsecond\n",
    "UNICODE": "é 🦜",
    "JSON": '{"a":["$x",null]}',
    "LOOKS_TYPED": "yes",
    "NUMBER": "007",
    "EMPTY": "",
    "COLON": "a: b # c",
    "SPACES": "  a  ",
}
#: What YAML can carry: no surrogates and no control characters.
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from("\n\t"))


def has_compose() -> bool:
    """Whether the `docker` program of this machine has its compose plugin; no engine is needed."""
    return shutil.which("docker") is not None and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


def as_compose_reads(definition: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A definition as compose itself reads it from the file, or where there is none as YAML without compose's escapes."""
    text = to_yaml(definition).decode()
    if not has_compose():
        return unescaped(yaml.safe_load(text))
    argv = ["docker", "compose", "--project-directory", str(folder), "--file", "-", "config", "--format", "json"]
    # What compose prints is a compose file again, escapes included.
    return unescaped(json.loads(subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout))


def unescaped(value: Any) -> Any:
    return json.loads(json.dumps(value).replace("$$", "$"))


def test_every_value_of_a_stack_arrives_as_it_was_given(tmp_path: Path) -> None:
    urls = ("https://app.test", "https://api.test")
    options = StackOptions("toucan", KINDS, *urls, str(tmp_path), "/srv/storage", "/srv/mongodb", "toucan", backend_env=AWKWARD)
    definition = define(options, {kind: f"{kind}:1" for kind in KINDS}, {name: f"{name}$1" for name in NAMES}, Workers(1, ""))
    variables = as_compose_reads(definition.merged(), tmp_path)["services"]["backend"]["environment"]
    assert {name: variables[name] for name in AWKWARD} == AWKWARD
    assert variables["TOUCAN_JWT_SECRET_KEY"] == "jwt_secret$1"


@given(st.dictionaries(TEXT, st.recursive(TEXT | st.booleans() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=6)))
def test_a_compose_file_is_read_back_as_written(definition: dict[str, Any]) -> None:
    assert yaml.safe_load(to_yaml(definition)) == definition


def test_a_file_says_who_manages_it_and_keeps_the_order(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_bytes(to_yaml({"services": {"b": {"image": "b:1"}, "a": {"image": "a:1"}}}))
    assert path.read_text().startswith("# Managed by the Ansible collection toucan.selfhosted")
    known = read_yaml(str(path))
    assert known == {"services": {"b": {"image": "b:1"}, "a": {"image": "a:1"}}}
    assert known and list(known["services"]) == ["b", "a"]


def test_no_file_is_nothing(tmp_path: Path) -> None:
    assert read_yaml(str(tmp_path / "compose.yaml")) is None


@pytest.mark.parametrize(
    "text, said",
    [
        ("services:\n  a: [1,\n  b: 'secret\n", "is not valid YAML at line"),
        ("- services\n", "holds no mapping;"),
        ("", "holds no mapping;"),
        ("services: [a]\n", "holds no mapping at services;"),
        ("services: {a: b}\n", "holds no mapping at services.a;"),
        ("services: {a: {image: 1}}\n", "holds no text at services.a.image;"),
        ("services: {a: {environment: [A=secret]}}\n", "holds no mapping at services.a.environment;"),
        ("services: {a: {volumes: [{type: bind}]}}\n", "holds other volumes than `FOLDER:PATH` at services.a;"),
    ],
)
def test_a_damaged_file_is_told_without_its_content(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(text)
    with pytest.raises(Failure) as caught:
        read_yaml(str(path))
    assert str(caught.value).startswith(f"The compose file {path} ")
    assert said in str(caught.value)
    assert "correct it, or move it away" in str(caught.value)
    assert "secret" not in str(caught.value.facts())


# -- the program ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(name="docker")
def _docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `docker` that notes how it is called; `answer`, `complaint` and `code` in its folder say what it does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\ncd {folder}\nprintf "%s\\n" "$@" > argv\ncat > stdin\ncat answer\ncat complaint >&2\nexit "$(cat code)"\n')
    program.chmod(0o755)
    for name, content in (("answer", ""), ("complaint", ""), ("code", "0")):
        (folder / name).write_text(content)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_hashes_are_asked_for_without_secrets_in_the_arguments(docker: Path, tmp_path: Path) -> None:
    (docker / "answer").write_text("backend aa11\nmongo bb22\n\n")
    definition = escape({"services": {"backend": {"environment": {"SECRET": "sesame$"}}}})
    assert ComposeProject("toucan", str(tmp_path / "not-there")).hashes(definition) == {"backend": "aa11", "mongo": "bb22"}
    assert "sesame" not in (docker / "argv").read_text()
    assert yaml.safe_load((docker / "stdin").read_text()) == definition


@pytest.mark.parametrize("recreate", [True, False])
def test_one_service_is_started_from_images_that_are_here(docker: Path, tmp_path: Path, recreate: bool) -> None:
    ComposeProject("toucan", str(tmp_path)).up("backend", recreate)
    argv = (docker / "argv").read_text().splitlines()
    assert argv[:5] == ["compose", "--project-name", "toucan", "--project-directory", str(tmp_path)]
    assert argv[-1] == "backend"
    assert {"up", "--detach", "--no-build"} <= set(argv)
    assert argv[argv.index("--pull") + 1] == "never"
    assert ("--force-recreate" in argv) == recreate
    assert "--no-deps" not in argv


def test_a_failure_of_compose_is_one_sentence_with_its_last_line(docker: Path, tmp_path: Path) -> None:
    (docker / "complaint").write_text("Container backend  Creating\nno such image: backend:1\n\n")
    (docker / "code").write_text("1")
    with pytest.raises(Failure, match="`docker compose up` of project toucan failed: no such image: backend:1; read the whole answer") as caught:
        ComposeProject("toucan", str(tmp_path)).up("backend", False)
    assert "Creating" in caught.value.answer


def test_a_silent_failure_of_compose_says_so(docker: Path, tmp_path: Path) -> None:
    (docker / "code").write_text("7")
    with pytest.raises(Failure, match="failed: no output"):
        ComposeProject("toucan", str(tmp_path)).up("backend", False)


def test_a_host_without_docker_is_told_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match="The program `docker` is missing on this host; run role `toucan_host` first"):
        ComposeProject("toucan", str(tmp_path)).up("backend", False)


@pytest.mark.parametrize("text", ["12345e6", "1e3", "0o17", "yes", "2026-11-23", "null", "~", "1_000", "0x1F", ".inf"])
def test_a_text_that_looks_like_another_type_is_quoted(text: str) -> None:
    assert f'PASSWORD: "{text}"' in to_yaml({"environment": {"PASSWORD": text}}).decode()
