// The two servers, each a process of its own as users run it, and what they take of the machine.
import { spawn } from 'node:child_process'
import { openSync, closeSync, readdirSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const readyMs = 60_000

/**
 * Starts a server and waits until it says where it listens.
 * @param script with arguments for Node before it
 * @param logFile takes its standard output, as a supervisor would
 */
export async function startServer (name, script, environment, logFile) {
  const log = openSync(logFile, 'w')
  const child = spawn(process.execPath, script, { env: environment, stdio: ['ignore', log, 'inherit'] })
  closeSync(log)
  for (const deadline = Date.now() + readyMs; ; await delay(20)) {
    const url = /ready at (\S+)/.exec(readFileSync(logFile, 'utf8'))?.[1]
    if (url !== undefined) return { name, url, pid: child.pid, stop: async () => await stop(child) }
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${name} did not become ready: see ${logFile}`)
  }
}

async function stop (child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}

/** Where there is no /proc, what is read from it is missing from the table. */
function readStatus (pid, file) {
  try {
    return readFileSync(join('/proc', String(pid), file), 'utf8')
  } catch {
    return undefined
  }
}

/** The fields of /proc/PID/stat after the name, which may hold blanks itself (proc_pid_stat(5)). */
const fieldsOf = (pid) => readStatus(pid, 'stat')?.split(') ').at(-1).split(' ')

/** Resident memory in MB; undefined where it cannot be read. */
export function memoryOf (pid) {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readStatus(pid, 'status') ?? '')?.[1]
  return kib === undefined ? undefined : Number(kib) / 1024
}

/** A tick of the processor's accounting on every Linux that Node runs on. */
const tickMs = 10

/** Processor time in milliseconds of a process; undefined where it cannot be read. */
export function processorTimeOf (pid) {
  const fields = fieldsOf(pid)
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * tickMs
}

/** The same of the children of a process that live, such as the connections of PostgreSQL. */
export function processorTimeOfChildren (pid) {
  if (pid === undefined || fieldsOf(pid) === undefined) return undefined
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && fieldsOf(name)?.[1] === String(pid))
    .reduce((sum, name) => sum + (processorTimeOf(name) ?? 0), 0)
}
