# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `secrets.age` holds makes the round trip, and is never shown."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import encryption, secrets
from hypothesis import given, settings
from hypothesis import strategies as st

from . import samples

FILE = "/dumps/x/secrets.age"
SECRETS = secrets.DumpSecrets(samples.INSTANCE, "hunter2-encryption", "hunter2-jwt", {"MAIL_PASSWORD": "hunter2-mail"})


@settings(max_examples=40)
@given(st.builds(secrets.DumpSecrets, samples.texts, samples.texts, samples.texts, st.dictionaries(samples.texts, samples.texts, max_size=3)))
def test_all_secrets_make_the_round_trip(known: secrets.DumpSecrets) -> None:
    assert secrets.parse_secrets(known.content(), FILE) == known


def test_they_can_be_read_with_the_key_alone() -> None:
    pyrage = pytest.importorskip("pyrage", reason="the library pyrage is not installed in this environment")
    identity = pyrage.x25519.Identity.generate()
    sealed = secrets.seal_secrets(SECRETS, encryption.parse_recipients([str(identity.to_public())]))
    assert b"hunter2" not in sealed
    assert secrets.unseal_secrets(sealed, [identity], FILE) == SECRETS
    with pytest.raises(Failure, match="none of the age identities given fits it"):
        secrets.unseal_secrets(sealed, [pyrage.x25519.Identity.generate()], FILE)
    with pytest.raises(Failure, match="truncated, damaged or no age file"):
        secrets.unseal_secrets(sealed[:-1], [identity], FILE)


def test_no_secret_is_printed() -> None:
    assert "hunter2" not in repr(SECRETS)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"schema": 2}, "has another schema than 1"),
        ({"jwt_secret": ["hunter2"]}, "has in `jwt_secret` not a text"),
        ({"encryption_secret": None}, "has in `encryption_secret` not a text"),
        ({"environment": "hunter2"}, "has in `environment` not an object"),
        ({"environment": {"A": {"hunter2": 1}}}, "has in `environment` not an object of texts"),
        ({"more": "hunter2"}, 'has the field "more", which this schema does not know'),
    ],
)
def test_what_is_wrong_is_a_sentence_without_a_secret(changes: dict[str, Any], sentence: str) -> None:
    refused(json.dumps(json.loads(SECRETS.content()) | changes).encode(), sentence)


@pytest.mark.parametrize("content", [b"", b"hunter2", b'["hunter2"]', b'{"hunter2": 1, "hunter2": 1}', b'{"jwt_secret": "hunter2', b"{}"])
def test_what_is_no_json_object_is_a_sentence_without_it(content: bytes) -> None:
    refused(content, "is no JSON object that could be read")


def refused(content: bytes, sentence: str) -> None:
    with pytest.raises(Failure) as caught:
        secrets.parse_secrets(content, FILE)
    assert sentence in str(caught.value)
    assert "hunter2" not in str(caught.value.facts())
    assert caught.value.__context__ is None
