// Prisma's own command line, run for real on copies of the schema, with the engine that stands in for the native one.
import t from 'tap'
import { applyMigrations } from '../../src/database/migrate.js'
import { openDatabase } from '../../src/database/open.js'
import { copyCluster, makeFolder, until } from '../database/fixtures/processes.js'
import { copyProject, createDatabase, databaseUrl, query } from './prisma-project.js'

const server = await openDatabase({ dataDir: await copyCluster(makeFolder(t)), use: 'command', isDurable: false, log: () => {} })
t.teardown(async () => { await server.close() })

const columnNames = async (url: string, table: string) =>
  (await query(url, `SELECT column_name FROM information_schema.columns WHERE table_name = '${table}'`)).map((row) => row.column_name)
// The command line takes two seconds a run, more beside others.
t.jobs = 2

t.test('the migrations say what schema.prisma says', { buffered: true }, async (t) => {
  const { prisma } = copyProject(t)
  const { code, text } = await prisma(
    ['migrate', 'diff', '--from-migrations', 'prisma/migrations', '--to-schema', 'prisma/schema.prisma', '--exit-code'],
    { DATABASE_URL: server.url })
  t.equal(code, 0, `schema.prisma was changed without a migration, make one with \`npm run migrate -- --name …\`: ${text}`)
  t.match(text, 'No difference detected.')
})

t.test('what our own start applied is what Prisma calls up to date', { buffered: true }, async (t) => {
  const { prisma } = copyProject(t)
  const DATABASE_URL = await createDatabase(server.url, 'applied')
  await applyMigrations(DATABASE_URL, { log: () => {} })
  const status = await prisma(['migrate', 'status'], { DATABASE_URL })
  t.match(status, { code: 0, text: 'Database schema is up to date!' })
  const dev = await prisma(['migrate', 'dev'], { DATABASE_URL })
  t.match(dev, { code: 0, text: 'Already in sync, no schema change or pending migration was found.' })
})

t.test('development: create the database, change the schema, change it back', { buffered: true }, async (t) => {
  const { prisma, editSchema, readMigration, addMigration } = copyProject(t)
  const DATABASE_URL = databaseUrl(server.url, 'development')

  editSchema('model Session {', 'model Session {\n  note String?')
  const added = await prisma(['migrate', 'dev', '--name', 'add_note'], { DATABASE_URL })
  t.match(added, { code: 0, text: 'Your database is now in sync with your schema.' }, 'a database that is not there is created')
  t.equal(readMigration('_add_note'), '-- AlterTable\nALTER TABLE "sessions" ADD COLUMN     "note" TEXT;\n')
  t.ok((await columnNames(DATABASE_URL, 'sessions')).includes('note'))

  editSchema('  note String?', '  remark String?')
  const renamed = await prisma(['migrate', 'dev', '--name', 'rename_note', '--create-only'], { DATABASE_URL })
  t.match(renamed, { code: 0, text: 'without applying' }, 'an empty column may go without a question')
  t.match(readMigration('_rename_note'), /DROP COLUMN "note",\nADD COLUMN +"remark" TEXT;/)
  t.notOk((await columnNames(DATABASE_URL, 'sessions')).includes('remark'), '--create-only applies nothing')

  addMigration('20990101000000_touch', `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.remark := 'one; two';
  RETURN NEW;
END;
$$;
CREATE TRIGGER sessions_touch BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION touch();
`)
  const applied = await prisma(['migrate', 'dev'], { DATABASE_URL })
  t.match(applied, { code: 0, text: '20990101000000_touch' }, 'semicolons within a function cut nothing')
  await query(DATABASE_URL, `
    INSERT INTO users (id, email, name, password_hash) VALUES (gen_random_uuid(), 'a@example.org', 'a', '$argon2id$');
    INSERT INTO sessions (id, secret_hash, user_id, expires_at, absolute_expires_at, ip)
      SELECT gen_random_uuid(), sha256(''), id, now(), now(), '::1' FROM users`)
  t.strictSame(await query(DATABASE_URL, 'SELECT remark FROM sessions'), [{ remark: 'one; two' }])

  editSchema('  remark String?', '')
  const refused = await prisma(['migrate', 'dev', '--name', 'drop_remark'], { DATABASE_URL })
  t.match(refused, { code: 1, text: 'environment is non-interactive' }, 'nobody is there to confirm the loss of data')
  const pushed = await prisma(['db', 'push'], { DATABASE_URL })
  t.match(pushed, { code: 1, text: /drop the column `remark` on the `sessions` table, which still contains 1 non-null values[^]*--accept-data-loss/ })
  t.ok((await columnNames(DATABASE_URL, 'sessions')).includes('remark'))
  t.throws(() => readMigration('_drop_remark'))

  const reset = await prisma(['migrate', 'reset', '--force'], { DATABASE_URL })
  t.match(reset, { code: 0, text: '20990101000000_touch' })
  t.strictSame(await query(DATABASE_URL, 'SELECT 1 FROM users'), [])
})

t.test('deployment: pending, applied, failed, resolved', { buffered: true }, async (t) => {
  const { prisma, addMigration } = copyProject(t)
  const DATABASE_URL = await createDatabase(server.url, 'deployment')

  t.match(await prisma(['migrate', 'status'], { DATABASE_URL }), { code: 1, text: 'not yet been applied' })
  t.match(await prisma(['migrate', 'deploy'], { DATABASE_URL }), { code: 0, text: 'All migrations have been successfully applied.' })
  t.strictSame(await applyMigrations(DATABASE_URL, { log: () => {} }), [], 'our own start agrees')

  addMigration('20990101000000_broken', 'CREATE TABLE broken (id int);\nSELECT 1/0;\n')
  t.match(await prisma(['migrate', 'deploy'], { DATABASE_URL }),
    { code: 1, text: /P3018[^]*Migration name: 20990101000000_broken[^]*error code: 22012[^]*division by zero/ })
  t.strictSame(await columnNames(DATABASE_URL, 'broken'), [], 'a script is applied as a whole or not at all')
  t.match(await prisma(['migrate', 'deploy'], { DATABASE_URL }), { code: 1, text: /P3009[^]*20990101000000_broken/ })
  t.match(await prisma(['migrate', 'resolve', '--rolled-back', '20990101000000_broken'], { DATABASE_URL }), { code: 0 })
})

t.test('who cannot connect reads why, with the code of Prisma\'s documentation', { buffered: true }, async (t) => {
  const { prisma } = copyProject(t)
  const wrongPassword = new URL(server.url)
  wrongPassword.password = 'wrong'
  const nobodyThere = new URL(server.url)
  nobodyThere.port = '1'
  const [wrong, away, noCluster] = await Promise.all([
    prisma(['migrate', 'status'], { DATABASE_URL: wrongPassword.href }),
    prisma(['db', 'pull', '--print'], { DATABASE_URL: nobodyThere.href }),
    prisma(['migrate', 'status'], { DATA_DIR: 'package.json' })
  ])
  t.match(wrong, { code: 1, text: 'P1000: Authentication failed' })
  t.match(away, { code: 1, text: /P1001[^]*Can't reach database server/ })
  t.match(noCluster, { code: 1, text: 'package.json' })
  t.notMatch(noCluster.text, /^\s+at /m, 'one line, no stack')
})

t.test('no shadow database is left behind', async (t) => {
  // On a busy machine there was still one right after the last command had ended, and a moment later there was none.
  await until(async () => (await query(server.url, "SELECT datname FROM pg_database WHERE datname LIKE 'prisma_migrate_shadow%'")).length === 0)
  t.pass()
})
