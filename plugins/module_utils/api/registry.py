# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client of an image registry: the read-only part of the OCI distribution API that releases are looked up with.

Source of every rule: the OCI distribution specification 1.1, and the token authentication of the ``distribution`` registry.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple, Optional
from urllib.parse import urlencode, urljoin

from ..core.errors import Failure
from ..core.versions import parse_version
from .transport import Response, Transport, follow, header_value, origin, shown

DOCKER_HUB = "docker.io"
_DOCKER_HUB_API = "registry-1.docker.io"

_IMAGE_TYPES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_INDEX_TYPES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_ACCEPT_MANIFEST = ", ".join((*_IMAGE_TYPES, *_INDEX_TYPES))
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

# The parts of a WWW-Authenticate header: a scheme that opens a challenge, or a parameter of the open one.
_CHALLENGE_PART = re.compile(
    r"(?:^|,)\s*(?P<scheme>[A-Za-z][\w-]*)(?=[\s,]|$)(?!\s*=)"
    r'|(?P<name>[A-Za-z][\w-]*)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))'
)

# Builds that can be repeated bit by bit write the epoch, or the zero date of Go, instead of a date.
_EARLIEST_DATE = datetime(2000, 1, 1, tzinfo=timezone.utc)

_PAGE_TYPES = ("text/html", "application/xhtml+xml")

_NEWEST_SHOWN = 5
_PAGE_LIMIT = 1000

REGISTRY_CA_OPTION = "`registry_ca_path` (role variable `toucan_registry.ca_file`)"
CREDENTIALS_OPTIONS = "`registry_username` and `registry_password` (role variable `toucan_registry`)"


class ImageName(NamedTuple):
    """An image's name without tag: registry ``host[:port]``, and path of the repository in it."""

    host: str
    repository: str

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}"


def parse_image_name(name: str) -> ImageName:
    """Split a name as the engine does: ``mongo`` is ``docker.io/library/mongo``.

    :raises Failure: when a tag or digest is in it, or nothing.
    """
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = DOCKER_HUB, name
    if first == DOCKER_HUB and "/" not in rest:
        rest = f"library/{rest}"
    if not re.fullmatch(r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*", rest):
        raise Failure(f"`{name}` is no name of an image", "write it as `REGISTRY/PATH/NAME`, without tag or digest", subject=name)
    return ImageName(first, rest)


class Challenge(NamedTuple):
    """How a server wants to be authenticated: the scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """The challenges of a ``WWW-Authenticate`` header, which may hold several (RFC 9110, section 11.6.1)."""
    challenges: list[Challenge] = []
    for part in _CHALLENGE_PART.finditer(header):
        if part["scheme"]:
            challenges.append(Challenge(part["scheme"].lower(), {}))
        elif challenges:
            value = part["bare"] if part["quoted"] is None else re.sub(r"\\(.)", r"\1", part["quoted"])
            challenges[-1] = Challenge(challenges[-1].scheme, {**challenges[-1].parameters, part["name"].lower(): value})
    return challenges


def newest_tags(tags: Iterable[str], count: int = _NEWEST_SHOWN) -> list[str]:
    """The ``count`` newest tags that name a version in full, newest first."""
    versions = [(version, tag) for tag in tags for version in [parse_version(tag)] if version]
    return [tag for unused, tag in sorted(versions, reverse=True)[:count]]


def parse_created(text: Any) -> Optional[datetime]:
    """The date in an image's configuration (RFC 3339, any number of decimals), or ``None`` where it tells nothing."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)", text) if isinstance(text, str) else None
    if not match:
        return None
    offset = "+00:00" if match[3] in "Zz" else match[3]
    try:
        created = datetime.fromisoformat(f"{match[1]}T{match[2]}{offset}").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return created if created >= _EARLIEST_DATE else None


def web_page_failure(host: str, subject: str = "", answer: str = "a web page") -> Failure:
    """The failure of a registry in whose place somebody answers with a page for people."""
    return Failure(
        f"Registry {host} answered with a web page, such as the login page of a portal, and not as a registry does",
        "let this host past the portal, or correct the registry's name",
        subject=subject or host,
        answer=answer,
    )


class Registry:
    """Read-only client of one registry, over https.

    Credentials go to the registry itself, or to the https token service that it announces, and nowhere else: :func:`.transport.follow`
    drops them at the first redirect to another origin.

    :param host: ``host[:port]`` of the registry.
    :param username: empty for anonymous access.
    """

    def __init__(self, transport: Transport, host: str, username: str = "", password: str = "") -> None:
        self.host = host
        self._transport = transport
        self._base = f"https://{_DOCKER_HUB_API if host == DOCKER_HUB else host}/v2/"
        self._username = username
        self._password = password
        # The header that last worked for a repository; tokens are granted for one.
        self._authorizations: dict[str, str] = {}

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, in the registry's order. :raises Failure: when it is unknown or refused, or the registry does not answer."""
        tags: list[str] = []
        url, seen = urljoin(self._base, f"{repository}/tags/list"), set[str]()
        while url:
            if url in seen or len(seen) >= _PAGE_LIMIT:
                raise self._unexpected(url, "an endless list of tags")
            seen.add(url)
            response = self._request("GET", url, repository)
            if response.status == 404:
                raise self._unknown_repository(repository)
            page = self._json(response, url).get("tags") or []
            if not isinstance(page, list):
                raise self._unexpected(url, "no list of tags")
            tags.extend(str(tag) for tag in page)
            url = self._next_page(response, url)
        return tags

    def digest(self, repository: str, tag: str) -> str:
        """The digest (``sha256:…``) that a tag or digest points to, an image or an index of several platforms.

        :raises Failure: when the tag is unknown (with the newest known ones), or as for :meth:`tags`.
        """
        url = self._manifest_url(repository, tag)
        response = self._request("HEAD", url, repository, _ACCEPT_MANIFEST)
        self._check_manifest(response, url, repository, tag)
        digest = header_value(response, "docker-content-digest")
        if _DIGEST.fullmatch(digest):
            return digest
        # The header is optional; the digest is the hash of the manifest as it was sent.
        return f"sha256:{hashlib.sha256(self._manifest(repository, tag).body).hexdigest()}"

    def created(self, repository: str, tag: str, architecture: str = "amd64") -> Optional[datetime]:
        """When the image was built, in UTC, or ``None`` where it does not tell.

        :param architecture: the platform to look at where the tag is an index of several; its first where that one is missing.
        :raises Failure: as for :meth:`digest`.
        """
        manifest = self._json_manifest(repository, tag)
        if "manifests" in manifest:
            manifest = self._json_manifest(repository, _digest_for(manifest["manifests"], architecture))
        config = manifest.get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise self._unexpected(self._manifest_url(repository, tag), "a manifest without configuration")
        return parse_created(self._blob(repository, digest).get("created"))

    def _json_manifest(self, repository: str, reference: str) -> dict[str, Any]:
        return self._json(self._manifest(repository, reference), self._manifest_url(repository, reference))

    def _manifest(self, repository: str, reference: str) -> Response:
        url = self._manifest_url(repository, reference)
        response = self._request("GET", url, repository, _ACCEPT_MANIFEST)
        self._check_manifest(response, url, repository, reference)
        return response

    def _blob(self, repository: str, digest: str) -> dict[str, Any]:
        url = urljoin(self._base, f"{repository}/blobs/{digest}")
        response = self._request("GET", url, repository)
        if f"sha256:{hashlib.sha256(response.body).hexdigest()}" != digest:
            raise self._unexpected(url, f"content of another digest (HTTP {response.status})")
        return self._json(response, url)

    def _manifest_url(self, repository: str, reference: str) -> str:
        return urljoin(self._base, f"{repository}/manifests/{reference}")

    def _check_manifest(self, response: Response, url: str, repository: str, reference: str) -> None:
        if response.status == 404:
            # An answer to HEAD has no body that would tell which of the two is unknown, so the list of tags does.
            raise self._unknown_tag(repository, reference, self.tags(repository))
        if response.status != 200:
            raise self._unexpected(url, f"HTTP {response.status}")

    # Requests and authentication

    def _request(self, method: str, url: str, repository: str, accept: str = "application/json") -> Response:
        """One request, authenticated when the registry asks for it. Answers 200 and 404 are returned, all else is a failure."""
        response, answered_by = self._send(method, url, accept, self._authorizations.get(repository, ""))
        if response.status == 401 and origin(answered_by) == origin(url):
            # Only the registry itself may announce where credentials go, not a server that it redirects to.
            self._authorizations[repository] = self._authorization(response, repository)
            response, answered_by = self._send(method, url, accept, self._authorizations[repository])
        if response.status in (401, 403):
            raise self._refused(repository, response.status)
        if response.status == 429:
            raise Failure(f"Registry {self.host} answered that too many requests were made (HTTP 429)", "wait a few minutes, or log in", subject=self.host)
        if response.status not in (200, 404):
            raise self._unexpected(url, f"HTTP {response.status}")
        self._refuse_page(response)
        return response

    def _send(self, method: str, url: str, accept: str, authorization: str) -> tuple[Response, str]:
        headers = {"Accept": accept}
        if authorization:
            headers["Authorization"] = authorization
        return follow(self._transport, method, url, headers)

    def _authorization(self, response: Response, repository: str) -> str:
        """The ``Authorization`` header for what a 401 asks for."""
        challenges = {challenge.scheme: challenge.parameters for challenge in parse_challenges(header_value(response, "www-authenticate"))}
        if "bearer" in challenges:
            return f"Bearer {self._token(challenges['bearer'], repository)}"
        if "basic" in challenges:
            if not self._username:
                raise Failure(f"Registry {self.host} wants a login", f"set {CREDENTIALS_OPTIONS}", subject=self.host, answer="HTTP 401")
            return self._basic()
        raise self._unexpected(self._base, "HTTP 401 without a way to log in")

    def _token(self, parameters: Mapping[str, str], repository: str) -> str:
        """A token for pulling from ``repository``, of the service that the registry announced."""
        realm = parameters.get("realm", "")
        if origin(realm)[0] != "https":
            raise Failure(
                f"Registry {self.host} names the token service `{shown(realm)}`, which is not reached over https",
                "have its administrator announce an https one; no password was sent",
                subject=self.host,
            )
        query = {"scope": parameters.get("scope") or f"repository:{repository}:pull"}
        if parameters.get("service"):
            query["service"] = parameters["service"]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        response, unused = self._send("GET", url, "application/json", self._basic() if self._username else "")
        if response.status in (401, 403):
            raise self._wrong_credentials()
        if response.status != 200:
            raise self._unexpected(url, f"HTTP {response.status}")
        self._refuse_page(response)
        answer = self._json(response, url)
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise self._unexpected(url, "no token")
        return token

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self._username}:{self._password}".encode()).decode()

    def _next_page(self, response: Response, url: str) -> str:
        """The address of the next page of a list, empty on the last one (RFC 8288)."""
        link = re.match(r'\s*<([^>]*)>\s*;[^,]*\brel="?next"?', header_value(response, "link"))
        if not link:
            return ""
        following = urljoin(url, link[1])
        if origin(following) != origin(url):
            raise self._unexpected(url, f"a next page on another server, {shown(following)}")
        return following

    def _json(self, response: Response, url: str) -> dict[str, Any]:
        try:
            value = json.loads(response.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._unexpected(url, "no JSON object")
        return value

    # Failures

    def _refuse_page(self, response: Response) -> None:
        """:raises Failure: when a page for people came with a good status, as portals send it in the place of what was asked for."""
        kind = header_value(response, "content-type").partition(";")[0].strip().lower()
        if response.status == 200 and (kind in _PAGE_TYPES or response.body.lstrip()[:1] == b"<"):
            raise web_page_failure(self.host)

    def _unexpected(self, url: str, answer: str) -> Failure:
        return Failure(
            f"Registry {self.host} answered {answer} to {shown(url)}",
            "check that the name is a registry's and that it is well",
            subject=self.host,
            answer=answer,
        )

    def _wrong_credentials(self) -> Failure:
        if not self._username:
            return Failure(f"Registry {self.host} wants a login", f"set {CREDENTIALS_OPTIONS}", subject=self.host, answer="HTTP 401")
        return Failure(f"Registry {self.host} refused the login of {self._username}", f"correct {CREDENTIALS_OPTIONS}", subject=self.host, answer="HTTP 401")

    def _refused(self, repository: str, status: int) -> Failure:
        authorization = self._authorizations.get(repository, "")
        if status == 401 and authorization.startswith("Basic"):
            return self._wrong_credentials()
        who = self._username or "anonymous access"
        account = "and that the account may pull it" if self._username else f"or set {CREDENTIALS_OPTIONS}"
        remedy = f"check the repository's name, {account}"
        return Failure(f"Registry {self.host} refuses repository {repository} to {who} (HTTP {status})", remedy, subject=repository, answer=f"HTTP {status}")

    def _unknown_repository(self, repository: str) -> Failure:
        return Failure(f"Registry {self.host} has no repository {repository}", "correct the registry's name and path", subject=repository, answer="HTTP 404")

    def _unknown_tag(self, repository: str, tag: str, tags: list[str]) -> Failure:
        known = ", ".join(newest_tags(tags) or sorted(tags)[:_NEWEST_SHOWN]) or "none at all"
        return Failure(
            f"Registry {self.host} has no {repository}:{tag}; the newest tags it has are {known}",
            "set `toucan_release` to a tag that exists",
            subject=f"{self.host}/{repository}:{tag}",
            answer="HTTP 404",
        )


def _digest_for(manifests: Any, architecture: str) -> str:
    """The manifest of one platform in an index; attestations (architecture ``unknown``) are no platform."""
    images = [item for item in manifests if isinstance(item, dict) and isinstance(item.get("platform"), dict) and _DIGEST.fullmatch(str(item.get("digest")))]
    fitting = [item for item in images if item["platform"].get("architecture") == architecture] or images
    if not fitting:
        raise Failure("The registry's index names no image", "pin another tag", subject=str(manifests)[:200])
    return str(fitting[0]["digest"])
