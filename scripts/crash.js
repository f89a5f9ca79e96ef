// `npm run test:crash`: kills first starts and busy services at random moments, again and again, and looks for what got lost.
// Options: --first-starts 60 --load 20 --seed N. It ends with status 1 at the first violation and keeps that DATA_DIR.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { root, setUp } from './setup.js'

const { values } = parseArgs({
  options: {
    'first-starts': { type: 'string', default: '60' },
    load: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) }
  }
})

/** Far beyond what is normal, so that a busy machine is no violation. */
const readyMs = 120_000
const endMs = 30_000
const registrationsAtOnce = 8
const password = 'seven quiet lanterns'
const administrator = 'administrator@example.org'

const say = (line) => { process.stdout.write(`crash: ${line}\n`) }
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

/** mulberry32: the same seed gives the same kills, as far as a machine does the same twice. */
let state = Number(values.seed)
function random () {
  state = (state + 0x6D2B79F5) | 0
  let bits = Math.imul(state ^ (state >>> 15), 1 | state)
  bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
  return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296
}

await setUp()
const { isPostmasterOf, readPostmasterPid } = await import('../dist/database/postmaster.js')

// Nothing of the caller's configuration.
const environment = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', LOG_LEVEL: 'warn', RATE_LIMIT: 'off' }
const running = new Set()
process.on('exit', () => {
  for (const child of running) kill(-child.pid)
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

let dataDir
try {
  say(`seed ${values.seed}`)
  const begun = Date.now()
  const firstStarts = Number(values['first-starts'])
  const loads = Number(values.load)
  if (firstStarts > 0) await killFirstStarts(firstStarts)
  const { users, kills } = loads > 0 ? await killUnderLoad(loads) : { users: 0, kills: 0 }
  say(`done in ${seconds(Date.now() - begun)}: ${firstStarts} first starts that were killed, each followed by one that succeeded; ` +
    `${kills} kills under load, after which all ${users} users that got their 201 were there`)
} catch (error) {
  say(`VIOLATION (seed ${values.seed}, DATA_DIR ${dataDir} is kept): ${error.message}`)
  process.exitCode = 1
}

/** Each round: a fresh DATA_DIR, kill -9 at some moment of the first start, and a normal start. */
async function killFirstStarts (rounds) {
  dataDir = await makeFolder()
  const { service, ms: spanMs } = await startService()
  await stop(service)
  await cleanUp()
  say(`a first start takes ${seconds(spanMs)}`)

  for (let round = 1; round <= rounds; round++) {
    dataDir = await makeFolder()
    const victim = spawnService()
    const afterMs = Math.round(random() * spanMs)
    await delay(afterMs)
    const what = await killSomehow(victim, ['the service', 'the service', 'its process group', 'the service and PostgreSQL'])
    const { service, ms } = await startService()
    await register(service, `round${round}@example.org`)
    await stop(service)
    await cleanUp()
    say(`first start ${round}/${rounds}: killed ${what} after ${afterMs} ms (${progress(victim)}); ready after ${seconds(ms)}${notes(service)}`)
  }
}

/** All rounds on one DATA_DIR: kill -9 while registrations are under way, a start, and a look for every user that got its 201. */
async function killUnderLoad (rounds) {
  dataDir = await makeFolder()
  await run('create-admin', ['--email', administrator, '--name', 'Administrator'])
  let { service } = await startService()
  const cookie = await logIn(service, administrator)
  const acknowledged = []

  for (let round = 1; round <= rounds; round++) {
    const before = acknowledged.length
    const load = { isOver: false, isHurt: false }
    const workers = Array.from({ length: registrationsAtOnce }, (_, worker) => registerOnAndOn(service, `round${round}-worker${worker}`, load, acknowledged))
    // Whatever goes wrong in a worker is thrown where all are awaited.
    workers.forEach((worker) => worker.catch(() => {}))
    const afterMs = Math.round(random() * 2_500)
    const recoveries = count(service, 'PostgreSQL is back')
    // The first one loads the word lists; from then on they come quickly.
    for (const deadline = Date.now() + readyMs; acknowledged.length === before && Date.now() < deadline;) await delay(5)
    await delay(afterMs)
    load.isHurt = true
    const what = await killSomehow(service, ['the service', 'its process group', 'the service and PostgreSQL', 'PostgreSQL'])
    load.isOver = true
    await Promise.all(workers)

    const begun = Date.now()
    if (what === 'PostgreSQL') await untilBack(service, recoveries + 1)
    else service = (await startService()).service
    const ms = Date.now() - begun
    const missing = await findMissing(service, cookie, acknowledged)
    if (missing.length > 0) throw new Error(`${missing.length} of ${acknowledged.length} users that got their 201 are lost: ${missing.slice(0, 5).join(', ')}`)
    const some = acknowledged.at(Math.floor(random() * acknowledged.length))
    if (some !== undefined) await logIn(service, some)
    say(`load ${round}/${rounds}: killed ${what} after ${acknowledged.length - before} registrations; ready after ${seconds(ms)}${notes(service)}; all ${acknowledged.length} users are there`)
  }
  await stop(service)
  await cleanUp()
  return { users: acknowledged.length, kills: rounds }
}

/** Registers one user after the other until the kill, and notes those that got their 201. */
async function registerOnAndOn (service, name, load, acknowledged) {
  for (let number = 1; !load.isOver; number++) {
    const email = `${name}-${number}@example.org`
    try {
      const status = await send(service, 'POST', '/users', { email, name, password }).then(({ status }) => status)
      if (status === 201) acknowledged.push(email)
      else if (status !== 503 || !load.isHurt) throw new Error(`a registration was answered with ${status}`)
    } catch (error) {
      // What was cut off may have happened or not.
      if (!load.isHurt || !(error instanceof TypeError)) throw error
    }
  }
}

async function findMissing (service, cookie, emails) {
  const found = new Set()
  let cursor = ''
  do {
    const { status, body } = await send(service, 'GET', `/users?limit=100${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, undefined, { cookie })
    if (status !== 200) throw new Error(`the session of before the kill gets ${status}: ${JSON.stringify(body)}`)
    for (const { email } of body.items) found.add(email)
    cursor = body.nextCursor
  } while (cursor !== null)
  return emails.filter((email) => !found.has(email))
}

async function register (service, email) {
  const { status, body } = await send(service, 'POST', '/users', { email, name: 'Somebody', password })
  if (status !== 201) throw new Error(`a registration was answered with ${status}: ${JSON.stringify(body)}`)
}

async function logIn (service, email) {
  const { status, cookie } = await send(service, 'POST', '/auth/login', { email, password })
  if (status !== 200) throw new Error(`the login of ${email} was answered with ${status}`)
  return cookie
}

async function send (service, method, path, body, headers = {}) {
  const response = await fetch(service.url + path, {
    method,
    headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(60_000)
  })
  return { status: response.status, body: await response.json(), cookie: response.headers.getSetCookie()[0]?.split(';', 1)[0] }
}

/** Kills with one of these, chosen at random. @returns which it was */
async function killSomehow (service, ways) {
  const way = ways[Math.floor(random() * ways.length)]
  const postgres = readPostmasterPid(dataDir)?.pid
  const data = join(dataDir, 'postgres', 'data')
  if (way.endsWith('PostgreSQL') && postgres !== undefined && isPostmasterOf(postgres, data)) kill(postgres)
  if (way === 'its process group') kill(-service.pid)
  if (way.startsWith('the service')) kill(service.pid)
  if (way !== 'PostgreSQL') await service.ended
  return way
}

function kill (pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}

/** `npm start` without npm, in a process group of its own. */
function spawnService () {
  const child = spawn(process.execPath, [join(root, 'scripts', 'start.js')], { cwd: root, env: { ...environment, DATA_DIR: dataDir }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => { child.output += chunk })
  child.stderr.setEncoding('utf8').on('data', (chunk) => { child.output += chunk })
  child.ended = once(child, 'exit').finally(() => running.delete(child))
  return child
}

async function startService () {
  const since = Date.now()
  const service = spawnService()
  for (const deadline = since + readyMs; !/^Gatehouse is ready at \S+/m.test(service.output); await delay(10)) {
    if (service.exitCode !== null || service.signalCode !== null || Date.now() > deadline) throw new Error(`the start did not become ready:\n${service.output}`)
  }
  service.url = /^Gatehouse is ready at (\S+)/m.exec(service.output)[1]
  const ms = Date.now() - since
  const { status } = await send(service, 'GET', '/readyz')
  if (status !== 200) throw new Error(`/readyz of a service that says it is ready is ${status}`)
  return { service, ms }
}

/** PostgreSQL alone was killed: the service gets over it by itself. Its old children may answer for a moment still. */
async function untilBack (service, recoveries) {
  const deadline = Date.now() + readyMs
  for (;; await delay(20)) {
    if (service.exitCode !== null || Date.now() > deadline) throw new Error(`the service did not get over the end of PostgreSQL:\n${service.output}`)
    const { status } = await send(service, 'GET', '/readyz')
    if (status === 200 && count(service, 'PostgreSQL is back') === recoveries) return
    if (status !== 200 && status !== 503) throw new Error(`/readyz without a database is ${status}`)
  }
}

async function stop (service) {
  service.kill('SIGTERM')
  const [code] = await Promise.race([service.ended, delay(endMs, ['nothing within 30 s'], { ref: false })])
  if (code !== 0) throw new Error(`the stop ended with ${code}:\n${service.output}`)
  if (readPostmasterPid(dataDir) !== undefined) throw new Error('the stop left PostgreSQL behind')
}

/** Runs one of our commands; the password is what it reads. */
async function run (name, args) {
  const child = spawn(process.execPath, [join(root, 'scripts', 'command.js'), name, ...args], { cwd: root, env: { ...environment, DATA_DIR: dataDir }, stdio: ['pipe', 'ignore', 'inherit'] })
  child.stdin.end(`${password}\n`)
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${name} ended with ${code}`)
}

async function makeFolder () {
  return await realpath(await mkdtemp(join(tmpdir(), 'gatehouse-crash-')))
}

/** Removes the DATA_DIR when every process in it has ended: the last children of a killed initdb take their time. */
async function cleanUp () {
  for (const deadline = Date.now() + endMs; ; await delay(50)) {
    const processes = spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' }).stdout.split('\n').filter((line) => line.includes(dataDir))
    if (processes.length === 0) break
    if (Date.now() > deadline) throw new Error(`processes were left behind:\n${processes.join('\n')}`)
  }
  await rm(dataDir, { recursive: true, maxRetries: 5 })
}

function count (service, text) {
  return service.output.split(text).length - 1
}

/** How far a start had got, by what it said. */
function progress ({ output }) {
  if (output.includes('Gatehouse is ready')) return 'it was ready'
  return output.includes('creating the database') ? 'it had begun to create the database' : 'it had not said anything'
}

/** What a start said about what it found. */
function notes (service) {
  return /^adopted /m.test(service.output) ? ', adopted PostgreSQL' : ''
}
