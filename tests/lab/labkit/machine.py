# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab takes over from the machine it runs on: package mirrors and trusted authorities."""

from __future__ import annotations

import os
import re
from pathlib import Path

DEFAULT_MIRROR = "http://deb.debian.org/debian"
DEFAULT_SECURITY_MIRROR = "http://deb.debian.org/debian-security"
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
DISTRIBUTED_AUTHORITIES = Path("/usr/share/ca-certificates")

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.*?\n-----END CERTIFICATE-----", re.DOTALL)


def mirrors() -> tuple[str, str]:
    """(mirror, security mirror) of Debian: this machine's own on Debian, the public ones anywhere else."""
    release = _os_release()
    if release.get("ID") != "debian":
        return DEFAULT_MIRROR, DEFAULT_SECURITY_MIRROR
    sources = _apt_sources()
    suite = release.get("VERSION_CODENAME", "")
    return (
        next((uri for uri, suites in sources if suite in suites), DEFAULT_MIRROR),
        next((uri for uri, suites in sources if f"{suite}-security" in suites), DEFAULT_SECURITY_MIRROR),
    )


def extra_authorities() -> list[str]:
    """PEM blocks this machine trusts beyond its distribution's list, such as a company's TLS inspection.

    Programs that run inside the images need them to reach package registries.
    """
    bundle = Path(os.environ.get("SSL_CERT_FILE") or SYSTEM_BUNDLE)
    if not bundle.is_file():
        return []
    known = {
        block for path in DISTRIBUTED_AUTHORITIES.rglob("*.crt") for block in _CERTIFICATE.findall(path.read_text())
    }
    return sorted(set(_CERTIFICATE.findall(bundle.read_text())) - known)


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: value.strip('"') for key, dummy, value in pairs}


def _apt_sources() -> list[tuple[str, list[str]]]:
    """(URI, suites) of each source, from one-line and deb822 files."""
    found: list[tuple[str, list[str]]] = []
    folder = Path("/etc/apt/sources.list.d")
    for path in [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        if path.is_file():
            found += re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", path.read_text(), re.MULTILINE)
    found = [(uri, [str(suite)]) for uri, suite in found]
    for path in sorted(folder.glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^(\w[\w-]*):\s*(.+)$", stanza, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                found += [(uri, fields.get("Suites", "").split()) for uri in fields.get("URIs", "").split()]
    return found
