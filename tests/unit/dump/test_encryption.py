# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is encrypted here, `age` decrypts, and the other way round; what cannot be decrypted is one sentence."""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import encryption
from hypothesis import given, settings
from hypothesis import strategies as st

pyrage = pytest.importorskip("pyrage", reason="the library pyrage is not installed in this environment")

with_age = pytest.mark.skipif(not shutil.which("age"), reason="the command age is not on PATH")
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENTS = encryption.parse_recipients([str(IDENTITY.to_public())])
IDENTITIES = encryption.parse_identities(str(IDENTITY))
NAME = "/dumps/x/mongodump.tar.gz.age"


def encrypted(content: bytes, piece: int = 0) -> bytes:
    out = io.BytesIO()
    with encryption.EncryptingWriter(out, RECIPIENTS, NAME) as writer:
        for start in range(0, len(content), piece or max(len(content), 1)):
            writer.write(content[start : start + (piece or len(content))])
        assert writer.tell() == len(content)
    return out.getvalue()


def reader(content: bytes, identities: Any = None) -> encryption.DecryptingReader:
    return encryption.DecryptingReader(io.BytesIO(content), IDENTITIES if identities is None else identities, NAME)


@settings(max_examples=40)
@given(st.binary(max_size=300_000), st.integers(1, 100_000))
def test_every_content_makes_the_round_trip(content: bytes, piece: int) -> None:
    with reader(encrypted(content, piece)) as decrypted:
        assert decrypted.read() == content


def test_it_is_read_again_from_its_start() -> None:
    content = os.urandom(9 << 20)  # more than may wait between the threads
    with reader(encrypted(content)) as decrypted:
        assert decrypted.read(10) == content[:10]
        assert decrypted.tell() == 10
        assert decrypted.seek(0) == 0
        assert decrypted.read() == content
        assert decrypted.seek(0) == 0
        assert decrypted.read(5) == content[:5]
        assert decrypted.seek(5) == 5
        assert decrypted.seek(0, io.SEEK_CUR) == 5
        with pytest.raises(io.UnsupportedOperation):
            decrypted.seek(4)
        assert decrypted.seekable() and decrypted.readable() and not decrypted.writable()
    assert decrypted.closed


def test_it_is_sought_to_its_start_behind_a_buffer() -> None:
    content = os.urandom(1 << 20)
    with encryption.open_decrypted(io.BytesIO(encrypted(content)), IDENTITIES, NAME) as decrypted:
        for size in (5, 600_000, 1 << 20, -1):
            assert decrypted.read(size) == (content[:size] if size >= 0 else content)
            decrypted.seek(0)


def test_nothing_stays_of_a_reader_that_was_closed_early() -> None:
    before = threading.active_count()
    with reader(encrypted(bytes(9 << 20))) as decrypted:
        decrypted.read(1)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_memory_does_not_grow_with_the_data() -> None:
    class Sparse(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return len(data)

    piece = bytes(1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with encryption.EncryptingWriter(cast(BinaryIO, Sparse()), RECIPIENTS, NAME) as writer:
        for dummy in range(200):
            writer.write(piece)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10


@with_age
@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_the_command_decrypts_what_is_encrypted_here(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "key").write_text(str(IDENTITY))
    answer = subprocess.run(["age", "-d", "-i", tmp_path / "key"], input=encrypted(content), capture_output=True, check=True)
    assert answer.stdout == content


@with_age
@pytest.mark.parametrize("size", [0, 1, 65536, 1_000_000])
def test_what_the_command_encrypts_is_decrypted_here(size: int) -> None:
    content = os.urandom(size)
    answer = subprocess.run(["age", "-r", str(IDENTITY.to_public())], input=content, capture_output=True, check=True)
    with reader(answer.stdout) as decrypted:
        assert decrypted.read() == content


@pytest.mark.skipif(not shutil.which("age-keygen"), reason="the command age-keygen is not on PATH")
def test_a_file_of_age_keygen_is_an_identity(tmp_path: Path) -> None:
    subprocess.run(["age-keygen", "-o", tmp_path / "key"], check=True, capture_output=True)
    public = subprocess.run(["age-keygen", "-y", tmp_path / "key"], check=True, capture_output=True, text=True).stdout
    sealed = encryption.seal(b"content", encryption.parse_recipients([public]))
    assert encryption.unseal(sealed, encryption.parse_identities((tmp_path / "key").read_text()), NAME) == b"content"


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="the command ssh-keygen is not on PATH")
def test_ssh_keys_are_recipients_and_identities(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    sealed = encryption.seal(b"content", encryption.parse_recipients([(tmp_path / "key.pub").read_text()]))
    assert encryption.unseal(sealed, encryption.parse_identities((tmp_path / "key").read_text()), NAME) == b"content"


def test_each_of_several_recipients_can_read_it() -> None:
    others = [pyrage.x25519.Identity.generate() for dummy in range(2)]
    sealed = encryption.seal(b"content", encryption.parse_recipients([str(other.to_public()) for other in others]))
    for other in others:
        assert encryption.unseal(sealed, encryption.parse_identities(f"# a comment\n\n{other}\n"), NAME) == b"content"


def test_a_wrong_identity_is_a_sentence() -> None:
    wrong = [pyrage.x25519.Identity.generate()]
    sentence = f"^{NAME} is encrypted, and none of the age identities given fits it; give the identity of one of its recipients.$"
    with reader(encrypted(b"content"), wrong) as decrypted, pytest.raises(Failure, match=sentence):
        decrypted.read()
    with pytest.raises(Failure, match=sentence):
        encryption.unseal(encrypted(b"content"), wrong, NAME)


CONTENT = bytes(range(256)) * 1000
WHOLE = encrypted(CONTENT)


@settings(max_examples=60)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_truncated_file_is_a_sentence(length: int) -> None:
    damaged(WHOLE[:length])


@settings(max_examples=60)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_a_sentence(place: int, bit: int) -> None:
    damaged(WHOLE[:place] + bytes([WHOLE[place] ^ (1 << bit)]) + WHOLE[place + 1 :])


@pytest.mark.parametrize("content", [b"", b"hello", WHOLE + b"x", WHOLE + WHOLE, b"-----BEGIN AGE ENCRYPTED FILE-----\n"])
def test_what_is_no_age_file_is_a_sentence(content: bytes) -> None:
    damaged(content)


def damaged(content: bytes) -> None:
    """See that what comes out is never more than what was put in, and that reading ends with one sentence, each time."""
    with reader(content) as decrypted:
        for dummy in range(2):
            decrypted.seek(0)
            got = b""
            with pytest.raises(Failure) as caught:
                while True:
                    piece = decrypted.read(65536)
                    assert piece, "a damaged file ended as if it were whole"
                    got += piece
            assert CONTENT.startswith(got)
            # A bit in the header may as well make it a file for somebody else.
            assert "cannot be decrypted: it is truncated, damaged or no age file" in str(caught.value) or "none of the age identities" in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_block_that_fails_leaves_no_whole_file() -> None:
    out = io.BytesIO()
    with pytest.raises(KeyError), encryption.EncryptingWriter(out, RECIPIENTS, NAME) as writer:
        writer.write(bytes(1000))
        raise KeyError
    damaged(out.getvalue())


class Full(io.RawIOBase):
    """A disk with some room; the error is raised late too, when the library has stopped looking."""

    def __init__(self, room: int, error: Exception) -> None:
        super().__init__()
        self.room = room
        self.error = error

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise self.error
        return len(data)


@pytest.mark.parametrize(("room", "size"), [(0, 10), (100, 10), (100, 65536), (70_000, 8 << 20), (1 << 20, 8 << 20)])
def test_a_full_disk_is_a_sentence(room: int, size: int) -> None:
    with (
        pytest.raises(Failure, match=f"Writing {NAME} failed: No space left on device; free space there"),
        encryption.EncryptingWriter(cast(BinaryIO, Full(room, OSError(28, "No space left on device"))), RECIPIENTS, NAME) as writer,
    ):
        for dummy in range(0, size, 65536):
            writer.write(bytes(min(size, 65536)))


def test_a_failure_of_the_file_itself_is_told_as_it_is() -> None:
    failure = Failure("Writing it failed", "do something", subject="x")
    with pytest.raises(Failure) as caught, encryption.EncryptingWriter(cast(BinaryIO, Full(0, failure)), RECIPIENTS, NAME) as writer:
        writer.write(b"x")
    assert caught.value is failure


def test_a_disk_that_fails_while_reading_is_a_sentence() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with encryption.DecryptingReader(Failing(WHOLE), IDENTITIES, NAME) as decrypted, pytest.raises(Failure, match="Input/output error"):
        decrypted.read()


@pytest.mark.parametrize("text", ["", "age1xyz", "me@example.com", "ssh-ed25519 AAAA", str(IDENTITY.to_public())[:-1]])
def test_what_is_no_recipient_is_a_sentence(text: str) -> None:
    with pytest.raises(Failure, match=f"^`{text}` is no age recipient; give a public key"):
        encryption.parse_recipients([text])


@pytest.mark.parametrize("text", [str(IDENTITY), str(IDENTITY).lower(), f"  {IDENTITY}x", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"])
def test_a_secret_key_among_recipients_is_not_shown(text: str) -> None:
    with pytest.raises(Failure) as caught:
        encryption.parse_recipients([text])
    assert "is a secret key" in str(caught.value)
    assert text.strip() not in str(caught.value.facts())


def test_nobody_to_encrypt_for_is_a_sentence() -> None:
    with pytest.raises(Failure, match="cannot be encrypted for nobody"):
        encryption.parse_recipients([])
    with pytest.raises(Failure, match="Encrypting failed; check the age recipients"):
        encryption.seal(b"", [])


@pytest.mark.parametrize(
    "text",
    ["", "# a comment", str(IDENTITY)[:-1], "hunter2", "\ud800", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n"],
)
def test_what_is_no_identity_is_a_sentence_without_it(text: str) -> None:
    with pytest.raises(Failure, match="^What was given as age identity (is none|holds no key); give a file") as caught:
        encryption.parse_identities(text)
    assert "hunter2" not in str(caught.value.facts())


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "pyrage", None)
    for refused in (encryption.refuse_without_library, lambda: encryption.parse_recipients(["x"]), lambda: encryption.parse_identities("x")):
        with pytest.raises(Failure, match="pyrage, which encrypts dumps, is not installed here; run role `toucan_host` first"):
            refused()
