# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of MongoDB's wire protocol, with and without TLS, and dumps in tars."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import ssl
import struct
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import bson
import pytest

LOCALHOST = "127.0.0.1"
HELLO = {
    "ok": 1,
    "isWritablePrimary": True,
    "helloOk": True,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "maxBsonObjectSize": 1 << 24,
    "maxMessageSizeBytes": 48000000,
    "maxWriteBatchSize": 100000,
    "saslSupportedMechs": ["SCRAM-SHA-256"],
}


@contextmanager
def server(answers: Mapping[str, Any], context: Optional[ssl.SSLContext] = None) -> Iterator[int]:
    """A server that knows its greeting and the commands of `answers`; the port it listens on. It speaks TLS where there is a `context`."""
    with socket.create_server((LOCALHOST, 0)) as listener:

        def serve(plain: socket.socket) -> None:
            # A client that refuses the certificate, or speaks no TLS, hangs up.
            with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) if context else plain as peer:
                talk(peer)

        def talk(peer: socket.socket) -> None:
            with peer.makefile("rb") as stream:
                while True:
                    head = stream.read(16)
                    if len(head) < 16:
                        return
                    size, request, dummy, opcode = struct.unpack("<iiii", head)
                    body = stream.read(size - 16)
                    # OP_MSG has a section of one document after its flags, OP_QUERY one after the collection's name.
                    start = 5 if opcode == 2013 else body.index(b"\0", 4) + 9
                    command = next(iter(bson.decode(body[start : start + struct.unpack_from("<i", body, start)[0]])))
                    answer = bson.encode(answers.get(command, HELLO))
                    if opcode == 2013:
                        reply, kind = struct.pack("<iB", 0, 0) + answer, 2013
                    else:
                        reply, kind = struct.pack("<iqii", 8, 0, 0, 1) + answer, 1
                    peer.sendall(struct.pack("<iiii", 16 + len(reply), 0, request, kind) + reply)

        def accept() -> None:
            while True:
                try:
                    peer, dummy = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(peer,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(name="server")
def _server() -> Callable[..., AbstractContextManager[int]]:
    return server


def tar(content: Mapping[str, bytes] | Path, top: str = "dump", packed: bool = True) -> io.BytesIO:
    """A tar of files by their paths, or of a folder or file under the name `top`, as Python's own library writes it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz" if packed else "w") as archive:
        if isinstance(content, Path):
            archive.add(content, arcname=top)
        else:
            for path, data in content.items():
                member = tarfile.TarInfo(path)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    out.seek(0)
    return out


@pytest.fixture(name="tar")
def _tar() -> Callable[..., io.BytesIO]:
    return tar


class Documents:
    """A visitor that keeps what it is handed, and refuses what comes out of turn."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.found: dict[str, bytes] = {}

    def begin(self, namespace: object) -> None:
        assert str(namespace) not in self.found
        self.open.add(str(namespace))
        self.found[str(namespace)] = b""

    def documents(self, namespace: object, whole_documents: bytes) -> None:
        assert str(namespace) in self.open and whole_documents
        bson.decode_all(whole_documents)
        self.found[str(namespace)] += whole_documents

    def end(self, namespace: object) -> None:
        self.open.remove(str(namespace))


@pytest.fixture
def visitor() -> Documents:
    return Documents()


@dataclass(frozen=True)
class Spooled:
    """A segment as workers make them."""

    path: Path
    size: int
    packed: int


@pytest.fixture
def spool(tmp_path: Path) -> Callable[..., Spooled]:
    """Packs bytes into a file of `members` gzip members."""

    def pack(content: bytes, members: int = 1) -> Spooled:
        cuts = [len(content) * number // members for number in range(members + 1)]
        packed = b"".join(gzip.compress(content[start:end], 1) for start, end in zip(cuts, cuts[1:]))
        path = tmp_path / f"spool-{len(list(tmp_path.iterdir()))}"
        path.write_bytes(packed)
        return Spooled(path, len(content), len(packed))

    return pack
