# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of the lab's registry that a test can move without touching those that others use."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess

from labrun.hosts import lab_facts

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def point_tag(repository: str, tag: str, source: str, source_tag: str) -> str:
    """Let `repository:tag` be what `source:source_tag` is, by the registry's API. Returns the digest."""
    manifest = _request("GET", f"/v2/{source}/manifests/{source_tag}", headers={"Accept": _MANIFEST}, wanted=200)[1]
    described = json.loads(manifest)
    for blob in (described["config"], *described["layers"]):
        _request("POST", f"/v2/{repository}/blobs/uploads/?mount={blob['digest']}&from={source}", wanted=201)
    headers, dummy = _request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": described["mediaType"]}, wanted=201)
    return headers["Docker-Content-Digest"]


def digest_of(repository: str, tag: str) -> str:
    """Digest of the manifest that `repository:tag` is now."""
    headers, dummy = _request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": _MANIFEST}, wanted=200)
    return headers["Docker-Content-Digest"]


def _request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, *, wanted: int) -> tuple[http.client.HTTPMessage, bytes]:
    lab = lab_facts()
    port = subprocess.run(["docker", "port", lab["lab_registry_container"], "5000/tcp"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[0]
    login = base64.b64encode(f"{lab['lab_registry_username']}:{lab['lab_registry_password']}".encode()).decode()
    connection = http.client.HTTPSConnection(port, timeout=30, context=ssl.create_default_context(cafile=lab["lab_ca_file"]))
    try:
        connection.request(method, path, body, {"Authorization": f"Basic {login}", **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    assert answer.status == wanted, f"{method} {path}: {answer.status} {content[:300]!r}"
    return answer.headers, content
