# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fingerprints of secrets: they tell whether a secret is still the same, to whom the secret stays unknown.

scrypt with a random salt, as ``{"salt": HEX, "scrypt": HEX}``: a weak secret cannot be found by trying many at once, and equal secrets of two
hosts do not look equal.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from .errors import Failure

_SALT_BYTES = 16
_COST = {"n": 1 << 14, "r": 8, "p": 1, "dklen": 32}  # 16 MiB and some 50 ms


def fingerprint(secret: str) -> dict[str, str]:
    """A fingerprint of ``secret``, another one at each call."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return {"salt": salt.hex(), "scrypt": _digest(secret, salt)}


def fits(secret: str, known: Mapping[str, Any]) -> bool:
    """Whether a fingerprint is that of ``secret``. :raises Failure: when it is none."""
    try:
        salt, wanted = bytes.fromhex(known["salt"]), str(known["scrypt"])
    except (KeyError, TypeError, ValueError) as error:
        raise Failure(
            "The state file holds a fingerprint that is none", "restore the file from a backup, or correct `fingerprints` in it by hand", subject="fingerprints"
        ) from error
    return hmac.compare_digest(_digest(secret, salt), wanted)


def refuse_other(name: str, secret: str, fingerprints: Mapping[str, Any], secrets_path: str) -> None:
    """See that a secret is the one that the state file has a fingerprint of.

    :param fingerprints: by name; one that is missing, as of a secret that is not known, is not compared.
    :raises Failure: when it is another one.
    """
    if secret and name in fingerprints and not fits(secret, fingerprints[name]):
        raise Failure(
            f"{name} is not the one that the data of this stack was made with, by its fingerprint in the state file",
            f"give that one in `toucan_secrets`, and put it into {secrets_path} if that file has another; where the data is gone for good, "
            "remove `fingerprints` from the state file",
            subject=name,
        )


def _digest(secret: str, salt: bytes) -> str:
    return hashlib.scrypt(secret.encode(), salt=salt, **_COST).hex()
