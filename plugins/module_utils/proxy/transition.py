# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from the certificates that a running Caddy serves to those of an ACME server, without a moment between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from . import caddyfile as caddy
from .installation import Installation, adapted
from .issued import IssuedCertificates, Pair, held_chain

_FOLDER = f"{caddy.CONFIG_FOLDER}/{caddy.TRANSITION}"
_MOUNT = f"{caddy.CONFIG_MOUNT}/{caddy.TRANSITION}"


@dataclass(frozen=True)
class Served:
    """What the running Caddy serves.

    :param issuer: whose certificates, as the name of a folder in Caddy's storage; empty for a given one.
    :param given: the given certificate; ``None`` where there is none.
    """

    issuer: str
    given: Optional[Pair]
    issued: IssuedCertificates

    def has(self, host: str) -> bool:
        return self.issued.has(self.issuer, host) if self.issuer else self.given is not None

    def held(self, host: str) -> str:
        """What Caddy is to hold for a name that it has: key and chain. :raises Failure: when a part cannot be read."""
        pair = self.given if self.given and not self.issuer else self.issued.read(self.issuer, host)
        return caddy.bundle(held_chain(pair.chain_pem), pair.key_pem)


class Transition:
    """Configurations on the way, in a folder beside the live one, which stays as it is until the way is through.

    :param files: those of the wanted configuration, by name.
    :param streams_survive: whether this Caddy can keep websockets open over a reload.
    """

    def __init__(self, installation: Installation, options: caddy.ProxyOptions, files: Mapping[str, str], served: Served, streams_survive: bool) -> None:
        self._installation = installation
        self._options = options
        self._files = {name: content for name, content in files.items() if name != caddy.CADDYFILE}
        self._served = served
        self._streams_survive = streams_survive

    def let_go(self) -> None:
        """Have Caddy hold what it serves now, and no longer manage it. :raises Failure: when it refuses; nothing has changed then."""
        self._take(orders=False)

    def order(self) -> None:
        """Have Caddy order from the ACME server, and still serve what it holds. :raises Failure: when it refuses."""
        self._take(orders=True)

    def end(self) -> None:
        """Remove the files, once another configuration was taken."""
        self._installation.clear(_FOLDER)

    def _take(self, orders: bool) -> None:
        hosts = [site.host for site in self._options.sites if self._served.has(site.host)]
        held = {caddy.held_file(host): self._served.held(host) for host in hosts}
        caddyfile = caddy.render_transition(self._options, self._streams_survive, hosts, orders)
        self._installation.write(_FOLDER, {**self._files, **held, caddy.CADDYFILE: caddyfile})
        if self._options.config_name == caddy.ADAPTED:
            answer = self._installation.run(caddy.adapt_command(f"{caddy.TRANSITION}/{caddy.CADDYFILE}"))
            self._installation.write(_FOLDER, {caddy.ADAPTED: adapted(answer, _MOUNT)})
        self._installation.reload(f"{caddy.TRANSITION}/{self._options.config_name}")
