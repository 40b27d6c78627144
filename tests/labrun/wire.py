# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire server: canned documents and a sink by MongoDB's protocol, as a process of this machine (source: `tests/bench/wire`)."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.places import CACHE, ROOT

_END_SECONDS = 30


@functools.cache
def wire_program() -> Path:
    """The program, built in the lab's image of Go where its source has changed."""
    lab: list[str | Path] = [sys.executable, ROOT / "tests" / "lab" / "lab.py", "images", "--layer", "wire"]
    image = _output(*lab).split("\t")[-1].strip()
    program = CACHE / "bench" / f"wire-{image.rpartition(':')[2]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        fresh = program.with_name(f"{program.name}.{os.getpid()}")
        container = _output("docker", "create", image).strip()
        try:
            _output("docker", "cp", f"{container}:/wire", fresh)
        finally:
            _output("docker", "rm", container)
        fresh.replace(program)
    return program


@dataclass
class WireServer:
    """One that runs.

    :param address: HOST:PORT.
    :param database: holds what is canned; whatever is written to others goes into the sink.
    :param collections: what each canned collection is like: `documents`, `bytes`, `sizes`, `types`, `gzip_ratio`.
    :param sunk: by namespace `count`, `bytes` and `digest` of what was written, once it has ended.
    """

    process: subprocess.Popen[str]
    address: str
    database: str
    collections: list[dict[str, Any]]
    sunk: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """How much is canned."""
        return sum(one["bytes"] for one in self.collections)

    def cpu_seconds(self) -> float:
        """What it has taken of the processors so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def wire_server(size: str = "20M", largest: str = "4M") -> Iterator[WireServer]:
    """Start one on a free port of this machine for as long as the block runs.

    :param size: how much to serve, as the program takes it (`2G`).
    :param largest: the longest documents.
    """
    command: list[str | Path] = [wire_program(), "-listen", "127.0.0.1:0", "-bytes", size, "-largest", largest]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            server = WireServer(process, told["listening"], told["database"], told["collections"])
            yield server
            process.terminate()
            rest, dummy = process.communicate(timeout=_END_SECONDS)
            server.sunk = json.loads(rest)["sunk"]
        finally:
            process.kill()


def _output(*command: str | Path) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
