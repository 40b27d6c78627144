# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound documents pass whatever is in them; broken ones are found where frames alone look well."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import soundness
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.frames import BrokenBson
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.layouts import open_dump
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.soundness import check, check_document
from bson.datetime_ms import DatetimeMS

VALUES: dict[str, Any] = {
    "double": 1.5, "text": "é", "empty": "", "document": {"a": {"b": [1, {}, []]}}, "array": [1, [2, "x"]], "binary": b"\0\1", "old": bson.Binary(b"x", 2),
    "id": bson.ObjectId("0" * 24), "true": True, "date": DatetimeMS(2**62), "null": None, "regex": bson.Regex("a/b", "im"),
    "pointer": bson.DBRef("c", 1), "code": bson.Code("f()"), "scoped": bson.Code("f()", {"x": 1}), "int": 1, "timestamp": bson.Timestamp(1, 2),
    "long": bson.Int64(1), "decimal": bson.Decimal128("1E3"), "min": bson.MinKey(), "max": bson.MaxKey(),
}  # fmt: skip
SOUND = bson.encode(VALUES)


def framed(elements: bytes) -> bytes:
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


# What servers store and Python's decoder refuses: a UUID of no bytes.
ODD_UUID = framed(b"\x05a\0" + struct.pack("<i", 0) + b"\4")


@pytest.mark.parametrize("document", [SOUND, ODD_UUID, bson.encode({}), framed(b"\x0ca\0" + struct.pack("<i", 2) + b"c\0" + b"x" * 12), framed(b"\x06a\0")])
def test_every_type_passes(document: bytes) -> None:
    check_document(document)
    check(document + SOUND + document)


def test_many_documents_are_looked_at_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundness, "_SLICE", 1000)
    check(SOUND * 50)
    bad = framed(b"\x08a\0\2")
    with pytest.raises(BrokenBson, match="a boolean is 2, 7 bytes into a document of 9") as caught:
        check(SOUND * 30 + bad + SOUND)
    assert caught.value.offset == len(SOUND) * 30


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        (b"\x20a\0", "has no length"),
        (b"\x20a\0\1\0\0\0", "there is no type 32"),
        (b"\x02a\0" + struct.pack("<i", 0), "a text does not end"),
        (b"\x02a\0" + struct.pack("<i", 2) + b"ab", "a text does not end in a zero byte"),
        (b"\x02a\0" + struct.pack("<i", 9) + b"ab\0", "reaches beyond its document"),
        (b"\x03a\0" + struct.pack("<i", 4), "claims to have 4 bytes"),
        (b"\x03a\0" + struct.pack("<i", 6) + b"\0\0", "ends before its length"),
        (b"\x03a\0" + struct.pack("<i", 5) + b"\1", "a document within does not end"),
        (b"\x10a", "does not end within its document"),
        (b"\0\0", "ends before its length"),
    ],
)
def test_a_document_broken_within_is_refused(elements: bytes, reason: str) -> None:
    with pytest.raises(BrokenBson, match=reason):
        check(framed(elements))


def test_whatever_is_flipped_ends_in_this_error_alone() -> None:
    chance = random.Random(3)
    for dummy in range(2000):
        broken = bytearray(SOUND)
        broken[chance.randrange(4, len(SOUND) - 1)] = chance.randrange(256)
        try:
            check(bytes(broken))
        except BrokenBson as error:
            assert error.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sample", None),
        ("all_types", None),
        ("deep_nested", None),
        ("all_in_one_doc", None),
        ("bad_cstring", "."),
        ("bad_type", "type 170|there is no type"),
        ("invalid_field_name", "."),
        ("partial_file", "cut off"),
        ("random_bytes", "claims to have"),
    ],
)
def test_the_samples_of_the_official_tools(official: Path, tar: Callable[..., io.BytesIO], name: str, reason: str | None) -> None:
    content = tar({"dump/a/x.bson": (official / "bson" / f"{name}.bson").read_bytes()})
    if reason is None:
        assert [each.count > 0 for each in open_dump(content, "dump.tar.gz").index(deep=True)] == [True]
        return
    with pytest.raises(Failure, match=f"^dump.tar.gz is damaged: dump/a/x.bson holds no BSON at byte [0-9]+: .*{reason}"):
        open_dump(content, "dump.tar.gz").index(deep=True)
