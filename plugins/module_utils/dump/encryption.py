# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encryption of a dump's files with age, streaming; the one file that imports pyrage.

What is written here, the command ``age`` decrypts, and the other way round. The library pulls and pushes by itself, so it works in a thread of
its own behind :class:`EncryptingWriter` and :class:`DecryptingReader`; the memory of both is a few megabytes whatever the size of the data.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Optional, Protocol, cast

from ..core.errors import Failure

try:
    import pyrage
    from pyrage import DecryptError, EncryptError, IdentityError, RecipientError
except ImportError:
    pyrage = None

_WAITING_BYTES = 4 << 20  # that one side may be ahead of the other
_PIECE = 256 << 10  # larger than the library's own, so that a gigabyte is some thousands of hand-overs
_SECRET_KEY = "AGE-SECRET-KEY-"
_NO_KEY_FITS = "No matching keys found"


def refuse_without_library() -> None:
    """:raises Failure: where pyrage is not installed."""
    if pyrage is None:
        raise Failure("The Python library pyrage, which encrypts dumps, is not installed here", "run role `toucan_host` first", subject="pyrage")


def parse_recipients(texts: Sequence[str]) -> list[Any]:
    """Public keys to encrypt for: ``age1…``, or SSH's ``ssh-ed25519 …`` and ``ssh-rsa …``.

    :raises Failure: when there is none, one is no recipient, or one is a secret key, which is then not shown.
    """
    refuse_without_library()
    if not texts:
        raise Failure("A dump cannot be encrypted for nobody", "name at least one age recipient", subject="recipients")
    return [_recipient(text.strip()) for text in texts]


def _recipient(text: str) -> Any:
    remedy = "give a public key that begins with age1, ssh-ed25519 or ssh-rsa"
    if _SECRET_KEY in text.upper() or "PRIVATE KEY" in text.upper():
        raise Failure("One of the age recipients is a secret key", f"{remedy}, and consider the secret key as known", subject="recipients")
    try:
        return pyrage.ssh.Recipient.from_str(text) if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str(text)
    except RecipientError as error:
        raise Failure(f"`{text}` is no age recipient", remedy, subject="recipients", answer=str(error)) from error


def parse_identities(text: str) -> list[Any]:
    """Secret keys from the text of an identity file: lines of ``AGE-SECRET-KEY-1…`` with comments between, or an SSH private key without a passphrase.

    :raises Failure: when there is none or one is no identity; the text is never shown.
    """
    refuse_without_library()
    remedy = "give a file as `age-keygen` writes it, or an SSH private key without a passphrase"
    try:
        if "PRIVATE KEY-----" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (IdentityError, ValueError) as error:
        raise Failure("What was given as age identity is none", remedy, subject="identities") from error
    if not found:
        raise Failure("What was given as age identity holds no key", remedy, subject="identities")
    return found


def seal(content: bytes, recipients: Sequence[Any]) -> bytes:
    """Encrypt what fits in memory. :raises Failure: when the library refuses."""
    try:
        return pyrage.encrypt(content, list(recipients))
    except EncryptError as error:
        raise Failure("Encrypting failed", "check the age recipients", subject="recipients", answer=str(error)) from error


def unseal(content: bytes, identities: Sequence[Any], file: str) -> bytes:
    """Decrypt what fits in memory. :raises Failure: when no identity fits or the content is damaged."""
    try:
        return pyrage.decrypt(content, list(identities))
    except (DecryptError, OSError) as error:
        raise _refused(file, error) from error


def _refused(file: str, error: Exception) -> Failure:
    answer = " ".join(str(error).split())
    if _NO_KEY_FITS in str(error):
        return Failure(
            f"{file} is encrypted, and none of the age identities given fits it", "give the identity of one of its recipients", subject=file, answer=answer
        )
    return Failure(
        f"{file} cannot be decrypted: it is truncated, damaged or no age file ({answer})", "fetch it again from where it came", subject=file, answer=answer
    )


class Writable(Protocol):
    """What is written to: a file, or one of a partial dump."""

    def write(self, data: Any, /) -> int:
        """Write some of it. :returns: how much."""

    def flush(self) -> None:
        """Hold nothing back."""


class _Abandoned(OSError):
    """The other side wants nothing more."""


class _Handover:
    """Bytes from one thread to another, in order, with a limit on how many wait."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._pieces: deque[memoryview] = deque()
        self._waiting = 0
        self._ended = False
        self._abandoned = False

    def write(self, data: Any) -> int:
        piece = memoryview(bytes(data))
        with self._change:
            self._change.wait_for(lambda: self._waiting < _WAITING_BYTES or self._abandoned)
            if self._abandoned:
                raise _Abandoned("nobody reads any more")
            if piece:
                self._pieces.append(piece)
                self._waiting += len(piece)
                self._change.notify_all()
        return len(piece)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none once the writer has ended."""
        with self._change:
            self._change.wait_for(lambda: self._pieces or self._ended or self._abandoned)
            if self._abandoned:
                raise _Abandoned("nobody writes any more")
            if not self._pieces:
                return b""
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
            taken = bytes(piece[:size])
            self._waiting -= len(taken)
            self._change.notify_all()
            return taken

    def flush(self) -> None:
        """Nothing is held back."""

    def end(self) -> None:
        """No more will be written."""
        with self._change:
            self._ended = True
            self._change.notify_all()

    def abandon(self) -> None:
        """Both sides fail from now on."""
        with self._change:
            self._abandoned = True
            self._change.notify_all()


class _Stream:
    """A stream as the library sees it, which remembers its first error: the library tells some of them as text, and some not at all."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.error: Optional[Exception] = None

    def read(self, size: int = -1) -> bytes:
        return self._remembered(lambda: self._stream.read(size))

    def write(self, data: Any) -> int:
        return self._remembered(lambda: self._stream.write(data))

    def flush(self) -> None:
        self._remembered(self._stream.flush)

    def _remembered(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            self.error = self.error or error
            raise


class _Work:
    """A run of the library in a thread of its own, from one stream to another."""

    def __init__(self, transform: Callable[[Any, Any], object], source: Any, sink: Any, at_end: Callable[[], None]) -> None:
        self._transform = transform
        self._source = _Stream(source)
        self._sink = _Stream(sink)
        self._at_end = at_end
        self._refusal: Optional[Exception] = None
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="age", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._transform(self._source, self._sink)
            self._finished = self._source.error is None and self._sink.error is None
        except (EncryptError, DecryptError, OSError) as error:
            self._refusal = error
        finally:
            self._at_end()

    def error(self) -> Optional[Exception]:
        """Wait for its end; the first cause of its failure, ``None`` where all went well."""
        self._thread.join()
        if self._finished:
            return None
        errors = [error for error in (self._source.error, self._sink.error, self._refusal) if error is not None]
        causes = [error for error in errors if not isinstance(error, _Abandoned)]
        return (causes or errors or [OSError("the library ended without a reason")])[0]


class EncryptingWriter:
    """A binary stream that writes to ``out`` encrypted. Within a ``with`` block that fails, the output stays without its end, so that it cannot be
    taken for whole; ``out`` is never closed here.

    :param recipients: from :func:`parse_recipients`.
    :param name: the file, for the sentence.
    """

    def __init__(self, out: Writable, recipients: Sequence[Any], name: str) -> None:
        self._name = name
        self._size = 0
        self._closed = False
        self._handover = _Handover()
        self._work = _Work(lambda source, sink: pyrage.encrypt_io(source, sink, list(recipients)), self._handover, out, self._handover.abandon)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """What was hashed or encrypted cannot be taken back."""
        return False

    def write(self, data: Any) -> int:
        """:raises Failure: when the output could not be written."""
        view = memoryview(data).cast("B")
        try:
            for start in range(0, len(view), _PIECE):
                self._handover.write(view[start : start + _PIECE])
        except _Abandoned:
            self._raise(self._work.error())
        self._size += len(view)
        return len(view)

    def tell(self) -> int:
        """Bytes so far, before their encryption."""
        return self._size

    def flush(self) -> None:
        """What is not yet a whole block stays until :meth:`close`."""

    def close(self) -> None:
        """Write the end. :raises Failure: when the output could not be written."""
        if not self._closed:
            self._closed = True
            self._handover.end()
            self._raise(self._work.error())

    def abandon(self) -> None:
        """Leave the output without its end."""
        self._closed = True
        self._handover.abandon()
        self._work.error()

    def __enter__(self) -> EncryptingWriter:
        return self

    def __exit__(self, kind: Any, *dummy: Any) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _raise(self, error: Optional[Exception]) -> None:
        if isinstance(error, Failure):
            raise error
        if error is not None:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Failure(f"Writing {self._name} failed: {text}", "free space there, or name another folder", subject=self._name, answer=str(error)) from error


def open_decrypted(file: BinaryIO, identities: Sequence[Any], name: str) -> BinaryIO:
    """``file`` decrypted, as :class:`DecryptingReader` reads it, with whole answers to each ``read``."""
    return cast(BinaryIO, io.BufferedReader(DecryptingReader(file, identities, name), _PIECE))


class DecryptingReader(io.RawIOBase):
    """A binary stream that reads ``file`` decrypted; it can be read again after ``seek(0)``, and not be sought elsewhere.

    What it gives out is authentic, but only at its end is it known to be whole: a reader must read until there is no more.

    :param file: the encrypted file, opened and seekable; closed with this stream.
    :param identities: from :func:`parse_identities`.
    :param name: the file, for the sentence.
    """

    def __init__(self, file: BinaryIO, identities: Sequence[Any], name: str) -> None:
        super().__init__()
        self._file = file
        self._identities = list(identities)
        self._name = name
        self._position = 0
        self._handover = _Handover()
        self._work: Optional[_Work] = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) == (self._position, io.SEEK_SET) or (offset, whence) == (0, io.SEEK_CUR):
            return self._position
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("an encrypted file can only be read from its start")
        self._stop()
        self._position = 0
        return 0

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        """:raises Failure: when no identity fits, or the file is damaged or truncated."""
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        if self._work is None:
            self._start()
        piece = self._handover.read(len(view))
        if not piece:
            self._refuse_unfinished()
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._stop()
            self._file.close()
        super().close()

    def _start(self) -> None:
        self._file.seek(0)
        self._handover = _Handover()
        self._work = _Work(
            lambda source, sink: pyrage.decrypt_io(source, sink, self._identities), self._file, self._handover, self._handover.end
        )

    def _stop(self) -> None:
        if self._work is not None:
            self._handover.abandon()
            self._work.error()
            self._work = None

    def _refuse_unfinished(self) -> None:
        if self._work is None:
            return
        error = self._work.error()
        if isinstance(error, Failure):
            raise error
        if error is not None:
            raise _refused(self._name, error) from error
