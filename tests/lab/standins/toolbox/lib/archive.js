// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// mongodump's archives (`mongodump --archive`): a prelude with all metadata, then blocks of documents of the collections in any
// order, each collection closed by its checksum. Format: mongo-tools, common/archive. That the toolbox writes one: product-facts 3 [UNKNOWN].
'use strict'

const { BSON, EJSON, Int32, Long } = require('bson')

const { Crc64 } = require('./crc64')
const { Refusal } = require('./refusal')

const MAGIC = Buffer.from([0x6d, 0xe2, 0x99, 0x81])
const TERMINATOR = Buffer.from([0xff, 0xff, 0xff, 0xff])

function isArchive (bytes) {
  return bytes.subarray(0, 4).equals(MAGIC)
}

/**
 * Read an archive from a ByteReader that stands at its beginning.
 *
 * `visitor.metadata({database, stem, text, type})` for each collection first, then `visitor.document(database, stem, bytes)`; a stem is
 * the collection's name.
 */
async function readArchive (bytes, visitor) {
  await bytes.read(MAGIC.length)
  BSON.deserialize(await bytes.document())
  while (!await terminated(bytes)) {
    const { db, collection, metadata, type } = BSON.deserialize(await bytes.document())
    await visitor.metadata({ database: db, stem: collection, text: metadata, type: type || 'collection' })
  }
  const open = new Map()
  while (!await bytes.atEnd()) await readBlock(bytes, visitor, open)
  const unfinished = [...open].filter(([, checksum]) => checksum !== 'closed').map(([name]) => name)
  if (unfinished.length) throw new Refusal(`${bytes.name} ends before ${unfinished.join(', ')} does.`)
}

async function readBlock (bytes, visitor, open) {
  const { db, collection, EOF, CRC } = BSON.deserialize(await bytes.document(), { promoteLongs: false })
  const name = `${db}.${collection}`
  if (open.get(name) === 'closed') throw new Refusal(`${bytes.name} goes on with ${name} after its end.`)
  const checksum = open.get(name) ?? new Crc64()
  open.set(name, checksum)
  if (EOF) {
    if (Long.fromBigInt(checksum.value).notEquals(CRC)) throw new Refusal(`The checksum of ${name} in ${bytes.name} does not fit.`)
    open.set(name, 'closed')
    if (!await terminated(bytes)) throw new Refusal(`${bytes.name} holds something else where a block ends.`)
    return
  }
  while (!await terminated(bytes)) {
    const document = await bytes.document()
    checksum.add(document)
    await visitor.document(db, collection, document)
  }
}

/** Whether a terminator is next; if so, it is read. */
async function terminated (bytes) {
  if (!(await bytes.peek(4)).equals(TERMINATOR)) return false
  await bytes.read(TERMINATOR.length)
  return true
}

/** Bytes of an archive of `collections` (`{database, collection, type, metadata}`), one after the other; `documentsOf` gives buffers of whole documents. */
async function * archiveBytes (collections, documentsOf, serverVersion) {
  yield MAGIC
  yield BSON.serialize({ concurrent_collections: new Int32(1), version: '0.1', server_version: serverVersion, tool_version: '100.9.4' })
  for (const { database, collection, type, metadata } of collections) {
    const text = EJSON.stringify(metadata, { relaxed: false })
    yield BSON.serialize({ db: database, collection, metadata: text, size: new Int32(0), type })
  }
  yield TERMINATOR
  for (const one of collections.filter(({ type }) => type === 'collection')) {
    const header = { db: one.database, collection: one.collection }
    const checksum = new Crc64()
    for await (const documents of documentsOf(one)) {
      checksum.add(documents)
      yield BSON.serialize({ ...header, EOF: false, CRC: Long.ZERO })
      yield documents
      yield TERMINATOR
    }
    yield BSON.serialize({ ...header, EOF: true, CRC: Long.fromBigInt(checksum.value) })
    yield TERMINATOR
  }
}

module.exports = { archiveBytes, isArchive, readArchive }
