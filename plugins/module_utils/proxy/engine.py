# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, plan, apply and verify the proxy of one host."""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from ..containers.compose import read_yaml, to_yaml
from ..containers.docker_engine import Container, Credentials, DockerEngine
from ..containers.supply import ImageSupply, plan_image
from ..contract import routes
from ..contract.services import PROXY
from ..contract.stack import COMPOSE_FILE
from ..core.errors import Failure
from ..core.files import read_bytes, write_atomic
from ..core.folders import Folder, make_folder, observe_folder, plan_folders
from ..core.images import Image, parse_image
from ..core.plan import Step
from ..core.state import STOPPED_ON_PURPOSE
from ..core.x509 import CertificateFacts, certificate_facts, load_certificates, share_left
from ..stack.planner import keep_digests, plan_network
from . import acme
from . import caddyfile as caddy
from .installation import Installation, adapted, last_error
from .issued import IssuedCertificates, Pair, await_certificates
from .reachability import handshake_fault, open_as_user, refuse_foreign_address, refuse_no_acme_directory, refuse_taken_ports
from .transition import Served, Transition

_LOG_LINES = 200
# Caddy renews when a third of a certificate's life is left.
_RENEWED_BEFORE = 0.2
_PUBLIC_ROUTES = (routes.FRONTEND_VERSION, routes.BACKEND_ROOT)


@dataclass(frozen=True)
class GivenCertificate:
    """A certificate chain and its key as PEM text; ``facts`` of a checked one, ``None`` where there is no library to check it with."""

    chain_pem: str
    key_pem: str
    facts: Optional[CertificateFacts]


@dataclass(frozen=True)
class ProxyRequest:
    """Everything a run was asked for; ``start_timeout`` in seconds.

    :param certificate: ``None`` with Caddy's own CA.
    :param ca_pem: the CA that users trust; the system's where it is ``None``.
    :param stopped: whether the state file has the proxy as stopped on purpose.
    :param image_folder: of archives on this host, beside which no registry is asked; empty where one is.
    """

    options: caddy.ProxyOptions
    image: Image
    credentials: Credentials
    certificate: Optional[GivenCertificate]
    ca_pem: Optional[str]
    require_dns: bool
    start_timeout: float
    stopped: bool = False
    image_folder: str = ""


@dataclass(frozen=True)
class Observed:
    """What stands on the host; a bare host is the default.

    ``loaded`` is the hash of what the running Caddy took, ``issuer`` says whose certificates that made it serve: the name of
    its folder in Caddy's storage, empty for given ones. Of the names served by an ACME server ``uncertified`` are those it gave
    no certificate for yet, and ``held`` those that go on with the one they have until it did. ``stopped`` says on purpose;
    ``archive`` is where the image is to be loaded from.
    """

    compose: Optional[Mapping[str, Any]] = None
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Optional[Folder]] = field(default_factory=dict)
    container: Optional[Container] = None
    has_image: bool = False
    archive: Optional[str] = None
    has_network: bool = False
    loaded: str = ""
    stopped: bool = False
    issuer: str = ""
    uncertified: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desired:
    """``version`` is Caddy's answer, empty where it is not known; ``config_hash`` is compose's own, empty where no engine can compute it.

    ``directory`` is that of the ACME server, empty without one.
    """

    compose: Mapping[str, Any]
    image: Image
    files: Mapping[str, str]
    folders: tuple[Folder, ...]
    network: str
    version: str = ""
    config_hash: str = ""
    directory: str = ""
    image_folder: str = ""


def plan_proxy(desired: Desired, observed: Observed) -> list[Step]:
    """Image, network and folders first, then a proven configuration, then the container or a reload.

    Certificates are ordered last, but where they replace others in use: then before anything live is touched.
    """
    steps = plan_image(PROXY, desired.image, not observed.has_image, observed.archive, desired.image_folder)
    steps.extend(plan_network(desired.network, observed.has_network))
    steps.extend(plan_folders(desired.folders, observed.folders))
    order = [_order_step(desired, observed)] if observed.uncertified else []
    if observed.held:
        steps.extend(order)
    if desired.files != observed.files:
        known = caddy.shown(observed.files) if observed.files else None
        steps.append(Step("config.replace:proxy", "update" if known else "create", "proxy configuration", known, caddy.shown(desired.files)))
    if desired.compose != observed.compose:
        steps.append(Step(f"file:{COMPOSE_FILE}", "update" if observed.compose else "create", f"proxy {COMPOSE_FILE}", observed.compose, desired.compose))
    steps.extend(_container_steps(desired, observed))
    if not observed.held:
        steps.extend(order)
    return steps


def _order_step(desired: Desired, observed: Observed) -> Step:
    before = observed.issuer or "given" if observed.held else None
    return Step("certificate.order:proxy", "order", f"certificate for {' and '.join(observed.uncertified)}", before, desired.directory)


def deployed_image(compose: Optional[Mapping[str, Any]]) -> dict[str, Image]:
    """The image in the proxy's compose file, by kind; empty where the file names none, because it is missing or was edited by hand."""
    reference = _deployed_service(compose).get("image")
    return {PROXY: parse_image(reference)} if reference else {}


def _deployed_service(compose: Optional[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Caddy's service in a compose file, empty where there is none."""
    return ((compose or {}).get("services") or {}).get(caddy.SERVICE, {})


def _container_steps(desired: Desired, observed: Observed) -> list[Step]:
    container, after = observed.container, {"image": str(desired.image)}
    if container is None:
        return [Step("service.create:proxy", "create", "service proxy", {"state": STOPPED_ON_PURPOSE} if observed.stopped else None, after)]
    before = {"image": container.image, "state": container.state}
    if container.image != str(desired.image) or container.config_hash != desired.config_hash:
        return [Step("service.recreate:proxy", "recreate", "service proxy", before, after)]
    if not container.running:
        return [Step("service.start:proxy", "start", "service proxy", before, after)]
    if observed.loaded != fingerprint(desired.files):
        return [Step("config.reload:proxy", "reload", "service proxy", "former configuration", "new configuration")]
    return []


def _given(files: Mapping[str, str]) -> Optional[Pair]:
    """The given certificate of a configuration; ``None`` where it has none."""
    if not {caddy.CERTIFICATE, caddy.KEY} <= set(files):
        return None
    key_pem, dummy, dummy = files[caddy.KEY].partition("-----BEGIN CERTIFICATE-----")
    return Pair(files[caddy.CERTIFICATE], key_pem)


def fingerprint(files: Mapping[str, str]) -> str:
    """SHA-256 over names and contents; a private key has entropy enough not to be guessed from it."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0{files[name]}".encode())
    return digest.hexdigest()


class ProxyEngine:
    """Engine of module ``toucan_proxy``.

    :param connect: makes the connection to Docker; called only where ``has_engine``.
    :param has_engine: False on a bare host in check mode, where the plan starts from nothing observed.
    """

    def __init__(self, request: ProxyRequest, connect: Callable[[], DockerEngine], has_engine: bool) -> None:
        self.request = request
        self.warnings: list[str] = []
        self._has_engine = has_engine
        self._desired: Desired
        self._observed = Observed()
        self._served: Served
        self._proven = ""  # fingerprint of the configuration that this run put in place
        self._took = False  # whether Caddy took the configuration in this run
        self._caddy = Installation(request.options, connect)
        self._issued = IssuedCertificates(self._caddy.path(caddy.DATA_FOLDER))

    @functools.cached_property
    def supply(self) -> ImageSupply:
        return ImageSupply(self._caddy.docker, self.request.credentials, self.request.image_folder)

    def observe(self) -> Observed:
        options = self.request.options
        if options.bind_address:
            refuse_foreign_address(options.bind_address)
        if not self._has_engine:
            refuse_taken_ports([options.http_port, options.https_port], options.bind_address)
            self._desired = self._desire(self.request.image, version="")
            return Observed(uncertified=tuple(site.host for site in options.sites) if options.acme else ())
        containers = self._caddy.docker.containers(self._caddy.project.name)
        container = containers[0] if containers else None
        # A container that is up, even a paused one, holds its ports itself; those of a stopped one may be another's by now.
        refuse_taken_ports([options.http_port, options.https_port], options.bind_address, own=container.published if container else ())
        compose = read_yaml(self._path(COMPOSE_FILE))
        image = self._resolve(compose)
        has_image = bool(self._caddy.docker.image_id(str(image)))
        desired = self._desired = self._desire(image, self._version(image, has_image))
        fault = self._trust_fault()
        if fault:
            # The CA may come to this host in the same run, so a plan does not stop here.
            self.warnings.append(f"This host does not trust {self._whose()}: {fault}.")
        uncertified = self._uncertified()
        if options.acme and uncertified:
            refuse_no_acme_directory(options.acme.directory, options.acme.ca_pem or None)
        files, loaded = self._caddy.read(caddy.CONFIG_FOLDER), self._caddy.record()
        if options.config_name == caddy.ADAPTED and not os.path.exists(self._path(f"{caddy.CONFIG_FOLDER}/{caddy.ADAPTED}")):
            files.pop(caddy.CADDYFILE, None)  # so that both are written again
        issuer = loaded.get("issuer", "" if caddy.CERTIFICATE in files else caddy.INTERNAL_ISSUER)
        self._served = Served(issuer, _given(files), self._issued)
        self._observed = Observed(
            compose=compose,
            files=files,
            folders={folder.path: observe_folder(folder.path) for folder in desired.folders},
            container=container,
            has_image=has_image,
            archive=self.supply.archives.get(str(image)),
            has_network=self._caddy.docker.network_exists(options.network),
            stopped=self.request.stopped,
            loaded=loaded.get("files", ""),
            issuer=issuer,
            uncertified=uncertified,
            held=self._to_hold(container, compose, uncertified),
        )
        return self._observed

    def _uncertified(self) -> tuple[str, ...]:
        server = self.request.options.acme
        return self._issued.missing(server.folder, (site.host for site in self.request.options.sites)) if server else ()

    def _to_hold(self, container: Optional[Container], compose: Optional[Mapping[str, Any]], uncertified: Collection[str]) -> tuple[str, ...]:
        """The names whose certificate is in use and must stay so until the ACME server gave another."""
        if not container or not container.running or not uncertified:
            return ()
        # A container that has yet to get the ports which the ACME server asks at cannot order.
        if _deployed_service(compose).get("ports") != _deployed_service(self._desired.compose)["ports"]:
            return ()
        return tuple(host for host in uncertified if self._served.has(host))

    def _resolve(self, compose: Optional[Mapping[str, Any]]) -> Image:
        """The image asked for, pinned by itself, else by what is deployed where the same is asked for, else by its registry or an archive."""
        image = keep_digests({PROXY: self.request.image}, deployed_image(compose))[PROXY]
        return self.supply.pin(self.request.image, image)

    def _version(self, image: Image, has_image: bool) -> str:
        """What ``caddy version`` says, or what the tag of an image that is not here yet promises."""
        if not has_image:
            return image.tag if "." in image.tag else ""
        known = self._caddy.record()
        return known["version"] if known.get("image") == str(image) else self._caddy_version(image)

    def _caddy_version(self, image: Image) -> str:
        code, text = self._caddy.run_apart(str(image), ["caddy", "version"])
        if code:
            raise Failure(f"Image {image.asked} does not run `caddy version`: {text.strip()}", "set `toucan_proxy_image` to an image of Caddy 2", answer=text)
        return text.strip()

    def _desire(self, image: Image, version: str) -> Desired:
        options = self.request.options
        definition = caddy.compose(options, str(image))
        number = caddy.parse_version(version)
        files = {caddy.CADDYFILE: caddy.render(options, caddy.streams_survive(number))}
        if options.acme:
            if options.acme.account_key_pem:
                acme.refuse_old_caddy(number)
            files.update(acme.files(options.acme))
        if self.request.certificate:
            files[caddy.CERTIFICATE] = self.request.certificate.chain_pem
            files[caddy.KEY] = caddy.bundle(self.request.certificate.chain_pem, self.request.certificate.key_pem)
        folders = (
            Folder(options.directory, (0, 0), "0750"),
            Folder(self._path(caddy.CONFIG_FOLDER), options.owner, "0700"),
            Folder(self._path(caddy.DATA_FOLDER), options.owner, "0700"),
        )
        config_hash = self._caddy.project.hashes(definition)[caddy.SERVICE] if self._has_engine else ""
        directory = options.acme.directory if options.acme else ""
        return Desired(definition, image, files, folders, options.network, version, config_hash, directory, self.request.image_folder)

    def plan(self, observed: Observed) -> list[Step]:
        return plan_proxy(self._desired, observed)

    def apply(self, step: Step) -> None:
        kind, dummy, name = step.id.partition(":")
        actions: dict[str, Callable[[str], None]] = {
            "image.pull": lambda dummy: self._bring(self.supply.pull),
            "image.load": lambda dummy: self._bring(self.supply.load),
            "image.tag": lambda dummy: self._bring(self.supply.mark),
            "network": self._create_network,
            "folder": lambda path: make_folder(next(folder for folder in self._desired.folders if folder.path == path)),
            "config.replace": lambda dummy: self._replace_config(),
            "file": lambda path: write_atomic(self._path(path), to_yaml(self._desired.compose)),
            "service.create": lambda dummy: self._up(recreate=False),
            "service.start": self._start,
            "service.recreate": self._recreate,
            "config.reload": self._reload,
            "certificate.order": self._order,
        }
        actions[kind](name)

    def _create_network(self, name: str) -> None:
        self._caddy.docker.create_network(name)

    def _bring(self, bring: Callable[[Image], None]) -> None:
        image = self._desired.image
        bring(image)
        self._desired = self._desire(image, self._caddy_version(image))

    def _replace_config(self) -> None:
        """Prove the new files, as Caddy and as a user's browser would see them, before the live ones are touched."""
        self._refuse_mistrusted()
        image, options, files = str(self._desired.image), self.request.options, dict(self._desired.files)
        self._caddy.clear(caddy.CANDIDATE_FOLDER)
        self._caddy.write(caddy.CANDIDATE_FOLDER, files)
        if options.config_name == caddy.ADAPTED:
            answer = self._caddy.run_apart(image, caddy.adapt_command(), caddy.CANDIDATE_FOLDER)
            files[caddy.ADAPTED] = adapted(answer, caddy.CONFIG_MOUNT)
            self._caddy.write(caddy.CANDIDATE_FOLDER, files)
        code, text = self._caddy.run_apart(image, caddy.validate_command(options.config_name), caddy.CANDIDATE_FOLDER)
        if code:
            # A key that is not in use has no business on the host.
            self._caddy.clear(caddy.CANDIDATE_FOLDER, keep=(caddy.CADDYFILE,))
            raise Failure(
                f"Caddy refuses the new configuration: {last_error(text)}",
                f"read it in {self._path(caddy.CANDIDATE_FOLDER)}/{caddy.CADDYFILE}; the former one is still in use",
                subject=self._path(caddy.CANDIDATE_FOLDER),
                answer=text,
            )
        self._caddy.write(caddy.CONFIG_FOLDER, files)
        self._caddy.remove_others(caddy.CONFIG_FOLDER, files)
        self._caddy.clear(caddy.CANDIDATE_FOLDER)
        self._proven = fingerprint(self._desired.files)

    def _trust_fault(self) -> str:
        """What keeps a user of this host's CA from trusting the certificates; empty where nothing does, or none is known yet."""
        faults = (handshake_fault(pair.chain_pem, pair.key_pem, host, self.request.ca_pem) for host, pair in self._certificates().items())
        return next((fault for fault in faults if fault), "")

    def _refuse_mistrusted(self) -> None:
        fault = self._trust_fault()
        if fault:
            raise Failure(
                f"This host does not trust {self._whose()}: {fault}", self._remedy_for_mistrust(), subject=self.request.options.sites[0].host, answer=fault
            )

    def _certificates(self) -> dict[str, Pair]:
        """Chain and key by host name: those given, or those that the ACME server gave so far."""
        hosts = [site.host for site in self.request.options.sites]
        given, server = self.request.certificate, self.request.options.acme
        if given:
            return {host: Pair(given.chain_pem, given.key_pem) for host in hosts}
        if not server or not self._has_engine:
            return {}
        missing = self._issued.missing(server.folder, hosts)
        return {host: self._issued.read(server.folder, host) for host in hosts if host not in missing}

    def _whose(self) -> str:
        server = self.request.options.acme
        return f"the certificates of {server.directory}" if server else "the given certificate"

    def _remedy_for_mistrust(self) -> str:
        if self.request.options.acme:
            return (
                "add the root of that CA to `toucan_ca_file` and run role `toucan_host`, which makes this host trust it,"
                " or, for a try, name its file as `toucan_proxy_acme_root_file`"
            )
        return (
            "append the missing intermediate certificates to it, or give the CA that signed it as `toucan_ca_file` and run role `toucan_host`,"
            " which makes this host trust it"
        )

    def _order(self, dummy: str) -> None:
        """Have the missing certificates ordered; what is in use goes on being served, and comes back if the order fails."""
        if not self._observed.held:
            if not self._took:
                # Caddy's own next attempt may be hours away, and for one that it only has in memory it would order none.
                self._take_live(lets_go=True)
            self._await_certificates()
            return
        record, transition = self._caddy.record(), self._transition()
        try:
            self._let_go(transition)
            transition.order()
            self._await_certificates()
            self._refuse_mistrusted()
        except Failure:
            # What came meanwhile must go first, or Caddy would take it for what the former configuration asks for.
            transition.let_go()
            self._caddy.reload(self._former_config())
            self._caddy.write_record(record)
            transition.end()
            raise

    def _let_go(self, transition: Transition) -> None:
        # What is loaded from here on is in no file that a later run compares.
        self._caddy.write_record({**self._caddy.record(), "files": ""})
        transition.let_go()

    def _await_certificates(self) -> None:
        server = self.request.options.acme
        if server:
            log = functools.partial(self._caddy.docker.log_tail, self._caddy.container().id, _LOG_LINES)
            hosts = [site.host for site in self.request.options.sites]
            await_certificates(server, self._issued, hosts, log, self._caddy.asked_at, self.request.start_timeout)

    def _transition(self) -> Transition:
        survive = caddy.streams_survive(caddy.parse_version(self._desired.version))
        return Transition(self._caddy, self.request.options, self._desired.files, self._served, survive)

    def _former_config(self) -> str:
        """The name of the configuration that the container was made for."""
        command = _deployed_service(self._observed.compose).get("command", [])
        return caddy.ADAPTED if f"{caddy.CONFIG_MOUNT}/{caddy.ADAPTED}" in command else caddy.CADDYFILE

    def _start(self, dummy: str) -> None:
        container = self._caddy.container()
        if container.state == "paused":
            self._caddy.docker.unpause(container.id)
        self._up(recreate=False)

    def _recreate(self, dummy: str) -> None:
        # Another image may refuse what the former one took, or its version may not be what its tag promised.
        if self._proven != fingerprint(self._desired.files):
            self._replace_config()
        self._up(recreate=True)

    def _up(self, recreate: bool) -> None:
        self._caddy.up(recreate)
        self._record_loaded()

    def _reload(self, dummy: str) -> None:
        self._take_live(lets_go=self._serves_other_server())

    def _take_live(self, lets_go: bool) -> None:
        if lets_go:
            self._let_go(self._transition())
        self._caddy.reload(self.request.options.config_name)
        self._record_loaded()

    def _serves_other_server(self) -> bool:
        """Whether certificates of another ACME server are in use, which Caddy would go on to use as if they came from this one."""
        server, ordered = self.request.options.acme, self._observed.held
        return bool(server and not ordered and self._observed.issuer not in ("", caddy.INTERNAL_ISSUER, server.folder))

    def _record_loaded(self) -> None:
        image = self._desired.image
        loaded = {"files": fingerprint(self._desired.files), "image": str(image), "version": self._desired.version, "issuer": self._issuer()}
        self._caddy.write_record(loaded)
        self._took = True
        self._transition().end()

    def _issuer(self) -> str:
        """Whose certificates the wanted configuration serves, as ``Observed.issuer`` says it."""
        options = self.request.options
        if options.acme:
            return options.acme.folder
        return caddy.INTERNAL_ISSUER if options.internal_ca else ""

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        image = self._desired.image
        version = self._desired.version
        if not caddy.streams_survive(caddy.parse_version(version)):
            self.warnings.append(f"Caddy {version} closes websockets at every reload; version 2.7 or newer keeps them open.")
        result: dict[str, Any] = {
            "image": {"name": image.name, "tag": image.tag, "digest": image.digest, "id": self._caddy.docker.image_id(str(image)) if self._has_engine else ""},
            "urls": [site.url for site in self.request.options.sites],
            "internal_ca": "",
            "certificate": self._describe_certificate(),
            "warnings": self.warnings,
        }
        if applied:
            self._wait_for_users(result)
        return result

    def _describe_certificate(self) -> Optional[dict[str, Any]]:
        """Facts of the given certificate, or of that of the ACME server which ends first; of the latter a warning, too, where Caddy does not renew it."""
        given = self.request.certificate
        if given:
            return _described(given.facts)
        if not self._has_engine:
            return None
        now, found = datetime.now(timezone.utc), []
        for host, pair in self._certificates().items():
            chain = load_certificates(pair.chain_pem.encode(), f"the certificate for {host}")
            found.append(certificate_facts(chain, now))
            if share_left(chain[0], now) < _RENEWED_BEFORE:
                self.warnings.append(f"Caddy should have renewed the certificate for {host}, which ends in {found[-1].days_left} days; see its log.")
        return _described(min(found, key=lambda facts: facts.not_after)) if found else None

    def _wait_for_users(self, result: dict[str, Any]) -> None:
        """Open each public URL as a user would, through the published port. :raises Failure: with Caddy's last log lines."""
        deadline = time.monotonic() + self.request.start_timeout
        while True:
            ca_pem = self._user_ca(result)
            faults = [(site, fault) for site, fault in self._faults(ca_pem) if fault]
            if not faults:
                return
            if time.monotonic() >= deadline:
                site, fault = faults[0]
                containers = self._caddy.docker.containers(self._caddy.project.name)
                raise Failure(
                    f"{site.url} does not answer through the proxy: {fault}",
                    f"see that the service behind runs, and that role `toucan_host` ran with the CA of {self._whose()} as `toucan_ca_file`",
                    subject=site.url,
                    log=self._caddy.docker.log_tail(containers[0].id) if containers else (),
                )
            time.sleep(1.0)

    def _faults(self, ca_pem: Optional[str]) -> list[tuple[caddy.Site, str]]:
        options = self.request.options
        address = options.bind_address or "127.0.0.1"
        return [(site, open_as_user(site.host, address, options.https_port, path, ca_pem)) for site, path in zip(options.sites, _PUBLIC_ROUTES)]

    def _user_ca(self, result: dict[str, Any]) -> Optional[str]:
        if not self.request.options.internal_ca:
            return self.request.ca_pem
        path = self._path(os.path.join(caddy.DATA_FOLDER, caddy.INTERNAL_ROOT))
        root = read_bytes(path)
        if root is None:  # Caddy makes its CA a moment after its start
            return None
        result["internal_ca"] = path
        return root.decode()

    def _path(self, relative: str) -> str:
        return self._caddy.path(relative)


def _described(facts: Optional[CertificateFacts]) -> Optional[dict[str, Any]]:
    return {**facts._asdict(), "names": list(facts.names), "not_after": facts.not_after.isoformat()} if facts else None
