// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// mongodump.tar.gz: what a dump holds of MongoDB, in any layout that mongodump can have written (product-facts 3 [FAQ]; layouts are [UNKNOWN]).
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { Readable, pipeline: piped } = require('node:stream')
const { pipeline } = require('node:stream/promises')
const { createGunzip, createGzip } = require('node:zlib')

const { EJSON } = require('bson')
const tar = require('tar-stream')

const { archiveBytes, isArchive, readArchive } = require('./archive')
const { ByteReader } = require('./bytes')
const { collectionOf, fileStem } = require('./names')
const { Refusal } = require('./refusal')

const GZIP = Buffer.from([0x1f, 0x8b])

/**
 * Read the file `mongodump.tar.gz`: a tar with folders or an archive in it, or an archive alone.
 *
 * `visitor`: `metadata({database, stem, text, type})`, `document(database, stem, bytes)`, `other(name)`. A stem names a
 * collection's files; see `index` for its name.
 */
async function scan (file, visitor) {
  const bytes = new ByteReader(unpacked(fs.createReadStream(file)), path.basename(file))
  if (isArchive(await bytes.peek(4))) return await readArchive(bytes, visitor)
  await forEachEntry(bytes, async (entry) => {
    if (entry.header.type === 'file') await readMember(entry, visitor)
  })
}

/** What a gzip stream holds; a failure of the stream below ends it, and is thrown where it is read. */
function unpacked (stream) {
  return piped(stream, createGunzip(), () => {})
}

/** Call `work` with each entry of the tar that `bytes` is at the beginning of. */
async function forEachEntry (bytes, work) {
  const extract = tar.extract()
  const fed = pipeline(Readable.from(bytes.rest()), extract)
  // Its failure is met below; without this, it would be met nowhere if `work` fails first.
  fed.catch(() => {})
  try {
    for await (const entry of extract) {
      await work(entry)
      entry.resume()
    }
    await fed
  } catch (error) {
    // What feeds tar-stream knows better what is wrong than tar-stream.
    const cause = await fed.then(() => error, (first) => (first instanceof Refusal ? first : error))
    throw /tar|end of data/i.test(cause.message) && !(cause instanceof Refusal) ? new Refusal(`${bytes.name} is no sound tar: ${cause.message}.`) : cause
  }
}

async function readMember (entry, visitor) {
  const name = path.posix.normalize(entry.header.name)
  let content = new ByteReader(entry, name)
  const packed = (await content.peek(2)).equals(GZIP)
  if (packed) content = new ByteReader(unpacked(Readable.from(content.rest())), name)
  if (isArchive(await content.peek(4))) return await readArchive(content, visitor)
  const member = memberOf(packed ? name.replace(/\.gz$/, '') : name)
  if (member.kind === 'metadata') return await visitor.metadata({ ...member, ...await metadataText(content) })
  if (member.kind === 'other') return await visitor.other(name)
  while (!await content.atEnd()) await visitor.document(member.database, member.stem, await content.document())
}

/** What a member of the tar is, by its name without `.gz`; the folder above the databases' may be missing or have any name. */
function memberOf (name) {
  const [file, database, ...above] = name.split('/').reverse()
  const [, stem, kind] = /^(.*)\.(metadata\.json|bson)$/s.exec(file) ?? []
  const oplog = file === 'oplog.bson' && (database === undefined || (database === 'dump' && !above.length))
  if (stem === undefined || database === undefined || oplog) return { kind: 'other' }
  return { kind: kind === 'bson' ? 'documents' : 'metadata', database, stem }
}

async function metadataText (content) {
  const parts = []
  for await (const part of content.rest()) parts.push(part)
  const text = Buffer.concat(parts).toString()
  return { text, type: parsedMetadata(text, content.name).type || 'collection' }
}

/** Metadata of a collection with its numbers' types kept, from mongodump's JSON; throws Refusal. */
function parsedMetadata (text, name) {
  try {
    return EJSON.parse(text || '{}', { relaxed: false })
  } catch (error) {
    throw new Refusal(`${name} is no JSON as mongodump writes it: ${error.message}.`)
  }
}

/**
 * Read a whole dump and tell what it holds: `{collections, others}`.
 *
 * A collection is `{database, stem, collection, type, metadata, count, bytes}`. `onDocument(found, bytes)` sees every document.
 */
async function index (file, onDocument = () => {}) {
  const found = new Map()
  const others = []
  const of = (database, stem) => {
    const key = `${database}/${stem}`
    if (!found.has(key)) found.set(key, { database, stem, collection: collectionOf(stem), type: 'collection', metadata: {}, count: 0, bytes: 0 })
    return found.get(key)
  }
  await scan(file, {
    metadata ({ database, stem, text, type }) {
      const metadata = parsedMetadata(text, `the metadata of ${database}.${stem}`)
      Object.assign(of(database, stem), { type, metadata, collection: metadata.collectionName || collectionOf(stem) })
    },
    document (database, stem, bytes) {
      const one = of(database, stem)
      one.count += 1
      one.bytes += bytes.length
      return onDocument(one, bytes)
    },
    other (name) { others.push(name) }
  })
  return { collections: [...found.values()], others }
}

/**
 * Write `mongodump.tar.gz` into `folder`.
 *
 * @param layout `{archive, packed, top}`, and `bare`, which leaves the tar out (an archive alone)
 * @param collections `{database, collection, type, metadata}` each
 * @param documentsOf collection -> async iterable of buffers of whole documents
 */
async function writeDump (folder, layout, collections, documentsOf, serverVersion = '7.0.0') {
  const spool = fs.mkdtempSync(path.join(folder, '.spool-'))
  const target = path.join(folder, 'mongodump.tar.gz')
  try {
    if (layout.archive) {
      const file = layout.bare ? target : path.join(spool, `mongodump.archive${layout.packed ? '.gz' : ''}`)
      await writeFile(file, archiveBytes(collections, documentsOf, serverVersion), layout.packed || layout.bare)
    } else {
      for (const one of collections) await writeFiles(path.join(spool, layout.top), layout.packed, one, documentsOf)
    }
    if (!layout.bare) await packFolder(spool, target)
  } finally {
    fs.rmSync(spool, { recursive: true })
  }
}

async function writeFiles (folder, packed, one, documentsOf) {
  const stem = path.join(folder, one.database, fileStem(one.collection))
  const ending = packed ? '.gz' : ''
  fs.mkdirSync(path.dirname(stem), { recursive: true })
  await writeFile(`${stem}.metadata.json${ending}`, [Buffer.from(EJSON.stringify(one.metadata, { relaxed: false }))], packed)
  if (one.type === 'collection') await writeFile(`${stem}.bson${ending}`, documentsOf(one), packed)
}

async function writeFile (file, buffers, packed) {
  await pipeline(Readable.from(buffers), ...(packed ? [createGzip()] : []), fs.createWriteStream(file))
}

async function packFolder (folder, target) {
  const pack = tar.pack()
  const written = pipeline(pack, createGzip(), fs.createWriteStream(target))
  const names = fs.readdirSync(folder, { recursive: true }).sort()
  for (const name of names) {
    const file = path.join(folder, name)
    const { size, mtime, mode } = fs.statSync(file)
    if (fs.statSync(file).isDirectory()) pack.entry({ name: `${name}/`, type: 'directory', mode, mtime }).end()
    else await pipeline(fs.createReadStream(file), pack.entry({ name, size, mtime, mode }))
  }
  pack.finalize()
  await written
}

module.exports = { forEachEntry, index, scan, unpacked, writeDump }
