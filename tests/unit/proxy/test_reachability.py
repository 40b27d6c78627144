# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, ports and certificates are looked at on real sockets, as a user's client would."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import reachability
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.reachability import (
    handshake_fault,
    open_as_user,
    refuse_foreign_address,
    refuse_no_acme_directory,
    refuse_taken_ports,
    refuse_unresolved,
    tls_probe,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOCALHOST = "127.0.0.1"


class Pair(NamedTuple):
    """A certificate and its key."""

    certificate: Any
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def issue(name: str, issuer: Optional[Pair] = None, ca: bool = False, days: int = 1, strict: bool = True) -> Pair:
    """A pair for host `name`, valid since two days ago until in `days`; self-signed without `issuer`; without key identifiers if not `strict`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer.key if issuer else key
    uses = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(timezone.utc) - timedelta(days=2))
        .not_valid_after(datetime.now(timezone.utc) + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca, **uses), critical=True)
    )
    if strict:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Pair(builder.sign(signer, hashes.SHA256()), key)


ROOT = issue("root", ca=True)
STRANGER = issue("stranger", ca=True)
SERVER = issue("app.test", ROOT)


# -- a user's request -----------------------------------------------------------------------------------------------------------


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/": 200, "/moved": 302, "/dir?a=b": 200}.get(self.path, 404))
        content = b'{"newOrder": "https://acme.test/order"}' if self.path == "/dir?a=b" else b""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


@contextmanager
def tls_server(pair: Pair, folder: Path) -> Iterator[int]:
    """A web server with this certificate; the port it listens on."""
    (folder / "both.pem").write_text(pair.pem + pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(folder / "both.pem"))
    server = ThreadingHTTPServer((LOCALHOST, 0), _Answers)
    # A client that refuses the certificate is no error of this server.
    server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    "pair, host, path, ca, fault",
    [
        (SERVER, "app.test", "/", ROOT, ""),
        (SERVER, "app.test", "/none", ROOT, "status 404"),
        (SERVER, "app.test", "/moved", ROOT, "status 302"),
        (SERVER, "app.test", "/", STRANGER, "its certificate is not trusted: unable to get local issuer certificate"),
        (SERVER, "app.test", "/", None, "its certificate is not trusted: unable to get local issuer certificate"),
        (SERVER, "api.test", "/", ROOT, "its certificate is not trusted: Hostname mismatch"),
        (issue("app.test", ROOT, days=-1), "app.test", "/", ROOT, "its certificate is not trusted: certificate has expired"),
        (issue("app.test"), "app.test", "/", ROOT, "its certificate is not trusted: self"),
    ],
    ids=["good", "not found", "redirect", "other CA", "system's CAs", "other name", "expired", "self-signed"],
)
def test_a_url_is_opened_as_a_user_would(pair: Pair, host: str, path: str, ca: Optional[Pair], fault: str, tmp_path: Path) -> None:
    with tls_server(pair, tmp_path) as port:
        told = open_as_user(host, LOCALHOST, port, path, ca.pem if ca else None)
    assert told.startswith(fault) if fault else told == ""


@pytest.mark.parametrize("pair", [SERVER, issue("app.test", ROOT, days=-1)], ids=["good", "expired"])
def test_a_proxy_that_answers_over_tls_is_up_whatever_stands_behind(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Answers, "do_GET", lambda handler: handler.send_error(502))
    with tls_server(pair, tmp_path) as port:
        assert tls_probe(port, "app.test")(LOCALHOST) == ""


def test_a_proxy_that_does_not_answer_over_tls_is_not_up() -> None:
    with socket.socket() as held:
        held.bind((LOCALHOST, 0))
        port = held.getsockname()[1]
        assert tls_probe(port, "app.test")(LOCALHOST) == f"HTTPS on port {port}: [Errno 111] Connection refused"
    with ThreadingHTTPServer((LOCALHOST, 0), _Answers) as plain:
        thread = threading.Thread(target=plain.serve_forever, args=(0.01,))
        thread.start()
        assert "SSL" in tls_probe(plain.server_address[1], "app.test")(LOCALHOST)
        plain.shutdown()
        thread.join()


ACME_SERVER = issue("localhost", ROOT)


def test_an_acme_directory_is_known_by_what_it_offers(tmp_path: Path) -> None:
    with tls_server(ACME_SERVER, tmp_path) as port:
        refuse_no_acme_directory(f"https://localhost:{port}/dir?a=b", ROOT.pem)


@pytest.mark.parametrize(
    "path, ca, sentence",
    [
        ("/dir", ROOT, r"https://localhost:\d+/dir is no ACME directory: status 404; write `toucan_proxy_acme_directory_url` as the CA names it"),
        ("", ROOT, r"https://localhost:\d+ is no ACME directory: status 200; write"),
        (
            "/dir?a=b",
            STRANGER,
            r"The certificate of the ACME server at https://localhost:\d+/dir\?a=b is not trusted: unable to get local issuer certificate;"
            " give the CA that signed it as `toucan_proxy_acme_ca_file`",
        ),
        ("/dir?a=b", None, r"is not trusted: unable to get local issuer certificate; give"),
    ],
    ids=["other path", "no directory", "other CA", "system's CAs"],
)
def test_what_is_no_acme_server_is_told(path: str, ca: Optional[Pair], sentence: str, tmp_path: Path) -> None:
    with tls_server(ACME_SERVER, tmp_path) as port, pytest.raises(Failure, match=sentence):
        refuse_no_acme_directory(f"https://localhost:{port}{path}", ca.pem if ca else None)


def test_an_acme_server_that_is_not_there_is_told() -> None:
    with socket.socket() as held:
        held.bind((LOCALHOST, 0))
        url = f"https://localhost:{held.getsockname()[1]}/dir"
        with pytest.raises(Failure, match=r"The ACME server at .* does not answer this host: .*refused; correct `toucan_proxy_acme_directory_url`"):
            refuse_no_acme_directory(url, ROOT.pem)


def test_nobody_there_is_told() -> None:
    with socket.socket() as held:
        held.bind((LOCALHOST, 0))
        assert "refused" in open_as_user("app.test", LOCALHOST, held.getsockname()[1], "/", ROOT.pem)


def test_a_server_without_tls_is_told() -> None:
    server = ThreadingHTTPServer((LOCALHOST, 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    told = open_as_user("app.test", LOCALHOST, server.server_address[1], "/", ROOT.pem)
    server.shutdown()
    server.server_close()
    thread.join()
    assert "SSL" in told


# -- a handshake in memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair, host, ca, fault",
    [
        (SERVER, "app.test", ROOT, ""),
        (SERVER, "app.test", STRANGER, "unable to get local issuer certificate"),
        (SERVER, "api.test", ROOT, "Hostname mismatch"),
        (issue("app.test", ROOT, days=-1), "app.test", ROOT, "certificate has expired"),
    ],
    ids=["good", "other CA", "other name", "expired"],
)
def test_a_certificate_is_tried_without_a_server(pair: Pair, host: str, ca: Pair, fault: str) -> None:
    told = handshake_fault(pair.pem, pair.key_pem, host, ca.pem)
    assert told.startswith(fault) if fault else told == ""


def test_a_ca_without_key_identifiers_is_taken_as_browsers_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which Python refuses from 3.13 on."""
    usual = ssl.create_default_context

    def strict(**options: Any) -> ssl.SSLContext:
        context = usual(**options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    root = issue("root", ca=True, strict=False)
    server = issue("app.test", root, strict=False)
    assert handshake_fault(server.pem, server.key_pem, "app.test", root.pem) == ""
    monkeypatch.setattr(reachability, "lenient", lambda context: context)
    assert "Key Identifier" in handshake_fault(server.pem, server.key_pem, "app.test", root.pem)


@pytest.mark.parametrize(
    "ca_pem, words",
    [
        ("# Zürich\n" + ROOT.pem, "ASCII"),
        ("no certificate", "."),
        (ROOT.pem.replace("MII", "\N{SNOWMAN}", 1), "ASCII"),
        (ROOT.pem[:200], "."),
    ],
    ids=["comment", "text", "damaged", "cut"],
)
def test_a_ca_that_cannot_be_read_is_told(ca_pem: str, words: str) -> None:
    told = f"The CA certificates that users are to trust cannot be read: .*{words}.*; give certificates in PEM form as `toucan_ca_file`"
    with pytest.raises(Failure, match=told):
        handshake_fault(SERVER.pem, SERVER.key_pem, "app.test", ca_pem)
    with pytest.raises(Failure, match=told):
        open_as_user("app.test", LOCALHOST, 1, "/", ca_pem)


def test_an_intermediate_must_be_given_with_the_certificate() -> None:
    middle = issue("middle", ROOT, ca=True)
    server = issue("app.test", middle)
    assert handshake_fault(server.pem, server.key_pem, "app.test", ROOT.pem) == "unable to get local issuer certificate"
    assert handshake_fault(server.pem + middle.pem, server.key_pem, "app.test", ROOT.pem) == ""


def test_a_key_of_another_certificate_is_told() -> None:
    assert handshake_fault(SERVER.pem, STRANGER.key_pem, "app.test", ROOT.pem) == "KEY_VALUES_MISMATCH"


# -- ports and names ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family, address", [(socket.AF_INET, LOCALHOST), (socket.AF_INET6, "::1")])
def test_a_taken_port_names_its_program(family: int, address: str) -> None:
    listener = socket.socket(family)
    try:
        listener.bind((address, 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        listener.listen()
        port = listener.getsockname()[1]
        comm = Path("/proc/self/comm").read_text().strip()
        with pytest.raises(Failure) as caught:
            refuse_taken_ports([port])
    assert str(caught.value) == (
        f"Port {port} is taken by {comm} (process {os.getpid()}), which listens on {address}; "
        "stop that program, or set `toucan_proxy_http_port` and `toucan_proxy_https_port` to free ports, "
        "or `toucan_proxy_bind_address` to an address that it does not listen on."
    )


@contextmanager
def listening(address: str) -> Iterator[int]:
    """A listener on an address, where that is `::` on IPv4 as well; the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "held, wanted, told",
    [
        ("127.0.0.2", "127.0.0.2", "127.0.0.2"),
        ("127.0.0.2", "127.0.0.3", ""),
        ("127.0.0.2", "", "127.0.0.2"),
        ("127.0.0.2", "0.0.0.0", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.3", "all addresses"),
        ("0.0.0.0", "", "all addresses"),
        ("::", "127.0.0.3", "all addresses"),
        ("::1", "127.0.0.3", ""),
        ("::1", "::1", "::1"),
        ("127.0.0.2", "::1", ""),
        ("::ffff:127.0.0.2", "127.0.0.2", "127.0.0.2"),
    ],
)
def test_a_listener_is_in_the_way_on_its_addresses_alone(held: str, wanted: str, told: str) -> None:
    with listening(held) as port:
        if not told:
            refuse_taken_ports([port], wanted)
            return
        with pytest.raises(Failure, match=f"^Port {port} is taken by .*, which listens on {told}; .* or `toucan_proxy_bind_address` to an address"):
            refuse_taken_ports([port], wanted)


def test_what_the_proxy_has_now_is_no_hindrance_but_its_neighbour_on_the_same_port_is() -> None:
    with listening("127.0.0.2") as port:
        refuse_taken_ports([port], "", own=[("127.0.0.2", port)])
        with socket.create_server(("127.0.0.3", port)):
            refuse_taken_ports([port], "127.0.0.2", own=[("127.0.0.2", port)])
            with pytest.raises(Failure, match="which listens on 127.0.0.3;"):
                refuse_taken_ports([port], "", own=[("127.0.0.2", port)])


@pytest.mark.parametrize("address", ["127.0.0.2", "0.0.0.0"])
def test_an_address_of_this_host_passes(address: str) -> None:
    refuse_foreign_address(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_host_is_refused(address: str) -> None:
    sentence = f"^This host cannot listen on {address}: .*; set `toucan_proxy_bind_address` to an address of this host, or leave it unset for all"
    with pytest.raises(Failure, match=sentence):
        refuse_foreign_address(address)


def test_a_port_that_is_only_connected_or_bound_is_free() -> None:
    with socket.create_server((LOCALHOST, 0)) as listener, socket.create_connection(listener.getsockname()) as client, socket.socket() as bound:
        bound.bind((LOCALHOST, 0))
        refuse_taken_ports([client.getsockname()[1], bound.getsockname()[1]])


def test_a_listener_whose_program_cannot_be_seen_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability.glob, "iglob", lambda pattern: iter(["/proc/1/fd/nobody-has-this"]))
    sentence = "is taken by another program, which listens on 127.0.0.1; stop that program"
    with socket.create_server((LOCALHOST, 0)) as listener, pytest.raises(Failure, match=sentence):
        refuse_taken_ports([listener.getsockname()[1]])


@pytest.mark.parametrize("host", ["no such name", "a..b", "x" * 64 + ".test"])
def test_a_name_that_does_not_resolve_is_refused(host: str) -> None:
    with pytest.raises(Failure, match="The public name .* does not resolve on this host: .*; create its DNS record, or set `toucan_proxy_require_dns: false`"):
        refuse_unresolved(["localhost", host])


def test_a_name_that_resolves_passes() -> None:
    refuse_unresolved(["localhost", LOCALHOST])
