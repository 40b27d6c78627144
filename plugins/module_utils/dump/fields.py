# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict reading of the JSON that a dump holds: it comes from afar, so that nothing about its shape is taken on trust.

Every difference from the wanted shape is one sentence that names the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Optional

from ..core.errors import Failure

_LARGEST = 2**63 - 1
_SHOWN_CHARACTERS = 60
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def time_text(time: datetime) -> str:
    """A time as it stands in files: UTC, whole seconds, for example ``2026-11-23T12:00:00Z``."""
    moment = time.astimezone(timezone.utc)
    return f"{moment.year:04d}{moment.strftime('-%m-%dT%H:%M:%SZ')}"  # %Y does not pad on every platform


def one_line(text: str) -> str:
    """``text`` that comes from a dump, with what is not to be printed escaped, so that it fits into a sentence."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode() for character in text)


def parse_object(content: bytes, file: str, remedy: str, largest: int) -> dict[str, Any]:
    """The JSON object in ``content``; key order is kept.

    :param file: what the content was read from, for the sentence.
    :param remedy: what to do when the content is no such object.
    :param largest: size in bytes above which it is not even parsed.
    :raises Failure: when it is longer, no JSON in UTF-8, no object, or has a key twice or a text that cannot be written again.
    """
    if len(content) > largest:
        raise Failure(f"{file} has {len(content)} bytes, more than the {largest} that are read", remedy, subject=file)
    try:
        value = json.loads(content.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair could be read, and then not be written or shown
    except (ValueError, RecursionError) as error:
        raise Failure(f"{file} is not valid JSON: {_reason(error)}", remedy, subject=file) from error
    if not isinstance(value, dict):
        raise Failure(f"{file} holds no JSON object", remedy, subject=file)
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeError):
        return "it holds text that is no Unicode"
    return str(error)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, dummy in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has the key {_shown(twice)} twice")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _shown(value: Any) -> str:
    """``value`` as it would stand in JSON, cut to a length that fits a sentence."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…{text[-1]}"


class Fields:
    """The fields of one JSON object; each is asked for once, and :meth:`end` refuses those that nobody asked for.

    :param place: where in the file the object stands, empty for the file's top, for example ``collections[3]``.
    :param file: the file, for the sentence.
    :param remedy: what to do when a field is not as it must be.
    :param secret: show no value of any field in a sentence.
    """

    def __init__(self, value: Mapping[str, Any], file: str, remedy: str, place: str = "", secret: bool = False) -> None:
        self._value = value
        self._left = set(value)
        self._file = file
        self._remedy = remedy
        self._place = place
        self._secret = secret

    def wrong(self, key: str, wanted: str) -> Failure:
        """The failure that the field ``key`` is not ``wanted``."""
        path = self._path(key)
        if key not in self._value:
            return Failure(f"{self._file} has no `{path}`, which must be {wanted}", self._remedy, subject=self._file)
        found = "" if self._secret else f" {_shown(self._value[key])},"
        return Failure(f"{self._file} has in `{path}`{found} not {wanted}", self._remedy, subject=self._file)

    def raw(self, key: str) -> Any:
        """The field as it is, ``None`` where it is missing too."""
        self._left.discard(key)
        return self._value.get(key)

    def text(self, key: str, pattern: str = r"(?s:.*)", wanted: str = "a text") -> str:
        value = self.raw(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.wrong(key, wanted)
        return value

    def optional_text(self, key: str, pattern: str, wanted: str) -> Optional[str]:
        """The text, or ``None`` where the file has null; the key itself must be there."""
        if key in self._value and self._value[key] is None:
            return self.raw(key)
        return self.text(key, pattern, wanted)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.raw(key)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)}")
        return value

    def number(self, key: str) -> int:
        """A whole number from 0 to what 64 bits hold."""
        value = self.raw(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LARGEST:
            raise self.wrong(key, "a whole number of at least 0")
        return value

    def seconds(self, key: str) -> float:
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LARGEST or not math.isfinite(value):
            raise self.wrong(key, "a number of seconds of at least 0")
        return float(value)

    def time(self, key: str) -> datetime:
        wanted = "a time like 2026-11-23T12:00:00Z"
        text = self.text(key, _TIME.pattern, wanted)
        try:
            return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=timezone.utc)
        except ValueError as error:
            raise self.wrong(key, wanted) from error

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.raw(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, "a list of texts")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object that is kept as it is, without a look inside."""
        value = self.raw(key)
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return value

    def mappings(self, key: str) -> tuple[dict[str, Any], ...]:
        value = self.raw(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, "a list of objects")
        return tuple(value)

    def within(self, key: str) -> Fields:
        """The fields of the object in ``key``."""
        return self._inner(self.mapping(key), key)

    def optional_within(self, key: str) -> Optional[Fields]:
        """The fields of the object in ``key``, or ``None`` where the file has null; the key itself must be there."""
        if key in self._value and self._value[key] is None:
            return self.raw(key)
        return self.within(key)

    def each(self, key: str) -> Iterator[Fields]:
        """The fields of each object of the list in ``key``."""
        for number, item in enumerate(self.mappings(key)):
            yield self._inner(item, f"{key}[{number}]")

    def by_name(self, key: str) -> Iterator[tuple[str, Fields]]:
        """The names in the object in ``key``, each with the fields of its object."""
        named = self.within(key)
        for name in list(named._value):
            yield name, named.within(name)

    def _inner(self, value: Mapping[str, Any], key: str) -> Fields:
        return Fields(value, self._file, self._remedy, self._path(key), self._secret)

    def _path(self, key: str) -> str:
        """Where ``key`` stands in the file; keys come from the file too, so that they are shown on one line."""
        shown = _shown(key)[1:-1]
        return f"{self._place}.{shown}" if self._place else shown

    def end(self) -> None:
        """:raises Failure: when the object has a field that nobody asked for."""
        if self._left:
            unknown = sorted(self._left)[0]
            place = f" in `{self._place}`" if self._place else ""
            raise Failure(f"{self._file} has{place} the field {_shown(unknown)}, which this schema does not know", self._remedy, subject=self._file)
