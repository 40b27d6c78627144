#!/usr/bin/python
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: toucan_version
short_description: Tell which versions of Toucan run, and whether they fit together
version_added: 0.1.0
author:
  - toucan.selfhosted contributors (!UNKNOWN)
description:
  - Asks the frontend and the backend for their versions over HTTP. Neither needs a login.
  - On a managed host no option is needed, since the state file knows the URLs. Where a stack runs that nobody manages yet, its containers are found
    by their images, if this user may ask the Docker engine. Anywhere else give O(frontend_url) and O(backend_url).
  - A part that does not answer is told from the state file, with the error beside it. When neither version can be found the module fails.
  - Can also look into the registry for newer releases, and assert a range of versions.
  - Needs neither Docker nor a Python library, unless a shape is more than a dotted name.
extends_documentation_fragment:
  - toucan.selfhosted.attributes
  - toucan.selfhosted.attributes.toucan
  - toucan.selfhosted.state
attributes:
  check_mode:
    support: full
    details:
      - It only reads, in check mode as well.
  diff_mode:
    support: none
    details:
      - It changes nothing.
  idempotent:
    support: full
  platform:
    support: full
options:
  frontend_url:
    description:
      - Where people open the product, such as V(https://dashboards.example.com).
      - What the state file records where it is unset.
    type: str
  backend_url:
    description:
      - Where the API answers, with its path prefix where it has one.
      - What the state file records where it is unset.
    type: str
  ca_path:
    description:
      - File on the host with CA certificates in PEM form, trusted beside the system's.
      - What the state file records where it is unset.
    type: path
  timeout:
    description: Seconds to wait for each answer.
    type: float
    default: 10
  version_shape:
    description:
      - Where the version stands in the backend's JSON answer, a JMESPath expression.
      - A dotted name needs no library on the host.
    type: str
    default: version
  status_shape:
    description: Where the status stands in the backend's JSON answer, as O(version_shape).
    type: str
    default: status
  require:
    description:
      - Fails unless both versions are in this range.
      - Clauses are separated by commas. One that gives fewer than three numbers compares just those, so that V(<=101) holds for v101.9.9.
    type: str
  registry:
    description:
      - Whether to look into the image registry as well.
      - Repositories are those that the state file records, unless O(registry_name) is given.
    type: bool
    default: false
  registry_name:
    description:
      - Registry with the path that holds the product's images, such as V(registry.example.com:5000/toucantoco).
      - On a host without state V(quay.io/toucantoco).
    type: str
  registry_username:
    description: Account for the registry. Anonymous where it is unset.
    type: str
  registry_password:
    description: Password or token of O(registry_username).
    type: str
  registry_ca_path:
    description: File on the host with CA certificates in PEM form for the registry. As O(ca_path) where it is unset.
    type: path
seealso:
  - module: toucan.selfhosted.toucan_state
"""

EXAMPLES = r"""
# On the command line, for a whole inventory: ansible toucan -m toucan.selfhosted.toucan_version

- name: Tell the versions on a managed host
  toucan.selfhosted.toucan_version:

- name: Tell the versions of a stack from anywhere
  toucan.selfhosted.toucan_version:
    frontend_url: https://dashboards.example.com
    backend_url: https://api.dashboards.example.com
    ca_path: /etc/ssl/certs/example-ca.pem
  delegate_to: localhost

- name: Look for newer releases
  toucan.selfhosted.toucan_version:
    registry: true
    registry_username: "{{ toucan_registry.username }}"
    registry_password: "{{ toucan_registry.password }}"

- name: Stop unless the stack runs a release that the next step knows
  toucan.selfhosted.toucan_version:
    require: ">=100,<102"
"""

RETURN = r"""
frontend:
  description: The frontend's version, and where it comes from.
  returned: always, unless an option was refused
  type: dict
  contains: &part
    version:
      description: Such as V(v101.1.0). Null where it is unknown.
      type: str
      sample: v101.1.0
    source:
      description:
        - V(url) for what the part itself answered, V(container) for what it answered in a container that was found, V(state) for what the state
          file records.
        - Null where nothing tells it.
      type: str
      sample: url
    url:
      description: The URL that was asked. Null where none is known.
      type: str
      sample: https://dashboards.example.com/tucana-version.txt
    error:
      description: Why the part did not answer, or what its status was. Absent when all is well.
      type: str
backend:
  description: The backend's version, and where it comes from.
  returned: always, unless an option was refused
  type: dict
  contains: *part
compatible:
  description: Whether frontend and backend have the same major version, as they must. Null where one of them is unknown.
  returned: always, unless an option was refused
  type: bool
summary:
  description: All of it in one sentence.
  returned: always, unless an option was refused
  type: str
  sample: Frontend v101.1.0 and backend v101.1.0 fit together.
registry:
  description: What the registry has.
  returned: with O(registry=true)
  type: dict
  contains:
    newer:
      description: Releases above the older one of the installed versions that have both images, in ascending order.
      type: list
      elements: str
      sample: [v101.1.1]
    monthly:
      description: Where the tag C(latest-monthly) of the backend points to. Null where there is none.
      type: dict
      contains:
        digest:
          description: The digest.
          type: str
          sample: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
        version:
          description: The release with the same digest. Null where none of the ten newest has it.
          type: str
          sample: v101.1.0
    installed_created:
      description: When the installed backend's image was built, in UTC. Null where it is not known.
      type: str
      sample: "2026-10-28T09:12:44+00:00"
    installed_age_days:
      description: Whole days since then.
      type: int
      sample: 26
failure:
  description: The parts of a foreseen failure, RV(ignore:msg) as data.
  returned: failure
  type: dict
"""

from datetime import datetime, timezone
from typing import Any, Callable, NamedTuple, Optional

from ansible_collections.toucan.selfhosted.plugins.module_utils.api.registry import REGISTRY_CA_OPTION, Registry, parse_image_name
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.releases import Located, Releases, look_up_releases
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.shapes import is_plain
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.transport import DEFAULT_TIMEOUT
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.urllib_transport import UrllibTransport
from ansible_collections.toucan.selfhosted.plugins.module_utils.api.versions import Told, backend_version, frontend_version
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.listing import running_containers
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.releases import product_kind
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.routes import BACKEND_STATUS_OK, BACKEND_STATUS_SHAPE, BACKEND_VERSION_SHAPE
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.services import BACKEND, FRONTEND, PRODUCT_REGISTRY, PRODUCT_REPOSITORIES
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.state import DEFAULT_PATH
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.versions import Version, check_range, parse_version, same_major, satisfies
from ansible_collections.toucan.selfhosted.plugins.module_utils.toucan_module import ToucanModule


class Part(NamedTuple):
    """What is known about the frontend or the backend, and the failure that kept it from telling more."""

    kind: str
    version: Optional[Version]
    source: Optional[str]
    url: str
    failure: Optional[Failure]

    def facts(self) -> dict[str, Any]:
        """The part as it is returned."""
        facts: dict[str, Any] = {"version": str(self.version) if self.version else None, "source": self.source, "url": self.url or None}
        if self.failure:
            facts["error"] = str(self.failure)
        return facts

    def words(self) -> str:
        """The part as it is named in the summary."""
        if not self.version:
            return f"{self.kind} unknown"
        return f"{self.kind} {self.version}" + (" (as recorded)" if self.source == "state" else "")


def argument_spec() -> dict[str, Any]:
    """Options of the module."""
    return {
        "state_path": {"type": "path", "default": DEFAULT_PATH},
        "frontend_url": {"type": "str"},
        "backend_url": {"type": "str"},
        "ca_path": {"type": "path"},
        "timeout": {"type": "float", "default": DEFAULT_TIMEOUT},
        "version_shape": {"type": "str", "default": BACKEND_VERSION_SHAPE},
        "status_shape": {"type": "str", "default": BACKEND_STATUS_SHAPE},
        "require": {"type": "str"},
        "registry": {"type": "bool", "default": False},
        "registry_name": {"type": "str"},
        "registry_username": {"type": "str"},
        "registry_password": {"type": "str", "no_log": True},
        "registry_ca_path": {"type": "path"},
    }


def look(kind: str, url: str, ask: Callable[[str], Told], state: dict[str, Any]) -> Part:
    """Ask one part where its URL is known, and fall back to the tag that the state file records."""
    failure = None
    if url:
        try:
            told = ask(url)
        except Failure as caught:
            failure = caught
        else:
            return Part(kind, told.version, "url", told.url, unwell(kind, told))
    recorded = parse_version(state.get("images", {}).get(kind, {}).get("tag", ""))
    return Part(kind, recorded, "state" if recorded else None, failure.subject if failure else url, failure)


def found_containers(ask: dict[str, Callable[[str], Told]]) -> dict[str, str]:
    """By kind the URL of the product's container on this host, where one that is called like it answers like it.

    :raises Failure: when two of a kind do.
    """
    found: dict[str, str] = {}
    for container in running_containers():
        kind = product_kind(container.image)
        url = f"http://{container.address}"
        if not kind or not container.address or not _answers(ask[kind], url):
            continue
        if kind in found:
            raise Failure(f"Two containers on this host answer as a {kind}, at {found[kind]} and {url}", f"give `{kind}_url` of the one to ask", subject=url)
        found[kind] = url
    return found


def _answers(ask: Callable[[str], Told], url: str) -> bool:
    try:
        ask(url)
    except Failure:
        return False
    return True


def unwell(kind: str, told: Told) -> Optional[Failure]:
    """The failure of a part that answers its version but says that it is not well."""
    if told.status == BACKEND_STATUS_OK:
        return None
    return Failure(f"The {kind} at {told.url} says that its status is {told.status}", f"look at the logs of the {kind}", subject=told.url, answer=told.status)


def compatible(parts: list[Part]) -> Optional[bool]:
    """Whether the two fit together; ``None`` where one is unknown."""
    first, second = (part.version for part in parts)
    return same_major(first, second) if first and second else None


def summary(parts: list[Part]) -> str:
    """Versions and verdict in one sentence."""
    verdict = {True: "fit together", False: "differ in major version and do not fit together", None: "cannot be compared"}[compatible(parts)]
    sentence = " and ".join(part.words() for part in parts)
    return f"{sentence[0].upper()}{sentence[1:]} {verdict}."


def check_known(parts: list[Part]) -> None:
    """:raises Failure: when no version is known at all."""
    if any(part.version for part in parts):
        return
    failures = [part.failure for part in parts if part.failure]
    if not failures:
        raise Failure(
            "Nothing tells where the stack is",
            "give `frontend_url` and `backend_url`, or run this, as root, on a host whose state file records them or whose containers are the stack's",
        )
    remedies = list(dict.fromkeys(failure.remedy for failure in failures))
    raise Failure(
        "No version could be found: " + "; ".join(failure.problem for failure in failures),
        ", and ".join(remedies),
        subject=failures[0].subject,
        answer=failures[0].answer,
    )


def check_requirement(parts: list[Part], requirement: str) -> None:
    """:raises Failure: when a part that is known of is out of the range, or told no version."""
    for part in parts:
        if part.version is None and not part.url:
            continue
        if part.version is None:
            raise Failure(f"The version of the {part.kind} is unknown, so that `{requirement}` cannot be checked", "see its error", subject=part.url)
        if not satisfies(part.version, requirement):
            raise Failure(
                f"The {part.kind} is {part.version}, which is not in the required range `{requirement}`",
                "deploy a release that is, or correct `require`",
                subject=part.url,
                answer=str(part.version),
            )


def locate(params: dict[str, Any], state: dict[str, Any]) -> dict[str, Located]:
    """The repositories of the two images: as recorded, unless a registry's name is given.

    :raises Failure: when the recorded image came from no registry, or the CA file cannot be used.
    """
    ca_file = params["registry_ca_path"] or params["ca_path"] or state.get("ca_file") or ""
    transport = UrllibTransport(ca_file, params["timeout"], REGISTRY_CA_OPTION)
    located = {}
    for kind in (FRONTEND, BACKEND):
        name = parse_image_name(image_name(kind, params["registry_name"], state))
        located[kind] = Located(Registry(transport, name.host, params["registry_username"] or "", params["registry_password"] or ""), name.repository)
    return located


def image_name(kind: str, registry_name: Optional[str], state: dict[str, Any]) -> str:
    """Name of a product image without tag."""
    recorded = state.get("images", {}).get(kind, {})
    if registry_name or not recorded.get("name"):
        return f"{registry_name or PRODUCT_REGISTRY}/{PRODUCT_REPOSITORIES[kind]}"
    if not recorded.get("digest"):
        raise Failure(
            f"The image {recorded['name']} was loaded or built on this host, so that its registry is unknown", "set `registry_name`", subject=recorded["name"]
        )
    return str(recorded["name"])


def registry_facts(releases: Releases, now: datetime) -> dict[str, Any]:
    """The registry's answers as they are returned."""
    monthly = releases.monthly
    return {
        "newer": [str(version) for version in releases.newer],
        "monthly": {"digest": monthly.digest, "version": str(monthly.version) if monthly.version else None} if monthly else None,
        "installed_created": releases.created.isoformat() if releases.created else None,
        "installed_age_days": (now - releases.created).days if releases.created else None,
    }


def look_at_stack(params: dict[str, Any], state: dict[str, Any]) -> list[Part]:
    """Frontend and backend, in this order. :raises Failure: when the CA file cannot be used."""
    transport = UrllibTransport(params["ca_path"] or state.get("ca_file") or "", params["timeout"])
    ask: dict[str, Callable[[str], Told]] = {
        FRONTEND: lambda url: frontend_version(transport, url),
        BACKEND: lambda url: backend_version(transport, url, params["version_shape"], params["status_shape"]),
    }
    urls = {kind: params[f"{kind}_url"] or state.get("urls", {}).get(kind, "") for kind in ask}
    found = {} if any(urls.values()) else found_containers(ask)
    parts = [look(kind, urls[kind] or found.get(kind, ""), ask[kind], state) for kind in (FRONTEND, BACKEND)]
    return [part._replace(source="container") if part.kind in found and part.source == "url" else part for part in parts]


def main() -> None:
    module = ToucanModule(argument_spec=argument_spec(), supports_check_mode=True)
    params, state = module.params, module.state()
    if not (is_plain(params["version_shape"]) and is_plain(params["status_shape"])):
        module.need_libraries(["jmespath"])
    result: dict[str, Any] = {"changed": False}
    try:
        if params["require"]:
            check_range(params["require"])
        parts = look_at_stack(params, state)
        result.update({part.kind: part.facts() for part in parts}, compatible=compatible(parts), summary=summary(parts))
        check_known(parts)
        if params["registry"]:
            located = locate(params, state)
            installed = min(part.version for part in parts if part.version)
            result["registry"] = registry_facts(look_up_releases(located[FRONTEND], located[BACKEND], installed), datetime.now(timezone.utc))
        if params["require"]:
            check_requirement(parts, params["require"])
    except Failure as failure:
        module.fail_json(msg=str(failure), failure=failure.facts(), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
