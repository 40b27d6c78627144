# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small real dump on disk. Its databases are written by other libraries, and what its manifest says of them is computed anew here."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import bson
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory, encryption
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import manifest as model
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.secrets import DumpSecrets, seal_secrets
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump.storage import StorageReport, write_storage

from . import samples

DATABASE = "toucan-sales"
ID_INDEX: dict[str, Any] = {"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"}
TWO_KEYS: dict[str, Any] = {"v": {"$numberInt": "2"}, "key": {"z": {"$numberInt": "1"}, "a": {"$numberInt": "-1"}}, "name": "z_1_a_-1"}
OPTIONS: dict[str, dict[str, Any]] = {"log": {"capped": True, "size": {"$numberInt": "4096"}}, "seen": {"viewOn": "slides", "pipeline": []}}
INDEXES: dict[str, list[dict[str, Any]]] = {"slides": [ID_INDEX, TWO_KEYS], "log": [ID_INDEX], "empty": [ID_INDEX], "seen": []}
DOCUMENTS: dict[str, list[bytes]] = {
    "slides": [bson.encode({"_id": number, "title": f"slide {number} é", "body": "x" * number}) for number in range(200)],
    "log": [bson.encode({"_id": bson.ObjectId(), "line": number}) for number in range(20)],
    "empty": [],
}


def write(folder: Path, recipients: Sequence[Any] = (), storage: tuple[bytes, StorageReport] | None = None) -> directory.Dump:
    """A dump of an app with a few collections and files."""
    packed, report = storage or tar_of_storage(folder / "storage")
    partial = directory.begin(str(folder))
    contents = {"laputa_version": b"v101.1.0\n", "mongodump.tar.gz": tar_of_databases()}
    for name, content in contents.items():
        store(partial, name, content, recipients)
    store(partial, "storage.tar.gz", packed, recipients)
    if recipients:
        secrets = seal_secrets(DumpSecrets(samples.INSTANCE, "secret", "jwt", {}), recipients)
        store(partial, "secrets.age", secrets, ())
    facts = model.StorageFacts(report.entries, report.bytes, report.digest, report.left_out, report.changed)
    values: dict[str, Any] = {
        "dump": partial.name,
        "files": partial.facts(),
        "collections": tuple(collection_facts(name) for name in sorted(INDEXES)),
        "storage": facts,
        "encryption": model.Encryption(("age1somebody",)) if recipients else None,
    }
    return partial.finish(samples.manifest(**values))


def store(partial: directory.PartialDump, name: str, content: bytes, recipients: Sequence[Any]) -> None:
    stored = model.stored_name(name, bool(recipients))
    with partial.create(stored) as file, encryption.EncryptingWriter(file, recipients, file.path) if stored != name else nullcontext(file) as writer:
        writer.write(content)


def collection_facts(name: str) -> model.CollectionFacts:
    documents = DOCUMENTS.get(name, [])
    total = sum(int(hashlib.sha256(document).hexdigest(), 16) for document in documents) % 2**256
    return samples.collection(
        database=DATABASE,
        name=name,
        type="view" if name == "seen" else "collection",
        count=len(documents),
        bytes=sum(map(len, documents)),
        digest=f"{total:064x}",
        sequence=hashlib.sha256(b"".join(documents)).hexdigest() if name == "log" else None,
        options=OPTIONS.get(name, {}),
        indexes=tuple(INDEXES[name]),
    )


def tar_of_databases(documents: dict[str, list[bytes]] | None = None, more: dict[str, bytes] | None = None) -> bytes:
    """As mongodump would write it, in a tar."""
    held = DOCUMENTS if documents is None else documents
    files = {f"dump/{DATABASE}/{name}.bson": b"".join(of_one) for name, of_one in held.items()}
    for name, indexes in INDEXES.items():
        kind = "view" if name == "seen" else "collection"
        described: dict[str, Any] = {"options": OPTIONS.get(name, {}), "indexes": indexes, "collectionName": name, "type": kind}
        files[f"dump/{DATABASE}/{name}.metadata.json"] = json.dumps(described).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in {**files, **(more or {})}.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def tar_of_storage(folder: Path) -> tuple[bytes, StorageReport]:
    """Files, a folder and links, packed by the collection itself."""
    (folder / "sales" / "empty").mkdir(parents=True)
    (folder / "sales" / "data.csv").write_bytes(os.urandom(3000))
    (folder / "sales" / "link").symlink_to("data.csv")
    os.link(folder / "sales" / "data.csv", folder / "sales" / "same.csv")
    out = io.BytesIO()
    report = write_storage(out, str(folder), ["sales"])
    return out.getvalue(), report


def rewrite(dump: directory.Dump, name: str, content: bytes, recipients: Sequence[Any] = ()) -> directory.Dump:
    """The dump with another file, whose hash is in the manifest, as an attacker or a defect would leave it."""
    path = Path(dump.path, name)
    if name.endswith(".age") and recipients:
        content = encryption.seal(content, recipients)
    path.write_bytes(content)
    assert dump.manifest
    fact = model.FileFact(hashlib.sha256(content).hexdigest(), len(content))
    return describe(dump, files={**dump.manifest.files, name: fact})


def describe(dump: directory.Dump, **changed: Any) -> directory.Dump:
    """The dump with another manifest."""
    assert dump.manifest
    manifest = model.Manifest(**{**vars(dump.manifest), **changed})
    Path(dump.path, "manifest.json").write_bytes(manifest.content())
    return directory.inspect(dump.path)
