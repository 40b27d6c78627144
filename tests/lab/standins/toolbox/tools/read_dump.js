// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Read a dump document by document, and print as JSON what it holds: `node read_dump.js FOLDER`.
//
// No part of the stand-in: the laboratory's own reader of any dump in the format of product-facts 3, by other hands than those that wrote it.
// `digest` is the sum modulo 2**256 of the SHA-256 of each document's bytes, in hexadecimal, so that no order of documents matters.
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')

const { BSON } = require('bson')

const { index } = require('../lib/dump')
const { Refusal } = require('../lib/refusal')

const MODULUS = 1n << 256n

async function read (folder) {
  const digests = new Map()
  const { collections, others } = await index(path.join(folder, 'mongodump.tar.gz'), (one, bytes) => {
    // Throws where it is no BSON.
    BSON.deserialize(bytes, { promoteValues: false, promoteLongs: false })
    const hash = BigInt(`0x${crypto.createHash('sha256').update(bytes).digest('hex')}`)
    digests.set(one, ((digests.get(one) ?? 0n) + hash) % MODULUS)
  })
  const told = collections.map((one) => ({
    database: one.database,
    collection: one.collection,
    type: one.type,
    count: one.count,
    bytes: one.bytes,
    digest: (digests.get(one) ?? 0n).toString(16).padStart(64, '0'),
    indexes: (one.metadata.indexes ?? []).map(({ name }) => name)
  }))
  const version = path.join(folder, 'laputa_version')
  return {
    laputa_version: fs.existsSync(version) ? fs.readFileSync(version, 'utf8').trim() : null,
    count: told.reduce((sum, { count }) => sum + count, 0),
    collections: told,
    others
  }
}

read(process.argv[2]).then((told) => console.log(JSON.stringify(told, null, 2))).catch((error) => {
  process.stderr.write(`read_dump: ${error instanceof Refusal || error instanceof BSON.BSONError ? error.message : error.stack}\n`)
  process.exitCode = 1
})
