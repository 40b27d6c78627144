# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: stack_topology
short_description: Which services a host has to publish, and where those are that it calls
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Looks at all hosts of a stack, which services each runs and at which address the others reach it, and tells what follows for one of them.
  - Services of a host come from its variable C(toucan_stack_services), else from its groups. Its address is C(toucan_stack_address), its ports are
    those of C(toucan_stack_ports), else the usual ones.
options:
  _input:
    description: Names of the hosts of the stack.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variables of all hosts.
    type: dict
    required: true
  host:
    description: The host in question.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what this host publishes
  ansible.builtin.debug:
    msg: "{{ groups.toucan | toucan.selfhosted.stack_topology(hostvars, inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: What follows for the host.
  type: dict
  contains:
    members:
      description: The hosts of the stack.
      type: list
      elements: str
    maker:
      description: The host that makes what all share, such as the instance id and secrets.
      type: str
    backends:
      description: The hosts that run a backend.
      type: list
      elements: str
    published:
      description: Services of the host that others call.
      type: list
      elements: str
    peers:
      description: Services of other hosts that those of the host call, by service.
      type: dict
    upstreams:
      description: Where a proxy on the host reaches C(frontend) and C(backend), each a list of C(address:port).
      type: dict
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.toucan.selfhosted.plugins.filter.stack_services import stack_services
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import services as kinds
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract import topology
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.environment import backend_port


def stack_topology(hosts: Sequence[str], hostvars: Mapping[str, Mapping[str, Any]], host: str) -> dict[str, Any]:
    """See DOCUMENTATION."""
    members = [_member(name, hostvars[name]) for name in hosts]
    known = hostvars[host]
    outside = [kind for kind, option in ((kinds.MONGODB, "toucan_mongodb_uri"), (kinds.REDIS, "toucan_redis_url")) if known.get(option)]
    peers = topology.peers(members, host)
    here = next(member.services for member in members if member.host == host)
    return {
        "members": list(hosts),
        "maker": topology.maker(members),
        "backends": [member.host for member in members if kinds.BACKEND in member.services],
        "published": list(topology.published(members, host, outside)),
        "peers": {kind: [asdict(peer) for peer in found] for kind, found in peers.items()},
        "upstreams": {
            kinds.FRONTEND: _upstreams(kinds.FRONTEND, kinds.FRONTEND_PORT, here, peers),
            kinds.BACKEND: _upstreams(kinds.BACKEND, backend_port(known.get("toucan_stack_env") or {}), here, peers),
        },
    }


def _member(name: str, variables: Mapping[str, Any]) -> topology.Member:
    here = variables.get("toucan_stack_services") or stack_services(variables.get("group_names", []))
    proxy = [kinds.PROXY] if kinds.PROXY in stack_services(variables.get("group_names", [])) else []
    return topology.Member(name, [*here, *proxy], variables.get("toucan_stack_address") or "", variables.get("toucan_stack_ports") or {})


def _upstreams(kind: str, port: int, here: Sequence[str], peers: Mapping[str, Sequence[topology.Peer]]) -> list[str]:
    """The service of this host first; empty where the proxy's own default, the service beside it, is right."""
    elsewhere = [str(peer) for peer in peers.get(kind, ())]
    return [*([kinds.upstream(kind, port)] if kind in here else []), *elsewhere] if elsewhere else []


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, object]:
        return {"stack_topology": stack_topology}
