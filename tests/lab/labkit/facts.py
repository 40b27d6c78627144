# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests and people are told about the lab: an inventory and a file of variables, both under ``.cache/lab``."""

from __future__ import annotations

import json

from . import databases, hosts, pebble, pki, registries, registry, ssh, toolbox
from .engine import docker
from .names import BACKEND_NAME, FRONTEND_NAME, LAB_CACHE, NETWORK, REGISTRY, REGISTRY_IP, REGISTRY_USER, host_ip

PIECES = {"databases": databases, "pebble": pebble, "registries": registries, "toolbox": toolbox}
"""What only some tests need: `lab.py NAME` starts it. Its facts hold beforehand too, as far as they do not need it to run."""

INVENTORY = LAB_CACHE / "inventory.yml"
VARIABLES = LAB_CACHE / "vars.yml"


def write(images: dict[str, str]) -> None:
    """Write both files; ``images`` are the lab's own (layer -> image name)."""
    # JSON is YAML, and needs nothing but the standard library to be written right.
    INVENTORY.write_text(json.dumps(inventory(), indent=2) + "\n")
    VARIABLES.touch(mode=0o600)
    VARIABLES.write_text(json.dumps(variables(images), indent=2) + "\n")


def inventory() -> dict:
    """The lab's hosts, all in group ``toucan``."""
    connection = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(ssh.KEY),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={ssh.KNOWN_HOSTS} -o GlobalKnownHostsFile=none -o IdentitiesOnly=yes",
        "ansible_host_key_checking": True,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    members = {host: {"ansible_host": host_ip(hosts.number_of(host))} for host in hosts.names()}
    return {"all": {"children": {"toucan": {"hosts": members, "vars": connection}}}}


def variables(images: dict[str, str]) -> dict:
    """Facts for tests; every name begins with ``lab_``."""
    return {
        "lab_network": NETWORK,
        "lab_registry": REGISTRY,
        "lab_registry_ip": REGISTRY_IP,
        "lab_registry_username": REGISTRY_USER,
        "lab_registry_password": registry.password(),
        "lab_registry_container": registry.CONTAINER,
        "lab_product_images": {
            dialect: {side: f"{REGISTRY}/{repository}/{side}" for side in ("backend", "frontend")}
            for dialect, repository in (("a", "toucantoco"), ("b", "toucantoco-b"))
        },
        "lab_service_images": {layer: f"{REGISTRY}/{tag}" for layer, tag in registry.SERVICE_TAGS.items()},
        "lab_images": images,
        "lab_frontend_url": f"https://{FRONTEND_NAME}",
        "lab_backend_url": f"https://{BACKEND_NAME}",
        "lab_ca_file": str(pki.AUTHORITY),
        "lab_certificates": {
            name: {"certificate": str(pki.certificate(name)), "key": str(pki.certificate(name).with_suffix(".key"))}
            for name in ("product", "expired", "other-name", "untrusted")
        },
        **{f"lab_{name}": piece.facts() for name, piece in PIECES.items()},
        "lab_stray_key": str(pki.FOLDER / "stray.key"),
        "lab_ssh_config": str(ssh.CONFIG),
        "lab_hosts": hosts.names(),
        "lab_shared_folder": hosts.SHARED_FOLDER,
        "lab_unshared_folder": hosts.UNSHARED_FOLDER,
        "lab_cgroup_version": int(docker("info", "--format", "{{.CgroupVersion}}")),
    }
