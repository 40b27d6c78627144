// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What this image is and was told: its release, its dialect's answers to what nobody outside knows, and its environment.
'use strict'

const fs = require('node:fs')

const { MongoClient } = require('mongodb')

const { Refusal } = require('./refusal')

const SERVER_TIMEOUT_MS = 5000

/** The part of a dialect file that the toolbox acts on, together with the environment (all keys: dialects/README.md). */
class Dialect {
  constructor (answers, release, environment) {
    this.answers = answers
    this.release = release
    this.environment = environment
  }

  get exportCommand () {
    return this.answers.toolbox_export_command[0]
  }

  // product-facts 1.6 [S:HELM]; that the sample is the default is [GUESS]
  get instanceName () {
    return this.environment.TOUCAN_INSTANCE_NAME || 'toucan-on-prem'
  }

  // product-facts 3.1 [S:LAPDOC]; its name is [UNKNOWN]
  get instanceDatabase () {
    return this.answers.instance_database.replace('{instance_name}', this.instanceName)
  }

  // product-facts 3.1 [S:LAPDOC]; the prefix is [UNKNOWN]
  smallAppDatabase (smallApp, instanceName = this.instanceName) {
    return this.answers.small_app_database.replace('{instance_name}', instanceName).replace('{small_app}', smallApp)
  }

  /** Whether `database` is that of `smallApp` in an instance of whatever name. */
  isDatabaseOf (database, smallApp) {
    const [before, after] = this.answers.small_app_database.replace('{small_app}', smallApp).split('{instance_name}')
    return after === undefined ? database === before : database.startsWith(before) && database.endsWith(after) && database.length > before.length + after.length
  }

  /** Id of the small app of this instance that `database` belongs to, or undefined. */
  smallAppOf (database) {
    const [before, after] = this.smallAppDatabase('\0').split('\0')
    const length = database.length - before.length - after.length
    return length > 0 && database.startsWith(before) && database.endsWith(after) ? database.slice(before.length, before.length + length) : undefined
  }

  /** Ids of the small apps that were asked for; undefined means all. */
  get chosenSmallApps () {
    // product-facts 3 [FAQ]: variables that begin with SMALL_APPS; name and separator are [UNKNOWN]
    const text = this.environment[this.answers.toolbox_small_apps_variable] || ''
    const chosen = text.split(',').map((part) => part.trim()).filter((part) => part)
    return chosen.length ? chosen : undefined
  }

  /** Name under which the small app is to be restored; undefined means its own. */
  get newName () {
    // product-facts 3 [FAQ]
    return this.environment.SMALL_APPS_NEW_NAME_SPECIFIC || undefined
  }

  /** Version of the backend, where the caller says it. */
  get givenVersion () {
    // product-facts 3 [FAQ]: file laputa_version; where the toolbox has it from is [UNKNOWN], the variable this stand-in's own
    return this.environment.LAPUTA_VERSION || undefined
  }

  /** A client of the MongoDB that the environment names, not connected yet. */
  mongodb () {
    // product-facts 3 [UNKNOWN]: names of the variables; defaults as the backend's, product-facts 1.2 [S:RTD, SAAGIE]
    const names = this.answers.toolbox_mongodb_variables
    const given = Object.fromEntries(Object.entries(names).map(([part, name]) => [part, this.environment[name] || undefined]))
    const options = { serverSelectionTimeoutMS: SERVER_TIMEOUT_MS, appName: 'toolbox' }
    if (names.uri) {
      if (!given.uri) throw new Refusal(`${names.uri} is not set: it names the MongoDB server.`)
      return new MongoClient(given.uri, options)
    }
    if (given.user) options.auth = { username: given.user, password: given.password }
    return new MongoClient(`mongodb://${given.host ?? 'mongo'}:${given.port ?? 27017}/`, options)
  }

  /** How `mongodump.tar.gz` is written: `archive` or folders, `packed` each. */
  get layout () {
    // product-facts 3 [FAQ]: mongodump.tar.gz; what stands inside is [UNKNOWN]
    const text = this.answers.mongodump_layout
    return { archive: !text.includes('{collection}'), packed: text.endsWith('.gz'), top: text.includes('/') ? text.split('/')[0] : '' }
  }
}

/** The dialect of this image in the environment of this process. */
function readDialect (environment = process.env, folder = '/app') {
  const read = (name) => JSON.parse(fs.readFileSync(`${folder}/${name}`, 'utf8'))
  return new Dialect(read('dialect.json'), read('release.json').version, environment)
}

/** Run `work` with a connected client, and close it. */
async function withMongodb (dialect, work) {
  const client = dialect.mongodb()
  try {
    try {
      await client.connect()
    } catch (error) {
      throw new Refusal(`MongoDB does not answer or does not let the toolbox in: ${error.message}`)
    }
    return await work(client)
  } finally {
    await client.close()
  }
}

module.exports = { Dialect, readDialect, withMongodb }
