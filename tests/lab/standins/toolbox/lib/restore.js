// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Restore of small apps: `toucan_restore DUMP /storage` (product-facts 3 [FAQ]).
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const { withMongodb } = require('./dialect')
const { index, scan } = require('./dump')
const { Inserter, create, createIndexes } = require('./mongodb')
const { Refusal } = require('./refusal')
const { MARKER, storageFolders, unpackStorage } = require('./storage')

// product-facts 3 [FAQ]
const FILES = ['laputa_version', 'mongodump.tar.gz', 'storage.tar.gz']
// product-facts 3.1 [S:LAPDOC]
const LONGEST_ID = 30

/** Restore every small app in `dump`, over those of the same id. Nothing is touched before the whole dump has been read. */
async function restoreSmallApps (dialect, dump, storage) {
  const missing = FILES.filter((name) => !fs.existsSync(path.join(dump, name)))
  if (missing.length) throw new Refusal(`${dump} is no dump: ${missing.join(', ')} is missing.`)
  if (!fs.existsSync(storage)) throw new Refusal(`The folder of the storage, ${storage}, is not there.`)
  const { collections, others } = await index(path.join(dump, 'mongodump.tar.gz'))
  const smallApps = smallAppsOf(dialect, collections, await storageFolders(path.join(dump, 'storage.tar.gz')))
  rename(dialect, smallApps)
  const restored = collections.filter(({ database }) => smallApps.some((one) => one.database === database))
  for (const name of [...others, ...collections.filter((one) => !restored.includes(one)).map(({ database, collection }) => `${database}.${collection}`)]) {
    console.error(`toolbox: left out ${name}, which is of no small app.`)
  }
  for (const { database, collection, type } of restored) {
    if (type === 'timeseries' || collection.startsWith('system.')) throw new Refusal(`${database}.${collection} is of a kind that this toolbox does not know.`)
  }
  await withMongodb(dialect, async (client) => {
    const targets = new Map(smallApps.map(({ database, id }) => [database, client.db(dialect.smallAppDatabase(id))]))
    await load(path.join(dump, 'mongodump.tar.gz'), restored, targets)
    await unpackStorage(path.join(dump, 'storage.tar.gz'), storage, new Map(smallApps.map(({ folder, id }) => [folder, id])))
    for (const smallApp of smallApps) await register(client.db(dialect.instanceDatabase), smallApp, storage)
  })
}

/**
 * The small apps of a dump: `{folder, database, id, name}`, a folder of the storage and the database that goes with it.
 *
 * Databases carry the name of the instance that they were taken of, which the folders do not.
 */
function smallAppsOf (dialect, collections, folders) {
  const smallApps = []
  const databases = [...new Set(collections.map(({ database }) => database))]
  for (const database of databases) {
    const fitting = [...folders.keys()].filter((folder) => dialect.isDatabaseOf(database, folder))
    const own = fitting.find((folder) => dialect.smallAppDatabase(folder) === database)
    const id = own ?? fitting.sort((one, other) => other.length - one.length)[0] ?? dialect.smallAppOf(database)
    if (id !== undefined) smallApps.push({ database, folder: id, id, name: folders.get(id)?.name })
  }
  for (const [folder, marker] of folders) {
    if (marker && !smallApps.some(({ id }) => id === folder)) smallApps.push({ folder, id: folder, name: marker.name })
  }
  const ids = smallApps.map(({ id }) => id)
  const twice = ids.find((id, at) => ids.indexOf(id) !== at)
  if (twice) throw new Refusal(`Two databases of the dump go with small app ${twice}.`)
  if (!smallApps.length) throw new Refusal(`There is no small app in the dump: it has ${databases.join(', ') || 'no database'}.`)
  return smallApps
}

function rename (dialect, smallApps) {
  const name = dialect.newName
  if (name === undefined) return
  // What the vendor's does with one name for several is [UNKNOWN].
  if (smallApps.length > 1) throw new Refusal(`SMALL_APPS_NEW_NAME_SPECIFIC is one name, and the dump holds ${smallApps.length} small apps.`)
  Object.assign(smallApps[0], { id: slug(name), name, renamed: true })
}

/** The default id of a small app called `name`. */
function slug (name) {
  // product-facts 3.1 [S:LAPDOC]
  const ascii = name.normalize('NFKD').replace(/[^\x00-\x7f]/g, '').toLowerCase()
  const id = ascii.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, LONGEST_ID).replace(/-+$/, '')
  if (!id) throw new Refusal(`${JSON.stringify(name)} is no name of a small app.`)
  return id
}

/** Put `collections` into the databases of `targets` (Map of name in the dump -> database), which are dropped first. */
async function load (file, collections, targets) {
  for (const db of targets.values()) await db.dropDatabase()
  const plain = collections.filter(({ type }) => type !== 'view')
  const views = collections.filter(({ type }) => type === 'view')
  const inserters = new Map()
  for (const one of plain) {
    const db = targets.get(one.database)
    await create(db, one)
    inserters.set(`${one.database}/${one.stem}`, new Inserter(db, one.collection))
  }
  await scan(file, {
    metadata () {},
    other () {},
    document: (database, stem, document) => inserters.get(`${database}/${stem}`)?.add(document)
  })
  for (const inserter of inserters.values()) await inserter.flush()
  for (const one of plain) await createIndexes(targets.get(one.database), one)
  for (const one of views) await create(targets.get(one.database), one)
}

/** Make the instance know a small app, as the backend does when it makes one. */
async function register (instance, { id, name, renamed }, storage) {
  // product-facts 3 [FAQ]: one of the same name is overwritten; row and marker are the backend stand-in's (small_apps.py)
  const known = await instance.collection('small_apps').findOne({ _id: id })
  await instance.collection('small_apps').replaceOne({ _id: id }, { name: name ?? known?.name ?? id }, { upsert: true })
  if (!renamed) return
  fs.mkdirSync(path.join(storage, id), { recursive: true })
  fs.writeFileSync(path.join(storage, id, MARKER), `${JSON.stringify({ id, name })}\n`)
}

module.exports = { restoreSmallApps, slug }
