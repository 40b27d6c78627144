# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damages to the files of a dump, drawn by dice."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from ansible_collections.toucan.selfhosted.plugins.module_utils.dump import directory


def flip(path: Path, dice: random.Random, dummy: list[Path]) -> None:
    content = bytearray(path.read_bytes())
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, dice: random.Random, dummy: list[Path]) -> None:
    os.truncate(path, dice.randrange(path.stat().st_size))


def delete(path: Path, dice: random.Random, dummy: list[Path]) -> None:
    path.unlink()


def duplicate(path: Path, dice: random.Random, dummy: list[Path]) -> None:
    """A piece of the file twice, or all of it under another name."""
    content = path.read_bytes()
    start, end = sorted(dice.sample(range(len(content) + 1), 2))
    if dice.random() < 0.5:
        path.write_bytes(content[:end] + content[start:])
    else:
        path.with_name(f"{path.name}.{dice.randrange(10)}").write_bytes(content)


def swap(path: Path, dice: random.Random, others: list[Path]) -> None:
    other = dice.choice([each for each in others if each != path])
    path.rename(path.with_suffix(".swapped"))
    other.rename(path)
    path.with_suffix(".swapped").rename(other)


DAMAGES: list[Callable[[Path, random.Random, list[Path]], None]] = [flip, truncate, delete, duplicate, swap]


def corrupted(source: directory.Dump, target: Path, dice: random.Random) -> tuple[directory.Dump, str]:
    """A copy of the dump with one damage, and what it is."""
    copy = target / source.name
    shutil.copytree(source.path, copy)
    files = sorted(copy.iterdir())
    damage, path = dice.choice(DAMAGES), dice.choice(files)
    damage(path, dice, files)
    return directory.inspect(str(copy)), f"{damage.__name__} of {path.name}"
