# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small apps: a row in the instance's database, a database and a folder of their own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from .database import InstanceDatabases

# product-facts 1.2 [S:RTD]
STORAGE = Path("/app/storage")
# product-facts 2.3 [S:FE57, CLIENT, SDK]
STAGES = ("staging", "production")

_ID_BYTES = 30
_ETL = {"_id": "etl"}


class SmallAppError(ValueError):
    """A small app cannot be made as asked."""


def slug(name: str) -> str:
    """The default id of a small app called ``name``: ASCII, at most 30 bytes."""
    # product-facts 3.1 [S:LAPDOC]
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:_ID_BYTES].strip("-")


def staged(collection: str, stage: str) -> str:
    """Name of ``collection`` in ``stage``."""
    # product-facts 3.1 [S:LAPDOC]: no suffix in production, `-staging` in staging
    return collection if stage == "production" else f"{collection}-{stage}"


class SmallApps:
    """All small apps of an instance."""

    def __init__(self, databases: InstanceDatabases, storage: Path = STORAGE) -> None:
        self._databases = databases
        self._storage = storage

    def all(self) -> list[dict[str, Any]]:
        """``{id, name}`` of each, by id."""
        rows = self._databases.instance["small_apps"].find().sort("_id")
        return [_item(row) for row in rows]

    def find(self, small_app: str) -> dict[str, Any] | None:
        """``{id, name}`` of one, or None."""
        row = self._databases.instance["small_apps"].find_one({"_id": small_app})
        return None if row is None else _item(row)

    def create(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Create a small app of ``name`` and optional ``id``; raise SmallAppError."""
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            raise SmallAppError("a small app needs the text name")
        small_app = fields.get("id") or slug(name)
        # An id is a folder, a database and a part of URLs: nothing but a slug may become one.
        if not isinstance(small_app, str) or not small_app or small_app != slug(small_app):
            raise SmallAppError(f"{small_app!r} is no id of a small app, such as {slug(name)!r}")
        if self.find(small_app):
            raise SmallAppError(f"small app {small_app!r} exists")
        self._databases.instance["small_apps"].insert_one({"_id": small_app, "name": name})
        for stage in STAGES:
            self.write_etl(small_app, stage, {"DATA_SOURCES": []})
        self._write_marker(small_app, name)
        return {"id": small_app, "name": name}

    def delete(self, small_app: str) -> None:
        """Remove the row, the database and the folder."""
        self._databases.instance["small_apps"].delete_one({"_id": small_app})
        self._databases.drop_small_app(small_app)
        folder = self._storage / small_app
        if folder.exists():
            shutil.rmtree(folder)

    def rename(self, small_app: str, name: str) -> None:
        """Change the display name."""
        self._databases.instance["small_apps"].update_one({"_id": small_app}, {"$set": {"name": name}})

    def read_etl(self, small_app: str, stage: str) -> dict[str, Any]:
        """The ETL configuration of a stage."""
        collection = self._databases.small_app(small_app)[staged("config", stage)]
        stored = collection.find_one(_ETL)
        return stored["config"] if stored else {}

    def write_etl(self, small_app: str, stage: str, config: dict[str, Any]) -> None:
        """Replace the ETL configuration of a stage."""
        collection = self._databases.small_app(small_app)[staged("config", stage)]
        collection.replace_one(_ETL, {**_ETL, "config": config}, upsert=True)

    def list_sources(self, small_app: str) -> list[dict[str, Any]]:
        """``{name, size}`` of each uploaded file, by name."""
        files = sorted(self._sources(small_app).glob("*"))
        return [{"name": file.name, "size": file.stat().st_size} for file in files]

    def store_source(self, small_app: str, name: str, content: BinaryIO) -> dict[str, Any]:
        """Keep an uploaded file; ``{name, size, sha256}``. ``name`` must be a bare file name."""
        folder = self._sources(small_app)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        with path.open("wb") as target:
            shutil.copyfileobj(content, target)
        with path.open("rb") as stored:
            digest = hashlib.file_digest(stored, "sha256").hexdigest()
        return {"name": name, "size": path.stat().st_size, "sha256": digest}

    def _sources(self, small_app: str) -> Path:
        return self._storage / small_app / "data_sources"

    def _write_marker(self, small_app: str, name: str) -> None:
        folder = self._storage / small_app
        folder.mkdir(parents=True, exist_ok=True)
        marker = json.dumps({"id": small_app, "name": name})
        (folder / "small_app.json").write_text(marker + "\n", encoding="utf-8")


def _item(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["_id"], "name": row["name"]}
