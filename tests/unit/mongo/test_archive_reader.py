# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of `mongodump --archive`: those of the official tools, bare and in tars, and every way in which one is broken."""

from __future__ import annotations

import gzip
import io
import random
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bson
import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.archive import MAGIC, TERMINATOR, Header, Listed, Prelude, header_bytes, prelude_bytes
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.crc64 import Crc64
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.layouts import open_dump

Tar = Callable[..., io.BytesIO]
BARE = '{"indexes":[]}'
ONE, TWO, THREE = (bson.encode({"_id": number, "x": "y" * number}) for number in (1, 2, 3))
SHAPES = {
    "bare": ("archive", lambda tar, content: io.BytesIO(content)),
    "bare and packed": ("archive_gzip", lambda tar, content: io.BytesIO(gzip.compress(content))),
    "in a tar": ("archive", lambda tar, content: tar({"dump.archive": content})),
    "packed in a tar": ("archive_gzip", lambda tar, content: tar({"a/b/dump": gzip.compress(content[:90]) + gzip.compress(content[90:])})),
    "in a tar that is not packed": ("archive", lambda tar, content: tar({"dump": content}, packed=False)),
}


def crc(*documents: bytes) -> int:
    checksum = Crc64()
    for document in documents:
        checksum.update(document)
    return checksum.value


def block(name: str, *documents: bytes, database: str = "a") -> bytes:
    return header_bytes(Header(database, name)) + b"".join(documents) + TERMINATOR


def end(name: str, *documents: bytes, database: str = "a") -> bytes:
    return header_bytes(Header(database, name, True, crc(*documents))) + TERMINATOR


def prelude(*names: str, metadata: str = BARE, database: str = "a") -> bytes:
    return prelude_bytes(Prelude("7.0.1", "100.9", tuple(Listed(database, name, metadata) for name in names)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "expected", "others", "version"),
    [
        ("test.bar.archive", {"test.bar": 1, "admin.system.version": 1}, [], "3.4.3"),
        ("dump-w-oplog.archive", {"test.foo": 25, "admin.system.version": 1}, ["oplog"], "4.0.2"),
        ("timeseries_tests/dump.archive", {"admin.system.version": 1, "admin.system.views": 0, "timeseries_test.foo_ts": 10}, [], "5.0.0-rc0"),
    ],
)
def test_the_archives_of_the_official_tools(
    official: Path, tar: Tar, visitor: Any, shape: str, name: str, expected: dict[str, int], others: list[str], version: str
) -> None:
    content = (official / "dumps" / name).read_bytes()
    layout, make = SHAPES[shape]
    reader = open_dump(make(tar, content), "vendor.tar.gz")
    found = {str(each.namespace): each for each in reader.index(digests=True)}
    assert {name: each.count for name, each in found.items()} == expected
    assert (reader.layout, reader.others, reader.server_version) == (layout, others, version)
    assert all(each.metadata and each.metadata.indexes for each in found.values())
    reader.scan(visitor)
    assert not visitor.open
    for each, documents in visitor.found.items():
        assert documents in content
        assert (found[each].count, found[each].bytes) == (len(bson.decode_all(documents)), len(documents))


def test_the_same_series_in_an_archive_and_in_a_folder(official: Path, tar: Tar) -> None:
    folder = open_dump(tar(official / "dumps/timeseries_tests/ts_dump"), "folder").index()
    archive = open_dump(io.BytesIO((official / "dumps/timeseries_tests/dump.archive").read_bytes()), "archive").index()
    assert [each for each in archive if each.namespace.database != "admin"] == [each for each in folder if each.namespace.database != "admin"]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_broken_archive_of_the_official_tools_is_refused(official: Path, tar: Tar, shape: str) -> None:
    content = SHAPES[shape][1](tar, (official / "dumps/bad-format.archive").read_bytes())
    with pytest.raises(Failure, match="What vendor.tar.gz says of test.ixtest is no metadata of a collection"):
        open_dump(content, "vendor.tar.gz").index()


def test_blocks_may_be_interleaved(visitor: Any) -> None:
    blocks = [block("x", ONE), block("y", THREE), block("x", TWO, THREE), end("y", THREE), block("x"), end("x", ONE, TWO, THREE)]
    reader = open_dump(io.BytesIO(prelude("x", "y") + b"".join(blocks)), "dump")
    reader.scan(visitor)
    assert visitor.found == {"a.x": ONE + TWO + THREE, "a.y": THREE}
    assert reader.tool_version == "100.9"


@pytest.mark.parametrize("with_block", [True, False])
def test_a_view_has_no_documents_and_a_dumped_view_is_a_collection(visitor: Any, with_block: bool) -> None:
    view = '{"options":{"viewOn":"x","pipeline":[]},"indexes":[],"type":"view"}'
    start = prelude_bytes(Prelude("", "", (Listed("a", "v", view, "view"), Listed("a", "w", '{"indexes":[],"type":"view"}', "view"))))
    reader = open_dump(io.BytesIO(start + (block("v") + end("v") if with_block else b"") + block("w", ONE) + end("w", ONE)), "dump")
    assert [(each.namespace.collection, each.metadata and each.metadata.type) for each in reader.index()] == [("v", "view"), ("w", "collection")]
    reader.scan(visitor)
    assert visitor.found == {"a.w": ONE}


def test_a_series_without_buckets_as_later_servers_have_them(visitor: Any) -> None:
    series = '{"options":{"timeseries":{"timeField":"t"}},"indexes":[],"type":"timeseries"}'
    open_dump(io.BytesIO(prelude("s", metadata=series) + block("s", ONE) + end("s", ONE)), "dump").scan(visitor)
    assert visitor.found == {"a.s": ONE}


def test_large_documents_and_pieces(visitor: Any) -> None:
    documents = [bson.encode({"_id": number, "x": b"\xff" * size}) for number, size in enumerate((5_000_000, 10, 2_000_000, 1_048_576, 16 * 1024 * 1024))]
    reader = open_dump(io.BytesIO(prelude("x") + block("x", *documents) + end("x", *documents)), "dump")
    assert [(each.count, each.bytes) for each in reader.index()] == [(5, sum(map(len, documents)))]
    reader.scan(visitor)
    assert visitor.found == {"a.x": b"".join(documents)}


def test_other_files_beside_an_archive_are_told_and_other_dumps_refused(tar: Tar, visitor: Any) -> None:
    content = prelude("x") + block("x", ONE) + end("x", ONE)
    reader = open_dump(tar({"readme": b"hello", "dump.archive": content, "empty": b"", "x.gz": gzip.compress(b"abc")}), "dump.tar.gz")
    reader.scan(visitor)
    assert (visitor.found, reader.top, reader.others) == ({"a.x": ONE}, "dump.archive", ["readme", "empty", "x.gz"])
    for second in ({"two": content}, {"two": gzip.compress(content)}, {"dump/a/x.bson": ONE}):
        with pytest.raises(Failure, match="holds one and .*, which are two dumps"):
            open_dump(tar({"one": content, **second}), "dump.tar.gz")


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (prelude("x") + block("x", ONE), "it ends before the documents of a.x do"),
        (prelude("x"), "it ends before the documents of a.x do"),
        (prelude("x") + block("x", ONE) + end("x", TWO), "a.x in it has documents whose checksum is [0-9a-f]{16}, where [0-9a-f]{16} is written"),
        (prelude("x") + end("x") + end("x"), "it has documents of a.x, which it had ended"),
        (prelude("x") + end("x") + block("y"), "it has documents of a.y, which it does not list"),
        (prelude("x") + header_bytes(Header("a", "x", True, 0)) + ONE + TERMINATOR, "it has documents of a.x behind their end"),
        (prelude("x", "x") + end("x"), "it lists a.x twice"),
        (prelude("x", metadata='{"indexes":[],"collectionName":"y"}') + end("x"), "it says of a.x what is of 'y'"),
        (prelude("x") + TERMINATOR, "a block has no header"),
        (prelude("x") + ONE + TERMINATOR, "a block does not say of which collection it is"),
        (prelude("x") + block("x", ONE)[:-6] + end("x", ONE), "is broken at byte [0-9]+: a document claims to have|does not end in a zero byte"),
        (prelude("x") + block("x", ONE)[:-1], "it is cut off"),
        (prelude("x") + block("x", ONE)[:-5], "it is cut off"),
        (prelude("x")[:-2], "it is cut off"),
        (prelude("x")[:20], "it is cut off"),
        (MAGIC + bson.encode({"version": "0.2"}) + TERMINATOR, "its format is '0.2', where '0.1' is known"),
        (MAGIC + b"\7\0\0\0xy\0" + TERMINATOR, "a document of the archive itself cannot be read"),
        (MAGIC + bson.encode({"version": "0.1"}) + bson.encode({"db": 1, "collection": "x"}) + TERMINATOR, "list of collections is not as mongodump writes it"),
        (MAGIC + struct.pack("<i", 3) + b"\0" * 9, "claims to have 3 bytes"),
    ],
)
def test_a_broken_archive_is_refused(tar: Tar, content: bytes, answer: str) -> None:
    for dump in (io.BytesIO(content), io.BytesIO(gzip.compress(content)), tar({"dump.archive": content})):
        with pytest.raises(Failure, match=answer) as caught:
            open_dump(dump, "dump.tar.gz").index()
        assert str(caught.value).startswith("dump.tar.gz is damaged: ")


def test_an_archive_cut_off_anywhere_or_with_a_flipped_bit_is_refused() -> None:
    content = prelude("x", "y") + block("x", ONE) + block("y", TWO, THREE) + end("x", ONE) + end("y", TWO, THREE)
    for cut in range(len(content)):
        with pytest.raises(Failure):
            open_dump(io.BytesIO(content[:cut]), "dump").index()
    good, chance = open_dump(io.BytesIO(content), "dump").index(digests=True), random.Random(7)
    for dummy in range(300):
        broken = bytearray(content)
        broken[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        try:
            found = open_dump(io.BytesIO(bytes(broken)), "dump").index(digests=True)
        except Failure as error:
            assert error.problem
        else:
            # What the archive says of itself has no checksum; documents have.
            assert [(each.count, each.digest) for each in found] == [(each.count, each.digest) for each in good]


def test_damage_behind_the_archive_in_the_tar_is_found(tar: Tar) -> None:
    content = prelude("x") + block("x", ONE) + end("x", ONE)
    plain = tar({"dump.archive": content, "later": b"z" * 5000}, packed=False).getvalue()
    with pytest.raises(Failure, match="cut off"):
        open_dump(io.BytesIO(plain[:3000]), "dump.tar").index()
    packed = gzip.compress(content)
    with pytest.raises(Failure, match=re.escape("dump.archive in dump.tar.gz is no whole gzip file: other bytes follow its end")):
        open_dump(tar({"dump.archive": packed + b"x"}), "dump.tar.gz").index()


def test_a_limit_is_kept_in_a_tar_or_bare(tar: Tar) -> None:
    large = bson.encode({"_id": "x" * 90_000})
    content = gzip.compress(prelude("x") + block("x", large) + end("x", large))
    for dump in (io.BytesIO(content), tar({"dump.archive": content})):
        with pytest.raises(Failure, match="holds more than the 50000 bytes that there is room for"):
            open_dump(dump, "dump.tar.gz", Limits(50_000)).index()
