// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Collections of a MongoDB database as raw documents: read and written without being decoded, so that every type of BSON and every
// order of keys stays (product-facts 3.1).
'use strict'

const { DocumentSequence } = require('mongodb/lib/cmap/commands')

const { Refusal } = require('./refusal')

// Above what one answer holds, so that a list is never cut.
const WHOLE = { batchSize: 100000 }
const BATCH_BYTES = 4 * 1024 * 1024
const BATCH_DOCUMENTS = 1000
// Numbers keep their types.
const TYPED = { promoteValues: false, promoteLongs: false }

/** `{database, collection, type, metadata}` of each collection and view, by name; metadata is what mongodump keeps. */
async function describe (db) {
  const listed = await wholeList(db, { listCollections: 1, cursor: WHOLE })
  const kept = listed.filter(({ name }) => !name.startsWith('system.'))
  const described = []
  for (const { name, type, options, info } of kept) {
    if (type === 'timeseries') throw new Refusal(`${db.databaseName}.${name} is a time series, which this toolbox does not know.`)
    const indexes = type === 'view' ? [] : await wholeList(db, { listIndexes: name, cursor: WHOLE })
    for (const index of indexes) demandOrder(index, `${db.databaseName}.${name}`)
    const uuid = info?.uuid?.buffer ? { uuid: Buffer.from(info.uuid.buffer).toString('hex') } : {}
    const metadata = { options: options ?? {}, indexes, ...uuid, collectionName: name, type }
    described.push({ database: db.databaseName, collection: name, type, metadata })
  }
  return described.sort((one, other) => (one.collection < other.collection ? -1 : 1))
}

async function wholeList (db, command) {
  const { cursor } = await db.command(command, TYPED)
  if (!cursor.id.isZero()) throw new Refusal(`The list that ${JSON.stringify(command)} asked ${db.databaseName} for does not fit into one answer.`)
  return cursor.firstBatch
}

/** JavaScript moves keys that look like numbers to the front, which would change an index. */
function demandOrder ({ name, key }, where) {
  const keys = Object.keys(key)
  if (keys.length > 1 && keys.some((one) => /^\d+$/.test(one))) throw new Refusal(`Index ${name} of ${where} has a number among its keys, which this toolbox cannot keep in order.`)
}

/** The documents of a collection, as buffers of many whole ones. */
async function * documents (db, collection) {
  let batch = []
  let size = 0
  for await (const document of db.collection(collection).find({}, { raw: true })) {
    batch.push(document)
    size += document.length
    if (size >= BATCH_BYTES) {
      yield Buffer.concat(batch)
      batch = []
      size = 0
    }
  }
  if (batch.length) yield Buffer.concat(batch)
}

/** Writes raw documents into one collection, many at a time. */
class Inserter {
  #batch = []
  #size = 0

  constructor (db, collection) {
    this.db = db
    this.collection = collection
  }

  async add (document) {
    this.#batch.push(document)
    this.#size += document.length
    if (this.#size >= BATCH_BYTES || this.#batch.length >= BATCH_DOCUMENTS) await this.flush()
  }

  async flush () {
    if (!this.#batch.length) return
    // What the driver itself makes of documents it has serialised.
    const sequence = new DocumentSequence('documents')
    for (const document of this.#batch) sequence.push({}, document)
    const answer = await this.db.command({ insert: this.collection, ordered: true, documents: sequence })
    if (answer.n !== this.#batch.length || answer.writeErrors?.length) {
      const why = answer.writeErrors?.[0]?.errmsg ?? 'no reason given'
      throw new Refusal(`${answer.n} of ${this.#batch.length} documents were written to ${this.db.databaseName}.${this.collection}: ${why}.`)
    }
    this.#batch = []
    this.#size = 0
  }
}

/** Create a collection or view as its metadata says, without indexes. */
async function create (db, { collection, metadata }) {
  await db.command({ create: collection, ...metadata.options })
}

async function createIndexes (db, { collection, metadata }) {
  const indexes = (metadata.indexes ?? []).filter(({ name }) => name !== '_id_')
  for (const index of indexes) demandOrder(index, `${db.databaseName}.${collection}`)
  // `ns` is of old servers, which the new ones refuse.
  if (indexes.length) await db.command({ createIndexes: collection, indexes: indexes.map(({ ns, ...index }) => index) })
}

module.exports = { Inserter, create, createIndexes, describe, documents }
