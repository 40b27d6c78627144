# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``secrets.age`` in an encrypted dump holds, so that a new machine can be rebuilt from the dump and the age key alone.

Shape before its encryption (schema 1)::

    {"schema": 1, "instance_id": UUID, "encryption_secret": TEXT, "jwt_secret": TEXT, "environment": {NAME: TEXT, …}}

A secret that is not known is empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import Failure
from ..core.files import json_bytes
from .encryption import seal, unseal
from .fields import Fields, parse_object

SCHEMA = 1
_LARGEST = 16 << 20
_REMEDY = "fetch it again from where it came, and until then give the secrets in `toucan_secrets`"


@dataclass(frozen=True)
class DumpSecrets:
    """Secrets of an instance; none of them is shown when this is printed."""

    instance_id: str
    encryption_secret: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    def content(self) -> bytes:
        return json_bytes(
            {
                "schema": SCHEMA,
                "instance_id": self.instance_id,
                "encryption_secret": self.encryption_secret,
                "jwt_secret": self.jwt_secret,
                "environment": dict(self.environment),
            }
        )


def parse_secrets(content: bytes, file: str) -> DumpSecrets:
    """:raises Failure: when the content is damaged or of another schema; no secret is in the sentence, which is why no cause is kept."""
    try:
        value = parse_object(content, file, _REMEDY, _LARGEST)
    except Failure:
        value = {}
    if not value:
        raise Failure(f"What {file} holds is no JSON object that could be read", _REMEDY, subject=file)
    fields = Fields(value, file, _REMEDY, secret=True)
    if fields.number("schema") != SCHEMA:
        raise Failure(f"{file} has another schema than {SCHEMA}, which this collection knows", "restore with the collection that wrote it", subject=file)
    environment = fields.mapping("environment")
    if not all(isinstance(text, str) for text in environment.values()):
        raise fields.wrong("environment", "an object of texts")
    secrets = DumpSecrets(fields.text("instance_id"), fields.text("encryption_secret"), fields.text("jwt_secret"), environment)
    fields.end()
    return secrets


def seal_secrets(secrets: DumpSecrets, recipients: Sequence[Any]) -> bytes:
    """The content of ``secrets.age``. :raises Failure: when it cannot be encrypted."""
    return seal(secrets.content(), recipients)


def unseal_secrets(content: bytes, identities: Sequence[Any], file: str) -> DumpSecrets:
    """:raises Failure: when no identity fits, or the content is damaged or of another schema."""
    return parse_secrets(unseal(content, identities, file), file)
