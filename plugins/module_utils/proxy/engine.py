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
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

from ..containers.compose import ComposeProject, read_yaml, to_yaml
from ..containers.docker_engine import Container, Credentials, DockerEngine
from ..contract import routes
from ..contract.releases import Image, parse_image
from ..contract.services import PROXY
from ..contract.stack import COMPOSE_FILE
from ..core.errors import Failure
from ..core.files import json_bytes, read_bytes, read_json, write_atomic
from ..core.folders import Folder, make_folder, observe_folder, plan_folders
from ..core.plan import Step
from ..core.state import STOPPED_ON_PURPOSE
from ..core.x509 import CertificateFacts
from ..stack.planner import keep_digests, plan_network
from . import caddyfile as caddy
from .reachability import handshake_fault, open_as_user, refuse_foreign_address, refuse_taken_ports

_FILE_MODES = {caddy.CADDYFILE: 0o444, caddy.CERTIFICATE: 0o444, caddy.KEY: 0o400}
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
    """

    options: caddy.ProxyOptions
    image: Image
    credentials: Credentials
    certificate: Optional[GivenCertificate]
    ca_pem: Optional[str]
    require_dns: bool
    start_timeout: float
    stopped: bool = False


@dataclass(frozen=True)
class Observed:
    """What stands on the host; a bare host is the default. ``loaded`` is the hash of what the running Caddy took; ``stopped`` says on purpose."""

    compose: Optional[Mapping[str, Any]] = None
    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, Optional[Folder]] = field(default_factory=dict)
    container: Optional[Container] = None
    has_image: bool = False
    has_network: bool = False
    loaded: str = ""
    stopped: bool = False


@dataclass(frozen=True)
class Desired:
    """``version`` is Caddy's answer, empty where it is not known; ``config_hash`` is compose's own, empty where no engine can compute it."""

    compose: Mapping[str, Any]
    image: Image
    files: Mapping[str, str]
    folders: tuple[Folder, ...]
    network: str
    version: str = ""
    config_hash: str = ""


def plan_proxy(desired: Desired, observed: Observed) -> list[Step]:
    """Image, network and folders first, then a proven configuration, then the container or a reload."""
    steps = []
    if not observed.has_image:
        steps.append(Step("image.pull:proxy", "pull", "image of proxy", None, str(desired.image)))
    steps.extend(plan_network(desired.network, observed.has_network))
    steps.extend(plan_folders(desired.folders, observed.folders))
    if desired.files != observed.files:
        known = caddy.shown(observed.files) if observed.files else None
        steps.append(Step("config.replace:proxy", "update" if known else "create", "proxy configuration", known, caddy.shown(desired.files)))
    if desired.compose != observed.compose:
        steps.append(Step(f"file:{COMPOSE_FILE}", "update" if observed.compose else "create", f"proxy {COMPOSE_FILE}", observed.compose, desired.compose))
    steps.extend(_container_steps(desired, observed))
    return steps


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
        self._proven = ""  # fingerprint of the configuration that this run put in place

    @functools.cached_property
    def docker(self) -> DockerEngine:
        return self._connect()

    def observe(self) -> Observed:
        options = self.request.options
        if options.bind_address:
            refuse_foreign_address(options.bind_address)
        if not self._has_engine:
            refuse_taken_ports([options.http_port, options.https_port], options.bind_address)
            self._desired = self._desire(self.request.image, version="")
            return Observed()
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
            self.warnings.append(f"This host does not trust the given certificate: {fault}.")
        return Observed(
            compose=compose,
            files=self._read_files(caddy.CONFIG_FOLDER),
            folders={folder.path: observe_folder(folder.path) for folder in desired.folders},
            container=container,
            has_image=has_image,
            has_network=self.docker.network_exists(options.network),
            loaded=(read_json(self._path(caddy.LOADED)) or {}).get("files", ""),
            stopped=self.request.stopped,
        )

    def _resolve(self, compose: Optional[Mapping[str, Any]]) -> Image:
        """The image asked for, pinned by itself, else by what is deployed where the same is asked for, else by its registry."""
        image = keep_digests({PROXY: self.request.image}, deployed_image(compose))[PROXY]
        if image.digest:
            return image
        return replace(image, digest=self.docker.registry_digest(image.name, image.tag, self.request.credentials, image.registry))

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
        files = {caddy.CADDYFILE: caddy.render(options, caddy.streams_survive(caddy.parse_version(version)))}
        if self.request.certificate:
            files[caddy.CERTIFICATE] = self.request.certificate.chain_pem
            files[caddy.KEY] = self.request.certificate.key_pem
        folders = (
            Folder(options.directory, (0, 0), "0750"),
            Folder(self._path(caddy.CONFIG_FOLDER), options.owner, "0700"),
            Folder(self._path(caddy.DATA_FOLDER), options.owner, "0700"),
        )
        config_hash = self.project.hashes(definition)[caddy.SERVICE] if self._has_engine else ""
        return Desired(definition, image, files, folders, options.network, version, config_hash)

    def plan(self, observed: Observed) -> list[Step]:
        return plan_proxy(self._desired, observed)

    def apply(self, step: Step) -> None:
        kind, dummy, name = step.id.partition(":")
        actions: dict[str, Callable[[str], None]] = {
            "image.pull": self._pull,
            "network": self._create_network,
            "folder": lambda path: make_folder(next(folder for folder in self._desired.folders if folder.path == path)),
            "config.replace": lambda dummy: self._replace_config(),
            "file": lambda path: write_atomic(self._path(path), to_yaml(self._desired.compose)),
            "service.create": lambda dummy: self._up(recreate=False),
            "service.start": self._start,
            "service.recreate": self._recreate,
            "config.reload": self._reload,
        }
        actions[kind](name)

    def _create_network(self, name: str) -> None:
        self.docker.create_network(name)

    def _pull(self, dummy: str) -> None:
        image = self._desired.image
        self.docker.pull(image.name, image.tag, image.digest, self.request.credentials, image.registry)
        self._desired = self._desire(image, self._caddy_version(image))

    def _replace_config(self) -> None:
        """Prove the new files, as Caddy and as a user's browser would see them, before the live ones are touched."""
        fault = self._trust_fault()
        if fault:
            raise Failure(
                f"This host does not trust the given certificate: {fault}",
                "append the missing intermediate certificates to it, or give the CA that signed it as `toucan_ca_file` and run role `toucan_host`,"
                " which makes this host trust it",
                subject=self.request.options.sites[0].host,
                answer=fault,
            )
        self._write_files(caddy.CANDIDATE_FOLDER)
        mounts = {self._path(caddy.CANDIDATE_FOLDER): caddy.CONFIG_MOUNT}
        code, text = self.docker.run_once(str(self._desired.image), caddy.validate_command(), mounts, self._user(), [caddy.CAPABILITY])
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
        self._clear_candidate()
        self._proven = fingerprint(self._desired.files)

    def _trust_fault(self) -> str:
        """What keeps a user of this host's CA from trusting the given certificate; empty where nothing does."""
        given = self.request.certificate
        if given is None:
            return ""
        faults = (handshake_fault(given.chain_pem, given.key_pem, site.host, self.request.ca_pem) for site in self.request.options.sites)
        return next((fault for fault in faults if fault), "")

    def _write_files(self, folder: str) -> None:
        make_folder(Folder(self._path(folder), self.request.options.owner, "0700"))
        for name, content in self._desired.files.items():
            write_atomic(os.path.join(self._path(folder), name), content.encode(), _FILE_MODES[name], self.request.options.owner)
        for name in set(self._read_files(folder)) - set(self._desired.files):
            os.unlink(os.path.join(self._path(folder), name))

    def _clear_candidate(self, keep: Collection[str] = ()) -> None:
        for name in set(os.listdir(self._path(caddy.CANDIDATE_FOLDER))) - set(keep):
            os.unlink(os.path.join(self._path(caddy.CANDIDATE_FOLDER), name))
        if not keep:
            os.rmdir(self._path(caddy.CANDIDATE_FOLDER))

    def _read_files(self, folder: str) -> dict[str, str]:
        found = {name: read_bytes(os.path.join(self._path(folder), name)) for name in _FILE_MODES}
        return {name: content.decode(errors="replace") for name, content in found.items() if content is not None}

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
        self.project.up(caddy.SERVICE, recreate)
        self._record_loaded()

    def _reload(self, dummy: str) -> None:
        container = self.docker.containers(self.project.name)[0]
        code, text = self.docker.run(container.id, caddy.reload_command())
        if code:
            raise Failure(
                f"Caddy did not take the new configuration: {_last_error(text)}",
                "it keeps serving with the former one; correct what it says and run again",
                subject=container.id[:12],
                answer=text,
            )
        self._record_loaded()

    def _record_loaded(self) -> None:
        image = self._desired.image
        loaded = {"files": fingerprint(self._desired.files), "image": str(image), "version": self._desired.version}
        write_atomic(self._path(caddy.LOADED), json_bytes(loaded), mode=0o600)

    def report(self, observed: Observed, applied: bool) -> dict[str, Any]:
        image = self._desired.image
        version = self._desired.version
        if not caddy.streams_survive(caddy.parse_version(version)):
            self.warnings.append(f"Caddy {version} closes websockets at every reload; version 2.7 or newer keeps them open.")
        result: dict[str, Any] = {
            "image": {"name": image.name, "tag": image.tag, "digest": image.digest, "id": self.docker.image_id(str(image)) if self._has_engine else ""},
            "urls": [site.url for site in self.request.options.sites],
            "internal_ca": "",
            "certificate": _described(self.request.certificate),
            "warnings": self.warnings,
        }
        if applied:
            self._wait_for_users(result)
        return result

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
                    "see that the service behind runs, and that role `toucan_host` ran with the CA of the given certificate as `toucan_ca_file`",
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


def _described(certificate: Optional[GivenCertificate]) -> Optional[dict[str, Any]]:
    if certificate is None or certificate.facts is None:
        return None
    facts = certificate.facts
    return {**facts._asdict(), "names": list(facts.names), "not_after": facts.not_after.isoformat()}


def _last_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines or ["no output"])[-1]
