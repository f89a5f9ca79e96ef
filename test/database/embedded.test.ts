// The embedded PostgreSQL survives what people do to it: several users at once, kill -9 of either side, a port taken, a server that hangs.

import { appendFileSync, existsSync, readFileSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import pg from 'pg'
import t from 'tap'
import { openEmbedded } from '../../src/database/embedded.js'
import { choosePort, findPostmaster, isPostmasterOf, readPostmasterPid, readPreviousPort } from '../../src/database/postmaster.js'
import { copyCluster, makeFolder, optionsFor, query, runningPid, startUser, until } from './fixtures/processes.js'

// One cluster for all, one test after another: each begins and ends with a server that does not run.
const dataDir = await copyCluster(makeFolder(t))
const data = join(dataDir, 'postgres', 'data')
const record = join(data, 'postmaster.pid')

async function occupy (port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Makes every start fail until the returned function is called. */
function breakConfiguration (): () => void {
  const file = join(data, 'postgresql.conf')
  const size = statSync(file).size
  appendFileSync(file, '\nshared_buffers = nonsense\n')
  return () => { truncateSync(file, size) }
}

t.afterEach(() => { if (runningPid(dataDir) !== undefined) throw new Error('PostgreSQL still runs') })

t.test('a second service is refused and harms nothing; commands come and go beside the first', async (t) => {
  const service = await openEmbedded(optionsFor(dataDir, 'service'))
  const pid = runningPid(dataDir)
  await t.rejects(openEmbedded({ ...optionsFor(dataDir, 'service'), serviceWaitMs: 200 }),
    { message: /^another Gatehouse service already runs on this DATA_DIR; .* by DATABASE_URL.*$/ })
  const options = optionsFor(dataDir)
  const command = await openEmbedded(options)
  t.equal(command.url, service.url)
  t.same(options.lines, [], 'a quiet join')
  await command.close()
  t.equal(runningPid(dataDir), pid)
  t.same(await query(service.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await service.close()
})

t.test('a command that started it does not stop it under a service that came meanwhile', async (t) => {
  const command = await openEmbedded(optionsFor(dataDir))
  const service = await openEmbedded(optionsFor(dataDir, 'service'))
  await command.close()
  t.same(await query(service.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await service.close()
})

t.test('users that come and go all at once never meet a closed door', async () => {
  await Promise.all([1, 2, 3, 4].map(async () => {
    for (let round = 0; round < 3; round++) {
      const database = await openEmbedded(optionsFor(dataDir))
      await query(database.url, 'SELECT 1')
      await database.close()
    }
  }))
})

t.test('who is cut off while another process may be stopping the server begins anew', async (t) => {
  const user = startUser(optionsFor(dataDir))
  const url = await user.line('ready')
  await user.kill()
  const other = new pg.Client({ connectionString: url.replace(/[^/]*$/, 'postgres') })
  await other.connect()
  // The lock of a process that stops the server.
  await until(async () => (await other.query('SELECT pg_try_advisory_lock(1) AS taken')).rows[0].taken)
  const joining = openEmbedded(optionsFor(dataDir))
  const cutOff = async () => (await other.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")).rowCount === 1
  await until(cutOff)
  await until(cutOff)
  await other.end()
  const database = await joining
  t.same(await query(database.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await database.close()
})

t.test('after kill -9 of the service the next one adopts its PostgreSQL and says so', async (t) => {
  const user = startUser(optionsFor(dataDir, 'service'))
  const url = await user.line('ready')
  const pid = runningPid(dataDir)
  await user.kill()
  t.equal(runningPid(dataDir), pid, 'it was left behind')
  const options = optionsFor(dataDir, 'service')
  const service = await openEmbedded(options)
  t.same(options.lines, [`adopted the PostgreSQL that an earlier run left behind (pid ${pid})`])
  t.equal(service.url, url)
  await service.close()
})

t.test('a service that ends in order stops it, Ctrl-C on its terminal does not', async (t) => {
  const user = startUser(optionsFor(dataDir, 'service'), { detached: true })
  await user.line('ready')
  const pid = Number(runningPid(dataDir))
  const session = (of: number | string): string | undefined => readFileSync(`/proc/${of}/stat`, 'utf8').split(') ')[1]?.split(' ')[3]
  t.not(session(pid), session(Number(user.child.pid)), 'a session of its own')
  await user.end()
})

t.test('kill -9 of PostgreSQL under a service: it comes back on the same port', async (t) => {
  const options = optionsFor(dataDir, 'service')
  const service = await openEmbedded(options)
  const pid = Number(runningPid(dataDir))
  process.kill(pid, 'SIGKILL')
  await until(async () => (await query(service.url, 'SELECT 1')).length === 1 && options.lines.length === 2)
  t.same(options.lines, ['PostgreSQL has gone away; starting it again', `PostgreSQL is back (pid ${runningPid(dataDir)})`])
  await t.rejects(openEmbedded({ ...optionsFor(dataDir, 'service'), serviceWaitMs: 0 }), /another Gatehouse service/, 'the locks are taken again')
  await service.close()
})

t.test('it comes back on its port only, as soon as that is free', async (t) => {
  const options = { ...optionsFor(dataDir, 'service'), patienceMs: 50 }
  const service = await openEmbedded(options)
  const port = Number(new URL(service.url).port)
  const saidNotBack = async (reason: RegExp): Promise<void> => {
    await until(() => options.lines.some((line) => line.startsWith('PostgreSQL is not back yet: ') && reason.test(line)))
  }
  const repair = breakConfiguration()
  process.kill(Number(runningPid(dataDir)), 'SIGKILL')
  await saidNotBack(/nonsense/)
  const thief = await occupy(port)
  repair()
  await saidNotBack(/could not bind .* Address already in use/)
  const command = await openEmbedded(optionsFor(dataDir))
  t.not(new URL(command.url).port, String(port), 'a command takes another port')
  await saidNotBack(new RegExp(`it is in use on port ${new URL(command.url).port} instead of ${port}`))
  await command.close()
  thief.close()
  await until(() => options.lines.some((line) => line.startsWith('PostgreSQL is back')))
  t.same(await query(service.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await service.close()
})

t.test('a service that closes while PostgreSQL is away waits for it no longer', async (t) => {
  const options = optionsFor(dataDir, 'service')
  const service = await openEmbedded(options)
  const repair = breakConfiguration()
  process.kill(Number(runningPid(dataDir)), 'SIGKILL')
  await until(() => options.lines.length > 1)
  await service.close()
  t.equal(runningPid(dataDir), undefined)
  repair()
})

t.test('the port of the last start is taken: another one will do', async (t) => {
  const port = Number(readPreviousPort(data))
  const thief = await occupy(port)
  const database = await openEmbedded(optionsFor(dataDir))
  t.not(new URL(database.url).port, String(port))
  t.same(await query(database.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await database.close()
  thief.close()
  t.equal(await choosePort(port), port)
})

t.test('a server that hangs is waited for, then stopped', async (t) => {
  const user = startUser(optionsFor(dataDir))
  await user.line('ready')
  const pid = Number(runningPid(dataDir))
  await user.kill()
  process.kill(pid, 'SIGSTOP')
  const options = { ...optionsFor(dataDir), patienceMs: 1000, stopStepMs: 200 }
  const database = await openEmbedded(options)
  t.same(options.lines, [
    `waiting for PostgreSQL (pid ${pid}), which is ready but does not answer yet`,
    `PostgreSQL (pid ${pid}) does not answer; stopping it`
  ])
  t.same(await query(database.url, 'SELECT 1 AS one'), [{ one: 1 }])
  await database.close()
})

t.test('a record that lies does not keep it from starting', async (t) => {
  const write = (pid: number | string): void => { writeFileSync(record, `${pid}\n${data}\n1\n5432\n\n127.0.0.1\n`) }
  const startsWell = async (): Promise<boolean> => {
    const database = await openEmbedded(optionsFor(dataDir))
    const rows = await query(database.url, 'SELECT 1')
    await database.close()
    return rows.length === 1
  }
  write(999999999)
  t.ok(await startsWell(), 'a dead process')
  write(process.pid)
  t.ok(await startsWell(), 'another program')
  t.ok(existsSync(`/proc/${process.pid}`), 'which was left alone')

  writeFileSync(record, '')
  t.equal(findPostmaster(data), undefined)
  t.ok(existsSync(record), 'one that is just being written')
  utimesSync(record, 1, 1)
  t.ok(await startsWell(), 'one that a power cut left empty')
  t.equal(readPostmasterPid(dataDir), undefined)

  const nowhere = { proc: '/nowhere', ps: '/nowhere/ps' }
  t.equal(isPostmasterOf(process.pid, data, { ...nowhere, ps: 'ps' }), false, 'ps tells where there is no /proc')
  t.equal(isPostmasterOf(process.pid, data, nowhere), true, 'where nothing tells, the record is believed')
})

t.test('a start that fails gives the reason and what to do', async (t) => {
  const repair = breakConfiguration()
  await t.rejects(openEmbedded(optionsFor(dataDir)), {
    message: new RegExp(`^PostgreSQL does not start: .*shared_buffers.*nonsense.* Put that right \\(its log is ${dataDir}/postgres/postgres.log\\), or set DATABASE_URL$`)
  })
  repair()
})

t.test('one older log is kept', async (t) => {
  const log = join(dataDir, 'postgres', 'postgres.log')
  truncateSync(log, 6_000_000)
  await (await openEmbedded(optionsFor(dataDir))).close()
  t.equal(statSync(`${log}.old`).size, 6_000_000)
  t.ok(statSync(log).size < 100_000)
  rmSync(`${log}.old`)
})

t.test('a folder that is removed under a user does not keep it from closing', async () => {
  const database = await openEmbedded(optionsFor(dataDir))
  process.kill(Number(runningPid(dataDir)), 'SIGKILL')
  await until(() => runningPid(dataDir) === undefined)
  await database.close()
})
