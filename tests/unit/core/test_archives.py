# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are hostile or damaged are refused in a sentence; those of other programs are read."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.archives import Limits, members
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.gzip_members import MembersReader

from .tar_samples import END, LIMITS, block, file, folder, gnu_tar, hard_link, make_tree, pax, read, record, symlink, tree

NAMES = {
    "absolute": (b"/etc/passwd", "member /etc/passwd is absolute"),
    "double slash": (b"//etc/passwd", "is absolute"),
    "up": (b"../x", "goes through `..`"),
    "up inside": (b"a/../../x", "goes through `..`"),
    "up and back": (b"a/../x", "goes through `..`"),
    "long component": (b"n" * 256, "has a name that no file can have"),
    "deep": (b"d/" * 200 + b"f", "has a name that no file can have"),
    "no name": (b"", "has a name that no file can have"),
    "top": (b"./", "has the name of a folder and is none"),
    "folder": (b"a/", "has the name of a folder and is none"),
}


def refusal(content: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Failure) as caught:
        read(content, limits)
    assert "storage.tar.gz" in caught.value.problem
    return str(caught.value)


@pytest.mark.parametrize("name, words", NAMES.values(), ids=NAMES.keys())
def test_a_name_that_leaves_the_tree_or_fits_no_file_is_refused(name: bytes, words: str) -> None:
    content = file(name) if len(name) <= 100 else pax(record(b"path", name)) + file()
    assert words in refusal(content + END)


def test_a_name_in_parts_is_checked_as_one() -> None:
    assert "is absolute" in refusal(file(b"x", prefix=b"/a") + END)
    assert "goes through" in refusal(file(b"x", prefix=b"a/..") + END)


@pytest.mark.parametrize("name", [b"line\nbreak", b"\xff\xfe", "é".encode(), b"a b", b"-rf", b"~", b"$(x)", b"..."])
def test_any_name_that_a_file_can_have_is_read(name: bytes) -> None:
    assert list(read(file(name) + END)) == [name]
    assert list(read(pax(record(b"path", b"a/" + name)) + file() + END)) == [b"a/" + name]


def test_a_name_is_told_without_its_control_characters() -> None:
    told = refusal(file(b"a/../\n\x1b[31m\xff") + END)
    assert "member a/../\\n\\x1b[31m\\xff goes" in told


@pytest.mark.parametrize("kind, words", [(b"3", "a character device"), (b"4", "a block device"), (b"6", "a fifo"), (b"S", "a sparse file"), (b"D", "unknown")])
def test_what_is_neither_file_nor_folder_nor_link_is_refused(kind: bytes, words: str) -> None:
    assert words in refusal(block(b"x", kind) + END)


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1644, 0o6777, 0o104755])
def test_a_file_that_runs_as_another_is_refused(mode: int) -> None:
    assert "with a bit that lets it run as another user" in refusal(file(mode=mode) + END)


def test_a_folder_may_hand_down_its_group_and_hold_what_only_owners_remove() -> None:
    assert set(read(folder(b"a", mode=0o2770) + folder(b"b", mode=0o1777) + END)) == {b"a", b"b"}
    assert "has the mode 4755" in refusal(folder(b"a", mode=0o4755) + END)


@pytest.mark.parametrize("second", [file(b"a"), file(b"./a"), file(b".//a"), folder(b"a"), symlink(b"a", b"b"), pax(record(b"path", b"a")) + file(b"b")])
def test_a_member_that_comes_twice_is_refused(second: bytes) -> None:
    assert "comes twice" in refusal(file(b"a") + second + END)


def test_a_folder_may_come_after_what_it_holds_but_not_twice() -> None:
    assert list(read(file(b"a/b") + folder(b"a/") + END)) == [b"a/b", b"a"]
    assert "member a/ comes twice" in refusal(folder(b"a") + folder(b"a/") + END)
    assert "member a comes twice" in refusal(file(b"a/b") + file(b"a") + END)


@pytest.mark.parametrize(
    "place, target",
    [
        (b"a", b"/etc"),
        (b"a", b".."),
        (b"a", b"../b"),
        (b"d/a", b"../.."),
        (b"d/a", b"../../x"),
        (b"a", b"b/../../x"),
        (b"a", b"./../d"),
        (b"a", b""),
        (b"a", b"x" * 99 + b"\0"),
    ],
)
def test_a_link_that_leaves_the_tree_is_refused(place: bytes, target: bytes) -> None:
    content = symlink(place, target) if b"\0" not in target else pax(record(b"linkpath", b"a\0b")) + symlink(place, b"x")
    assert "is a link" in refusal(content + END)


@pytest.mark.parametrize(
    "place, target", [(b"a", b"."), (b"a", b"b"), (b"d/a", b".."), (b"d/e/a", b"../../x"), (b"d/a", b"b/../../x"), (b"a", b"b/../c"), (b"a", b"a")]
)
def test_a_link_that_stays_inside_is_kept(place: bytes, target: bytes) -> None:
    assert read(symlink(place, target) + END)[place] == ("symlink", b"")


def test_links_that_leave_together_are_refused() -> None:
    up = symlink(b"d/e/up", b"../..")
    out = symlink(b"out", b"d/e/up/../secret")
    for content in (up + out, out + up):
        assert "member out is a link that leaves the folder, through another link" in refusal(content + END)
    assert len(read(up + symlink(b"in", b"d/e/up/x") + END)) == 2
    round_and_round = symlink(b"one", b"d/../two") + symlink(b"two", b"d/../one")
    assert len(read(round_and_round + END)) == 2


def test_another_name_of_a_link_is_judged_at_its_own_place() -> None:
    inner = symlink(b"a/b/link", b"../../x")
    assert "is a link that leaves the folder" in refusal(inner + hard_link(b"link", b"a/b/link") + END)
    assert read(inner + hard_link(b"a/c/link", b"a/b/link") + END)[b"a/c/link"][0] == "symlink"


@pytest.mark.parametrize("first", [symlink(b"a", b"d"), file(b"a"), file(b"x") + hard_link(b"a", b"x")])
def test_nothing_stands_below_what_is_no_folder(first: bytes) -> None:
    assert "member a/b stands below a" in refusal(folder(b"d") + first + file(b"a/b") + END)


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../x", b"missing", b"d", b"."])
def test_a_hard_link_to_anything_but_a_file_before_it_is_refused(target: bytes) -> None:
    assert "is a hard link to" in refusal(folder(b"d") + file(b"x") + hard_link(b"a", target) + END)


def test_a_hard_link_to_itself_or_to_what_follows_is_refused() -> None:
    assert "no file before it" in refusal(hard_link(b"a", b"x") + file(b"x") + END)
    assert "comes twice" in refusal(file(b"a") + hard_link(b"a", b"a") + END)


# -- sizes and headers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header, words",
    [
        (block(fields={124: b"\xff" * 12}), "a size is negative"),
        (block(fields={124: b"\x80" + b"\0" * 3 + b"\x7f" * 8}), "holds more than"),
        (block(fields={124: b"77777777777"}), "holds more than"),
        (block(fields={124: b"-0000000001"}), "the size in a header is no number"),
        (block(fields={124: b"12x45678901"}), "the size in a header is no number"),
        (block(fields={108: b"\xff" * 8}), "has an owner that there is none of"),
        (block(fields={108: b"\x80\0\0\0\xff\xff\xff\xff"}), "has an owner that there is none of"),
        (block(fields={136: b"\x80" + b"\x7f" * 11}), "has a time that no file can have"),
        (pax(record(b"size", b"-1")) + block(), "the size in an extended header is no number"),
        (pax(record(b"size", b"9" * 20)) + block(), "holds more than"),
        (pax(record(b"size", b"1" * 21)) + block(), "is no number"),
        (pax(record(b"size", "٣".encode())) + block(), "is no number"),
        (pax(record(b"uid", b"1e3")) + block(), "the uid in an extended header is no number"),
        (pax(record(b"mtime", b"inf")) + block(), "is no time"),
        (pax(record(b"mtime", b"1" * 20)) + block(), "has a time that no file can have"),
        (pax(record(b"path", b"/etc/passwd")) + block(), "is absolute"),
        (pax(record(b"path", b"a\0b")) + block(), "has a zero byte in its name"),
        (pax(record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.realsize", b"9" * 15)) + file(), "is a sparse file"),
        (pax(record(b"path", b"a") * 2) + block(), "has two values of path"),
        (pax(record(b"path", b"a")) * 2 + block(), "a member has two extended headers"),
        (pax(record(b"path", b"a"), b"g") + block(), "a header for all members gives them a name"),
        (pax(record(b"size", b"0"), b"g") + block(), "a header for all members gives them a name"),
        (pax(b"99 path=a\n") + block(), "an extended header is not whole"),
        (pax(b"9 path=abc\n") + block(), "an extended header is not whole"),
        (pax(b"0 path=abc\n") + block(), "an extended header is not whole"),
        (pax(b"\xff" * 700) + block(), "an extended header is not whole"),
        (block(b"p", b"x", 2_000_000), "an extended header has 2000000 bytes"),
        (pax(record(b"path", b"a")), "a header fails its checksum"),
        (block(b"", b"L", 5) + (b"a\0b\0\0").ljust(512, b"\0") + block(), "has a zero byte in its name"),
        (block(b"d", b"5", 512) + bytes(512), "has content and is no file"),
        (block(b"l", b"2", 512, target=b"x") + bytes(512), "has content and is no file"),
    ],
)
def test_numbers_and_headers_that_lie_are_refused(header: bytes, words: str) -> None:
    assert words in refusal(header + END)


def test_an_extended_header_is_honoured() -> None:
    records = record(b"path", b"real") + record(b"size", b"3") + record(b"uid", b"4000000") + record(b"mtime", b"-1.5") + record(b"comment", b"\xff")
    content = pax(records) + block(b"told", size=0) + b"abc".ljust(512, b"\0") + END
    member = next(members(io.BytesIO(content), "x", LIMITS))
    assert (member.path, member.size, member.uid, member.mtime_ns) == (b"real", 3, 4_000_000, -1_500_000_000)
    assert read(pax(record(b"comment", b"a commit"), b"g") + content)[b"real"] == ("file", b"abc")


def test_old_headers_are_read() -> None:
    old = block(b"d/", b"\0", magic=b"\0" * 8) + block(b"d/f", b"\0", 2, magic=b"\0" * 8, prefix=b"not a prefix") + b"hi".ljust(512, b"\0")
    assert read(old + END) == {b"d": ("directory", b""), b"d/f": ("file", b"hi")}


# -- bombs ----------------------------------------------------------------------------------------------------------------


def test_an_archive_that_would_fill_the_disk_is_refused_before_it_is_read() -> None:
    told = refusal(file(content=bytes(5000)) + END, Limits(expanded=5000))
    assert "holds more than the 5000 bytes that there is room for" in told
    assert "holds more than" in refusal(b"".join(file(b"%d" % number, b"") for number in range(9)) + END, Limits(expanded=4096))
    assert "holds more than" in refusal(file() + END + bytes(100_000), Limits(expanded=50_000))


def test_members_are_counted_with_the_folders_that_they_imply() -> None:
    assert "has more than 3 members" in refusal(b"".join(folder(b"%d" % number) for number in range(4)) + END, Limits(10_000_000, 3))
    assert "has more than 3 members" in refusal(file(b"a/b/c/d") + file(b"e") + END, Limits(10_000_000, 3))


def test_a_packed_bomb_ends_at_the_limit() -> None:
    bomb = gzip.compress(block(size=1 << 31) + bytes(50_000_000))
    assert len(bomb) < 60_000
    stream = io.BytesIO(bomb)
    with pytest.raises(Failure, match="holds more than"):
        list(members(MembersReader(stream, "x"), "x", LIMITS))


# -- damage ---------------------------------------------------------------------------------------------------------------

WHOLE = folder(b"d/") + file(b"d/one", b"1" * 700) + pax(record(b"path", b"d/" + b"n" * 150)) + file(b"x", b"2" * 10) + symlink(b"l", b"d/one") + END


@pytest.mark.parametrize("size", range(0, len(WHOLE), 512))
def test_an_archive_cut_at_the_border_of_a_block_is_refused(size: int) -> None:
    assert "it is cut off" in refusal(WHOLE[:size])


def test_an_archive_cut_anywhere_is_refused() -> None:
    random_places = random.Random(6)
    for dummy in range(300):
        assert "it is cut off" in refusal(WHOLE[: random_places.randrange(len(WHOLE))])


def test_the_whole_one_is_read() -> None:
    assert list(read(WHOLE)) == list(read(WHOLE + bytes(9216))) == [b"d", b"d/one", b"d/" + b"n" * 150, b"l"]


@pytest.mark.parametrize("rest", [b"x", file(b"hidden") + END, bytes(512) + b"\0x", bytes(70_000) + b"x"])
def test_what_follows_the_end_is_refused(rest: bytes) -> None:
    assert "other bytes follow its end" in refusal(WHOLE + rest)


def test_one_block_is_no_end() -> None:
    assert "marked by one block alone" in refusal(file() + bytes(512) + file(b"more") + END)


def test_a_flipped_bit_in_a_header_is_found_or_harmless() -> None:
    expected = read(WHOLE)
    headers = [place for place in range(0, len(WHOLE) - 1024, 512) if WHOLE[place + 257 : place + 262] == b"ustar"]
    assert len(headers) == 5
    found = 0
    for bit in (8 * place + offset for place in headers for offset in range(8 * 512)):
        flipped = bytearray(WHOLE)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert read(bytes(flipped)) == expected
        except Failure:
            found += 1
    assert found > 0.99 * 5 * 8 * 512


# -- other programs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["gnu", "posix", "ustar", "v7", "oldgnu"])
def test_what_gnu_tar_writes_is_read(tmp_path: Path, form: str) -> None:
    top = tmp_path / "tree"
    if form in ("ustar", "v7"):  # neither holds long names, large numbers or times before 1970
        (top / "d").mkdir(parents=True)
        (top / "d" / "one").write_bytes(b"1" * 3000)
        os.link(top / "d" / "one", top / "two")
        (top / "l").symlink_to("d/one")
    else:
        make_tree(top)
    gnu_tar("-c", f"--format={form}", "-f", tmp_path / "a.tar", "-C", top, ".")
    found = read((tmp_path / "a.tar").read_bytes(), Limits(10**9))
    expected = tree(top)
    assert set(found) - {b"."} == set(expected) - {b""}
    whole = {path: content for path, (kind, content) in found.items() if kind == "file" and content}
    assert whole and all(expected[path][4] == content for path, content in whole.items())


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_python_writes_is_read(form: Any) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in {"dump/é.bson": b"1" * 600, "dump/" + "m" * 90 + "/" + "n" * 95: b"", "dump/empty": b""}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert {path: content for path, (dummy, content) in read(buffer.getvalue()).items()} == {
        "dump/é.bson".encode(): b"1" * 600,
        b"dump/" + b"m" * 90 + b"/" + b"n" * 95: b"",
        b"dump/empty": b"",
    }


def test_content_that_is_not_asked_for_is_passed_over() -> None:
    assert [member.path for member in members(io.BytesIO(WHOLE), "x", LIMITS)] == list(read(WHOLE))
