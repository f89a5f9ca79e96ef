// What the first start makes: a complete cluster or nothing, closed to everybody else, wherever it lies.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { openEmbedded } from '../../src/database/embedded.js'
import { openDatabase } from '../../src/database/open.js'
import { chooseIdentity, handOver, lastLines, locatePrograms, rootDefaults } from '../../src/database/programs.js'
import { isRoot, makeFolder, optionsFor, query, runningPid, startUser } from './fixtures/processes.js'

// initdb takes a second or two, so the tests that only need some cluster share this one, one after another.
const shared = join(makeFolder(t), 'a folder', '.data')

t.test('DATABASE_URL is used as it is', async (t) => {
  const database = await openDatabase({ ...optionsFor('/nowhere'), databaseUrl: 'postgresql://somewhere/else' })
  t.equal(database.url, 'postgresql://somewhere/else')
  t.equal(database.isEmbedded, false)
  await database.close()
})

t.test('the first start makes a private database in a folder with blanks', async (t) => {
  const dataDir = shared
  const options = optionsFor(dataDir)
  const database = await openDatabase({ dataDir, use: 'service', log: options.log })
  t.teardown(async () => { await database.close() })
  t.equal(database.isEmbedded, true)
  t.same(options.lines, [`creating the database in ${dataDir}/postgres (first start only)`])
  t.same(readdirSync(dataDir), ['postgres'], 'nothing else is left')
  t.same(readdirSync(join(dataDir, 'postgres')).sort(), ['credentials.json', 'data', 'postgres.log'])
  for (const folder of ['.', 'postgres', 'postgres/data']) t.equal(statSync(join(dataDir, folder)).mode & 0o777, 0o700, folder)
  for (const file of ['credentials.json', 'postgres.log']) t.equal(statSync(join(dataDir, 'postgres', file)).mode & 0o777, 0o600, file)

  const [role] = await query(database.url, `SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
    pg_get_userbyid(datdba) AS owner, datname FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()`)
  t.same(role, {
    rolname: 'gatehouse', rolsuper: false, rolcreatedb: true, rolcreaterole: false, rolreplication: false, rolbypassrls: false, owner: 'gatehouse', datname: 'gatehouse'
  })
  const settings = await query(database.url, `SELECT name, setting FROM pg_settings
    WHERE name IN ('listen_addresses', 'server_encoding', 'fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name`)
  t.same(settings.map(({ name, setting }) => `${name}=${setting}`),
    ['fsync=on', 'full_page_writes=on', 'listen_addresses=127.0.0.1', 'server_encoding=UTF8', 'synchronous_commit=on'])
  t.same(await query(database.url, "SELECT lower('ÄÖ') AS lower"), [{ lower: 'äö' }], 'letters beyond ASCII have a case')

  await t.rejects(query(database.url.replace(/:[^:@]+@/, ':wrong@'), 'SELECT 1'), /password authentication failed/)
  await t.rejects(query(database.url.replace('gatehouse:', 'postgres:'), 'SELECT 1'), /password authentication failed/, 'the superuser has no password')
  const sockets = readFileSync('/proc/net/unix', 'utf8') + (existsSync('/proc/net/tcp6') ? readFileSync('/proc/net/tcp6', 'utf8') : '')
  t.notMatch(sockets, `.s.PGSQL.${new URL(database.url).port}`, 'no Unix socket')
})

t.test('close stops it, the next start keeps the port, and closing twice is harmless', async (t) => {
  const dataDir = shared
  const first = await openEmbedded(optionsFor(dataDir))
  t.ok(runningPid(dataDir))
  t.same(await query(first.url, 'SHOW fsync'), [{ fsync: 'off' }], 'a test database gives up durability')
  await first.close()
  await first.close()
  t.equal(runningPid(dataDir), undefined)
  const options = optionsFor(dataDir)
  const second = await openEmbedded(options)
  t.equal(second.url, first.url)
  t.same(options.lines, [], 'nothing to report')
  await second.close()
})

t.test('two first starts at once get the same database', async (t) => {
  const dataDir = makeFolder(t)
  const databases = await Promise.all([1, 2].map(async () => await openEmbedded(optionsFor(dataDir))))
  t.equal(new Set(databases.map(({ url }) => url)).size, 1)
  await Promise.all(databases.map(async (database) => { await database.close() }))
  t.equal(runningPid(dataDir), undefined)
  t.same(readdirSync(dataDir), ['postgres'])
})

t.test('a start that was killed at any moment is followed by one that works', async (t) => {
  const dataDir = makeFolder(t)
  for (const afterMs of [150, 600]) {
    const user = startUser(optionsFor(dataDir))
    await user.line('log')
    await sleep(afterMs)
    await user.kill()
  }
  const database = await openEmbedded(optionsFor(dataDir))
  t.same(await query(database.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await database.close()
  t.same(readdirSync(dataDir), ['postgres'])
})

t.test('only left-overs that nobody can still be working on are removed', async (t) => {
  const dataDir = shared
  const [dead, ours, old] = ['postgres.new-999999999-a', `postgres.new-${process.pid}-b`, `postgres.new-${process.pid}-c`]
  for (const name of [dead, ours, old]) mkdirSync(join(dataDir, name))
  utimesSync(join(dataDir, old), 0, 0)
  await (await openEmbedded(optionsFor(dataDir))).close()
  t.same(readdirSync(dataDir).sort(), ['postgres', ours])
  rmSync(join(dataDir, ours), { recursive: true })
})

t.test('what cannot be used is told in one line', async (t) => {
  const folder = makeFolder(t)
  const file = join(folder, 'file')
  writeFileSync(file, '')
  await t.rejects(openEmbedded(optionsFor(file)), { message: /^the embedded database in .*file\/postgres cannot be used: EEXIST.*$/ })

  const dataDir = shared
  const credentials = join(dataDir, 'postgres', 'credentials.json')
  writeFileSync(credentials, '{"password":"another"}')
  await t.rejects(openEmbedded(optionsFor(dataDir)), /refuses us: password authentication failed/)
  writeFileSync(credentials, '{}')
  await t.rejects(openEmbedded(optionsFor(dataDir)), /credentials.json has no password/)

  await t.rejects(locatePrograms('win32', 'vax'), /for windows-vax: .* or set DATABASE_URL/)
  await t.rejects(chooseIdentity({ initdb: '', postgres: '/nowhere/postgres' }, folder, folder, { ...rootDefaults, isRoot: false }),
    /does not run on this machine \(.*ENOENT.*\): run npm rebuild/)
  if (!isRoot) await t.rejects(handOver({ prefix: [], spawnOptions: {}, owner: { uid: 0, gid: 0 } }, folder), /not permitted/, 'nor may we give files away')
  t.equal(lastLines(''), 'it said nothing')
  t.equal(lastLines('a\nb\n'), 'a; b')
  t.equal(lastLines('running bootstrap script ... 2026-11-22 20:55:22.945 UTC [1] FATAL:  no\n2026-11-22 20:55:22.945 UTC [1] LOG:  database system is shut down\n'), 'FATAL:  no')
})

t.test('a disk that fills up during the first start leaves nothing', async (t) => {
  const folder = makeFolder(t)
  // Stands in for unshare: runs what it is given, save initdb, which fails as on a full disk.
  const fullDisk = join(folder, 'full-disk')
  writeFileSync(fullDisk, '#!/bin/sh\nshift 3\ncase "$1" in *initdb) echo \'initdb: error: could not write file "x": No space left on device\' >&2; exit 1;; esac\nexec "$@"\n', { mode: 0o755 })
  const dataDir = join(folder, '.data')
  await t.rejects(openEmbedded({ ...optionsFor(dataDir), rootOptions: { isRoot: true, unshare: fullDisk, users: [] } }),
    { message: /^the embedded database in .* cannot be used: initdb: error: could not write file "x": No space left on device$/ })
  t.same(readdirSync(dataDir), [])
})
