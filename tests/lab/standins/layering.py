# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put one small layer on a local image and date the result.

``docker build`` gives every image the present moment as its date. A release has a date of its own, which
is what a registry's visitor reads, so releases are written as an archive for ``docker load``. The same files
and dates always give the same image IDs and digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Variant:
    """One image to make: its full names, files (path to text), date (RFC 3339, UTC) and labels."""

    names: Sequence[str]
    files: Mapping[str, str]
    created: str
    labels: Mapping[str, str]


def layer_archive(files: Mapping[str, str], created: str) -> bytes:
    """An uncompressed layer that holds ``files``, all of the date ``created``."""
    moment = int(datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, text in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mtime, entry.mode = moment, 0o644
            _add(archive, entry, text.encode())
    return buffer.getvalue()


def variant_config(base: Mapping[str, Any], variant: Variant, layer: bytes) -> dict[str, Any]:
    """The image configuration ``base`` with ``layer``, date and labels of ``variant``."""
    runtime = dict(base["config"])
    runtime["Labels"] = {**(runtime.get("Labels") or {}), **variant.labels}
    step = {"created": variant.created, "created_by": "COPY of " + ", ".join(sorted(variant.files))}
    diff_id = "sha256:" + hashlib.sha256(layer).hexdigest()
    kept = {key: base[key] for key in ("architecture", "os") if key in base}
    return kept | {
        "created": variant.created,
        "config": runtime,
        "history": [*base.get("history", []), step],
        "rootfs": {"type": "layers", "diff_ids": [*base["rootfs"]["diff_ids"], diff_id]},
    }


def write_variants(saved: Path, variants: Sequence[Variant], target: Path) -> None:
    """Turn ``saved``, an archive of ``docker save`` with one image, into one of ``variants`` of that image."""
    with tarfile.open(saved) as source, tarfile.open(target, "w") as archive:
        (image,) = json.loads(_read(source, "manifest.json"))
        base = json.loads(_read(source, image["Config"]))
        for name in dict.fromkeys(image["Layers"]):
            _copy(source, name, archive)
        manifest = []
        for variant in variants:
            layer = layer_archive(variant.files, variant.created)
            layer_name = hashlib.sha256(layer).hexdigest() + ".tar"
            _add(archive, tarfile.TarInfo(layer_name), layer)
            config = json.dumps(variant_config(base, variant, layer), sort_keys=True).encode()
            config_name = hashlib.sha256(config).hexdigest() + ".json"
            _add(archive, tarfile.TarInfo(config_name), config)
            layers = [*image["Layers"], layer_name]
            manifest.append({"Config": config_name, "RepoTags": list(variant.names), "Layers": layers})
        _add(archive, tarfile.TarInfo("manifest.json"), json.dumps(manifest).encode())


def _add(archive: tarfile.TarFile, entry: tarfile.TarInfo, data: bytes) -> None:
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """A file of ``archive``; older engines save a repeated layer as a link to the first."""
    content = archive.extractfile(name)
    if content is None:
        raise ValueError(f"{name} in the saved image is no file")
    return content


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    return _member(archive, name).read()


def _copy(source: tarfile.TarFile, name: str, target: tarfile.TarFile) -> None:
    content = _member(source, name)
    content.seek(0, io.SEEK_END)
    entry = tarfile.TarInfo(name)
    entry.size = content.tell()
    content.seek(0)
    target.addfile(entry, content)
