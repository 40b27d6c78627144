# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of an ACME server becomes Caddy's words, nonsense is refused, and Caddy's log becomes a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import acme
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import Acme, Attempt, ExternalAccount

DIRECTORY = "https://acme.corp.test:14000/dir"
ALL = Acme("it@corp.test", DIRECTORY, "http-01", "ca-text", ExternalAccount("kid-1", "value-of-mac"), "value-of-key")
HOSTS = ("app.corp.example.com", "api.corp.example.com")


# -- what Caddy reads -------------------------------------------------------------------------------------------------------------


def test_nothing_asked_for_means_lets_encrypt() -> None:
    assert acme.issuer_lines(Acme(), "/etc/caddy") == ["dir https://acme-v02.api.letsencrypt.org/directory"]
    assert acme.files(Acme()) == {}


def test_each_option_has_its_line() -> None:
    assert acme.issuer_lines(ALL, "/mount") == [
        f"dir {DIRECTORY}",
        f"test_dir {DIRECTORY}",
        "email it@corp.test",
        "disable_tlsalpn_challenge",
        "trusted_roots /mount/acme-ca.pem",
        "import /mount/acme-binding",
    ]
    assert "disable_http_challenge" in acme.issuer_lines(replace(ALL, challenge="tls-alpn-01"), "/mount")
    assert not [line for line in acme.issuer_lines(replace(ALL, challenge="any"), "/mount") if "disable" in line]


def test_secrets_stand_in_files_of_their_own() -> None:
    assert acme.files(ALL) == {"acme-ca.pem": "ca-text", "acme-binding": "eab kid-1 value-of-mac\n", "acme-account.key": "value-of-key"}
    assert "value-of" not in str(acme.issuer_lines(ALL, "/mount")) + repr(ALL)


@pytest.mark.parametrize(
    "directory, folder",
    [
        # Names that Caddy 2.11.2 gave.
        ("", "acme-v02.api.letsencrypt.org-directory"),
        ("https://localhost:34000/dir", "localhost-34000-dir"),
        ("https://acme.corp.test/", "acme.corp.test"),
        ("https://ACME.corp.test/acme/v2/DIR/", "acme.corp.test-acme-v2-dir"),
        ("https://acme.corp.test/dir?profile=a", "acme.corp.test-dir"),
        ("https://acme.corp.test/a+b~c", "acme.corp.test-a_plus_bc"),
    ],
)
def test_the_folder_of_a_server_is_named_as_caddy_names_it(directory: str, folder: str) -> None:
    assert Acme(directory_url=directory).folder == folder


def adapted(*issuers: dict[str, Any]) -> str:
    return json.dumps({"admin": {}, "apps": {"tls": {"automation": {"policies": [{"subjects": ["app"], "issuers": [issuer]} for issuer in issuers]}}}})


def test_the_account_key_is_named_to_every_acme_issuer_and_to_no_other() -> None:
    output = '{"level":"info","msg":"adapted"}\nnot json\n' + adapted({"module": "acme", "ca": DIRECTORY}, {"module": "internal"}, {"module": "acme"})
    policies = json.loads(acme.with_account_key(output, "/etc/caddy/acme-account.key"))["apps"]["tls"]["automation"]["policies"]
    key = {"account_key": "{file./etc/caddy/acme-account.key}"}
    assert [policy["issuers"] for policy in policies] == [[{"module": "acme", "ca": DIRECTORY, **key}], [{"module": "internal"}], [{"module": "acme", **key}]]


def test_an_answer_without_a_configuration_is_told() -> None:
    with pytest.raises(Failure, match="`caddy adapt` gave no configuration; set `toucan_proxy_image`"):
        acme.with_account_key('{"level":"info","msg":"adapted"}\n[1]', "/key")


# -- what is refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (
            {"directory_url": "http://acme.corp.test/dir"},
            "The ACME directory `http://acme.corp.test/dir` is no https URL; write `toucan_proxy_acme_directory_url`",
        ),
        ({"directory_url": "acme.corp.test/dir"}, "is no https URL; write"),
        ({"directory_url": "https://"}, "is no https URL; write"),
        ({"directory_url": "https://acme.corp.test:port/dir"}, "is no https URL; write"),
        ({"directory_url": "https://acme.corp.test/d ir"}, "is no https URL; write"),
        ({"directory_url": "https://acme.corp.test/{env.HOME}"}, "is no https URL; write"),
        ({"directory_url": "https://[::1/dir"}, "is no https URL; write"),
        ({"email": "it"}, "`it` is no e-mail address; correct `toucan_proxy_acme_email`"),
        ({"email": "it@corp test"}, "is no e-mail address"),
        ({"email": "it@{env.HOME}"}, "is no e-mail address"),
        (
            {"directory_url": "https://acme.zerossl.com/v2/DV90", "email": "", "external_account": None},
            "ZeroSSL gives no certificate to somebody it does not know; set `toucan_proxy_acme_email`, or `toucan_proxy_acme_eab`",
        ),
        ({"external_account": ExternalAccount("kid", "")}, "has no mac_key; give `toucan_proxy_acme_eab` both"),
        ({"external_account": ExternalAccount("", "mac")}, "has no key_id; give `toucan_proxy_acme_eab` both"),
        ({"external_account": ExternalAccount("kid", "m/c")}, "`mac_key` of the external account binding is none; copy `toucan_proxy_acme_eab.mac_key` again"),
        ({"external_account": ExternalAccount("k d", "mac")}, "`key_id` of the external account binding is none; copy"),
        ({"external_account": ExternalAccount("{k}", "mac")}, "`key_id` of the external account binding is none; copy"),
    ],
)
def test_an_option_that_no_server_can_be_content_with_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Failure, match=sentence) as failure:
        acme.refuse_unusable_acme(replace(ALL, **changes), HOSTS)
    assert "m/c" not in str(failure.value)


@pytest.mark.parametrize("host", ["toucan", "10.0.0.1", "app.corp.local", "app.internal", "app.lab.test"])
def test_a_name_that_is_not_public_is_refused_for_a_public_server_alone(host: str) -> None:
    with pytest.raises(Failure, match=f"{host} is no public name, and acme-v02.api.letsencrypt.org gives certificates for public names alone; name your own"):
        acme.refuse_unusable_acme(Acme(), (HOSTS[0], host))
    acme.refuse_unusable_acme(Acme(directory_url=DIRECTORY), (HOSTS[0], host))


def test_good_options_pass() -> None:
    for server in (
        ALL,
        Acme(),
        Acme(email="it@corp.test"),
        Acme(directory_url="https://acme.zerossl.com/v2/DV90", external_account=ExternalAccount("kid", "mac")),
    ):
        acme.refuse_unusable_acme(server, HOSTS)


@pytest.mark.parametrize("version, refused", [((2, 6, 2), True), ((2, 8, 0), False), ((2, 11), False), ((), False)])
def test_an_account_key_needs_a_caddy_that_reads_files(version: tuple[int, ...], refused: bool) -> None:
    if refused:
        with pytest.raises(Failure, match="Caddy 2.6.2 takes no account key of an ACME server; set `toucan_proxy_image` to 2.8"):
            acme.refuse_old_caddy(version)
    else:
        acme.refuse_old_caddy(version)


# -- what Caddy logs --------------------------------------------------------------------------------------------------------------

PROBLEM = "HTTP 400 urn:ietf:params:acme:error:connection - 10.0.0.1: Fetching http://app/: Connection refused"
RETRY = {
    "level": "error",
    "ts": 1795421529.41,
    "logger": "tls.obtain",
    "msg": "will retry",
    "error": f"[app] Obtain: [app] solving challenge: app: [app] authorization failed: {PROBLEM} (ca={DIRECTORY})",
    "attempt": 1,
    "retrying_in": 60,
}
CHALLENGE = {
    "level": "error",
    "ts": 1795421529.2,
    "msg": "challenge failed",
    "identifier": "app",
    "challenge_type": "http-01",
    "problem": {"type": "urn:ietf:params:acme:error:connection", "detail": "Connection refused"},
    "stacktrace": "long",
}
LOG = [
    "no json",
    "[]",
    json.dumps({"level": "info", "ts": 1795421520.0, "logger": "tls.obtain", "msg": "acquiring lock"}),
    json.dumps({"level": "error", "ts": 1795421521.0, "logger": "http.log.error", "msg": "dial tcp: lookup frontend"}),
    json.dumps(CHALLENGE),
    json.dumps(RETRY),
]


def test_a_failed_attempt_is_found_with_the_time_of_the_next() -> None:
    assert acme.failed_attempts(LOG, since=1795421529.0) == [Attempt(RETRY["error"], 1795421529.41, 60)]
    assert acme.failed_attempts(LOG, since=1795421530.0) == []


def test_people_are_told_what_went_wrong_with_certificates_alone() -> None:
    assert acme.told(LOG) == (
        "08:12:09 challenge failed: app: http-01: urn:ietf:params:acme:error:connection - Connection refused",
        f"08:12:09 will retry: {RETRY['error']}",
    )


def test_an_error_is_shortened_to_the_servers_words() -> None:
    assert acme.short(str(RETRY["error"])) == PROBLEM
    assert acme.short("something else") == "something else"


@pytest.mark.parametrize(
    "error, meaning, remedy",
    [
        (PROBLEM, "does not reach this host", "port 80 for http-01 or port 443"),
        ("HTTP 400 urn:ietf:params:acme:error:dns - DNS problem: NXDOMAIN looking up A for app", "finds no address", "public DNS record"),
        ("HTTP 403 urn:ietf:params:acme:error:unauthorized - Invalid response from http://app/.well-known/: 404", "another server", "point the DNS record"),
        ("HTTP 429 urn:ietf:params:acme:error:rateLimited - too many certificates", "too many orders", "staging"),
        ("provisioning client: tls: failed to verify certificate: x509: certificate signed by unknown authority", "does not trust", "acme_ca_file"),
        ("HTTP 403 urn:ietf:params:acme:error:externalAccountRequired - ACME server policy requires", "external account binding", "acme_eab"),
        ("HTTP 400 urn:ietf:params:acme:error:accountDoesNotExist - unable to find existing account", "no account of that key", "acme_account_key"),
        ("HTTP 403 urn:ietf:params:acme:error:caa - CAA record for app prevents issuance", "CAA record forbids", "CAA record"),
        ("HTTP 400 urn:ietf:params:acme:error:rejectedIdentifier - forbidden by policy", "does not issue for this name", "use an ACME server"),
        ("getting directory: dial tcp: lookup acme.corp.test: no such host", "does not reach the ACME server", "acme_directory_url"),
        ("out of cheese", "did not give it", "read its answer"),
    ],
)
def test_an_error_is_explained(error: str, meaning: str, remedy: str) -> None:
    told = acme.explain(error)
    assert meaning in told[0]
    assert remedy in told[1]
