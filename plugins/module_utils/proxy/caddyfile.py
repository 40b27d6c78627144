# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Caddy's configuration and container: pure, options in, text and mappings out."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import urlsplit

from ..core.errors import Failure
from ..core.images import pull_policy
from . import acme as acme_server
from .acme import Acme

# Inside the container everything listens high, so Caddy uses no capability. Its binary carries this one as a file capability,
# and the kernel starts no program whose file capabilities it may not have.
CAPABILITY = "NET_BIND_SERVICE"
HTTP_PORT = 8080
HTTPS_PORT = 8443
SERVICE = "caddy"
CONFIG_FOLDER = "config"
DATA_FOLDER = "data"
CANDIDATE_FOLDER = "candidate"  # a configuration that is being proven
LOADED = "loaded.json"  # what the running Caddy took
TRANSITION = "transition"  # below the folder of the configuration
CADDYFILE = "Caddyfile"
ADAPTED = "caddy.json"  # made of the Caddyfile, and run instead of it, where that has no word for what is wanted
CERTIFICATE = "certificate.pem"
KEY = "key.pem"  # and behind it the chain, as Caddy loads them from one file
CONFIG_MOUNT = "/etc/caddy"
DATA_MOUNT = "/data"
ADMIN_SOCKET = "/run/caddy/admin.sock"
# Below the data folder.
INTERNAL_ROOT = "caddy/pki/authorities/local/root.crt"
ISSUED = "caddy/certificates"
INTERNAL_ISSUER = INTERNAL_ROOT.split("/")[-2]
SECRET_FILES = (KEY, acme_server.BINDING, acme_server.ACCOUNT_KEY)
# Older ones close websockets at every reload.
STREAMS_SURVIVE_SINCE = (2, 7)

# What is not of this form would be read as Caddy's syntax; whether it means something, Caddy says.
_HOST = re.compile(r"[\w.-]+")
_UPSTREAM = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\]):\d+")


@dataclass(frozen=True)
class Site:
    """One public URL and the addresses (``host:port``) behind it."""

    url: str
    upstreams: tuple[str, ...]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True)
class ProxyOptions:
    """What is wanted of the proxy of one host; ``owner`` is the user that Caddy runs as.

    Certificates come from ``acme`` where it is given, else from Caddy's own CA with ``internal_ca``, else from a file.
    """

    project: str
    sites: tuple[Site, ...]
    internal_ca: bool
    http_port: int
    https_port: int
    bind_address: str
    directory: str
    network: str
    owner: tuple[int, int]
    log_size_mb: int = 20
    log_files: int = 5
    acme: Optional[Acme] = None

    @property
    def config_name(self) -> str:
        """The file that Caddy runs."""
        return ADAPTED if self.acme and self.acme.account_key_pem else CADDYFILE


def refuse_unusable_urls(options: ProxyOptions) -> None:
    """:raises Failure: when the public URLs cannot be served by this proxy."""
    for site in options.sites:
        _refuse_unusable_url(site.url, options.https_port)
    hosts = [site.host for site in options.sites]
    if len(set(hosts)) < len(hosts):
        raise Failure(f"Frontend and backend share the host name {hosts[0]}", "give each a host name of its own", subject=hosts[0])


def refuse_unusable_addresses(options: ProxyOptions) -> None:
    """:raises Failure: when an upstream or the address to listen on is none, or both listeners want the same port."""
    for site in options.sites:
        for upstream in site.upstreams:
            if not _UPSTREAM.fullmatch(upstream):
                raise Failure(f"`{upstream}`, which is to stand behind {site.url}, is no address", "write it as `host:port`", subject=upstream)
    if options.bind_address:
        _refuse_no_ip_address(options.bind_address)
    if options.http_port == options.https_port:
        raise Failure(
            f"HTTP and HTTPS share port {options.http_port}",
            "give `toucan_proxy_http_port` and `toucan_proxy_https_port` a port each",
            subject=str(options.http_port),
        )


def _refuse_no_ip_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise Failure(f"`{text}` is no IP address", "write `toucan_proxy_bind_address` as `192.0.2.10`, or leave it unset for all", subject=text) from error


def _refuse_unusable_url(url: str, https_port: int) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port or 443
    except ValueError as error:  # unbalanced brackets, or a port that is no number
        raise Failure(f"`{url}` is no URL: {error}", "write it as `https://toucan.example.com`", subject=url) from error
    if parts.scheme != "https" or not _HOST.fullmatch(parts.hostname or ""):
        raise Failure(
            f"`{url}` is no https URL with a host name",
            "write `toucan_frontend_url` and `toucan_backend_url` as `https://toucan.example.com`",
            subject=url,
        )
    if port != https_port:
        raise Failure(f"{url} has port {port}, but the proxy publishes {https_port}", "make the URL and `toucan_proxy_https_port` agree", subject=url)
    if parts.path.strip("/"):
        raise Failure(f"{url} has a path, which this proxy does not serve", "give frontend and backend a host name each", subject=url)


def render(options: ProxyOptions, streams_survive: bool) -> str:
    """The Caddyfile.

    :param streams_survive: whether this Caddy can keep websockets open over a reload.
    """
    return _render(options, streams_survive, "disable_redirects", CONFIG_MOUNT, ())


def render_transition(options: ProxyOptions, streams_survive: bool, held: Collection[str], orders: bool) -> str:
    """The Caddyfile that serves the certificates of the host names ``held`` on the way to those of an ACME server.

    A reload alone would serve nothing until the order is through, or, from one ACME server to another, order nothing at all:
    Caddy takes a certificate that it manages for good, whoever issued it (``Config.manageOne`` of certmagic). So a first
    configuration, which manages none, makes it let go, and a second one with ``orders`` lets it order beside what is served:
    of several that are valid and fit the client, Caddy takes the one that it has had longest.
    """
    # The redirects that these words leave on do not matter: those of this Caddyfile come first. Before 2.8 only one word may stand here.
    auto_https = "ignore_loaded_certs" if orders else "disable_certs"
    return _render(options, streams_survive, auto_https, f"{CONFIG_MOUNT}/{TRANSITION}", held)


def _render(options: ProxyOptions, streams_survive: bool, auto_https: str, mount: str, held: Collection[str]) -> str:
    blocks = [_global_block(auto_https)]
    for site in options.sites:
        blocks.append(_https_block(site, _tls(options, mount, f"{mount}/{held_file(site.host)}" if site.host in held else ""), streams_survive))
    blocks.append(_redirect_block(options))
    return "\n".join(blocks)


def _global_block(auto_https: str) -> str:
    return _block(
        "",
        [
            f"admin unix/{ADMIN_SOCKET}",
            f"http_port {HTTP_PORT}",
            f"https_port {HTTPS_PORT}",
            f"auto_https {auto_https}",
            "skip_install_trust",
            # HTTP/3 would need a published UDP port, and would be announced under the port inside the container.
            _block("servers", ["protocols h1 h2"]).rstrip(),
        ],
    )


def _https_block(site: Site, tls: str, streams_survive: bool) -> str:
    # A backend that is being created anew answers again within seconds; until then requests wait rather than fail.
    proxy = ["lb_try_duration 10s", "lb_try_interval 500ms"]
    if streams_survive:
        proxy.append("stream_close_delay 24h")
    return _block(f"https://{site.host}", [tls, _block(f"reverse_proxy {' '.join(site.upstreams)}", proxy).rstrip()])


def held_file(host: str) -> str:
    """Name of the file with a certificate that goes on being served while another is ordered, and its key."""
    return f"{host}.pem"


def bundle(chain_pem: str, key_pem: str) -> str:
    """Key and chain in one file."""
    return f"{key_pem.rstrip()}\n{chain_pem}"


def _tls(options: ProxyOptions, mount: str, held: str) -> str:
    """Always ``load`` (which takes a file as well as a folder) for a certificate from a file, never ``tls CHAIN KEY``.

    The latter makes Caddy choose by a tag, which certificates of an ACME server have not. A connection that came in before a
    reload makes its handshake by the former configuration and with the certificates of the new one, and would find none.
    """
    if options.acme:
        issuer = _block("issuer acme", acme_server.issuer_lines(options.acme, mount)).rstrip()
        return _block("tls", [*([f"load {held}"] if held else []), issuer]).rstrip()
    return "tls internal" if options.internal_ca else _block("tls", [f"load {mount}/{KEY}"]).rstrip()


def _redirect_block(options: ProxyOptions) -> str:
    port = "" if options.https_port == 443 else f":{options.https_port}"
    return _block(", ".join(f"http://{site.host}" for site in options.sites), [f"redir https://{{host}}{port}{{uri}} permanent"])


def _block(head: str, lines: list[str]) -> str:
    body = "\n".join(f"\t{line}" for text in lines for line in text.split("\n"))
    return f"{head} {{\n{body}\n}}\n".lstrip()


def compose(options: ProxyOptions, image: str) -> dict[str, Any]:
    """The proxy's own compose project, beside the stack's, on the stack's network."""
    address = f"[{options.bind_address}]" if ":" in options.bind_address else options.bind_address
    prefix = f"{address}:" if address else ""
    return {
        "name": options.project,
        "services": {
            SERVICE: {
                "image": image,
                **pull_policy(image),
                "restart": "always",
                "user": "{}:{}".format(*options.owner),
                "command": ["caddy", "run", *_config_words(options.config_name)],
                "environment": {"HOME": "/tmp", "XDG_DATA_HOME": DATA_MOUNT, "XDG_CONFIG_HOME": "/tmp"},
                "read_only": True,
                "cap_drop": ["ALL"],
                "cap_add": [CAPABILITY],
                "security_opt": ["no-new-privileges:true"],
                "tmpfs": ["/tmp:mode=1777", "/run/caddy:mode=0700,uid={},gid={}".format(*options.owner)],
                # A folder, not the file: a mounted file would stay the old one when it is replaced.
                "volumes": [
                    f"{options.directory}/{CONFIG_FOLDER}:{CONFIG_MOUNT}:ro",
                    f"{options.directory}/{DATA_FOLDER}:{DATA_MOUNT}",
                ],
                "ports": [f"{prefix}{options.http_port}:{HTTP_PORT}", f"{prefix}{options.https_port}:{HTTPS_PORT}"],
                "logging": {"driver": "json-file", "options": {"max-size": f"{options.log_size_mb}m", "max-file": str(options.log_files)}},
            }
        },
        "networks": {"default": {"name": options.network, "external": True}},
    }


def adapt_command(name: str = CADDYFILE) -> list[str]:
    """What prints the Caddyfile ``name`` as Caddy's own JSON, in one line."""
    return ["caddy", "adapt", *_config_words(name)]


def validate_command(name: str = CADDYFILE) -> list[str]:
    """What proves the configuration ``name`` good without starting it."""
    return ["caddy", "validate", *_config_words(name)]


def reload_command(name: str = CADDYFILE) -> list[str]:
    """What makes a running Caddy take the configuration ``name`` anew, even where only a certificate changed."""
    return ["caddy", "reload", "--force", *_config_words(name), "--address", f"unix/{ADMIN_SOCKET}"]


def _config_words(name: str) -> list[str]:
    return ["--config", f"{CONFIG_MOUNT}/{name}", *([] if name.endswith(".json") else ["--adapter", "caddyfile"])]


def parse_version(text: str) -> tuple[int, ...]:
    """Numbers of ``caddy version``'s answer (``v2.11.0 h1:…`` or Debian's ``2.6.2``), empty where it names none."""
    word = text.split()[0].lstrip("v") if text.split() else ""
    numbers = word.split("-")[0].split(".")
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


def streams_survive(version: tuple[int, ...]) -> bool:
    """Whether a Caddy of this version can keep websockets open over a reload; an unknown one is taken for a current one."""
    return not version or version >= STREAMS_SURVIVE_SINCE


def shown(files: Mapping[str, str]) -> dict[str, str]:
    """Files for a plan: what is secret is not shown."""
    return {name: "content not shown" if name in SECRET_FILES else content for name, content in files.items()}
