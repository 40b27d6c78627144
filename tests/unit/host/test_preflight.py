# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is judged before anything is changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.preflight import (
    FileSystem,
    check_clock,
    check_disk,
    check_memory,
    check_python,
    check_systemd,
    check_variables,
    failure_of,
    file_systems,
    nearest_existing,
    total_memory_mb,
)
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024**3
TIMES = st.floats(min_value=0, max_value=4e9)


@pytest.mark.parametrize(
    ("used", "advice"),
    [
        ("toucan_relaese", "write `toucan_release`"),
        ("toucan_host_minimum_disk_bg", "write `toucan_host_minimum_disk_gb`"),
        ("toucan_something_else", "remove it"),
    ],
)
def test_an_unknown_variable_is_told_with_the_nearest_option(used: str, advice: str) -> None:
    check = check_variables([used], ["toucan_release", "toucan_host_minimum_disk_gb"], [])
    assert not check.ok
    assert f"`{used}` is no option of this collection; {advice}, or list it in `toucan_host_allowed_variables`" in check.message


def test_every_unknown_variable_is_told() -> None:
    message = check_variables(["toucan_zzz", "toucan_yyy", "toucan_a"], ["toucan_a"], []).message
    assert "`toucan_yyy`" in message
    assert "`toucan_zzz`" in message
    assert "`toucan_a` is" not in message


@pytest.mark.parametrize("used", ["toucan_known", "toucan_mine", "other", "__toucan_internal", "my_toucan_x"])
def test_known_allowed_and_foreign_variables_pass(used: str) -> None:
    assert check_variables([used], ["toucan_known"], ["toucan_mine"]).ok


@given(before=TIMES, duration=st.floats(min_value=0, max_value=600), share=st.floats(min_value=0, max_value=1))
def test_a_slow_connection_is_no_skew(before: float, duration: float, share: float) -> None:
    after = before + duration
    assert check_clock(before, min(before + share * duration, after), after, 0).ok


@pytest.mark.parametrize(("host", "ok"), [(69.0, False), (70.0, True), (100.0, True), (140.0, True), (141.0, False)])
def test_the_clock_may_differ_by_the_limit_either_way(host: float, ok: bool) -> None:
    check = check_clock(100, host, 110, 30)
    assert check.ok is ok
    assert ok or "31 s, more than 30 s" in check.message


def test_little_disk_is_told_with_the_places() -> None:
    system = FileSystem("/var", ("/var/lib/toucan", "/var/backups/toucan"), 5 * GIB)
    assert check_disk(system, 5).ok
    check = check_disk(system, 1000000)
    assert not check.ok
    assert "Only 5.0 GiB are free on /var for /var/lib/toucan, /var/backups/toucan, less than 1000000" in check.message


@pytest.mark.parametrize(
    ("check", "word"),
    [
        (check_memory(1000, 1001), "`toucan_host_minimum_memory_mb`"),
        (check_python((3, 8), "/usr/bin/python3"), "`toucan_host_python`"),
        (check_systemd(False), "`toucan_host_systemd_required`"),
    ],
)
def test_what_is_lacking_is_told_with_the_option(check, word: str) -> None:  # type: ignore[no-untyped-def]
    assert not check.ok
    assert word in check.message


@pytest.mark.parametrize("check", [check_memory(1000, 1000), check_python((3, 9), "python3"), check_systemd(True)])
def test_what_suffices_passes(check) -> None:  # type: ignore[no-untyped-def]
    assert check.ok


def test_all_problems_stand_in_one_failure() -> None:
    failure = failure_of("host1", [check_memory(1, 2), check_systemd(True), check_systemd(False)])
    assert str(failure).startswith("Preflight of host1 found 2 problems; (1) Only 1 MiB")
    assert "(2) systemd does not run this host" in str(failure)
    assert ".." not in str(failure)


def test_a_path_that_is_not_there_counts_where_its_parent_is(tmp_path: Path) -> None:
    assert nearest_existing(str(tmp_path / "a" / "b")) == str(tmp_path)
    systems = file_systems([str(tmp_path / "a" / "b"), str(tmp_path)])
    assert [system.paths for system in systems] == [(str(tmp_path / "a" / "b"), str(tmp_path))]
    assert os.path.ismount(systems[0].mount)
    assert systems[0].free > 0


def test_two_file_systems_are_told_apart() -> None:
    assert os.stat("/proc").st_dev != os.stat("/").st_dev
    assert [system.mount for system in file_systems(["/proc/x", "/"])] == ["/proc", "/"]


def test_memory_is_read_in_mib() -> None:
    assert total_memory_mb("MemFree: 1 kB\nMemTotal:       2097152 kB\n") == 2048
    with pytest.raises(Failure, match="does not say how much memory"):
        total_memory_mb("MemFree: 1 kB\n")
