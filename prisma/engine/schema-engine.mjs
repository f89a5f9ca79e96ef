#!/usr/bin/env node
// @ts-check
// Stands in for Prisma's native schema engine, which npm does not carry and many networks cannot download: the same engine
// compiled to WebAssembly, spoken to as the native one is. prisma.config.ts decides which of the two the command line starts.

import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { connectionOptions } from './connection.mjs'
import { connectionError, databaseName, migrationFailed, shadowDatabaseRefused } from './errors.mjs'

/** @import { ApplyMigrationsInput, SchemaEngine } from '@prisma/schema-engine-wasm/schema_engine_bg' */
/** @import { UserFacingError } from './errors.mjs' */
/** @typedef {{ id: number, method?: string, params?: any }} Message */

// Node has it, its types of this version do not.
const { WebAssembly } = /** @type {any} */ (globalThis)

const { values: options, positionals: command } = parseArgs({
  strict: false,
  allowPositionals: true,
  options: { datasource: { type: 'string' }, datamodels: { type: 'string', multiple: true }, version: { type: 'boolean' } }
})
/** @type {string | undefined} */
const url = typeof options['datasource'] === 'string' ? JSON.parse(options['datasource']).url : undefined

/**
 * What PostgreSQL said last and to which script; the engine passes on no more than the message.
 * @type {{ script: string, error: Error & { code?: string } } | undefined}
 */
let scriptFailure
/** @type {Error | undefined} */
let shadowFailure
let panicMessage = ''

// The engine calls this by name just before it stops with a bare "unreachable".
Object.assign(globalThis, { PRISMA_WASM_PANIC_REGISTRY: { set_message: (/** @type {string} */ message) => { panicMessage = message } } })

const fileOfEngine = (/** @type {string} */ name) => new URL(name, import.meta.resolve('@prisma/schema-engine-wasm'))

/** @returns {Promise<SchemaEngine>} */
async function createEngine () {
  // Loaded only now: half of the starts are just to see whether the database is there.
  const { bindMigrationAwareSqlAdapterFactory } = await import('@prisma/driver-adapter-utils')
  const wasm = await import('@prisma/schema-engine-wasm/schema_engine_bg')
  const { MigrationAdapterFactory } = await import('./adapter.mjs')
  const bytes = await readFile(fileOfEngine('schema_engine_bg.wasm'))
  const { instance } = await WebAssembly.instantiate(bytes, { './schema_engine_bg.js': { ...wasm } })
  const exports = /** @type {Record<string, any>} */ (instance.exports)
  wasm.__wbg_set_wasm(exports)
  exports['__wbindgen_start']()
  const factory = new MigrationAdapterFactory(url ?? 'postgresql://localhost', {
    onScriptError: (script, error) => { scriptFailure = { script, error } },
    onShadowError: (error) => { shadowFailure = error }
  })
  const log = (/** @type {string} */ line) => process.stderr.write(line)
  return await wasm.SchemaEngine.new({ datamodels: undefined }, log, bindMigrationAwareSqlAdapterFactory(factory))
}

/**
 * @param {string} statement
 * @param {string} connectionUrl
 */
async function query (statement, connectionUrl) {
  const client = new pg.Client(connectionOptions(connectionUrl))
  client.on('error', () => {})
  try {
    await client.connect()
    return await client.query(statement)
  } finally {
    await client.end().catch(() => {})
  }
}

/**
 * @param {string | undefined} connectionUrl
 * @returns {Promise<UserFacingError | undefined>} why nobody gets in there, or nothing
 */
async function findConnectionError (connectionUrl) {
  if (connectionUrl === undefined) return undefined
  return await query('SELECT 1', connectionUrl).then(() => undefined, (error) => connectionError(error, new URL(connectionUrl)))
}

/**
 * Creates the database of a URL, from the one that every cluster has.
 * @param {string} connectionUrl
 */
async function createDatabase (connectionUrl) {
  const address = new URL(connectionUrl)
  const name = databaseName(address)
  address.pathname = '/postgres'
  await query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`, address.href)
  return { databaseName: name }
}

/**
 * @param {Message} message
 * @param {unknown} thrown by the engine
 * @returns {Promise<UserFacingError>}
 */
async function explain ({ method, params }, thrown) {
  const error = /** @type {Error & { code?: string }} */ (thrown)
  if (error instanceof WebAssembly.RuntimeError) return { is_panic: true, message: panicMessage || error.message }
  if (error.code !== undefined) return { error_code: error.code, message: error.message }
  if (shadowFailure !== undefined) return shadowDatabaseRefused(shadowFailure)
  if (method === 'applyMigrations' && scriptFailure !== undefined) {
    const { script, error: cause } = scriptFailure
    const { migrationDirectories } = /** @type {ApplyMigrationsInput} */ (params).migrationsList
    const migration = migrationDirectories.find(({ migrationFile: { content } }) => content.tag === 'ok' && content.value === script)
    if (migration !== undefined) return migrationFailed(migration.path, cause)
  }
  return await findConnectionError(url) ?? { message: scriptFailure?.error.message ?? error.message }
}

/** @param {object} message */
function send (message) {
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...message }) + '\n')
}

/** @type {Promise<SchemaEngine> | undefined} */
let engine
let printed = 0

/**
 * @param {string} method
 * @param {any} params
 */
async function call (method, params) {
  if (method === 'createDatabase') return await createDatabase(url ?? params.datasource.url)
  const schemaEngine = /** @type {any} */ (await (engine ??= createEngine()))
  // This build takes what all migrations make together from its memory only; the diagnosis is what works it out, in a shadow database.
  if (method === 'evaluateDataLoss') await schemaEngine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters })
  const result = await schemaEngine[method === 'getDatabaseVersion' ? 'version' : method](params)
  if (method !== 'diff') return result ?? {}
  // The command line prints what the engine asks it to, not what the result says.
  if (typeof result.stdout === 'string') send({ id: ++printed, method: 'print', params: { content: result.stdout } })
  return { exitCode: result.exitCode, stdout: null }
}

/**
 * @param {Message} message
 */
async function answer (message) {
  try {
    send({ id: message.id, result: await call(message.method ?? '', message.params) })
  } catch (error) {
    await refuse(message, error)
  }
}

/**
 * @param {Message} message
 * @param {unknown} thrown
 */
async function refuse (message, thrown) {
  const data = await explain(message, thrown)
  send({ id: message.id, error: { code: 4466, message: data.is_panic ? data.message : 'An error happened. Check the data field for details.', data } })
}

// Node's warnings are no lines of a log, and the command line fails over them.
process.removeAllListeners('warning')

if (options['version'] === true) {
  const { version } = JSON.parse(await readFile(fileOfEngine('package.json'), 'utf8'))
  process.stdout.write(`schema-engine-cli ${version}\n`)
} else if (command[0] === 'cli') {
  const task = command[1] === 'create-database' ? createDatabase(url ?? '') : query('SELECT 1', url ?? '')
  await task.catch((error) => {
    const fields = connectionError(error, new URL(url ?? ''))
    // The command line skips the first line and reads the rest as the native engine's log.
    process.stderr.write('\n' + JSON.stringify({ level: 'ERROR', target: 'schema_engine::logger', fields }))
    process.exitCode = 1
  })
} else {
  /** @type {Message | undefined} */
  let current
  // The engine's panics come out of a callback, not of the call. If this process stopped, the command line would end as if all were well.
  process.on('uncaughtException', (error) => { if (current !== undefined) refuse(current, error) })
  // Without the command line there is nobody to work for, even within a statement; PostgreSQL rolls that back.
  createInterface({ input: process.stdin }).on('close', () => process.exit()).on('line', (line) => {
    const message = /** @type {Message} */ (JSON.parse(line))
    // Anything else is its thanks for what it was asked to print.
    if (message.method !== undefined) answer(current = message)
  })
}
