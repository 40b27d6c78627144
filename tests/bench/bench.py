# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what the project aims at, as ratios in one run: interleaved, the median of several, no assertion of a time.

Prints a table and writes `.cache/bench/bench.json`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labrun.hosts import LAB, Host, lab_command
from toolchain.places import CACHE, ROOT

HOST = "host1"
SITE_RUNS = 3
AD_HOC_RUNS = 9
#: The two requests of toucan_version alone, on the same host, by the same code below Ansible: seconds.
REQUESTS = """
/usr/bin/python3 - <<'PY'
import json, time, urllib.request
urls = json.load(open("/etc/toucan/stack.json"))["urls"]
started = time.monotonic()
for url in (urls["frontend"] + "/tucana-version.txt", urls["backend"] + "/"):
    urllib.request.urlopen(url, timeout=10).read()
print(time.monotonic() - started)
PY
"""


def seconds(work: Callable[[], object]) -> float:
    """How long a piece of work takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def ad_hoc(module: str, *arguments: str) -> None:
    """One ad hoc call of a module on the host, over the connection that is kept open."""
    program = Path(sys.executable).with_name("ansible")
    done = subprocess.run([program, "-i", LAB / "inventory.yml", HOST, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def bench_site(host: Host) -> dict[str, float]:
    """Second runs of `site.yml`: wall time and number of tasks."""
    times, tasks = [], 0
    for dummy in range(SITE_RUNS):
        started = time.monotonic()
        recap = host.site().unchanged().recap
        times.append(time.monotonic() - started)
        tasks = recap["ok"] + recap["skipped"]
    return {"seconds": statistics.median(times), "tasks": tasks}


def bench_version(host: Host) -> dict[str, float]:
    """`toucan_version` beside `stat`, turn by turn; its two requests are measured apart and taken off."""
    ours, theirs, requests = [], [], []
    ad_hoc("ansible.builtin.stat", "-a", "path=/etc/toucan")
    for dummy in range(AD_HOC_RUNS):
        theirs.append(seconds(lambda: ad_hoc("ansible.builtin.stat", "-a", "path=/etc/toucan")))
        ours.append(seconds(lambda: ad_hoc("toucan.selfhosted.toucan_version")))
        requests.append(float(host.shell(REQUESTS)))
    stat, version, network = (statistics.median(times) for times in (theirs, ours, requests))
    return {
        "stat_seconds": stat,
        "version_seconds": version,
        "request_seconds": network,
        "ratio": version / stat,
        "ratio_without_requests": (version - network) / stat,
    }


def bench_demo() -> dict[str, float]:
    """`make demo` with the environment and the lab's images already made: from a bare host to a second run. The host is made anew.

    The cold one, from a fresh machine, is measured by hand: it would have to take away what everything else here stands on.
    """
    started = time.monotonic()
    done = subprocess.run([sys.executable, ROOT / "tests" / "lab" / "demo.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return {"seconds": time.monotonic() - started}


def main() -> None:
    """Measure all, tell it, and keep it."""
    lab_command("up", "--hosts", "1")
    host = Host(HOST)
    host.site().succeeded()
    site, version, demo = bench_site(host), bench_version(host), bench_demo()
    rows = [
        ("second site.yml, one host over ssh", f"{site['seconds']:.1f} s, {site['tasks']} tasks", "30 s, 60 tasks"),
        ("toucan_version / stat", f"{version['ratio']:.2f}", ""),
        ("the same without its requests' time", f"{version['ratio_without_requests']:.2f}", "1.3"),
        ("make demo, warm (cold: by hand)", f"{demo['seconds']:.0f} s", "240 s"),
    ]
    for name, measured, aim in (("what", "measured", "aim"), *rows):
        print(f"{name:<40} {measured:<22} {aim}")
    folder = CACHE / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps({"site": site, "version": version, "demo": demo}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
