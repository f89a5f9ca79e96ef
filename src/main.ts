/** The process: configuration, database, migrations, listening, and stopping all of it in the right order. */
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { readConfig } from './config.js'
import { applyMigrations } from './database/migrate.js'
import { openDatabase } from './database/open.js'
import { loggerOptions, openOutput } from './logger.js'
import { loadSessionSecrets } from './session-secrets.js'

/** Long enough for a balancer or a person to see the 503 of /readyz before the port closes. */
const drainMs = 500
/** A client that never finishes its request must not keep the process. */
const requestsMs = 5_000
/** The whole stop; beyond it something hangs, and what was acknowledged is safe anyway. */
const stopMs = 9_500

/**
 * How much V8's heap may grow, in percent of what lived at its last collection, before the next one. Left to itself it let 55 MB
 * of garbage gather on 30 MB of live objects (docs/performance.md).
 */
const heapGrowth = 50

/** Progress and complaints go to standard error; standard output has the log and the line that says it is ready. */
const say = (line: string) => { process.stderr.write(`${line}\n`) }

/** What was started, to be stopped in the opposite order. */
const stops: Array<() => Promise<void>> = []

let isToldToStop = false

/** A fault is ours, so it is told in full, and the exit code tells of it whatever else happens. */
const complain = (error: unknown) => {
  process.exitCode = 1
  say(`Gatehouse has a fault: ${error instanceof Error ? error.stack : String(error)}`)
}

/**
 * Resolves when the process is to end. A signal may come twice at once (a terminal sends Ctrl-C to npm and to us, and
 * npm passes it on), so only the first one counts.
 */
const toldToStop = new Promise<void>((resolve) => {
  const stop = () => {
    if (isToldToStop) return
    isToldToStop = true
    setTimeout(() => {
      say(`Gatehouse did not stop within ${stopMs / 1000} s and is cut off; the next start clears up what is left`)
      process.exit(1)
    }, stopMs).unref()
    resolve()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  process.on('uncaughtException', (error) => {
    complain(error)
    stop()
  })
})

// A terminal that was closed, a reader of the log that has ended: complaining there would be the next fault, for ever.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

async function start (): Promise<void> {
  const config = readConfig()
  // It is read while PostgreSQL starts, which takes as long; and whoever has to mend the configuration should not wait for it.
  const application = import('./app.js')
  const database = await openDatabase({ ...config, use: 'service', log: say })
  stops.push(() => database.close())
  // Another process may hold the migrations' lock for long. To cut them off leaves nothing half done.
  await Promise.race([applyMigrations(database.url, { log: say }), toldToStop])
  const secrets = config.sessionSecrets ?? await loadSessionSecrets(config.dataDir)
  const logger = process.stdout.isTTY ? loggerOptions(config.logLevel) : { ...loggerOptions(config.logLevel) as object, stream: openOutput() }
  const { buildApp } = await application
  const app = await buildApp({ config, databaseUrl: database.url, secrets, logger })
  if (isToldToStop) return
  await app.listen({ host: config.host, port: config.port, listenTextResolver: () => 'accepting connections' })
  stops.push(async () => {
    app.isStopping = true
    await delay(drainMs)
    const cut = setTimeout(() => { app.server.closeAllConnections() }, requestsMs)
    await app.close()
    clearTimeout(cut)
  })
  // Only now: a start makes little garbage and much that stays.
  setFlagsFromString(`--heap-growing-percent=${heapGrowth}`)
  const url = config.publicUrl ?? app.listenOrigin()
  process.stdout.write(`Gatehouse is ready at ${url} (docs: ${url}/docs)\n`)
}

/** One line that says what to do, for the faults of a start that people meet. */
function explain (error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  const advice = new Map([
    ['EADDRINUSE', 'Another program listens there: choose another port with PORT.'],
    ['EADDRNOTAVAIL', 'This machine does not have that address: see HOST.'],
    ['ENOTFOUND', 'There is no host of that name: see HOST.'],
    ['EAI_AGAIN', 'There is no host of that name, or nobody to ask for it: see HOST.'],
    ['EACCES', 'Check the rights on DATA_DIR, and that PORT is above 1023.']
  ]).get(code ?? '')
  return ['Gatehouse cannot start:', message, advice].filter(Boolean).join(' ')
}

try {
  await start()
  await toldToStop
} catch (error) {
  // Ctrl-C reaches initdb as well as us: what that makes of the start is no fault of anything.
  if (!isToldToStop) {
    say(explain(error))
    process.exitCode = 1
  }
}
// One that fails must not keep the next from stopping.
for (const stop of stops.reverse()) await stop().catch(complain)
process.exit()
