# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs: that a dump was really restored on a throw-away place and compared, kept as ``proofs/<dump>.json`` beside the dumps.

Shape (schema 1)::

    {"schema": 1, "dump": FOLDER, "manifest_sha256": HEX, "time": TIME, "server": TEXT, "proven": BOOL, "problems": [TEXT, …]}

A proof holds for one manifest: where the dump's manifest has another hash, it is the proof of something else. A later test restore replaces
an earlier one, whatever its result.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Optional

from ..core.errors import Failure
from ..core.files import json_bytes, read_bytes, write_atomic
from .directory import Dump
from .fields import Fields, parse_object, time_text

FOLDER = "proofs"
SCHEMA = 1
_LARGEST = 16 << 20
_REMEDY = "remove it, and prove the dump again"


@dataclass(frozen=True)
class Proof:
    """The result of a test restore of a dump on ``server``; without ``problems`` it is proven."""

    dump: str
    manifest_sha256: str
    time: datetime
    server: str
    problems: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        return not self.problems

    def holds_for(self, dump: Dump) -> bool:
        """Whether this shows that the dump as it is now can be restored."""
        return self.proven and self.dump == dump.name and bool(dump.manifest_sha256) and self.manifest_sha256 == dump.manifest_sha256


def proof_path(dumps_folder: str, dump: str) -> str:
    return os.path.join(dumps_folder, FOLDER, f"{dump}.json")


def record(dumps_folder: str, proof: Proof) -> str:
    """Write the proof in one rename; returns its path. :raises Failure: when it cannot be written."""
    path = proof_path(dumps_folder, proof.dump)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    except OSError as error:
        raise Failure(f"Making the folder of {path} failed: {error.strerror}", "correct its parent's owner and mode", subject=path) from error
    content = {
        "schema": SCHEMA,
        "dump": proof.dump,
        "manifest_sha256": proof.manifest_sha256,
        "time": time_text(proof.time),
        "server": proof.server,
        "proven": proof.proven,
        "problems": list(proof.problems),
    }
    write_atomic(path, json_bytes(content))
    return path


def read(dumps_folder: str, dump: str) -> Optional[Proof]:
    """The proof of a dump, ``None`` where there is none. :raises Failure: when its file is damaged or of another schema."""
    path = proof_path(dumps_folder, dump)
    content = read_bytes(path)
    if content is None:
        return None
    fields = Fields(parse_object(content, path, _REMEDY, _LARGEST), path, _REMEDY)
    if fields.number("schema") != SCHEMA:
        raise Failure(f"{path} has another schema than {SCHEMA}, which this collection knows", _REMEDY, subject=path)
    proof = Proof(
        fields.text("dump"),
        fields.text("manifest_sha256", "[0-9a-f]{64}", "a SHA-256 of 64 hexadecimal digits"),
        fields.time("time"),
        fields.text("server"),
        fields.texts("problems"),
    )
    if fields.raw("proven") is not proof.proven or proof.dump != dump:
        raise Failure(f"{path} contradicts itself or is the proof of another dump", _REMEDY, subject=path)
    fields.end()
    return proof


def is_proven(dumps_folder: str, dump: Dump) -> bool:
    """Whether the dump as it is now was proven. :raises Failure: when the proof's file is damaged."""
    proof = read(dumps_folder, dump.name)
    return proof is not None and proof.holds_for(dump)


def proven_names(dumps_folder: str, dumps: Iterable[Dump]) -> tuple[set[str], list[str]]:
    """The names of those dumps that are proven as they are now, and what is wrong with proofs that cannot be read: they prove nothing."""
    names, problems = set(), []
    for dump in dumps:
        try:
            if is_proven(dumps_folder, dump):
                names.add(dump.name)
        except Failure as failure:
            problems.append(str(failure))
    return names, problems


def forget(dumps_folder: str, dump: str) -> None:
    """Remove the proof of a dump that is gone. :raises Failure: when it cannot be removed."""
    path = proof_path(dumps_folder, dump)
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Failure(f"Removing {path} failed: {error.strerror}", "correct its owner and mode", subject=path, answer=str(error)) from error
