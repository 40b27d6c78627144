# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and places every part of the lab agrees on."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
LAB_SOURCE = CHECKOUT / "tests" / "lab"
RECIPES = LAB_SOURCE / "images"
STANDINS = LAB_SOURCE / "standins"
# Resolved, as several checkouts may share one lab: what is written of it must hold when one of them is gone.
LAB_CACHE = (CHECKOUT / ".cache" / "lab").resolve()

NETWORK = "toucan-lab"
# Away from Docker's own default pools (172.16/12, 192.168/16), which the engines nested in the hosts use.
SUBNET = "10.219.0.0/24"
DNS_IP = "10.219.0.4"
REGISTRY_IP = "10.219.0.5"
HOST_IP_TEMPLATE = "10.219.0.{}"
FIRST_HOST_IP = 11
MAX_HOSTS = 60
# Pieces that only some tests ask for, beyond the addresses of all hosts.
MONGODB_IP = "10.219.0.201"
REDIS_IP = "10.219.0.202"
PEBBLE_IP = "10.219.0.203"
QUAY_IP = "10.219.0.204"
LOGIN_IP = "10.219.0.205"
MIRROR_IP = "10.219.0.206"
NARROW_MONGODB_IP = "10.219.0.207"

REGISTRY_NAME = "registry.lab.test"
REGISTRY = f"{REGISTRY_NAME}:5000"
REGISTRY_USER = "robot"
FRONTEND_NAME = "app.lab.test"
BACKEND_NAME = "api.lab.test"
MONGODB_NAME = "mongodb.lab.test"
CLUSTER_NAME = "cluster.lab.test"
"""Has no address, only an SRV record of MongoDB and a TXT record with its options; both stand in images/dns."""
NARROW_MONGODB_NAME = "narrow-mongodb.lab.test"
REDIS_NAME = "redis.lab.test"
PEBBLE_NAME = "pebble.lab.test"
QUAY_NAME = "quay.lab.test"
LOGIN_NAME = "login.lab.test"
MIRROR_NAME = "mirror.lab.test"

IMAGE_REPOSITORY = "toucan-lab"
LABEL = "test.lab.toucan"
"""Label on every container, volume and network of the lab; nothing without it is ever removed."""


def host_names(host: str) -> list[str]:
    """Names in the lab's domain that lead to ``host``: its own, and one for a frontend and a backend there."""
    product = [FRONTEND_NAME, BACKEND_NAME] if host == "host1" else []
    return [*product, *(f"{prefix}{host}.lab.test" for prefix in ("", "app.", "api."))]


def host_ip(number: int) -> str:
    """Address of host ``number`` (1 for host1) on the lab's network."""
    return HOST_IP_TEMPLATE.format(FIRST_HOST_IP + number - 1)
