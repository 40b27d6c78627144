# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe, plan, apply and verify the proxy of one host."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Optional

from ..containers.compose import ComposeProject, read_yaml, to_yaml
from ..containers.docker_engine import Container, Credentials, DockerEngine
from ..containers.supply import ImageSupply, plan_image
from ..contract import routes
from ..contract.services import PROXY
from ..contract.stack import COMPOSE_FILE
from ..core.errors import Failure
from ..core.files import json_bytes, read_bytes, read_json, write_atomic
from ..core.folders import Folder, make_folder, observe_folder, plan_folders
from ..core.images import Image, parse_image
from ..core.plan import Step
from ..core.state import STOPPED_ON_PURPOSE
from ..core.x509 import CertificateFacts, certificate_facts, load_certificates, share_left
from ..stack.planner import keep_digests, plan_network
from . import acme
from . import caddyfile as caddy
from .issued import IssuedCertificates, Pair, await_certificates, held_chain
from .reachability import handshake_fault, open_as_user, refuse_foreign_address, refuse_no_acme_directory, refuse_taken_ports

_FILE_MODES = {
    caddy.CADDYFILE: 0o444,
    caddy.CERTIFICATE: 0o444,
    caddy.KEY: 0o400,
    acme.SERVER_CA: 0o444,
    acme.BINDING: 0o400,
    acme.ACCOUNT_KEY: 0o400,
    caddy.ADAPTED: 0o400,
}
# What follows from them is not compared.
_SOURCES = tuple(name for name in _FILE_MODES if name != caddy.ADAPTED)
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
    reference = ((compose or {}).get("services") or {}).get(caddy.SERVICE, {}).get("image")
    return {PROXY: parse_image(reference)} if reference else {}


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
        self.project = ComposeProject(request.options.project, request.options.directory)
        self.warnings: list[str] = []
        self._connect = connect
        self._has_engine = has_engine
        self._desired: Desired
        self._observed = Observed()
        self._proven = ""  # fingerprint of the configuration that this run put in place
        self._took = False  # whether Caddy took the configuration in this run
        self._asked_at = 0.0  # when Caddy was last asked to take one, in seconds since 1970
        self._issued = IssuedCertificates(self._path(caddy.DATA_FOLDER))

    @functools.cached_property
    def docker(self) -> DockerEngine:
        return self._connect()

    @functools.cached_property
    def supply(self) -> ImageSupply:
        return ImageSupply(self.docker, self.request.credentials, self.request.image_folder)

    def observe(self) -> Observed:
        options = self.request.options
        if options.bind_address:
            refuse_foreign_address(options.bind_address)
        if not self._has_engine:
            refuse_taken_ports([options.http_port, options.https_port], options.bind_address)
            self._desired = self._desire(self.request.image, version="")
            return Observed(uncertified=tuple(site.host for site in options.sites) if options.acme else ())
        containers = self.docker.containers(self.project.name)
        container = containers[0] if containers else None
        # A container that is up, even a paused one, holds its ports itself; those of a stopped one may be another's by now.
        refuse_taken_ports([options.http_port, options.https_port], options.bind_address, own=container.published if container else ())
        compose = read_yaml(self._path(COMPOSE_FILE))
        image = self._resolve(compose)
        has_image = bool(self.docker.image_id(str(image)))
        desired = self._desired = self._desire(image, self._version(image, has_image))
        fault = self._trust_fault()
        if fault:
            # The CA may come to this host in the same run, so a plan does not stop here.
            self.warnings.append(f"This host does not trust {self._whose()}: {fault}.")
        uncertified = self._uncertified()
        if options.acme and uncertified:
            refuse_no_acme_directory(options.acme.directory, options.acme.ca_pem or None)
        files, loaded = self._read_files(caddy.CONFIG_FOLDER), read_json(self._path(caddy.LOADED)) or {}
        if options.config_name == caddy.ADAPTED and not os.path.exists(self._path(f"{caddy.CONFIG_FOLDER}/{caddy.ADAPTED}")):
            files.pop(caddy.CADDYFILE, None)  # so that both are written again
        issuer = loaded.get("issuer", "" if caddy.CERTIFICATE in files else caddy.INTERNAL_ISSUER)
        self._observed = Observed(
            compose=compose,
            files=files,
            folders={folder.path: observe_folder(folder.path) for folder in desired.folders},
            container=container,
            has_image=has_image,
            archive=self.supply.archives.get(str(image)),
            has_network=self.docker.network_exists(options.network),
            stopped=self.request.stopped,
            loaded=loaded.get("files", ""),
            issuer=issuer,
            uncertified=uncertified,
            held=self._to_hold(container, compose, issuer, uncertified),
        )
        return self._observed

    def _uncertified(self) -> tuple[str, ...]:
        server = self.request.options.acme
        return self._issued.missing(server.folder, (site.host for site in self.request.options.sites)) if server else ()

    def _to_hold(self, container: Optional[Container], compose: Optional[Mapping[str, Any]], issuer: str, uncertified: Collection[str]) -> tuple[str, ...]:
        """The names whose certificate is in use and must stay so until the ACME server gave another."""
        if not container or not container.running or not uncertified:
            return ()
        # A container that has yet to get the ports which the ACME server asks at cannot order.
        service = ((compose or {}).get("services") or {}).get(caddy.SERVICE, {})
        if service.get("ports") != self._desired.compose["services"][caddy.SERVICE]["ports"]:
            return ()
        return tuple(host for host in uncertified if not issuer or self._issued.has(issuer, host))

    def _resolve(self, compose: Optional[Mapping[str, Any]]) -> Image:
        """The image asked for, pinned by itself, else by what is deployed where the same is asked for, else by its registry or an archive."""
        image = keep_digests({PROXY: self.request.image}, deployed_image(compose))[PROXY]
        return self.supply.pin(self.request.image, image)

    def _version(self, image: Image, has_image: bool) -> str:
        """What ``caddy version`` says, or what the tag of an image that is not here yet promises."""
        if not has_image:
            return image.tag if "." in image.tag else ""
        known = read_json(self._path(caddy.LOADED)) or {}
        return known["version"] if known.get("image") == str(image) else self._caddy_version(image)

    def _caddy_version(self, image: Image) -> str:
        code, text = self.docker.run_once(str(image), ["caddy", "version"], {}, self._user(), [caddy.CAPABILITY])
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
            files[caddy.KEY] = self.request.certificate.key_pem
        folders = (
            Folder(options.directory, (0, 0), "0750"),
            Folder(self._path(caddy.CONFIG_FOLDER), options.owner, "0700"),
            Folder(self._path(caddy.DATA_FOLDER), options.owner, "0700"),
        )
        config_hash = self.project.hashes(definition)[caddy.SERVICE] if self._has_engine else ""
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
        self.docker.create_network(name)

    def _bring(self, bring: Callable[[Image], None]) -> None:
        image = self._desired.image
        bring(image)
        self._desired = self._desire(image, self._caddy_version(image))

    def _replace_config(self) -> None:
        """Prove the new files, as Caddy and as a user's browser would see them, before the live ones are touched."""
        self._refuse_mistrusted()
        self._write_files(caddy.CANDIDATE_FOLDER)
        if self.request.options.config_name == caddy.ADAPTED:
            self._write(f"{caddy.CANDIDATE_FOLDER}/{caddy.ADAPTED}", self._adapted(self._run_candidate(caddy.adapt_command()), caddy.CONFIG_MOUNT))
        code, text = self._run_candidate(caddy.validate_command(self.request.options.config_name))
        if code:
            # A key that is not in use has no business on the host.
            self._clear_candidate(keep=(caddy.CADDYFILE,))
            raise Failure(
                f"Caddy refuses the new configuration: {_last_error(text)}",
                f"read it in {self._path(caddy.CANDIDATE_FOLDER)}/{caddy.CADDYFILE}; the former one is still in use",
                subject=self._path(caddy.CANDIDATE_FOLDER),
                answer=text,
            )
        self._write_files(caddy.CONFIG_FOLDER)
        self._take_adapted()
        self._clear_candidate()
        self._proven = fingerprint(self._desired.files)

    def _run_candidate(self, command: Sequence[str]) -> tuple[int, str]:
        """Run Caddy over the candidate, in a container of its own."""
        mounts = {self._path(caddy.CANDIDATE_FOLDER): caddy.CONFIG_MOUNT}
        return self.docker.run_once(str(self._desired.image), command, mounts, self._user(), [caddy.CAPABILITY])

    @staticmethod
    def _adapted(answer: tuple[int, str], mount: str) -> str:
        """What ``caddy adapt`` made of a Caddyfile, with the account key; ``mount`` is the folder of both in the container."""
        code, text = answer
        if code:
            raise Failure(
                f"Caddy does not understand its new configuration: {_last_error(text)}", "correct what it says; the former one is in use", answer=text
            )
        return acme.with_account_key(text, f"{mount}/{acme.ACCOUNT_KEY}")

    def _take_adapted(self) -> None:
        """Put the JSON that was proven beside the live Caddyfile, or remove it where none is needed."""
        content = read_bytes(self._path(f"{caddy.CANDIDATE_FOLDER}/{caddy.ADAPTED}"))
        if content is not None:
            self._write(f"{caddy.CONFIG_FOLDER}/{caddy.ADAPTED}", content.decode())
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(f"{caddy.CONFIG_FOLDER}/{caddy.ADAPTED}"))

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

    def _write_files(self, folder: str) -> None:
        make_folder(Folder(self._path(folder), self.request.options.owner, "0700"))
        for name, content in self._desired.files.items():
            self._write(f"{folder}/{name}", content)
        for name in set(self._read_files(folder)) - set(self._desired.files):
            os.unlink(os.path.join(self._path(folder), name))

    def _write(self, relative: str, content: str) -> None:
        """Write a file for Caddy; a certificate that is held has the mode of one that is given."""
        mode = _FILE_MODES.get(os.path.basename(relative), _FILE_MODES[caddy.CERTIFICATE])
        write_atomic(self._path(relative), content.encode(), mode, self.request.options.owner)

    def _clear_candidate(self, keep: Collection[str] = ()) -> None:
        for name in set(os.listdir(self._path(caddy.CANDIDATE_FOLDER))) - set(keep):
            os.unlink(os.path.join(self._path(caddy.CANDIDATE_FOLDER), name))
        if not keep:
            os.rmdir(self._path(caddy.CANDIDATE_FOLDER))

    def _read_files(self, folder: str) -> dict[str, str]:
        found = {name: read_bytes(os.path.join(self._path(folder), name)) for name in _SOURCES}
        return {name: content.decode(errors="replace") for name, content in found.items() if content is not None}

    def _order(self, dummy: str) -> None:
        """Have the missing certificates ordered; what is in use goes on being served, and comes back if the order fails."""
        if not self._observed.held:
            if not self._took:  # the next attempt of its own may be hours away
                self._run_reload(self.request.options.config_name)
            self._await_certificates()
            return
        record = read_json(self._path(caddy.LOADED)) or {}
        # What is loaded from here on is in no file that a later run compares.
        self._write_record({**record, "files": ""})
        try:
            self._run_reload(self._write_transition(orders=False))
            self._run_reload(self._write_transition(orders=True))
            self._await_certificates()
            self._refuse_mistrusted()
        except Failure:
            self._run_reload(self._former_config())
            self._write_record(record)
            self._end_transition()
            raise

    def _await_certificates(self) -> None:
        server = self.request.options.acme
        if server is None:
            raise AssertionError("certificates are awaited only where a server is asked for them")
        container = self.docker.containers(self.project.name)[0].id
        log = functools.partial(self.docker.log_tail, container, _LOG_LINES)
        await_certificates(server, self._issued, [site.host for site in self.request.options.sites], log, self._asked_at, self.request.start_timeout)

    def _write_transition(self, orders: bool) -> str:
        """Write a configuration that holds what is served now, beside the live one. :returns: its name below the live one's folder."""
        options, folder = self.request.options, f"{caddy.CONFIG_FOLDER}/{caddy.TRANSITION}"
        mount = f"{caddy.CONFIG_MOUNT}/{caddy.TRANSITION}"
        make_folder(Folder(self._path(folder), options.owner, "0700"))
        files = {name: content for name, content in self._desired.files.items() if name != caddy.CADDYFILE}
        held = {}
        for site in options.sites:
            chain = self._served_chain(site.host)
            if chain:
                files[f"{site.host}.pem"] = held_chain(chain)
                held[site.host] = caddy.Held(f"{mount}/{site.host}.pem", self._served_key(site.host))
        survive = caddy.streams_survive(caddy.parse_version(self._desired.version))
        files[caddy.CADDYFILE] = caddy.render_transition(options, survive, held, orders)
        for name, content in files.items():
            self._write(f"{folder}/{name}", content)
        if options.config_name == caddy.ADAPTED:
            container = self.docker.containers(self.project.name)[0].id
            adapted = self._adapted(self.docker.run(container, caddy.adapt_command(f"{caddy.TRANSITION}/{caddy.CADDYFILE}")), mount)
            self._write(f"{folder}/{caddy.ADAPTED}", adapted)
        return f"{caddy.TRANSITION}/{options.config_name}"

    def _served_chain(self, host: str) -> str:
        """The certificate that the running Caddy serves for a name, empty where there is none."""
        issuer = self._observed.issuer
        if not issuer:
            return self._observed.files.get(caddy.CERTIFICATE, "")
        return self._issued.read(issuer, host).chain_pem if self._issued.has(issuer, host) else ""

    def _served_key(self, host: str) -> str:
        issuer = self._observed.issuer
        return self._issued.key_in_container(issuer, host) if issuer else f"{caddy.CONFIG_MOUNT}/{caddy.KEY}"

    def _former_config(self) -> str:
        """The name of the configuration that the container was made for."""
        service = ((self._observed.compose or {}).get("services") or {}).get(caddy.SERVICE, {})
        return caddy.ADAPTED if f"{caddy.CONFIG_MOUNT}/{caddy.ADAPTED}" in service.get("command", []) else caddy.CADDYFILE

    def _end_transition(self) -> None:
        shutil.rmtree(self._path(f"{caddy.CONFIG_FOLDER}/{caddy.TRANSITION}"), ignore_errors=True)

    def _start(self, dummy: str) -> None:
        for container in self.docker.containers(self.project.name):
            if container.state == "paused":
                self.docker.unpause(container.id)
        self._up(recreate=False)

    def _recreate(self, dummy: str) -> None:
        # Another image may refuse what the former one took, or its version may not be what its tag promised.
        if self._proven != fingerprint(self._desired.files):
            self._replace_config()
        self._up(recreate=True)

    def _up(self, recreate: bool) -> None:
        self._asked_at = time.time()
        self.project.up(caddy.SERVICE, recreate)
        self._record_loaded()

    def _reload(self, dummy: str) -> None:
        if self._serves_other_server():
            self._run_reload(self._write_transition(orders=False))
        self._run_reload(self.request.options.config_name)
        self._record_loaded()

    def _serves_other_server(self) -> bool:
        """Whether certificates of another ACME server are in use, which Caddy would go on to use as if they came from this one."""
        server, ordered = self.request.options.acme, self._observed.held
        return bool(server and not ordered and self._observed.issuer not in ("", caddy.INTERNAL_ISSUER, server.folder))

    def _run_reload(self, name: str) -> None:
        self._asked_at = time.time()
        container = self.docker.containers(self.project.name)[0]
        code, text = self.docker.run(container.id, caddy.reload_command(name))
        if code:
            raise Failure(
                f"Caddy did not take the new configuration: {_last_error(text)}",
                "it keeps serving with the former one; correct what it says and run again",
                subject=container.id[:12],
                answer=text,
            )

    def _record_loaded(self) -> None:
        image = self._desired.image
        self._write_record(
            {"files": fingerprint(self._desired.files), "image": str(image), "version": self._desired.version, "issuer": self._issuer()},
        )
        self._took = True
        self._end_transition()

    def _issuer(self) -> str:
        """Whose certificates the wanted configuration serves, as ``Observed.issuer`` says it."""
        options = self.request.options
        if options.acme:
            return options.acme.folder
        return caddy.INTERNAL_ISSUER if options.internal_ca else ""

    def _write_record(self, record: Mapping[str, Any]) -> None:
        write_atomic(self._path(caddy.LOADED), json_bytes(record), mode=0o600)

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        image = self._desired.image
        version = self._desired.version
        if not caddy.streams_survive(caddy.parse_version(version)):
            self.warnings.append(f"Caddy {version} closes websockets at every reload; version 2.7 or newer keeps them open.")
        result: dict[str, Any] = {
            "image": {"name": image.name, "tag": image.tag, "digest": image.digest, "id": self.docker.image_id(str(image)) if self._has_engine else ""},
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
                containers = self.docker.containers(self.project.name)
                raise Failure(
                    f"{site.url} does not answer through the proxy: {fault}",
                    f"see that the service behind runs, and that role `toucan_host` ran with the CA of {self._whose()} as `toucan_ca_file`",
                    subject=site.url,
                    log=self.docker.log_tail(containers[0].id) if containers else (),
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

    def _user(self) -> str:
        return "{}:{}".format(*self.request.options.owner)

    def _path(self, relative: str) -> str:
        return os.path.join(self.request.options.directory, relative)


def _described(facts: Optional[CertificateFacts]) -> Optional[dict[str, Any]]:
    return {**facts._asdict(), "names": list(facts.names), "not_after": facts.not_after.isoformat()} if facts else None


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no output"])[-1]
