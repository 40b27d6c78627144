// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

'use strict'

/** Something that was asked for cannot be done; the message is one sentence for whoever asked. What the vendor's says: product-facts 3 [UNKNOWN]. */
class Refusal extends Error {}

module.exports = { Refusal }
