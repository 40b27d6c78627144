# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MongoDB that does not answer is waited for; one that refuses the user is told apart by its code."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager
from typing import Any, Callable

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import connection
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.connection import LoginRefused, NotReady, log_in

Serve = Callable[..., AbstractContextManager[int]]
LOCALHOST = "127.0.0.1"


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT_MS", 1000)


def error(code: int, words: str) -> dict[str, Any]:
    return {"ok": 0, "code": code, "codeName": "X", "errmsg": words}


def test_a_port_where_nobody_listens_is_not_ready() -> None:
    with socket.socket() as held:
        held.bind((LOCALHOST, 0))
        with pytest.raises(NotReady, match="refused"):
            log_in(LOCALHOST, held.getsockname()[1], "app", "sesame")


def test_a_server_that_keeps_silent_is_not_ready() -> None:
    with socket.create_server((LOCALHOST, 0)) as listener, pytest.raises(NotReady):
        log_in(LOCALHOST, listener.getsockname()[1], "app", "sesame")


def test_a_user_that_is_refused_is_told_apart(server: Serve) -> None:
    with server({"saslStart": error(18, "Authentication failed.")}) as port, pytest.raises(LoginRefused) as caught:
        log_in(LOCALHOST, port, "app", "sesame")
    assert "18" in str(caught.value)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("code", [8, 11600], ids=["unknown error", "interrupted at shutdown"])
def test_a_server_that_cannot_judge_yet_is_not_ready(server: Serve, code: int) -> None:
    with server({"saslStart": error(code, "not now")}) as port, pytest.raises(NotReady, match="not now"):
        log_in(LOCALHOST, port, "app", "sesame")


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MongoClient", None)
    with pytest.raises(Failure, match="The Python library pymongo is missing; run role `toucan_host` on this host first"):
        log_in(LOCALHOST, 27017, "app", "sesame")


# -- users ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "expected"), [({"ok": 1, "users": []}, True), (error(13, "not authorized"), False)])
def test_who_may_see_users_may_make_them(server: Serve, answer: dict[str, Any], expected: bool) -> None:
    with server({"usersInfo": answer}) as port:
        assert connection.may_manage_users(LOCALHOST, port, "", "") is expected


@pytest.mark.parametrize(("users", "command"), [([], "createUser"), ([{"user": "app"}], "updateUser")])
def test_a_user_is_made_or_gets_the_password(server: Serve, users: list[dict[str, Any]], command: str) -> None:
    with server({"usersInfo": {"ok": 1, "users": users}, command: {"ok": 1}, "createUser" if users else "updateUser": error(1, "wrong command")}) as port:
        connection.give_user(LOCALHOST, port, ("", ""), "app", "sesame")


def test_a_server_that_makes_no_user_is_a_sentence_without_the_password(server: Serve) -> None:
    refused = {"usersInfo": {"ok": 1}, "createUser": error(13, "not for sesame")}
    with server(refused) as port, pytest.raises(Failure, match="refuses to make user app: error code 13") as caught:
        connection.give_user(LOCALHOST, port, ("", ""), "app", "sesame")
    assert "sesame" not in f"{caught.value} {caught.value.facts()}"


def test_users_of_a_server_that_does_not_answer_are_not_known() -> None:
    with socket.create_server((LOCALHOST, 0)) as listener, pytest.raises(NotReady):
        connection.may_manage_users(LOCALHOST, listener.getsockname()[1], "", "")


def test_a_user_changes_its_own_password(server: Serve) -> None:
    with server({"updateUser": {"ok": 1}}) as port:
        connection.change_password(LOCALHOST, port, "", "", "next")


def test_a_server_that_changes_no_password_is_a_sentence_without_it(server: Serve) -> None:
    with (
        server({"updateUser": error(13, "not for sesame")}) as port,
        pytest.raises(Failure, match="refuses to change the password of .*: error code 13") as caught,
    ):
        connection.change_password(LOCALHOST, port, "", "", "sesame")
    assert "sesame" not in f"{caught.value} {caught.value.facts()}"
