# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords, tokens, and what is encrypted in the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from typing import Any

import jwt
from cryptography.fernet import Fernet, InvalidToken

_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_JWT_ALGORITHM = "HS256"


class WrongSecretError(Exception):
    """The encryption secret is not the one the data was written with."""


def hash_password(password: str) -> dict[str, bytes]:
    """``{salt, hash}`` as it stands in a user's document."""
    salt = os.urandom(16)
    return {"salt": salt, "hash": hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT)}


def password_matches(password: str, stored: dict[str, bytes]) -> bool:
    """True when ``stored`` was made of ``password``."""
    computed = hashlib.scrypt(password.encode(), salt=stored["salt"], **_SCRYPT)
    return hmac.compare_digest(computed, stored["hash"])


def issue_token(username: str, secret: str, validity: float) -> str:
    """A JWT that names ``username`` for ``validity`` seconds."""
    # product-facts 2.1 [S:PUBAPI, FE57]; algorithm and claims are [GUESS]
    now = time.time()
    claims = {"sub": username, "iat": int(now), "exp": int(now + validity)}
    return jwt.encode(claims, secret, algorithm=_JWT_ALGORITHM)


def token_username(token: str, secret: str) -> str | None:
    """The user that ``token`` names, or None when it is forged or has expired."""
    try:
        claims: dict[str, Any] = jwt.decode(token, secret, algorithms=[_JWT_ALGORITHM])
    except jwt.InvalidTokenError:
        return None
    return claims["sub"]


def encrypt(text: str, secret: str) -> dict[str, bytes]:
    """``{salt, token}`` that only ``secret`` opens."""
    salt = os.urandom(16)
    return {"salt": salt, "token": _cipher(secret, salt).encrypt(text.encode())}


def decrypt(stored: dict[str, bytes], secret: str) -> str:
    """The text in ``stored``; raise WrongSecretError."""
    # product-facts 1.6 [S:RTD, HELM, W6D, SAAGIE]: the secret must stay the same [INF]
    try:
        return _cipher(secret, stored["salt"]).decrypt(stored["token"]).decode()
    except InvalidToken as error:
        raise WrongSecretError("TOUCAN_DB_ENCRYPTION_SECRET does not decrypt what the database holds") from error


def _cipher(secret: str, salt: bytes) -> Fernet:
    key = hashlib.scrypt(secret.encode(), salt=salt, **_SCRYPT)
    return Fernet(base64.urlsafe_b64encode(key))
