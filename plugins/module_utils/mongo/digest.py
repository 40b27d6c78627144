# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells whether two sets of BSON documents are the same, byte for byte."""

from __future__ import annotations

import hashlib
import struct

from .frames import LENGTH, MAX_DOCUMENT_BYTES, MIN_DOCUMENT_BYTES, Buffer, broken_at, count_documents

_MODULUS = 1 << 256


class DocumentsDigest:
    """The sum, modulo 2**256, of the SHA-256 of each document.

    It depends neither on the order of the documents nor on how they were shared out between workers, so that what a server gives back in another
    order compares equal. Documents that are there twice count twice.
    """

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._sum = 0

    def add(self, document: Buffer) -> None:
        """Count one document in. What it holds is not looked at."""
        self._sum += int.from_bytes(hashlib.sha256(document).digest(), "big")
        self.count += 1
        self.size += len(document)

    def add_batch(self, batch: Buffer) -> None:
        """Count in all documents of a buffer that holds whole ones.

        :raises BrokenBson: when it holds anything else; nothing of it is counted then.
        """
        view = memoryview(batch)
        size, offset, count, total = len(view), 0, 0, 0
        unpack, sha256, number = LENGTH.unpack_from, hashlib.sha256, int.from_bytes
        try:
            while offset < size:
                (length,) = unpack(view, offset)
                end = offset + length
                if not MIN_DOCUMENT_BYTES <= length <= MAX_DOCUMENT_BYTES or end > size or view[end - 1]:
                    raise broken_at(view, offset)
                total += number(sha256(view[offset:end]).digest(), "big")
                count += 1
                offset = end
        except struct.error:
            raise broken_at(view, offset) from None
        self._sum += total
        self.count += count
        self.size += size

    def merge(self, other: DocumentsDigest) -> None:
        """Count in what another worker counted."""
        self._sum += other._sum
        self.count += other.count
        self.size += other.size

    def hexdigest(self) -> str:
        """64 hexadecimal digits, big endian."""
        return f"{self._sum % _MODULUS:064x}"


class SequenceDigest:
    """The SHA-256 of documents one after another, for capped collections, whose order is a part of what they hold."""

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, document: Buffer) -> None:
        """Count one document in. What it holds is not looked at."""
        self._hash.update(document)
        self.count += 1
        self.size += len(document)

    def add_batch(self, batch: Buffer) -> None:
        """Count in all documents of a buffer that holds whole ones.

        :raises BrokenBson: when it holds anything else; nothing of it is counted then.
        """
        count = count_documents(batch)
        self._hash.update(batch)
        self.count += count
        self.size += len(batch)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()
