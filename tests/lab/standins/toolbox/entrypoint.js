// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The commands of the image: the dialect's export command, and toucan_restore.
// product-facts 3 [FAQ]: `IMAGE toucan_restore DUMP /storage`; how an export is asked for is [UNKNOWN], so a matter of the dialect.
'use strict'

const { parseArgs } = require('node:util')

const { readDialect } = require('./lib/dialect')
const { exportSmallApps } = require('./lib/export')
const { Refusal } = require('./lib/refusal')
const { restoreSmallApps } = require('./lib/restore')

const RESTORE = 'toucan_restore'
// product-facts 3 [FAQ]: `<out>:/tmp` is where an export appears
const OUTPUT = '/tmp'

/** Run the command in `words`; throws Refusal. */
async function main ([command, ...words]) {
  const dialect = readDialect()
  if (command === RESTORE) return await restoreSmallApps(dialect, ...twoPlaces(words))
  if (command === dialect.exportCommand) return await exportSmallApps(dialect, exportPlaces(words))
  const known = `${dialect.exportCommand} and ${RESTORE}`
  throw new Refusal(`There is no command ${JSON.stringify(command ?? '')} in this image: it has ${known}.`)
}

function twoPlaces (words) {
  if (words.length !== 2) throw new Refusal(`${RESTORE} takes the folder of a dump and the folder of the storage, not ${words.length} arguments.`)
  return words
}

/** Folders of the storage and of the output: `/storage`, or `--storage /storage --output /tmp`; the order of options does not matter. */
function exportPlaces (words) {
  const options = { storage: { type: 'string' }, output: { type: 'string', default: OUTPUT } }
  let given
  try {
    given = parseArgs({ args: words, options, allowPositionals: true })
  } catch (error) {
    throw new Refusal(`The arguments ${JSON.stringify(words)} are not understood: ${error.message}.`)
  }
  const storage = given.values.storage ?? given.positionals[0]
  if (storage === undefined) throw new Refusal('The folder of the storage is missing.')
  return { storage, output: given.values.output }
}

main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`toolbox: ${error instanceof Refusal ? error.message : error.stack}\n`)
  process.exitCode = 1
})
