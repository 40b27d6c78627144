# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a dump folder belong to one collection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Optional, TypeVar

from . import file_names
from .dumped import Census
from .metadata import BUCKETS, COLLECTION, TIME_SERIES, VIEW, CollectionMetadata, MetadataFile, Namespace


@dataclass(frozen=True)
class Place:
    """Where a file stands: `top/database/stem` and an ending."""

    path: str
    top: str
    database: str
    stem: str

    @property
    def folder(self) -> str:
        return f"{self.top}/{self.database}" if self.top else self.database

    @property
    def is_oplog(self) -> bool:
        """Whether it would be the oplog, if its folder is the top one."""
        return self.path.rpartition("/")[2] in (file_names.OPLOG, file_names.OPLOG + file_names.PACKED)


@dataclass(frozen=True, eq=False)
class FoundDocuments:
    """A file of documents."""

    place: Place
    census: Census


@dataclass(frozen=True, eq=False)
class FoundMetadata:
    """A file of metadata."""

    place: Place
    content: MetadataFile


Found = TypeVar("Found", FoundDocuments, FoundMetadata)


@dataclass(frozen=True)
class Pair:
    """A collection, what is known of it, and the file with its documents, if it has one."""

    namespace: Namespace
    metadata: Optional[CollectionMetadata]
    census: Census
    paths: tuple[str, ...]


def pair(documents: Iterable[FoundDocuments], metadata: Iterable[FoundMetadata], nothing: Census) -> list[Pair]:
    """The collections of a dump.

    :param nothing: the census of a collection without documents.
    :raises ValueError: when two files are of one collection, one is missing, or one is of another collection than its name says.
    """
    files = _by_place(documents)
    described = _by_place(metadata)
    pairs: list[Pair] = []
    for key, found in sorted(described.items(), key=lambda item: _is_buckets(item[0][1])):
        name = _collection(found)
        series = Namespace(found.place.database, name[len(BUCKETS) :])
        if _is_buckets(name) and key not in files and any(each.namespace == series for each in pairs):
            continue  # the series itself took its documents
        pairs.append(_with_documents(found, name, files, nothing))
    pairs += [_without_metadata(found) for found in files.values()]
    _refuse_twice(pairs)
    return pairs


def _with_documents(found: FoundMetadata, name: str, files: dict[tuple[str, str], FoundDocuments], nothing: Census) -> Pair:
    metadata, place = found.content.metadata, found.place
    stems = [place.stem]
    if metadata.type == TIME_SERIES:
        stems += [file_names.stem(BUCKETS + name), BUCKETS + place.stem]
    taken = [files.pop((place.database, stem)) for stem in dict.fromkeys(stems) if (place.database, stem) in files]
    namespace = Namespace(place.database, name)
    if len(taken) > 1:
        raise ValueError(f"the documents of {namespace} stand in {' and '.join(each.place.path for each in taken)}")
    if metadata.type == VIEW and taken:
        if "viewOn" in metadata.options:
            raise ValueError(f"{namespace} is a view and has documents in {taken[0].place.path}")
        metadata = replace(metadata, type=COLLECTION)  # dumped with --viewsAsCollections
    if not taken and metadata.type != VIEW:
        raise ValueError(f"{place.path} has no file of documents beside it")
    return Pair(namespace, metadata, taken[0].census if taken else nothing, tuple(each.place.path for each in taken))


def _without_metadata(found: FoundDocuments) -> Pair:
    place = found.place
    if file_names.is_shortened(place.stem):
        raise ValueError(f"the full name of the collection of {place.path} stands in a file of metadata, which is not there")
    return Pair(Namespace(place.database, _unescaped(place)), None, found.census, (place.path,))


def _collection(found: FoundMetadata) -> str:
    name, place = found.content.collection, found.place
    if name:
        if not file_names.names(place.stem, name):
            raise ValueError(f"{place.path} is of another collection, {name!r}")
        return name
    if file_names.is_shortened(place.stem):
        raise ValueError(f"{place.path} does not tell the full name of its collection")
    return _unescaped(place)


def _unescaped(place: Place) -> str:
    try:
        name = file_names.collection_of(place.stem)
    except ValueError as error:
        raise ValueError(f"the name of {place.path} is not that of a collection: {error}") from error
    if "\0" in name:
        raise ValueError(f"the name of {place.path} is not that of a collection: it holds a zero byte")
    return name


def _is_buckets(name: str) -> bool:
    return name.startswith(BUCKETS)


def _by_place(found: Iterable[Found]) -> dict[tuple[str, str], Found]:
    known: dict[tuple[str, str], Found] = {}
    for each in found:
        key = (each.place.database, each.place.stem)
        if key in known:
            raise ValueError(f"{known[key].place.path} and {each.place.path} are of one collection")
        known[key] = each
    return known


def _refuse_twice(pairs: list[Pair]) -> None:
    known: set[Namespace] = set()
    for each in pairs:
        if each.namespace in known:
            raise ValueError(f"several files are of {each.namespace}")
        known.add(each.namespace)
