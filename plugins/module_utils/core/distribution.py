# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The package ``toucan_selfhosted``: the packages beside ``core``, as a deterministic archive for the managed host's environment."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from .errors import Failure

PACKAGE = "toucan_selfhosted"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip archive can hold


def package_files(library: Path, version: str) -> dict[str, bytes]:
    """Relative path to content of every file of the package; ``library`` is the folder that holds ``core`` and its siblings.

    Files beside the packages are left out: they may import from Ansible, the packages never do.
    """
    files = {f"{PACKAGE}/__init__.py": f'"""The library of the Ansible collection toucan.selfhosted."""\n\n__version__ = "{version}"\n'.encode()}
    for initial in sorted(library.glob("*/__init__.py")):
        for source in sorted(initial.parent.rglob("*.py")):
            files[f"{PACKAGE}/{source.relative_to(library).as_posix()}"] = source.read_bytes()
    return files


def content_hash(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names and contents, independent of how they are packed."""
    listing = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in files.items())
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of ``files``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=_EPOCH)
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, files[name])
    return buffer.getvalue()


def unpack(path: str, expected_hash: str) -> dict[str, bytes]:
    """The files of the archive at ``path``.

    :raises Failure: when it is damaged, holds other content than ``expected_hash`` says, or names a place outside the package.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise Failure(f"Reading the package archive {path} failed: {error}", "run the role again", subject=path, answer=str(error)) from error
    stray = [name for name in files if not _is_inside_package(name)]
    if stray or content_hash(files) != expected_hash:
        raise Failure(f"The package archive {path} is not the one that the controller built", "run the role again", subject=path)
    return files


def write_package(files: Mapping[str, bytes], folder: str) -> None:
    """Write ``files`` below ``folder``, which must not exist yet."""
    os.makedirs(folder)
    for name, content in files.items():
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(content)


def _is_inside_package(name: str) -> bool:
    path = PurePosixPath(name)
    return path.parts[:1] == (PACKAGE,) and ".." not in path.parts and name.endswith(".py")
