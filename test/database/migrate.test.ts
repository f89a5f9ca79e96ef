// Migrations at start: whole or not at all, by any number of processes at once, and recorded as Prisma records them.

import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openEmbedded } from '../../src/database/embedded.js'
import { applyMigrations, refuseOldServer } from '../../src/database/migrate.js'
import { copyCluster, makeFolder, optionsFor, query, startUser, until } from './fixtures/processes.js'

const dataDir = await copyCluster(makeFolder(t))
const server = await openEmbedded(optionsFor(dataDir))
t.teardown(async () => { await server.close() })

let count = 0
async function createDatabase (): Promise<string> {
  const name = `test_${++count}`
  await query(server.url, `CREATE DATABASE ${name}`)
  return server.url.replace(/gatehouse$/, name)
}

/** A folder of migrations: name → SQL. */
function writeMigrations (directory: string, scripts: Record<string, string>): string {
  for (const [name, script] of Object.entries(scripts)) {
    mkdirSync(join(directory, name), { recursive: true })
    writeFileSync(join(directory, name, 'migration.sql'), script)
  }
  writeFileSync(join(directory, 'migration_lock.toml'), 'provider = "postgresql"\n')
  return directory
}

async function migrate (url: string, directory: string): Promise<{ applied: string[], lines: string[] }> {
  const lines: string[] = []
  return { applied: await applyMigrations(url, { directory, log: (line) => { lines.push(line) } }), lines }
}

const recorded = 'SELECT migration_name FROM _prisma_migrations ORDER BY started_at'

t.test('five processes at once on an empty database apply the migrations once', async (t) => {
  const url = await createDatabase()
  const directory = new URL('../../prisma/migrations', import.meta.url).pathname
  const names = readdirSync(directory).filter((name) => /^\d/.test(name)).sort()
  const users = [1, 2, 3, 4, 5].map(() => startUser({ databaseUrl: url, migrate: directory }))
  const applied = await Promise.all(users.map(async (user) => await user.line('applied')))
  t.same(applied.filter((line) => line !== '').sort(), [names.join(' ')])
  t.same(await applyMigrations(url, { log: t.fail }), [], 'the default folder is the package\'s; nothing is left to do')

  const rows = await query(url, 'SELECT * FROM _prisma_migrations ORDER BY started_at')
  t.same(rows.map((row) => row['migration_name']), names)
  for (const row of rows) {
    const script = readFileSync(join(directory, row['migration_name'], 'migration.sql'))
    t.match(row, { logs: null, rolled_back_at: null, applied_steps_count: 1, checksum: createHash('sha256').update(script).digest('hex') })
    t.match(row['id'], /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    t.ok(row['started_at'] <= row['finished_at'])
  }
})

t.test('through a pooler nothing is migrated, and what is up to date needs no more', async (t) => {
  const url = await createDatabase()
  const directory = writeMigrations(makeFolder(t), { '1_first': 'CREATE TABLE first (id int)' })
  const pooled = `${url}?pgbouncer=true`
  await t.rejects(migrate(pooled, directory), { message: /^the database lacks migrations, which cannot be applied through a pooler/ })
  await migrate(url, directory)
  t.same((await migrate(pooled, directory)).applied, [])
})

t.test('the table of records is the one that Prisma makes', async (t) => {
  const url = await createDatabase()
  await migrate(url, writeMigrations(makeFolder(t), { '1_first': 'SELECT 1' }))
  const columns = await query(url, `SELECT column_name, data_type, character_maximum_length AS length, is_nullable, column_default
    FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position`)
  t.same(columns.map((column) => Object.values(column)), [
    ['id', 'character varying', 36, 'NO', null],
    ['checksum', 'character varying', 64, 'NO', null],
    ['finished_at', 'timestamp with time zone', null, 'YES', null],
    ['migration_name', 'character varying', 255, 'NO', null],
    ['logs', 'text', null, 'YES', null],
    ['rolled_back_at', 'timestamp with time zone', null, 'YES', null],
    ['started_at', 'timestamp with time zone', null, 'NO', 'now()'],
    ['applied_steps_count', 'integer', null, 'NO', '0']
  ])
})

t.test('a migration that is killed half-way leaves nothing, and the next start waits for what still runs of it', async (t) => {
  const url = await createDatabase()
  const directory = writeMigrations(makeFolder(t), { '1_first': 'CREATE TABLE a ();', '2_slow': 'CREATE TABLE b (); SELECT pg_sleep(1);' })
  // A time-out meant for requests must cut neither the migration nor the wait.
  await query(url, `ALTER DATABASE ${new URL(url).pathname.slice(1)} SET statement_timeout = '300ms'`)
  const user = startUser({ databaseUrl: url, migrate: directory })
  await until(async () => (await query(url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1);' AND state = 'active' AND datname = current_database()")).length === 1)
  await user.kill()
  t.same(await query(url, recorded), [{ migration_name: '1_first' }])
  t.same(await migrate(url, directory), { applied: ['2_slow'], lines: ['waiting for another process that is migrating the database'] })
  t.same(await query(url, recorded), [{ migration_name: '1_first' }, { migration_name: '2_slow' }])
})

t.test('a migration that fails is named and leaves nothing', async (t) => {
  const url = await createDatabase()
  const directory = writeMigrations(makeFolder(t), { '1_good': 'CREATE TABLE a ();', '2_bad': 'CREATE TABLE b (); SELECT nonsense;' })
  await t.rejects(migrate(url, directory), { message: 'migration 2_bad failed and changed nothing: column "nonsense" does not exist' })
  t.same(await query(url, recorded), [{ migration_name: '1_good' }])
  t.same(await query(url, "SELECT to_regclass('b') AS b"), [{ b: null }])
  writeMigrations(directory, { '2_bad': 'CREATE TABLE b ();' })
  t.same(await migrate(url, directory), { applied: ['2_bad'], lines: [] })
})

t.test('what differs between the database and this build', async (t) => {
  const url = await createDatabase()
  const directory = writeMigrations(makeFolder(t), { '1_first': 'CREATE TABLE a ();', '2_second': 'CREATE TABLE b ();' })
  await migrate(url, directory)

  await t.test('an edited migration and an unknown one are told, and the start goes on', async (t) => {
    const older = writeMigrations(makeFolder(t), { '1_first': 'CREATE TABLE a (); -- edited' })
    t.same(await migrate(url, older), {
      applied: [],
      lines: [
        'migration 1_first was changed after it had been applied',
        'the database has migration 2_second, which this build does not know: it is newer than this build'
      ]
    })
    writeMigrations(older, { '3_third': 'CREATE TABLE c ();' })
    t.match(await migrate(url, older), { applied: ['3_third'], lines: { length: 2 } })
  })

  await t.test('one that `prisma migrate` left unfinished stops the start until it is resolved', async (t) => {
    await query(url, "UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name = '2_second'")
    await t.rejects(migrate(url, directory), /left migration 2_second unfinished: .*`npx prisma migrate resolve --applied 2_second`/)
    await query(url, "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = '2_second'; DROP TABLE b")
    t.match(await migrate(url, directory), { applied: ['2_second'] })
  })
})

t.test('what the operator has to put right', async (t) => {
  const url = await createDatabase()
  const directory = writeMigrations(makeFolder(t), { '1_first': 'SELECT 1' })
  await t.rejects(migrate(`${url}?options=-c%20search_path%3Dpg_catalog`, directory), { message: /^the database role may not create tables \(permission denied .*\): grant it CREATE/ })
  for (const level of ['repeatable\\ read', 'serializable']) {
    await t.rejects(migrate(`${url}?options=${encodeURIComponent(`-c default_transaction_isolation=${level}`)}`, directory),
      { message: /^the database begins transactions at the isolation level (REPEATABLE READ|SERIALIZABLE); Gatehouse needs READ COMMITTED: .*ALTER ROLE.*$/ })
  }
  const error = await migrate('postgresql://someone:secret@localhost:1/nothing', directory).catch((error: Error) => error) as Error
  t.match(error.message, /^cannot connect to the database: .*ECONNREFUSED/)
  t.notMatch(error.message, 'secret')
  t.throws(() => { refuseOldServer(130_012) }, { message: 'the database is PostgreSQL 13; Gatehouse needs version 14 or later' })
})
