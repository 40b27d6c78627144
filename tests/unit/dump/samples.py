# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest as tests need one, and what hypothesis may put into it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import manifest as model
from hypothesis import strategies as st

DUMP = "on-premise_backup-a1b2c3d4"
INSTANCE = "6f1f1c1e-3a53-4f8a-9d39-0d6a1d1f0b0a"
HASH = "ab" * 32
FILES = ("laputa_version", "mongodump.tar.gz", "storage.tar.gz")


def time(text: str = "2026-11-23T12:00:00") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def manifest(**changed: Any) -> model.Manifest:
    """A manifest of a dump of one app."""
    values: dict[str, Any] = {
        "kind": "app",
        "dump": DUMP,
        "instance_id": INSTANCE,
        "apps": (model.App("sales", "Sales", "toucan-sales", "sales"),),
        "versions": model.Versions("v101.1.0", "7.0.5", "0.1.0"),
        "consistency": model.Consistency("hot", "hot", 0.0, ("the app was in use",)),
        "times": model.Times(time(), time(), time(), time()),
        "encryption_secret": {"salt": "0f" * 16, "scrypt": HASH},
        "encryption": None,
        "mongodump": model.Mongodump("folder", "dump"),
        "files": {name: model.FileFact(HASH, 12) for name in FILES},
        "collections": (collection(),),
        "storage": model.StorageFacts(3, 100, HASH, ("a socket",), ()),
    }
    return model.Manifest(**{**values, **changed})


def collection(**changed: Any) -> model.CollectionFacts:
    values: dict[str, Any] = {
        "database": "toucan-sales",
        "name": "slides",
        "type": "collection",
        "count": 2,
        "bytes": 80,
        "digest": HASH,
        "sequence": None,
        "options": {"capped": False},
        "indexes": ({"v": {"$numberInt": "2"}, "key": {"_id": {"$numberInt": "1"}}, "name": "_id_"},),
    }
    return model.CollectionFacts(**{**values, **changed})


texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="/\\"), min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))
numbers = st.integers(0, 2**63 - 1)
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
times = st.datetimes(timezones=st.just(timezone.utc), allow_imaginary=False).map(lambda moment: moment.replace(microsecond=0))
scalars = texts | st.integers() | st.booleans() | st.none()
extended_json = st.dictionaries(texts, scalars | st.lists(scalars, max_size=2) | st.dictionaries(texts, scalars, max_size=2), max_size=3)
many_texts = st.lists(texts, max_size=3).map(tuple)

collections = st.builds(
    model.CollectionFacts,
    names, names, st.sampled_from(model.COLLECTION_TYPES), numbers, numbers, hashes, st.none() | hashes,
    extended_json, st.lists(extended_json, max_size=2).map(tuple),
)  # fmt: skip
apps = st.builds(model.App, names, texts, names, names | st.just(""))


@st.composite
def manifests(draw: st.DrawFn) -> model.Manifest:
    """Any manifest that is sound."""
    encryption = draw(st.none() | st.builds(model.Encryption, st.lists(texts, min_size=1, max_size=2).map(tuple)))
    files = [model.stored_name(name, encryption is not None) for name in FILES]
    if encryption and draw(st.booleans()):
        files.append(model.SECRETS_FILE)
    kind = draw(st.sampled_from(model.KINDS))
    return model.Manifest(
        kind=kind,
        dump=draw(names),
        instance_id=str(draw(st.uuids())),
        apps=tuple(draw(st.lists(apps, unique_by=lambda app: app.id, min_size=int(kind == "app"), max_size=1 if kind == "app" else 3))),
        versions=draw(st.builds(model.Versions, texts, texts, texts)),
        consistency=draw(
            st.builds(
                model.Consistency,
                st.sampled_from(model.CONSISTENCIES),
                st.sampled_from(model.CONSISTENCIES),
                st.floats(0, 1e9),
                many_texts,
            )
        ),
        times=draw(st.builds(model.Times, times, times, times, times)),
        encryption_secret=draw(st.none() | st.fixed_dictionaries({"salt": hashes.map(lambda digits: digits[:32]), "scrypt": hashes})),
        encryption=encryption,
        mongodump=draw(st.builds(model.Mongodump, st.sampled_from(model.LAYOUTS), names | st.just(""))),
        files={name: draw(st.builds(model.FileFact, hashes, numbers)) for name in files},
        collections=tuple(draw(st.lists(collections, max_size=3, unique_by=lambda facts: (facts.database, facts.name)))),
        storage=draw(st.builds(model.StorageFacts, numbers, numbers, hashes, many_texts, many_texts)),
    )
