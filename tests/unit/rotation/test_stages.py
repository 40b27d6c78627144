# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each stage plans what is left to do and no more, and each proof fails when it should."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.plan import execute
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES, SecretsEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.connection import LoginRefused
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation import services
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.engine import Completion, Preparation, Promotion
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.record import Kept, read_kept
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.request import RotationRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.rotation.services import MongodbChange, RunningStack, admin_may_log_in, proofs, redis_takes

LOCALHOST = "127.0.0.1"
NAME = "mongodb_password"
REQUEST = RotationRequest((NAME,))


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> str:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({name: f"former-{name}" for name in NAMES}), encoding="utf-8")
    return str(path)


def held(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def prepare(path: str, others: Mapping[str, Mapping[str, Kept]] | None = None, maker: str = "", **values: str) -> dict[str, Any]:
    return execute(Preparation(path, RotationRequest((NAME,), values), others or {}, maker), check_mode=False)


def test_the_new_value_stands_beside_the_one_in_use_for_root_alone(path: str) -> None:
    result = prepare(path)
    secrets = held(path)
    assert len(secrets["rotation"]["new"][NAME]) >= 43
    assert {name: secrets[name] for name in NAMES} == {name: f"former-{name}" for name in NAMES}
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert secrets["rotation"]["new"][NAME] not in json.dumps(result)
    assert not prepare(path)["changed"]


def test_a_given_value_that_is_in_use_already_changes_nothing(path: str) -> None:
    before = held(path)
    assert not prepare(path, mongodb_password=f"former-{NAME}")["changed"]
    assert not execute(Promotion(path, RotationRequest((NAME,), {NAME: f"former-{NAME}"}), foreseen=True), check_mode=True)["changed"]
    assert held(path) == before


def test_another_value_than_that_of_an_unfinished_rotation_is_refused(path: str) -> None:
    prepare(path, mongodb_password="first")
    with pytest.raises(Failure, match=f"^A rotation of {NAME} to another value .* not finished; run once without giving one"):
        prepare(path, mongodb_password="second")
    assert held(path)["rotation"] == {"new": {NAME: "first"}}


def test_two_hosts_on_their_way_to_different_values_are_refused(path: str) -> None:
    prepare(path, mongodb_password="first")
    with pytest.raises(Failure, match=f"^Two rotations of {NAME} were begun"):
        prepare(path, {"host2": {NAME: Kept("former", new="second")}})


def test_what_the_maker_made_is_taken_and_nothing_is_made_beside_it(path: str) -> None:
    assert prepare(path, {"host1": {NAME: Kept("x", new="theirs")}}, maker="host1")["plan"][0]["after"] == "the value of host1"
    assert held(path)["rotation"] == {"new": {NAME: "theirs"}}


def test_a_host_that_learned_nothing_from_the_maker_makes_nothing(path: str) -> None:
    before = held(path)
    with pytest.raises(Failure, match=f"has not learned the new {NAME} from host1; run on all hosts"):
        prepare(path, {"host1": {}}, maker="host1")
    assert held(path) == before


def test_a_host_without_the_secret_is_refused(path: str) -> None:
    Path(path).write_text("{}", encoding="utf-8")
    with pytest.raises(Failure, match=f"lacks {NAME}; run `site.yml` first"):
        prepare(path)


def test_what_else_the_file_holds_stays(path: str) -> None:
    Path(path).write_text(json.dumps({**held(path), "environment": {"backend": {"X": "y"}}}), encoding="utf-8")
    before = held(path)
    prepare(path)
    execute(Promotion(path, REQUEST, foreseen=False), check_mode=False)
    execute(Completion(path, REQUEST, {}, {}), check_mode=False)
    after = held(path)
    assert {**after, NAME: ""} == {**before, NAME: ""} and after[NAME] != before[NAME]


def test_check_mode_foresees_every_stage_and_writes_nothing(path: str, takes: Callable[..., None]) -> None:
    takes(f"former-{NAME}")
    before = held(path)
    change = MongodbChange(path, REQUEST, Running(), foreseen=True)
    stages = [Preparation(path, REQUEST, {}, ""), change, Promotion(path, REQUEST, foreseen=True)]
    assert [execute(stage, check_mode=True)["changed"] for stage in stages] == [True] * 3
    assert held(path) == before


@pytest.mark.parametrize(("here", "told"), [(("mongodb",), "MongoDB"), (("backend",), "Backend"), (("mongodb", "backend", "redis"), "MongoDB and Backend")])
def test_a_plan_says_what_starts_anew(path: str, here: tuple[str, ...], told: str) -> None:
    (step,) = execute(Promotion(path, RotationRequest((NAME,), services=here), foreseen=True), check_mode=True)["plan"]
    assert step["after"] == f"new value, with which {told} start anew"


def test_the_inventory_is_told_what_it_gives_no_longer_truly(path: str) -> None:
    request = RotationRequest((NAME, "jwt_secret"))
    inventory = {NAME: "older", "jwt_secret": "former-jwt_secret", "admin_password": "older"}
    assert execute(Completion(path, request, {}, inventory), check_mode=False)["outdated"] == [NAME]


def test_site_yml_stops_at_a_rotation_that_is_not_finished(path: str) -> None:
    prepare(path)
    with pytest.raises(Failure, match=rf"^A rotation of {NAME} was begun here and is not finished; run `rotate.yml` with `toucan_rotate: \[{NAME}\]`"):
        execute(SecretsEngine(path, {}, []), check_mode=True)
    execute(Promotion(path, REQUEST, foreseen=False), check_mode=False)
    assert not execute(SecretsEngine(path, {}, []), check_mode=False)["changed"]


# -- MongoDB --------------------------------------------------------------------------------------------------------------


class Running(RunningStack):
    """Services on this machine."""

    def __init__(self) -> None:
        pass

    def address(self, kind: str) -> str:
        return LOCALHOST

    def backend_port(self) -> int:
        return 80


@pytest.fixture(name="takes")
def _takes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says which passwords the MongoDB takes; it does not learn new ones."""

    def takes(*passwords: str) -> None:
        def log_in(address: str, port: int, username: str, password: str) -> None:
            if password not in passwords:
                raise LoginRefused("error code 18")

        monkeypatch.setattr(services, "log_in", log_in)
        monkeypatch.setattr(services, "change_password", lambda *dummy: None)

    return takes


def test_a_database_that_took_the_new_password_before_is_left_alone(path: str, takes: Callable[..., None]) -> None:
    prepare(path, mongodb_password="next")
    takes("next")
    assert not execute(MongodbChange(path, REQUEST, Running(), foreseen=False), check_mode=False)["changed"]


def test_a_database_that_takes_neither_is_a_sentence(path: str, takes: Callable[..., None]) -> None:
    prepare(path, mongodb_password="next")
    takes("something else")
    with pytest.raises(Failure, match="takes neither the password of user app in .* nor the new one; put the one that it takes there"):
        execute(MongodbChange(path, REQUEST, Running(), foreseen=False), check_mode=False)
    assert held(path)[NAME] == f"former-{NAME}"


def test_a_database_that_agrees_and_does_not_take_it_is_a_sentence(path: str, takes: Callable[..., None]) -> None:
    prepare(path, mongodb_password="next")
    takes(f"former-{NAME}")
    with pytest.raises(Failure, match="has changed the password of user app, and does not take the new one"):
        execute(MongodbChange(path, REQUEST, Running(), foreseen=False), check_mode=False)


@pytest.mark.parametrize(
    ("taken", "told"),
    [((), "MongoDB runs and does not take the new password"), (("next", f"former-{NAME}"), "MongoDB still takes the former password")],
)
def test_a_former_value_is_kept_until_it_is_proven_dead(path: str, takes: Callable[..., None], taken: tuple[str, ...], told: str) -> None:
    prepare(path, mongodb_password="next")
    execute(Promotion(path, REQUEST, foreseen=False), check_mode=False)
    takes(*taken)
    with pytest.raises(Failure, match=told):
        execute(Completion(path, REQUEST, proofs(Running(), path, REQUEST, True), {}), check_mode=False)
    assert held(path)["rotation"] == {"former": {NAME: f"former-{NAME}"}}


# -- Redis ----------------------------------------------------------------------------------------------------------------


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A port that answers the first message with `answer`, and what it got."""
    got: list[bytes] = []
    with socket.create_server((LOCALHOST, 0)) as listener:

        def serve() -> None:
            peer = listener.accept()[0]
            with peer:
                got.append(peer.recv(1024))
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], got
        thread.join()


@pytest.mark.parametrize(("answer", "taken"), [(b"+OK\r\n", True), (b"-WRONGPASS invalid username-password pair\r\n", False)])
def test_redis_is_asked_by_its_own_protocol(monkeypatch: pytest.MonkeyPatch, answer: bytes, taken: bool) -> None:
    with answering(answer) as (port, got):
        monkeypatch.setattr(services.kinds, "REDIS_PORT", port)
        assert redis_takes(LOCALHOST, "sésame\r\n") is taken
    assert got == [b"*2\r\n$4\r\nAUTH\r\n$9\r\ns\xc3\xa9same\r\n\r\n"]


def test_a_redis_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOCALHOST, 0)) as held_port:
        port = held_port.getsockname()[1]
    monkeypatch.setattr(services.kinds, "REDIS_PORT", port)
    with pytest.raises(Failure, match="The stack's Redis does not answer: .*refused"):
        redis_takes(LOCALHOST, "sesame")


# -- the backend ----------------------------------------------------------------------------------------------------------


@contextmanager
def backend(answers: Mapping[str, tuple[int, bytes]]) -> Iterator[int]:
    """A backend that answers logins by password."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = (self.path, body["username"], self.headers["Content-Type"]) == ("/login", "toucantoco", "application/json")
            status, text = answers.get(body["password"], (401, b"Login failed.")) if known else (404, b"")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *dummy: Any) -> None:
            """Say nothing."""

    with HTTPServer((LOCALHOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


LOGGED_IN = (200, b'{"token": "x"}')


def test_a_login_is_a_token() -> None:
    answers = {"right": LOGGED_IN, "page": (200, b"<html>"), "empty": (200, b"{}"), "list": (200, b"[]"), "locked": (429, b"Too many"), "ill": (502, b"")}
    with backend(answers) as port:
        assert admin_may_log_in(LOCALHOST, port, "right")
        assert [admin_may_log_in(LOCALHOST, port, word) for word in ("wrong", "page", "empty", "list")] == [False] * 4
        for word, status in (("locked", 429), ("ill", 502)):
            with pytest.raises(Failure, match=f"answered the login of toucantoco with status {status}; wait a minute, and run again"):
                admin_may_log_in(LOCALHOST, port, word)
    with pytest.raises(Failure, match="The backend does not answer a login"):
        admin_may_log_in(LOCALHOST, port, "right")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"former": LOGGED_IN}, "keeps that of an existing user; log in as toucantoco with the former password, `rotation.former.admin_password` in /s.json"),
        ({}, "takes neither the new nor the former password of toucantoco; set it in the product to `admin_password` of /s.json"),
        ({"former": LOGGED_IN, "next": LOGGED_IN}, "takes the new password of toucantoco, and the former one still"),
    ],
)
def test_an_admin_password_that_took_no_effect_is_a_sentence(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, tuple[int, bytes]], told: str) -> None:
    with backend(answers) as port:
        stack = Running()
        monkeypatch.setattr(stack, "backend_port", lambda: port)
        proof = proofs(stack, "/s.json", RotationRequest(("admin_password",)), True)["admin_password"]
        with pytest.raises(Failure, match=told):
            proof(Kept("next", former="former"))


def test_one_backend_of_several_is_asked() -> None:
    assert "admin_password" not in proofs(Running(), "/s.json", RotationRequest(("admin_password",), services=("backend",)), logs_in=False)


def test_what_a_service_answers_is_kept_from_showing_any_of_the_values(path: str) -> None:
    prepare(path, mongodb_password="next-password")
    assert set(Completion(path, REQUEST, {}, {}).secret_values()) == {"next-password", f"former-{NAME}"}
    assert read_kept(path, [NAME])[NAME] == Kept(f"former-{NAME}", new="next-password")
