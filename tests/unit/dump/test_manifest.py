# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest makes the round trip, and whatever is wrong with one is a sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import manifest as model
from hypothesis import given, settings
from hypothesis import strategies as st

from . import samples

FILE = "/dumps/x/manifest.json"


def refused(content: bytes, dump: str = "") -> str:
    """The sentence with which a manifest is refused."""
    with pytest.raises(Failure) as caught:
        model.parse_manifest(content, FILE, dump)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(FILE)
    return sentence


@settings(max_examples=60)
@given(samples.manifests())
def test_every_manifest_makes_the_round_trip(manifest: model.Manifest) -> None:
    content = manifest.content()
    assert model.parse_manifest(content, FILE, manifest.dump) == manifest
    assert model.parse_manifest(content, FILE).content() == content


def test_keys_of_options_and_indexes_keep_their_order() -> None:
    facts = samples.collection(indexes=({"key": {"z": 1, "a": 1}, "name": "z_1_a_1"},), options={"z": {"y": 1, "b": 2}, "a": 3})
    parsed = model.parse_manifest(samples.manifest(collections=(facts,)).content(), FILE)
    assert list(parsed.collections[0].indexes[0]["key"]) == ["z", "a"]
    assert list(parsed.collections[0].options) == ["z", "a"]


def changed(path: str, value: Any) -> bytes:
    """The sample with one value set, or removed where ``value`` is ``KeyError``; ``path`` is keys and numbers with slashes between."""
    whole = json.loads(samples.manifest().content())
    *parents, last = [int(part) if part.isdigit() else part.replace("|", "/") for part in path.split("/")]
    place = whole
    for part in parents:
        place = place[part]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    return signed(whole)


def signed(whole: dict[str, Any]) -> bytes:
    """A manifest whose own checksum is right."""
    return model.with_checksum(json.dumps(whole | {"checksum": whole.pop("checksum")}).encode())


FACT = {"sha256": samples.HASH, "size": 1}
WRONG = [
    ("kind", "other", "in `kind` \"other\", not one of app, instance"),
    ("kind", ["app"], "not one of"),
    ("dump", "../x", "not a folder's name"),
    ("dump", "..", "not a folder's name"),
    ("dump", "", "not a folder's name"),
    ("dump", "a\nb", "not a folder's name"),
    ("instance_id", "6f1f", "not a UUID"),
    ("apps", [], "exactly one app"),
    ("apps", {}, "a list of objects"),
    ("apps", [1], "a list of objects"),
    ("apps/0/id", "", "`apps[0].id` \"\", not an app's id"),
    ("apps/0/storage", "../etc", "not a folder's name, or empty"),
    ("apps/0/storage", "/etc", "not a folder's name, or empty"),
    ("apps/0/database", "a/b", "not a database's name"),
    ("apps/0/colour", "red", "has in `apps[0]` the field \"colour\", which this schema does not know"),
    ("versions", KeyError, "has no `versions`, which must be an object"),
    ("versions/product", 101, "not a text"),
    ("consistency/asked", "cold", "not one of hot, paused, stopped"),
    ("consistency/paused_seconds", -1, "not a number of seconds"),
    ("consistency/paused_seconds", True, "not a number of seconds"),
    ("consistency/notes", "none", "not a list of texts"),
    ("times/begun", "2026-11-23", "not a time like"),
    ("times/begun", "2026-13-23T12:00:00Z", "not a time like"),
    ("times/begun", "2026-11-23T12:00:00+01:00", "not a time like"),
    ("times/begun", "٢٠٢٦-11-23T12:00:00Z", "not a time like"),
    ("encryption_secret", KeyError, "has no `encryption_secret`"),
    ("encryption_secret/salt", "0f", "not hexadecimal digits"),
    ("encryption_secret/scrypt", "xy" * 32, "not hexadecimal digits"),
    ("encryption", {"format": "pgp", "recipients": ["x"]}, "not one of age"),
    ("encryption", {"format": "age", "recipients": []}, "at least one recipient"),
    ("encryption", {"format": "age", "recipients": ["age1x"]}, "mongodump.tar.gz.age"),
    ("mongodump/layout", "zip", "not one of folder, folder_gzip, archive, archive_gzip"),
    ("mongodump/top", "../x", "not a path below, or empty"),
    ("mongodump/top", "a/../x", "not a path below, or empty"),
    ("mongodump/top", "a/..", "not a path below, or empty"),
    ("mongodump/top", "/a", "not a path below, or empty"),
    ("mongodump/top", "a//b", "not a path below, or empty"),
    ("files", [], "not an object"),
    ("files/laputa_version", KeyError, "not the files of such a dump"),
    ("files/..|x", FACT, "not the files of such a dump"),
    ("files/|etc|passwd", FACT, "not the files of such a dump"),
    ("files/manifest.json", FACT, "not the files of such a dump"),
    ("files/secrets.age", FACT, "not the files of such a dump"),
    ("files/storage.tar.gz", {"sha256": "ab" * 31, "size": 1}, "not a SHA-256 of 64 hexadecimal digits"),
    ("files/storage.tar.gz", {"sha256": "ab" * 33, "size": 1}, "not a SHA-256 of 64 hexadecimal digits"),
    ("files/storage.tar.gz", {"sha256": "AB" * 32, "size": 1}, "not a SHA-256 of 64 hexadecimal digits"),
    ("files/storage.tar.gz", {"sha256": "ab" * 32 + "\n", "size": 1}, "not a SHA-256 of 64 hexadecimal digits"),
    ("files/storage.tar.gz/size", -1, "`files.storage.tar.gz.size` -1, not a whole number of at least 0"),
    ("files/storage.tar.gz/size", 1.0, "not a whole number"),
    ("files/storage.tar.gz/size", True, "not a whole number"),
    ("files/storage.tar.gz/size", 2**63, "not a whole number"),
    ("collections/0/type", "index", "not one of collection, view, timeseries"),
    ("collections/0/count", "2", "`collections[0].count` \"2\", not a whole number"),
    ("collections/0/digest", None, "not a SHA-256"),
    ("collections/0/sequence", 5, "not a SHA-256"),
    ("collections/0/sequence", KeyError, "has no `collections[0].sequence`"),
    ("collections/0/options", [], "not an object"),
    ("collections/0/indexes", {}, "not a list of objects"),
    ("collections/0/name", "a\0b", "not a collection's name"),
    ("storage/digest", "ab" * 16, "not a SHA-256"),
    ("storage/left_out", None, "not a list of texts"),
    ("future", 1, "has the field \"future\", which this schema does not know"),
    ("a\nb" * 60, 1, "has the field \"a\\nba\\nb"),
    ("schema", 2, "has schema 2, and this collection knows 1; restore with the collection that wrote it."),
    ("schema", 0, "has schema 0, and this collection knows 1"),
    ("schema", True, "in `schema` true, not a whole number"),
    ("schema", "1", "in `schema` \"1\", not a whole number"),
    ("schema", KeyError, "has no `schema`"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "sentence"), WRONG)
def test_each_wrong_field_is_a_sentence(path: str, value: Any, sentence: str) -> None:
    assert sentence in refused(changed(path, value))


def test_another_schema_is_told_before_anything_else() -> None:
    assert "has schema 7" in refused(b'{"schema": 7, "all": "new"}')


def test_what_stands_twice_is_refused() -> None:
    assert "every name stands once" in refused(samples.manifest(collections=(samples.collection(),) * 2).content())
    assert "every name stands once" in refused(samples.manifest(kind="instance", apps=samples.manifest().apps * 2).content())
    content = model.with_checksum(samples.manifest().content().replace(b'"kind": "app"', b'"kind": "app", "kind": "app"'))
    assert 'has the key "kind" twice' in refused(content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not valid JSON"),
        (b"[]", "holds no JSON object"),
        (b"\xff\xfe", "text that is no Unicode"),
        (b'{"dump": "\\ud800"}', "text that is no Unicode"),
        (b'{"schema": NaN}', "NaN is no JSON"),
        (b'{"schema": 1' + b"0" * 5000 + b"}", ""),
        (b'{"a":' * 100_000, "nested too deep"),
        (b'{"schema": 1e400}', "in `schema` Infinity, not a whole number"),
    ],
)
def test_what_is_no_json_object_is_a_sentence(content: bytes, sentence: str) -> None:
    assert sentence in refused(content)


@settings(max_examples=60)
@given(st.data())
def test_a_byte_that_changed_is_found(data: st.DataObject) -> None:
    content = samples.manifest().content()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    refused(content[:place] + bytes([byte]) + content[place + 1 :])


def test_a_manifest_in_another_layout_of_json_is_read() -> None:
    content = signed(json.loads(samples.manifest().content()))
    assert content != samples.manifest().content()
    assert model.parse_manifest(content, FILE) == samples.manifest()


def test_a_damage_that_leaves_the_shape_is_found_by_the_checksum() -> None:
    assert "is not as it was written, by its own checksum" in refused(samples.manifest().content().replace(b"7.0.5", b"7.0.4"))
    assert "its last key is not `checksum`" in refused(b'{"schema": 1, "checksum": "ab"}')
    assert "its last key is not `checksum`" in refused(b'{"checksum": "' + b"ab" * 32 + b'", "schema": 1}')


def test_too_much_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "LARGEST", 10)
    assert "more than the 10 that are read" in refused(samples.manifest().content())


def test_the_manifest_of_another_dump_is_refused() -> None:
    content = samples.manifest().content()
    assert model.parse_manifest(content, FILE, samples.DUMP).dump == samples.DUMP
    assert f"is the manifest of {samples.DUMP}, not of on-premise_backup-other" in refused(content, "on-premise_backup-other")


@settings(max_examples=60)
@given(st.data())
def test_a_manifest_that_ends_early_is_refused(data: st.DataObject) -> None:
    content = samples.manifest().content().rstrip()
    refused(content[: data.draw(st.integers(0, len(content) - 1))])


anything = samples.scalars | st.floats() | st.lists(samples.scalars, max_size=2) | samples.extended_json


@settings(max_examples=60)
@given(st.data())
def test_nothing_in_any_place_is_a_traceback(data: st.DataObject) -> None:
    whole = json.loads(samples.manifest(encryption=None).content())
    places = list(_places(whole))
    checksum = whole["checksum"]
    place, key = data.draw(st.sampled_from(places))(copied := copy.deepcopy(whole))
    place[key] = data.draw(anything)
    copied["checksum"] = checksum
    try:
        parsed = model.parse_manifest(signed(copied), FILE)
    except Failure as failure:
        assert "\n" not in str(failure)
    else:
        assert model.parse_manifest(parsed.content(), FILE) == parsed


def _places(value: Any, path: tuple[Any, ...] = ()) -> Any:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield _place(path, key)
        yield from _places(inner, (*path, key))


def _place(path: tuple[Any, ...], key: Any) -> Callable[[Any], tuple[Any, Any]]:
    def found(whole: Any) -> tuple[Any, Any]:
        for part in path:
            whole = whole[part]
        return whole, key

    return found
