#!/bin/sh
# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The order of the vendor's entrypoint: product-facts 1.3 [S:SAAGIE].
set -eu

# A shell that is process 1 ignores SIGTERM, and would only look at it between two commands.
child=
trap 'kill "$child" 2>/dev/null; exit 143' TERM INT
run() {
  "$@" &
  child=$!
  wait "$child"
}

# product-facts 1.3 [S:SAAGIE]: storage belongs to toucan:toucan
chown toucan:toucan /app/storage

run toucan-ctl make_config /app/config.yml
run toucan-ctl toggle_service nginx
# product-facts 7 [S:DOC04, LAPDOC]: migrations run at boot; before the servers is [INF]
run toucan-ctl migrate up
exec supervisord -n -c /etc/supervisord.conf
