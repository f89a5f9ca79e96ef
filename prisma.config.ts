// What the Prisma command line works with: which schema engine, which database, and nothing from the network.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, chmodSync, constants, existsSync, readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { delimiter, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { defineConfig } from 'prisma/config'

const root = dirname(fileURLToPath(import.meta.url))

chooseSchemaEngine()
// Neither a report of use nor a question for updates: https://www.prisma.io/docs/orm/reference/environment-variables-reference
process.env['CHECKPOINT_DISABLE'] ??= '1'
process.env['PRISMA_HIDE_UPDATE_MESSAGE'] ??= '1'

const url = await findDatabaseUrl()

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  ...(url === undefined ? {} : { datasource: { url } })
})

/**
 * The native engine when it is named or installed, else the one in prisma/engine. npm does not carry the native one, and where
 * its download is out of reach every command would stop before it begins.
 */
function chooseSchemaEngine (): void {
  if (process.env['PRISMA_SCHEMA_ENGINE_BINARY']) return
  const engines = join(root, 'node_modules/@prisma/engines')
  if (existsSync(engines) && readdirSync(engines).some((name) => name.startsWith('schema-engine'))) return
  const engine = join(root, 'prisma/engine/schema-engine.mjs')
  try {
    accessSync(engine, constants.X_OK)
  } catch {
    // Not every way to copy a folder keeps the bit.
    chmodSync(engine, 0o755)
  }
  process.env['PRISMA_SCHEMA_ENGINE_BINARY'] = engine
  // The engine starts through `env node`: that is to be the Node that runs the command line.
  process.env['PATH'] = [dirname(process.execPath), process.env['PATH']].filter(Boolean).join(delimiter)
}

/** The database of the environment; without one, the embedded PostgreSQL, started only for commands that talk to a database. */
async function findDatabaseUrl (): Promise<string | undefined> {
  if (process.env['DATABASE_URL']) return process.env['DATABASE_URL']
  const { positionals: [command, task], values } = parseArgs({
    strict: false,
    allowPositionals: true,
    options: { config: { type: 'string' }, schema: { type: 'string' }, url: { type: 'string' }, help: { type: 'boolean', short: 'h' } }
  })
  const needsDatabase = command === 'studio' || ((command === 'migrate' || command === 'db') && task !== undefined)
  if (!needsDatabase || values['url'] !== undefined || values['help'] === true) return undefined
  return await openEmbeddedDatabase()
}

/** Starts or joins the embedded PostgreSQL until this process is gone, however it ends, and returns the URL. */
async function openEmbeddedDatabase (): Promise<string> {
  const dataDir = resolve(root, process.env['DATA_DIR'] || '.data')
  const keeper = spawn(process.execPath, ['--import', 'tsx', 'prisma/engine/keep-database.ts', dataDir], { cwd: root, detached: true })
  keeper.stderr.pipe(process.stderr)
  const [url] = await Promise.race([once(createInterface({ input: keeper.stdout }), 'line'), once(keeper, 'close')])
  // It has said why, in one line.
  if (typeof url !== 'string') process.exit(1)
  // Only the pipe to its standard input stays, and keeps nobody from ending.
  keeper.stdout.destroy()
  keeper.stderr.destroy()
  const pipe = keeper.stdin as Socket
  pipe.unref()
  keeper.unref()
  return url
}
