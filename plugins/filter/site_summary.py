# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: site_summary
short_description: What a run of site.yml came to, in lines for people
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Takes the results of M(toucan.selfhosted.toucan_stack) and M(toucan.selfhosted.toucan_proxy) and says where the product is, which versions answer, who can
    log in, and what changed.
options:
  _input:
    description: Result of M(toucan.selfhosted.toucan_stack).
    type: dict
    required: true
  databases:
    description: Result of M(toucan.selfhosted.toucan_stack) for databases that were brought up before the other hosts, empty where there are none.
    type: dict
    default: {}
  proxy:
    description: Result of M(toucan.selfhosted.toucan_proxy), empty where the host runs none.
    type: dict
    default: {}
  frontend_url:
    description: Public URL of the frontend.
    type: str
    default: ""
  backend_url:
    description: Public URL of the backend.
    type: str
    default: ""
  secrets_path:
    description: The secrets file of the host.
    type: str
    default: ""
  check_mode:
    description: Whether the run only looked.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what came of it
  ansible.builtin.debug:
    msg: "{{ stack | toucan.selfhosted.site_summary(proxy=proxy, frontend_url=url, backend_url=api_url, secrets_path=path) }}"
"""

RETURN = r"""
_value:
  description: Lines of text.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.routes import LOCAL_PROVIDER

_WIDTH = 12


def site_summary(
    stack: Mapping[str, Any],
    databases: Mapping[str, Any] | None = None,
    proxy: Mapping[str, Any] | None = None,
    frontend_url: str = "",
    backend_url: str = "",
    secrets_path: str = "",
    check_mode: bool = False,
) -> list[str]:
    """Lines of label and value."""
    proxy = proxy or {}
    versions, images = stack.get("versions") or {}, stack.get("images") or {}
    lines = [
        _line(kind.capitalize(), f"{url}  {versions.get(kind) or images[kind]['tag']}")
        for kind, url in (("frontend", frontend_url), ("backend", backend_url))
        if kind in images
    ]
    lines += _login_lines(stack.get("login") or {}, secrets_path)
    if "backend" in images and stack.get("workers"):
        lines.append(_line("Workers", f"{stack['workers']['count']} ({stack['workers']['reason']})"))
    lines += _certificate_lines(proxy)
    steps = [step for result in (databases or {}, stack, proxy) for step in result.get("plan") or []]
    if stack or proxy:
        told = "; ".join(f"{step['action']} {step['object']}" for step in steps)
        lines.append(_line("Services", f"{'would change' if check_mode else 'changed'}: {told}" if told else "unchanged"))
    return lines


def _login_lines(login: Mapping[str, Any], secrets_path: str) -> list[str]:
    if not login:
        return []
    lines = [_line("Log in", f"as {login['admin']}, password: `admin_password` in {secrets_path}")]
    others = [f"{item.get('name') or item.get('id')} ({item.get('type')})" for item in login.get("providers") or [] if item.get("type") != LOCAL_PROVIDER]
    return lines + ([_line("", f"or through {', '.join(others)}")] if others else [])


def _certificate_lines(proxy: Mapping[str, Any]) -> list[str]:
    if proxy.get("internal_ca"):
        return [_line("Certificate", f"by Caddy's own CA, whose root is {proxy['internal_ca']}")]
    certificate = proxy.get("certificate") or {}
    if not certificate:
        return []
    return [_line("Certificate", f"by {certificate['issuer']}, ends in {certificate['days_left']} days, on {certificate['not_after'][:10]}")]


def _line(label: str, value: str) -> str:
    return f"{label:<{_WIDTH}} {value}"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"site_summary": site_summary}
