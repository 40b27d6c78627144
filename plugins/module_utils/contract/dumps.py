# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps as the vendor's toolbox writes them."""

from __future__ import annotations

FOLDER_PREFIX = "on-premise_backup-"  # a folder a dump, with eight more characters [FAQ]
VERSION_FILE = "laputa_version"  # the backend's version, as text [FAQ]
DATABASE_FILE = "mongodump.tar.gz"  # what is inside is not told [FAQ]
STORAGE_FILE = "storage.tar.gz"  # [FAQ]
