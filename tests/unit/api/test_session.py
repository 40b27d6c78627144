# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.session import Session
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.small_apps import SmallApp, create_small_app, list_small_apps
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.transport import Response
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

URL = "https://api.example.com/_api"


class Backend:
    """Answers by method and path, and what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"POST /login": (200, {"token": "t0k3n"}), **{key.replace("_", " /", 1).replace("_", "-"): value for key, value in answers.items()}}
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
        route = url.removeprefix(URL)
        self.asked.append((f"{method} {route}", headers.get("Authorization", ""), json.loads(body) if body else None))
        status, answer = self.answers[f"{method} {route}"]
        return Response(status, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode())

    def session(self, token: str = "") -> Session:
        return Session(self, URL + "/", "toucantoco", "s3cret", token)


def test_one_login_serves_all_requests() -> None:
    backend = Backend(GET_small_apps=(200, [{"id": "sales", "name": "Sales", "more": 1}]))
    session = backend.session()
    for dummy in range(2):
        assert list_small_apps(session) == (SmallApp("sales", "Sales"),)
    assert [asked[0] for asked in backend.asked] == ["POST /login", "GET /small-apps", "GET /small-apps"]
    assert backend.asked[0][2] == {"username": "toucantoco", "password": "s3cret"}
    assert backend.asked[1][1] == "Bearer t0k3n"


def test_a_token_that_is_given_spares_the_login() -> None:
    backend = Backend(GET_small_apps=(200, []))
    assert list_small_apps(backend.session("given")) == ()
    assert [asked[:2] for asked in backend.asked] == [("GET /small-apps", "Bearer given")]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, b"Login failed. Invalid username or password"), "refuses the login of toucantoco: HTTP 401; give the right `toucan_api_username`"),
        ((429, b"Too many requests"), "takes no logins of toucantoco for a while, because too many failed; wait a minute"),
        ((500, b"oops"), "POST https://api.example.com/_api/login with HTTP 500: oops; see the backend's log"),
        ((404, b"<html>"), "with HTTP 404: <html>; see that `api_url` is where its API answers"),
        ((200, b"<html>"), "POST https://api.example.com/_api/login with no JSON; see that `api_url`"),
        ((200, {"access": 1}), "answered a login without a `token`"),
        ((200, {"token": ""}), "answered a login without a `token`"),
    ],
)
def test_a_login_that_fails_is_tried_once_and_never_shows_the_password(answer: tuple[int, Any], words: str) -> None:
    backend = Backend()
    backend.answers["POST /login"] = answer
    with pytest.raises(Failure) as caught:
        list_small_apps(backend.session())
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value.facts())
    assert len(backend.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_request_is_not_tried_with_the_password_again(status: int) -> None:
    backend = Backend(GET_small_apps=(status, {}))
    with pytest.raises(Failure, match=f"refuses GET https://api.example.com/_api/small-apps to user toucantoco: HTTP {status}"):
        list_small_apps(backend.session("old"))
    assert len(backend.asked) == 1


@pytest.mark.parametrize("answer", [{"apps": []}, [{"name": "no id"}], [{"id": ""}], ["sales"], None])
def test_a_list_in_another_shape_names_the_option(answer: Any) -> None:
    with pytest.raises(Failure, match="with no list of small apps at .*; set `small_apps_shape`"):
        list_small_apps(Backend(GET_small_apps=(200, answer)).session())


def test_another_shape_can_be_given() -> None:
    backend = Backend(GET_small_apps=(200, {"apps": [{"uid": "sales"}]}))
    assert list_small_apps(backend.session(), "apps[].{id: uid, name: title}") == (SmallApp("sales", "sales"),)


def test_a_small_app_is_made_under_its_id() -> None:
    backend = Backend(POST_small_apps=(200, {"id": "sales", "name": "Sales"}))
    create_small_app(backend.session("t"), SmallApp("sales", "Sales"))
    assert backend.asked[-1][2] == {"id": "sales", "name": "Sales"}


@pytest.mark.parametrize("answer", [{"id": "sales-1"}, {}, []])
def test_a_small_app_of_another_id_is_told(answer: Any) -> None:
    with pytest.raises(Failure, match="made a small app .* where 'sales' was asked for"):
        create_small_app(Backend(POST_small_apps=(200, answer)).session("t"), SmallApp("sales", "Sales"))
