# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of tar archives, to and from bytes.

Sources: POSIX.1-2008, `pax`, "ustar Interchange Format" and "pax Extended Header"; GNU tar's manual, "Basic Tar Format", for base-256 numbers and
the members `L` and `K`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

BLOCK = 512
ZEROS = bytes(BLOCK)

FILE, HARD_LINK, SYMLINK, DIRECTORY = b"0", b"1", b"2", b"5"
PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK = b"x", b"g", b"L", b"K"

_CHECKSUM = slice(148, 156)
_GNU_MAGIC = b"ustar  \0"
_USTAR_MAGIC = b"ustar\0"
_NUMBER = re.compile(rb" *([0-7]+)[ \0]*")
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\0]+)=")
_PAX_NUMBER = re.compile(rb"[0-9]{1,20}")
_PAX_TIME = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]+))?")
_NAME_LIMIT = 100  # bytes in a header; a longer one stands in a pax record
_OCTAL_LIMIT = 1 << 33  # of size and time
_ID_LIMIT = 1 << 21


class BrokenTar(ValueError):
    """A header that is none, with the reason as a clause."""


@dataclass(frozen=True)
class Header:
    """What one header block says, or a member with its extended headers taken in.

    :param kind: the type flag; an old archive's empty one has become that of a file or folder.
    :param target: of a link, as written. ``size`` is that of the content which follows.
    """

    path: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int = 0
    mtime_ns: int = 0
    target: bytes = b""


def padding(size: int) -> int:
    """Bytes from the end of a content to the next block."""
    return -size % BLOCK


def parse_block(block: bytes) -> Header:
    """The header in a block of 512 bytes. :raises BrokenTar: when its checksum or a number in it is wrong."""
    _check(block)
    magic = block[257:265]
    prefix = _text(block[345:500]) if magic.startswith(_USTAR_MAGIC) and magic != _GNU_MAGIC else b""
    name = _text(block[:100])
    kind = block[156:157]
    if kind in (b"\0", b"7"):
        kind = DIRECTORY if name.endswith(b"/") and kind == b"\0" else FILE
    return Header(
        path=prefix + b"/" + name if prefix else name,
        kind=kind,
        mode=_number(block[100:108], "mode"),
        uid=_number(block[108:116], "user"),
        gid=_number(block[116:124], "group"),
        size=_size(_number(block[124:136], "size")),
        mtime_ns=_number(block[136:148], "time") * 10**9,
        target=_text(block[157:257]),
    )


def parse_pax(content: bytes) -> dict[bytes, bytes]:
    """The records of a pax header by keyword. :raises BrokenTar: when they are not whole."""
    records: dict[bytes, bytes] = {}
    place = 0
    while place < len(content):
        found = _PAX_RECORD.match(content, place)
        end = place + int(found[1]) if found else 0
        if not found or found.end() >= end or end > len(content) or content[end - 1 : end] != b"\n":
            raise BrokenTar("an extended header is not whole")
        if found[2] in records:
            raise BrokenTar(f"an extended header has two values of {found[2].decode(errors='backslashreplace')}")
        records[found[2]] = content[found.end() : end - 1]
        place = end
    return records


def pax_number(records: dict[bytes, bytes], key: bytes, usual: int) -> int:
    """A whole number of a pax header, ``usual`` where it has none. :raises BrokenTar: when it is negative or no number."""
    value = records.get(key)
    if not value:
        return usual
    if not _PAX_NUMBER.fullmatch(value):
        raise BrokenTar(f"the {key.decode()} in an extended header is no number")
    return int(value)


def pax_time(records: dict[bytes, bytes], usual: int) -> int:
    """The time of change in nanoseconds since 1970; parts of one are cut off. :raises BrokenTar: when it is no number."""
    value = records.get(b"mtime")
    if not value:
        return usual
    found = _PAX_TIME.fullmatch(value)
    if not found:
        raise BrokenTar("the mtime in an extended header is no time")
    nanoseconds = int(found[2]) * 10**9 + int((found[3] or b"0")[:9].ljust(9, b"0"))
    return -nanoseconds if found[1] else nanoseconds


def encode(header: Header) -> bytes:
    """The blocks that stand before a member's content: a pax header too where the plain one cannot tell all."""
    records = _pax_records(header)
    plain = _block(header)
    if not records:
        return plain
    content = b"".join(_record(key, value) for key, value in records.items())
    extended = Header(b"././@PaxHeader", PAX, 0o644, 0, 0, len(content))
    return _block(extended) + content + bytes(padding(len(content))) + plain


def end_mark() -> bytes:
    """What ends an archive."""
    return 2 * ZEROS


def _pax_records(header: Header) -> dict[bytes, bytes]:
    records = {}
    if len(header.path) > _NAME_LIMIT:
        records[b"path"] = header.path
    if len(header.target) > _NAME_LIMIT:
        records[b"linkpath"] = header.target
    if header.size >= _OCTAL_LIMIT:
        records[b"size"] = b"%d" % header.size
    for key, number in ((b"uid", header.uid), (b"gid", header.gid)):
        if number >= _ID_LIMIT:
            records[key] = b"%d" % number
    if header.mtime_ns % 10**9 or not 0 <= header.mtime_ns < _OCTAL_LIMIT * 10**9:
        records[b"mtime"] = _time(header.mtime_ns)
    return records


def _time(nanoseconds: int) -> bytes:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    fraction = (b".%09d" % rest).rstrip(b"0") if rest else b""
    return (b"-" if nanoseconds < 0 else b"") + b"%d" % seconds + fraction


def _record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE``; the length counts its own digits, too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _block(header: Header) -> bytes:
    seconds = header.mtime_ns // 10**9
    block = b"".join(
        (
            header.path[:_NAME_LIMIT].ljust(100, b"\0"),
            b"%07o\0" % header.mode,
            b"%07o\0" % (header.uid if header.uid < _ID_LIMIT else 0),
            b"%07o\0" % (header.gid if header.gid < _ID_LIMIT else 0),
            b"%011o\0" % (header.size if header.size < _OCTAL_LIMIT else 0),
            b"%011o\0" % (seconds if 0 <= seconds < _OCTAL_LIMIT else 0),
            b"        ",
            header.kind,
            header.target[:_NAME_LIMIT].ljust(100, b"\0"),
            _USTAR_MAGIC + b"00",
        )
    ).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _check(block: bytes) -> None:
    if len(block) != BLOCK:
        raise BrokenTar("it is cut off")
    told = _number(block[_CHECKSUM], "checksum")
    rest = block[:148] + b"        " + block[156:]
    # Some old writers summed up signed bytes, as GNU tar's manual tells.
    if told != sum(rest) and told != sum(rest) - 256 * sum(byte > 127 for byte in rest):
        raise BrokenTar("a header fails its checksum")


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _number(field: bytes, name: str) -> int:
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    found = _NUMBER.fullmatch(field)
    if found:
        return int(found[1], 8)
    if field.strip(b" \0"):
        raise BrokenTar(f"the {name} in a header is no number")
    return 0


def _size(size: int) -> int:
    if size < 0:
        raise BrokenTar("a size is negative")
    return size
