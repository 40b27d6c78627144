# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the files in a dump folder, as mongodump makes them of the names of collections.

Source: mongo-tools 100, `outputPath` of `mongodump/prepare.go` and `getInfoFromFile` of `mongorestore/filepath.go`.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Optional
from urllib.parse import quote_plus, unquote, unquote_plus

DOCUMENTS, METADATA = ".bson", ".metadata.json"
PACKED = ".gz"
OPLOG, PRELUDE = "oplog.bson", "prelude.json"

#: So that no file name is longer than 255 bytes, `.metadata.json.gz` included.
_STEM_LIMIT = 238
_KEPT = 208
_MARK = "%24"  # an escaped dollar, between what is kept of a name and its hash


def stem(collection: str) -> str:
    """The file name of a collection without its ending; of a very long one its beginning and its hash."""
    escaped = quote_plus(collection)
    if len(escaped) <= _STEM_LIMIT:
        return escaped
    digest = hashlib.sha1(collection.encode(), usedforsecurity=False).digest()
    return escaped[:_KEPT] + _MARK + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_shortened(file_stem: str) -> bool:
    """Whether only the metadata know the collection's real name."""
    return len(file_stem) == _STEM_LIMIT and file_stem[_KEPT:].startswith(_MARK)


def collection_of(file_stem: str) -> str:
    """The collection that a file is of, unless ``is_shortened``. :raises ValueError: when no text was escaped so."""
    return unquote_plus(file_stem, errors="strict")


def names(file_stem: str, collection: str) -> bool:
    """Whether a file of that stem is of that collection, by the spelling of any version of mongodump."""
    return file_stem in (stem(collection), collection) or unquote(file_stem) == collection


def split(file_name: str) -> Optional[tuple[str, str, bool]]:
    """Stem, ending (``DOCUMENTS`` or ``METADATA``) and whether the file is packed on its own; ``None`` for any other file."""
    packed = file_name.endswith(PACKED)
    plain = file_name[: -len(PACKED)] if packed else file_name
    for ending in (METADATA, DOCUMENTS):
        if plain.endswith(ending) and plain != ending:
            return plain[: -len(ending)], ending, packed
    return None
