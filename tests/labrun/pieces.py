# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of the lab that only some tests need."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import Any

from toolchain.places import ROOT


@functools.cache
def lab_piece(name: str) -> dict[str, Any]:
    """Start a piece of the lab that is up (`databases`, `pebble`, …: `lab.py --help`); what there is to know of it.

    The same stands in `vars.yml` as `lab_NAME`; asking here makes sure that the piece runs.
    """
    done = subprocess.run([sys.executable, ROOT / "tests" / "lab" / "lab.py", name], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
