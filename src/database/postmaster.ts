// The server process of the embedded cluster: is there one, starting it, stopping it. PostgreSQL's own postmaster.pid is the only record.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ignore } from './connection.js'
import type { Cluster } from './cluster.js'
import { programEnvironment, type Identity } from './programs.js'

export interface Postmaster {
  pid: number
  port: number
  /** PostgreSQL's word: starting, ready, stopping or standby. */
  status: string
}

/** Whether a process with this number lives, whoever owns it. */
export function isAlive (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** What `<dataDir>/postgres/data/postmaster.pid` says, true or not; undefined without that file. */
export function readPostmasterPid (dataDir: string): Postmaster | undefined {
  return parse(read(join(dataDir, 'postgres', 'data', 'postmaster.pid')) ?? '')
}

function read (file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined // also when it vanishes under our eyes
  }
}

// https://www.postgresql.org/docs/18/storage-file-layout.html; the order of lines is in miscadmin.h (LOCK_FILE_LINE_…)
function parse (content: string): Postmaster | undefined {
  const lines = content.split('\n')
  if (lines.length < 5) return undefined
  return { pid: Number(lines[0]), port: Number(lines[3]), status: lines[7]?.trim() || 'starting' }
}

/**
 * Finds the live server of a cluster. A record that would keep PostgreSQL from starting is removed: one whose number now belongs to
 * another program (usual in containers, where numbers repeat) or to a dead process that nobody reaped, and an empty one.
 */
export function findPostmaster (data: string): Postmaster | undefined {
  const file = join(data, 'postmaster.pid')
  const content = read(file)
  if (content === undefined) return undefined
  const postmaster = parse(content)
  if (postmaster !== undefined && isPostmasterOf(postmaster.pid, data)) return postmaster
  const isMisleading = postmaster === undefined ? isOlderThan(file, 2000) : isAlive(postmaster.pid)
  if (isMisleading && read(file) === content) rmSync(file, { force: true })
  return undefined
}

function isOlderThan (file: string, ageMs: number): boolean {
  return Number(statSync(file, { throwIfNoEntry: false })?.mtimeMs) < Date.now() - ageMs
}

/**
 * Whether the process is the server of this cluster, told by its command line. No signal is ever sent to another one.
 * @param tools where to look; where neither exists (Windows) a live process is taken at the record's word
 */
export function isPostmasterOf (pid: number, data: string, tools = { proc: '/proc', ps: 'ps' }): boolean {
  if (!isAlive(pid)) return false
  const commandLine = read(`${tools.proc}/${pid}/cmdline`) ?? spawnSync(tools.ps, ['-o', 'command=', '-p', String(pid)]).stdout ?? data
  return commandLine.toString().includes(data)
}

/**
 * Starts the server in a session of its own, so that Ctrl-C on the terminal does not reach it before the service has drained.
 * @returns the child, and how to read what it has printed since
 */
export function startPostmaster (cluster: Cluster, postgres: string, identity: Identity, port: number, isDurable: boolean): { child: ChildProcess, readOutput: () => string } {
  const settings: Record<string, string | number> = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 100,
    log_checkpoints: 'off',
    // Failed statements are the application's to report; their details are users' data.
    log_min_messages: 'log',
    // Tells a server that was left behind from one whose starter has not taken its locks yet.
    'gatehouse.started_by': process.pid,
    // Tests open hundreds of pools at once.
    ...isDurable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: 400 }
  }
  const args = ['-D', cluster.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  rotate(cluster.logFile)
  const log = openSync(cluster.logFile, 'a', 0o600)
  const start = statSync(cluster.logFile).size
  const [command = postgres, ...rest] = [...identity.prefix, postgres, ...args]
  const child = spawn(command, rest, { cwd: '/', detached: true, env: programEnvironment, stdio: ['ignore', log, log], ...identity.spawnOptions })
  closeSync(log)
  child.on('error', ignore) // then it has no pid, which the caller sees
  child.unref()
  return { child, readOutput: () => readFileSync(cluster.logFile).subarray(start).toString() }
}

/** Keeps one older log, so that the folder cannot fill up over the years. */
function rotate (logFile: string): void {
  if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > 5_000_000) renameSync(logFile, `${logFile}.old`)
}

/**
 * Stops a server: a fast shutdown first, harder when that does not end it.
 * @param stepMs how long each step may take
 */
export async function stopPostmaster (pid: number, data: string, stepMs = 8000): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    const deadline = Date.now() + stepMs
    if (isPostmasterOf(pid, data)) process.kill(pid, signal)
    while (isPostmasterOf(pid, data) && Date.now() < deadline) await sleep(20)
  }
}

/** The port of the last start, so that URLs stay as they were: PostgreSQL notes its command line in postmaster.opts. */
export function readPreviousPort (data: string): number | undefined {
  const port = /"port=(\d+)"/.exec(read(join(data, 'postmaster.opts')) ?? '')?.[1]
  return port === undefined ? undefined : Number(port)
}

/**
 * Chooses a free port.
 * @param preferred taken when it is free
 */
export async function choosePort (preferred: number | undefined): Promise<number> {
  // Below what Linux, macOS and Windows give to outgoing connections, which could occupy the port during a restart.
  let port = preferred ?? randomInt(15000, 30000)
  for (let attempt = 0; attempt < 100 && !await isFree(port); attempt++) port = randomInt(15000, 30000)
  return port
}

async function isFree (port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => { resolve(false) })
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => { server.close(() => { resolve(true) }) })
  })
}
