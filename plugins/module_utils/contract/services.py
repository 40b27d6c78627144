# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a stack: our words for them, and the product's names, ports and paths."""

from __future__ import annotations

# Our own vocabulary: groups `toucan_<kind>` and keys of every mapping by service.
FRONTEND = "frontend"  # [OURS]
BACKEND = "backend"  # [OURS]
MONGODB = "mongodb"  # [OURS]
REDIS = "redis"  # [OURS]
PROXY = "proxy"  # [OURS]
KINDS = (FRONTEND, BACKEND, MONGODB, REDIS)  # [OURS]
ALL_KINDS = (*KINDS, PROXY)  # [OURS]

TITLES = {FRONTEND: "Frontend", BACKEND: "Backend", MONGODB: "MongoDB", REDIS: "Redis"}  # as people write them [OURS]

COMPOSE_NAMES = {  # also host names on the compose network; the backend expects the databases' unless told otherwise [S:RTD, SAAGIE]
    FRONTEND: "frontend",
    BACKEND: "backend",
    MONGODB: "mongo",
    REDIS: "redis",
}

PRODUCT_REGISTRY = "quay.io/toucantoco"  # [S:RTD, HELM]
PRODUCT_REPOSITORIES = {FRONTEND: "frontend", BACKEND: "backend"}  # below the registry's name [S:RTD, HELM]
MOVING_TAGS = ("latest-monthly", "latest-weekly", "latest-lts", "latest")  # [S:DOC04, HELM]
MONTHLY_TAG = "latest-monthly"  # [S:DOC04, FAQ]

MONGODB_IMAGE = "docker.io/library/mongo:5.0.31"  # 5.0, as the vendor's compose file and chart [S:RTD, HELM]
REDIS_IMAGE = "docker.io/library/redis:6.2-alpine"  # 6.2, as the vendor's compose file and chart [S:RTD, HELM]

FRONTEND_PORT = 80  # [S:SAAGIE]
BACKEND_PORT = 80  # the inner nginx [S:SAAGIE]
BACKEND_BARE_PORT = 5000  # gunicorn, where the inner nginx is switched off [S:HELM]
MONGODB_PORT = 27017  # [S:RTD, HELM]
REDIS_PORT = 6379  # [S:RTD, HELM]

PUBLISHED_PORTS = {FRONTEND: 8000, BACKEND: 5000, MONGODB: MONGODB_PORT, REDIS: REDIS_PORT}  # on a host that another one calls [S:RTD]

BACKEND_STORAGE = "/app/storage"  # [S:RTD, HELM, DOC04]
STORAGE_OWNER = (1000, 1000)  # user and group toucan of the backend image [INF]
MONGODB_DATA = "/data/db"  # [IMAGE]
MONGODB_OWNER = (999, 999)  # [IMAGE]
REDIS_OWNER = (999, 999)  # [IMAGE]
REDIS_DATA = "/data"  # [IMAGE]

DEFAULT_ADMIN = "toucantoco"  # the built-in super admin [S:RTD]


def upstream(kind: str, port: int) -> str:
    """Where a service of this host is reached on the stack's network, as ``host:port``."""
    return f"{COMPOSE_NAMES[kind]}:{port}"
