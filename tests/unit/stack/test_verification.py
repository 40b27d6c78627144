# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services of a stack answer is judged, and read, on real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container, Credentials
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import environment
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import services as kinds
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import StackOptions
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.workers import Workers
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.secrets import NAMES
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.connection import LoginRefused, NotReady
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack import verification
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.request import StackRequest, refuse_unusable
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.verification import answered_versions, watch, ways_in

LOCALHOST = "127.0.0.1"
SECRETS = dict.fromkeys(NAMES, "sesame")
REQUEST = StackRequest(
    options=StackOptions(
        project="toucan",
        services=kinds.KINDS,
        frontend_url="https://app.test",
        backend_url="https://api.test",
        directory="/srv/stack",
        storage="/srv/storage",
        database="/srv/mongodb",
        network="toucan",
    ),
    images={},
    credentials=Credentials(),
    workers=Workers(1, ""),
    secrets_path="/etc/toucan/secrets.json",
    recorded={},
    recorded_places={},
    recorded_project="",
    start_timeout=60,
)
CONTAINERS = [Container(name, name, "image", "", "running", 0, 0, "", "", {"toucan": LOCALHOST, "other": "192.0.2.1"}) for name in kinds.COMPOSE_NAMES.values()]


@pytest.fixture(name="product")
def _product(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A frontend and a backend on the port that both are taken to listen on; path to answer, which a test may change."""
    answers = {
        "/": '{"status": "OK", "version": "v101.1.0"}',
        "/tucana-version.txt": "v101.0.0\n",
        "/auth/providers": '[{"id": "sso", "type": "OIDC", "name": "Company", "icon": "x"}, {"id": "local", "type": "local"}]',
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = answers.get(self.path)
            self.send_response(200 if text is not None else 404)
            self.end_headers()
            self.wfile.write((text or "none").encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer((LOCALHOST, 0), Handler)
    monkeypatch.setattr(kinds, "FRONTEND_PORT", server.server_address[1])
    monkeypatch.setattr(environment, "BACKEND_PORT", server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_versions_are_those_that_answer(product: dict[str, str]) -> None:
    assert answered_versions(REQUEST, CONTAINERS) == {"frontend": "v101.0.0", "backend": "v101.1.0"}


def test_a_host_of_databases_answers_no_version() -> None:
    assert answered_versions(replace(REQUEST, options=replace(REQUEST.options, services=("redis",))), CONTAINERS) == {}
    assert ways_in(replace(REQUEST, options=replace(REQUEST.options, services=("redis",))), CONTAINERS) == []


def test_two_majors_that_answer_are_refused(product: dict[str, str]) -> None:
    product["/tucana-version.txt"] = "v100.1.0"
    with pytest.raises(Failure, match="Backend v101.1.0 and frontend v100.1.0 differ in major version; set `toucan_release`, or both overrides, to one major"):
        answered_versions(REQUEST, CONTAINERS)


def test_a_version_elsewhere_is_found_by_its_shape(product: dict[str, str]) -> None:
    product["/"] = '{"status": "OK", "build": {"version": "v101.1.0"}}'
    assert answered_versions(replace(REQUEST, version_shape="build.version"), CONTAINERS)["backend"] == "v101.1.0"


def test_no_version_at_its_shape_names_the_option(product: dict[str, str]) -> None:
    product["/"] = '{"status": "OK"}'
    with pytest.raises(Failure, match="The backend answered no version at `version`; .*`toucan_stack_version_shape`"):
        answered_versions(REQUEST, CONTAINERS)


def test_ways_in_are_told_with_their_names(product: dict[str, str]) -> None:
    assert ways_in(REQUEST, CONTAINERS) == [{"id": "sso", "type": "OIDC", "name": "Company"}, {"id": "local", "type": "local", "name": None}]


@pytest.mark.parametrize("answer", ['{"message": "Unauthorized"}', "[]", "null"])
def test_a_backend_that_lists_no_provider_has_none(product: dict[str, str], answer: str) -> None:
    product["/auth/providers"] = answer
    assert ways_in(REQUEST, CONTAINERS) == []


def test_providers_that_are_not_told_are_a_failure(product: dict[str, str]) -> None:
    product["/auth/providers"] = "<html>"
    with pytest.raises(Failure, match="Backend answered GET /auth/providers with no JSON; read the service's log"):
        ways_in(REQUEST, CONTAINERS)
    del product["/auth/providers"]
    with pytest.raises(Failure, match="Backend answered GET /auth/providers with status 404; read the service's log"):
        ways_in(REQUEST, CONTAINERS)


def test_a_service_that_answers_no_longer_is_a_failure(product: dict[str, str]) -> None:
    gone = [replace(container, addresses={REQUEST.options.network: "127.0.0.99"}) for container in CONTAINERS]
    with pytest.raises(Failure, match="Frontend answered, and then no longer: GET /tucana-version.txt: .*; read the service's log"):
        answered_versions(REQUEST, gone)


@pytest.mark.parametrize(
    "answer, fault",
    [('{"status": "OK"}', ""), ('{"status": "KO"}', "status is 'KO', not 'OK'"), ("{}", "status is None, not 'OK'"), ("<html>", "no JSON")],
)
def test_a_backend_is_well_when_it_says_so(product: dict[str, str], answer: str, fault: str) -> None:
    product["/"] = answer
    told = watch("backend", REQUEST, SECRETS).probe(LOCALHOST)
    assert fault in told if fault else told == ""


def test_a_frontend_is_well_when_it_has_a_version(product: dict[str, str]) -> None:
    probe = watch("frontend", REQUEST, SECRETS).probe
    assert probe(LOCALHOST) == ""
    del product["/tucana-version.txt"]
    assert "status 404" in probe(LOCALHOST)


@pytest.mark.parametrize("kind, title, service", [("backend", "Backend", "backend"), ("mongodb", "MongoDB", "mongo"), ("redis", "Redis", "redis")])
def test_a_service_is_watched_under_its_names(kind: str, title: str, service: str) -> None:
    watched = watch(kind, REQUEST, SECRETS)
    assert (watched.title, watched.service) == (title, service)


def test_a_mongodb_that_is_not_ready_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "log_in", raises(NotReady("starting")))
    assert watch("mongodb", REQUEST, SECRETS).probe(LOCALHOST) == "starting"


def test_a_mongodb_that_refuses_the_password_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "log_in", raises(LoginRefused("error code 18")))
    with pytest.raises(Failure, match="refuses the password of user app in /etc/toucan/secrets.json: .*; put that one there as `mongodb_password`") as caught:
        watch("mongodb", REQUEST, SECRETS).probe(LOCALHOST)
    assert "sesame" not in str(caught.value.facts())


def raises(error: Exception) -> Any:
    def log_in(*arguments: Any) -> None:
        assert arguments == (LOCALHOST, 27017, "app", "sesame")
        raise error

    return log_in


def test_another_project_on_the_same_data_is_refused() -> None:
    with pytest.raises(Failure, match="runs compose project other, and toucan would be a second one on the same data; set `toucan_stack_project` back"):
        refuse_unusable(replace(REQUEST, recorded_project="other"))
