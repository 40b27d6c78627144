# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress: a small file, written seldom and whole, and the line that people see."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.progress import Progress, human_size, human_time, progress_line, read_progress
from hypothesis import given
from hypothesis import strategies as st


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


def test_the_file_holds_what_is_done_and_how_long_the_rest_takes(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "progress.json"
    progress = Progress(str(path), clock)
    progress.begin("sales", 1000)
    clock.now += 2
    progress.advance(400, "3 of 12 collections")
    state = json.loads(path.read_text())
    assert {key: state[key] for key in ("what", "detail", "done", "total", "rate", "left_seconds")} == {
        "what": "sales",
        "detail": "3 of 12 collections",
        "done": 400,
        "total": 1000,
        "rate": 200,
        "left_seconds": 3.0,
    }
    assert state["time"] > 1.7e9
    assert read_progress(str(path)) == state
    assert list(tmp_path.iterdir()) == [path]


def test_at_most_two_writes_a_second(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "progress.json"
    progress = Progress(str(path), clock)
    progress.begin("sales", 10_000)
    seen = set()
    for dummy in range(1000):
        clock.now += 0.01
        progress.advance(10)
        seen.add(json.loads(path.read_text())["done"])
    assert 18 <= len(seen) <= 21
    progress.finish()
    assert json.loads(path.read_text())["done"] == 10_000


def test_a_new_piece_begins_at_nothing(tmp_path: Path, clock: Clock) -> None:
    progress = Progress(str(tmp_path / "p"), clock)
    progress.begin("sales", 10)
    progress.advance(10, "files")
    progress.begin("marketing")
    state = json.loads((tmp_path / "p").read_text())
    assert (state["what"], state["detail"], state["done"], state["total"], state["rate"], state["left_seconds"]) == ("marketing", "", 0, None, None, None)


def test_threads_count_together(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "p"))
    progress.begin("sales", 40_000)

    def work() -> None:
        for dummy in range(10_000):
            progress.advance(1)

    threads = [threading.Thread(target=work) for dummy in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.state()["done"] == 40_000


def test_work_goes_on_where_no_file_can_be_written(tmp_path: Path) -> None:
    progress = Progress(str(tmp_path / "missing" / "p"))
    progress.begin("sales", 2)
    progress.advance(2)
    progress.finish()
    assert progress.state()["done"] == 2
    assert Progress().state()["rate"] is None


@pytest.mark.parametrize(
    "state, line",
    [
        (
            {"what": "sales", "detail": "3 of 12 collections", "done": 120e6, "total": 1.1e9, "rate": 85e6, "left_seconds": 11.6},
            "sales: 3 of 12 collections, 120 MB of 1.1 GB, 85 MB/s, 12 s left",
        ),
        ({"what": "sales", "detail": "", "done": 0, "total": 5, "rate": None, "left_seconds": None}, "sales: 0 B of 5 B"),
        ({"what": "storage", "detail": "files", "done": 2000, "total": None, "rate": 5}, "storage: files, 2.0 kB, 5 B/s"),
        ({"what": "sales", "done": 30, "total": 20}, "sales: 30 B of 30 B"),
        ({"what": "two\nlines", "detail": "a\tb"}, "two lines: a b"),
        ({}, "work:"),
        ({"what": None, "done": "x", "total": -1, "rate": float("nan"), "left_seconds": True}, "work:"),
    ],
)
def test_the_line(state: dict[str, Any], line: str) -> None:
    assert progress_line(state) == line


@pytest.mark.parametrize(
    "size, text",
    [(0, "0 B"), (999, "999 B"), (999.7, "1.0 kB"), (1000, "1.0 kB"), (9_960, "10 kB"), (999_600, "1.0 MB"), (1.14e9, "1.1 GB"), (5e18, "5000 PB")],
)
def test_sizes_for_people(size: float, text: str) -> None:
    assert human_size(size) == text


@pytest.mark.parametrize("seconds, text", [(0, "0 s"), (-1, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_times_for_people(seconds: float, text: str) -> None:
    assert human_time(seconds) == text


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=2), max_leaves=3)


@given(st.dictionaries(st.sampled_from(["what", "detail", "done", "total", "rate", "left_seconds", "time", "new"]), JSON))
def test_whatever_the_file_holds_makes_one_line(state: dict[str, Any]) -> None:
    assert len(progress_line(state).splitlines()) <= 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_file_that_is_none_is_no_progress(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    assert read_progress(str(tmp_path / "p")) is None
    assert read_progress(str(tmp_path / "missing")) is None
