# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `backup.py` measures, each in a process of its own: `contestants.py WHAT NAME JOB`.

WHAT is `backup`, `restore`, `missing` (prints what the contestant lacks here, nothing where it can run) or `check` (without NAME: are the
documents of an archive and of a restore the ones that the server tells it served?). JOB is a `Job` as JSON.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib
import json
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

LIBRARY = "ansible_collections.toucan.selfhosted.plugins.module_utils.mongo"
#: What the collection's own contestant is made of.
LIBRARY_PARTS = ("catalog", "clients", "export", "layouts", "load", "writers")
MONGODUMP_LEVEL = 6
_GZIP = zlib.MAX_WBITS | 16
_INSERTS = 1000
_BUFFER = 1024 * 1024


@dataclass(frozen=True)
class Job:
    """One run.

    :param address: HOST:PORT of the wire server.
    :param source: the database that is canned.
    :param target: the one that a restore writes to.
    :param folder: an empty folder for a backup; for a restore the one of the contestant's own backup.
    :param workers: how many threads ours may use.
    """

    address: str
    source: str
    target: str
    folder: str
    workers: int

    @property
    def uri(self) -> str:
        """Connection string of the server."""
        return f"mongodb://{self.address}/?directConnection=true"

    @property
    def archive(self) -> Path:
        """The archive that a backup made."""
        (found,) = Path(self.folder).glob("mongodump.tar*")
        return found


@dataclass(frozen=True)
class Contestant:
    """One way to back up and to restore.

    :param missing: what it lacks on this machine, empty where it can run.
    """

    name: str
    missing: Callable[[], str]
    backup: Callable[[Job], None]
    restore: Callable[[Job], None]


# -- plain pymongo --------------------------------------------------------------------------------------------------------


def plain_backup(job: Job) -> None:
    """One stream after the other from the driver through gzip into a file, then all files into a tar."""
    import pymongo
    from bson import json_util

    dump = Path(job.folder) / "dump" / job.source
    dump.mkdir(parents=True)
    with pymongo.MongoClient(job.uri) as client:
        for name in client[job.source].list_collection_names():
            collection = client[job.source][name]
            _pack(collection.find_raw_batches(), dump / f"{name}.bson.gz")
            metadata = {"indexes": list(collection.list_indexes()), "collectionName": name, "type": "collection"}
            _pack([json_util.dumps(metadata, json_options=json_util.CANONICAL_JSON_OPTIONS).encode()], dump / f"{name}.metadata.json.gz")
    with tarfile.open(Path(job.folder) / "mongodump.tar", "w") as tar:
        tar.add(dump.parent, "dump")
    shutil.rmtree(dump.parent)


def _pack(parts: Iterable[bytes], path: Path) -> None:
    packer = zlib.compressobj(MONGODUMP_LEVEL, zlib.DEFLATED, _GZIP)
    with path.open("wb") as file:
        for part in parts:
            file.write(packer.compress(part))
        file.write(packer.flush())


def plain_restore(job: Job) -> None:
    """Decode each document and insert a thousand at once, as anybody would who has the driver alone."""
    import bson
    import pymongo
    from bson import json_util

    with pymongo.MongoClient(job.uri) as client:
        for name, ending, file in dumped_files(job.archive):
            collection = client[job.target][name]
            if ending == "bson":
                batch: list[dict[str, Any]] = []
                for document in bson.decode_file_iter(file):
                    batch.append(document)
                    if len(batch) == _INSERTS:
                        collection.insert_many(batch, ordered=False)
                        batch = []
                if batch:
                    collection.insert_many(batch, ordered=False)
            elif indexes := json_util.loads(file.read())["indexes"]:
                client[job.target].command("createIndexes", name, indexes=indexes)


def dumped_files(archive: Path) -> Iterator[tuple[str, str, IO[bytes]]]:
    """Of each file in a tar of a dump's folder, the collection, `bson` or `metadata.json`, and the content; by the standard library alone."""
    # Of a packed tar the standard library's own stream reads the first gzip member alone.
    with (gzip.open if archive.suffix == ".gz" else open)(archive, "rb") as file, tarfile.open(fileobj=file, mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                continue
            name, dummy, ending = Path(member.name).name.removesuffix(".gz").partition(".")
            if ending in ("bson", "metadata.json"):
                with gzip.GzipFile(fileobj=content) if member.name.endswith(".gz") else content as plain:
                    yield name, ending, cast(IO[bytes], plain)


# -- ours -----------------------------------------------------------------------------------------------------------------


def ours_missing() -> str:
    """Which part of the collection is not there."""
    for part in LIBRARY_PARTS:
        try:
            importlib.import_module(f"{LIBRARY}.{part}")
        except ImportError as error:
            return f"mongo.{part} cannot be imported: {error}"
    return ""


def ours_backup(job: Job) -> None:
    """The native engine: several collections at once, packed and hashed in the same pass."""
    catalog, clients, export, writers = (importlib.import_module(f"{LIBRARY}.{name}") for name in ("catalog", "clients", "export", "writers"))
    spool = Path(job.folder) / "spool"
    spool.mkdir()
    with clients.open_client(job.uri) as client, (Path(job.folder) / "mongodump.tar.gz").open("wb") as out:
        exported = export.export(catalog.describe(client, job.source), client, spool, job.workers)
        writer = writers.FolderWriter(out, False)
        for one in exported.collections:
            writer.metadata(one.namespace, one.metadata)
            writer.collection(one.namespace, one.segments)
        writer.close()
    shutil.rmtree(spool)


def ours_restore(job: Job) -> None:
    """Look the whole dump over, then load it."""
    clients, layouts, load, metadata = (importlib.import_module(f"{LIBRARY}.{name}") for name in ("clients", "layouts", "load", "metadata"))
    with clients.open_client(job.uri) as client, job.archive.open("rb") as file:
        dump = layouts.open_dump(file, job.archive.name)
        collections = {one.namespace: one.metadata for one in dump.index()}
        with load.Loader(client, collections, lambda namespace: metadata.Namespace(job.target, namespace.collection), job.workers) as loader:
            dump.scan(loader)
            loader.finish()


# -- MongoDB's own tools --------------------------------------------------------------------------------------------------


def tools_missing() -> str:
    """Which of MongoDB's tools is not on PATH."""
    lacking = [tool for tool in ("mongodump", "mongorestore") if shutil.which(tool) is None]
    return f"{' and '.join(lacking)} not on PATH" if lacking else ""


def tools_backup(job: Job) -> None:
    """`mongodump --gzip`, then a tar of its folder."""
    folder = Path(job.folder)
    _run("mongodump", "--quiet", f"--uri={job.uri}", f"--db={job.source}", "--gzip", f"--out={folder / 'dump'}")
    _run("tar", "--create", f"--file={folder / 'mongodump.tar'}", f"--directory={folder}", "dump")
    shutil.rmtree(folder / "dump")


def tools_restore(job: Job) -> None:
    """The tar's folder, then `mongorestore --gzip`."""
    folder = Path(job.folder)
    _run("tar", "--extract", f"--file={job.archive}", f"--directory={folder}")
    names = (f"--nsFrom={job.source}.*", f"--nsTo={job.target}.*")
    _run("mongorestore", "--quiet", f"--uri={job.uri}", "--gzip", *names, f"--dir={folder / 'dump'}")
    shutil.rmtree(folder / "dump")


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)


# -- whether it is right --------------------------------------------------------------------------------------------------


def check(job: Job) -> None:
    """Compare what the archive holds, or what came of it to the sink, with what the server served.

    :raises SystemExit: with what differs.
    """
    import pymongo

    with pymongo.MongoClient(job.uri) as client:
        told = {name: dict(entry) for name, entry in client.admin.command("wireDigest")["collections"].items()}
    served = of_database(told, job.source)
    found = of_database(told, job.target) if job.target else {name: digest(file) for name, ending, file in dumped_files(job.archive) if ending == "bson"}
    if differing := differences(served, found):
        raise SystemExit(f"{job.target or job.archive}: {', '.join(differing)} not as served")


def of_database(told: dict[str, dict[str, Any]], database: str) -> dict[str, dict[str, Any]]:
    """What the server tells of the collections of one database."""
    return {name.partition(".")[2]: entry for name, entry in told.items() if name.partition(".")[0] == database}


def digest(file: IO[bytes]) -> dict[str, Any]:
    """Number, bytes and the sum of the hashes of the documents in a file."""
    count = size = total = 0
    while head := file.read(4):
        document = head + file.read(int.from_bytes(head, "little") - 4)
        count, size = count + 1, size + len(document)
        total += int.from_bytes(hashlib.sha256(document).digest(), "big")
    return {"count": count, "bytes": size, "digest": f"{total % 2**256:064x}"}


def differences(served: dict[str, dict[str, Any]], found: dict[str, dict[str, Any]]) -> list[str]:
    """The names of collections that are not the same; an empty one may be left out."""
    return sorted(name for name in served | found if served.get(name) != found.get(name) and (name in found or served[name]["count"]))


CONTESTANTS = {
    one.name: one
    for one in (
        Contestant("pymongo", lambda: "", plain_backup, plain_restore),
        Contestant("ours", ours_missing, ours_backup, ours_restore),
        Contestant("mongo-tools", tools_missing, tools_backup, tools_restore),
    )
}


def main() -> None:
    """Do what the command line says."""
    what, name, job = sys.argv[1:]
    if what == "missing":
        print(CONTESTANTS[name].missing())
    elif what == "check":
        check(Job(**json.loads(job)))
    else:
        getattr(CONTESTANTS[name], what)(Job(**json.loads(job)))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
