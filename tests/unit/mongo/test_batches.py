# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches are taken out of answers, and put into inserts, as bytes."""

from __future__ import annotations

from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import batches
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.frames import BrokenBson
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.metadata import Namespace
from bson import Int64
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import given
from hypothesis import strategies as st
from pymongo import message
from pymongo.errors import OperationFailure

from fakes.mongodb import FakeMongo, refused

SALES = Namespace("app", "sales")
DOCUMENTS = st.lists(st.fixed_dictionaries({"_id": st.integers(-(2**31), 2**31 - 1), "text": st.text(max_size=5)}), max_size=130)


def encoded(documents: list[Any]) -> list[bytes]:
    return list(map(bson.encode, documents))


@given(documents=DOCUMENTS, behind=st.booleans())
def test_a_batch_is_its_documents_without_the_array_around_them(documents: list[Any], behind: bool) -> None:
    rest = {"id": Int64(5), "ns": "app.sales", "partialResultsReturned": True}
    batch = [RawBSONDocument(document) for document in encoded(documents)]
    answer = {**rest, "nextBatch": batch} if behind else {"nextBatch": batch, **rest}
    assert batches.joined(bson.encode(answer)) == batches.Batch(b"".join(encoded(documents)), len(documents), 5)


def answer_of(batch: Any) -> bytes:
    return bson.encode({"firstBatch": batch, "id": Int64(0)})


@pytest.mark.parametrize(
    ("cursor", "reason"),
    [
        (bson.encode({"id": Int64(0)}), "there is no batch in it"),
        (bson.encode({"id": Int64(0), "firstBatch": 1}), "there is no batch in it"),
        (bson.encode({"firstBatch": []}), "there is no cursor's number in it"),
        (bson.encode({"odd": bson.Regex("x"), "firstBatch": []}), "it has a value of type 0xb"),
        (answer_of([1]), "element 0 of its batch is no document"),
        (answer_of([{}, {}]).replace(bson.encode({}), b"\4\0\0\0\0", 1), "element 0 of its batch is no document"),
        (answer_of([{}, {}]).replace(bson.encode({}), b"\xff\0\0\0\0", 1), "element 0 of its batch is no document"),
        (answer_of([{}, {}]).replace(b"\x031\0", b"\x0311"), "element 1 of its batch is no document"),
    ],
)
def test_an_answer_that_is_none_is_told(cursor: bytes, reason: str) -> None:
    with pytest.raises(Failure, match=f"The answer of MongoDB to a read cannot be understood: {reason}"):
        batches.joined(cursor)


@given(documents=DOCUMENTS.filter(bool))
@pytest.mark.parametrize("encoder", ["_op_msg_uncompressed", "_op_msg_no_header"])
def test_the_driver_sends_many_documents_as_it_sends_each_alone(encoder: str, documents: list[Any]) -> None:
    encode = getattr(message, encoder)
    alone = [RawBSONDocument(document) for document in encoded(documents)]
    together = [batches.Documents(b"".join(encoded(documents)))]
    found = [encode(0, {"insert": "sales", "$db": "app"}, "documents", sent, CodecOptions()) for sent in (together, alone)]
    sent = [next(part for part in one if isinstance(part, bytes)) for one in found]
    # Bytes 4 to 7 are the message's number.
    start = 8 if encoder == "_op_msg_uncompressed" else 0
    assert sent[0][start:] == sent[1][start:]
    assert b"".join(encoded(documents)) in sent[0]


@given(documents=DOCUMENTS, most=st.integers(1, 20))
def test_inserts_hold_all_documents_in_order_and_no_more_than_allowed(documents: list[Any], most: int) -> None:
    parts = list(batches.split(b"".join(encoded(documents)), most))
    assert b"".join(part for part, dummy in parts) == b"".join(encoded(documents))
    assert sum(number for dummy, number in parts) == len(documents)
    assert all(0 < number <= most and len(bson.decode_all(bytes(part))) == number for part, number in parts)


def test_an_insert_is_small_but_for_a_single_large_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_INSERT_BYTES", 1000)
    documents = encoded([{"x": "a" * size} for size in (300, 300, 300, 2000, 10, 10)])
    assert [number for dummy, number in batches.split(b"".join(documents), 100)] == [3, 1, 2]
    with pytest.raises(BrokenBson):
        list(batches.split(b"\0\0\0\0\0", 100))


@given(seen=st.integers(0, 2**40), documents=st.integers(0, 2**30))
def test_a_batch_is_never_empty_nor_endless(seen: int, documents: int) -> None:
    assert 1 <= batches.batch_size(seen, documents) <= 50_000


def test_batches_get_as_large_as_their_documents_allow() -> None:
    server = FakeMongo()
    stored = server.add("app", "sales", [{"_id": number, "x": "a" * 20_000} for number in range(1500)])
    found = list(batches.raw_batches(server, SALES))
    assert b"".join(found) == b"".join(stored.documents)
    sizes = [command["batchSize"] for command in server.commands]
    assert sizes[0] == 1000
    assert 200 <= sizes[1] <= 210
    assert max(map(len, found[1:])) <= batches.BATCH_BYTES


def test_a_read_that_is_left_closes_its_cursor() -> None:
    server = FakeMongo()
    server.add("app", "sales", [{"_id": number} for number in range(3000)])
    reading = batches.raw_batches(server, SALES)
    next(reading)
    assert len(server.cursors) == 1
    reading.close()
    assert server.cursors == {}


def test_a_cursor_that_cannot_be_closed_is_left_to_the_server() -> None:
    server = FakeMongo()
    server.add("app", "sales", [{"_id": number} for number in range(3000)])

    def refuse(command: dict[str, Any]) -> None:
        if next(iter(command)) in ("killCursors", "getMore"):
            raise refused(43, "CursorNotFound")

    server.before = refuse
    with pytest.raises(OperationFailure):
        list(batches.raw_batches(server, SALES))
    assert [next(iter(command)) for command in server.commands] == ["find", "getMore", "killCursors"]
