#!/bin/sh
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# usage: frontend-entrypoint.sh PARAMS_FILE COMMAND...
#
# product-facts 1.4 [S:SAAGIE]: for every environment variable X, __X_PLACEHOLDER__ in the file
# becomes its value, through awk's gsub, so & and \ in a value are risky [INF].
set -eu
params=$1
shift
filled=$(mktemp)
awk '
  {
    for (name in ENVIRON) gsub("__" name "_PLACEHOLDER__", ENVIRON[name])
    print
  }
' "$params" >"$filled"
# A file that was mounted ready-made holds no placeholder, and may be read-only.
cmp -s "$filled" "$params" || cat "$filled" >"$params"
rm -f "$filled"
exec "$@"
