# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the collection's tests: all stages, or those named on the command line.

Every stage runs to its end whatever became of the others. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time

from toolchain import collection
from toolchain.environments import ToolchainError, set_up_main
from toolchain.places import LOGS, ROOT
from toolchain.report import Count, tail
from toolchain.stages import Stage, all_stages

ERRANDS = ("setup", "build")


def parse_arguments(stages: list[Stage]) -> argparse.Namespace:
    """Read the command line; a stage may be named by itself or by its group."""
    names = sorted({stage.name for stage in stages} | {stage.group for stage in stages} | set(ERRANDS))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"one of {', '.join(names)}; all tests when none is named")
    parser.add_argument("--keep-lab", action="store_true", help="leave the lab running after the integration tests")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.stages) - set(names))
    if unknown:
        parser.error(f"no stage is called {', '.join(unknown)}; there are {', '.join(names)}")
    return arguments


def run_stage(stage: Stage) -> Count:
    """Run one stage, tell its result in one line, and the end of its log where it failed."""
    missing = stage.environment.missing()
    if missing:
        print(f"{stage.name:<18} skipped: {missing}", flush=True)
        return Count(skipped=[f"{stage.name}: {missing}"])
    stage.log.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        count = stage.run(stage.log)
    except (ToolchainError, OSError, subprocess.SubprocessError) as error:
        print(f"{stage.name}: {error}", flush=True)
        count = Count(failed=1)
    seconds = time.monotonic() - started
    skipped = f", {len(count.skipped)} skipped" if count.skipped else ""
    note = f" ({count.note})" if count.note else ""
    print(f"{stage.name:<18} {count.passed} passed, {count.failed} failed{skipped} in {seconds:.0f} s{note}", flush=True)
    if count.failed:
        print(f"{tail(stage.log)}\n    (all of it: {stage.log.relative_to(ROOT)})", flush=True)
    count.skipped = [f"{stage.name}: {reason}" for reason in count.skipped]
    return count


def run_errands(names: list[str]) -> None:
    """Do what was asked for beside tests."""
    if "setup" in names:
        set_up_main()
    if "build" in names:
        print(collection.build(set_up_main(), LOGS / "build.log").relative_to(ROOT))


def summarise(total: Count) -> str:
    """Return the closing lines: what was skipped, then the counts as the last line."""
    lines = [f"skipped: {reason}" for reason in total.skipped]
    if total.skipped:
        lines.append(f"{len(total.skipped)} skipped")
    return "\n".join([*lines, f"{total.passed} passed, {total.failed} failed"])


def main() -> int:
    """Run what the command line names; return 0 if and only if nothing failed."""
    stages = all_stages(keep_lab="--keep-lab" in sys.argv)
    asked = parse_arguments(stages).stages
    # A terminated run ends like an interrupted one: what it started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *dummy: sys.exit(143))
    if set(asked) & set(ERRANDS):
        try:
            run_errands(asked)
        except ToolchainError as error:
            print(error, file=sys.stderr)
            return 1
        asked = [name for name in asked if name not in ERRANDS]
        if not asked:
            return 0
    if shutil.which("git") is None:
        print("The tests read the list of the collection's files from Git, which is not installed; install git.", file=sys.stderr)
        return 1
    LOGS.mkdir(parents=True, exist_ok=True)
    total = Count()
    for stage in stages:
        if not asked or stage.name in asked or stage.group in asked:
            total.add(run_stage(stage))
    summary = summarise(total)
    (LOGS / "summary.txt").write_text(summary + "\n", encoding="utf-8")
    print(summary, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
