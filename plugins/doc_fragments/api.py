# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that log in to the backend's API."""

from __future__ import annotations


class ModuleDocFragment:
    """Options ``api_*`` of every module of action group ``toucan_api``."""

    DOCUMENTATION = r"""
options:
  api_url:
    description: Where the backend's API answers. Where it is unset, at the backend's container on this host, past any proxy.
    type: str
  api_username:
    description: Who logs in.
    type: str
    default: toucantoco
  api_password:
    description: The password. Where it is unset, that of the built-in super admin in the secrets file.
    type: str
  api_token:
    description:
      - The token of a login that was done before, so that several modules share one. O(api_username) and O(api_password) are not used then.
      - The backend takes no logins of a user for a while after five that failed within a minute. A token that is refused is never tried with the password.
    type: str
  api_ca_file:
    description: CA certificates in PEM form, trusted beside the host's own. Where it is unset, the bundle in the state file.
    type: path
attributes:
  action_group:
    description: Use C(group/toucan.selfhosted.toucan_api) in C(module_defaults) to give a token once to all modules that log in.
    support: full
    membership:
      - toucan.selfhosted.toucan
      - toucan.selfhosted.toucan_api
"""
