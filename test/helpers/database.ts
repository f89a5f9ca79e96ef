/** A database for each test file: a clone of a template that was migrated once, on one PostgreSQL that all files share. */
import { createHash, randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import t from 'tap'
import { applyMigrations } from '../../src/database/migrate.js'
import { openDatabase } from '../../src/database/open.js'
import { PrismaClient } from '../../src/generated/prisma/client.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const silent = () => {}

/** Classes of advisory locks, which a killed run gives back by itself: the making of templates, and the life of a template or a clone. */
const makingLock = 7_283_101
const lifeLock = 7_283_102

/** One connection to one database. */
export async function connect (url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', silent)
  await client.connect()
  return client
}

let shared: Promise<{ url: string, template: string, admin: pg.Client }> | undefined

/** The server, with the template in it. The connection holds the locks of all that this process uses. */
function openServer () {
  shared ??= (async () => {
    const server = await openDatabase({
      databaseUrl: process.env['TEST_DATABASE_URL'] || undefined,
      dataDir: join(root, '.test-data'),
      use: 'command',
      isDurable: false,
      log: silent
    })
    const admin = await connect(server.url)
    t.teardown(async () => {
      await admin.end()
      await server.close()
    })
    return { url: server.url, template: await makeTemplate(server.url, admin), admin }
  })()
  return shared
}

const withName = (url: string, name: string) => {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

/** Makes the template of these migrations unless it is there. It gets its name last, so one that was cut off does not count. */
async function makeTemplate (url: string, admin: pg.Client): Promise<string> {
  const template = `gatehouse_template_${parseInt(hashOfMigrations(), 16)}`
  await admin.query('SELECT pg_advisory_lock($1, 0)', [makingLock])
  try {
    await admin.query('SELECT pg_advisory_lock_shared($1, $2)', [lifeLock, numberOf(template)])
    await removeLeftovers(admin, template)
    const { rowCount } = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [template])
    if (rowCount === 0) {
      const draft = 'gatehouse_template_draft'
      await admin.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
      await admin.query(`CREATE DATABASE ${draft} TEMPLATE template0`)
      await applyMigrations(withName(url, draft), { log: silent })
      await admin.query(`ALTER DATABASE ${draft} RENAME TO ${template}`)
    }
  } finally {
    await admin.query('SELECT pg_advisory_unlock($1, 0)', [makingLock])
  }
  return template
}

/** Seven hexadecimal digits: as a number it fits the key of an advisory lock. */
function hashOfMigrations (): string {
  const folder = join(root, 'prisma', 'migrations')
  const digest = createHash('sha256')
  for (const { name } of readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory()).sort((one, other) => one.name < other.name ? -1 : 1)) {
    digest.update(name).update(readFileSync(join(folder, name, 'migration.sql')))
  }
  return digest.digest('hex').slice(0, 7)
}

const numberOf = (name: string) => Number(/\d+$/.exec(name)?.[0])

/** Removes the clones of runs that were killed and the templates of other migrations: those whose lock nobody holds. */
async function removeLeftovers (admin: pg.Client, template: string): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    "SELECT datname AS name FROM pg_database WHERE datname ~ '^gatehouse_(test|template)_[0-9]+$' AND datname <> $1", [template])
  for (const { name } of rows) {
    const { rows: [lock] } = await admin.query('SELECT pg_try_advisory_lock($1, $2) AS taken', [lifeLock, numberOf(name)])
    if (lock.taken !== true) continue
    await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
    await admin.query('SELECT pg_advisory_unlock($1, $2)', [lifeLock, numberOf(name)])
  }
}

export interface TestDatabase {
  url: string
  /** A Prisma client on it, for calling services directly. */
  db: PrismaClient
  /** Runs one statement and gives its rows. */
  query: <Row extends pg.QueryResultRow = Record<string, any>> (sql: string, values?: unknown[]) => Promise<Row[]>
}

/** An empty, migrated database of this test file's own; dropped when the file's tests have ended. */
export async function openTestDatabase (): Promise<TestDatabase> {
  const { url: serverUrl, template, admin } = await openServer()
  const number = randomInt(1, 2_147_483_647)
  const name = `gatehouse_test_${number}`
  await admin.query('SELECT pg_advisory_lock($1, $2)', [lifeLock, number])
  await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`)
  const url = withName(serverUrl, name)
  const db = new PrismaClient({ adapter: new PrismaPg(url) })
  const client = await connect(url)
  t.teardown(async () => {
    await db.$disconnect()
    await client.end()
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
  })
  return { url, db, query: async (sql, values) => (await client.query(sql, values)).rows as never }
}

/** Resolves when a connection to this database waits for a lock: a way to have a race in the order that a test is about. */
export async function untilBlocked ({ query }: Pick<TestDatabase, 'query'>): Promise<void> {
  while ((await query("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")).length === 0);
}
