# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's Python environment on a managed host: built beside the one in use, proven, then swapped in by one rename.

Places, for an environment at ``/opt/toucan/venv``::

    /opt/toucan/venv -> venv.d/3f2a…-x1y2      the environment in use, a symbolic link
    /opt/toucan/venv.d/3f2a…-x1y2/             a virtual environment of the host's Python
        toucan-environment.json                marker, written last: {"schema", "python", "hash"}
        package-9b1c…/toucan_selfhosted/       the collection's own library, linked from site-packages
    /opt/toucan/venv.d/…                       the one before it, for processes that still run from there
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional
from urllib.parse import urlsplit

from .distribution import PACKAGE, content_hash, unpack, write_package
from .errors import Failure
from .files import json_bytes, read_json, write_atomic
from .lock import Lock
from .plan import Step
from .requirements import canonical_name, requirements_for, requirements_hash

MARKER = "toucan-environment.json"
BUILD = "environment.build"
INSTALL = "package.install"
ACTIVATE = "environment.activate"

_PROBE = (
    "import importlib.util as u, json, sys; "
    "print(json.dumps({'version': list(sys.version_info[:2]), 'venv': all(u.find_spec(n) for n in ('venv', 'ensurepip'))}))"
)
_IMPORTS = ("cryptography.x509", "docker", "isal.igzip", "jmespath", "pymongo", "pyrage", "requests", "yaml", PACKAGE)
_VERSION_LINE = re.compile(rb'^__version__ = "([^"]*)"', re.MULTILINE)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_LOG_LINES = 8


@dataclass(frozen=True)
class Source:
    """Where the libraries come from; each empty value leaves the host's own pip configuration in force."""

    index_url: str = ""
    wheel_folder: str = ""
    proxies: Mapping[str, str] = field(default_factory=dict)
    ca_file: str = ""

    def arguments(self) -> list[str]:
        """pip's arguments; never a secret."""
        return ["--no-index", "--find-links", self.wheel_folder] if self.wheel_folder else []

    def environment(self) -> dict[str, str]:
        """pip's environment: the place for an index URL, which may carry a password."""
        values = {"PIP_INDEX_URL": self.index_url, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""} if self.index_url else {}
        if self.index_url or self.wheel_folder:
            # An empty variable does not undo what a file names, and a source that was chosen is to be the only one.
            values["PIP_CONFIG_FILE"] = os.devnull
        values["PIP_RETRIES"] = "2"  # a wrong index is told within seconds, not minutes
        if self.ca_file:
            values["PIP_CERT"] = self.ca_file
        for name, value in self.proxies.items():
            values[name] = values[name.upper()] = value
        return values

    def described(self) -> str:
        """The source in words, without credentials."""
        if self.wheel_folder:
            return f"the folder {self.wheel_folder}"
        if self.index_url:
            return without_credentials(self.index_url)
        return "the index of the host's pip configuration"

    def secrets(self) -> set[str]:
        """Texts that no output may carry."""
        parts = [urlsplit(url) for url in (self.index_url, *self.proxies.values())]
        return {secret for part in parts for secret in (part.password,) if secret}


@dataclass(frozen=True)
class Environment:
    """What stands at the environment's path now."""

    folder: str = ""
    python: tuple[int, int] = (0, 0)
    hash: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    package_hash: str = ""
    package_version: str = ""


@dataclass(frozen=True)
class HostPython:
    """The Python from which the environment is made."""

    version: tuple[int, int]
    makes_environments: bool

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


class EnvironmentEngine:
    """Engine of module ``toucan_environment``."""

    def __init__(
        self, path: str, python: str, source: Source, package_hash: str, package_version: str, package_archive: str = "", timeout: int = 600
    ) -> None:
        self.path = path.rstrip("/")
        self.store = f"{self.path}.d"
        self.python = python
        self.source = source
        self.package_hash = package_hash
        self.package_version = package_version
        self.package_archive = package_archive
        self.timeout = timeout
        self.host: Optional[HostPython] = None
        self.building = ""

    def observe(self) -> Environment:
        if os.path.lexists(self.path) and not os.path.islink(self.path):
            raise Failure(
                f"{self.path} exists and is no environment of this collection",
                "move it away, or set `toucan_host_environment_path` to a free place",
                subject=self.path,
            )
        self.host = probe_python(self.python)
        return observe_environment(self.path)

    def plan(self, observed: Environment) -> list[Step]:
        return plan_environment(self.path, self._host(), observed, self.package_hash, self.package_version)

    def apply(self, step: Step) -> None:
        kind = step.id.split(":")[0]
        with _readable_files():
            if kind == BUILD:
                self._build()
            elif kind == INSTALL:
                self._install_package(self.building or os.path.realpath(self.path))
            elif kind == ACTIVATE:
                self._activate()

    def report(self, observed: Environment, applied: bool) -> dict[str, Any]:
        host = self._host()
        if applied:
            remaining = self.plan(observe_environment(self.path))
            if remaining:
                raise Failure(
                    f"The environment {self.path} is not as it was built ({remaining[0].object})",
                    "see whether something else changes it, and run the role again",
                    subject=self.path,
                )
        return {
            "path": self.path,
            "python": os.path.join(self.path, "bin", "python"),
            "python_version": str(host),
            "libraries": requirements_for(host.version),
            "package": {"name": PACKAGE, "version": self.package_version, "hash": self.package_hash},
        }

    def _host(self) -> HostPython:
        if self.host is None:
            raise RuntimeError("observe() comes first")
        return self.host

    def _build(self) -> None:
        host = self._host()
        if not host.makes_environments:
            raise Failure(
                f"{self.python} cannot make an environment because its modules venv and ensurepip are not installed",
                f"install the package python{host}-venv (Debian, Ubuntu) or name a complete Python in `toucan_host_python`",
                subject=self.python,
            )
        if self.source.wheel_folder and not os.path.isdir(self.source.wheel_folder):
            raise Failure(
                f"The wheel folder {self.source.wheel_folder} does not exist on the host",
                "put the wheels there or correct `toucan_host_wheel_folder`",
                subject=self.source.wheel_folder,
            )
        requirements = requirements_for(host.version)
        digest = requirements_hash(host.version, requirements)
        self._claim_store()
        self.building = tempfile.mkdtemp(prefix=f"{digest[:12]}-", dir=self.store)
        os.chmod(self.building, 0o755)
        try:
            self._run([self.python, "-I", "-m", "venv", self.building], f"Making a Python environment with {self.python} in {self.building}")
            self._install_libraries(requirements)
            marker = {"schema": 1, "python": list(host.version), "hash": digest}
            write_atomic(os.path.join(self.building, MARKER), json_bytes(marker), mode=0o644)
        except Failure:
            shutil.rmtree(self.building, ignore_errors=True)
            raise

    def _install_libraries(self, requirements: Mapping[str, str]) -> None:
        pip = [os.path.join(self.building, "bin", "python"), "-m", "pip", "install"]
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--no-input", "--no-cache-dir", "--disable-pip-version-check"]
        pins = [f"{name}=={version}" for name, version in sorted(requirements.items())]
        self._run(
            [*pip, *options, *self.source.arguments(), *pins],
            f"Installing the Python libraries from {self.source.described()}",
            remedy="check `toucan_host_pip_index_url`, `toucan_host_proxy` and `toucan_host_ca_file`, or give the wheels in "
            "`toucan_host_wheel_folder`; the former environment, if any, is untouched",
            extra_environment=self.source.environment(),
        )

    def _install_package(self, folder: str) -> None:
        files = unpack(self.package_archive, self.package_hash)
        link = package_link(folder)
        former = os.path.realpath(link)
        place = os.path.join(folder, f"package-{self.package_hash[:12]}")
        shutil.rmtree(place, ignore_errors=True)
        write_package(files, place)
        replace_link(link, os.path.relpath(os.path.join(place, PACKAGE), os.path.dirname(link)))
        for other in glob.glob(os.path.join(glob.escape(folder), "package-*")):
            if other not in (place, os.path.dirname(former)):
                shutil.rmtree(other)

    def _activate(self) -> None:
        imports = ", ".join(_IMPORTS)
        try:
            self._run(
                [os.path.join(self.building, "bin", "python"), "-c", f"import {imports}"],
                f"Importing the libraries of the new environment {self.building}",
                remedy="see whether this host's system fits the wheels (glibc 2.28 or newer); the former environment, if any, is untouched",
            )
        except Failure:
            shutil.rmtree(self.building, ignore_errors=True)
            raise
        former = os.path.realpath(self.path)
        replace_link(self.path, os.path.relpath(self.building, os.path.dirname(self.path)))
        for entry in os.scandir(self.store):
            if entry.is_dir() and entry.path not in (self.building, former):
                shutil.rmtree(entry.path)

    def _claim_store(self) -> None:
        os.makedirs(self.store, mode=0o755, exist_ok=True)
        # Never released: it covers all steps from here on, and ends with the engine or its process.
        self._lock = Lock(os.path.join(self.store, ".lock"), f"Building {self.path}")
        self._lock.acquire()

    def _run(self, command: Sequence[str], attempt: str, remedy: str = "", extra_environment: Optional[Mapping[str, str]] = None) -> None:
        # Variables of an environment or interpreter that runs this module must not lead the new one astray.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"}
        try:
            # The library runs without Ansible too, so there is no run_command.
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                command,
                env={**inherited, **(extra_environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(
                f"{attempt} took longer than {self.timeout} s",
                " or ".join(["raise `toucan_host_pip_timeout_s`", *([remedy] if remedy else [])]),
                subject=self.path,
            ) from error
        if done.returncode == 0:
            return
        lines = redacted(done.stdout.decode(errors="replace"), self.source.secrets()).strip().splitlines()
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:] or [f"exit status {done.returncode}"]
        raise Failure(
            f"{attempt} failed: {errors[0].replace('ERROR: ', '').rstrip('.')}",
            remedy or "see the lines below",
            subject=self.path,
            answer=errors[0],
            log=tuple(lines[-_LOG_LINES:]),
        )


def plan_environment(path: str, host: HostPython, observed: Environment, package_hash: str, package_version: str) -> list[Step]:
    """Steps from what stands at ``path`` to the pinned libraries on the host's Python and the package of this hash. Pure.

    :raises Failure: when the host's Python is too old.
    """
    requirements = requirements_for(host.version)
    package = Step(
        f"{INSTALL}:{PACKAGE}",
        "update" if observed.package_hash else "create",
        f"package {PACKAGE}",
        {"version": observed.package_version, "hash": observed.package_hash} if observed.package_hash else None,
        {"version": package_version, "hash": package_hash},
    )
    wanted = Environment(python=host.version, hash=requirements_hash(host.version, requirements), libraries=requirements)
    if (observed.python, observed.hash, observed.libraries) != (wanted.python, wanted.hash, wanted.libraries):
        verb = "update" if observed.folder else "create"
        return [
            Step(f"{BUILD}:{path}", verb, f"Python environment {path}", _described(observed), _described(wanted)),
            package,
            Step(f"{ACTIVATE}:{path}", verb, f"link {path}", observed.folder or None, "the new environment"),
        ]
    return [] if observed.package_hash == package_hash else [package]


def probe_python(executable: str) -> HostPython:
    """Version and abilities of the Python at ``executable``. :raises Failure: when there is none that runs."""
    try:
        # The library runs without Ansible too, so there is no run_command.
        done = subprocess.run([executable, "-I", "-c", _PROBE], capture_output=True, timeout=60, check=True)  # pylint: disable=ansible-bad-function
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Failure(
            f"Starting the Python {executable} failed: {error}",
            "install the distribution's python3 or name another Python of 3.9 or newer in `toucan_host_python`",
            subject=executable,
            answer=str(error),
        ) from error
    return HostPython((answer["version"][0], answer["version"][1]), answer["venv"])


def observe_environment(path: str) -> Environment:
    """What stands at ``path``, read from files alone; an environment without its marker counts as none."""
    marker = read_json(os.path.join(path, MARKER))
    if marker is None:
        return Environment(folder=os.path.realpath(path) if os.path.isdir(path) else "")
    packages = site_packages(path)
    package = _installed_package(packages)
    version = _VERSION_LINE.search(package.get(f"{PACKAGE}/__init__.py", b""))
    return Environment(
        folder=os.path.realpath(path),
        python=(int(marker["python"][0]), int(marker["python"][1])),
        # An interpreter that went away with a system upgrade leaves a dead link behind.
        hash=str(marker["hash"]) if os.path.exists(os.path.join(path, "bin", "python")) else "",
        libraries=_installed_libraries(packages),
        package_hash=content_hash(package) if package else "",
        package_version=version[1].decode() if version else "",
    )


def site_packages(folder: str) -> str:
    """Where libraries stand in the environment at ``folder``, or an empty text."""
    found = sorted(glob.glob(os.path.join(glob.escape(folder), "lib", "python3.*", "site-packages")))
    return found[0] if found else ""


def package_link(folder: str) -> str:
    """The link in ``site-packages`` by which the environment at ``folder`` finds the package."""
    return os.path.join(site_packages(folder), PACKAGE)


def replace_link(link: str, target: str) -> None:
    """Make ``link`` point to ``target`` in one rename. :raises Failure: when the folder cannot be written."""
    temporary = f"{link}.new"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(target, temporary)
        os.replace(temporary, link)
    except OSError as error:
        raise Failure(
            f"Pointing {link} to {target} failed: {error.strerror}", "correct owner and mode of its folder", subject=link, answer=str(error)
        ) from error


def without_credentials(url: str) -> str:
    """``url`` with user and password replaced by asterisks."""
    return _CREDENTIALS.sub("***@", url)


def redacted(text: str, secrets: set[str]) -> str:
    """``text`` without credentials in URLs and without ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return without_credentials(text)


def _described(environment: Environment) -> Optional[dict[str, Any]]:
    if not environment.hash:
        return None
    return {"python": ".".join(map(str, environment.python)), "libraries": dict(environment.libraries)}


def _installed_libraries(packages: str) -> dict[str, str]:
    installed = {}
    for name in os.listdir(packages) if packages else []:
        stem, extension = os.path.splitext(name)
        if extension == ".dist-info":
            library, dummy, version = stem.rpartition("-")
            installed[canonical_name(library)] = version
    # What `venv` itself puts in is no library of ours.
    return {name: version for name, version in installed.items() if name not in ("pip", "setuptools", "wheel")}


def _installed_package(packages: str) -> dict[str, bytes]:
    root = os.path.join(packages, PACKAGE)
    files = {}
    for folder, _folders, names in os.walk(root):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, "rb") as stream:
                    files[os.path.relpath(path, packages).replace(os.sep, "/")] = stream.read()
    return files


@contextlib.contextmanager
def _readable_files() -> Iterator[None]:
    # Modules start with a tight umask; people who are not root may use the environment for what needs no secret.
    former = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(former)
