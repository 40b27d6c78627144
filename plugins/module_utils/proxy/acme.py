# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates from an ACME server (RFC 8555): options in, Caddy's words for them and sentences about its failures out. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Optional
from urllib.parse import urlsplit

from ..core.errors import Failure

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
HTTP_01 = "http-01"
TLS_ALPN_01 = "tls-alpn-01"
ANY_CHALLENGE = "any"
CHALLENGES = (ANY_CHALLENGE, HTTP_01, TLS_ALPN_01)

# Beside the Caddyfile; the last two are secret.
SERVER_CA = "acme-ca.pem"
BINDING = "acme-binding"
ACCOUNT_KEY = "acme-account.key"
# Older ones cannot read an account key from a file.
FILE_PLACEHOLDERS_SINCE = (2, 8)

_NOT_CHALLENGED = {HTTP_01: "disable_tlsalpn_challenge", TLS_ALPN_01: "disable_http_challenge"}
_EMAIL = re.compile(r"[^\s@{}\"`<>,;]+@[^\s@{}\"`<>,;]+")
# What Caddy would read as its own syntax has no place in an identifier.
_KEY_ID = re.compile(r"[^\s{}\"`\\]+")
_MAC_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Those that certmagic (PreCheck) knows to be bound by the rules for public names.
_PUBLIC_SERVERS = ("api.letsencrypt.org", "acme.zerossl.com", "api.pki.goog", "api.buypass.com", "acme.ssl.com")
_ZEROSSL = "acme.zerossl.com"
# RFC 6761, RFC 6762, RFC 8375, and what ICANN reserved for private use: no public CA may issue for these.
_PRIVATE_DOMAINS = (".local", ".localhost", ".internal", ".home.arpa", ".test", ".invalid", ".example", ".onion")


@dataclass(frozen=True)
class ExternalAccount:
    """Binds the ACME account to one the CA knows already (RFC 8555, 7.3.4); ``mac_key`` in base64url without padding."""

    key_id: str
    mac_key: str = field(repr=False)


@dataclass(frozen=True)
class Acme:
    """What is wanted of an ACME server; texts are empty where nothing is asked for.

    :param directory_url: Let's Encrypt's where it is empty.
    :param challenge: one of ``CHALLENGES``.
    :param ca_pem: CA certificates that Caddy trusts the server by, instead of those in its image.
    :param account_key_pem: key of an account that the server knows already.
    """

    email: str = ""
    directory_url: str = ""
    challenge: str = ANY_CHALLENGE
    ca_pem: str = ""
    external_account: Optional[ExternalAccount] = None
    account_key_pem: str = field(default="", repr=False)

    @property
    def directory(self) -> str:
        return self.directory_url or LETS_ENCRYPT

    @property
    def folder(self) -> str:
        """Where Caddy keeps this server's certificates, below ``certificates`` of its data.

        As certmagic's ``ACMEIssuer.issuerKey`` makes it.
        """
        parts = urlsplit(self.directory)
        path = parts.path.replace("/", "-").strip("-")
        host = parts.netloc.rpartition("@")[2]
        return storage_name(f"{host}-{path}" if path else host)


def storage_name(text: str) -> str:
    """A name as Caddy writes it in its storage: certmagic's ``StorageKeys.Safe``."""
    text = text.strip().lower()
    for mark, word in ((" ", "_"), ("+", "_plus_"), ("*", "wildcard_"), (":", "-"), ("..", "")):
        text = text.replace(mark, word)
    return re.sub(r"[^A-Za-z0-9_@.-]", "", text)


def refuse_unusable_acme(acme: Acme, hosts: Iterable[str]) -> None:
    """:raises Failure: for options that no ACME server, or not this one, can be content with."""
    _refuse_no_directory(acme.directory)
    if acme.email and not _EMAIL.fullmatch(acme.email):
        raise Failure(f"`{acme.email}` is no e-mail address", "correct `toucan_proxy_acme_email`", subject=acme.email)
    if _ZEROSSL in acme.directory and not acme.email and not acme.external_account:
        raise Failure(
            "ZeroSSL gives no certificate to somebody it does not know", "set `toucan_proxy_acme_email`, or `toucan_proxy_acme_eab`", subject=acme.directory
        )
    if acme.external_account:
        _refuse_no_binding(acme.external_account)
    if any(name in acme.directory for name in _PUBLIC_SERVERS):
        for host in hosts:
            _refuse_private_name(host, acme.directory)


def _refuse_no_directory(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname) and (parts.port or 443) > 0 and not re.search(r"[\s{}\"`]", url)
    except ValueError:  # unbalanced brackets, or a port that is no number
        usable = False
    if not usable:
        raise Failure(
            f"The ACME directory `{url}` is no https URL",
            "write `toucan_proxy_acme_directory_url` as `https://acme.example.com/directory`, or leave it unset for Let's Encrypt",
            subject=url,
        )


def _refuse_no_binding(account: ExternalAccount) -> None:
    if not account.key_id or not account.mac_key:
        raise Failure(
            f"The external account binding has no {'key_id' if account.mac_key else 'mac_key'}",
            "give `toucan_proxy_acme_eab` both `key_id` and `mac_key`, as the CA handed them out",
            subject="toucan_proxy_acme_eab",
        )
    if not _KEY_ID.fullmatch(account.key_id) or not _MAC_KEY.fullmatch(account.mac_key):
        wrong = "mac_key" if _KEY_ID.fullmatch(account.key_id) else "key_id"
        raise Failure(
            f"`{wrong}` of the external account binding is none",
            f"copy `toucan_proxy_acme_eab.{wrong}` again from the CA, a MAC key in base64url",
            subject=wrong,
        )


def _refuse_private_name(host: str, directory: str) -> None:
    if "." in host and not host.endswith(_PRIVATE_DOMAINS) and not _is_address(host):
        return
    raise Failure(
        f"{host} is no public name, and {urlsplit(directory).hostname} gives certificates for public names alone",
        "name your own ACME server by `toucan_proxy_acme_directory_url`, or set `toucan_proxy_tls` to `given` or `internal`",
        subject=host,
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def refuse_old_caddy(version: tuple[int, ...]) -> None:
    """:raises Failure: for a Caddy that cannot take an account key; an unknown version, empty, is taken for a current one."""
    if version and version < FILE_PLACEHOLDERS_SINCE:
        raise Failure(
            f"Caddy {'.'.join(map(str, version))} takes no account key of an ACME server",
            "set `toucan_proxy_image` to 2.8 or newer, or leave `toucan_proxy_acme_account_key` unset",
            subject="toucan_proxy_acme_account_key",
        )


def issuer_lines(acme: Acme, mount: str) -> list[str]:
    """The lines of Caddy's ``issuer acme`` block; ``mount`` is the folder where it finds ``files``."""
    lines = [f"dir {acme.directory}"]
    if acme.account_key_pem:
        # After a failure Caddy tries Let's Encrypt's staging server first, which does not know the account of this key.
        lines.append(f"test_dir {acme.directory}")
    if acme.email:
        lines.append(f"email {acme.email}")
    if acme.challenge in _NOT_CHALLENGED:
        lines.append(_NOT_CHALLENGED[acme.challenge])
    if acme.ca_pem:
        lines.append(f"trusted_roots {mount}/{SERVER_CA}")
    if acme.external_account:
        lines.append(f"import {mount}/{BINDING}")
    return lines


def files(acme: Acme) -> dict[str, str]:
    """What stands beside the Caddyfile, by name: what is secret must not stand in it, because it is shown."""
    found = {SERVER_CA: acme.ca_pem, ACCOUNT_KEY: acme.account_key_pem}
    if acme.external_account:
        found[BINDING] = f"eab {acme.external_account.key_id} {acme.external_account.mac_key}\n"
    return {name: content for name, content in found.items() if content}


def with_account_key(output: str, path: str) -> str:
    """Caddy's own JSON with an account key, which a Caddyfile has no word for.

    :param output: what ``caddy adapt`` wrote, its log lines included.
    :param path: the key's file in Caddy's container.
    :raises Failure: when ``output`` holds no configuration.
    """
    for line in output.splitlines():
        try:
            config = json.loads(line)
        except ValueError:
            continue
        if isinstance(config, dict) and "apps" in config:
            for issuer in _acme_issuers(config):
                issuer["account_key"] = f"{{file.{path}}}"
            return json.dumps(config, indent=2) + "\n"
    raise Failure("`caddy adapt` gave no configuration", "set `toucan_proxy_image` to an image of Caddy 2.8 or newer", answer=output)


def _acme_issuers(config: dict[str, Any]) -> list[dict[str, Any]]:
    policies = config["apps"].get("tls", {}).get("automation", {}).get("policies", [])
    return [issuer for policy in policies for issuer in policy.get("issuers", []) if issuer.get("module") == "acme"]


# -- what Caddy logs --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """A failed attempt to get a certificate: Caddy's words, when it was (seconds since 1970), and how long Caddy waits for the next."""

    error: str
    time: float
    retrying_in: float


def failed_attempts(log: Iterable[str], since: float) -> list[Attempt]:
    """The failed attempts in Caddy's log that are not older than ``since`` (seconds since 1970), oldest first."""
    entries = (entry for entry in map(_entry, log) if entry.get("msg") == "will retry" and entry.get("ts", 0.0) >= since)
    return [Attempt(entry.get("error", ""), entry["ts"], entry.get("retrying_in", 0.0)) for entry in entries]


def told(log: Iterable[str]) -> tuple[str, ...]:
    """Caddy's warnings and errors about certificates, for people: time, what happened to whom, why."""
    entries = [entry for entry in map(_entry, log) if entry.get("level") in ("warn", "error") and _is_about_certificates(entry)]
    return tuple(_line(entry) for entry in entries)


def _is_about_certificates(entry: dict[str, Any]) -> bool:
    return str(entry.get("logger", "")).startswith("tls") or "problem" in entry or "acme" in str(entry.get("logger", ""))


def _line(entry: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(entry.get("ts", 0.0), timezone.utc).strftime("%H:%M:%S")
    problem = entry.get("problem")
    why = entry.get("error") or (f"{problem.get('type', '')} - {problem.get('detail', '')}" if isinstance(problem, dict) else "")
    parts = [str(entry.get("msg", "")), str(entry.get("identifier", "")), str(entry.get("challenge_type", "")), str(why)]
    return f"{moment} {': '.join(part for part in parts if part)}"


def _entry(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


# Words of an error, what they mean, and what helps; the first that fits. Problem types are those of RFC 8555, 6.7.
_HERE = "toucan_proxy_acme_"
_EXPLANATIONS: tuple[tuple[str, str, str], ...] = (
    (r"rateLimited|HTTP 429", "the ACME server has had too many orders", "wait as long as it says, and use its staging directory for tries"),
    (
        r"x509:|certificate signed by unknown authority|tls: failed to verify",
        "Caddy does not trust the certificate of the ACME server",
        f"give the CA that signed it as `{_HERE}ca_file`",
    ),
    (
        r"externalAccountRequired|external account binding|\bkid\b|key identifier",
        "the ACME server refuses the external account binding, or misses one",
        f"correct `{_HERE}eab`",
    ),
    (
        r"accountDoesNotExist",
        "the ACME server knows no account of that key",
        f"register it first, or leave `{_HERE}account_key` unset, so that Caddy makes one",
    ),
    (r"error:caa\b", "a CAA record forbids this CA", "add the CA to the CAA record of the domain"),
    (r"rejectedIdentifier", "the ACME server does not issue for this name", "use an ACME server that does"),
    (r"no solvers available|no challenge", "the ACME server offers no challenge that is allowed", f"set `{_HERE}challenge: any`"),
    (r"directory.*(no such host|connection refused|timeout|deadline)", "Caddy does not reach the ACME server", f"correct `{_HERE}directory_url`"),
    (r"error:dns\b|NXDOMAIN|resolving|no such host|No valid IP", "the ACME server finds no address of the name", "create its public DNS record"),
    (
        r"error:connection\b|error:tls\b|[Tt]imeout|connection refused",
        "the ACME server does not reach this host",
        "let it reach port 80 for http-01 or port 443 for tls-alpn-01, and see that the DNS record points here",
    ),
    (
        r"error:unauthorized|incorrectResponse",
        "another server than this proxy answered the ACME server",
        "point the DNS record of the name to this host",
    ),
)


def explain(error: str) -> tuple[str, str]:
    """What an error of an order means and what helps, both clauses without a full stop."""
    for words, meaning, remedy in _EXPLANATIONS:
        if re.search(words, error, re.DOTALL):
            return meaning, remedy
    return "the ACME server did not give it", "read its answer, and correct the `toucan_proxy_acme_` options"


def short(error: str) -> str:
    """An error of Caddy's without what it says twice: ``[name] Obtain: [name] solving challenge: name: … (ca=URL)``."""
    text = re.sub(r"\s*\(ca=[^)]*\)\s*$", "", error)
    return re.sub(r"^(\[[^\]]*\] (Obtain|Renew): )?(\[[^\]]*\] )?(solving challenges?: \S+: )?(\[[^\]]*\] )?(authorization failed: )?", "", text)
