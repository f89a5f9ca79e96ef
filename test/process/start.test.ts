/** What a start says, what it leaves to others, and what the next start finds. */
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Signer } from '@fastify/cookie'
import t from 'tap'
import { openTestDatabase } from '../helpers/database.js'
import { makeFolder, runningPid, until } from '../database/fixtures/processes.js'
import { runProgram, send, signUp, start, startService } from './fixtures/programs.js'

// One DATA_DIR and one clone for all: creating a cluster takes seconds.
const dataDir = makeFolder(t)
const database = await openTestDatabase()

const isReady = async (url: string) => (await send(url, 'GET', '/readyz')).status === 200

/** A port that leads to another one until it is closed; what went through it is cut off then. */
async function openPassage (port: number, to: { host: string, port: number }) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(to.port, to.host)
    for (const [one, other] of [[near, far], [far, near]] as const) {
      sockets.add(one.on('error', () => {}).on('close', () => other.destroy()))
      one.pipe(other)
    }
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await once(server.close(), 'close')
    }
  }
}

t.test('the first start ends with one line that has the URL and the docs, and is ready', async (t) => {
  const service = await startService(t, { DATA_DIR: dataDir })
  t.match(service.url, /^http:\/\/127\.0\.0\.1:\d{4,5}$/, 'PORT=0 takes a free port')
  t.equal((await send(service.url, 'GET', '/readyz')).status, 200)
  t.equal((await fetch(`${service.url}/docs`)).status, 200)
  t.equal((await service.stop()).code, 0)
  t.same(service.stdout.split('\n').filter((line) => !line.startsWith('{')), [`Gatehouse is ready at ${service.url} (docs: ${service.url}/docs)`, ''])
  t.match(service.stderr, /^creating the database in .* \(first start only\)\n$/)
  t.equal(runningPid(dataDir), undefined, 'PostgreSQL has stopped too')
})

t.test('a second service on the same DATA_DIR is refused, and the first goes on', async (t) => {
  const service = await startService(t, { DATA_DIR: dataDir })
  const second = await runProgram(t, start, { env: { DATA_DIR: dataDir, PORT: '0' } })
  t.same([second.code, second.stdout], [1, ''])
  t.match(second.stderr, /^Gatehouse cannot start: another Gatehouse service already runs on this DATA_DIR; .*DATABASE_URL.*\n$/)
  t.equal(await isReady(service.url), true)

  // Its port, from another start on the same address.
  const { port } = new URL(service.url)
  const third = await runProgram(t, start, { env: { DATABASE_URL: database.url, DATA_DIR: dataDir, PORT: port } })
  t.same([third.code, third.stdout], [1, ''])
  t.equal(third.stderr, `Gatehouse cannot start: listen EADDRINUSE: address already in use 127.0.0.1:${port} Another program listens there: choose another port with PORT.\n`)
  t.equal((await service.stop()).code, 0)
})

t.test('a port that is taken: PostgreSQL is given back', async (t) => {
  const thief = await openPassage(0, { host: '127.0.0.1', port: 1 })
  const { code, stderr } = await runProgram(t, start, { env: { DATA_DIR: dataDir, PORT: String(thief.port) } })
  t.equal(code, 1)
  t.match(stderr, /^Gatehouse cannot start: listen EADDRINUSE: .*\n$/)
  t.equal(runningPid(dataDir), undefined)
  await thief.close()
})

t.test('cookies hold across kill -9 of the service, whose PostgreSQL the next start adopts, and of PostgreSQL', async (t) => {
  const file = join(dataDir, 'session-secret')
  t.equal(statSync(file).mode & 0o777, 0o600)
  const key = readFileSync(file, 'utf8')
  const killed = await startService(t, { DATA_DIR: dataDir })
  const cookie = await signUp(killed.url, 'key@example.org')
  const pid = Number(runningPid(dataDir))
  t.equal((await killed.stop('SIGKILL')).code, 'SIGKILL')
  t.equal(runningPid(dataDir), pid, 'it was left behind')

  const service = await startService(t, { DATA_DIR: dataDir })
  t.equal(service.stderr, `adopted the PostgreSQL that an earlier run left behind (pid ${pid})\n`)
  t.equal((await send(service.url, 'GET', '/auth/session', { cookie })).status, 200)
  t.equal(readFileSync(file, 'utf8'), key)

  process.kill(pid, 'SIGKILL')
  const seen = new Set<number>()
  await until(async () => {
    const { status } = await send(service.url, 'GET', '/auth/session', { cookie })
    seen.add(status)
    return seen.has(503) && status === 200
  })
  t.same([...seen].sort(), seen.size === 2 ? [200, 503] : [503], 'never a 401')
  await service.says(`PostgreSQL is back (pid ${runningPid(dataDir)})`)
  t.equal((await service.stop()).code, 0)
  t.equal(runningPid(dataDir), undefined)
})

t.test('SESSION_SECRETS are rotated: the first signs, all are accepted, one that was taken away is not', async (t) => {
  const [old, next, gone] = ['an old secret of 32 characters or more', 'the next secret of 32 characters or more', 'one that is used no longer, 32 or more']
  const service = await startService(t, { DATABASE_URL: database.url, DATA_DIR: dataDir, SESSION_SECRETS: `${next},${old}` })
  const cookie = await signUp(service.url, 'secrets@example.org')
  const { valid, value } = new Signer([next]).unsign(decodeURIComponent(cookie.slice('sessionid='.length)))
  t.equal(valid, true)
  const statuses = [next, old, gone].map(async (secret) => {
    const signed = encodeURIComponent(new Signer([secret]).sign(String(value)))
    return (await send(service.url, 'GET', '/auth/session', { cookie: `sessionid=${signed}` })).status
  })
  t.same(await Promise.all(statuses), [200, 200, 401])
  t.equal((await service.stop()).code, 0)
})

t.test('a database that is away at the start is told in one line; away later, the answer is 503 until it is back', async (t) => {
  const { hostname, port } = new URL(database.url)
  const passage = await openPassage(0, { host: hostname, port: Number(port) })
  const through = new URL(database.url)
  through.host = `127.0.0.1:${passage.port}`
  const env = { DATABASE_URL: through.href, DATA_DIR: dataDir }
  const service = await startService(t, env)
  t.equal(await isReady(service.url), true)
  await passage.close()
  t.equal((await send(service.url, 'GET', '/readyz')).status, 503)
  t.equal((await send(service.url, 'GET', '/healthz')).status, 200)

  const { code, stdout, stderr } = await runProgram(t, start, { env: { ...env, PORT: '0' } })
  t.same([code, stdout], [1, ''])
  t.match(stderr, /^Gatehouse cannot start: cannot connect to the database: .*ECONNREFUSED.*\n$/)
  t.notMatch(stderr, through.password)

  const again = await openPassage(passage.port, { host: hostname, port: Number(port) })
  await until(() => isReady(service.url))
  t.equal((await service.stop()).code, 0)
  await again.close()
})
