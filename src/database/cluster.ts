// Creates the embedded cluster so that a kill at any moment leaves either none or a complete one.

import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from './folder.js'
import { isAlive } from './postmaster.js'
import { chooseIdentity, handOver, locatePrograms, run, type Identity, type RootOptions } from './programs.js'

export interface Cluster {
  dataDir: string
  /** PostgreSQL's own files. */
  data: string
  /** What PostgreSQL prints. */
  logFile: string
  /** Of the role `gatehouse`. */
  password: string
}

export interface ClusterOptions {
  dataDir: string
  rootOptions: RootOptions
  /** Whether a new cluster has to survive a power cut from its first moment. */
  isDurable: boolean
  log: (line: string) => void
}

// No initdb takes this long, so an older folder was left behind even if its process number lives again as somebody else's.
const abandonedAfterMs = 10 * 60 * 1000

/**
 * Finds the cluster in `<dataDir>/postgres`, creating it on the first call. Several processes may do so at once: all get the same one.
 * @throws Error with one line that names the folder and the reason
 */
export async function prepareCluster ({ dataDir, rootOptions, isDurable, log }: ClusterOptions): Promise<Cluster> {
  try {
    await makeFolder(dataDir)
    const home = await realpath(dataDir)
    await removeLeftovers(home)
    const folder = join(home, 'postgres')
    if (!await exists(folder)) {
      log(`creating the database in ${join(dataDir, 'postgres')} (first start only)`)
      await createCluster(home, folder, rootOptions, isDurable)
    }
    return {
      dataDir: home,
      data: join(folder, 'data'),
      logFile: join(folder, 'postgres.log'),
      password: await readPassword(join(folder, 'credentials.json'))
    }
  } catch (error) {
    throw new Error(`the embedded database in ${join(dataDir, 'postgres')} cannot be used: ${(error as Error).message}`, { cause: error })
  }
}

async function exists (path: string): Promise<boolean> {
  return (await Promise.allSettled([stat(path)]))[0].status === 'fulfilled'
}

async function readPassword (file: string): Promise<string> {
  const { password } = JSON.parse(await readFile(file, 'utf8')) as { password?: unknown }
  if (typeof password !== 'string') throw new Error(`${file} has no password`)
  return password
}

/** Removes what a killed initdb left. Its last child may still be writing, so a folder that resists is the next start's. */
async function removeLeftovers (dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const owner = /^postgres\.new-(\d+)-/.exec(name)?.[1]
    if (owner === undefined) continue
    const folder = join(dataDir, name)
    const isAbandoned = !isAlive(Number(owner)) || (await stat(folder)).mtimeMs < Date.now() - abandonedAfterMs
    if (isAbandoned) await Promise.allSettled([rm(folder, { recursive: true, force: true, maxRetries: 3 })])
  }
}

async function createCluster (dataDir: string, folder: string, rootOptions: RootOptions, isDurable: boolean): Promise<void> {
  const workplace = `${folder}.new-${process.pid}-${randomBytes(6).toString('hex')}`
  const data = join(workplace, 'data')
  const identity = await chooseIdentity(await locatePrograms(), dataDir, data, rootOptions)
  try {
    await mkdir(workplace, { mode: 0o700 })
    await mkdir(data, { mode: 0o700 })
    await initialize(identity, workplace, data, isDurable)
    await sync(workplace)
    await rename(workplace, folder)
    await sync(dataDir)
  } catch (error) {
    await rm(workplace, { recursive: true, force: true })
    // Another process was quicker; its cluster is as good as ours.
    if (!await exists(join(folder, 'credentials.json'))) throw error
  }
}

async function initialize (identity: Identity, workplace: string, data: string, isDurable: boolean): Promise<void> {
  const { initdb, postgres } = await locatePrograms()
  const password = randomBytes(24).toString('base64url')
  // Inside the data folder initdb would find it no longer empty; beside it only its owner reads it.
  const superuserFile = join(workplace, 'superuser-password')
  await writeSynced(superuserFile, randomBytes(24).toString('base64url'))
  await handOver(identity, data)
  await handOver(identity, superuserFile)
  // The built-in locale needs none of the operating system's, which small images lack.
  await run(identity, initdb, [
    '-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${superuserFile}`, '--encoding=UTF8', '--locale=C',
    '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--lc-messages=C', ...isDurable ? [] : ['--no-sync']
  ])
  await rm(superuserFile)
  // Single-user mode: no server has to run before the cluster is complete. One statement a line. CREATEDB is for the shadow
  // database of `prisma migrate dev`; nobody can sign in as the superuser.
  await run(identity, postgres, [
    '--single', '-D', data, '-c', 'exit_on_error=on', '-c', 'log_min_error_statement=panic', '-c', `fsync=${isDurable ? 'on' : 'off'}`, 'postgres'
  ], [
    `CREATE ROLE gatehouse LOGIN CREATEDB PASSWORD '${password}'`,
    'CREATE DATABASE gatehouse OWNER gatehouse',
    'ALTER ROLE postgres PASSWORD NULL',
    ''
  ].join('\n'))
  await writeSynced(join(workplace, 'credentials.json'), JSON.stringify({ password }) + '\n')
}

async function writeSynced (file: string, content: string): Promise<void> {
  const handle = await open(file, 'wx', 0o600)
  await handle.writeFile(content)
  await handle.sync()
  await handle.close()
}

/** Makes a folder's entries survive a power cut, where the operating system can open a folder (Windows cannot). */
async function sync (folder: string): Promise<void> {
  const [opened] = await Promise.allSettled([open(folder)])
  if (opened.status === 'fulfilled') await opened.value.sync().finally(async () => { await opened.value.close() })
}
