// `npm run bench`: measures the built service, as users run it, side by side with the limit (limit.js) on the same tables.
// Options: --resources 100000 --only session,read --rounds 3 --seconds 2 --json --profile FOLDER. It ends with status 1 when the two
// do not answer the same. With --beside 100000 the service stands beside itself on so many resources instead. DATABASE_URL names a PostgreSQL to make a database on; otherwise there is an embedded one, removed at the end.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, setUp } from '../scripts/setup.js'

const { values: options } = parseArgs({
  options: {
    resources: { type: 'string', default: '100000' },
    beside: { type: 'string' },
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
    profile: { type: 'string' }
  }
})

await setUp()
const { openBenchDatabase } = await import('./database.js')
const { seed } = await import('./seed.js')
const { makeWorld } = await import('./world.js')
const { startServer } = await import('./servers.js')
const { makeWorkloads } = await import('./workloads.js')
const { compareAnswers } = await import('./compare.js')
const { measure } = await import('./measure.js')
const { measureAsking } = await import('./asking.js')
const { measureWrites } = await import('./writes.js')
const { formatTables, progress, say } = await import('./output.js')
const { signerFor } = await import('./sign-in.js')

const isWanted = (name) => options.only === undefined || options.only.split(',').some((part) => name === part || name.startsWith(`${part},`))
const count = Number(options.resources)
/** Of the requests per second on few resources: so many are answered on more. */
const leastOfSmall = 0.85
const folder = await realpath(await mkdtemp(join(tmpdir(), 'gatehouse-bench-')))
const stops = [async () => { await rm(folder, { recursive: true, maxRetries: 5 }) }]
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, async () => await end(1))

const print = (result) => { process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : formatTables(result)) }

let hasEnded = false
async function end (status) {
  if (hasEnded) return
  hasEnded = true
  for (const stop of stops.reverse()) await stop().catch((error) => say(error.message))
  process.exit(status)
}

try {
  // Nothing of the caller's configuration: limits on guessing and the log are on, as they are by default, and memory is as in `npm start`.
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const [, tunables] = /GLIBC_TUNABLES=(\S+)/.exec(scripts.start)
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', GLIBC_TUNABLES: tunables, SESSION_SECRETS: randomBytes(32).toString('base64url') }

  /** Another database, so many resources in it, and the service on it. */
  const open = async (size, name, nodeArguments = []) => {
    const place = join(folder, name.replaceAll(/\W/g, '-'))
    await mkdir(place)
    const database = await openBenchDatabase(process.env.DATABASE_URL || undefined, place)
    stops.push(database.close)
    const world = makeWorld(size)
    await seed(database.url, world, progress)
    const server = await startServer(name, [...nodeArguments, join(root, 'scripts', 'start.js')], { ...environment, ...database.environment }, join(place, 'service.log'))
    stops.push(server.stop)
    const signIn = signerFor(server.url)
    const workloads = (await makeWorkloads(world, signIn)).filter(({ name }) => isWanted(name))
    return { database, world, service: { ...server, postmaster: database.postmaster }, signIn, workloads }
  }

  const profiling = options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile]
  const { database, world, service, signIn, workloads } = await open(count, 'Gatehouse', profiling)
  const windows = { rounds: Number(options.rounds), seconds: Number(options.seconds), progress }
  if (options.beside !== undefined) {
    const size = Number(options.beside)
    const small = await open(size, `Gatehouse with ${size.toLocaleString('en')}`)
    const pairs = workloads.map((workload, place) => ({ ...workload, target: leastOfSmall, streamsOfOther: small.workloads[place].streams }))
    print({ resources: count, ...await measure([service, small.service], pairs, windows), asking: [], writes: [] })
    await end(0)
  }

  const limit = await startServer('the limit', [join(root, 'bench', 'limit.js')], { ...environment, DATABASE_URL: database.url }, join(folder, 'limit.log'))
  stops.push(limit.stop)
  await compareAnswers(service, limit, workloads)
  const table = await measure([service, { ...limit, postmaster: database.postmaster }], workloads, windows)
  const asking = isWanted('asking') ? await measureAsking(service, world, signIn, progress) : []
  const writes = isWanted('writes') ? await measureWrites(service, world, signIn, progress) : []
  print({ resources: count, ...table, asking, writes })
  await end(0)
} catch (error) {
  say(error.stack)
  await end(1)
}
