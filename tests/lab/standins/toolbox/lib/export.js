// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Export of small apps: a folder on-premise_backup-XXXXXXXX with three files (product-facts 3 [FAQ]).
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')

const { withMongodb } = require('./dialect')
const { writeDump } = require('./dump')
const { describe, documents } = require('./mongodb')
const { Refusal } = require('./refusal')
const { packStorage } = require('./storage')

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** Export the chosen small apps, or all, into a new folder below `output`, whose path is printed. */
async function exportSmallApps (dialect, { storage, output }) {
  if (!fs.existsSync(storage)) throw new Refusal(`The folder of the storage, ${storage}, is not there.`)
  await withMongodb(dialect, async (client) => {
    const instance = client.db(dialect.instanceDatabase)
    const smallApps = await chosen(dialect, instance)
    const folder = path.join(output, `on-premise_backup-${randomLetters(8)}`)
    fs.mkdirSync(folder)
    fs.writeFileSync(path.join(folder, 'laputa_version'), `${await laputaVersion(dialect, instance)}\n`)
    await exportDatabases(dialect, client, smallApps, folder)
    const leftOut = await packStorage(storage, smallApps, path.join(folder, 'storage.tar.gz'))
    for (const name of leftOut) console.error(`toolbox: left out ${name}, which is neither file, folder nor link.`)
    console.log(folder)
  })
}

/** Ids of the small apps to export; throws Refusal for one that is not there. */
async function chosen (dialect, instance) {
  const rows = await instance.collection('small_apps').find({}, { projection: { _id: 1 } }).sort({ _id: 1 }).toArray()
  const all = rows.map(({ _id }) => _id)
  const wanted = dialect.chosenSmallApps ?? all
  const missing = wanted.filter((smallApp) => !all.includes(smallApp))
  if (missing.length) throw new Refusal(`There is no small app ${missing.join(', ')} in ${instance.databaseName}: it has ${all.join(', ') || 'none'}.`)
  if (!wanted.length) throw new Refusal(`There are no small apps in ${instance.databaseName}.`)
  return wanted
}

/** Version of the backend: as given, else of the newest migration that the instance remembers, else this image's own. */
async function laputaVersion (dialect, instance) {
  if (dialect.givenVersion) return dialect.givenVersion
  // product-facts 3.1 [S:LAPDOC]: collection migrations; that it tells a version is the backend stand-in's [GUESS]
  const [newest] = await instance.collection('migrations').find({ version: { $type: 'string' } }).sort({ applied_at: -1, _id: -1 }).limit(1).toArray()
  return newest?.version ?? dialect.release
}

async function exportDatabases (dialect, client, smallApps, folder) {
  const collections = []
  for (const smallApp of smallApps) collections.push(...await describe(client.db(dialect.smallAppDatabase(smallApp))))
  const { version } = await client.db('admin').command({ buildInfo: 1 })
  await writeDump(folder, dialect.layout, collections, ({ database, collection }) => documents(client.db(database), collection), version)
}

function randomLetters (count) {
  return Array.from({ length: count }, () => LETTERS[crypto.randomInt(LETTERS.length)]).join('')
}

module.exports = { exportSmallApps }
