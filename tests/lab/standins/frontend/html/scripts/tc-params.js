// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// product-facts 6.1 [S:HELM, SAAGIE, FE57]: keys, placeholders, double quotes.
window.TC_PARAMS = {
  "API_BASEROUTE": "__API_BASEROUTE_PLACEHOLDER__",
  "WEBSOCKET_BASEROUTE": "__WEBSOCKET_BASEROUTE_PLACEHOLDER__",
  "OAUTH_MANAGER_BASEROUTE": "__OAUTH_MANAGER_BASEROUTE_PLACEHOLDER__",
  "MIXPANEL_ANALYTICS_ID": "__MIXPANEL_ANALYTICS_ID_PLACEHOLDER__",
  "SHOW_CUSTOM_CSS": "__SHOW_CUSTOM_CSS_PLACEHOLDER__",
  "SANITIZE_HTML": "__SANITIZE_HTML_PLACEHOLDER__",
  "TENANT": "__TENANT_PLACEHOLDER__"
};
