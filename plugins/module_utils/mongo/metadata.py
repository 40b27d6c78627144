# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a collection is besides its documents, as mongodump writes it down in `*.metadata.json` and in the prelude of an archive.

Source: mongo-tools 100, `mongodump/metadata_dump.go`; the JSON is MongoDB's canonical Extended JSON 2, in older dumps a relaxed or legacy spelling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core.errors import Failure

try:
    import bson
    from bson import json_util
    from bson.codec_options import DatetimeConversion
    from bson.errors import BSONError
    from bson.son import SON
except ImportError:
    bson = None

COLLECTION, VIEW, TIME_SERIES = "collection", "view", "timeseries"
#: Names the collection that holds the documents of a time series, in MongoDB 5 to 8 (later ones have them in the series itself).
BUCKETS = "system.buckets."

_KNOWN_KEYS = ("options", "indexes", "uuid", "collectionName", "type")
_NUMBERS = ("$numberInt", "$numberLong", "$numberDouble", "$numberDecimal")
#: What stands for one value. `$regex` with `$options` is left as it is: it is also a condition, and means the same there.
_WRAPPERS = {
    *(frozenset([name]) for name in _NUMBERS),
    *(frozenset([name]) for name in ("$oid", "$date", "$timestamp", "$binary", "$uuid", "$regularExpression", "$minKey", "$maxKey")),
    *(frozenset([name]) for name in ("$code", "$symbol", "$dbPointer", "$undefined")),
    frozenset(["$binary", "$type"]),
    frozenset(["$code", "$scope"]),
}


@dataclass(frozen=True, order=True)
class Namespace:
    """A collection's full name."""

    database: str
    collection: str

    def __str__(self) -> str:
        return f"{self.database}.{self.collection}"


@dataclass(frozen=True)
class CollectionMetadata:
    """What a collection is besides its documents; keys keep their order, values their BSON types.

    :param type: ``collection``, ``view`` or ``timeseries``.
    :param options: as `listCollections` tells them; a view's source and pipeline, too.
    :param indexes: as `listIndexes` tells them.
    :param uuid: the 16 bytes by which the server knew the collection; a view has none.
    """

    type: str = COLLECTION
    options: Mapping[str, Any] = field(default_factory=dict)
    indexes: Sequence[Mapping[str, Any]] = ()
    uuid: Optional[bytes] = None


@dataclass(frozen=True)
class MetadataFile:
    """What a `*.metadata.json` said.

    :param collection: the collection's real name; empty in dumps before mongodump 4.4, whose file names tell it.
    :param unknown: keys that mongodump did not have when this was written.
    """

    metadata: CollectionMetadata
    collection: str = ""
    unknown: tuple[str, ...] = ()


def to_json(metadata: CollectionMetadata, collection: str) -> bytes:
    """The content of `*.metadata.json`.

    :raises Failure: when an option or index holds what this JSON would give back as something else.
    """
    _need_library()
    document: dict[str, Any] = {}
    if metadata.options:
        document["options"] = metadata.options
    document["indexes"] = list(metadata.indexes)
    if metadata.uuid is not None:
        document["uuid"] = metadata.uuid.hex()
    document |= {"collectionName": collection, "type": metadata.type}
    text = dumps(document)
    if _bytes_of(loads(text)) != _bytes_of(document):
        raise Failure(
            f"The options or indexes of collection {collection!r} hold a value that mongodump's JSON cannot hold",
            "back this collection up with another tool, or rename the keys in it that begin with $",
            subject=collection,
        )
    return text.encode()


def from_json(content: bytes, source: str) -> MetadataFile:
    """Read a `*.metadata.json`.

    :param source: what to call the file in a sentence.
    :raises Failure: when it is no JSON, or not of that shape.
    """
    _need_library()
    try:
        document = loads(content.decode())
        _bytes_of({"": document})
        return _checked(document)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, BSONError) as error:
        answer = str(error).split("\n", 1)[0] or type(error).__name__
        raise Failure(f"{source} is no metadata of a collection: {answer}", "take another copy of the dump", subject=source, answer=answer) from error


def dumps(value: Any) -> str:
    """BSON values as canonical Extended JSON, without spaces, keys in their order."""
    options = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, datetime_conversion=DatetimeConversion.DATETIME_MS)
    return json_util.dumps(value, json_options=options, separators=(",", ":"), ensure_ascii=False)


def loads(text: str) -> Any:
    """Extended JSON as BSON values, in any spelling that mongodump has ever written.

    :raises ValueError, TypeError, KeyError, ArithmeticError, RecursionError or BSONError: when it is no such thing.
    """
    options = json_util.JSONOptions(document_class=SON, datetime_conversion=DatetimeConversion.DATETIME_MS)
    return json.loads(text, object_pairs_hook=lambda pairs: _value(pairs, options))


def _value(pairs: list[tuple[str, Any]], options: Any) -> Any:
    names = frozenset(name for name, dummy in pairs)
    if len(names) != len(pairs):
        raise ValueError(f"an object has a key twice among {', '.join(sorted(names))}")
    if names not in _WRAPPERS:
        return SON(pairs)
    name, value = pairs[0]
    if name in _NUMBERS and isinstance(value, (int, float)):
        pairs = [(name, str(value))]
    return json_util.object_hook(SON(pairs), options)


def _checked(document: Any) -> MetadataFile:
    _expect(document, Mapping, "it")
    options = _expect(document.get("options") or {}, Mapping, "`options`")
    indexes = [_index(entry) for entry in _expect(document.get("indexes") or [], list, "`indexes`")]
    name = _expect(document.get("collectionName", ""), str, "`collectionName`")
    kind = _expect(document.get("type") or _type_by(options), str, "`type`")
    if kind not in (COLLECTION, VIEW, TIME_SERIES):
        raise ValueError(f"there is no type {kind!r} of collections")
    identity = _expect(document.get("uuid") or "", str, "`uuid`")
    if identity and len(bytes.fromhex(identity)) != 16:
        raise ValueError(f"{identity!r} is no UUID")
    unknown = tuple(str(key) for key in document if key not in _KNOWN_KEYS)
    return MetadataFile(CollectionMetadata(kind, options, indexes, bytes.fromhex(identity) or None), name, unknown)


def _type_by(options: Mapping[str, Any]) -> str:
    """The type in older dumps, which do not name it."""
    return VIEW if "viewOn" in options else TIME_SERIES if "timeseries" in options else COLLECTION


def _index(entry: Any) -> Any:
    _expect(entry, Mapping, "an index")
    _expect(entry.get("key"), Mapping, "the `key` of an index")
    _expect(entry.get("name"), str, "the `name` of an index")
    return entry


def _expect(value: Any, kind: Any, what: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{what} is not {'an object' if kind is Mapping else 'a list' if kind is list else 'a text'}")
    return value


def _bytes_of(document: Any) -> bytes:
    return bytes(bson.encode(document))


def _need_library() -> None:
    if bson is None:
        raise Failure("The Python library pymongo is missing", "run role `toucan_host` on this host first")
