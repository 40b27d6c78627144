# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cross-origin answers: the frontend lives on a host of its own."""

from __future__ import annotations

from .config import Config

# product-facts 1.7 [S:W6D]: `x-json-flavor` since v89; Authorization is mandatory (same section, [FAQ])
_HEADERS = "authorization, content-type, x-json-flavor"
_METHODS = "GET, POST, PUT, PATCH, DELETE, OPTIONS"


def cors_headers(config: Config, origin: str | None) -> dict[str, str]:
    """Headers to add to the answer to a request from ``origin``; empty when it may not ask."""
    # product-facts 1.6 [S:HELM, W6D, SAAGIE]
    allowed = config.texts("TOUCAN_FRONTEND_URLS") + config.texts("TOUCAN_CROSS_ORIGIN_WHITELIST")
    # product-facts 1.2 [S:RTD]: the reference compose file names no origin and works, so an
    # unset list lets every origin in [INF]
    if origin is None or (allowed and origin not in [url.rstrip("/") for url in allowed]):
        return {}
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Headers": _HEADERS,
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Expose-Headers": "content-disposition",
        "Vary": "Origin",
    }
