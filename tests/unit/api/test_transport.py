# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both transports against real servers: what they carry, what they refuse, and how each failure is told."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.api import requests_transport, transport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.requests_transport import RequestsTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.transport import BODY_LIMIT, Response, check_url, connection_failure, follow, shown
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.urllib_transport import UrllibTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure

Made = Callable[..., Any]


@pytest.fixture(params=[UrllibTransport, RequestsTransport])
def make(request: pytest.FixtureRequest) -> Made:
    """The class of each transport in turn."""
    return request.param


def test_answer_comes_back_whole(make: Made, serve: Any, answer: Any) -> None:
    server = serve(lambda request: answer(404, b"nothing here", (("X-Twice", "one"), ("X-Twice", "two"))))
    response = make()("GET", f"{server.url}/path?q=1", {"X-Sent": "yes"})
    assert (response.status, response.body, response.headers["x-twice"]) == (404, b"nothing here", "one, two")
    assert (server.requests[0].method, server.requests[0].path, server.requests[0].headers["x-sent"]) == ("GET", "/path?q=1", "yes")


def test_redirect_is_left_to_the_caller(make: Made, serve: Any, answer: Any) -> None:
    server = serve(lambda request: answer(302, b"", (("Location", "/elsewhere"),)))
    response = make()("GET", server.url, {})
    assert (response.status, response.headers["location"], len(server.requests)) == (302, "/elsewhere", 1)


def test_netrc_is_not_read(make: Made, serve: Any, answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serve(lambda request: answer())
    make()("GET", server.url, {})
    assert "authorization" not in server.requests[0].headers


def test_answer_beyond_the_limit_is_refused(make: Made, serve: Any, answer: Any) -> None:
    server = serve(lambda request: answer(200, b"x" * (BODY_LIMIT + 1)))
    with pytest.raises(Failure, match="answered more than 16 MiB"):
        make()("GET", server.url, {})


def test_certificate_of_a_given_ca_is_trusted(make: Made, serve: Any, answer: Any, authority: Any) -> None:
    server = serve(lambda request: answer(200, b"ok"), authority.server_context())
    assert make(str(authority.ca_file))("GET", server.url, {}).body == b"ok"


def test_unknown_ca_names_the_option(make: Made, serve: Any, answer: Any, authority: Any) -> None:
    server = serve(lambda request: answer(), authority.server_context())
    with pytest.raises(Failure, match="certificate is not trusted .*; give the CA that signed it in `ca_path` .*`toucan_ca_file`"):
        make()("GET", server.url, {})
    assert server.requests == []


def test_expired_certificate(make: Made, serve: Any, answer: Any, authority: Any) -> None:
    server = serve(lambda request: answer(), authority.server_context(days=-1))
    with pytest.raises(Failure, match=r"not trusted \(certificate has expired\); renew the certificate"):
        make(str(authority.ca_file))("GET", server.url, {})


def test_certificate_for_another_address(make: Made, serve: Any, answer: Any, authority: Any) -> None:
    server = serve(lambda request: answer(), authority.server_context("127.0.0.2"))
    with pytest.raises(Failure, match="not trusted .*mismatch.*; use a name that the certificate covers"):
        make(str(authority.ca_file))("GET", server.url, {})


def test_server_without_tls(make: Made, serve: Any, answer: Any) -> None:
    server = serve(lambda request: answer())
    with pytest.raises(Failure, match="TLS could not be agreed .*; check that the port speaks TLS"):
        make()("GET", server.url.replace("http:", "https:"), {})


def test_refused_connection(make: Made, free_port: int) -> None:
    with pytest.raises(Failure, match=f"Asking http://127.0.0.1:{free_port}/x failed: the connection was refused"):
        make()("GET", f"http://127.0.0.1:{free_port}/x", {})


def test_silence_ends_in_time(make: Made, silent_port: int) -> None:
    with pytest.raises(Failure, match="no answer within 0.2 s; .*`timeout`"):
        make(timeout=0.2)("GET", f"http://127.0.0.1:{silent_port}/", {})


def test_unknown_name(make: Made) -> None:
    # The top-level domain is reserved never to exist (RFC 2606).
    with pytest.raises(Failure, match="the name nowhere.invalid does not resolve"):
        make()("GET", "http://nowhere.invalid/", {})


def test_answer_that_is_no_http(make: Made) -> None:
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def talk() -> None:
        connection, unused = listener.accept()
        connection.recv(1000)
        connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
        connection.close()

    thread = threading.Thread(target=talk)
    thread.start()
    with pytest.raises(Failure, match="Asking http://127.0.0.1.* failed: .*; check the URL, the network and the proxy settings"):
        make()("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
    thread.join()
    listener.close()


def test_missing_ca_file(make: Made, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="The CA file .*/none.pem does not exist on this host; correct `ca_path`"):
        make(str(tmp_path / "none.pem"))


def test_ca_file_without_certificate(make: Made, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    with pytest.raises(Failure, match="empty.pem cannot be used: .*; give certificates in PEM form"):
        make(str(tmp_path / "empty.pem"))


def test_option_of_the_ca_file_can_be_named(make: Made, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="correct `registry_ca_path`"):
        make(str(tmp_path / "none.pem"), ca_option="`registry_ca_path`")


def test_requests_is_needed_for_its_transport(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_transport, "HAS_REQUESTS", False)
    with pytest.raises(Failure, match="library requests is missing; run role `toucan_host`"):
        RequestsTransport()


def test_package_needs_no_third_party_library() -> None:
    """The modules behind toucan_version load with nothing but the standard library."""
    import subprocess

    prefix = "ansible_collections.toucan.selfhosted.plugins.module_utils"
    names = ["api.registry", "api.releases", "api.shapes", "api.urllib_transport", "api.versions"]
    program = "; ".join(
        [
            "import sys",
            f"sys.path.insert(0, {str(Path(transport.__file__).parents[6])!r})",
            *(f"import {prefix}.{name}" for name in names),
            "print(sorted(name for name in ('requests', 'jmespath', 'cryptography', 'ansible') if name in sys.modules))",
        ]
    )
    done = subprocess.run([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout == "[]\n"


def test_cause_is_found_however_deep() -> None:
    hidden = OSError("outer", OSError("middle", ConnectionRefusedError(111, "Connection refused")))
    assert "refused" in str(connection_failure("http://a/", hidden, 1))


def test_unknown_cause_is_told_verbatim() -> None:
    assert "failed: No route to host; check" in str(connection_failure("http://a/", OSError("No route to host"), 1))
    assert "failed: ValueError; check" in str(connection_failure("http://a/", ValueError(), 1))


def test_tls_failure_without_reason_is_told() -> None:
    assert "TLS could not be agreed" in str(connection_failure("https://a/", ssl.SSLError("odd"), 1))


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown("https://user:secret@host:1/path?token=secret#x") == "https://host:1/path"


@pytest.mark.parametrize("url", ["", "app.example.com", "ftp://host/", "https://", "https://host:port/", "https://[::1/"])
def test_useless_url_names_its_option(url: str) -> None:
    with pytest.raises(Failure, match="is no URL that can be asked; write `frontend_url` as `https://HOST`"):
        check_url(url, "`frontend_url`")


def test_final_slash_of_a_url_is_dropped() -> None:
    assert check_url("https://host/prefix/", "x") == "https://host/prefix"


class Scripted:
    """A transport that answers from a table and notes what it was sent."""

    def __init__(self, locations: dict[str, str]) -> None:
        self.locations = locations
        self.sent: list[tuple[str, dict[str, str]]] = []

    def __call__(self, method: str, url: str, headers: Any, body: Any = None) -> Response:
        self.sent.append((url, dict(headers)))
        location = self.locations.get(url)
        return Response(307, {"location": location}, b"") if location else Response(200, {}, b"end")


def test_authorization_stays_with_its_origin() -> None:
    scripted = Scripted({"https://a/1": "/2", "https://a/2": "https://b/3", "https://b/3": "https://a/4"})
    response, final = follow(scripted, "GET", "https://a/1", {"Authorization": "secret", "Accept": "x"})
    assert (response.body, final) == (b"end", "https://a/4")
    assert [(url, "Authorization" in headers, "Accept" in headers) for url, headers in scripted.sent] == [
        ("https://a/1", True, True),
        ("https://a/2", True, True),
        ("https://b/3", False, True),
        ("https://a/4", False, True),
    ]


@pytest.mark.parametrize("other", ["https://a:8443/", "https://a.example/", "https://A.b/"])
def test_another_port_or_host_is_another_origin(other: str) -> None:
    scripted = Scripted({"https://a/": other})
    follow(scripted, "GET", "https://a/", {"Authorization": "secret"})
    assert "Authorization" not in scripted.sent[1][1]


def test_default_port_and_case_are_the_same_origin() -> None:
    scripted = Scripted({"https://a/": "https://A:443/2"})
    follow(scripted, "GET", "https://a/", {"Authorization": "secret"})
    assert scripted.sent[1][1] == {"Authorization": "secret"}


@pytest.mark.parametrize("location", ["http://a/", "file:///etc/passwd"])
def test_redirect_out_of_https_is_refused(location: str) -> None:
    with pytest.raises(Failure, match="redirects to .*which is not encrypted"):
        follow(Scripted({"https://a/": location}), "GET", "https://a/", {})


def test_http_may_redirect_to_https() -> None:
    assert follow(Scripted({"http://a/": "https://a/"}), "GET", "http://a/", {})[1] == "https://a/"


def test_endless_redirects_end() -> None:
    with pytest.raises(Failure, match="redirects more than 5 times"):
        follow(Scripted({"https://a/": "https://a/"}), "GET", "https://a/", {})
