# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wait for health ends when all is well, early for a restart loop, and otherwise with the failing container's last words."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.health import (
    Probe,
    Watched,
    http_probe,
    http_text,
    json_judge,
    redis_probe,
    wait_until_healthy,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

UP = Container("0123456789abcdef", "backend", "registry.test/backend:v1@sha256:00", "sha256:00", "running", 0, 0, "", "", {"toucan": "172.18.0.2"})


class ScriptedEngine:
    """Stands for the Docker engine and for time: each look at the containers is the next of `looks`, the last one for ever."""

    def __init__(self, *looks: Sequence[Container]) -> None:
        self.looks = list(looks)
        self.now = 0.0

    def containers(self, project: str) -> list[Container]:
        assert project == "toucan"
        return list(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])

    def log_tail(self, container: str, lines: int = 20) -> tuple[str, ...]:
        return ("first line", f"last line of {container[:4]}")

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def wait(engine: Any, probe: Probe, timeout: float = 60, services: Sequence[str] = ("backend",)) -> None:
    watched = [Watched(service.capitalize(), service, probe) for service in services]
    wait_until_healthy(engine, "toucan", "toucan", watched, timeout, engine.clock, engine.pause)


def healthy(address: str) -> str:
    return ""


def test_a_healthy_service_is_not_waited_for() -> None:
    engine = ScriptedEngine([UP])
    wait(engine, healthy)
    assert engine.now == 0


def test_a_slow_service_gets_its_time() -> None:
    engine = ScriptedEngine([UP])
    wait(engine, lambda address: "" if engine.now >= 50 else "refused")
    assert engine.now == 50


def test_a_service_that_is_created_late_is_waited_for() -> None:
    engine = ScriptedEngine([], [replace(UP, state="created")], [replace(UP, addresses={})], [replace(UP, addresses={"other": "10.0.0.1"})], [UP])
    wait(engine, healthy)
    assert engine.now == 4


def test_the_probe_looks_at_the_address_on_the_stacks_network() -> None:
    seen: list[str] = []
    wait(ScriptedEngine([replace(UP, addresses={"other": "10.0.0.1", "toucan": "172.18.0.9"})]), lambda address: seen.append(address) or "")
    assert seen == ["172.18.0.9"]


def test_every_service_must_be_healthy_once() -> None:
    engine = ScriptedEngine([UP, replace(UP, service="redis", id="redis", addresses={"toucan": "172.18.0.3"})])
    looks: list[str] = []

    def probe(address: str) -> str:
        looks.append(address)
        return "" if address == "172.18.0.2" or engine.now >= 3 else "refused"

    wait(engine, probe, services=("backend", "redis"))
    assert (looks.count("172.18.0.2"), looks.count("172.18.0.3")) == (1, 4)


@pytest.mark.parametrize(
    "look, said",
    [
        ([UP], "is not healthy after 60 s: GET / answered status 503"),
        ([], "(no image) is not healthy after 60 s: it has no container"),
        ([replace(UP, state="exited", exit_code=3)], "its container is exited, exit code 3"),
        ([replace(UP, addresses={})], "its container has no address on network toucan"),
    ],
)
def test_a_wait_that_ends_says_why(look: list[Container], said: str) -> None:
    engine = ScriptedEngine(look)
    with pytest.raises(Failure) as caught:
        wait(engine, lambda address: "GET / answered status 503")
    assert said in str(caught.value)
    assert "toucan_stack_start_timeout" in str(caught.value)
    assert caught.value.log == (("first line", "last line of 0123") if look else ())
    assert 60 <= engine.now <= 61


def test_the_sentence_names_the_image_without_digest() -> None:
    with pytest.raises(Failure, match=r"^Backend \(registry.test/backend:v1\) is not healthy"):
        wait(ScriptedEngine([UP]), lambda address: "refused")


def test_a_restart_loop_ends_the_wait_early() -> None:
    looks = [[replace(UP, restarts=restarts, state="restarting", exit_code=1)] for restarts in (4, 4, 5, 6, 7, 8)]
    engine = ScriptedEngine(*looks)
    with pytest.raises(Failure, match=r"Backend .* keeps restarting \(exit code 1\)") as caught:
        wait(engine, healthy, timeout=900)
    assert engine.now == 4
    assert caught.value.log[-1] == "last line of 0123"


def test_the_exit_code_of_a_loop_is_the_one_it_ended_with_not_that_of_its_next_life() -> None:
    ended, up_again = replace(UP, state="restarting", exit_code=3), replace(UP, restarts=4)
    with pytest.raises(Failure, match=r"keeps restarting \(exit code 3\)"):
        wait(ScriptedEngine([UP], [ended], [up_again]), lambda address: "refused", timeout=900)
    with pytest.raises(Failure, match=r"keeps restarting; "):
        wait(ScriptedEngine([UP], [up_again]), lambda address: "refused", timeout=900)


def test_restarts_of_former_days_are_no_loop() -> None:
    engine = ScriptedEngine([replace(UP, restarts=40)])
    wait(engine, lambda address: "" if engine.now >= 10 else "refused")


def test_a_container_created_anew_starts_its_own_count() -> None:
    engine = ScriptedEngine([replace(UP, restarts=1)], [replace(UP, id="fedcba", restarts=4)], [replace(UP, id="fedcba", restarts=5)])
    wait(engine, lambda address: "" if engine.now >= 10 else "refused")


# -- probes, against real servers ---------------------------------------------------------------------------------------------


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, text = {"/": (200, '{"status": "OK"}'), "/ko": (200, '{"status": "KO"}'), "/html": (200, "<html>")}.get(self.path, (404, "none"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


@pytest.fixture(name="port", scope="module")
def _port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def line_server(answer: bytes) -> Iterator[int]:
    """A server of one connection that reads once and answers; the port it listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)  # a client that never comes fails the test instead of hanging it

        def serve() -> None:
            connection, dummy = listener.accept()
            with connection:
                assert connection.recv(64) == b"PING\r\n"
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.fixture(name="closed_port")
def _closed_port() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def judge() -> Any:
    return json_judge(lambda answer: answer["status"] if isinstance(answer, dict) else None, "OK")


@pytest.mark.parametrize(
    "path, fault",
    [
        ("/", ""),
        ("/ko", "status is 'KO', not 'OK'"),
        ("/html", "the answer is no JSON: '<html>'"),
        ("/none", "answered status 404"),
    ],
)
def test_an_http_answer_is_judged(port: int, path: str, fault: str) -> None:
    told = http_probe(port, path, judge())("127.0.0.1")
    assert fault in told if fault else told == ""


def test_status_200_is_enough_where_nothing_judges(port: int) -> None:
    assert http_probe(port, "/html")("127.0.0.1") == ""
    assert http_text(port, "/html")("127.0.0.1") == (200, "<html>")


def test_nobody_there_is_a_fault(closed_port: int) -> None:
    assert "refused" in http_probe(closed_port, "/")("127.0.0.1")
    assert "refused" in redis_probe(closed_port)("127.0.0.1")


def test_what_speaks_no_http_is_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)  # a client that never comes fails the test instead of hanging it

        def serve() -> None:
            connection, dummy = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"-ERR unknown command\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        assert "GET /" in http_probe(listener.getsockname()[1], "/")("127.0.0.1")
        thread.join()


@pytest.mark.parametrize("answer", [b"+PONG\r\n", b"-NOAUTH Authentication required.\r\n"])
def test_redis_own_answers_are_healthy(answer: bytes) -> None:
    with line_server(answer) as port:
        assert redis_probe(port)("127.0.0.1") == ""


@pytest.mark.parametrize("answer", [b"-LOADING Redis is loading the dataset in memory\r\n", b"HTTP/1.1 400 Bad Request\r\n"])
def test_another_answer_to_ping_is_a_fault(answer: bytes) -> None:
    with line_server(answer) as port:
        assert f"PING on port {port} answered" in redis_probe(port)("127.0.0.1")


def test_a_judge_wants_exactly_what_is_expected() -> None:
    assert judge()(json.dumps({"status": "OK"})) == ""
    assert judge()("[]") == "status is None, not 'OK'"
