// Applies the migrations at start, in the format of Prisma Migrate, so that its commands agree with what we did. Our own code rather than
// `prisma migrate deploy`, because here each migration and its record are one transaction: a kill leaves all of it or nothing.

import { createHash, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import { connect, disconnect } from './connection.js'

export interface MigrationOptions {
  /** The folder of migrations. Default: the package's prisma/migrations. */
  directory?: string
  /** Receives what an operator should know, one line a call. */
  log: (line: string) => void
}

interface Migration { name: string, script: string, checksum: string }
interface Row { migration_name: string, checksum: string, finished_at: Date | null, rolled_back_at: Date | null }

// The number that Prisma's own commands lock, so that a `migrate deploy` and a start wait for each other.
// https://www.prisma.io/docs/orm/prisma-migrate/workflows/development-and-production#advisory-locking
const prismaLock = 72707369

// As Prisma creates it.
const createTable = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id                  VARCHAR(36) PRIMARY KEY NOT NULL,
  checksum            VARCHAR(64) NOT NULL,
  finished_at         TIMESTAMPTZ,
  migration_name      VARCHAR(255) NOT NULL,
  logs                TEXT,
  rolled_back_at      TIMESTAMPTZ,
  started_at          TIMESTAMPTZ NOT NULL DEFAULT now(),
  applied_steps_count INTEGER NOT NULL DEFAULT 0
)`

/**
 * Brings the database to this build's schema. Any number of processes may do so at once.
 * A migration runs inside a transaction, so it can hold nothing that PostgreSQL refuses there (CREATE INDEX CONCURRENTLY).
 * @param url a PostgreSQL connection URL
 * @returns the names of the migrations that this call applied, in order
 * @throws Error with one line that names the migration or what the operator has to do; never the URL
 */
export async function applyMigrations (url: string, { directory, log }: MigrationOptions): Promise<string[]> {
  const migrations = await readMigrations(directory ?? fileURLToPath(new URL('../../prisma/migrations', import.meta.url)))
  const client = await connect({ connectionString: url, connectionTimeoutMillis: 10_000, application_name: 'gatehouse migrate' })
    // A refusal on both addresses of a name comes as an AggregateError without a message.
    .catch((error: NodeJS.ErrnoException) => {
      const reason = [error.message, error.code].find((text) => text !== '')
      throw new Error(`cannot connect to the database: ${reason}`, { cause: error })
    })
  const work = async () => {
    const { rows: [server] } = await client.query("SELECT current_setting('server_version_num')::int AS version, current_setting('default_transaction_isolation') AS isolation, to_regclass('_prisma_migrations') IS NOT NULL AS \"hasTable\"")
    refuseOldServer(server.version)
    refuseIsolation(server.isolation)
    // Mostly there is nothing to do, and then nobody has to wait for anybody.
    const { pending, unfinished, warnings } = compare(migrations, server.hasTable ? await readRows(client) : [])
    if (pending.length > 0 || unfinished.length > 0) {
      // The lock and the settings belong to a connection. A pooler gives each transaction another one, and would keep the lock.
      if (new URL(url).searchParams.get('pgbouncer') === 'true') {
        throw new Error('the database lacks migrations, which cannot be applied through a pooler: start once with a DATABASE_URL that leads to PostgreSQL itself')
      }
      return await applyUnderLock(client, migrations, log)
    }
    warnings.forEach(log)
    return []
  }
  return await work().catch((error) => { throw explain(error) }).finally(async () => await disconnect(client))
}

/** @throws Error for a PostgreSQL older than 14, the oldest that is tested; `version` is its server_version_num */
export function refuseOldServer (version: number): void {
  if (version < 140_000) throw new Error(`the database is PostgreSQL ${Math.floor(version / 10_000)}; Gatehouse needs version 14 or later`)
}

/** @throws Error for a default_transaction_isolation at which no lock would help: who has waited for it would not see what others did meanwhile */
function refuseIsolation (isolation: string): void {
  if (isolation.startsWith('read ')) return
  throw new Error(`the database begins transactions at the isolation level ${isolation.toUpperCase()}; Gatehouse needs READ COMMITTED: set default_transaction_isolation to it, for its role with ALTER ROLE or in DATABASE_URL`)
}

async function readMigrations (directory: string): Promise<Migration[]> {
  const folders = (await readdir(directory, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  return await Promise.all(folders.map(({ name }) => name).sort().map(async (name) => {
    const script = await readFile(join(directory, name, 'migration.sql'), 'utf8')
    return { name, script, checksum: createHash('sha256').update(script).digest('hex') }
  }))
}

async function readRows (client: pg.Client): Promise<Row[]> {
  return (await client.query<Row>('SELECT migration_name, checksum, finished_at, rolled_back_at FROM _prisma_migrations ORDER BY started_at')).rows
}

function compare (migrations: Migration[], rows: Row[]): { pending: Migration[], unfinished: string[], warnings: string[] } {
  const standing = rows.filter((row) => row.rolled_back_at === null)
  const applied = new Map(standing.filter((row) => row.finished_at !== null).map((row) => [row.migration_name, row.checksum]))
  const known = new Set(migrations.map(({ name }) => name))
  return {
    pending: migrations.filter(({ name }) => !applied.has(name)),
    unfinished: standing.filter((row) => row.finished_at === null).map((row) => row.migration_name),
    warnings: [
      ...migrations.filter(({ name, checksum }) => applied.has(name) && applied.get(name) !== checksum)
        .map(({ name }) => `migration ${name} was changed after it had been applied`),
      // Not an error: while instances are replaced one by one, old ones meet the new schema.
      ...[...applied.keys()].filter((name) => !known.has(name))
        .map((name) => `the database has migration ${name}, which this build does not know: it is newer than this build`)
    ]
  }
}

async function applyUnderLock (client: pg.Client, migrations: Migration[], log: (line: string) => void): Promise<string[]> {
  // The role or the database may set time-outs for requests; waiting for another process and altering a large table take their time.
  await client.query('SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0')
  const { rows: [lock] } = await client.query('SELECT pg_try_advisory_lock($1) AS taken', [prismaLock])
  if (lock.taken !== true) {
    log('waiting for another process that is migrating the database')
    await client.query('SELECT pg_advisory_lock($1)', [prismaLock])
  }
  await client.query(createTable)
  const { pending, unfinished, warnings } = compare(migrations, await readRows(client))
  if (unfinished.length > 0) {
    throw new Error(`an interrupted \`prisma migrate\` left migration ${unfinished[0]} unfinished: see what it did, then run ` +
      `\`npx prisma migrate resolve --applied ${unfinished[0]}\` or \`--rolled-back ${unfinished[0]}\``)
  }
  warnings.forEach(log)
  for (const migration of pending) await applyMigration(client, migration)
  return pending.map(({ name }) => name)
}

async function applyMigration (client: pg.Client, { name, script, checksum }: Migration): Promise<void> {
  const startedAt = new Date()
  try {
    await client.query('BEGIN')
    await client.query(script)
    await client.query(
      `INSERT INTO _prisma_migrations (id, checksum, migration_name, started_at, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, $4, clock_timestamp(), 1)`, [randomUUID(), checksum, name, startedAt])
    await client.query('COMMIT')
  } catch (error) {
    // The connection ends with this error, and the transaction with the connection.
    throw new Error(`migration ${name} failed and changed nothing: ${(error as Error).message}`, { cause: error })
  }
}

/** @param error of PostgreSQL or our own; 42501 is insufficient_privilege */
function explain (error: Error & { code?: string }): Error {
  if (error.code !== '42501') return error
  return new Error(`the database role may not create tables (${error.message}): grant it CREATE on the schema, or let a role that may apply the migrations`, { cause: error })
}
