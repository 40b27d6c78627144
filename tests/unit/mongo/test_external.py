# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a MongoDB of somebody else is told apart, on servers of the wire protocol."""

from __future__ import annotations

import socket
import threading
from contextlib import AbstractContextManager
from typing import Any, Callable

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.databases import ExternalMongodb, MongodbUri, parse_mongodb_uri
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo import external
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.external import MongodbFacts, examine, without_secrets

Serve = Callable[..., AbstractContextManager[int]]
LOCALHOST = "127.0.0.1"
#: A login that a server can answer at once.
PLAIN = "authMechanism=PLAIN&authSource=$external"
PASSWORD = "ses@me/1"
EVERYTHING = ({"resource": {"anyResource": True}, "actions": ["anyAction"]},)
NOTHING_FOUND = {"ok": 1, "n": 0}


def answers(privileges: Any = EVERYTHING, **others: Any) -> dict[str, Any]:
    told = {"ok": 1, "authInfo": {"authenticatedUsers": [], "authenticatedUserPrivileges": privileges}}
    return {
        "saslStart": {"ok": 1, "done": True, "conversationId": 1, "payload": b""},
        "buildInfo": {"ok": 1, "version": "7.0.14"},
        "listDatabases": {"ok": 1, "databases": []},
        "connectionStatus": told,
        **others,
    }


def refusal(code: int, words: str = "no") -> dict[str, Any]:
    return {"ok": 0, "code": code, "codeName": "X", "errmsg": words}


def uri(port: int, options: str = PLAIN, **login: str) -> MongodbUri:
    return ExternalMongodb(f"mongodb://{LOCALHOST}:{port}/?{options}", **(login or {"username": "ann", "password": PASSWORD})).settled()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_TIMEOUT_S", 1.0)


def told(port: int, words: str, **options: Any) -> Failure:
    """The sentence about a server, which holds `words` and no secret."""
    given = options.pop("uri", None) or uri(port)
    with pytest.raises(Failure, match=words) as caught:
        examine(given, **options)
    assert PASSWORD not in str(caught.value.facts())
    assert "ses%40me" not in str(caught.value.facts())
    return caught.value


def test_a_server_with_a_user_who_may_do_everything_is_fine(server: Serve) -> None:
    with server(answers()) as port:
        assert examine(uri(port)) == MongodbFacts("7.0.14", True, ())


def test_rights_that_are_missing_are_named(server: Serve) -> None:
    privileges = [{"resource": {"db": "", "collection": ""}, "actions": ["find"]}, {"resource": {"cluster": True}, "actions": ["listDatabases"]}]
    with server(answers(privileges)) as port:
        failure = told(port, "User ann of MongoDB at .* may not do insert, update, .*dropDatabase on every database")
    assert failure.remedy == "grant it the roles readWriteAnyDatabase and dbAdminAnyDatabase of database admin"


@pytest.mark.parametrize("privileges", [[], None])
def test_a_server_that_does_not_tell_rights_shows_them(server: Serve, privileges: Any) -> None:
    allowed = {"delete": NOTHING_FOUND, "update": NOTHING_FOUND, "dropDatabase": {"ok": 1}}
    with server(answers(privileges, **allowed)) as port:
        assert examine(uri(port)).rights_told
    with server(answers(privileges, **{**allowed, "dropDatabase": refusal(13)})) as port:
        told(port, "may not do dropDatabase on every database")
    with server(answers(privileges, **{**allowed, "update": refusal(59, "no such command")})) as port:
        assert not examine(uri(port)).rights_told


def test_a_server_without_logins_is_remarked_upon(server: Serve) -> None:
    with server(answers([])) as port:
        facts = examine(parse_mongodb_uri(f"mongodb://{LOCALHOST}:{port}"))
    assert facts.remarks == (f"MongoDB at {LOCALHOST}:{port} lets everybody in without a login.",)


def test_an_option_that_the_driver_passes_over_is_remarked_upon(server: Serve) -> None:
    with server(answers()) as port:
        facts = examine(uri(port, f"{PLAIN}&retrywritse=true"))
    assert len(facts.remarks) == 1
    assert facts.remarks[0].startswith("`toucan_mongodb_uri`: Unknown option: retrywritse.")


@pytest.mark.parametrize("code", [18, 8000], ids=["MongoDB", "Atlas"])
def test_a_refused_login_is_told(server: Serve, code: int) -> None:
    with server(answers(saslStart=refusal(code, "Authentication failed."))) as port:
        told(port, f"MongoDB at {LOCALHOST}:{port} refuses user ann with this password; correct `toucan_mongodb_username` and `toucan_mongodb_password`")


def test_a_server_that_wants_a_login_is_told(server: Serve) -> None:
    with server(answers(listDatabases=refusal(13))) as port:
        told(port, "wants a login, and `toucan_mongodb_uri` has none .error code 13.", uri=parse_mongodb_uri(f"mongodb://{LOCALHOST}:{port}"))
        told(port, "does not let user ann list its databases .error code 13.; grant it the roles readWriteAnyDatabase and dbAdminAnyDatabase")


def test_a_port_where_nobody_listens_is_told() -> None:
    with socket.socket() as held:
        held.bind((LOCALHOST, 0))
        port = held.getsockname()[1]
        failure = told(port, f"MongoDB at {LOCALHOST}:{port} does not answer this host: .*Connection refused; see that it runs")
    assert "Topology" not in failure.answer and "configured timeouts" not in failure.answer


def test_a_name_that_does_not_resolve_is_told() -> None:
    told(0, "MongoDB at nowhere.invalid:27017 does not answer this host: .*nowhere.invalid", uri=parse_mongodb_uri("mongodb://nowhere.invalid"))


def test_an_srv_record_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import dns.resolver

    def missing(*args: Any, **options: Any) -> None:
        raise dns.resolver.NXDOMAIN(qnames=["_mongodb._tcp.cluster.example.com."], responses={})

    monkeypatch.setattr(dns.resolver, "resolve", missing)
    told(0, "There is no SRV record of cluster.example.com to be found from this host", uri=parse_mongodb_uri("mongodb+srv://cluster.example.com"))


def test_options_that_the_driver_cannot_use_are_told() -> None:
    bare = parse_mongodb_uri("mongodb://h/?authMechanism=SCRAM-SHA-256")
    told(0, "The driver of MongoDB cannot use `toucan_mongodb_uri`: SCRAM-SHA-256 requires a username; correct its options", uri=bare)


def test_the_certificate_is_held_to_the_ca_that_is_given(server: Serve, authority: Any) -> None:
    ca = authority.ca_file.read_text()
    with server(answers(), authority.server_context()) as port:
        given = ExternalMongodb(f"mongodb://{LOCALHOST}:{port}/?{PLAIN}", "ann", PASSWORD, ca).settled()
        assert examine(given, ca).version == "7.0.14"


def test_a_certificate_of_another_ca_is_told(server: Serve, authority: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = type(authority)(tmp_path_factory.mktemp("stranger")).ca_file.read_text()
    with server(answers(), authority.server_context()) as port:
        given = ExternalMongodb(f"mongodb://{LOCALHOST}:{port}/?{PLAIN}", "ann", PASSWORD, stranger).settled()
        told(port, "is not signed by the CA in `toucan_mongodb_ca_file`: .*; give the CA that signed it", uri=given, ca_pem=stranger)
        told(port, "is signed by nobody whom this host trusts: .*; give the CA as `toucan_mongodb_ca_file`", uri=uri(port, f"{PLAIN}&tls=true"))


def test_a_certificate_of_another_name_or_time_is_told(server: Serve, authority: Any) -> None:
    ca = authority.ca_file.read_text()
    for context, words in (
        (authority.server_context("192.0.2.1"), "is of another name: "),
        (authority.server_context(days=-1), "is not valid now: certificate has expired"),
    ):
        with server(answers(), context) as port:
            told(port, f"The certificate of MongoDB at {LOCALHOST}:{port} {words}", uri=uri(port).with_ca_file("/none"), ca_pem=ca)


def test_a_server_that_wants_tls_is_told(server: Serve, authority: Any) -> None:
    with server(answers(), authority.server_context()) as port:
        told(port, "wants TLS, and `toucan_mongodb_uri` asks for none: .*; give the CA of its certificate as `toucan_mongodb_ca_file`")


@pytest.mark.parametrize(
    "words",
    ["[SSL: WRONG_VERSION_NUMBER] wrong version number", "EOF occurred in violation of protocol", "TLS connection has been closed (EOF)", "connection closed"],
)
def test_python_says_in_several_ways_that_there_is_no_tls(words: str) -> None:
    """Which one it is hangs on its version and on when the other end hangs up."""
    assert external._NO_TLS.search(f"SSL handshake failed: 127.0.0.1:37725: {words}")


def test_a_server_without_tls_is_told() -> None:
    with socket.create_server((LOCALHOST, 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=hang_up, daemon=True).start()
        told(port, f"MongoDB at {LOCALHOST}:{port} breaks off where TLS is asked for: .*; have TLS switched on there", uri=uri(port, f"{PLAIN}&tls=true"))
        listener.shutdown(socket.SHUT_RDWR)


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "MongoClient", None)
    with pytest.raises(Failure, match="The Python library pymongo is missing; run role `toucan_host` on this host first"):
        examine(parse_mongodb_uri("mongodb://h"))


def test_secrets_are_blanked_in_what_others_say() -> None:
    given = parse_mongodb_uri("mongodb://ann:ses%40me@h/?authMechanismProperties=AWS_SESSION_TOKEN:hidden")
    assert without_secrets("ses@me, ses%40me and AWS_SESSION_TOKEN:hidden of ann", given) == "********, ******** and ******** of ann"
