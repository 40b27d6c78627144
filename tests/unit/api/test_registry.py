# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's registry cannot show: bearer tokens, pages, indexes, servers that misbehave. The real one is tested in the lab."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.registry import (
    Challenge,
    Registry,
    newest_tags,
    parse_challenges,
    parse_created,
    parse_image_name,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.releases import Located, Monthly, look_up_releases, newer_releases
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.urllib_transport import UrllibTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.versions import Version
from hypothesis import given
from hypothesis import strategies as st

REPOSITORY = "toucan/backend"
SECRET = "correct horse"


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


@pytest.fixture
def connect(serve: Any, authority: Any) -> Callable[..., Any]:
    """``connect(respond, username, password)``: a https server, and a client of it."""

    def start(respond: Any, username: str = "robot", password: str = SECRET) -> Any:
        server = serve(respond, authority.server_context())
        return server, Registry(UrllibTransport(str(authority.ca_file)), server.host, username, password)

    return start


@pytest.fixture
def token_service(serve: Any, answer: Any, authority: Any) -> Any:
    """A token service that knows one account and gives the token ``granted``."""

    def respond(request: Any) -> Any:
        expected = "Basic " + base64.b64encode(f"robot:{SECRET}".encode()).decode()
        if request.headers.get("authorization") != expected:
            return answer(401)
        return answer(200, b'{"token": "granted"}')

    return serve(respond, authority.server_context())


def guarded(answer: Any, realm: str, challenge: str = 'Bearer realm="{}",service="registry",scope="repository:toucan/backend:pull"') -> Any:
    """A registry that wants the token ``granted`` and then lists one tag."""

    def respond(request: Any) -> Any:
        if request.headers.get("authorization") != "Bearer granted":
            return answer(401, b"", (("WWW-Authenticate", challenge.format(realm)),))
        return answer(200, b'{"tags": ["v1.2.3"]}')

    return respond


def test_token_is_fetched_once_and_used(connect: Any, answer: Any, token_service: Any) -> None:
    server, registry = connect(guarded(answer, f"{token_service.url}/auth?x=1"))
    assert registry.tags(REPOSITORY) == registry.tags(REPOSITORY) == ["v1.2.3"]
    assert [request.headers.get("authorization") for request in server.requests] == [None, "Bearer granted", "Bearer granted"]
    query = parse_qs(urlsplit(token_service.requests[0].path).query)
    assert query == {"x": ["1"], "service": ["registry"], "scope": ["repository:toucan/backend:pull"]}
    assert len(token_service.requests) == 1


def test_password_never_reaches_a_registry_with_tokens(connect: Any, answer: Any, token_service: Any) -> None:
    server, registry = connect(guarded(answer, f"{token_service.url}/auth"))
    registry.tags(REPOSITORY)
    assert not any(request.headers.get("authorization", "").startswith("Basic") for request in server.requests)


def test_scope_is_made_where_none_is_announced(connect: Any, answer: Any, token_service: Any) -> None:
    unused, registry = connect(guarded(answer, f"{token_service.url}/auth", 'Bearer realm="{}"'))
    registry.tags(REPOSITORY)
    assert parse_qs(urlsplit(token_service.requests[0].path).query) == {"scope": ["repository:toucan/backend:pull"]}


def test_expired_token_is_renewed(connect: Any, answer: Any, token_service: Any) -> None:
    refusals = iter([True, False, True, False])

    def respond(request: Any) -> Any:
        challenge = (("WWW-Authenticate", f'Bearer realm="{token_service.url}/auth"'),)
        return answer(401, b"", challenge) if next(refusals) else answer(200, b'{"tags": []}')

    unused, registry = connect(respond)
    assert [registry.tags(REPOSITORY), registry.tags(REPOSITORY)] == [[], []]
    assert len(token_service.requests) == 2


def test_wrong_password_at_the_token_service(connect: Any, answer: Any, token_service: Any) -> None:
    unused, registry = connect(guarded(answer, f"{token_service.url}/auth"), password="wrong guess")
    with pytest.raises(Failure, match="refused the login of robot; correct `registry_username` and `registry_password`") as caught:
        registry.tags(REPOSITORY)
    assert "wrong guess" not in str(caught.value.facts())


def test_anonymous_where_a_login_is_wanted(connect: Any, answer: Any, token_service: Any) -> None:
    unused, registry = connect(guarded(answer, f"{token_service.url}/auth"), username="")
    with pytest.raises(Failure, match="wants a login; set `registry_username`"):
        registry.tags(REPOSITORY)
    assert "authorization" not in token_service.requests[0].headers


def test_token_service_without_tls_gets_no_password(connect: Any, answer: Any, serve: Any) -> None:
    thief = serve(lambda request: answer(200, b'{"token": "granted"}'))
    unused, registry = connect(guarded(answer, f"{thief.url}/auth"))
    with pytest.raises(Failure, match="names the token service `http://.*not reached over https; .*no password was sent"):
        registry.tags(REPOSITORY)
    assert thief.requests == []


def test_server_behind_a_redirect_gets_no_credentials(connect: Any, answer: Any, serve: Any, authority: Any) -> None:
    """A registry redirects elsewhere, and that server asks for a login and announces a token service of its own."""

    def elsewhere(request: Any) -> Any:
        return answer(401, b"", (("WWW-Authenticate", f'Bearer realm="https://{request.headers["host"]}/token", Basic realm="x"'),))

    thief = serve(elsewhere, authority.server_context())

    def respond(request: Any) -> Any:
        if "authorization" not in request.headers:
            return answer(401, b"", (("WWW-Authenticate", "Basic realm=registry"),))
        return answer(307, b"", (("Location", f"{thief.url}/list"),))

    unused, registry = connect(respond)
    with pytest.raises(Failure, match="refuses|refused"):
        registry.tags(REPOSITORY)
    assert [(request.path, "authorization" in request.headers) for request in thief.requests] == [("/list", False)]


def test_token_does_not_open_the_repository(connect: Any, answer: Any, token_service: Any) -> None:
    def respond(request: Any) -> Any:
        return answer(401, b"", (("WWW-Authenticate", f'Bearer realm="{token_service.url}/auth"'),))

    unused, registry = connect(respond)
    with pytest.raises(
        Failure, match=r"refuses repository toucan/backend to robot \(HTTP 401\); check the repository's name, and that the account may pull it"
    ):
        registry.tags(REPOSITORY)


def test_forbidden_to_anonymous_access(connect: Any, answer: Any) -> None:
    unused, registry = connect(lambda request: answer(403), username="")
    with pytest.raises(Failure, match=r"to anonymous access \(HTTP 403\); check the repository's name, or set `registry_username`"):
        registry.tags(REPOSITORY)


@pytest.mark.parametrize("body", [b"{}", b'{"token": ""}', b'{"token": 1}'])
def test_token_service_without_token(connect: Any, answer: Any, serve: Any, authority: Any, body: bytes) -> None:
    service = serve(lambda request: answer(200, body), authority.server_context())
    unused, registry = connect(guarded(answer, f"{service.url}/auth"))
    with pytest.raises(Failure, match="answered no token to https://.*/auth"):
        registry.tags(REPOSITORY)


def test_token_service_that_is_broken(connect: Any, answer: Any, serve: Any, authority: Any) -> None:
    service = serve(lambda request: answer(500), authority.server_context())
    unused, registry = connect(guarded(answer, f"{service.url}/auth"))
    with pytest.raises(Failure, match="answered HTTP 500 to https://.*/auth"):
        registry.tags(REPOSITORY)


def test_pages_are_followed(connect: Any, answer: Any) -> None:
    def respond(request: Any) -> Any:
        if "last=b" in request.path:
            return answer(200, b'{"tags": ["c"]}')
        if "last=a" in request.path:
            return answer(200, b'{"tags": ["b"]}', (("Link", '</v2/toucan/backend/tags/list?last=b&n=1>; rel="next"'),))
        return answer(200, b'{"tags": ["a"]}', (("Link", "<list?last=a&n=1>; rel=next"),))

    server, registry = connect(respond)
    assert registry.tags(REPOSITORY) == ["a", "b", "c"]
    assert len(server.requests) == 3


def test_next_page_on_another_server_is_refused(connect: Any, answer: Any) -> None:
    unused, registry = connect(lambda request: answer(200, b'{"tags": []}', (("Link", '<https://other.example/x>; rel="next"'),)))
    with pytest.raises(Failure, match="answered a next page on another server, https://other.example/x"):
        registry.tags(REPOSITORY)


def test_endless_pages_end(connect: Any, answer: Any) -> None:
    unused, registry = connect(lambda request: answer(200, b'{"tags": ["a"]}', (("Link", '</v2/toucan/backend/tags/list>; rel="next"'),)))
    with pytest.raises(Failure, match="answered an endless list of tags"):
        registry.tags(REPOSITORY)


def test_repository_without_tags(connect: Any, answer: Any) -> None:
    unused, registry = connect(lambda request: answer(200, b'{"name": "toucan/backend", "tags": null}'))
    assert registry.tags(REPOSITORY) == []
    with pytest.raises(Failure, match="answered no list of tags"):
        connect(lambda request: answer(200, b'{"tags": "v1"}'))[1].tags(REPOSITORY)


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, b"text", "answered no JSON object to https://.*; check that the name is a registry's"),
        (200, b"[]", "answered no JSON object"),
        (502, b"", "answered HTTP 502"),
        (429, b"", "too many requests were made .*; wait a few minutes, or log in"),
        (401, b"", "answered HTTP 401 without a way to log in"),
        (404, b"", "has no repository toucan/backend; correct the registry's name and path"),
    ],
)
def test_each_odd_answer_has_its_sentence(connect: Any, answer: Any, status: int, body: bytes, sentence: str) -> None:
    unused, registry = connect(lambda request: answer(status, body))
    with pytest.raises(Failure, match=sentence):
        registry.tags(REPOSITORY)


class Images:
    """Manifests and blobs by address, as a registry serves them; ``headers`` are added to each answer."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.pages: dict[str, bytes] = {}
        self.headers: tuple[tuple[str, str], ...] = ()

    def blob(self, value: Any) -> str:
        body = json.dumps(value).encode()
        self.pages[f"/v2/{REPOSITORY}/blobs/{digest_of(body)}"] = body
        return digest_of(body)

    def manifest(self, value: Any, *tags: str) -> str:
        body = json.dumps(value).encode()
        for reference in (digest_of(body), *tags):
            self.pages[f"/v2/{REPOSITORY}/manifests/{reference}"] = body
        self.pages[f"/v2/{REPOSITORY}/tags/list"] = json.dumps({"tags": [*self.tags(), *tags]}).encode()
        return digest_of(body)

    def tags(self) -> list[str]:
        return list(json.loads(self.pages.get(f"/v2/{REPOSITORY}/tags/list", b'{"tags": []}'))["tags"])

    def image(self, created: str, *tags: str) -> str:
        return self.manifest({"schemaVersion": 2, "config": {"digest": self.blob({"created": created})}}, *tags)

    def __call__(self, request: Any) -> Any:
        body = self.pages.get(request.path)
        return self.answer(404) if body is None else self.answer(200, body, self.headers)


@pytest.fixture
def images(answer: Any) -> Images:
    return Images(answer)


def test_digest_is_the_header(connect: Any, images: Images) -> None:
    images.image("2026-01-02T03:04:05Z", "v1.2.3")
    images.headers = (("Docker-Content-Digest", f"sha256:{'a' * 64}"),)
    server, registry = connect(images)
    assert registry.digest(REPOSITORY, "v1.2.3") == f"sha256:{'a' * 64}"
    assert [request.method for request in server.requests] == ["HEAD"]
    accepted = server.requests[0].headers["accept"]
    assert "application/vnd.oci.image.index.v1+json" in accepted and "application/vnd.docker.distribution.manifest.v2+json" in accepted


@pytest.mark.parametrize("headers", [(), (("Docker-Content-Digest", "nonsense"),)])
def test_digest_is_counted_where_no_header_tells_it(connect: Any, images: Images, headers: Any) -> None:
    digest = images.image("2026-01-02T03:04:05Z", "v1.2.3")
    images.headers = headers
    assert connect(images)[1].digest(REPOSITORY, "v1.2.3") == digest


def test_unknown_tag_names_the_newest(connect: Any, images: Images) -> None:
    images.image("2026-01-02T03:04:05Z", "v9.0.0", "v100.1.0", "v100.10.0", "latest", "v101.0.0", "v100.2.0", "v100.3.0")
    with pytest.raises(
        Failure, match="has no toucan/backend:v1.2.3; the newest tags it has are v101.0.0, v100.10.0, v100.3.0, v100.2.0, v100.1.0; set `toucan_release`"
    ):
        connect(images)[1].digest(REPOSITORY, "v1.2.3")


@pytest.mark.parametrize(("tags", "known"), [(["latest", "edge"], "edge, latest"), ([], "none at all")])
def test_unknown_tag_where_none_is_a_version(connect: Any, images: Images, tags: list[str], known: str) -> None:
    images.image("2026-01-02T03:04:05Z", *tags)
    with pytest.raises(Failure, match=f"the newest tags it has are {known}; "):
        connect(images)[1].created(REPOSITORY, "v1.2.3")


def test_build_date_of_an_index(connect: Any, images: Images) -> None:
    def entry(architecture: str, created: str) -> dict[str, Any]:
        return {"digest": images.image(created), "platform": {"architecture": architecture, "os": "linux"}}

    images.manifest({"manifests": [entry("arm64", "2026-01-01T00:00:00Z"), entry("amd64", "2026-02-01T00:00:00Z")]}, "v1.2.3")
    registry = connect(images)[1]
    assert registry.created(REPOSITORY, "v1.2.3") == datetime(2026, 2, 1, tzinfo=timezone.utc)
    assert registry.created(REPOSITORY, "v1.2.3", "arm64") == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert registry.created(REPOSITORY, "v1.2.3", "riscv64") == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_index_without_image(connect: Any, images: Images) -> None:
    images.manifest({"manifests": [{"digest": "x"}]}, "v1.2.3")
    with pytest.raises(Failure, match="index names no image; pin another tag"):
        connect(images)[1].created(REPOSITORY, "v1.2.3")


@pytest.mark.parametrize("manifest", [{}, {"config": "x"}, {"config": {"digest": "sha256:../../etc"}}])
def test_manifest_without_configuration(connect: Any, images: Images, manifest: Any) -> None:
    images.manifest(manifest, "v1.2.3")
    with pytest.raises(Failure, match="answered a manifest without configuration"):
        connect(images)[1].created(REPOSITORY, "v1.2.3")


def test_configuration_of_another_digest(connect: Any, images: Images) -> None:
    images.image("2026-01-02T03:04:05Z", "v1.2.3")
    for path in images.pages:
        if "/blobs/" in path:
            images.pages[path] = b'{"created": "2020-01-01T00:00:00Z"}'
    with pytest.raises(Failure, match=r"answered content of another digest \(HTTP 200\)"):
        connect(images)[1].created(REPOSITORY, "v1.2.3")


def test_blob_on_another_server_is_fetched_without_credentials(connect: Any, images: Images, answer: Any, serve: Any, authority: Any) -> None:
    """Registries keep blobs in object storage, whose signed address must not get an Authorization header."""
    images.image("2026-01-02T03:04:05Z", "v1.2.3")
    storage = serve(images, authority.server_context())

    def respond(request: Any) -> Any:
        if "authorization" not in request.headers:
            return answer(401, b"", (("WWW-Authenticate", "Basic realm=registry"),))
        return answer(307, b"", (("Location", storage.url + request.path),)) if "/blobs/" in request.path else images(request)

    assert connect(respond)[1].created(REPOSITORY, "v1.2.3") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert [request.headers.get("authorization") for request in storage.requests] == [None]


def test_releases(connect: Any, images: Images) -> None:
    images.image("2026-01-01T00:00:00Z", "v100.1.0")
    digest = images.image("2026-02-01T00:00:00Z", "v101.0.0", "latest-monthly")
    images.image("2026-03-01T00:00:00Z", "v101.1.0")
    located = Located(connect(images)[1], REPOSITORY)
    releases = look_up_releases(located, located, Version(100, 1, 0))
    assert releases.newer == [Version(101, 0, 0), Version(101, 1, 0)]
    assert releases.monthly == Monthly(digest, Version(101, 0, 0))
    assert releases.created == datetime(2026, 1, 1, tzinfo=timezone.utc)


def test_releases_where_nothing_is_known(connect: Any, images: Images) -> None:
    images.image("2026-01-01T00:00:00Z", "v100.1.0")
    located = Located(connect(images)[1], REPOSITORY)
    assert look_up_releases(located, located, Version(101, 0, 0)) == ([], None, None)
    images.image("2026-04-01T00:00:00Z", "latest-monthly")
    assert look_up_releases(located, located, Version(101, 0, 0)).monthly == Monthly(
        digest_of(images.pages[f"/v2/{REPOSITORY}/manifests/latest-monthly"]), None
    )


def test_release_needs_both_images() -> None:
    assert newer_releases(["v2.0.0", "v3.0.0", "latest"], ["v1.0.0", "v3.0.0", "v2.0.1"], Version(1, 0, 0)) == [Version(3, 0, 0)]


@given(st.lists(st.builds("v{}.{}.{}".format, *[st.integers(0, 12)] * 3) | st.sampled_from(["latest", "v1.2", "edge"]), max_size=9), st.integers(0, 9))
def test_newest_tags_are_the_greatest_versions(tags: list[str], count: int) -> None:
    numbers = sorted((tuple(int(part) for part in tag[1:].split(".")) for tag in tags if tag.count(".") == 2), reverse=True)
    assert newest_tags(tags, count) == ["v{}.{}.{}".format(*number) for number in numbers[:count]]


@pytest.mark.parametrize(
    ("name", "host", "repository"),
    [
        ("mongo", "docker.io", "library/mongo"),
        ("docker.io/mongo", "docker.io", "library/mongo"),
        ("docker.io/library/mongo", "docker.io", "library/mongo"),
        ("toucantoco/backend", "docker.io", "toucantoco/backend"),
        ("quay.io/toucantoco/backend", "quay.io", "toucantoco/backend"),
        ("localhost/backend", "localhost", "backend"),
        ("mirror:5000/a/b_c/d.e", "mirror:5000", "a/b_c/d.e"),
    ],
)
def test_name_is_split_as_the_engine_does(name: str, host: str, repository: str) -> None:
    assert parse_image_name(name) == (host, repository)
    assert str(parse_image_name(name)) == f"{host}/{repository}"


@pytest.mark.parametrize("name", ["", "quay.io/", "quay.io/a:tag", "quay.io/a@sha256:0", "quay.io/../x", "quay.io/A", "quay.io/a?b", "quay.io/a b"])
def test_useless_name(name: str) -> None:
    with pytest.raises(Failure, match="is no name of an image; write it as `REGISTRY/PATH/NAME`, without tag or digest"):
        parse_image_name(name)


def test_docker_hub_is_asked_at_its_own_address() -> None:
    asked = []

    def transport(method: str, url: str, headers: Any, body: Any = None) -> Any:
        asked.append(url)
        raise Failure("stop", "here")

    with pytest.raises(Failure):
        Registry(transport, "docker.io").tags("library/mongo")
    assert asked == ["https://registry-1.docker.io/v2/library/mongo/tags/list"]


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ("Basic realm=x", [Challenge("basic", {"realm": "x"})]),
        ('BASIC  Realm = "a \\"quoted\\", one"', [Challenge("basic", {"realm": 'a "quoted", one'})]),
        (
            'Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push",error="insufficient_scope", Negotiate, Basic realm="r"',
            [
                Challenge("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push", "error": "insufficient_scope"}),
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "r"}),
            ],
        ),
    ],
)
def test_challenges(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("2026-10-28T09:12:44.123456789Z", datetime(2026, 10, 28, 9, 12, 44, tzinfo=timezone.utc)),
        ("2026-10-28T09:12:44+02:00", datetime(2026, 10, 28, 7, 12, 44, tzinfo=timezone.utc)),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("2026-13-28T09:12:44Z", None),
        ("0001-01-01T00:00:00+09:00", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_build_dates(text: Any, created: Any) -> None:
    assert parse_created(text) == created


# -- a portal in the place of a registry ----------------------------------------------------------------------------------------------

PAGE = b"\n<!DOCTYPE html><title>Sign in</title>"
HTML = (("Content-Type", "text/html; charset=utf-8"),)
PORTAL = "Registry .* answered with a web page, such as the login page of a portal, .*; let this host past the portal, or correct the registry's name"


@pytest.mark.parametrize("headers", [HTML, (("Content-Type", "application/json"),)])
def test_a_login_page_is_told_as_one(connect: Any, answer: Any, headers: Any) -> None:
    unused, registry = connect(lambda request: answer(200, PAGE, headers))
    for question in (lambda: registry.tags(REPOSITORY), lambda: registry.digest(REPOSITORY, "v1.2.3"), lambda: registry.created(REPOSITORY, "v1.2.3")):
        with pytest.raises(Failure, match=PORTAL):
            question()


def test_a_redirect_to_a_login_page_is_told_as_one(connect: Any, answer: Any, serve: Any, authority: Any) -> None:
    portal = serve(lambda request: answer(200, PAGE, HTML), authority.server_context())
    unused, registry = connect(lambda request: answer(302, b"", (("Location", f"{portal.url}/login"),)))
    with pytest.raises(Failure, match=PORTAL):
        registry.digest(REPOSITORY, "v1.2.3")
    assert "authorization" not in portal.requests[-1].headers


def test_a_login_page_in_the_place_of_a_token_service_is_told(connect: Any, answer: Any, serve: Any, authority: Any) -> None:
    portal = serve(lambda request: answer(200, PAGE, HTML), authority.server_context())
    unused, registry = connect(guarded(answer, f"{portal.url}/auth"))
    with pytest.raises(Failure, match=PORTAL):
        registry.tags(REPOSITORY)
