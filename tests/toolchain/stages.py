# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of `make test`: each returns what it counted, and writes its output to its log."""

from __future__ import annotations

import functools
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import collection
from .environments import CORE_2_16, CORE_2_21, GALAXY, LINT, MAIN, MANAGED, STANDINS, Environment, ensure, set_up_main
from .places import CACHE, LOGS, ROOT
from .processes import end_running, run
from .report import Count, judge, read_junit
from .sanity import run_sanity

LINT_SECONDS = 600.0
PACKAGE_SECONDS = 600.0
UNIT_SECONDS = 600.0
LAB_UP_SECONDS = 1200.0
LAB_DOWN_SECONDS = 180.0
STANDINS_SECONDS = 600.0
INTEGRATION_SECONDS = 3300.0

#: Files of integration tests that use the same hosts, and so run one after another; each other file has hosts of its own.
SHARING_HOSTS = (("test_site", "test_ad_hoc", "test_targets"), ("test_stack", "test_life"), ("test_proxy", "test_browser"), ("test_secrecy", "test_rotate"))

LAB = ROOT / "tests" / "lab" / "lab.py"


@dataclass(frozen=True)
class Stage:
    """A named part of the tests; `group` is the name under which make and the command line ask for it."""

    name: str
    group: str
    environment: Environment
    run: Callable[[Path], Count]

    @property
    def log(self) -> Path:
        """The file with the stage's whole output."""
        return LOGS / f"{self.name}.log"


def all_stages(keep_lab: bool) -> list[Stage]:
    """Return every stage in the order in which they run: the quick ones first."""
    return [
        Stage("lint", "lint", LINT, lint),
        *(unit_stage(environment) for environment in (MAIN, CORE_2_16, CORE_2_21)),
        Stage("unit-managed-3.9", "unit", MANAGED, unit_without_ansible),
        *(Stage(f"sanity-{env.name}", "sanity", env, functools.partial(run_sanity, env)) for env in (CORE_2_16, MAIN, CORE_2_21)),
        Stage("package", "package", MAIN, package),
        Stage("galaxy-importer", "package", GALAXY, galaxy_importer),
        Stage("ansible-builder", "package", GALAXY, ansible_builder),
        Stage("integration", "integration", MAIN, functools.partial(integration, keep_lab)),
    ]


# -- lint ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A command that must succeed, and whose output must hold what proves that it looked at something.

    `proof` and `flaw` are regular expressions: the output must match the first and, where there is one, not the second.
    """

    name: str
    command: Sequence[str | Path]
    cwd: Path = ROOT
    proof: str = ""
    flaw: str = ""

    def holds(self, code: int, output: str) -> bool:
        """Say whether an exit code and an output mean success."""
        flawed = bool(self.flaw) and re.search(self.flaw, output, re.MULTILINE)
        return code == 0 and not flawed and bool(re.search(self.proof, output))


def lint(log: Path) -> Count:
    """Run the linters over the checkout."""
    # How mypy says that it looked at something.
    sources = r"in [1-9]\d* source files"
    tools = ensure(LINT) / "bin"
    set_up_main()
    checks = [
        Check("ansible-lint", [tools / "ansible-lint", "--offline", "--nocolor"], proof=r"in [1-9]\d* files processed"),
        Check("yamllint", [tools / "yamllint", "--strict", "."]),
        Check("ruff", [tools / "ruff", "check", "--no-cache", "."], proof=r"All checks passed"),
        Check("mypy-plugins", mypy(tools, "--package", "ansible_collections.toucan.selfhosted.plugins"), cwd=CACHE, proof=sources),
        Check("mypy-toolchain", mypy(tools, "--package", "toolchain", "--module", "run"), cwd=ROOT / "tests", proof=sources),
        Check("antsibull-changelog", [tools / "antsibull-changelog", "lint"]),
        Check("antsibull-docs", [tools / "antsibull-docs", "lint-collection-docs", "--plugin-docs", "--skip-rstcheck", "."]),
    ]
    return run_checks(checks, log, collection.settings(tools.parent) | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, LINT_SECONDS)


def mypy(tools: Path, *arguments: str) -> list[str | Path]:
    """Return the command of mypy with the checkout's settings and a cache outside the sources."""
    return [tools / "mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir", CACHE / "mypy", *arguments]


def run_checks(checks: Sequence[Check], log: Path, environment: Mapping[str, str], seconds: float) -> Count:
    """Run each check to its end and count those that passed; name those that failed at the log's end."""
    count, failed = Count(), []
    for check in checks:
        before = log.stat().st_size if log.exists() else 0
        code = run(check.command, log, cwd=check.cwd, seconds=seconds, environment=environment)
        output = log.read_bytes()[before:].decode(errors="replace")
        if check.holds(code, output):
            count.passed += 1
        else:
            count.failed += 1
            failed.append(f"{check.name} (exit code {code})")
    if failed:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"\nFailed: {', '.join(failed)}\n")
    return count


# -- unit ---------------------------------------------------------------------------------------------------------------


def unit_stage(environment: Environment) -> Stage:
    """Return the stage that runs all unit tests in one environment with Ansible."""
    return Stage(f"unit-{environment.name}", "unit", environment, functools.partial(unit, environment, [ROOT / "tests" / "unit"]))


def unit(environment: Environment, targets: Sequence[Path], log: Path) -> Count:
    """Run the unit tests under `targets`."""
    return pytest(environment, targets, log, UNIT_SECONDS)


def unit_without_ansible(log: Path) -> Count:
    """Run the tests of the library's packages on the oldest Python of a managed host, where there is no Ansible.

    The tests of package `plugins/module_utils/X` stand in `tests/unit/X`.
    """
    packages = [path.parent.name for path in (ROOT / "plugins" / "module_utils").glob("*/__init__.py")]
    folders = [ROOT / "tests" / "unit" / name for name in sorted(packages)]
    return unit(MANAGED, [folder for folder in folders if folder.is_dir()], log)


def pytest(environment: Environment, targets: Sequence[Path], log: Path, seconds: float) -> Count:
    """Run pytest over `targets` in an environment, with the checkout importable as the collection."""
    folder = ensure(environment)
    set_up_main()
    junit = log.with_suffix(".xml")
    junit.unlink(missing_ok=True)
    command: list[str | Path] = [folder / "bin" / "python", "-m", "pytest", "-q", "--color=no", f"--junitxml={junit}", "-o", "junit_family=xunit2", *targets]
    variables = collection.settings(folder) | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "PYTHONPATH": str(CACHE),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    code = run(command, log, cwd=ROOT, seconds=seconds, environment=variables) if targets else 0
    return judge(read_junit([junit] if junit.exists() else []), code)


# -- package ------------------------------------------------------------------------------------------------------------


def package(log: Path) -> Count:
    """Build the collection, install and verify it, and check the syntax of each playbook by its full name from there."""
    folder = ensure(MAIN)
    archive = collection.build(folder, log)
    installed = LOGS / "installed"
    galaxy: list[str | Path] = [folder / "bin" / "ansible-galaxy", "collection"]
    where: list[str | Path] = ["--offline", "--collections-path", installed]
    checks = [
        Check("install", [*galaxy, "install", archive, "--force", *where], proof="was installed successfully"),
        Check("verify", [*galaxy, "verify", "toucan.selfhosted", *where], proof="Successfully verified"),
        *(syntax_check(folder, installed, playbook.stem) for playbook in sorted((ROOT / "playbooks").glob("*.yml"))),
    ]
    variables = collection.settings(folder) | {"ANSIBLE_COLLECTIONS_PATH": str(installed), "ANSIBLE_LOCALHOST_WARNING": "false"}
    return run_checks(checks, log, variables, PACKAGE_SECONDS)


def syntax_check(environment: Path, installed: Path, playbook: str) -> Check:
    """Return the check that `toucan.selfhosted.PLAYBOOK` can be called and parsed from the collection below `installed`."""
    name = f"toucan.selfhosted.{playbook}"
    command: list[str | Path] = [environment / "bin" / "ansible-playbook", "--syntax-check", "--inventory", "localhost,", name]
    # Ansible prints the file that the name led to: the installed one, not the checkout's.
    return Check(name, command, cwd=LOGS, proof=rf"playbook: {re.escape(str(installed))}/.*/playbooks/{playbook}\.yml\b")


def galaxy_importer(log: Path) -> Count:
    """Run what Galaxy runs when it imports an archive."""
    folder = ensure(GALAXY)
    archive = collection.build(folder, log)
    config = LOGS / "galaxy-importer.cfg"
    config.write_text("[galaxy-importer]\nRUN_ANSIBLE_TEST = False\nOFFLINE_ANSIBLE_LINT = True\nCHECK_CHANGELOG = True\n", encoding="utf-8")
    command: list[str | Path] = [folder / "bin" / "python", "-m", "galaxy_importer.main", archive]
    # It logs what ansible-lint and others found, or that they crashed, and succeeds all the same.
    flaw = r"^(Traceback|ERROR|WARNING)"
    check = Check("galaxy-importer", command, cwd=LOGS, proof="Importer processing completed", flaw=flaw)
    return run_checks([check], log, collection.settings(folder) | {"GALAXY_IMPORTER_CONFIG": str(config)}, PACKAGE_SECONDS)


def ansible_builder(log: Path) -> Count:
    """Let ansible-builder read what the collection asks of an execution environment, and the definition that the documentation gives.

    It writes a build's folder; there is no base image here to build it on.
    """
    folder = ensure(GALAXY)
    collections, definition, context = LOGS / "collections", LOGS / "awx", LOGS / "execution-environment"
    collection.copy_tree(collections)
    shutil.rmtree(definition, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "awx", definition)
    builder = folder / "bin" / "ansible-builder"
    create: list[str | Path] = [builder, "create", "--file", definition / "execution-environment.yml", "--context", context, "--verbosity", "2"]
    checks = [
        # The names are those of meta/ee-requirements.txt and meta/ee-bindep.txt.
        Check("introspect", [builder, "introspect", collections], proof=r"(?s)cryptography .*toucan\.selfhosted.*jmespath.*openssh-client "),
        Check("create", create, cwd=definition, proof="Complete! The build context can be found at"),
    ]
    return run_checks(checks, log, collection.settings(folder), PACKAGE_SECONDS)


# -- integration --------------------------------------------------------------------------------------------------------


def integration_suites() -> list[list[Path]]:
    """Return the files of integration tests that may run beside each other, the longest first."""
    files = {path.stem: path for path in (ROOT / "tests" / "integration").glob("test_*.py")}
    sharing = [[files.pop(name) for name in names] for names in SHARING_HOSTS]
    return [*sharing, *([path] for path in sorted(files.values(), key=lambda path: -path.stat().st_size))]


def side_by_side(suites: Sequence[Sequence[Path]], log: Path) -> Count:
    """Run suites two at a time, because much of a playbook is waiting; their logs come into `log`, those with failures last."""
    logs = [log.with_name(f"{log.stem}-{suite[0].stem}.log") for suite in suites]
    for path in logs:
        path.unlink(missing_ok=True)
    with ThreadPoolExecutor(max_workers=2) as pool:
        try:
            counts = list(pool.map(lambda suite, path: pytest(MAIN, suite, path, INTEGRATION_SECONDS), suites, logs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_running()
            raise
    total = Count()
    with log.open("ab") as whole:
        for count, path in sorted(zip(counts, logs), key=lambda pair: pair[0].failed > 0):
            total.add(count)
            whole.write(path.read_bytes() if path.exists() else b"")
    return total


def integration(keep_lab: bool, log: Path) -> Count:
    """Start the lab, run the tests of its stand-ins and the integration tests, and leave nothing running unless `keep_lab` says so."""
    python = set_up_main() / "bin" / "python"
    environment = collection.settings(python.parents[1]) | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    lab = functools.partial(run, log=log, cwd=ROOT, environment=environment, keep_children=True)
    try:
        if lab([python, LAB, "up", "--hosts", os.environ.get("HOSTS", "1")], seconds=LAB_UP_SECONDS) != 0:
            return Count(failed=1)
        count = pytest(STANDINS, [ROOT / "tests" / "lab" / "standins"], log, STANDINS_SECONDS)
        count.add(side_by_side(integration_suites(), log))
    finally:
        down = 0 if keep_lab else lab([python, LAB, "down", "--engine"], seconds=LAB_DOWN_SECONDS)
    return judge(count, down)
