# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed at any moment leaves a dump that is whole, or one that nobody takes for whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory, proofs, verify

from . import samples, small_dump

CHANGES = ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir", "open")


class Killed(BaseException):
    """The run dies here; nothing of the collection catches it."""


def kill_at(moment: int, work: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Do the work until a moment: just before and just after each call that changes a disk. Whether it was killed."""
    moments = 0

    def passing() -> None:
        nonlocal moments
        moments += 1
        if moments == moment:
            raise Killed

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            passing()
            answer = real(*arguments, **options)
            passing()
            return answer

        return call

    with monkeypatch.context() as killing:
        for name in CHANGES:
            killing.setattr(os, name, watched(getattr(os, name)))
        try:
            work()
        except Killed:
            return True
    return False


def test_a_dump_is_whole_or_partial_at_each_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for moment in range(1, 1000):
        folder = tmp_path / str(moment)
        storage = small_dump.tar_of_storage(tmp_path / "data" / str(moment))
        killed = kill_at(moment, partial(small_dump.write, folder, storage=storage), monkeypatch)
        left = directory.list_dumps(str(folder))
        kinds += [each.kind for each in left] or ["nothing"]
        for dump in left:
            assert dump.kind == directory.PARTIAL or (verify.checksums(dump).sound and verify.structure(dump).sound)
        if not killed:
            break
    assert moment > 20
    assert kinds == sorted(kinds, key=["nothing", directory.PARTIAL, directory.OURS].index)
    assert kinds[0] == "nothing" and kinds[-1] == directory.OURS


def test_a_removed_dump_is_whole_or_partial_at_each_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = []
    for moment in range(1, 1000):
        folder = tmp_path / str(moment)
        dump = small_dump.write(folder / "dumps", storage=small_dump.tar_of_storage(folder / "data"))
        killed = kill_at(moment, partial(directory.remove, dump.path), monkeypatch)
        left = directory.list_dumps(str(folder / "dumps"))
        kinds += [each.kind for each in left] or ["nothing"]
        assert all(each == dump or each.kind == directory.PARTIAL for each in left)
        if not killed:
            break
        # The next run finishes it, and what comes under the same name is not disturbed.
        for each in left:
            directory.remove(each.path) if each.kind == directory.OURS else directory.remove_folder(each.path)
        assert directory.list_dumps(str(folder / "dumps")) == []
    assert moment > 10
    assert kinds == sorted(kinds, key=[directory.OURS, directory.PARTIAL, "nothing"].index)


def test_a_proof_is_the_former_or_the_new_one_at_each_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = proofs.Proof(samples.DUMP, samples.HASH, samples.time(), "host1")
    later = proofs.Proof(samples.DUMP, samples.HASH, samples.time(), "host2", ("a difference",))
    for moment in range(1, 100):
        proofs.record(str(tmp_path), former)
        killed = kill_at(moment, partial(proofs.record, str(tmp_path), later), monkeypatch)
        assert proofs.read(str(tmp_path), samples.DUMP) in ((former, later) if killed else (later,))
        if not killed:
            break
    assert moment > 5
