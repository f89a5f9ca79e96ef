/** The stop: readiness first, then what is under way, then HTTP, the pool and PostgreSQL; and that nothing holds it up. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectSocket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { connect, openTestDatabase, untilBlocked } from '../helpers/database.js'
import { copyCluster, makeFolder, runningPid, until } from '../database/fixtures/processes.js'
import { password, type ProgramOptions, send, type Service, signUp, start, startProgram, startService } from './fixtures/programs.js'

const database = await openTestDatabase()
const dataDir = await copyCluster(makeFolder(t))
const startOnDatabase = async (t: Parameters<typeof startService>[0], options?: ProgramOptions) =>
  await startService(t, { DATABASE_URL: database.url, DATA_DIR: dataDir }, options)

/** A socket on which the text has been written; what comes back is collected. */
async function openSocket (service: Service, text: string) {
  const { hostname, port } = new URL(service.url)
  const socket = connectSocket(Number(port), hostname)
  await once(socket, 'connect')
  const opened = { socket, received: '', closed: once(socket, 'close') }
  socket.on('error', () => {})
  socket.setEncoding('utf8').on('data', (chunk) => { opened.received += chunk })
  socket.write(text)
  return opened
}

/** A connection of our own to the embedded database. */
async function connectToOurs () {
  const { password: ours } = JSON.parse(readFileSync(join(dataDir, 'postgres', 'credentials.json'), 'utf8'))
  const port = readFileSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'), 'utf8').split('\n')[3]
  return await connect(`postgresql://gatehouse:${ours}@127.0.0.1:${port}/gatehouse`)
}

/** Requests for what is not there: more than are recorded at once. */
const denials = 150

t.test('readiness turns 503 while requests are still served, idle connections close, and what is under way finishes', async (t) => {
  const service = await startService(t, { DATA_DIR: dataDir })
  const cookie = await signUp(service.url, 'slow@example.org')
  const client = await connectToOurs()
  const query = async (sql: string) => (await client.query(sql)).rows as never
  await query('BEGIN')
  await query('SELECT 1 FROM users FOR UPDATE')
  await query('LOCK TABLE denials IN SHARE MODE')
  const denied = await Promise.all(Array.from({ length: denials }, async () => await send(service.url, 'GET', '/resources/none', { cookie })))
  t.same([...new Set(denied.map(({ status }) => status))], [404])
  const login = send(service.url, 'POST', '/auth/login', { body: { email: 'slow@example.org', password } })
  await untilBlocked({ query })
  const idle = await openSocket(service, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
  await until(() => idle.received.endsWith('{"status":"ok"}'))

  const seen: Array<number | string> = []
  const watch = async () => {
    for (;;) {
      const status = await send(service.url, 'GET', '/readyz').then(({ status }) => status, () => 'refused')
      if (seen.at(-1) !== status) seen.push(status)
      if (status === 'refused') return
      await delay(5)
    }
  }
  t.equal((await send(service.url, 'GET', '/readyz')).status, 200)
  const stopped = service.stop('SIGINT')
  service.child.kill('SIGINT')
  service.child.kill('SIGTERM')
  await watch()
  t.same(seen.filter((status) => status !== 200), [503, 'refused'], 'first 503, then nobody is let in')
  await idle.closed
  t.equal(service.hasEnded, false, 'the login is still waited for')
  await query('ROLLBACK')
  await client.end()
  const { status, headers } = await login
  t.equal(status, 200)
  t.equal(headers.get('connection'), 'close')
  t.equal((await stopped).code, 0)
  t.equal(runningPid(dataDir), undefined)
  t.notMatch(service.stdout, 'connection was lost', 'the pool went before PostgreSQL')
})

t.test('a fault that nobody caught stops everything in order, and the exit code tells of it', async (t) => {
  const fault = ['--import', 'data:text/javascript,process.on("SIGUSR2",()=>{throw new Error("a fault of the test")})']
  const service = await startService(t, { DATA_DIR: dataDir }, { nodeArgs: fault })
  const client = await connectToOurs()
  t.equal((await client.query('SELECT 1 FROM denials')).rowCount, denials, 'the stop before wrote what was still to be recorded')
  await client.end()
  t.equal((await service.stop('SIGUSR2')).code, 1)
  t.match(service.stderr, /^Gatehouse has a fault: Error: a fault of the test\n {4}at /)
  t.equal(runningPid(dataDir), undefined)
})

t.test('a signal while another process migrates ends the start at once', async (t) => {
  await database.query('UPDATE _prisma_migrations SET migration_name = migration_name || \'_undone\'')
  await database.query('SELECT pg_advisory_lock(72707369)')
  const program = startProgram(t, start, { env: { DATABASE_URL: database.url, DATA_DIR: dataDir, PORT: '0' } })
  await program.says('waiting for another process that is migrating the database')
  program.child.kill('SIGTERM')
  t.equal(await program.ended, 0)
  t.equal(program.stdout, '')
  await database.query('SELECT pg_advisory_unlock(72707369)')
  await database.query('UPDATE _prisma_migrations SET migration_name = replace(migration_name, \'_undone\', \'\')')
})

// These mostly wait, and for nothing that the others use.
t.jobs = 4

t.test('connections on which no whole request comes do not hold it up', { buffered: true }, async (t) => {
  const service = await startOnDatabase(t)
  const sockets = await Promise.all([
    '', 'GET /healthz HTT', 'GET /healthz HTTP/1.1\r\nhost: x\r\n',
    'POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"email'
  ].map((text) => openSocket(service, text)))
  // The service has accepted them all when it answers a later one.
  t.equal((await send(service.url, 'GET', '/readyz')).status, 200)
  t.equal((await service.stop()).code, 0, 'and not 1, as when it hangs for longer than a stop may take')
  await Promise.all(sockets.map(({ closed }) => closed))
})

t.test('a fault that is no Error stops it too, and one while nobody reads its output any more', { buffered: true }, async (t) => {
  const fault = ['--import', 'data:text/javascript,process.on("SIGUSR2",()=>{throw%20null})']
  const service = await startOnDatabase(t, { nodeArgs: fault })
  service.child.stderr?.destroy()
  service.child.stdout?.destroy()
  t.equal((await send(service.url, 'GET', '/readyz')).status, 200, 'it goes on without its output')
  t.equal((await service.stop('SIGUSR2')).code, 1)
})

t.test('Ctrl-C during the first start ends it without a complaint, and the next start succeeds', { buffered: true }, async (t) => {
  const folder = makeFolder(t)
  const program = startProgram(t, start, { env: { DATA_DIR: folder, PORT: '0' }, ownGroup: true })
  await program.says('creating the database')
  process.kill(-Number(program.child.pid), 'SIGINT')
  t.equal(await program.ended, 0)
  t.match(program.stderr, /^creating the database in .*\n$/)
  t.equal(program.stdout, '')
  t.equal(runningPid(folder), undefined)
  const service = await startService(t, { DATA_DIR: folder })
  t.equal((await service.stop()).code, 0)
})

t.test('a stop that hangs is cut off and says so', { buffered: true }, async (t) => {
  const hang = 'import{Server}from"node:net";process.on("SIGUSR2",()=>{Server.prototype.close=()=>{};process.emit("SIGTERM")})'
  const service = await startOnDatabase(t, { nodeArgs: ['--import', `data:text/javascript,${hang}`] })
  const { code, ms } = await service.stop('SIGUSR2')
  t.equal(code, 1)
  t.ok(ms > 9_000, `${ms} ms`)
  t.equal(service.stderr, 'Gatehouse did not stop within 9.5 s and is cut off; the next start clears up what is left\n')
})
