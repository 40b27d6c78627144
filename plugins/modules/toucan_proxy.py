#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_proxy
short_description: Run Caddy with TLS in front of a Toucan stack
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Serves the frontend and the backend under a host name each over HTTPS, and redirects HTTP to it.
  - A given certificate is checked for its names, its time and its key before anything changes.
  - A new configuration is validated in a container of its own, then taken by a reload that drops no request of a browser. A client that
    opens a connection for HTTP/1.1 at that moment may see it closed before the first answer.
  - From an ACME server certificates are ordered where there are none yet. What is served until then goes on being served, and comes back
    if the order fails.
  - A new certificate is tried against the CAs that this host trusts. One that fails is refused, in check mode warned of.
  - In the end each public URL is opened as a user would, certificate verified.
requirements:
  - docker (Python SDK), PyYAML and cryptography in the environment that role C(toucan_host) installs
  - Docker Engine and Compose v2
  - An image of Caddy 2. From 2.7 on websockets stay open over a reload
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.lock
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
    details:
      - On a host without the collection's Python environment the certificate cannot be examined, and the result says so.
  diff_mode:
    support: full
    details:
      - The private key is never shown.
  idempotent:
    support: full
  platform:
    support: full
options:
  project:
    description: Name of the compose project.
    type: str
    default: toucan-proxy
  directory:
    description: Folder of the compose project, of Caddy's configuration and data.
    type: path
    default: /var/lib/toucan/proxy
  network:
    description: Docker network to reach the services on. Where it is unset, the one that the state file has, else V(toucan).
    type: str
  image:
    description: Image of Caddy.
    type: str
    default: docker.io/library/caddy:2.11-alpine
  registry:
    description: Credentials for images of one registry.
    type: dict
    suboptions:
      name:
        description: Registry, with or without a folder.
        type: str
        default: quay.io/toucantoco
      username:
        description: User, or name of a robot account.
        type: str
      password:
        description: Its password or token.
        type: str
      ca_file:
        description: Not read here. Role C(toucan_host) makes Docker trust it.
        type: path
  image_mirror:
    description: Registry, with a folder where it has one, that takes the place of C(docker.io) in O(image).
    type: str
  image_folder:
    description:
      - Folder of this host with archives of C(docker save), for a site without a way to a registry. No registry is asked then.
      - Where the engine does not have O(image), it is loaded from the archive that has it under this name, and pinned by its ID.
    type: path
  frontend_url:
    description: Public URL of the frontend.
    type: str
    required: true
  backend_url:
    description: Public URL of the backend.
    type: str
    required: true
  frontend_upstreams:
    description: Addresses behind O(frontend_url), each C(host:port).
    type: list
    elements: str
    default: [frontend:80]
  backend_upstreams:
    description:
      - Addresses behind O(backend_url), each C(host:port).
      - The stack's own backend where it is unset, at the port that follows from O(backend_env).
    type: list
    elements: str
  backend_env:
    description:
      - The backend's variables, as M(toucan.selfhosted.toucan_stack) gets them in its option O(toucan.selfhosted.toucan_stack#module:env).
      - Where they switch off the backend's inner nginx, C(backend:5000) is the default of O(backend_upstreams), else C(backend:80).
    type: dict
    default: {}
  tls:
    description:
      - V(given) uses O(certificate) or O(certificate_file).
      - V(internal) lets Caddy be its own CA. Browsers warn until its root is trusted.
      - V(acme) has Caddy order certificates from an ACME server and renew them.
    type: str
    choices: [given, internal, acme]
    default: given
  acme_email:
    description: Address that the ACME server may write to.
    type: str
  acme_directory_url:
    description: Directory of the ACME server. Let's Encrypt's where it is unset.
    type: str
  acme_ca_file:
    description:
      - CA certificates on the host that Caddy trusts the ACME server itself by, where that is a private one.
      - Those in Caddy's image are used where it is unset.
    type: path
  acme_account_key:
    description:
      - Private key in PEM of an account that the ACME server knows already. Caddy makes an account of its own where it is unset.
      - Needs Caddy 2.8 or newer.
    type: str
  acme_eab:
    description: External account binding, where the ACME server wants one for a new account.
    type: dict
    suboptions:
      key_id:
        description: Identifier of the key that the CA handed out.
        type: str
      mac_key:
        description: The key, in base64url.
        type: str
  acme_challenge:
    description:
      - How the ACME server may see that the names lead here.
      - V(http-01) comes to port 80 of each name, V(tls-alpn-01) to port 443.
    type: str
    choices: [any, http-01, tls-alpn-01]
    default: any
  certificate:
    description: Certificate chain in PEM, the server's first.
    type: str
  certificate_file:
    description: The same as a file on the host.
    type: path
  key:
    description: Private key in PEM, not encrypted.
    type: str
  key_file:
    description: The same as a file on the host.
    type: path
  ca_file:
    description:
      - CA certificates on the host that users trust, for the last look at the public URLs.
      - The system's are used where it is unset.
    type: path
  http_port:
    description: Port of the host that redirects to HTTPS.
    type: int
    default: 80
  https_port:
    description: Port of the host that serves HTTPS. The public URLs must name it where it is not 443.
    type: int
    default: 443
  bind_address:
    description: Address of the host to listen on. All where it is unset.
    type: str
  user:
    description: User and group, as numbers, that Caddy runs as.
    type: str
    default: "1000:1000"
  require_dns:
    description: Whether the public names must resolve on the host.
    type: bool
    default: true
  options_only:
    description:
      - Whether to look at the options and the names alone, and refuse those that cannot work.
      - Needs neither Docker nor a library, leaves the certificate unexamined, and returns no plan.
    type: bool
    default: false
  warn_days:
    description: Days before the certificate's end from which on the result warns.
    type: int
    default: 30
  start_timeout:
    description: Seconds until both public URLs must answer.
    type: int
    default: 60
seealso:
  - module: toucan.selfhosted.toucan_stack
"""

EXAMPLES = r"""
- name: Serve the product with a certificate of the company
  toucan.selfhosted.toucan_proxy:
    frontend_url: https://toucan.example.com
    backend_url: https://api-toucan.example.com
    certificate: "{{ lookup('ansible.builtin.file', 'toucan.pem') }}"
    key: "{{ vault_toucan_key }}"
    ca_file: /etc/ssl/certs/ca-certificates.crt

- name: Have Let's Encrypt give the certificates
  toucan.selfhosted.toucan_proxy:
    frontend_url: https://toucan.example.com
    backend_url: https://api-toucan.example.com
    tls: acme
    acme_email: it@example.com

- name: Try it with a CA of Caddy's own, before the DNS records exist
  toucan.selfhosted.toucan_proxy:
    frontend_url: https://toucan.example.com
    backend_url: https://api-toucan.example.com
    tls: internal
    require_dns: false
"""

RETURN = r"""
plan:
  description: The changes, as steps in the order they are made. No step holds a secret.
  returned: success, unless with O(options_only=true)
  type: list
  elements: dict
  contains:
    id:
      description: Stable name of the step.
      type: str
      returned: always
      sample: config.reload:proxy
    action:
      description: What is done.
      type: str
      returned: always
    object:
      description: What it is done to.
      type: str
      returned: always
    before:
      description: How it was.
      type: raw
      returned: always
    after:
      description: How it will be.
      type: raw
      returned: always
image:
  description: Name, tag, digest and, when deployed, ID of Caddy's image.
  returned: success, unless with O(options_only=true)
  type: dict
urls:
  description: The public URLs that are served.
  returned: success, unless with O(options_only=true)
  type: list
  elements: str
certificate:
  description: Subject, issuer, names, end and days left of the certificate that is given, or of that from the ACME server which ends first.
  returned: success, unless with O(options_only=true)
  type: dict
internal_ca:
  description: File on the host with the root of Caddy's own CA, empty with a given certificate.
  returned: success, unless with O(options_only=true)
  type: str
"""

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Optional

from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Credentials, DockerEngine
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import environment, services
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.files import read_bytes
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.folders import parse_owner
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import mirrored, parse_image
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.lock import DEFAULT_TIMEOUT, HOST_LOCK
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH as STATE_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.x509 import (
    certificates_alone,
    check_ca_bundle,
    check_server_certificate,
    key_alone,
    load_key,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.acme import ANY_CHALLENGE, CHALLENGES, Acme, ExternalAccount, refuse_unusable_acme
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.caddyfile import (
    ProxyOptions,
    Site,
    refuse_unusable_addresses,
    refuse_unusable_urls,
)
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.engine import GivenCertificate, ProxyEngine, ProxyRequest
from ansible_collections.toucan.selfhosted.plugins.module_utils.proxy.reachability import refuse_unresolved
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.places import settle
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


def argument_spec() -> dict[str, Any]:
    """The module's options; DOCUMENTATION says the same."""
    return dict(
        project=dict(type="str", default="toucan-proxy"),
        directory=dict(type="path", default="/var/lib/toucan/proxy"),
        network=dict(type="str"),
        image=dict(type="str", default="docker.io/library/caddy:2.11-alpine"),
        image_mirror=dict(type="str"),
        image_folder=dict(type="path"),
        registry=dict(
            type="dict",
            apply_defaults=True,
            options=dict(
                name=dict(type="str", default=services.PRODUCT_REGISTRY),
                username=dict(type="str"),
                password=dict(type="str", no_log=True),
                ca_file=dict(type="path"),
            ),
        ),
        frontend_url=dict(type="str", required=True),
        backend_url=dict(type="str", required=True),
        frontend_upstreams=dict(type="list", elements="str", default=[services.upstream(services.FRONTEND, services.FRONTEND_PORT)]),
        backend_upstreams=dict(type="list", elements="str"),
        backend_env=dict(type="dict", default={}),
        tls=dict(type="str", choices=["given", "internal", "acme"], default="given"),
        acme_email=dict(type="str"),
        acme_directory_url=dict(type="str"),
        acme_ca_file=dict(type="path"),
        acme_account_key=dict(type="str", no_log=True),
        acme_eab=dict(type="dict", options=dict(key_id=dict(type="str", no_log=False), mac_key=dict(type="str", no_log=True))),
        acme_challenge=dict(type="str", choices=list(CHALLENGES), default=ANY_CHALLENGE),
        certificate=dict(type="str"),
        certificate_file=dict(type="path"),
        key=dict(type="str", no_log=True),
        key_file=dict(type="path", no_log=False),
        ca_file=dict(type="path"),
        http_port=dict(type="int", default=80),
        https_port=dict(type="int", default=443),
        bind_address=dict(type="str"),
        user=dict(type="str", default="1000:1000"),
        require_dns=dict(type="bool", default=True),
        options_only=dict(type="bool", default=False),
        warn_days=dict(type="int", default=30),
        start_timeout=dict(type="int", default=60),
        state_path=dict(type="path", default=STATE_PATH),
        lock_timeout=dict(type="int", default=DEFAULT_TIMEOUT),
    )


def given_certificate(params: dict[str, Any], names: list[str], can_check: bool, now: datetime) -> Optional[GivenCertificate]:
    """The certificate and key that were given, checked. :raises Failure: when they are missing or unusable."""
    if params["tls"] != "given":
        return None
    chain, chain_source = _given(params, "certificate")
    key, key_source = _given(params, "key")
    chain, key = certificates_alone(chain, chain_source), key_alone(key, key_source)
    facts = check_server_certificate(chain, key, names, now, chain_source, key_source) if can_check else None
    return GivenCertificate(chain.decode(errors="replace"), key.decode(errors="replace"), facts)


def _given(params: dict[str, Any], name: str) -> tuple[bytes, str]:
    """Content of an option that is given as text or as a file, and what to call it."""
    if params[name]:
        return params[name].encode(), f"`toucan_proxy_{name}`"
    path = params[f"{name}_file"]
    if not path:
        raise Failure(
            f"TLS mode `given` has no {name}",
            f"set `toucan_proxy_{name}` or `toucan_proxy_{name}_file`, or `toucan_proxy_tls: internal`",
            subject=name,
        )
    content = read_bytes(path)
    if content is None:
        raise Failure(f"There is no file {path} on this host", f"copy it there, or correct `toucan_proxy_{name}_file`", subject=path)
    return content, path


def backend_upstreams(params: dict[str, Any]) -> tuple[str, ...]:
    """The addresses behind the backend's URL: as given, else the stack's own backend."""
    return tuple(params["backend_upstreams"] or [services.upstream(services.BACKEND, environment.backend_port(params["backend_env"]))])


def acme_options(params: dict[str, Any], can_check: bool, now: datetime) -> Optional[Acme]:
    """What is asked of the ACME server, checked as far as it can be. :raises Failure: when an option is unusable."""
    if params["tls"] != "acme":
        return None
    return Acme(
        email=params["acme_email"] or "",
        directory_url=params["acme_directory_url"] or "",
        challenge=params["acme_challenge"],
        ca_pem=_acme_ca_pem(params["acme_ca_file"], can_check, now),
        external_account=_external_account(params["acme_eab"] or {}),
        account_key_pem=_account_key(params["acme_account_key"], can_check),
    )


def _external_account(binding: dict[str, Any]) -> Optional[ExternalAccount]:
    """The binding asked for; one whose parts are all empty, as a survey or a credential may send it, is none."""
    if not any(binding.values()):
        return None
    return ExternalAccount(binding["key_id"] or "", (binding["mac_key"] or "").rstrip("="))


def _acme_ca_pem(path: Optional[str], can_check: bool, now: datetime) -> str:
    content = read_bytes(path) if path else None
    if content is not None:
        if can_check:
            check_ca_bundle(content, now, path or "")
        return certificates_alone(content, path or "").decode(errors="replace")
    # Role `toucan_host` of the same run may have yet to bring both the file and the library.
    if path and can_check:
        raise Failure(f"There is no CA file {path} on this host", "copy it there, or correct `toucan_proxy_acme_ca_file`", subject=path)
    return ""


def _account_key(pem: Optional[str], can_check: bool) -> str:
    if not pem:
        return ""
    source = "`toucan_proxy_acme_account_key`"
    alone = key_alone(pem.encode(), source)
    if can_check:
        load_key(alone, source)
    return alone.decode()


def proxy_request(params: dict[str, Any], state: dict[str, Any], can_check: bool) -> ProxyRequest:
    """Everything the engine needs. :raises Failure: when an option is refused."""
    sites = (Site(params["frontend_url"], tuple(params["frontend_upstreams"])), Site(params["backend_url"], backend_upstreams(params)))
    now = datetime.now(timezone.utc)
    options = ProxyOptions(
        project=params["project"],
        sites=sites,
        internal_ca=params["tls"] == "internal",
        http_port=params["http_port"],
        https_port=params["https_port"],
        bind_address=params["bind_address"] or "",
        directory=params["directory"],
        network=settle({"network": params["network"]}, state).network,
        owner=parse_owner(params["user"], "toucan_proxy_user"),
        acme=acme_options(params, can_check, now),
    )
    # First, because a certificate is judged by the names in the URLs.
    refuse_unusable_urls(options)
    refuse_unusable_addresses(options)
    if options.acme:
        refuse_unusable_acme(options.acme, (site.host for site in sites))
    registry = params["registry"]
    return ProxyRequest(
        options=options,
        image=mirrored(parse_image(params["image"]), params["image_mirror"] or ""),
        credentials=Credentials((registry["name"] or services.PRODUCT_REGISTRY).split("/", 1)[0], registry["username"] or "", registry["password"] or ""),
        certificate=given_certificate(params, [site.host for site in sites], can_check, now),
        ca_pem=_ca_pem(params, can_check, now),
        require_dns=params["require_dns"],
        start_timeout=params["start_timeout"],
        image_folder=params["image_folder"] or "",
    )


def _ca_pem(params: dict[str, Any], can_check: bool, now: datetime) -> Optional[str]:
    path = params["ca_file"]
    if not path:
        return None
    content = read_bytes(path)
    if content is None:
        remedy = "correct `toucan_ca_file`, or run role `toucan_host`, which copies it"
        if params["tls"] == "acme":
            remedy = "copy it there, or correct `toucan_proxy_acme_root_file`"
        raise Failure(f"There is no CA file {path} on this host", remedy, subject=path)
    if can_check:
        check_ca_bundle(content, now, path)
    # People name their certificates in comments, which may be of any alphabet and which OpenSSL reads from files alone.
    return certificates_alone(content, path).decode(errors="replace")


def warn_of_certificate(module: ToucanModule, certificate: GivenCertificate) -> None:
    """Say what is no error, but should be known."""
    if certificate.facts is None:
        module.warn("The certificate was not examined, because this host has no environment of the collection yet.")
    elif certificate.facts.days_left < module.params["warn_days"]:
        module.warn(f"The certificate expires in {certificate.facts.days_left} days.")


def main() -> None:
    module = ToucanModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        mutually_exclusive=[("certificate", "certificate_file"), ("key", "key_file")],
    )
    options_only = module.params["options_only"]
    has_libraries = not options_only and module.need_libraries(["docker", "yaml", "cryptography"])
    try:
        stopped = services.PROXY in (module.state().get("stopped") or [])
        request = replace(proxy_request(module.params, module.state(), can_check=has_libraries), stopped=stopped)
        if request.require_dns:
            refuse_unresolved(site.host for site in request.options.sites)
    except Failure as failure:
        module.finish_failed(failure)
    if options_only:
        module.exit_json(changed=False)
    if request.certificate:
        warn_of_certificate(module, request.certificate)
    module.run_engine(ProxyEngine(request, DockerEngine, has_engine=has_libraries), lock=HOST_LOCK)


if __name__ == "__main__":
    main()
