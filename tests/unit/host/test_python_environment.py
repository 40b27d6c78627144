# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment's planner and its swap; real libraries are installed by the integration tests."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core import python_environment
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.distribution import PACKAGE, content_hash, pack
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.python_environment import (
    Environment,
    EnvironmentEngine,
    HostPython,
    Source,
    plan_environment,
    probe_python,
    redacted,
    without_credentials,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.requirements import requirements_for, requirements_hash

PATH = "/opt/toucan/venv"
HOST = HostPython((3, 11), True)
REQUIREMENTS = requirements_for(HOST.version)
READY = Environment("/opt/toucan/venv.d/a", HOST.version, requirements_hash(HOST.version, REQUIREMENTS), REQUIREMENTS, "new", "1.0.0")
FILES = {f"{PACKAGE}/__init__.py": b'__version__ = "1.0.0"\n'}

# Stands in for the host's Python and for the one of the environment it makes: `-m venv` lays the folders out, `-m pip` fails where
# the file `broken-index` says so, an import fails where `broken-wheels` does.
FAKE_PYTHON = """#!/bin/sh
here={here}
case "$*" in
  *"importlib.util"*) echo '{{"version": [3, 11], "venv": true}}' ;;
  *"-m venv"*) for last; do :; done
    mkdir -p "$last/bin" "$last/lib/python3.11/site-packages"; cp "$0" "$last/bin/python" ;;
  *"-m pip"*) echo "$*" >> $here/pip-arguments; env | grep -i -e ^PIP_ -e _proxy= >> $here/pip-environment
    if [ -e $here/broken-index ]; then echo "Looking in $PIP_INDEX_URL"; echo "ERROR: No matching distribution found." >&2; exit 1; fi
    root=$(dirname "$0")/../lib/python3.11/site-packages
    for word; do case "$word" in *==*) mkdir "$root/$(echo "$word" | sed 's/==/-/').dist-info" ;; esac; done ;;
  *"import "*) if [ -e $here/broken-wheels ]; then echo "ImportError: GLIBC_2.28 not found"; exit 1; fi ;;
esac
"""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    python = tmp_path / "python3"
    python.write_text(FAKE_PYTHON.format(here=tmp_path), encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "package.zip").write_bytes(pack(FILES))
    return tmp_path


def engine_in(folder: Path, source: Source = Source(), files: Mapping[str, bytes] = MappingProxyType(FILES)) -> EnvironmentEngine:  # noqa: B008
    archive = folder / "package.zip"
    archive.write_bytes(pack(files))
    return EnvironmentEngine(str(folder / "venv"), str(folder / "python3"), source, content_hash(files), "1.0.0", str(archive))


def actions(steps: list) -> list[str]:  # type: ignore[type-arg]
    return [step.id.split(":")[0] for step in steps]


def test_a_ready_environment_needs_nothing() -> None:
    assert plan_environment(PATH, HOST, READY, "new", "1.0.0") == []


def test_nothing_becomes_an_environment_in_three_steps() -> None:
    steps = plan_environment(PATH, HOST, Environment(), "new", "1.0.0")
    assert actions(steps) == ["environment.build", "package.install", "environment.activate"]
    assert {step.action for step in steps} == {"create"}
    assert steps[0].after["libraries"] == REQUIREMENTS


@pytest.mark.parametrize(
    "observed",
    [
        replace(READY, python=(3, 10)),
        replace(READY, hash="old"),
        replace(READY, libraries={**REQUIREMENTS, "docker": "7.0.0"}),
        replace(READY, libraries={name: version for name, version in REQUIREMENTS.items() if name != "docker"}),
    ],
)
def test_another_python_or_library_means_a_new_environment(observed: Environment) -> None:
    steps = plan_environment(PATH, HOST, observed, "new", "1.0.0")
    assert actions(steps) == ["environment.build", "package.install", "environment.activate"]
    assert steps[0].action == "update"


def test_another_package_is_installed_without_touching_the_libraries() -> None:
    steps = plan_environment(PATH, HOST, replace(READY, package_hash="old"), "new", "1.1.0")
    assert actions(steps) == ["package.install"]
    assert steps[0].before == {"version": "1.0.0", "hash": "old"}
    assert steps[0].after == {"version": "1.1.0", "hash": "new"}


def test_an_old_python_is_refused() -> None:
    with pytest.raises(Failure, match="`toucan_host_python`"):
        plan_environment(PATH, HostPython((3, 8), True), Environment(), "new", "1.0.0")


def test_check_mode_leaves_nothing(fake: Path) -> None:
    before = sorted(fake.iterdir())
    assert execute(engine_in(fake), check_mode=True)["changed"]
    assert sorted(fake.iterdir()) == before


def test_an_environment_is_made_once(fake: Path) -> None:
    former = os.umask(0o077)
    try:
        assert execute(engine_in(fake), check_mode=False)["changed"]
    finally:
        os.umask(former)
    assert (fake / "venv").is_symlink()
    assert (fake / "venv/lib/python3.11/site-packages" / PACKAGE / "__init__.py").read_bytes() == FILES[f"{PACKAGE}/__init__.py"]
    assert stat.S_IMODE((fake / "venv").stat().st_mode) == 0o755
    assert stat.S_IMODE((fake / "venv/toucan-environment.json").stat().st_mode) == 0o644
    assert stat.S_IMODE((fake / "venv/lib/python3.11/site-packages" / PACKAGE).stat().st_mode) == 0o755
    (fake / "pip-arguments").unlink()
    assert not execute(engine_in(fake), check_mode=False)["changed"]
    assert not (fake / "pip-arguments").exists()


def test_the_package_is_swapped_and_the_former_one_kept(fake: Path) -> None:
    execute(engine_in(fake), check_mode=False)
    for number in (1, 2, 3):
        files = {**FILES, f"{PACKAGE}/core.py": str(number).encode()}
        result = execute(engine_in(fake, files=files), check_mode=False)
        assert [step["action"] for step in result["plan"]] == ["update"]
        assert (fake / "venv/lib/python3.11/site-packages" / PACKAGE / "core.py").read_text() == str(number)
    assert len(list((fake / "venv").glob("package-*"))) == 2


@pytest.mark.parametrize(("fault", "told"), [("broken-index", "No matching distribution found"), ("broken-wheels", "GLIBC_2.28 not found")])
def test_a_failed_installation_leaves_the_old_environment_in_use(fake: Path, fault: str, told: str) -> None:
    execute(engine_in(fake), check_mode=False)
    in_use = os.readlink(fake / "venv")
    (fake / "venv/lib/python3.11/site-packages/docker-7.2.0.dist-info").rmdir()
    (fake / fault).touch()
    with pytest.raises(Failure, match=told):
        execute(engine_in(fake), check_mode=False)
    assert os.readlink(fake / "venv") == in_use
    assert [path.name for path in (fake / "venv.d").iterdir() if path.is_dir()] == [Path(in_use).name]
    (fake / fault).unlink()
    execute(engine_in(fake), check_mode=False)
    assert os.readlink(fake / "venv") != in_use


def test_only_the_environment_before_the_present_one_is_kept(fake: Path) -> None:
    for _round in range(4):
        execute(engine_in(fake), check_mode=False)
        (fake / "venv/lib/python3.11/site-packages/docker-7.2.0.dist-info").rmdir()
    assert len([path for path in (fake / "venv.d").iterdir() if path.is_dir()]) == 2


def test_an_index_with_a_password_is_in_no_argument_and_no_message(fake: Path) -> None:
    source = Source(index_url="https://user:verysecret@pypi.example.com/simple", proxies={"https_proxy": "http://me:alsosecret@proxy:1"}, ca_file="/ca")
    (fake / "broken-index").touch()
    with pytest.raises(Failure) as caught:
        execute(engine_in(fake, source), check_mode=False)
    told = str(caught.value) + json.dumps(caught.value.facts())
    assert "https://***@pypi.example.com/simple" in told
    for secret in ("verysecret", "alsosecret"):
        assert secret not in told
        assert secret not in (fake / "pip-arguments").read_text()
    assert "PIP_INDEX_URL=https://user:verysecret@pypi.example.com/simple" in (fake / "pip-environment").read_text()
    assert "PIP_CERT=/ca" in (fake / "pip-environment").read_text()


def test_pip_is_told_the_proxies_in_both_spellings(fake: Path) -> None:
    proxies = {"https_proxy": "http://me:alsosecret@proxy:1", "no_proxy": "mirror.example.com"}
    execute(engine_in(fake, Source(proxies=proxies)), check_mode=False)
    told = (fake / "pip-environment").read_text().splitlines()
    assert {f"{spelling}={value}" for name, value in proxies.items() for spelling in (name, name.upper())} <= set(told)
    assert "alsosecret" not in (fake / "pip-arguments").read_text()


def test_wheels_from_a_folder_ask_no_index(fake: Path) -> None:
    execute(engine_in(fake, Source(wheel_folder=str(fake))), check_mode=False)
    assert f"--no-index --find-links {fake}" in (fake / "pip-arguments").read_text()


def test_a_missing_wheel_folder_is_told(fake: Path) -> None:
    with pytest.raises(Failure, match="/nowhere does not exist on the host; .*`toucan_host_wheel_folder`"):
        execute(engine_in(fake, Source(wheel_folder="/nowhere")), check_mode=False)


def test_a_python_that_makes_no_environments_names_the_package(fake: Path) -> None:
    python = fake / "python3"
    python.write_text(python.read_text().replace('"venv": true', '"venv": false'))
    assert execute(engine_in(fake), check_mode=True)["changed"]
    with pytest.raises(Failure, match=r"package python3\.11-venv"):
        execute(engine_in(fake), check_mode=False)


def test_a_folder_of_another_make_is_refused(fake: Path) -> None:
    (fake / "venv").mkdir()
    with pytest.raises(Failure, match="is no environment of this collection; .*`toucan_host_environment_path`"):
        execute(engine_in(fake), check_mode=False)


def test_two_builds_at_once_are_refused(fake: Path) -> None:
    first, second = engine_in(fake), engine_in(fake)
    first.apply(first.plan(first.observe())[0])
    with pytest.raises(Failure, match=r"^Building .*/venv cannot run beside Building .*/venv of process \d+ \(since .*; wait until it has ended"):
        execute(second, check_mode=False)


def test_a_step_that_hangs_is_told_with_its_option(fake: Path) -> None:
    python = fake / "python3"
    python.write_text(python.read_text().replace('"$*" >> $here/pip-arguments', '"$*"; exec sleep 30'))
    engine = engine_in(fake)
    engine.timeout = 1
    with pytest.raises(Failure, match="took longer than 1 s; raise `toucan_host_pip_timeout_s`"):
        execute(engine, check_mode=False)


def test_a_dead_interpreter_link_means_a_new_environment(fake: Path) -> None:
    execute(engine_in(fake), check_mode=False)
    (fake / "venv/bin/python").unlink()
    assert execute(engine_in(fake), check_mode=True)["changed"]


def test_a_result_that_does_not_hold_is_an_error(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_environment, "replace_link", lambda link, target: None)
    with pytest.raises(Failure, match="is not as it was built"):
        execute(engine_in(fake), check_mode=False)


def test_a_link_in_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Pointing .* failed: No such file"):
        python_environment.replace_link(str(tmp_path / "nowhere" / "link"), "target")


def test_a_real_python_is_probed() -> None:
    assert probe_python(sys.executable).version == sys.version_info[:2]


def test_a_missing_python_is_told() -> None:
    with pytest.raises(Failure, match="`toucan_host_python`"):
        probe_python("/nowhere/python3")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host/simple", "https://***@host/simple"),
        ("https://token@host/simple", "https://***@host/simple"),
        ("https://host/simple", "https://host/simple"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_credentials_are_taken_out_of_urls(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_a_secret_is_taken_out_wherever_it_stands() -> None:
    assert redacted("password pw1 in https://a:pw1@h", {"pw1"}) == "password *** in https://***@h"
