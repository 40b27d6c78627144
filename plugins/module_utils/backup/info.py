# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a folder of dumps, and whether it can be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Optional

from ..core.errors import Failure
from ..dump import proofs
from ..dump.directory import FOREIGN, PARTIAL, VENDORS, Dump, list_dumps
from ..dump.fields import time_text
from ..dump.verify import Report, checksums, structure
from .request import CHECKSUMS, UNPROVEN


def dumps_info(folder: str, names: Sequence[str], verify: str, identities: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Facts of the dumps in ``folder``, by name.

    :param names: of those to look at; all that are dumps where none is named.
    :param verify: how each is read, as of module ``toucan_backup``.
    :param identities: keys for encrypted ones.
    :raises Failure: when the folder cannot be read, or a name is none of a dump in it.
    """
    found = {dump.name: dump for dump in list_dumps(folder) if dump.kind != FOREIGN}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise Failure(f"`{unknown[0]}` is no dump in {folder}", "name the folders of dumps that stand there, without their path", subject=unknown[0])
    return [_described(folder, dump, verify, identities) for name, dump in found.items() if not names or name in names]


def _described(folder: str, dump: Dump, verify: str, identities: Sequence[Any]) -> dict[str, Any]:
    report = _read(dump, verify, identities)
    proven, damaged = proofs.proven_names(folder, [dump])
    return {
        "name": dump.name,
        "path": dump.path,
        "kind": dump.manifest.kind if dump.manifest else dump.kind,
        "problems": [dump.problem] if dump.problem else list(report.problems) if report else [],
        "notes": [*(report.notes if report else ()), *damaged],
        "proven": bool(proven),
        **_facts(dump, report),
    }


def _read(dump: Dump, verify: str, identities: Sequence[Any]) -> Optional[Report]:
    """What reading it shows; ``None`` where nobody asked, or there is nothing whole to read."""
    if verify == UNPROVEN or dump.kind == PARTIAL or dump.problem:
        return None
    if dump.kind == VENDORS:
        return structure(dump)
    report = checksums(dump)
    if verify == CHECKSUMS or not report.sound:
        return report
    if dump.manifest and dump.manifest.encryption and not identities:
        report.notes.append("it is encrypted and no key was given, so only its checksums were verified")
        return report
    return structure(dump, identities)


def _facts(dump: Dump, report: Optional[Report]) -> dict[str, Any]:
    """What the manifest says, or without one what the files do."""
    known = dump.manifest
    if known is None:
        return {
            "apps": [],
            "begun": "",
            "bytes": _size(dump.path),
            "consistency": "",
            "encrypted": False,
            "instance_id": "",
            "product": report.product if report else "",
        }
    return {
        "apps": [app.id for app in known.apps],
        "begun": time_text(known.times.begun),
        "bytes": sum(fact.size for fact in known.files.values()),
        "consistency": known.consistency.reached,
        "encrypted": known.encryption is not None,
        "instance_id": known.instance_id,
        "product": known.versions.product,
    }


def _size(path: str) -> int:
    """Bytes of the files in a folder; what goes away meanwhile is not counted."""
    total = 0
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_size
    return total
