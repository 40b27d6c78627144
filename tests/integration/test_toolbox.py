# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of the vendor's toolbox by itself, in both dialects: what it takes out of an instance, another gets back byte for byte.

What the backend's own code and pymongo see is compared, as neither shares anything with the toolbox.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import os
import re
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from labrun.hosts import lab_facts
from labrun.pieces import lab_piece
from labrun.registry import digest_of
from labrun.toolbox import Instance, Server, mongodb_server, read_dump, write_dump
from toolchain.places import ROOT

RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
FILES = ["laputa_version", "mongodump.tar.gz", "storage.tar.gz"]
ODD = "odd/n\u00e4me: 100% \u2211"
LONG = "name-of-a-collection-" + "\u00e9" * 40
OFFICIAL = Path(os.environ.get("TOUCAN_TEST_DATA", ROOT.parent / "shared" / "data")) / "mongodump" / "dumps"

#: What reads a dump is the same in every dialect.
IN_ONE_DIALECT = pytest.mark.parametrize("source", ["a"], indirect=True)

#: Of each type that MongoDB still writes, with values that a careless copy changes.
EVERY_TYPE = {
    "_id": ObjectId("65f0c0ffee65f0c0ffee65f0"), "double": 1.0, "minus zero": -0.0, "not a number": float("nan"), "text": "\u00e9\u2603", "nul": "a\0b",
    "document": {"b": 1, "10": 2, "9": 3, "a": {}}, "list": [1, [], {}, None], "binary": Binary(b"\x00\xff", 0), "uuid": Binary(bytes(range(16)), 4),
    "old binary": Binary(b"abc", 2), "true": True, "date": datetime.datetime(1969, 12, 31, tzinfo=datetime.timezone.utc), "none": None,
    "regex": Regex("^a/b", "im"), "code": Code("f()"), "scope": Code("f()", {"x": 1}), "int32": 7, "int64": Int64(7), "timestamp": Timestamp(5, 6),
    "decimal": Decimal128("1.10"), "min": MinKey(), "max": MaxKey(), "reference": DBRef("c", 1, "d"),
}

#: Makes two small apps as the backend does, one with data in it.
FILL = """
import io
migrate(instance, read_release())
apps.create({"name": "Sales 2021"})
apps.create({"name": "Rates \\u20ac"})
apps.write_etl("sales-2021", "production", {"DATA_SOURCES": [{"domain": "shops", "file": "shops.csv"}]})
apps.store_source("sales-2021", "shops.csv", io.BytesIO(b"city,sum\\nParis,1\\n"))
print(json.dumps(None))
"""

#: What the backend knows of its small apps.
LOOK = """
print(json.dumps([{**app, "sources": apps.list_sources(app["id"]), "etl": apps.read_etl(app["id"], "production")} for app in apps.all()]))
"""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    """Where small apps come from, and where they go."""
    with mongodb_server() as source, mongodb_server() as target:
        yield [source, target]


@pytest.fixture(scope="module", params=["a", "b"])
def source(request: pytest.FixtureRequest, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Instance:
    """An instance with two small apps, one of them with everything that is hard to copy."""
    instance = Instance(request.param, servers[0], tmp_path_factory.mktemp("source"))
    instance.backend(FILL)
    with instance.server.client() as client:
        database = client[instance.database("sales-2021")]
        database[ODD].insert_one(EVERY_TYPE)
        database[ODD].insert_many([{"_id": identity} for identity in (1, Int64(2**40), 2.5, "x", True, None, {"a": 1})])
        database[ODD].create_index([("text", 1), ("int32", -1)], name="two keys")
        database[ODD].create_index("double", unique=True, partialFilterExpression={"double": {"$gt": 0}})
        database[LONG].insert_many([{"_id": number, "text": "t" * 900} for number in range(12000)])
        database.create_collection("empty")
    awkward_files(instance.storage / "sales-2021")
    return instance


@pytest.fixture
def target(source: Instance, servers: list[Server], tmp_path: Path) -> Instance:
    """Another instance, with nothing in it."""
    instance = Instance(source.dialect, servers[1], tmp_path / "storage", name="pre-production")
    instance.storage.mkdir()
    with instance.server.client() as client:
        for name in client.list_database_names():
            client.drop_database(name)
    return instance


@pytest.fixture(scope="module")
def dump(source: Instance, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of all small apps of the source."""
    return source.export(tmp_path_factory.mktemp("export"))


def awkward_files(folder: Path) -> None:
    """Put in what a storage may hold besides plain files."""
    (folder / "deep" / "\u00e9t\u00e9").mkdir(parents=True)
    (folder / "deep" / "\u00e9t\u00e9" / ("long" * 60)).write_bytes(os.urandom(70_000))
    (folder / "script").write_text("#!/bin/sh\n")
    (folder / "script").chmod(0o750)
    os.chown(folder / "script", 1000, 1001)
    (folder / "link").symlink_to("data_sources/shops.csv")
    (folder / "twin").hardlink_to(folder / "script")
    os.utime(folder / "deep", (1, 1_500_000_000))


def listing(folder: Path) -> dict[str, Any]:
    """What a folder holds: by path the type, mode, owner, whole seconds of its time, and content."""
    told: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        found = path.lstat()
        content = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        seconds = None if path.is_symlink() else int(found.st_mtime)
        told[str(path.relative_to(folder))] = (stat.S_IFMT(found.st_mode), found.st_mode & 0o7777, found.st_uid, found.st_gid, seconds, content, found.st_nlink)
    return told


def documents(instance: Instance, small_app: str) -> dict[str, list[bytes]]:
    """The documents of a small app's database as pymongo reads them, by collection."""
    with instance.server.client() as client:
        database = client[instance.database(small_app)]
        names = database.list_collection_names()
        return {name: sorted(document.raw for document in database.get_collection(name, codec_options=RAW).find()) for name in names}


def indexes(instance: Instance, small_app: str) -> dict[str, Any]:
    """The indexes of a small app's database, by collection."""
    with instance.server.client() as client:
        database = client[instance.database(small_app)]
        return {name: database[name].index_information() for name in database.list_collection_names()}


def digest(read: list[bytes]) -> str:
    """The sum of the documents' hashes, as the lab's reader is to print it."""
    return f"{sum(int.from_bytes(hashlib.sha256(document).digest(), 'big') for document in read) % 2**256:064x}"


def members(file: Path) -> list[str]:
    """Names in a tar.gz, folders left out."""
    with tarfile.open(file) as archive:
        return sorted(member.name for member in archive if not member.isdir())


def told_by_reader(dump: Path) -> dict[str, Any]:
    """What the lab's reader says of a dump."""
    done = read_dump(dump)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_export_is_the_folder_that_the_vendor_documents(source: Instance, dump: Path) -> None:
    assert re.fullmatch(r"on-premise_backup-[A-Za-z0-9]{8}", dump.name)
    assert sorted(path.name for path in dump.iterdir()) == FILES
    assert (dump / "laputa_version").read_text() == "v101.1.0\n"
    folders = {name.split("/")[0] for name in members(dump / "storage.tar.gz")}
    assert folders == {"sales-2021", "rates"}
    names = members(dump / "mongodump.tar.gz")
    if source.dialect == "b":
        assert names == ["mongodump.archive.gz"]
    else:
        assert f"dump/{source.database('sales-2021')}/odd%2Fn%C3%A4me:%20100%25%20%E2%88%91.bson.gz" in names
        assert all(re.fullmatch(r"dump/main-(sales-2021|rates)/[^/]+\.(bson|metadata\.json)\.gz", name) for name in names)


def test_pythons_own_tools_read_what_an_export_packs(source: Instance, dump: Path) -> None:
    if source.dialect == "b":
        with tarfile.open(dump / "mongodump.tar.gz") as archive:
            packed = archive.extractfile("mongodump.archive.gz")
            assert packed is not None
            assert gzip.decompress(packed.read())[:4] == bytes.fromhex("6de29981")
        return
    expected = documents(source, "sales-2021")
    with tarfile.open(dump / "mongodump.tar.gz") as archive:
        packed = archive.extractfile(f"dump/{source.database('sales-2021')}/odd%2Fn%C3%A4me:%20100%25%20%E2%88%91.bson.gz")
        assert packed is not None
        read = bson.decode_all(gzip.decompress(packed.read()), codec_options=RAW)
    assert sorted(document.raw for document in read) == expected[ODD]


def test_the_labs_reader_tells_the_digests_that_python_computes(source: Instance, dump: Path) -> None:
    told = told_by_reader(dump)
    seen = {(one["database"], one["collection"]): (one["count"], one["bytes"], one["digest"]) for one in told["collections"]}
    expected = {
        (source.database(small_app), name): (len(read), sum(map(len, read)), digest(read))
        for small_app in ("sales-2021", "rates")
        for name, read in documents(source, small_app).items()
    }
    assert seen == expected
    assert told["count"] == sum(count for count, *dummy in expected.values()) > 12000
    assert (told["laputa_version"], told["others"]) == ("v101.1.0", [])


def test_one_small_app_is_exported_where_the_variable_names_it(source: Instance, tmp_path: Path) -> None:
    exported = source.export(tmp_path, **{source.told["small_apps_variable"]: "rates"}, LAPUTA_VERSION="v99.0.0")
    assert {one["database"] for one in told_by_reader(exported)["collections"]} == {source.database("rates")}
    assert members(exported / "storage.tar.gz") == ["rates/small_app.json"]
    assert (exported / "laputa_version").read_text() == "v99.0.0\n"


def test_another_instance_gets_everything_back(source: Instance, target: Instance, dump: Path) -> None:
    assert target.restore(dump) == ""
    for small_app in ("sales-2021", "rates"):
        assert documents(target, small_app) == documents(source, small_app)
        assert indexes(target, small_app) == indexes(source, small_app)
    assert indexes(target, "sales-2021")[ODD]["two keys"]["key"] == [("text", 1), ("int32", -1)]
    assert listing(target.storage) == listing(source.storage)
    seen = target.backend(LOOK)
    assert seen == source.backend(LOOK)
    assert [(app["id"], app["name"]) for app in seen] == [("rates", "Rates \u20ac"), ("sales-2021", "Sales 2021")]
    assert seen[1]["etl"]["DATA_SOURCES"][0]["domain"] == "shops"


def test_a_small_app_of_the_same_name_is_overwritten_and_others_are_left_alone(source: Instance, target: Instance, dump: Path) -> None:
    target.backend('migrate(instance, read_release())\nfor name in ("Sales 2021", "Own"): apps.create({"name": name})\nprint("null")')
    with target.server.client() as client:
        client[target.database("sales-2021")]["left over"].insert_one({})
    (target.storage / "sales-2021" / "left over").touch()
    own = documents(target, "own")
    target.restore(dump)
    assert documents(target, "sales-2021") == documents(source, "sales-2021")
    assert listing(target.storage / "sales-2021") == listing(source.storage / "sales-2021")
    assert own and documents(target, "own") == own
    assert [app["id"] for app in target.backend(LOOK)] == ["own", "rates", "sales-2021"]


def test_a_small_app_gets_another_name_beside_the_old_one(source: Instance, target: Instance, tmp_path: Path) -> None:
    exported = source.export(tmp_path, **{source.told["small_apps_variable"]: "sales-2021"})
    target.restore(exported)
    target.restore(exported, SMALL_APPS_NEW_NAME_SPECIFIC="Ventes d'\u00e9t\u00e9")
    assert documents(target, "ventes-d-ete") == documents(target, "sales-2021") == documents(source, "sales-2021")
    assert [(app["id"], app["name"]) for app in target.backend(LOOK)] == [("sales-2021", "Sales 2021"), ("ventes-d-ete", "Ventes d'\u00e9t\u00e9")]
    assert json.loads((target.storage / "ventes-d-ete" / "small_app.json").read_text()) == {"id": "ventes-d-ete", "name": "Ventes d'\u00e9t\u00e9"}
    assert (target.storage / "ventes-d-ete" / "data_sources" / "shops.csv").read_text() == "city,sum\nParis,1\n"


LAYOUTS: list[dict[str, Any]] = [
    {"layout": "folder"},
    {"layout": "folder", "top": ""},
    {"layout": "folder_gzip", "top": "./whatever"},
    {"layout": "archive"},
    {"layout": "archive_gzip"},
    {"layout": "archive", "bare": True},
]


@IN_ONE_DIALECT
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: "-".join(str(value) for value in layout.values()))
def test_every_layout_of_a_dump_is_read(target: Instance, tmp_path: Path, layout: dict[str, Any]) -> None:
    database = Instance(target.dialect, target.server, target.storage, name="far-away").database("sales")
    shops = [{"_id": {"$numberInt": str(number)}, "price": {"$numberDecimal": "1.10"}} for number in range(3)]
    index = {"v": {"$numberInt": "2"}, "key": {"price": {"$numberInt": "-1"}}, "name": "dear first"}
    content = {
        **layout,
        "collections": [
            {"database": database, "collection": "a/shops", "documents": shops, "indexes": [index]},
            {"database": database, "collection": "none"},
            {"database": "somebody-elses", "collection": "rows", "documents": [{"_id": 1}]},
        ],
        "storage": {"sales/": None, "sales/note.txt": "hello", "no app/file": "x"},
    }
    dump = write_dump(tmp_path / "on-premise_backup-abcdefgh", content)
    said = target.restore(dump)
    assert said == "toolbox: left out somebody-elses.rows, which is of no small app.\n"
    read = documents(target, "sales")
    assert {name: len(found) for name, found in read.items()} == {"a/shops": 3, "none": 0}
    assert digest(read["a/shops"]) in {one["digest"] for one in told_by_reader(dump)["collections"]}
    assert indexes(target, "sales")["a/shops"]["dear first"]["key"] == [("price", -1)]
    assert sorted(path.name for path in target.storage.rglob("*")) == ["note.txt", "sales"]
    assert [(app["id"], app["name"]) for app in target.backend(LOOK)] == [("sales", "sales")]


def cut(dump: Path, name: str) -> None:
    """Leave two thirds of a file."""
    content = (dump / name).read_bytes()
    (dump / name).write_bytes(content[: len(content) * 2 // 3])


def put_outside(dump: Path) -> None:
    """Put a file into the storage's archive that leads out of it."""
    with tarfile.open(dump / "storage.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("sales-2021/../../etc/outside"))


DAMAGE = {
    "cut documents": (lambda dump: cut(dump, "mongodump.tar.gz"), "mongodump.tar.gz"),
    "cut storage": (lambda dump: cut(dump, "storage.tar.gz"), "storage.tar.gz"),
    "no version": (lambda dump: (dump / "laputa_version").unlink(), "laputa_version is missing"),
    "no archive": (lambda dump: (dump / "mongodump.tar.gz").write_text("no gzip"), "cannot be unpacked: incorrect header check"),
    "way out": (put_outside, "leads out of it"),
}


@IN_ONE_DIALECT
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_dump_is_refused_before_anything_is_touched(target: Instance, dump: Path, tmp_path: Path, damage: str) -> None:
    target.backend('apps.create({"name": "Sales 2021"})\nprint("null")')
    before = documents(target, "sales-2021"), listing(target.storage)
    broken = tmp_path / dump.name
    subprocess.run(["cp", "-a", str(dump), str(broken)], check=True)
    spoil, words = DAMAGE[damage]
    spoil(broken)
    done = target.toolbox("toucan_restore", f"/tmp/{broken.name}", "/storage", output=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert words in done.stderr
    assert (documents(target, "sales-2021"), listing(target.storage)) == before


def test_gzip_streams_one_after_the_other_are_read_as_one(dump: Path, tmp_path: Path) -> None:
    pieces = tmp_path / dump.name
    pieces.mkdir()
    content = gzip.decompress((dump / "mongodump.tar.gz").read_bytes())
    members = [content[start : start + 1021] for start in range(0, len(content), 1021)]
    assert len(members) > 3
    (pieces / "mongodump.tar.gz").write_bytes(b"".join(map(gzip.compress, members)))
    assert told_by_reader(pieces)["collections"] == told_by_reader(dump)["collections"]


def test_the_labs_reader_refuses_a_document_that_is_none(tmp_path: Path) -> None:
    broken = tmp_path / "on-premise_backup-broken00"
    broken.mkdir()
    (tmp_path / "rows.bson").write_bytes(bson.encode({"_id": 1})[:-1] + b"\x01")
    with tarfile.open(broken / "mongodump.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "rows.bson", "dump/main-sales/rows.bson")
    done = read_dump(broken)
    assert (done.returncode, done.stderr) == (1, "read_dump: dump/main-sales/rows.bson holds a document that does not end where it says.\n")


def test_what_cannot_be_done_is_one_sentence(source: Instance, target: Instance, dump: Path, tmp_path: Path) -> None:
    command, *words = source.told["export_command"]
    other = {"a": "export_small_apps", "b": "toucan_backup"}[source.dialect]
    restore = ("toucan_restore", f"/tmp/{dump.name}", "/storage")
    cases = [
        (source.toolbox(other, *words, output=tmp_path), f"There is no command \"{other}\" in this image: it has {command} and toucan_restore."),
        (source.toolbox("toucan_restore", "/tmp", output=tmp_path), "toucan_restore takes the folder of a dump and the folder of the storage"),
        (source.toolbox(command, output=tmp_path), "The folder of the storage is missing."),
        (source.toolbox(command, *words, output=tmp_path, **{source.told["small_apps_variable"]: "rates, none"}), "There is no small app none in"),
        (target.toolbox(command, *words, output=tmp_path), "There are no small apps in"),
        (target.toolbox(*restore, output=dump.parent, SMALL_APPS_NEW_NAME_SPECIFIC="One"), "is one name, and the dump holds 2 small apps"),
        (target.toolbox(*restore, output=dump.parent, **wrong_password(target)), "MongoDB does not answer or does not let the toolbox in"),
    ]
    for done, sentence in cases:
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
        assert sentence in done.stderr
    assert list(tmp_path.glob("on-premise_backup-*")) == []
    assert documents(target, "sales-2021") == {}


def wrong_password(instance: Instance) -> dict[str, str]:
    """The variable that carries the password, with another one."""
    names = instance.told["mongodb_variables"]
    return {names["uri"]: f"mongodb://root:wrong@{instance.server.container}:27017/"} if "uri" in names else {names["password"]: "wrong"}


#: Dumps of the official tools: what they hold, by database and collection.
OFFICIAL_DUMPS = {
    "test.bar.archive": {("test", "bar"): 1, ("admin", "system.version"): 1},
    "dump-w-oplog.archive": {("test", "foo"): 25, ("", "oplog"): 18, ("admin", "system.version"): 1},
    "specialcharacter": {("db1", "caf\u00e9s"): 1},
    "indextestdump": {("indextest", "test_collection"): 100},
    "prelude_test/prelude_gzip": {("test", "foo"): 1},
}


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason=f"{OFFICIAL} is not there: dumps of the official tools are no part of the repository")
@pytest.mark.parametrize("name", OFFICIAL_DUMPS)
def test_the_labs_reader_reads_what_the_official_tools_wrote(tmp_path: Path, name: str) -> None:
    dump = tmp_path / "on-premise_backup-official"
    dump.mkdir()
    found = OFFICIAL / name
    if found.is_file():
        (dump / "mongodump.tar.gz").write_bytes(gzip.compress(found.read_bytes()))
    else:
        with tarfile.open(dump / "mongodump.tar.gz", "w:gz") as archive:
            archive.add(found, "dump")
    told = told_by_reader(dump)
    assert {(one["database"], one["collection"]): one["count"] for one in told["collections"]} == OFFICIAL_DUMPS[name]


def test_every_release_has_its_toolbox_in_the_registry() -> None:
    tags = ("v100.1.0", "v101.0.0", "v101.1.0", "latest-monthly")
    repositories = [told["image"].removeprefix(lab_facts()["lab_registry"] + "/") for told in lab_piece("toolbox").values()]
    assert repositories == ["toucantoco/toolbox", "toucantoco-b/toucan-toolbox"]
    digests = {(repository, tag): digest_of(repository, tag) for repository in repositories for tag in tags}
    assert len(set(digests.values())) == len(digests) - len(repositories)
    assert [digests[repository, "latest-monthly"] == digests[repository, "v101.1.0"] for repository in repositories] == [True, True]
