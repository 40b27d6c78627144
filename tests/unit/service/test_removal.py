# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a removal may take, on real folders: its own files, and data that nothing else needs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import Neighbour
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.service import removal
from ansible_collections.toucan.selfhosted.plugins.module_utils.service.removal import Mount, Surroundings

AROUND = Surroundings(mounts=(Mount("/", "ext4"),), neighbours=(), protected=frozenset({"/home", "/var/backups/toucan", "/srv"}))


def data_in(folder: Path) -> str:
    """A folder with files in it, one of them in a folder of its own."""
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("x", encoding="utf-8")
    (folder / "file").write_text("x", encoding="utf-8")
    return str(folder)


def test_a_folder_of_data_may_go(tmp_path: Path) -> None:
    assert removal.folder_fault(data_in(tmp_path / "data"), AROUND) == ""


@pytest.mark.parametrize("folder", ["/", "/home", "/srv", "/var", "/var/backups", "/var/backups/toucan", "/data"])
def test_a_folder_that_holds_more_than_the_stack_may_not_go(folder: str) -> None:
    assert removal.folder_fault(folder, AROUND).endswith("is no folder of this stack alone")


def test_folders_of_the_system_and_of_users_are_protected() -> None:
    around = replace(AROUND, protected=removal.protected_folders(["/opt/toucan/venv", ""]))
    for folder in ("/etc", "/usr", "/var/lib", "/root", "/home", "/opt/toucan"):
        assert removal.folder_fault(folder, around), folder
    assert removal.folder_fault("/opt/other", around) == ""


def changed(tmp_path: Path, **changes: Any) -> str:
    return removal.folder_fault(data_in(tmp_path / "data"), replace(AROUND, **changes))


def test_a_mount_point_below_keeps_a_folder(tmp_path: Path) -> None:
    disk = f"{tmp_path}/data/disk"
    assert changed(tmp_path, mounts=(*AROUND.mounts, Mount(disk, "ext4"))) == f"another file system is mounted below it, on {disk}"


def test_a_folder_that_is_itself_a_mount_point_may_go(tmp_path: Path) -> None:
    assert changed(tmp_path, mounts=(*AROUND.mounts, Mount(f"{tmp_path}/data", "ext4"))) == ""


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs", "ceph"])
def test_a_folder_of_a_shared_file_system_stays(tmp_path: Path, kind: str) -> None:
    assert changed(tmp_path, mounts=(*AROUND.mounts, Mount(str(tmp_path), kind))) == "other hosts may use the same folder"


def test_a_folder_that_is_said_to_be_shared_stays(tmp_path: Path) -> None:
    assert changed(tmp_path, shared=True) == "other hosts may use the same folder"


def test_a_place_that_stays_keeps_the_folder_around_it(tmp_path: Path) -> None:
    assert changed(tmp_path, others=frozenset({f"{tmp_path}/data/deep"})) == f"{tmp_path}/data/deep, which stays, stands in it"


@pytest.mark.parametrize("part", ["data", "data/deep", ""])
def test_a_folder_that_another_container_uses_stays(tmp_path: Path, part: str) -> None:
    source = os.path.normpath(tmp_path / part)
    assert changed(tmp_path, neighbours=(Neighbour("grafana", (source,), ()),)) == "container grafana, which is not of this stack, uses it"


def test_a_folder_beside_that_another_container_uses_does_not_matter(tmp_path: Path) -> None:
    assert changed(tmp_path, neighbours=(Neighbour("grafana", (f"{tmp_path}/data2", "volume"), ()),)) == ""


def test_a_volume_that_another_container_uses_stays() -> None:
    assert removal.users_fault("toucan_data", [Neighbour("grafana", ("toucan_data",), ())]) == "container grafana, which is not of this stack, uses it"
    assert removal.users_fault("toucan_data", [Neighbour("grafana", ("toucan_data_2",), ())]) == ""


def test_a_folder_behind_a_symbolic_link_stays(tmp_path: Path) -> None:
    data_in(tmp_path / "data")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert removal.folder_fault(str(tmp_path / "link"), AROUND) == f"it, or a folder above it, is a symbolic link to {tmp_path}/data"
    assert "symbolic link" in removal.folder_fault(str(tmp_path / "link" / "deep"), AROUND)


def test_a_folder_with_a_backup_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "data" / "deep" / "on-premise_backup-a1b2c3d4").mkdir(parents=True)
    assert removal.folder_fault(str(tmp_path / "data"), AROUND) == f"the backup {tmp_path}/data/deep/on-premise_backup-a1b2c3d4 stands in it"


def test_mounts_are_read_as_the_kernel_lists_them(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n36 22 0:32 / /srv/my\\040files rw - nfs4 server:/files rw,vers=4.2\n", encoding="utf-8"
    )
    assert removal.mounts(str(table)) == (Mount("/", "ext4"), Mount("/srv/my files", "nfs4"))
    assert Mount("/proc", "proc") in removal.mounts()


# -- configuration --------------------------------------------------------------------------------------------------------


def test_only_files_of_the_collection_go(tmp_path: Path) -> None:
    data_in(tmp_path / "stack" / "storage")
    for name in ("compose.yaml", "notes.txt", "redis/redis.conf", "ca/ca.pem", "storage2/x"):
        path = tmp_path / "stack" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x", encoding="utf-8")
    folder = str(tmp_path / "stack")
    definitions = [{"volumes": [f"{folder}/ca:/ca:ro", f"{folder}/storage:/app", "/etc:/x"]}]
    found = removal.configuration(folder, ["compose.yaml", "redis/redis.conf", "missing"], definitions, [f"{folder}/storage"])
    assert found.files == (f"{folder}/ca/ca.pem", f"{folder}/compose.yaml", f"{folder}/redis/redis.conf")
    assert found.others == (f"{folder}/notes.txt", f"{folder}/storage2/x")
    removal.remove_configuration(found)
    assert sorted(os.listdir(folder)) == ["notes.txt", "storage", "storage2"]
    assert (tmp_path / "stack" / "storage" / "deep" / "file").exists()


def test_the_folder_goes_with_its_last_file_and_not_what_a_link_points_to(tmp_path: Path) -> None:
    kept = data_in(tmp_path / "elsewhere")
    (tmp_path / "proxy" / "config").mkdir(parents=True)
    (tmp_path / "proxy" / "config" / "Caddyfile").write_text("x", encoding="utf-8")
    (tmp_path / "proxy" / "config" / "link").symlink_to(kept)
    removal.remove_configuration(removal.configuration(str(tmp_path / "proxy"), ["config"], [], []))
    assert not (tmp_path / "proxy").exists()
    assert (tmp_path / "elsewhere" / "deep" / "file").exists()


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert removal.configuration(str(tmp_path / "none"), ["compose.yaml"], [], []).files == ()


# -- data -----------------------------------------------------------------------------------------------------------------


def test_a_folder_goes_with_all_in_it(tmp_path: Path) -> None:
    kept = data_in(tmp_path / "elsewhere")
    data_in(tmp_path / "data")
    (tmp_path / "data" / "link").symlink_to(kept)
    removal.remove_folder(str(tmp_path / "data"))
    assert sorted(os.listdir(tmp_path)) == ["elsewhere"]
    assert (tmp_path / "elsewhere" / "deep" / "file").exists()


def test_a_mount_point_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, folder = data_in(tmp_path / "elsewhere"), data_in(tmp_path / "data")
    (tmp_path / "data" / "link").symlink_to(kept)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == folder)
    removal.remove_folder(folder)
    assert os.listdir(folder) == []
    assert (tmp_path / "elsewhere" / "file").exists()


def test_what_cannot_be_removed_is_told(tmp_path: Path) -> None:
    for remove in (removal.remove_folder, removal.remove_file):
        with pytest.raises(Failure, match=f"Removing {tmp_path}/none failed: No such file or directory; see what keeps it, and run again"):
            remove(str(tmp_path / "none"))
