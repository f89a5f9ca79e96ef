// The life of the embedded PostgreSQL within one process: join or start it, keep it up, give it back.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ChildProcess } from 'node:child_process'
import { prepareCluster, type Cluster } from './cluster.js'
import { ignore } from './connection.js'
import { release, takeHold, type Hold } from './hold.js'
import type { DatabaseHandle, DatabaseOptions } from './open.js'
import { choosePort, findPostmaster, readPreviousPort, startPostmaster, stopPostmaster, type Postmaster } from './postmaster.js'
import { chooseIdentity, handOver, lastLines, locatePrograms, rootDefaults, type RootOptions } from './programs.js'

/** What tests shorten or narrow. */
export interface EmbeddedOptions extends DatabaseOptions {
  rootOptions?: RootOptions
  /** How long a server may not answer before it is stopped. Default 15 s, more than the 8 s of a fast shutdown. */
  patienceMs?: number
  /** How long a server may take to start, recovery after a crash included. Default 5 minutes. */
  startMs?: number
  /** How long to wait for another service's lock. Default 3 s. */
  serviceWaitMs?: number
  /** How long each step of stopping may take. Default 8 s. */
  stopStepMs?: number
}

// What another start at the same moment, or a killed server's last children, make PostgreSQL say: it passes.
const passingReasons = /lock file|pre-existing shared memory|could not (bind|create any TCP)|shutdown request/

/**
 * Opens the embedded PostgreSQL of `dataDir`, creating, starting or adopting it as needed.
 * @throws Error with one line that says what is wrong and what to do about it
 */
export async function openEmbedded (options: EmbeddedOptions): Promise<DatabaseHandle> {
  const { dataDir, rootOptions = rootDefaults, isDurable = true, log } = options
  const cluster = await prepareCluster({ dataDir, rootOptions, isDurable, log })
  const closing = new AbortController()
  let hold = await join(cluster, options, closing.signal)
  const { port } = hold.postmaster
  let recovery = Promise.resolve()

  // Whoever uses the URL keeps it, so PostgreSQL has to come back on the same port.
  const recover = async (): Promise<void> => {
    options.log('PostgreSQL has gone away; starting it again')
    for (let delayMs = 100; !closing.signal.aborted; delayMs = Math.min(delayMs * 2, 5000)) {
      try {
        hold = await join(cluster, options, closing.signal, port)
        options.log(`PostgreSQL is back (pid ${hold.postmaster.pid})`)
        return supervise()
      } catch (error) {
        if (!closing.signal.aborted) options.log(`PostgreSQL is not back yet: ${(error as Error).message}`)
        await sleep(delayMs, undefined, { signal: closing.signal }).catch(ignore)
      }
    }
  }
  const supervise = (): void => {
    hold.client.once('end', () => { if (!closing.signal.aborted) recovery = recover() })
  }
  if (options.use === 'service') supervise()

  return {
    url: `postgresql://gatehouse:${cluster.password}@127.0.0.1:${port}/gatehouse`,
    isEmbedded: true,
    close: async () => {
      if (closing.signal.aborted) return
      closing.abort()
      await recovery
      await release(cluster, hold)
    }
  }
}

/** Becomes a user of the running server, starting one when there is none. Goes round until that holds, since others do the same. */
async function join (cluster: Cluster, options: EmbeddedOptions, signal: AbortSignal, fixedPort?: number): Promise<Hold> {
  const { log, patienceMs = 15_000, startMs = 300_000 } = options
  let attempt: Attempt | undefined
  let state = ''
  let sinceMs = Date.now()
  let failingSinceMs: number | undefined
  let isAnnounced = false
  for (;; await sleep(20)) {
    // A server on its way up is waited for: aborting would leave it running without anybody's hold.
    if (attempt === undefined) signal.throwIfAborted()
    const postmaster = findPostmaster(cluster.data)
    if (postmaster === undefined) {
      if (attempt !== undefined && hasExited(attempt.child)) {
        const output = attempt.readOutput()
        failingSinceMs ??= Date.now()
        if (!passingReasons.test(output) || Date.now() - failingSinceMs > patienceMs * 2) throw startFailure(cluster, output)
        attempt = undefined
        await sleep(100)
      }
      attempt ??= await start(cluster, options, fixedPort)
      continue
    }

    if (postmaster.status !== 'starting') {
      attempt = undefined
      const hold = await tryHold(cluster, options, postmaster, fixedPort)
      if (hold !== undefined) return hold
    }
    const current = `${postmaster.pid} ${postmaster.status}`
    if (current !== state) [state, sinceMs] = [current, Date.now()]
    const waitedMs = Date.now() - sinceMs
    if (waitedMs > 2000 && !isAnnounced) {
      isAnnounced = true
      log(`waiting for PostgreSQL (pid ${postmaster.pid}), which is ${postmaster.status} but does not answer yet`)
    }
    if (waitedMs > (postmaster.status === 'starting' ? startMs : patienceMs)) {
      log(`PostgreSQL (pid ${postmaster.pid}) does not answer; stopping it`)
      await stopPostmaster(postmaster.pid, cluster.data, options.stopStepMs)
    }
  }
}

async function tryHold (cluster: Cluster, options: EmbeddedOptions, postmaster: Postmaster, fixedPort: number | undefined): Promise<Hold | undefined> {
  const hold = await takeHold(cluster, postmaster, options.use === 'service' ? options.serviceWaitMs ?? 3000 : undefined)
  if (hold === undefined) return undefined
  if (fixedPort !== undefined && fixedPort !== postmaster.port) {
    await release(cluster, hold)
    throw new Error(`it is in use on port ${postmaster.port} instead of ${fixedPort}`)
  }
  if (hold.wasLeftBehind) options.log(`adopted the PostgreSQL that an earlier run left behind (pid ${postmaster.pid})`)
  return hold
}

type Attempt = ReturnType<typeof startPostmaster>

async function start (cluster: Cluster, options: EmbeddedOptions, fixedPort: number | undefined): Promise<Attempt> {
  const programs = await locatePrograms()
  const identity = await chooseIdentity(programs, cluster.dataDir, cluster.data, options.rootOptions ?? rootDefaults)
  await handOver(identity, cluster.data)
  const port = fixedPort ?? await choosePort(readPreviousPort(cluster.data))
  return startPostmaster(cluster, programs.postgres, identity, port, options.isDurable ?? true)
}

function hasExited (child: ChildProcess): boolean {
  // One that could not be started has an exit code too.
  return [child.exitCode, child.signalCode].some((end) => end !== null)
}

function startFailure (cluster: Cluster, output: string): Error {
  return new Error(`PostgreSQL does not start: ${lastLines(output)}. Put that right (its log is ${cluster.logFile}), or set DATABASE_URL`)
}
