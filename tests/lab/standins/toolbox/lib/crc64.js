// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// CRC-64 of ECMA-182, reflected: what mongodump's archives carry for each collection (mongo-tools, common/archive; product-facts 3).
'use strict'

const POLYNOMIAL = 0xc96c5795d7870f42n
const HIGH = new Uint32Array(256)
const LOW = new Uint32Array(256)

for (let byte = 0; byte < 256; byte++) {
  let value = BigInt(byte)
  for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ POLYNOMIAL : value >> 1n
  HIGH[byte] = Number(value >> 32n)
  LOW[byte] = Number(value & 0xffffffffn)
}

/** A checksum that bytes are added to. Two halves of 32 bits each, because a BigInt for every byte would be slow. */
class Crc64 {
  #high = 0xffffffff
  #low = 0xffffffff

  add (bytes) {
    let high = this.#high
    let low = this.#low
    for (let at = 0; at < bytes.length; at++) {
      const index = (low ^ bytes[at]) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ LOW[index]
      high = (high >>> 8) ^ HIGH[index]
    }
    this.#high = high
    this.#low = low
  }

  /** As the signed number that BSON holds. */
  get value () {
    const bits = (BigInt(~this.#high >>> 0) << 32n) | BigInt(~this.#low >>> 0)
    return BigInt.asIntN(64, bits)
  }
}

module.exports = { Crc64 }
