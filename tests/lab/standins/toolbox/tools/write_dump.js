// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Write a dump that nobody's product made, from JSON on standard input: `node write_dump.js FOLDER < JSON` (format: product-facts 3).
//
// {"laputa_version": "v101.1.0", "layout": "folder" | "folder_gzip" | "archive" | "archive_gzip", "top": "dump", "bare": false,
//  "collections": [{"database", "collection", "type": "collection" | "view", "options": {}, "indexes": [], "documents": []}],
//  "storage": {"sales/small_app.json": "text", "sales/empty/": null}}
//
// Documents, options and indexes are extended JSON (canonical or relaxed); a path that ends with `/` is a folder; `bare` is an
// archive without a tar around it. A key that is left out has the first value above, or is empty.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { pipeline } = require('node:stream/promises')
const { createGzip } = require('node:zlib')

const { BSON, EJSON } = require('bson')
const tar = require('tar-stream')

const { writeDump } = require('../lib/dump')

const LAYOUTS = ['folder', 'folder_gzip', 'archive', 'archive_gzip']

async function write (folder, given) {
  const layout = given.layout ?? 'folder'
  if (!LAYOUTS.includes(layout)) throw new Error(`${layout} is none of ${LAYOUTS.join(', ')}`)
  fs.mkdirSync(folder, { recursive: true })
  fs.writeFileSync(path.join(folder, 'laputa_version'), `${given.laputa_version ?? 'v101.1.0'}\n`)
  const shape = { archive: layout.startsWith('archive'), packed: layout.endsWith('gzip'), top: given.top ?? 'dump', bare: given.bare ?? false }
  await writeDump(folder, shape, (given.collections ?? []).map(described), documentsOf)
  await writeStorage(path.join(folder, 'storage.tar.gz'), given.storage ?? {})
}

function described ({ database, collection, type = 'collection', options = {}, indexes = [], documents = [] }) {
  const typed = (value) => EJSON.deserialize(value, { relaxed: false })
  const metadata = { options: typed(options), indexes: indexes.map(typed), collectionName: collection, type }
  return { database, collection, type, metadata, documents: documents.map((one) => BSON.serialize(typed(one), { ignoreUndefined: false })) }
}

async function * documentsOf ({ documents }) {
  for (const document of documents) yield Buffer.from(document)
}

async function writeStorage (target, files) {
  const pack = tar.pack()
  const written = pipeline(pack, createGzip(), fs.createWriteStream(target))
  for (const [name, text] of Object.entries(files)) {
    if (name.endsWith('/')) pack.entry({ name, type: 'directory' }).end()
    else pack.entry({ name }, text)
  }
  pack.finalize()
  await written
}

write(process.argv[2], JSON.parse(fs.readFileSync(0, 'utf8'))).catch((error) => {
  process.stderr.write(`write_dump: ${error.stack}\n`)
  process.exitCode = 1
})
