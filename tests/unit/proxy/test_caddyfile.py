# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Caddyfile and the container of the proxy follow from the options, and what cannot be served is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy import caddyfile as caddy
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import Acme
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.caddyfile import ProxyOptions, Site

OPTIONS = ProxyOptions(
    project="toucan-proxy",
    sites=(Site("https://app.test", ("frontend:80",)), Site("https://api.test/", ("10.0.0.1:80", "10.0.0.2:80"))),
    internal_ca=False,
    http_port=80,
    https_port=443,
    bind_address="",
    directory="/srv/proxy",
    network="toucan",
    owner=(1000, 1000),
)


def parse(text: str) -> dict[str, Any]:
    """A Caddyfile as nested blocks: what stands before a brace goes to what stands in it, a directive to `True`."""
    root: dict[str, Any] = {}
    path = [root]
    for line in (line.strip() for line in text.splitlines() if line.strip()):
        if line.endswith("{"):
            block: dict[str, Any] = {}
            path[-1][line[:-1].strip()] = block
            path.append(block)
        elif line == "}":
            path.pop()
        else:
            assert line not in path[-1], f"{line} stands twice"
            path[-1][line] = True
    assert path == [root], "braces do not match"
    return root


def rendered(streams_survive: bool = True, **changes: Any) -> dict[str, Any]:
    return parse(caddy.render(replace(OPTIONS, **changes), streams_survive))


def test_each_site_is_served_over_tls_and_http_leads_there() -> None:
    blocks = rendered()
    assert blocks.keys() == {"", "https://app.test", "https://api.test", "http://app.test, http://api.test"}
    assert blocks["https://app.test"] == {
        # Not `tls CHAIN KEY`, which connections that come in before a reload could not find any more.
        "tls": {"load /etc/caddy/key.pem": True},
        "reverse_proxy frontend:80": {"lb_try_duration 10s": True, "lb_try_interval 500ms": True, "stream_close_delay 24h": True},
    }
    assert "reverse_proxy 10.0.0.1:80 10.0.0.2:80" in blocks["https://api.test"]
    assert blocks["http://app.test, http://api.test"] == {"redir https://{host}{uri} permanent": True}


def test_caddy_listens_high_and_is_administered_by_a_socket() -> None:
    settings = rendered()[""]
    assert {"admin unix//run/caddy/admin.sock", "http_port 8080", "https_port 8443", "auto_https disable_redirects", "skip_install_trust"} <= settings.keys()
    assert settings["servers"] == {"protocols h1 h2": True}


def test_caddys_own_ca_needs_no_files() -> None:
    assert "tls internal" in rendered(internal_ca=True)["https://app.test"]


ACME = Acme(email="it@app.test", directory_url="https://acme.test/dir", account_key_pem="value-of-key")
ISSUER = {
    "issuer acme": {"dir https://acme.test/dir": True, "test_dir https://acme.test/dir": True, "email it@app.test": True},
}


def test_an_acme_server_is_named_to_each_site() -> None:
    blocks = rendered(acme=ACME)
    assert [blocks[f"https://{name}.test"]["tls"] for name in ("app", "api")] == [ISSUER, ISSUER]
    assert "value-of" not in str(blocks)


@pytest.mark.parametrize("orders, auto_https", [(False, "auto_https disable_certs"), (True, "auto_https ignore_loaded_certs")])
def test_a_held_certificate_is_served_while_another_is_ordered(orders: bool, auto_https: str) -> None:
    authority = {"acme": replace(ACME, ca_pem="ca-text")}
    blocks = parse(caddy.render_transition(replace(OPTIONS, **authority), True, ("app.test",), orders))
    trusting = {"issuer acme": {**ISSUER["issuer acme"], "trusted_roots /etc/caddy/transition/acme-ca.pem": True}}
    assert auto_https in blocks[""]
    assert blocks["https://app.test"]["tls"] == {"load /etc/caddy/transition/app.test.pem": True, **trusting}
    assert blocks["https://api.test"]["tls"] == trusting
    assert blocks["http://app.test, http://api.test"] == {"redir https://{host}{uri} permanent": True}


def test_an_account_key_is_in_caddys_own_json_alone() -> None:
    options = replace(OPTIONS, acme=ACME)
    assert options.config_name == "caddy.json"
    assert caddy.compose(options, "caddy:2")["services"]["caddy"]["command"] == ["caddy", "run", "--config", "/etc/caddy/caddy.json"]
    assert caddy.reload_command("transition/caddy.json")[3:5] == ["--config", "/etc/caddy/transition/caddy.json"]
    assert caddy.adapt_command("transition/Caddyfile") == ["caddy", "adapt", "--config", "/etc/caddy/transition/Caddyfile", "--adapter", "caddyfile"]
    assert replace(OPTIONS, acme=replace(ACME, account_key_pem="")).config_name == "Caddyfile"


def test_a_redirect_names_a_port_that_is_not_the_usual_one() -> None:
    options = {"https_port": 8443, "sites": (Site("https://app.test:8443", ("frontend:80",)),)}
    assert rendered(**options)["http://app.test"] == {"redir https://{host}:8443{uri} permanent": True}


def test_a_caddy_that_cannot_keep_streams_open_is_not_asked_to() -> None:
    assert "stream_close_delay 24h" not in rendered(streams_survive=False)["https://app.test"]["reverse_proxy frontend:80"]


def test_nothing_limits_bodies_or_strips_headers() -> None:
    text = caddy.render(OPTIONS, True)
    assert not [word for word in ("request_body", "header_up", "max_size", "handle_path") if word in text]


# -- the container ------------------------------------------------------------------------------------------------------------------


def test_the_container_is_hardened() -> None:
    service = caddy.compose(OPTIONS, "caddy:2@sha256:00")["services"]["caddy"]
    assert service["image"] == "caddy:2@sha256:00"
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("1000:1000", True, ["ALL"])
    assert service["cap_add"] == ["NET_BIND_SERVICE"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "always"
    assert service["volumes"] == ["/srv/proxy/config:/etc/caddy:ro", "/srv/proxy/data:/data"]


@pytest.mark.parametrize("address, prefix", [("", ""), ("192.0.2.1", "192.0.2.1:"), ("2001:db8::1", "[2001:db8::1]:")])
def test_two_ports_are_published_on_the_address_asked_for(address: str, prefix: str) -> None:
    options = replace(OPTIONS, bind_address=address, http_port=81, https_port=444)
    assert caddy.compose(options, "caddy:2")["services"]["caddy"]["ports"] == [f"{prefix}81:8080", f"{prefix}444:8443"]


def test_the_stacks_network_is_joined_and_not_owned() -> None:
    assert caddy.compose(OPTIONS, "caddy:2")["networks"] == {"default": {"name": "toucan", "external": True}}


@pytest.mark.parametrize(
    "text, version, survives",
    [
        ("v2.11.0 h1:abc=", (2, 11, 0), True),
        ("2.6.2\n", (2, 6, 2), False),
        ("v2.7.0-beta.1", (2, 7, 0), True),
        ("2.10-alpine", (2, 10), True),
        ("1.0.5", (1, 0, 5), False),
        ("unknown", (), True),
        ("", (), True),
    ],
)
def test_whether_streams_survive_is_read_from_the_version(text: str, version: tuple[int, ...], survives: bool) -> None:
    assert caddy.parse_version(text) == version
    assert caddy.streams_survive(version) is survives


def test_caddy_is_told_where_its_configuration_stands() -> None:
    where = ["--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
    assert caddy.compose(OPTIONS, "caddy:2")["services"]["caddy"]["command"] == ["caddy", "run", *where]
    assert caddy.validate_command() == ["caddy", "validate", *where]
    assert caddy.reload_command() == ["caddy", "reload", "--force", *where, "--address", "unix//run/caddy/admin.sock"]


def test_a_secret_is_not_shown() -> None:
    secret = ("key.pem", "acme-account.key", "acme-binding")
    shown = caddy.shown({"Caddyfile": "text", "certificate.pem": "public", "acme-ca.pem": "ca", **dict.fromkeys(secret, "value-of-secret")})
    assert shown == {"Caddyfile": "text", "certificate.pem": "public", "acme-ca.pem": "ca", **dict.fromkeys(secret, "content not shown")}


# -- what is refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, sentence",
    [
        ("http://app.test", "`http://app.test` is no https URL with a host name; write"),
        ("app.test", "`app.test` is no https URL with a host name; write"),
        ("", "is no https URL with a host name; write"),
        ("https://app.test{evil", "is no https URL with a host name; write"),
        ("https://app test", "is no https URL with a host name; write"),
        ("https://[::1", "is no URL: .*; write"),
        ("https://app.test:port", "is no URL: .*; write"),
        ("https://app.test:8443", "has port 8443, but the proxy publishes 443; make the URL and `toucan_proxy_https_port` agree"),
        ("https://app.test/bi", "has a path, which this proxy does not serve; give frontend and backend a host name each"),
        ("https://api.test", "Frontend and backend share the host name api.test; give each a host name of its own"),
    ],
)
def test_a_url_that_cannot_be_served_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(Failure, match=sentence):
        caddy.refuse_unusable_urls(replace(OPTIONS, sites=(Site(url, ("frontend:80",)), OPTIONS.sites[1])))


@pytest.mark.parametrize("port, url", [(443, "https://app.test"), (443, "https://app.test:443/"), (8443, "https://app.test:8443")])
def test_a_url_that_can_be_served_passes(port: int, url: str) -> None:
    caddy.refuse_unusable_urls(replace(OPTIONS, https_port=port, sites=(Site(url, ("frontend:80",)),)))


@pytest.mark.parametrize("upstream", ["frontend", "frontend:http", "bad upstream:80", "frontend:80 {", "http://frontend:80", ":80"])
def test_an_upstream_that_is_no_address_is_refused(upstream: str) -> None:
    options = replace(OPTIONS, sites=(Site("https://app.test", (upstream,)),))
    with pytest.raises(Failure, match="which is to stand behind https://app.test, is no address; write it as `host:port`"):
        caddy.refuse_unusable_addresses(options)


@pytest.mark.parametrize("upstream", ["frontend:80", "10.0.0.1:8080", "[fd00::1]:80"])
def test_an_address_passes(upstream: str) -> None:
    caddy.refuse_unusable_addresses(replace(OPTIONS, sites=(Site("https://app.test", (upstream,)),)))


@pytest.mark.parametrize("address", ["localhost", "192.0.2", "192.0.2.1:443", "[::1]"])
def test_a_place_to_listen_that_is_no_ip_address_is_refused(address: str) -> None:
    with pytest.raises(Failure, match="is no IP address; write `toucan_proxy_bind_address` as `192.0.2.10`, or leave it unset for all"):
        caddy.refuse_unusable_addresses(replace(OPTIONS, bind_address=address))


def test_one_port_for_both_is_refused() -> None:
    with pytest.raises(Failure, match="HTTP and HTTPS share port 443; give `toucan_proxy_http_port` and `toucan_proxy_https_port` a port each"):
        caddy.refuse_unusable_addresses(replace(OPTIONS, http_port=443))
