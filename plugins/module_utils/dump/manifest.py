# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest of a dump, schema 1: what is in it, when and how consistently it was taken, and the hash of everything.

It is written last, so that a folder with a manifest is a whole dump. It holds no secret, only fingerprints of them. Shape::

    {"schema": 1, "kind": "app" | "instance", "dump": FOLDER, "instance_id": UUID,
     "apps": [{"id": "sales", "name": "Sales", "database": "toucan-sales", "storage": "sales"}],
     "versions": {"product": "v101.1.0", "mongodb": "7.0.5", "collection": "0.1.0"},
     "consistency": {"asked": "hot", "reached": "hot" | "paused" | "stopped", "paused_seconds": 0.0, "notes": [TEXT, …]},
     "times": {"begun": TIME, "data_from": TIME, "data_to": TIME, "ended": TIME},
     "encryption_secret": {"salt": HEX, "scrypt": HEX} | null,
     "encryption": {"format": "age", "recipients": [RECIPIENT, …]} | null,
     "mongodump": {"layout": "folder" | "folder_gzip" | "archive" | "archive_gzip", "top": "dump"},
     "files": {NAME: {"sha256": HEX, "size": BYTES}, …},
     "collections": [{"database": NAME, "name": NAME, "type": TYPE, "count": N, "bytes": N, "digest": HEX, "sequence": HEX | null,
                      "options": EXTENDED_JSON, "indexes": [EXTENDED_JSON, …]}],
     "storage": {"entries": N, "bytes": N, "digest": HEX, "left_out": [TEXT, …], "changed": [TEXT, …]},
     "checksum": HEX}

``checksum`` comes last, and is the SHA-256 of the whole file with 64 zeros in its place, so that a damage to the manifest itself is found too.
``files`` are hashed as they are stored, encrypted ones as such. ``storage`` of an app is its folder's name below the product's storage, empty
where it has none. Every key must be there, and no other may.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from ..contract.dumps import DATABASE_FILE, STORAGE_FILE, VERSION_FILE
from ..core.errors import Failure
from .fields import Fields, parse_object, time_text

SCHEMA = 1
FILE = "manifest.json"
APP, INSTANCE = KINDS = ("app", "instance")
CONSISTENCIES = ("hot", "paused", "stopped")
LAYOUTS = ("folder", "folder_gzip", "archive", "archive_gzip")
COLLECTION_TYPES = ("collection", "view", "timeseries")
AGE = "age"
ENCRYPTED_SUFFIX = ".age"
SECRETS_FILE = "secrets" + ENCRYPTED_SUFFIX
LARGEST = 64 << 20  # bytes; some 100,000 collections with a few indexes each

_DISTRUST = "take another dump, or fetch this one again from where it came"
_HASH = r"[0-9a-f]{64}"
_A_HASH = "a SHA-256 of 64 hexadecimal digits"
_UNSIGNED = "0" * 64
_CHECKSUM = re.compile(rb'"checksum"\s*:\s*"([0-9a-f]{64})"\s*\}\s*\Z')
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SOMETHING = r"[^\x00-\x1f]+"
# What becomes a part of a path on a host that restores the dump.
_PLAIN_NAME = r"(?!\.{1,2}(?:/|$))[^/\x00-\x1f]{1,255}"
_PATH_BELOW = rf"(?:{_PLAIN_NAME}/)*{_PLAIN_NAME}"


@dataclass(frozen=True)
class App:
    """A small app in the dump. ``storage`` is a folder's name below the product's storage, empty where the app has none."""

    id: str
    name: str
    database: str
    storage: str


@dataclass(frozen=True)
class Versions:
    """``product`` and ``mongodb`` as they call themselves; ``collection`` is that of the Ansible collection."""

    product: str
    mongodb: str
    collection: str


@dataclass(frozen=True)
class Consistency:
    """Which guarantee was asked for and which was reached, one of :data:`CONSISTENCIES`; ``notes`` say why they differ."""

    asked: str
    reached: str
    paused_seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Times:
    """In UTC, whole seconds: of the run, and the span in which the data was read."""

    begun: datetime
    data_from: datetime
    data_to: datetime
    ended: datetime


@dataclass(frozen=True)
class Encryption:
    """How the files are encrypted, and for whom."""

    recipients: tuple[str, ...]
    format: str = AGE


@dataclass(frozen=True)
class Mongodump:
    """What the tar of the databases holds: one of :data:`LAYOUTS`, below the folder ``top``, or an archive whose path that is."""

    layout: str
    top: str


@dataclass(frozen=True)
class FileFact:
    """SHA-256 in hexadecimal digits and size in bytes of a file as it is stored."""

    sha256: str
    size: int


@dataclass(frozen=True)
class CollectionFacts:
    """A collection in the dump: ``bytes`` of BSON, ``digest`` independent of the order of documents, ``sequence`` of capped ones in order.

    ``options`` and ``indexes`` are extended JSON, in the order of keys that the server gave.
    """

    database: str
    name: str
    type: str
    count: int
    bytes: int
    digest: str
    sequence: Optional[str]
    options: Mapping[str, Any]
    indexes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class StorageFacts:
    """The storage in the dump; ``left_out`` and ``changed`` say what could not be taken, and what changed under the copy."""

    entries: int
    bytes: int
    digest: str
    left_out: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """A manifest of schema 1; see the module for its shape."""

    kind: str
    dump: str
    instance_id: str
    apps: tuple[App, ...]
    versions: Versions
    consistency: Consistency
    times: Times
    encryption_secret: Optional[Mapping[str, str]]
    encryption: Optional[Encryption]
    mongodump: Mongodump
    files: Mapping[str, FileFact]
    collections: tuple[CollectionFacts, ...]
    storage: StorageFacts

    def content(self) -> bytes:
        """The manifest as it is written; the same manifest gives the same bytes."""
        unsigned = json.dumps({**_json(self), "checksum": _UNSIGNED}, indent=1, ensure_ascii=False) + "\n"
        return with_checksum(unsigned.encode())


def with_checksum(content: bytes) -> bytes:
    """``content`` with its last key, ``checksum``, made right. :raises ValueError: when that is not its last key."""
    found = _CHECKSUM.search(content)
    if not found:
        raise ValueError("its last key is not `checksum` with 64 hexadecimal digits")
    start, end = found.span(1)
    digest = hashlib.sha256(content[:start] + _UNSIGNED.encode() + content[end:]).hexdigest()
    return content[:start] + digest.encode() + content[end:]


def manifest_hash(content: bytes) -> str:
    """What a proof names a manifest by."""
    return hashlib.sha256(content).hexdigest()


def stored_name(name: str, encrypted: bool) -> str:
    """The name under which ``name`` is stored in a dump that is encrypted or not; the product's version always stays readable."""
    return name + ENCRYPTED_SUFFIX if encrypted and name != VERSION_FILE else name


def parse_manifest(content: bytes, file: str, dump: str = "") -> Manifest:
    """The manifest in ``content``.

    :param file: where it was read from, for the sentence.
    :param dump: the name of the folder that it stands in; not compared where it is empty.
    :raises Failure: when it is of another schema, damaged in any way, or that of another dump.
    """
    value = parse_object(content, file, _DISTRUST, LARGEST)
    fields = Fields(value, file, _DISTRUST)
    if fields.number("schema") != SCHEMA:
        raise Failure(f"{file} has schema {value['schema']}, and this collection knows {SCHEMA}", "restore with the collection that wrote it", subject=file)
    _refuse_damage(content, file)
    fields.raw("checksum")
    manifest = _manifest(fields)
    if dump and manifest.dump != dump:
        raise Failure(f"{file} is the manifest of {manifest.dump}, not of {dump}", "give the folder its own name and manifest again", subject=file)
    return manifest


def _refuse_damage(content: bytes, file: str) -> None:
    try:
        sound = with_checksum(content) == content
    except ValueError as error:
        raise Failure(f"{file} cannot be checked: {error}", _DISTRUST, subject=file) from error
    if not sound:
        raise Failure(f"{file} is not as it was written, by its own checksum", _DISTRUST, subject=file)


def _manifest(fields: Fields) -> Manifest:
    manifest = Manifest(
        kind=fields.choice("kind", KINDS),
        dump=fields.text("dump", _PLAIN_NAME, "a folder's name"),
        instance_id=fields.text("instance_id", _UUID, "a UUID"),
        apps=tuple(_app(app) for app in fields.each("apps")),
        versions=_versions(fields.within("versions")),
        consistency=_consistency(fields.within("consistency")),
        times=_times(fields.within("times")),
        encryption_secret=_fingerprint(fields.optional_within("encryption_secret")),
        encryption=_encryption(fields.optional_within("encryption")),
        mongodump=_mongodump(fields.within("mongodump")),
        files={name: _file(file) for name, file in fields.by_name("files")},
        collections=tuple(_collection(collection) for collection in fields.each("collections")),
        storage=_storage(fields.within("storage")),
    )
    _refuse_odd_files(fields, manifest)
    _refuse_twice(fields, "apps", [app.id for app in manifest.apps])
    _refuse_twice(fields, "collections", [(collection.database, collection.name) for collection in manifest.collections])
    if manifest.kind == APP and len(manifest.apps) != 1:
        raise fields.wrong("apps", "exactly one app, as in every dump of an app")
    fields.end()
    return manifest


def _refuse_odd_files(fields: Fields, manifest: Manifest) -> None:
    """A dump has no other files than these, so that no name in a manifest can lead out of its folder."""
    encrypted = manifest.encryption is not None
    needed = {stored_name(name, encrypted) for name in (VERSION_FILE, DATABASE_FILE, STORAGE_FILE)}
    possible = needed | {SECRETS_FILE} if encrypted else needed
    if not needed <= set(manifest.files) <= possible:
        raise fields.wrong("files", f"the files of such a dump, which are {', '.join(sorted(possible))}")


def _refuse_twice(fields: Fields, key: str, names: list[Any]) -> None:
    if len(set(names)) < len(names):
        raise fields.wrong(key, "a list in which every name stands once")


def _app(fields: Fields) -> App:
    app = App(
        fields.text("id", _SOMETHING, "an app's id"),
        fields.text("name"),
        fields.text("database", r"[^/\\\x00]{1,255}", "a database's name"),
        fields.text("storage", rf"|{_PLAIN_NAME}", "a folder's name, or empty"),
    )
    fields.end()
    return app


def _versions(fields: Fields) -> Versions:
    versions = Versions(fields.text("product"), fields.text("mongodb"), fields.text("collection"))
    fields.end()
    return versions


def _consistency(fields: Fields) -> Consistency:
    consistency = Consistency(
        fields.choice("asked", CONSISTENCIES), fields.choice("reached", CONSISTENCIES), fields.seconds("paused_seconds"), fields.texts("notes")
    )
    fields.end()
    return consistency


def _times(fields: Fields) -> Times:
    times = Times(fields.time("begun"), fields.time("data_from"), fields.time("data_to"), fields.time("ended"))
    fields.end()
    return times


def _fingerprint(fields: Optional[Fields]) -> Optional[dict[str, str]]:
    if fields is None:
        return None
    fingerprint = {key: fields.text(key, pattern, "hexadecimal digits") for key, pattern in (("salt", "[0-9a-f]{32}"), ("scrypt", _HASH))}
    fields.end()
    return fingerprint


def _encryption(fields: Optional[Fields]) -> Optional[Encryption]:
    if fields is None:
        return None
    encryption = Encryption(format=fields.choice("format", (AGE,)), recipients=fields.texts("recipients"))
    if not encryption.recipients:
        raise fields.wrong("recipients", "a list with at least one recipient")
    fields.end()
    return encryption


def _mongodump(fields: Fields) -> Mongodump:
    mongodump = Mongodump(fields.choice("layout", LAYOUTS), fields.text("top", rf"|{_PATH_BELOW}", "a path below, or empty"))
    fields.end()
    return mongodump


def _file(fields: Fields) -> FileFact:
    fact = FileFact(fields.text("sha256", _HASH, _A_HASH), fields.number("size"))
    fields.end()
    return fact


def _collection(fields: Fields) -> CollectionFacts:
    facts = CollectionFacts(
        database=fields.text("database", r"[^/\\\x00]{1,255}", "a database's name"),
        name=fields.text("name", r"[^\x00]{1,512}", "a collection's name"),
        type=fields.choice("type", COLLECTION_TYPES),
        count=fields.number("count"),
        bytes=fields.number("bytes"),
        digest=fields.text("digest", _HASH, _A_HASH),
        sequence=fields.optional_text("sequence", _HASH, _A_HASH),
        options=fields.mapping("options"),
        indexes=fields.mappings("indexes"),
    )
    fields.end()
    return facts


def _storage(fields: Fields) -> StorageFacts:
    facts = StorageFacts(
        fields.number("entries"), fields.number("bytes"), fields.text("digest", _HASH, _A_HASH), fields.texts("left_out"), fields.texts("changed")
    )
    fields.end()
    return facts


def _json(manifest: Manifest) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": manifest.kind,
        "dump": manifest.dump,
        "instance_id": manifest.instance_id,
        "apps": [vars(app) for app in manifest.apps],
        "versions": vars(manifest.versions),
        "consistency": vars(manifest.consistency),
        "times": {name: time_text(time) for name, time in vars(manifest.times).items()},
        "encryption_secret": manifest.encryption_secret and {key: manifest.encryption_secret[key] for key in ("salt", "scrypt")},
        "encryption": manifest.encryption and {"format": manifest.encryption.format, "recipients": manifest.encryption.recipients},
        "mongodump": vars(manifest.mongodump),
        "files": {name: vars(fact) for name, fact in manifest.files.items()},
        "collections": [vars(collection) for collection in manifest.collections],
        "storage": vars(manifest.storage),
    }
