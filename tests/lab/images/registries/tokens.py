# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The token server of a registry (https://distribution.github.io/distribution/spec/auth/token/), with robot accounts as Quay has them.

As with Quay, whoever may not do what is asked still gets a token, without that right: the registry refuses it then.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from server import Answerer, serve

LIFETIME_SECONDS = 300
SETTINGS = json.loads(Path("/etc/lab/tokens.json").read_text(encoding="utf-8"))
KEY = Path("/etc/lab/signer.key").read_text(encoding="utf-8")
CERTIFICATE = x509.load_pem_x509_certificate(Path("/etc/lab/signer.crt").read_bytes())


def granted(scope: str, account: str) -> dict[str, object]:
    """What of a scope such as ``repository:toucantoco/backend:pull,push`` an account may do."""
    kind, dummy, rest = scope.partition(":")
    name, dummy, actions = rest.rpartition(":")
    rights = SETTINGS["accounts"].get(account, {}).get("rights", [])
    return {"type": kind, "name": name, "actions": [action for action in actions.split(",") if kind == "repository" and action in rights]}


def token(account: str, scopes: list[str]) -> str:
    """A signed token for ``account`` ("" for nobody in particular)."""
    now = int(time.time())
    claims = {
        "iss": SETTINGS["issuer"], "sub": account, "aud": SETTINGS["service"], "jti": str(uuid.uuid4()),
        "iat": now, "nbf": now - 10, "exp": now + LIFETIME_SECONDS, "access": [granted(scope, account) for scope in scopes],
    }
    chain = [base64.b64encode(CERTIFICATE.public_bytes(Encoding.DER)).decode()]
    return jwt.encode(claims, KEY, algorithm="ES256", headers={"x5c": chain})


def account_of(header: str | None) -> str | None:
    """Account of an ``Authorization`` header: "" without one, None where its password is wrong."""
    if not header:
        return ""
    scheme, dummy, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    name, dummy, password = base64.b64decode(encoded).decode().partition(":")
    known = SETTINGS["accounts"].get(name, {}).get("password", "")
    return name if known and hmac.compare_digest(known.encode(), password.encode()) else None


class Tokens(Answerer):
    """GET alone: like Quay, it knows nothing of the POST form, and clients have to fall back."""

    def do_GET(self) -> None:
        """Give out a token."""
        account = account_of(self.headers.get("Authorization"))
        if account is None:
            refusal = {"errors": [{"code": "UNAUTHORIZED", "message": "Invalid username or password", "detail": {}}]}
            self.answer(401, "application/json", json.dumps(refusal).encode())
            return
        scopes = [scope for given in parse_qs(urlsplit(self.path).query).get("scope", []) for scope in given.split()]
        self.answer(200, "application/json", json.dumps({"token": token(account, scopes)}).encode())

    def do_POST(self) -> None:
        """Refuse the OAuth2 form."""
        self.answer(405, "text/plain", b"Method Not Allowed\n")


if __name__ == "__main__":
    serve(Tokens, 8443)
