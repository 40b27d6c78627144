# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of the backend's API and of the frontend, and the shapes of their answers.

A shape is a JMESPath expression over the JSON answer; each can be overridden by an option.
"""

from __future__ import annotations

BACKEND_ROOT = "/"  # status and version, no login [S:FE57, FAQ]
BACKEND_STATUS_SHAPE = "status"  # [S:FE57]
BACKEND_STATUS_OK = "OK"  # [S:FE57]
BACKEND_VERSION_SHAPE = "version"  # [S:FE57]
FRONTEND_VERSION = "/tucana-version.txt"  # text such as v57.1.4 [S:FE57, FAQ]
AUTH_PROVIDERS = "/auth/providers"  # no login needed [S:FE57, FAQ]
AUTH_PROVIDERS_SHAPE = "[].{id: id, type: type, name: name}"  # [S:FE57]
LOCAL_PROVIDER = "local"  # type of the one that is no single sign-on [S:DOCACC, FAQ]
LOGIN = "/login"  # POST with user and password as JSON, answers a token [S:PUBAPI, FE57]
LOGIN_USERNAME = "username"  # [S:PUBAPI, FE57]
LOGIN_PASSWORD = "password"  # [S:PUBAPI, FE57]
LOGIN_TOKEN = "token"  # [S:PUBAPI, FE57]
SMALL_APPS = "/small-apps"  # GET lists them, POST makes one [S:FE57]
SMALL_APPS_SHAPE = "[].{id: id, name: name}"  # [S:FE57]


def new_small_app(app: str, name: str) -> dict[str, str]:
    """What is posted to make a small app [S:FE57; INF]."""
    return {"id": app, "name": name}
