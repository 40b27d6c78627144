// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Bytes and BSON documents out of a stream that is cut anywhere. What is read so: product-facts 3, mongodump's documents.
'use strict'

const { Refusal } = require('./refusal')

// A document of the largest size that MongoDB keeps, and what it allows itself around one.
const LARGEST_DOCUMENT = 16 * 1024 * 1024 + 16 * 1024
const SMALLEST_DOCUMENT = 5

/** Reads exact numbers of bytes from an async iterable of buffers; `name` is what errors call it. */
class ByteReader {
  #chunks
  #buffered = Buffer.alloc(0)

  constructor (chunks, name) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.name = name
  }

  /** Up to `size` next bytes, which stay: fewer only where the stream ends. */
  async peek (size) {
    if (this.#buffered.length < size) {
      const parts = [this.#buffered]
      let length = this.#buffered.length
      while (length < size) {
        const { value, done } = await this.#next()
        if (done) break
        parts.push(value)
        length += value.length
      }
      this.#buffered = Buffer.concat(parts)
    }
    return this.#buffered.subarray(0, size)
  }

  /** The next `size` bytes; throws Refusal where the stream ends before. */
  async read (size) {
    const bytes = await this.peek(size)
    if (bytes.length < size) throw new Refusal(`${this.name} is cut off: ${bytes.length} bytes are left where ${size} are due.`)
    this.#buffered = this.#buffered.subarray(size)
    return bytes
  }

  async atEnd () {
    return (await this.peek(1)).length === 0
  }

  /** The next document as bytes; throws Refusal where there is none. */
  async document () {
    const size = (await this.peek(4)).length === 4 ? (await this.peek(4)).readInt32LE() : 4
    if (size < SMALLEST_DOCUMENT || size > LARGEST_DOCUMENT) throw new Refusal(`${this.name} holds no document where one is due.`)
    const bytes = await this.read(size)
    if (bytes[size - 1] !== 0) throw new Refusal(`${this.name} holds a document that does not end where it says.`)
    return bytes
  }

  /** All that follows, as it comes. */
  async * rest () {
    if (this.#buffered.length) yield this.#buffered
    this.#buffered = Buffer.alloc(0)
    for (;;) {
      const { value, done } = await this.#next()
      if (done) return
      yield value
    }
  }

  async #next () {
    try {
      return await this.#chunks.next()
    } catch (error) {
      // zlib's own codes: cut off, no gzip at all, wrong checksum
      if (/^Z_/.test(error.code ?? '')) throw new Refusal(`${this.name} cannot be unpacked: ${error.message}.`)
      throw error
    }
  }
}

module.exports = { ByteReader }
