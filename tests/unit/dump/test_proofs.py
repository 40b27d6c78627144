# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proof holds for one manifest, and is written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory, proofs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from . import samples

DUMP = directory.Dump(f"/dumps/{samples.DUMP}", directory.OURS, samples.manifest(), samples.HASH)
PROOF = proofs.Proof(samples.DUMP, samples.HASH, samples.time(), "mongodb 7.0.5 of host1")


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(proofs.Proof, st.just(samples.DUMP), samples.hashes, samples.times, samples.texts, samples.many_texts))
def test_every_proof_makes_the_round_trip(tmp_path: Path, proof: proofs.Proof) -> None:
    proofs.record(str(tmp_path), proof)
    assert proofs.read(str(tmp_path), samples.DUMP) == proof


def test_a_proof_holds_for_the_manifest_it_was_made_with(tmp_path: Path) -> None:
    assert not proofs.is_proven(str(tmp_path), DUMP)
    assert proofs.record(str(tmp_path), PROOF) == str(tmp_path / "proofs" / f"{samples.DUMP}.json")
    assert proofs.is_proven(str(tmp_path), DUMP)
    assert not proofs.is_proven(str(tmp_path), dataclasses.replace(DUMP, manifest_sha256="cd" * 32))
    assert not PROOF.holds_for(dataclasses.replace(DUMP, path="/dumps/other"))
    assert not dataclasses.replace(PROOF, manifest_sha256="").holds_for(directory.Dump(DUMP.path, directory.VENDORS))


def test_a_damaged_proof_proves_nothing_and_hides_no_other(tmp_path: Path) -> None:
    other = directory.Dump("/dumps/other", directory.OURS, samples.manifest(dump="other"), samples.HASH)
    for dump in (DUMP, other):
        path = proofs.record(str(tmp_path), dataclasses.replace(PROOF, dump=dump.name))
    Path(path).write_text("{")
    names, problems = proofs.proven_names(str(tmp_path), [other, directory.Dump("/dumps/third", directory.VENDORS), DUMP])
    assert names == {samples.DUMP}
    assert len(problems) == 1 and "is not valid JSON" in problems[0]


def test_a_later_failure_ends_a_proof(tmp_path: Path) -> None:
    proofs.record(str(tmp_path), PROOF)
    proofs.record(str(tmp_path), dataclasses.replace(PROOF, problems=("slides: 1 document of 2",)))
    assert not proofs.is_proven(str(tmp_path), DUMP)


def test_a_proof_is_forgotten(tmp_path: Path) -> None:
    proofs.record(str(tmp_path), PROOF)
    proofs.forget(str(tmp_path), samples.DUMP)
    proofs.forget(str(tmp_path), samples.DUMP)
    assert proofs.read(str(tmp_path), samples.DUMP) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 2}, "has another schema than 1"),
        ({"schema": "1"}, "not a whole number"),
        ({"manifest_sha256": "ab"}, "not a SHA-256"),
        ({"proven": False}, "contradicts itself"),
        ({"proven": 1}, "contradicts itself"),
        ({"problems": ["x"]}, "contradicts itself"),
        ({"dump": "on-premise_backup-other"}, "proof of another dump"),
        ({"time": 5}, "not a time like"),
        ({"more": 5}, "which this schema does not know"),
    ],
)
def test_a_damaged_proof_is_a_sentence(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    path = Path(proofs.record(str(tmp_path), PROOF))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(Failure, match=sentence):
        proofs.is_proven(str(tmp_path), DUMP)


def test_a_cut_off_proof_is_a_sentence(tmp_path: Path) -> None:
    path = Path(proofs.record(str(tmp_path), PROOF))
    path.write_text(path.read_text()[:20])
    with pytest.raises(Failure, match="is not valid JSON"):
        proofs.read(str(tmp_path), samples.DUMP)


def test_what_cannot_be_written_or_removed_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "proofs").touch()
    with pytest.raises(Failure, match="Making the folder of .* failed"):
        proofs.record(str(tmp_path), PROOF)
    with pytest.raises(Failure, match="Removing .* failed: Not a directory"):
        proofs.forget(str(tmp_path), samples.DUMP)
