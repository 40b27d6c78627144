# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test's sanity tests where no site but package registries can be reached."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from .collection import copy_tree, settings
from .environments import Environment, ensure
from .interpreters import path_with_real_interpreters
from .places import LOGS
from .processes import run
from .report import Count, judge, read_junit

SANITY_SECONDS = 600.0

# ansible-test downloads pip's installer from a site of its own. This stand-in installs the pip that ensurepip bundles,
# then hands over to it; what it drops are options of the installer that pip itself does not know.
GET_PIP = """\
import ensurepip
import os
import runpy
import subprocess
import sys

subprocess.run([sys.executable, "-m", "ensurepip", "--upgrade"], check=True, stdout=subprocess.DEVNULL)
packages = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel") and not word.startswith("pip==")]
if [word for word in packages if not word.startswith("-")]:
    os.environ.pop("GET_PIP", None)
    sys.argv = ["pip", "install", *packages]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def run_sanity(environment: Environment, log: Path) -> Count:
    """Run all sanity tests with the environment's ansible-core; count those that really ran."""
    folder = ensure(environment)
    work = LOGS / f"sanity-{environment.name}"
    tree = copy_tree(work)
    # Without a repository of its own the copy would count as ignored files of the checkout: nothing to test.
    subprocess.run(["git", "init", "--quiet"], cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    home = work / "home"
    put_get_pip(folder, home)
    write_pip_settings(folder, home)
    variables = {**settings(folder), "HOME": str(home), "PATH": path_with_real_interpreters(folder / "bin")}
    command: list[str | Path] = [folder / "bin" / "ansible-test", "sanity", "--color", "no", "--junit"]
    code = run(command, log, cwd=tree, seconds=SANITY_SECONDS, environment=variables)
    repeat_errors(log)
    count = judge(read_junit(sorted((tree / "tests" / "output" / "junit").glob("*.xml"))), code)
    count.note = f"ansible-core {environment.core(folder)}"
    return count


def repeat_errors(log: Path) -> None:
    """Put every error once more at the log's end: what pip said in between is longer than any tail of it."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if line.startswith(("ERROR: ", "FATAL: "))]
    if errors:
        with log.open("a", encoding="utf-8") as file:
            file.write("\nAll errors:\n" + "\n".join(errors) + "\n")


def put_get_pip(environment: Path, home: Path) -> None:
    """Put the stand-in for pip's installer where this release of ansible-test keeps its download."""
    source = next(environment.glob("lib/python3.*/site-packages/ansible_test/_internal/python_requirements.py"))
    versions = set(re.findall(r"pip='([0-9.]+)'", source.read_text(encoding="utf-8")))
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in versions:
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="utf-8")


def write_pip_settings(environment: Path, home: Path) -> None:
    """Carry pip's settings (index, proxy, certificates) over to the home that ansible-test gets, from variables too.

    ansible-test hands pip no variable but HOME, and its own home keeps its environments out of the user's.
    """
    listing = subprocess.run(
        [environment / "bin" / "pip", "config", "list"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    values = dict(re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", listing, re.MULTILINE))
    target = home / ".config" / "pip" / "pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    # An index's address may hold a password.
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write("[global]\n" + "".join(f"{name} = {value}\n" for name, value in values.items() if name != "config-file"))
