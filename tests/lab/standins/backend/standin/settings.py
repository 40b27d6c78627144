# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instance settings: what the product downloads and uploads as instance_settings.cson."""

from __future__ import annotations

from typing import Any

# product-facts 4 [S:DOCACC, FAQ]
PROVIDER_TYPES = ("local", "SAML2", "OIDC")
# product-facts 2.2 [S:FE57, FAQ]
_LISTED_FIELDS = ("id", "type", "name", "icon", "discrete")


def provider_name(provider: dict[str, Any]) -> str:
    """The name of an entry: its ``id``, else its ``type``."""
    # product-facts 4 [S:FE57]
    return provider.get("id") or provider["type"]


def settings_problems(settings: Any) -> list[str]:
    """What is wrong with a settings object, one sentence each; empty when it is good."""
    # product-facts 4 [S:FE57, DOCACC, FAQ]; that the backend checks this much is [INF]
    if not isinstance(settings, dict):
        return ["the settings are not an object"]
    providers = settings.get("auth_providers", [])
    if not isinstance(providers, list):
        return ["auth_providers is not a list"]
    wrong = [
        f"auth_providers[{index}] has no type of {', '.join(PROVIDER_TYPES)}, or its id is no text"
        for index, provider in enumerate(providers)
        if not isinstance(provider, dict) or provider.get("type") not in PROVIDER_TYPES or not isinstance(provider.get("id", ""), str)
    ]
    if wrong:
        return wrong
    names = [provider_name(provider) for provider in providers]
    return [f"auth_providers has {name!r} twice" for name in sorted({n for n in names if names.count(n) > 1})]


def listed_providers(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The providers as the login page sees them: never a credential."""
    # product-facts 2.2 [S:FE57, FAQ]
    return [
        {"discrete": False, "id": provider_name(provider)} | {name: provider[name] for name in _LISTED_FIELDS if name in provider}
        for provider in settings.get("auth_providers", [])
    ]
