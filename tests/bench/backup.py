# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure backup and restore on the wire server, beside plain pymongo and MongoDB's tools: ratios in one run, turn by turn, the median of several.

    backup.py                              as `make bench` does: 2 GB, three rounds, and the memory at 10 GB
    backup.py --bytes 50M --large 0 --rounds 1     tried in a minute

Processor time and memory are the client's alone. Prints tables and keeps all figures in `.cache/bench/backup.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labrun.wire import WireServer, wire_server
from toolchain.places import CACHE

#: In the order of their turns; the first is what the others are compared with.
NAMES = ("pymongo", "ours", "mongo-tools")
#: Whose memory must be the same for any amount of data.
CONSTANT = ("ours",)
PROGRAM = Path(__file__).with_name("contestants.py")


@dataclass(frozen=True)
class Run:
    """What one run took. Seconds; bytes; the server's processor time stands beside the client's, which does not contain it."""

    wall: float
    cpu: float
    server_cpu: float
    peak: int
    size: int = 0


class Bench:
    """The runs of all contestants against one server.

    :param library: a folder for the import path, in which the collection stands.
    :param wanted: the contestants; those that lack something here are left out.
    """

    def __init__(self, server: WireServer, folder: Path, library: Path, workers: int, wanted: Sequence[str]) -> None:
        self._server, self._folder, self._workers = server, folder, workers
        self._environment = {**os.environ, "PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}
        self.left_out = {name: reason for name in wanted if (reason := self._missing(name))}
        self.names = [name for name in wanted if name not in self.left_out]

    def backups(self, rounds: int) -> dict[str, list[Run]]:
        """Let each back up in turn; each one's last archive stays. The first round's archives are read again by other code."""
        runs: dict[str, list[Run]] = {name: [] for name in self.names}
        for number in range(rounds):
            for name in self.names:
                folder = self._folder / name
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                runs[name].append(self._backup(name))
                if number == 0:
                    self._check(name, "")
        return runs

    def restores(self, rounds: int) -> dict[str, list[Run]]:
        """Let each restore its own archive in turn, into the sink, whose digests must be those of what was served."""
        runs: dict[str, list[Run]] = {name: [] for name in self.names}
        for number in range(rounds):
            for name in self.names:
                target = f"{name}_{number}"
                runs[name].append(self._measure("restore", name, target))
                self._check(name, target)
        return runs

    def _backup(self, name: str) -> Run:
        run = self._measure("backup", name, "")
        (archive,) = (self._folder / name).glob("mongodump.tar*")
        return Run(run.wall, run.cpu, run.server_cpu, run.peak, archive.stat().st_size)

    def _measure(self, what: str, name: str, target: str) -> Run:
        before, started = self._server.cpu_seconds(), time.monotonic()
        # A program begins with the memory of the one that starts it as its peak: so nothing large is imported here.
        process = subprocess.Popen(self._command(what, name, target), stdin=subprocess.DEVNULL, stdout=sys.stderr, env=self._environment)
        dummy, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        assert process.returncode == 0, f"{what} by {name} ended with {process.returncode}"
        return Run(wall, usage.ru_utime + usage.ru_stime, self._server.cpu_seconds() - before, usage.ru_maxrss * 1024)

    def _check(self, name: str, target: str) -> None:
        done = subprocess.run(self._command("check", name, target), env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _missing(self, name: str) -> str:
        done = subprocess.run(self._command("missing", name, ""), env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _command(self, what: str, name: str, target: str) -> list[str | Path]:
        job = {
            "address": self._server.address,
            "source": self._server.database,
            "target": target,
            "folder": str(self._folder / name),
            "workers": self._workers,
        }
        return [sys.executable, PROGRAM, what, name, json.dumps(job)]


def summary(runs: dict[str, list[Run]], served: int) -> dict[str, dict[str, float]]:
    """The medians of each contestant, and how many times better each is than the first."""
    found: dict[str, dict[str, float]] = {}
    first = next(iter(runs), "")
    for name, all_runs in runs.items():
        middle = {part: statistics.median(getattr(run, part) for run in all_runs) for part in ("wall", "cpu", "server_cpu", "peak", "size")}
        found[name] = {
            "wall_seconds": middle["wall"],
            "cpu_seconds_per_gb": middle["cpu"] / served * 1e9,
            "server_cpu_seconds_per_gb": middle["server_cpu"] / served * 1e9,
            "peak_bytes": max(run.peak for run in all_runs),
            "archive_bytes": middle["size"],
        }
        reference = found[first]
        found[name]["times_faster"] = reference["wall_seconds"] / middle["wall"]
        found[name]["times_less_cpu"] = reference["cpu_seconds_per_gb"] / found[name]["cpu_seconds_per_gb"]
        found[name]["archive_ratio"] = middle["size"] / reference["archive_bytes"] if middle["size"] else 0.0
    return found


def table(rows: Iterable[Sequence[str]]) -> str:
    """Text in columns, the first to the left and the others to the right."""
    lines = [list(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip() for row in lines)


def described(collections: Sequence[dict[str, Any]]) -> str:
    """What is served, as a table."""
    rows: list[Sequence[str]] = [("collection", "documents", "MB", "median B", "99 % B", "longest B", "gzip", "types of _id")]
    for one in collections:
        sizes = [str(one["sizes"].get(part, "")) for part in ("p50", "p99", "most")]
        rows.append((one["name"], str(one["documents"]), f"{one['bytes'] / 1e6:.1f}", *sizes, f"{one['gzip_ratio']:.2f}", " ".join(one["id_types"])))
    return table(rows)


def result_table(what: str, found: dict[str, dict[str, float]]) -> str:
    """Results as a table."""
    rows: list[Sequence[str]] = [(what, "CPU s/GB", "wall s", "MB", "peak MB", "server CPU s/GB", "times faster", "times less CPU", "archive")]
    for name, one in found.items():
        figures = (one["cpu_seconds_per_gb"], one["wall_seconds"], one["archive_bytes"] / 1e6, one["peak_bytes"] / 1e6, one["server_cpu_seconds_per_gb"])
        ratios = (one["times_faster"], one["times_less_cpu"], one["archive_ratio"])
        rows.append((name, *(f"{figure:.2f}" for figure in (*figures, *ratios))))
    return table(rows)


def measure(size: str, rounds: int, wanted: Sequence[str], arguments: argparse.Namespace) -> dict[str, Any]:
    """Backups and restores of one amount of data, told as they are done."""
    parent = CACHE / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="backup-") as folder, wire_server(size, arguments.largest) as server:
        bench = Bench(server, Path(folder), arguments.library, arguments.workers, wanted)
        print(f"\n{server.bytes / 1e9:.2f} GB, {rounds} rounds, {arguments.workers} workers\n{described(server.collections)}\n", flush=True)
        packing = "isal" if PathFinder.find_spec("isal", [str(arguments.library), *sys.path]) else "the standard library, as isal is not installed"
        print(f"ours packs by {packing}")
        for name, reason in bench.left_out.items():
            print(f"without {name}: {reason}")
        results: dict[str, Any] = {"bytes": server.bytes, "rounds": rounds, "workers": arguments.workers, "left_out": bench.left_out}
        results |= {"packing": packing, "served": server.collections}
        for what, work in (("backup", bench.backups), ("restore", bench.restores)):
            runs = work(rounds)
            results[what] = {"median": summary(runs, server.bytes), "runs": {name: [asdict(run) for run in all_runs] for name, all_runs in runs.items()}}
            print(f"{result_table(what, results[what]['median'])}\n", flush=True)
    return results


def main() -> None:
    """Measure, tell it, and keep it."""
    parser = argparse.ArgumentParser(description="Measure backup and restore on the wire server.")
    parser.add_argument("--bytes", default="2G", help="how much data (default: %(default)s)")
    parser.add_argument("--large", default="10G", help="how much to see the memory of ours at, in one round; 0: not at all (default: %(default)s)")
    parser.add_argument("--largest", default="4M", help="the longest documents (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: %(default)s)")
    parser.add_argument("--only", action="append", choices=NAMES, help="this contestant, and others that are named so (default: all)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2, help="threads of ours (default: %(default)s)")
    parser.add_argument("--library", type=Path, default=CACHE, help="where the collection is imported from (default: this checkout)")
    parser.add_argument("--json", type=Path, default=CACHE / "bench" / "backup.json", help="where all figures go (default: %(default)s)")
    arguments = parser.parse_args()
    wanted = [name for name in NAMES if name in (arguments.only or NAMES)]
    results = {"usual": measure(arguments.bytes, arguments.rounds, wanted, arguments)}
    if arguments.large != "0":
        results["large"] = measure(arguments.large, 1, CONSTANT, arguments)
    arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
