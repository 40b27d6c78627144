# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of a registry are proven against what is deployed, before an inventory is changed: hosts store none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..api.registry import REGISTRY_CA_OPTION, Registry, parse_image_name
from ..api.transport import DEFAULT_TIMEOUT
from ..api.urllib_transport import UrllibTransport
from ..contract.services import PRODUCT_REGISTRY
from ..core.errors import Failure

_DOCKER_CERTIFICATES = "/etc/docker/certs.d"


def prove_pull(state: Mapping[str, Any], name: str, username: str, password: str) -> list[str]:
    """Ask the registry for every image of this host that came from it. :returns: the images, by name and tag.

    :param name: the registry, with or without the folder of the images.
    :raises Failure: when it refuses the login or an image, or no image here came from it.
    """
    host = (name or PRODUCT_REGISTRY).split("/", 1)[0]
    registry = Registry(UrllibTransport(_ca_file(host, state), DEFAULT_TIMEOUT, REGISTRY_CA_OPTION), host, username, password)
    proven = []
    for image in state.get("images", {}).values():
        known = parse_image_name(image["name"])
        if known.host == host and image.get("digest"):
            registry.digest(known.repository, image["digest"])
            proven.append(f"{known}:{image.get('tag', '')}")
    if not proven:
        raise Failure(f"No image of this host came from registry {host}", "correct `toucan_registry.name`, or run `site.yml` first", subject=host)
    return proven


def _ca_file(host: str, state: Mapping[str, Any]) -> str:
    """The CA that the engine trusts for this registry, else that of the stack."""
    ours = os.path.join(_DOCKER_CERTIFICATES, host, "ca.crt")
    return ours if os.path.exists(ours) else str(state.get("ca_file") or "")
