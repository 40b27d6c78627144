# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench of backups reads archives by itself, and sees when one does not hold what was served."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from bench.backup import Run, summary
from bench.contestants import differences, digest, dumped_files

DOCUMENTS = [b"\x0c\0\0\0\x10a\0" + bytes([number, 0, 0, 0, 0]) for number in range(3)]


def tar_of(files: dict[str, bytes]) -> bytes:
    """A tar with these files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_both_layouts_are_read(tmp_path: Path) -> None:
    content = b"".join(DOCUMENTS)
    plain, packed = tmp_path / "mongodump.tar.gz", tmp_path / "mongodump.tar"
    whole = tar_of({"dump/app/one.bson": content, "dump/app/one.metadata.json": b"{}", "dump/prelude.json": b"{}"})
    # Several members, as who packs in parallel writes them.
    plain.write_bytes(b"".join(gzip.compress(whole[start : start + 700]) for start in range(0, len(whole), 700)))
    members = gzip.compress(content[:5]) + gzip.compress(content[5:])
    packed.write_bytes(tar_of({"dump/app/one.bson.gz": members, "dump/app/one.metadata.json.gz": gzip.compress(b"{}")}))
    for archive in (plain, packed):
        assert [(name, ending, file.read()) for name, ending, file in dumped_files(archive)] == [("one", "bson", content), ("one", "metadata.json", b"{}")]


def test_the_digest_is_the_sum_of_hashes_in_any_order() -> None:
    expected = sum(int.from_bytes(hashlib.sha256(document).digest(), "big") for document in DOCUMENTS) % 2**256
    for documents in (DOCUMENTS, DOCUMENTS[::-1]):
        assert digest(io.BytesIO(b"".join(documents))) == {"count": 3, "bytes": 36, "digest": f"{expected:064x}"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"full": {"count": 1, "digest": "aa"}}, []),
        ({"full": {"count": 1, "digest": "ab"}}, ["full"]),
        ({}, ["full"]),
        ({"full": {"count": 1, "digest": "aa"}, "more": {"count": 1, "digest": "aa"}}, ["more"]),
    ],
)
def test_what_differs_is_named(found: dict[str, dict[str, object]], expected: list[str]) -> None:
    assert differences({"full": {"count": 1, "digest": "aa"}, "empty": {"count": 0, "digest": "00"}}, found) == expected


def test_ratios_are_of_medians() -> None:
    runs = {
        "pymongo": [Run(wall=wall, cpu=wall, server_cpu=1, peak=10, size=100) for wall in (8, 9, 50)],
        "ours": [Run(wall=wall, cpu=3, server_cpu=1, peak=peak, size=120) for wall, peak in ((1, 7), (3, 5), (4, 6))],
    }
    found = summary(runs, 1_000_000_000)
    assert found["pymongo"]["times_faster"] == found["pymongo"]["times_less_cpu"] == found["pymongo"]["archive_ratio"] == 1
    assert found["ours"]["times_faster"] == found["ours"]["times_less_cpu"] == 3
    assert found["ours"]["archive_ratio"] == 1.2
    assert found["ours"]["peak_bytes"] == 7
    assert found["ours"]["cpu_seconds_per_gb"] == 3
