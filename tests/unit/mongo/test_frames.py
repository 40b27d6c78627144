# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of BSON, against what MongoDB's own driver takes for documents."""

from __future__ import annotations

import datetime
import struct
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.frames import (
    MAX_DOCUMENT_BYTES,
    BrokenBson,
    count_documents,
    frames,
    id_of,
    split_whole,
)
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st

SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.binary(min_size=12, max_size=12).map(bson.ObjectId),
    st.integers(-(2**40), 2**40).map(bson.Int64),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: bson.Timestamp(*pair)),
    st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1)),
    st.sampled_from([bson.MinKey(), bson.MaxKey(), bson.Decimal128("1.5E+3"), bson.Regex("^a.*", "im"), bson.Code("f()"), bson.Code("f()", {"x": 1})]),
    st.sampled_from([bson.DBRef("c", 1), bson.Binary(b"old", 2), bson.Binary(b"0123456789abcdef", 4)]),
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
DOCUMENTS = st.dictionaries(
    NAMES, st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6), max_size=5
)
RAW = DOCUMENTS.map(bson.encode)


@given(st.lists(RAW, max_size=6))
def test_each_document_is_framed(documents: list[bytes]) -> None:
    batch = b"".join(documents)
    assert [bytes(frame) for frame in frames(batch)] == documents
    assert [bytes(frame) for frame in frames(memoryview(bytearray(batch)))] == documents
    assert count_documents(batch) == len(documents)


@given(st.lists(RAW, min_size=1, max_size=6), st.data())
def test_a_stream_cut_anywhere_is_put_together_again(documents: list[bytes], data: st.DataObject) -> None:
    batch = b"".join(documents)
    cut = data.draw(st.integers(0, len(batch)))
    whole, rest = split_whole(batch[:cut])
    assert bytes(whole) + bytes(rest) == batch[:cut]
    later, nothing = split_whole(bytes(rest) + batch[cut:])
    assert [bytes(frame) for part in (whole, later) for frame in frames(part)] == documents
    assert not len(nothing)


@given(st.lists(RAW, min_size=1, max_size=4), st.data())
def test_what_is_cut_off_is_refused(documents: list[bytes], data: st.DataObject) -> None:
    batch = b"".join(documents)
    borders = {sum(map(len, documents[:index])) for index in range(len(documents) + 1)}
    cut = data.draw(st.integers(1, len(batch) - 1).filter(lambda place: place not in borders))
    for look in (lambda part: list(frames(part)), count_documents):
        with pytest.raises(BrokenBson, match="cut off|are left") as caught:
            look(batch[:cut])
        assert caught.value.offset == max(border for border in borders if border <= cut)


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (struct.pack("<i", 4) + b"\0\0", "claims to have 4 bytes"),
        (struct.pack("<i", -1) + b"\0\0", "claims to have -1 bytes"),
        (struct.pack("<i", MAX_DOCUMENT_BYTES + 1) + b"\0\0", f"claims to have {MAX_DOCUMENT_BYTES + 1} bytes"),
        (struct.pack("<i", 6) + b"\0\1", "does not end in a zero byte"),
    ],
)
def test_a_wrong_frame_is_refused_with_its_place(bytes_: bytes, reason: str) -> None:
    first = bson.encode({"_id": 1})
    for look in (lambda part: list(frames(part)), split_whole, count_documents):
        with pytest.raises(BrokenBson, match=reason) as caught:
            look(first + bytes_)
        assert caught.value.offset == len(first)
        assert caught.value.later(100).offset == len(first) + 100


def test_the_greatest_document_passes() -> None:
    empty = len(bson.encode({"a": b""}))
    document = bson.encode({"a": b"x" * (MAX_DOCUMENT_BYTES - empty)})
    assert len(document) == MAX_DOCUMENT_BYTES
    assert [len(frame) for frame in frames(document)] == [MAX_DOCUMENT_BYTES]


@given(DOCUMENTS, SCALARS, DOCUMENTS)
def test_the_id_is_found_wherever_it_stands(before: dict[str, Any], value: Any, after: dict[str, Any]) -> None:
    documents = {name: found for name, found in before.items() if name != "_id"}
    documents |= {"_id": value} | {name: found for name, found in after.items() if name not in documents and name != "_id"}
    kind, raw = id_of(bson.encode(documents))
    again = bson.encode({"_id": value})
    assert bytes([kind]) + b"_id\0" + raw == again[4:-1]


@given(RAW)
def test_the_id_agrees_with_the_drivers_reading(document: bytes) -> None:
    names = RawBSONDocument(document, CodecOptions(document_class=RawBSONDocument)).keys()
    assert (id_of(document)[0] != 0) == ("_id" in names)


@given(RAW, st.data())
def test_a_document_with_flipped_bytes_never_ends_in_another_error(document: bytes, data: st.DataObject) -> None:
    broken = bytearray(document)
    for place in data.draw(st.lists(st.integers(0, len(document) - 1), min_size=1, max_size=3)):
        broken[place] = data.draw(st.integers(0, 255))
    for look in (lambda part: list(frames(part)), split_whole, id_of):
        try:
            look(bytes(broken))
        except BrokenBson as error:
            assert error.reason


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (b"\x02a\0", "has no length"),
        (b"\x02a\0" + struct.pack("<i", 1000) + b"\0", "reaches beyond"),
        (b"\x02a\0" + struct.pack("<i", -9) + b"\0", "claims to have -9 bytes"),
        (b"\x20a\0" + struct.pack("<i", 1) + b"\0", "no type 32"),
        (b"\x10a", "does not end within"),
        (b"\x0ba\0abc", "does not end within"),
    ],
)
def test_broken_elements_before_the_id_are_refused(element: bytes, reason: str) -> None:
    with pytest.raises(BrokenBson, match=reason):
        id_of(struct.pack("<i", len(element) + 5) + element + b"\0")


@pytest.mark.parametrize(
    ("name", "whole", "reason"),
    [
        ("sample", 4, None),
        ("all_types", 20, None),
        ("deep_nested", 1, None),
        ("all_in_one_doc", 1, None),
        ("broken_array", 20, None),  # broken within a document, which a frame does not tell
        ("partial_file", 2, "cut off"),
        ("random_bytes", 0, "claims to have"),
        ("invalid_field_name", 4, "are left of the length"),
    ],
)
def test_the_samples_of_the_official_tools(official: Path, name: str, whole: int, reason: str | None) -> None:
    content = (official / "bson" / f"{name}.bson").read_bytes()
    found = []
    try:
        for frame in frames(content):
            found.append(bytes(frame))
    except BrokenBson as error:
        assert reason is not None and reason in error.reason
        assert error.offset == sum(map(len, found))
    else:
        assert reason is None
        assert b"".join(found) == content
    assert len(found) == whole
