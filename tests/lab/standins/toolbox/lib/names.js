// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Names of files for collections, as mongodump makes them (mongo-tools, common/util and mongodump; product-facts 3).
'use strict'

const { createHash } = require('node:crypto')

// What Go's url.PathEscape leaves as it is.
const KEPT = /[A-Za-z0-9\-_.~$&+=:@]/
const LONGEST = 238
const SHORTENED = 208

function escaped (collection) {
  return [...Buffer.from(collection)].map((byte) => {
    const character = String.fromCharCode(byte)
    return KEPT.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')
}

/** Name of a collection's files without ending. A long one is cut and carries a hash, so that its metadata alone tells the name. */
function fileStem (collection) {
  const whole = escaped(collection)
  if (whole.length <= LONGEST) return whole
  return `${whole.slice(0, SHORTENED)}%24${createHash('sha1').update(collection).digest('base64url')}`
}

/** The collection of a stem, where it is not a shortened one. */
function collectionOf (stem) {
  try {
    return decodeURIComponent(stem)
  } catch {
    // Dumps of old tools carry names as they are.
    return stem
  }
}

module.exports = { collectionOf, fileStem }
