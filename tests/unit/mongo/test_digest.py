# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests of documents, against their definition computed by hand."""

from __future__ import annotations

import hashlib
import random

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.digest import DocumentsDigest, SequenceDigest
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.frames import BrokenBson
from hypothesis import given
from hypothesis import strategies as st

DOCUMENTS = st.lists(st.builds(lambda number, text: bson.encode({"_id": number, "text": text}), st.integers(-5, 5), st.text(max_size=9)), max_size=12)


def expected(documents: list[bytes]) -> str:
    total = sum(int(hashlib.sha256(document).hexdigest(), 16) for document in documents)
    return format(total % 2**256, "064x")


@given(DOCUMENTS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_order_and_sharing_out_do_not_matter(documents: list[bytes], chance: random.Random, cut: int) -> None:
    shuffled = chance.sample(documents, len(documents))
    first, second, one_by_one = DocumentsDigest(), DocumentsDigest(), DocumentsDigest()
    first.add_batch(b"".join(shuffled[:cut]))
    second.add_batch(memoryview(b"".join(shuffled[cut:])))
    first.merge(second)
    for document in documents:
        one_by_one.add(document)
    for digest in (first, one_by_one):
        assert digest.hexdigest() == expected(documents)
        assert (digest.count, digest.size) == (len(documents), sum(map(len, documents)))


def test_a_document_more_less_or_changed_is_another_set() -> None:
    documents = [bson.encode({"_id": number}) for number in range(4)]
    sets = [documents, documents[1:], [*documents, documents[0]], [*documents[1:], bson.encode({"_id": bson.Int64(0)})], []]
    assert len({expected(each) for each in sets}) == len(sets)
    for each in sets:
        digest = DocumentsDigest()
        digest.add_batch(b"".join(each))
        assert digest.hexdigest() == expected(each)


@given(DOCUMENTS, st.integers(0, 12))
def test_a_sequence_is_the_hash_of_the_stream(documents: list[bytes], cut: int) -> None:
    digest = SequenceDigest()
    digest.add_batch(b"".join(documents[:cut]))
    for document in documents[cut:]:
        digest.add(document)
    assert digest.hexdigest() == hashlib.sha256(b"".join(documents)).hexdigest()
    assert (digest.count, digest.size) == (len(documents), sum(map(len, documents)))


@pytest.mark.parametrize("kind", [DocumentsDigest, SequenceDigest])
@pytest.mark.parametrize("rest", [b"\1", b"\5\0\0", b"\5\0\0\0", b"\5\0\0\0\1", b"\4\0\0\0\0", b"\6\0\0\0\0"])
def test_a_broken_batch_counts_nothing(kind: type[DocumentsDigest | SequenceDigest], rest: bytes) -> None:
    digest = kind()
    before = digest.hexdigest()
    with pytest.raises(BrokenBson) as caught:
        digest.add_batch(bson.encode({"_id": 1}) + rest)
    assert caught.value.offset == len(bson.encode({"_id": 1}))
    assert (digest.count, digest.size, digest.hexdigest()) == (0, 0, before)
