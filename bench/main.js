// `npm run bench`: measures the built service, as users run it, side by side with the limit (limit.js) on the same tables.
// Options: --resources 100000 --only session,read --rounds 3 --seconds 2 --json --profile FOLDER. It ends with status 1 when the two
// do not answer the same. DATABASE_URL names a PostgreSQL to make a database on; otherwise there is an embedded one, removed at the end.
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, setUp } from '../scripts/setup.js'

const { values: options } = parseArgs({
  options: {
    resources: { type: 'string', default: '100000' },
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
const folder = await realpath(await mkdtemp(join(tmpdir(), 'gatehouse-bench-')))
const stops = [async () => { await rm(folder, { recursive: true, maxRetries: 5 }) }]
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, async () => await end(1))

let hasEnded = false
async function end (status) {
  if (hasEnded) return
  hasEnded = true
  for (const stop of stops.reverse()) await stop().catch((error) => say(error.message))
  process.exit(status)
}

try {
  const database = await openBenchDatabase(process.env.DATABASE_URL || undefined, folder)
  stops.push(database.close)
  const world = makeWorld(count)
  await seed(database.url, world, progress)

  // Nothing of the caller's configuration: limits on guessing and the log are on, as they are by default, and memory is as in `npm start`.
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const [, tunables] = /GLIBC_TUNABLES=(\S+)/.exec(scripts.start)
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, PORT: '0', GLIBC_TUNABLES: tunables, SESSION_SECRETS: randomBytes(32).toString('base64url') }
  const profiling = options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile]
  const service = await startServer('Gatehouse', [...profiling, join(root, 'scripts', 'start.js')], { ...environment, ...database.environment }, join(folder, 'service.log'))
  stops.push(service.stop)
  const limit = await startServer('the limit', [join(root, 'bench', 'limit.js')], { ...environment, DATABASE_URL: database.url }, join(folder, 'limit.log'))
  stops.push(limit.stop)

  const signIn = signerFor(service.url)
  const workloads = (await makeWorkloads(world, signIn)).filter(({ name }) => isWanted(name))
  await compareAnswers(service, limit, workloads)
  const servers = [service, limit]
  const table = await measure(servers, workloads, { rounds: Number(options.rounds), seconds: Number(options.seconds), postmaster: database.postmaster, progress })
  const asking = isWanted('asking') ? await measureAsking(service, world, signIn, progress) : []
  const writes = isWanted('writes') ? await measureWrites(service, world, signIn, progress) : []
  const result = { resources: count, ...table, asking, writes }
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : formatTables(result))
  await end(0)
} catch (error) {
  say(error.stack)
  await end(1)
}
