# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mongodump's folder of files in a tar: `TOP/DATABASE/COLLECTION.bson` and `.metadata.json`, each of them packed or not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

from ..core.archives import SafeMember, members
from ..core.errors import Failure
from . import file_names
from .dumped import Census, DumpedCollection, Source, Visitor, pieces_of_whole_documents
from .folder_pairs import FoundDocuments, FoundMetadata, Place, pair
from .frames import BrokenBson
from .metadata import Namespace, from_json

#: A pipeline or a list of indexes fits easily: both were BSON documents once.
_METADATA_LIMIT = 64 * 1024 * 1024


@dataclass
class _Found:
    documents: list[FoundDocuments]
    metadata: list[FoundMetadata]

    @property
    def in_databases(self) -> list[Place]:
        """Places of what is no oplog, wherever it stands."""
        places = [*(each.place for each in self.documents), *(each.place for each in self.metadata)]
        return [place for place in places if not place.is_oplog]


class FolderReader:
    """A `DumpReader` of a folder; what holds no collection, such as links or an oplog, is among ``others``."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._namespaces: Optional[dict[str, Namespace]] = None
        self.layout = "folder"
        self.top = self.server_version = self.tool_version = ""
        self.others: list[str] = []

    def index(self, digests: bool = False, deep: bool = False) -> list[DumpedCollection]:
        self.others = []
        found = _Found([], [])
        packed = [self._look(member, path, found, Census(digests, deep)) for member, path in self._members()]
        self.layout = "folder_gzip" if any(packed) else "folder"
        self.top = self._common_top(found)
        self.others += self._oplogs_aside(found)
        try:
            pairs = pair(found.documents, found.metadata, Census(digests))
        except ValueError as error:
            raise self._source.refused(str(error)) from error
        self._namespaces = {path: each.namespace for each in pairs for path in each.paths}
        if not pairs and self.others:
            raise self._source.refused(f"there is no collection in it, but {', '.join(self.others[:5])}")
        return sorted((each.census.told(each.namespace, each.metadata) for each in pairs), key=lambda each: each.namespace)

    def scan(self, visitor: Visitor) -> None:
        if self._namespaces is None:
            self.index()
        namespaces = self._namespaces or {}
        for member, path in self._members():
            namespace = namespaces.get(path)
            if namespace is None:
                continue
            visitor.begin(namespace)
            for piece, dummy in self._pieces(member, path):
                visitor.documents(namespace, piece)
            visitor.end(namespace)

    # -- members ----------------------------------------------------------------------------------------------------------

    def _members(self) -> Iterator[tuple[SafeMember, str]]:
        for member in members(self._source.open(), self._source.name, self._source.limits):
            try:
                yield member, member.path.decode()
            except UnicodeDecodeError as error:
                raise self._source.refused(f"the name of its file {member.path!r} is no text") from error

    def _look(self, member: SafeMember, path: str, found: _Found, census: Census) -> bool:
        """Take in one member; whether it is packed on its own."""
        if member.kind == "directory":
            return False
        folder, dummy, file_name = path.rpartition("/")
        parts = file_names.split(file_name)
        if parts is not None and member.kind != "file":
            raise self._source.refused(f"{path} is a {member.kind}, not a file")
        if parts is None or not folder:
            self._take_other(member, path, file_name)
            return False
        stem, ending, packed = parts
        top, dummy, database = folder.rpartition("/")
        place = Place(path, top, database, stem)
        if ending == file_names.METADATA:
            content = self._content(member, path)
            found.metadata.append(FoundMetadata(place, from_json(content, f"{path} in {self._source.name}")))
            self.others += [f"{path}: {key}" for key in found.metadata[-1].content.unknown]
        else:
            self._count(member, path, census)
            found.documents.append(FoundDocuments(place, census))
        return packed

    def _count(self, member: SafeMember, path: str, census: Census) -> None:
        for piece, count in self._pieces(member, path):
            try:
                census.take(piece, count)
            except BrokenBson as error:
                raise self._no_bson(path, error) from error

    def _take_other(self, member: SafeMember, path: str, file_name: str) -> None:
        if file_name in (file_names.PRELUDE, file_names.PRELUDE + file_names.PACKED) and member.kind == "file":
            self._take_prelude(self._content(member, path), path)
            return
        self.others.append(path)

    def _take_prelude(self, content: bytes, path: str) -> None:
        try:
            prelude = json.loads(content)
            self.server_version, self.tool_version = str(prelude.get("ServerVersion", "")), str(prelude.get("ToolVersion", ""))
        except (ValueError, AttributeError, RecursionError) as error:
            raise self._source.damaged(f"is not the JSON that mongodump writes: {error}", path) from error

    def _content(self, member: SafeMember, path: str) -> bytes:
        """All of a small file."""
        content = bytearray()
        for chunk in self._chunks(member, path):
            content += chunk
            if len(content) > _METADATA_LIMIT:
                raise self._source.refused(f"{path} is larger than {_METADATA_LIMIT} bytes")
        return bytes(content)

    def _pieces(self, member: SafeMember, path: str) -> Iterator[tuple[bytes, int]]:
        return pieces_of_whole_documents(self._chunks(member, path), lambda error: self._no_bson(path, error))

    def _no_bson(self, path: str, error: BrokenBson) -> Failure:
        return self._source.damaged(f"holds no BSON {error}", path)

    def _chunks(self, member: SafeMember, path: str) -> Iterator[bytes]:
        if not path.endswith(file_names.PACKED):
            return member.chunks
        return self._source.unpacked(member.chunks, f"{path} in {self._source.name}")

    # -- the whole --------------------------------------------------------------------------------------------------------

    def _common_top(self, found: _Found) -> str:
        """The folder above the databases' folders. An oplog beside them does not count: its folder is no database."""
        tops = {place.top for place in found.in_databases}
        if len(tops) > 1:
            raise self._source.refused(f"databases stand in several folders: {', '.join(sorted(top or '.' for top in tops))}")
        return tops.pop() if tops else ""

    def _oplogs_aside(self, found: _Found) -> list[str]:
        """Take out what looks like a collection `oplog` and stands in the top folder itself."""
        alone = not found.in_databases
        aside = [each for each in found.documents if each.place.is_oplog and (alone or each.place.folder == self.top)]
        found.documents = [each for each in found.documents if each not in aside]
        return [each.place.path for each in aside]
