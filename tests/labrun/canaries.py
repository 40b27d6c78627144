# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are told apart wherever they show up, and the places to look for them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .hosts import Host, Run, fresh_host, site_variables

#: What a canary has beside its name, each spelt in another way by JSON, YAML, URLs, shells and compose.
AWKWARD = " \"quo'ted\\é%40:/$HOME${x}#"
_SAMPLES = "/run/canary-samples"
#: Writes each command line that any process of the host has, once, until it is stopped.
_SAMPLER = f"""
import os, time
seen = set()
with open("{_SAMPLES}", "wb", buffering=0) as out:
    while True:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{{pid}}/cmdline", "rb") as stream:
                    line = stream.read()
            except OSError:
                continue
            if line not in seen:
                seen.add(line)
                out.write(line.replace(b"\\0", b" ") + b"\\n")
        time.sleep(0.02)
"""
#: Prints the files of a host that hold one of the lines on its input, but for what Docker's images and the database hold.
_SEARCH = (
    "grep --recursive --files-with-matches --text --fixed-strings --file=- --devices=skip"
    " --exclude-dir=overlay2 --exclude-dir=containerd --exclude-dir=journal /etc /opt /root /run /srv /tmp /var 2>/dev/null | sort"
)


def canary(name: str) -> str:
    """A secret of that name, with characters that each notation escapes in its own way."""
    return marker(name) + AWKWARD


def marker(name: str) -> str:
    """The part of a canary that stays the same however a notation escapes it."""
    return f"Canary0{name.replace('_', '')}0yranaC"


def spellings(text: str) -> set[str]:
    """A marker in the open, and within whatever was encoded by base64 around it."""
    found = {text}
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + text.encode()).decode()
        # The characters at both ends depend on what stands before and behind.
        found.add(encoded[(0, 2, 3)[offset] :].rstrip("=")[:-1])
    return found


def shown(text: str, markers: Iterable[str]) -> list[str]:
    """The markers that a text shows in any spelling."""
    return sorted(item for item in markers if any(spelling in text for spelling in spellings(item)))


@dataclass(frozen=True)
class Secretive:
    """A host whose secrets are canaries.

    :param variables: of its inventory.
    :param markers: of the canaries by what they are.
    :param first: the run that deployed it, as verbose as can be.
    """

    host: Host
    variables: Mapping[str, Any]
    markers: Mapping[str, str]
    first: Run


def deploy_canaries(name: str) -> Secretive:
    """A fresh host with the product, and a canary in every secret that an inventory can give."""
    lab = site_variables()
    stack = ("encryption_secret", "jwt_secret", "admin_password", "mongodb_password", "redis_password")
    variables = {
        **lab,
        # The names of the product belong to another host of the lab.
        "toucan_proxy_require_dns": False,
        "toucan_secrets": {secret: canary(secret) for secret in stack},
        "toucan_stack_secret_env": {"TOUCAN_SECRETS": {"inner": canary("secretenvinner")}, "AIRCALL2_CLIENT_SECRET": canary("secretenv")},
        "toucan_stack_mail": {"host": "mail.lab.test", "login": "toucan", "password": canary("mail")},
    }
    # The two that cannot be chosen freely: a line inside the key, and the robot's password.
    key = lab["toucan_proxy_key"].splitlines()
    markers = {
        **{what: marker(what) for what in (*stack, "secretenv", "secretenvinner", "mail")},
        "proxy key": key[len(key) // 2],
        "registry": lab["toucan_registry"]["password"],
    }
    host = fresh_host(name)
    with sampled(host):
        first = host.site("-vvvv", "--diff", **variables)
    return Secretive(host, variables, markers, first.succeeded())


@contextmanager
def sampled(host: Host) -> Iterator[None]:
    """Note every command line on the host while the block runs; `command_lines` has them afterwards."""
    host.shell(f"cat > {_SAMPLES}.py && systemd-run --quiet --unit canary-sampler python3 {_SAMPLES}.py", _SAMPLER.encode())
    host.shell(f"until test -e {_SAMPLES}; do sleep 0.1; done")
    try:
        yield
    finally:
        host.shell(f"systemctl stop canary-sampler; cat {_SAMPLES} >> {_SAMPLES}.all; rm {_SAMPLES} {_SAMPLES}.py")


def command_lines(host: Host) -> str:
    """The command lines of all processes that ran while the host was sampled."""
    return host.shell(f"cat {_SAMPLES}.all")


def files_with(host: Host, markers: Iterable[str]) -> list[str]:
    """Files of the host that hold a marker in any spelling."""
    patterns = "\n".join(spelling for item in markers for spelling in sorted(spellings(item)))
    return host.shell(f"{_SEARCH} || true", f"{patterns}\n".encode()).splitlines()
