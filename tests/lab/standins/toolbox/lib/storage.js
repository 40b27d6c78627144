// Copyright: (c) 2026, toucan.selfhosted contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// storage.tar.gz: the folders of small apps (product-facts 3 [FAQ]; that it holds a folder for each app is [GUESS]).
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { pipeline } = require('node:stream/promises')
const { createGzip } = require('node:zlib')

const tar = require('tar-stream')

const { ByteReader } = require('./bytes')
const { forEachEntry, unpacked } = require('./dump')
const { Refusal } = require('./refusal')

// The backend's own note in the folder of an app (stand-in of the backend, small_apps.py).
const MARKER = 'small_app.json'
const LARGEST_MARKER = 64 * 1024

/** Write `smallApps`' folders below `storage` to `target`; what is neither file, folder nor link is left out and named. */
async function packStorage (storage, smallApps, target) {
  const pack = tar.pack()
  const written = pipeline(pack, createGzip(), fs.createWriteStream(target))
  const packer = { pack, storage, first: new Map(), leftOut: [] }
  for (const smallApp of smallApps) {
    if (fs.existsSync(path.join(storage, smallApp))) await packPath(packer, smallApp)
    else pack.entry({ name: `${smallApp}/`, type: 'directory', mode: 0o755, mtime: new Date() }).end()
  }
  pack.finalize()
  await written
  return packer.leftOut
}

async function packPath (packer, name) {
  const file = path.join(packer.storage, name)
  const found = fs.lstatSync(file)
  const header = { name, mode: found.mode & 0o7777, uid: found.uid, gid: found.gid, mtime: found.mtime }
  if (found.isDirectory()) {
    packer.pack.entry({ ...header, name: `${name}/`, type: 'directory' }).end()
    for (const child of fs.readdirSync(file).sort()) await packPath(packer, `${name}/${child}`)
  } else if (found.isSymbolicLink()) {
    packer.pack.entry({ ...header, type: 'symlink', linkname: fs.readlinkSync(file) }).end()
  } else if (!found.isFile()) {
    packer.leftOut.push(name)
  } else if (packer.first.has(found.ino)) {
    packer.pack.entry({ ...header, type: 'link', linkname: packer.first.get(found.ino) }).end()
  } else {
    if (found.nlink > 1) packer.first.set(found.ino, name)
    await pipeline(fs.createReadStream(file), packer.pack.entry({ ...header, type: 'file', size: found.size }))
  }
}

/** What `storage.tar.gz` holds: a Map of top folder -> what its marker says, or undefined. The whole archive is read. */
async function storageFolders (file) {
  const folders = new Map()
  await eachEntry(file, async (entry, name) => {
    const [top, inside] = name.split('/')
    if (!folders.has(top)) folders.set(top, undefined)
    if (inside === MARKER && name === `${top}/${MARKER}` && entry.header.size <= LARGEST_MARKER) folders.set(top, await readMarker(entry))
  })
  return folders
}

async function readMarker (entry) {
  const parts = []
  for await (const part of entry) parts.push(part)
  try {
    return JSON.parse(Buffer.concat(parts).toString())
  } catch {
    return undefined
  }
}

/** Put the folders of `targets` (Map of folder in the archive -> folder below `storage`) in the place of what is there. */
async function unpackStorage (file, storage, targets) {
  for (const target of targets.values()) fs.rmSync(path.join(storage, target), { recursive: true, force: true })
  const folders = []
  await eachEntry(file, async (entry, name) => {
    const place = placeOf(name, storage, targets)
    if (place === undefined) return
    await unpackEntry(entry, place, placeOf(path.posix.normalize(entry.header.linkname ?? ''), storage, targets))
    if (entry.header.type === 'directory') folders.push([place, entry.header])
  })
  // A folder's time changes with what is put into it.
  for (const [place, header] of folders.reverse()) fs.utimesSync(place, header.mtime, header.mtime)
}

function placeOf (name, storage, targets) {
  const [top, ...inside] = name.split('/')
  return targets.has(top) ? path.join(storage, targets.get(top), ...inside) : undefined
}

async function unpackEntry (entry, place, linked) {
  const { type, mode, uid, gid, mtime, linkname } = entry.header
  fs.mkdirSync(path.dirname(place), { recursive: true })
  if (type === 'symlink') {
    fs.symlinkSync(linkname, place)
    return fs.lchownSync(place, uid, gid)
  }
  if (type === 'link') return fs.linkSync(linked, place)
  if (type === 'directory') fs.mkdirSync(place, { recursive: true })
  else await pipeline(entry, fs.createWriteStream(place))
  fs.chownSync(place, uid, gid)
  fs.chmodSync(place, mode)
  fs.utimesSync(place, mtime, mtime)
}

/** Call `work(entry, name)` with each file, folder and link; throws Refusal for what leads out of the archive's folders. */
async function eachEntry (file, work) {
  const bytes = new ByteReader(unpacked(fs.createReadStream(file)), path.basename(file))
  await forEachEntry(bytes, async (entry) => {
    const name = path.posix.normalize(entry.header.name).replace(/\/$/, '')
    if (name === '.') return
    const { type, linkname } = entry.header
    if (outside(name) || (type === 'link' && outside(path.posix.normalize(linkname)))) throw new Refusal(`${bytes.name} holds ${entry.header.name}, which leads out of it.`)
    if (!['file', 'directory', 'symlink', 'link'].includes(type)) throw new Refusal(`${bytes.name} holds ${entry.header.name}, a ${type}.`)
    await work(entry, name)
  })
}

function outside (name) {
  return name.startsWith('/') || name.split('/')[0] === '..'
}

module.exports = { MARKER, packStorage, storageFolders, unpackStorage }
