# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Docker engine answers becomes containers, digests and sentences; the engine is a server of canned answers."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Optional
from urllib.parse import unquote, urlsplit

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers import docker_engine
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Container, Credentials, DockerEngine, Neighbour
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

DIGEST = "sha256:" + "0f" * 32
REGISTRY = "registry.test:5000"
ROBOT = Credentials(REGISTRY, "robot", "sesame")
NAME = f"{REGISTRY}/toucantoco/backend"


class Request(NamedTuple):
    """A request that the engine got; `credentials` are those for a registry."""

    method: str
    path: str
    body: bytes
    credentials: Optional[dict[str, str]]


class Events(tuple[bytes, ...]):
    """An answer that comes piece by piece."""


class Broken(Events):
    """One that breaks off in the middle of a piece."""


class Engine:
    """A Docker engine that answers what it is told to: `answers` goes from method and path (without version and query) to status and body."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {"GET /version": (200, {"ApiVersion": "1.44"}), "GET /_ping": (200, "OK")}
        self.requests: list[Request] = []
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                path = re.sub(r"^/v1\.\d+", "", unquote(urlsplit(self.path).path))
                header = self.headers.get("X-Registry-Auth")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                known = json.loads(base64.urlsafe_b64decode(header)) if header else None
                engine.requests.append(Request(self.command, path, body, known or None))
                status, content = engine.answers.get(f"{self.command} {path}", (404, {"message": f"no answer for {path}"}))
                self.send_response(status)
                if isinstance(content, Events):
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for event in (*content, b""):
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                        if isinstance(content, Broken):
                            self.wfile.write(b"ff\r\n{")
                            self.close_connection = True
                            return
                else:
                    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return "tcp://{}:{}".format(*self.server.server_address[:2])

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(name="engine")
def _engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    engine = Engine()
    for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    # The SDK reads the user's own credentials, which must not decide here.
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    yield engine
    engine.close()


@pytest.fixture(name="docker")
def _docker(engine: Engine) -> DockerEngine:
    return DockerEngine(timeout=5)


def test_an_engine_that_does_not_run_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(Failure, match="Connecting to the Docker engine failed: .*; see that the Docker engine runs"):
        DockerEngine(timeout=5)


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "docker", None)
    with pytest.raises(Failure, match="The Python library docker is missing; run role `toucan_host` on this host first"):
        DockerEngine()


# -- looking ------------------------------------------------------------------------------------------------------------------------


def inspected(identity: str, service: str, **changes: Any) -> dict[str, Any]:
    """What the engine says of a container."""
    return {
        "Id": identity,
        "Image": "sha256:1d",
        "Created": "2026-11-23T12:00:00.123456789Z",
        "RestartCount": 3,
        "State": {"Status": "running", "ExitCode": 0},
        "Config": {"Image": f"{NAME}:v1@{DIGEST}", "Labels": {"com.docker.compose.service": service, "com.docker.compose.config-hash": "aa11"}},
        "NetworkSettings": {
            "Ports": {"8443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "443"}, {"HostIp": "::", "HostPort": "443"}], "8080/tcp": None},
            "Networks": {"toucan": {"IPAddress": "172.18.0.2"}, "other": {"IPAddress": ""}},
        },
        **changes,
    }


def test_containers_of_a_project_are_told_by_service(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /containers/json"] = (200, [{"Id": "id2"}, {"Id": "id1"}])
    engine.answers["GET /containers/id2/json"] = (200, inspected("id2", "redis"))
    engine.answers["GET /containers/id1/json"] = (200, inspected("id1", "backend"))
    found = docker.containers("toucan")
    assert [container.service for container in found] == ["backend", "redis"]
    assert found[0] == Container(
        *("id1", "backend", f"{NAME}:v1@{DIGEST}", "sha256:1d", "running", 0, 3, "2026-11-23T12:00:00.123456789Z", "aa11"),
        addresses={"toucan": "172.18.0.2"},
        published=(("0.0.0.0", 443), ("::", 443)),
    )
    assert found[0].running


def test_a_container_without_labels_ports_and_networks_is_told(engine: Engine, docker: DockerEngine) -> None:
    bare = inspected("id1", "", Config={"Image": "x", "Labels": None}, NetworkSettings={}, State={"Status": "exited", "ExitCode": 137})
    engine.answers["GET /containers/json"] = (200, [{"Id": "id1"}])
    engine.answers["GET /containers/id1/json"] = (200, bare)
    (found,) = docker.containers("toucan")
    assert (found.service, found.config_hash, found.addresses, found.published, found.running, found.exit_code) == ("", "", {}, (), False, 137)


def test_an_image_is_known_by_its_id_or_is_not_here(engine: Engine, docker: DockerEngine) -> None:
    engine.answers[f"GET /images/{NAME}:v1/json"] = (200, {"Id": "sha256:1d"})
    assert docker.image_id(f"{NAME}:v1") == "sha256:1d"
    engine.answers[f"GET /images/{NAME}:v2/json"] = (404, {"message": f"No such image: {NAME}:v2"})
    assert docker.image_id(f"{NAME}:v2") == ""


def test_an_engine_that_fails_is_told_with_its_words(engine: Engine, docker: DockerEngine) -> None:
    engine.answers[f"GET /images/{NAME}:v1/json"] = (500, {"message": "input/output error"})
    with pytest.raises(Failure, match=f"Looking for image {NAME}:v1 failed: input/output error; see that the Docker engine runs"):
        docker.image_id(f"{NAME}:v1")


def test_only_a_network_of_exactly_this_name_counts(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /networks"] = (200, [{"Name": "toucan-proxy"}, {"Name": "my-toucan"}])
    assert not docker.network_exists("toucan")
    engine.answers["GET /networks"] = (200, [{"Name": "toucan-proxy"}, {"Name": "toucan"}])
    assert docker.network_exists("toucan")


def test_a_network_that_was_made_here_is_known_by_its_label(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["POST /networks/create"] = (201, {"Id": "id"})
    docker.create_network("toucan")
    assert json.loads(engine.requests[-1].body)["Labels"] == {docker_engine.OURS_LABEL: ""}
    engine.answers["GET /networks"] = (200, [{"Name": "my-toucan"}])
    assert not docker.network_is_ours("toucan")
    engine.answers["GET /networks"] = (200, [{"Name": "toucan"}])
    assert docker.network_is_ours("toucan")


def test_other_containers_are_told_with_what_they_use(engine: Engine, docker: DockerEngine) -> None:
    mounts = [{"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data"}, {"Type": "bind", "Source": "/srv"}]
    other = {"Id": "id2", "Names": ["/grafana"], "Mounts": mounts, "NetworkSettings": {"Networks": {"toucan": {}}}}
    engine.answers["GET /containers/json"] = (200, [{"Id": "id1", "Names": ["/toucan-redis-1"]}, other, {"Id": "id3", "Names": ["/bare"]}])
    assert docker.neighbours(["id1"]) == [
        Neighbour("grafana", ("/srv", "/var/lib/docker/volumes/data/_data", "data"), ("toucan",)),
        Neighbour("bare", (), ()),
    ]


@pytest.mark.parametrize(
    ("call", "request_line"),
    [
        (lambda docker: docker.stop("id1"), "POST /containers/id1/stop"),
        (lambda docker: docker.remove_network("toucan"), "DELETE /networks/toucan"),
        (lambda docker: docker.remove_volume("data"), "DELETE /volumes/data"),
    ],
)
def test_what_is_to_go_is_asked_for_by_name_and_a_refusal_is_told(engine: Engine, docker: DockerEngine, call: Any, request_line: str) -> None:
    engine.answers[request_line] = (204, b"")
    call(docker)
    assert f"{engine.requests[-1].method} {engine.requests[-1].path}" == request_line
    engine.answers[request_line] = (409, {"message": "it is in use"})
    with pytest.raises(Failure, match="failed: it is in use; see that the Docker engine runs"):
        call(docker)


def test_a_volume_that_nobody_named_goes_with_its_container_if_it_is_empty(engine: Engine, docker: DockerEngine, tmp_path: Path) -> None:
    empty, full, mounted, bound = (str(number) * 64 for number in range(4))
    for name in (empty, full, mounted, bound, "named"):
        (tmp_path / name).mkdir()
    (tmp_path / full / "file").write_text("x", encoding="utf-8")
    volumes = [{"Type": "volume", "Name": name, "Source": str(tmp_path / name)} for name in (empty, full, mounted, bound, "named")]
    asked = {"Binds": [f"{bound}:/b:rw", "/srv:/s"], "Mounts": [{"Type": "volume", "Source": mounted, "Target": "/m"}]}
    unseen = {"Type": "volume", "Name": "4" * 64, "Source": str(tmp_path / "elsewhere")}
    engine.answers["GET /containers/id1/json"] = (200, {"Mounts": [*volumes, unseen, {"Type": "bind", "Source": "/srv"}], "HostConfig": asked})
    for line in ("POST /containers/id1/stop", "DELETE /containers/id1", f"DELETE /volumes/{empty}"):
        engine.answers[line] = (204, b"")
    docker.remove("id1")
    assert [f"{request.method} {request.path}" for request in engine.requests if request.method != "GET"] == [
        "POST /containers/id1/stop",
        "DELETE /containers/id1",
        f"DELETE /volumes/{empty}",
    ]


def test_the_last_log_lines_are_told_oldest_first(engine: Engine, docker: DockerEngine) -> None:
    lines = b"first\nsecond \xff\n"
    engine.answers["GET /containers/id1/json"] = (200, inspected("id1", "backend", Config={"Tty": True, "Labels": {}, "Image": "x"}))
    engine.answers["GET /containers/id1/logs"] = (200, lines)
    assert docker.log_tail("id1") == ("first", "second \N{REPLACEMENT CHARACTER}")


# -- registries ---------------------------------------------------------------------------------------------------------------------


def test_a_digest_is_asked_for_with_the_registrys_own_credentials(engine: Engine, docker: DockerEngine) -> None:
    engine.answers[f"GET /distribution/{NAME}:v1/json"] = (200, {"Descriptor": {"digest": DIGEST}})
    assert docker.registry_digest(NAME, "v1", ROBOT, REGISTRY) == DIGEST
    assert engine.requests[-1].credentials == {"username": "robot", "password": "sesame"}


@pytest.mark.parametrize("registry", ["other.test", ""])
def test_credentials_go_to_no_other_registry(engine: Engine, docker: DockerEngine, registry: str) -> None:
    name = f"{registry}/caddy" if registry else "caddy"
    engine.answers[f"GET /distribution/{name}:2/json"] = (200, {"Descriptor": {"digest": DIGEST}})
    docker.registry_digest(name, "2", ROBOT, registry)
    assert "sesame" not in json.dumps([request.credentials for request in engine.requests])


@pytest.mark.parametrize(
    "status, message, problem, remedy",
    [
        (401, "unauthorized: authentication required", "refuses user robot for", "`toucan_registry.username` and `toucan_registry.password`"),
        (403, "pull access denied for backend", "refuses user robot for", "`toucan_registry.username` and `toucan_registry.password`"),
        (500, "no basic auth credentials", "refuses user robot for", "`toucan_registry.username` and `toucan_registry.password`"),
        (403, "errors:\ndenied: requested access to the resource is denied\n", "refuses user robot for", "have this account let in to the repository"),
        (500, "error unmarshalling content: invalid character '<' looking for beginning of value", "with a web page", "let this host past the portal"),
        (404, "manifest unknown: manifest unknown", "has no image", "`toucan_release` or `toucan_registry.name`"),
        (500, "name unknown: repository name not known to registry", "has no image", "`toucan_release` or `toucan_registry.name`"),
        (
            500,
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "is not trusted by Docker: tls: failed",
            "`toucan_registry.ca_file`",
        ),
        (500, "dial tcp: lookup registry.test: no such host", "did not give", "see that this host reaches the registry"),
    ],
)
def test_a_registrys_refusal_is_one_sentence(engine: Engine, docker: DockerEngine, status: int, message: str, problem: str, remedy: str) -> None:
    engine.answers[f"GET /distribution/{NAME}:v1/json"] = (status, {"message": message})
    with pytest.raises(Failure) as caught:
        docker.registry_digest(NAME, "v1", ROBOT, REGISTRY)
    assert problem in caught.value.problem
    assert REGISTRY in caught.value.problem
    assert remedy in caught.value.remedy
    assert caught.value.answer == message
    assert "sesame" not in str(caught.value.facts())


def test_who_asked_without_an_account_is_called_anonymous(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /distribution/caddy:2/json"] = (401, {"message": "unauthorized"})
    with pytest.raises(Failure, match="Registry the engine's default registry refuses an anonymous user for caddy:2"):
        docker.registry_digest("caddy", "2", Credentials(), "")


def test_who_asked_another_registry_is_called_anonymous_too(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /distribution/other.test/caddy:2/json"] = (401, {"message": "unauthorized"})
    with pytest.raises(Failure, match=f"Registry other.test refuses an anonymous user .*; take an image that wants no login, or one of {REGISTRY}:"):
        docker.registry_digest("other.test/caddy", "2", ROBOT, "other.test")


def test_an_unknown_image_that_follows_no_release_names_its_own_option(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /distribution/registry.test/caddy:3/json"] = (404, {"message": "manifest unknown"})
    with pytest.raises(Failure, match="`toucan_stack_images` or `toucan_proxy_image`"):
        docker.registry_digest("registry.test/caddy", "3", Credentials(), "registry.test")


def test_a_pull_fetches_the_digest_and_tags_it(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["POST /images/create"] = (200, Events([b'{"status":"Pulling"}\r\n', b'{"status":"Downloaded"}\r\n']))
    engine.answers[f"POST /images/{NAME}@{DIGEST}/tag"] = (201, b"")
    docker.pull(NAME, "v1", DIGEST, ROBOT, REGISTRY)
    assert [request.path for request in engine.requests[-2:]] == ["/images/create", f"/images/{NAME}@{DIGEST}/tag"]
    assert engine.requests[-2].credentials == {"username": "robot", "password": "sesame"}


def test_a_pull_that_breaks_off_is_told(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["POST /images/create"] = (200, Events([b'{"status":"Pulling"}\r\n', b'{"error":"no space left on device"}\r\n']))
    with pytest.raises(Failure, match=f"did not give {NAME}:v1: no space left on device"):
        docker.pull(NAME, "v1", DIGEST, ROBOT, REGISTRY)
    assert not [request for request in engine.requests if request.path.endswith("/tag")]


def test_a_pull_whose_connection_breaks_is_told(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["POST /images/create"] = (200, Broken([b'{"status":"Pulling"}\r\n']))
    with pytest.raises(Failure, match=f"Registry {REGISTRY} did not give {NAME}:v1: .*(IncompleteRead|prematurely).*; see that this host reaches the registry"):
        docker.pull(NAME, "v1", DIGEST, ROBOT, REGISTRY)
    assert not [request for request in engine.requests if request.path.endswith("/tag")]


@pytest.mark.parametrize("body", [b"", b"<html>bad gateway</html>", {}, {"error": "x"}, [], "text", {"message": None}])
@pytest.mark.parametrize("status", [404, 500])
def test_an_error_without_a_message_is_told(engine: Engine, docker: DockerEngine, status: int, body: Any) -> None:
    engine.answers["POST /images/create"] = engine.answers["POST /containers/id1/unpause"] = (status, body)
    with pytest.raises(Failure, match=f"^Registry {REGISTRY} (did not give|has no image) {NAME}:v1") as caught:
        docker.pull(NAME, "v1", DIGEST, ROBOT, REGISTRY)
    assert caught.value.answer
    with pytest.raises(Failure, match=f"^Unpausing container id1 failed: .*({status}|bad gateway).*; see that the Docker engine runs"):
        docker.unpause("id1")


def test_a_mistake_of_our_own_is_no_failure_of_the_engine(docker: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker._client.api, "unpause", lambda container: {}[container])
    with pytest.raises(KeyError):
        docker.unpause("id1")


# -- archives, and images that are no longer needed -----------------------------------------------------------------------------------


def test_an_archive_is_handed_over_whole(engine: Engine, docker: DockerEngine, tmp_path: Any) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"archive" * 1000)
    engine.answers["POST /images/load"] = (200, Events([b'{"stream":"Loaded image: a:1"}\r\n']))
    docker.load(str(archive))
    assert engine.requests[-1].path == "/images/load"


@pytest.mark.parametrize(
    "answer, words",
    [
        ((200, Events([b'{"error":"no space left on device"}\r\n'])), "no space left on device"),
        ((500, {"message": "unexpected EOF"}), "unexpected EOF"),
        ((200, Broken([b'{"stream":"Loading"}\r\n'])), ".*(IncompleteRead|prematurely).*"),
    ],
)
def test_an_archive_that_is_not_taken_is_one_sentence(engine: Engine, docker: DockerEngine, tmp_path: Any, answer: Any, words: str) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"archive")
    engine.answers["POST /images/load"] = answer
    with pytest.raises(Failure, match=f"Loading the images of {archive} into Docker failed: {words}; see that the archive is whole and that the disk has room"):
        docker.load(str(archive))


def test_an_archive_that_is_gone_is_one_sentence(docker: DockerEngine, tmp_path: Any) -> None:
    with pytest.raises(Failure, match="Loading the images of .*/a.tar into Docker failed: .*No such file"):
        docker.load(f"{tmp_path}/a.tar")


def test_local_images_are_told_by_name_newest_first(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /images/json"] = (
        200,
        [
            {"Id": "sha256:1", "RepoTags": [f"{NAME}:v1", "elsewhere:1"], "RepoDigests": [f"{NAME}@{DIGEST}"]},
            {"Id": "sha256:2", "RepoTags": [f"{NAME}-tools:v1"], "RepoDigests": None},
            {"Id": "sha256:3", "RepoTags": [f"{NAME}:v2"], "RepoDigests": []},
            {"Id": "sha256:4", "RepoTags": ["redis:8"], "RepoDigests": []},
            {"Id": "sha256:5", "RepoTags": None, "RepoDigests": [f"{NAME}@sha256:2"]},
        ],
    )
    engine.answers["GET /images/sha256:1/json"] = (200, {"Id": "sha256:1", "Metadata": {"LastTagTime": "2026-11-23T10:00:00.5Z"}})
    engine.answers["GET /images/sha256:3/json"] = (200, {"Id": "sha256:3", "Metadata": {"LastTagTime": "2026-11-23T10:30:00.123456789+00:00"}})
    engine.answers["GET /images/sha256:4/json"] = (200, {"Id": "sha256:4", "Metadata": {"LastTagTime": "0001-01-01T00:00:00Z"}})
    assert [(image.id, image.references) for image in docker.local_images([NAME, "docker.io/library/redis"])] == [
        ("sha256:3", (f"{NAME}:v2",)),
        ("sha256:1", (f"{NAME}:v1", f"{NAME}@{DIGEST}")),
        ("sha256:4", ("redis:8",)),
        ("sha256:5", (f"{NAME}@sha256:2",)),
    ]


def test_images_of_other_containers_are_in_use(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["GET /containers/json"] = (200, [{"Id": "id1", "ImageID": "sha256:1"}, {"Id": "id2", "ImageID": "sha256:2"}])
    assert docker.images_in_use(["id1"]) == {"sha256:2"}


def test_an_image_is_tagged_and_untagged(engine: Engine, docker: DockerEngine) -> None:
    engine.answers["POST /images/sha256:1/tag"] = (201, b"")
    docker.tag("sha256:1", f"{NAME}:v1")
    engine.answers[f"DELETE /images/{NAME}:v1"] = (200, [{"Untagged": f"{NAME}:v1"}])
    docker.remove_image(f"{NAME}:v1")
    assert [(request.method, request.path) for request in engine.requests[-2:]] == [("POST", "/images/sha256:1/tag"), ("DELETE", f"/images/{NAME}:v1")]


def test_an_image_that_is_gone_is_removed_and_one_in_use_told(engine: Engine, docker: DockerEngine) -> None:
    engine.answers[f"DELETE /images/{NAME}:v1"] = (404, {"message": "No such image"})
    docker.remove_image(f"{NAME}:v1")
    engine.answers[f"DELETE /images/{NAME}:v1"] = (409, {"message": "conflict: unable to remove repository reference"})
    with pytest.raises(Failure, match=f"Removing image {NAME}:v1 failed: conflict: unable to remove"):
        docker.remove_image(f"{NAME}:v1")


# -- throw-away containers ------------------------------------------------------------------------------------------------------------


def prepare_run(engine: Engine, start: tuple[int, Any]) -> None:
    engine.answers["POST /containers/create"] = (201, {"Id": "id1", "Warnings": []})
    engine.answers["GET /containers/id1/json"] = (
        200,
        inspected("id1", "", Config={"Tty": True, "Labels": {}, "Image": "x"}, HostConfig={"LogConfig": {"Type": "json-file"}}),
    )
    engine.answers["POST /containers/id1/start"] = start
    engine.answers["POST /containers/id1/wait"] = (200, {"StatusCode": 3})
    engine.answers["GET /containers/id1/logs"] = (200, b"said\n")
    engine.answers["DELETE /containers/id1"] = (204, b"")


def test_a_program_runs_once_without_network_and_rights_and_leaves_nothing(engine: Engine, docker: DockerEngine) -> None:
    prepare_run(engine, (204, b""))
    assert docker.run_once("caddy:2", ["caddy", "validate"], {"/srv/candidate": "/etc/caddy"}, "1000:1000", ["NET_BIND_SERVICE"]) == (3, "said\n")
    created = json.loads(next(request.body for request in engine.requests if request.path == "/containers/create"))
    limits = created["HostConfig"]
    assert (created["User"], created["Cmd"]) == ("1000:1000", ["caddy", "validate"])
    assert (limits["NetworkMode"], limits["ReadonlyRootfs"], limits["CapDrop"], limits["CapAdd"]) == ("none", True, ["ALL"], ["NET_BIND_SERVICE"])
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert limits["Binds"] == ["/srv/candidate:/etc/caddy:ro"]
    assert engine.requests[-1].method == "DELETE"


def test_a_program_that_the_image_lacks_is_told_as_a_shell_does(engine: Engine, docker: DockerEngine) -> None:
    words = 'exec: "caddy": executable file not found in $PATH'
    prepare_run(engine, (400, {"message": words}))
    assert docker.run_once("redis:8", ["caddy", "version"], {}, "1000:1000") == (127, words)
    assert engine.requests[-1].method == "DELETE"


def test_a_container_that_does_not_start_is_removed_and_told(engine: Engine, docker: DockerEngine) -> None:
    prepare_run(engine, (500, {"message": "cgroup trouble"}))
    with pytest.raises(Failure, match="Running caddy from image caddy:2 failed: cgroup trouble"):
        docker.run_once("caddy:2", ["caddy", "version"], {}, "1000:1000")
    assert engine.requests[-1].method == "DELETE"
