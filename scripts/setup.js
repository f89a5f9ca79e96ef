// Makes a checkout ready to run: installs, generates the Prisma client and builds, each only when something it depends
// on has changed. Plain JavaScript without dependencies, because before it has run there are none.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { lstat, mkdir, readdir, readFile, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))
const path = (...parts) => join(root, ...parts)
const say = (line) => { process.stderr.write(`${line}\n`) }

/** Installs and builds what is missing or stale. Two at once in one checkout take turns. */
export async function setUp () {
  checkNode()
  if (await isInstalled() && await isBuilt()) return
  await withLock(async () => {
    if (!await isInstalled()) {
      await refuseLink()
      say('Gatehouse: installing its dependencies (first start only; a minute or so)')
      await run('npm', ['ci', '--no-audit', '--no-fund', ...(process.stderr.isTTY ? [] : ['--loglevel=error'])])
    }
    if (!await isBuilt()) {
      say('Gatehouse: building')
      const stamp = await buildStamp()
      await rm(path('dist', '.stamp'), { force: true })
      await run(process.execPath, [path('node_modules', 'prisma', 'build', 'index.js'), 'generate'], { isQuiet: true })
      // Types are checked by `npm run build` and `npm run typecheck`: who starts or tests should not wait for that.
      await run(process.execPath, [path('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json', '--noCheck'])
      await writeFile(path('dist', '.stamp.new'), stamp)
      await rename(path('dist', '.stamp.new'), path('dist', '.stamp'))
    }
  })
}

function checkNode () {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  say(`Gatehouse needs Node.js 20.19 or later; this is ${process.versions.node}.`)
  process.exit(1)
}

/** npm writes node_modules/.package-lock.json last, so an install that was cut off does not count. */
async function isInstalled () {
  const installed = await readJson(path('node_modules', '.package-lock.json'))
  if (installed === undefined) return false
  const wanted = await readJson(path('package-lock.json'))
  return Object.entries(wanted.packages).every(([place, { version, optional, peer, devOptional }]) =>
    place === '' || installed.packages[place]?.version === version ||
    (installed.packages[place] === undefined && (optional || devOptional || peer)))
}

/** `npm ci` first empties node_modules, through a link as well: the packages of another checkout are not ours to remove. */
async function refuseLink () {
  const found = await lstat(path('node_modules')).catch(() => undefined)
  if (found?.isSymbolicLink()) await fail('node_modules is a link, and what it leads to does not fit package-lock.json: run npm ci there, or remove the link')
}

async function isBuilt () {
  const stamp = await readFile(path('dist', '.stamp'), 'utf8').catch(() => undefined)
  return stamp !== undefined && existsSync(path('src', 'generated', 'prisma', 'client.ts')) && stamp === await buildStamp()
}

/** A digest of everything that the build reads. */
async function buildStamp () {
  const sources = (await readdir(path('src'), { recursive: true }))
    .filter((name) => name.endsWith('.ts') && !name.startsWith('generated')).map((name) => join('src', name))
  const digest = createHash('sha256')
  // Not by promises, which take five times as long, and every start waits for it.
  for (const name of ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'prisma.config.ts', join('prisma', 'schema.prisma'), ...sources.sort()]) {
    digest.update(`${name}\0`).update(readFileSync(path(name))).update('\0')
  }
  return digest.digest('hex')
}

async function readJson (file) {
  try {
    return JSON.parse(await readFile(file, 'utf8'))
  } catch {
    return undefined
  }
}

const lock = path('.setup-lock')
const heartbeatMs = 1_000
/** Without a heartbeat: how long a lock counts whose holder cannot be seen, and one of which a process still runs. */
const unseenMs = 15_000
const orphanedMs = 300_000

/**
 * One at a time, by a file that names the processes at work and is touched every second. When the start that holds it is
 * killed, the npm that it began goes on: the file counts until that has ended too.
 */
async function withLock (work) {
  let isAnnounced = false
  while (!await takeLock()) {
    if (!isAnnounced) say('Gatehouse: another start is setting up this checkout; waiting for it')
    isAnnounced = true
    await delay(200)
  }
  const heartbeat = setInterval(() => { utimes(lock, new Date(), new Date()).catch(() => {}) }, heartbeatMs)
  try {
    await work()
  } finally {
    clearInterval(heartbeat)
    await rm(lock, { force: true })
  }
}

async function takeLock () {
  try {
    await writeFile(lock, lockText(), { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
  if (await isHeld()) return false
  // Only one of several that wait may remove the stale file, or it would remove the lock of a quicker one.
  const breaking = `${lock}.breaking`
  try {
    await mkdir(breaking)
  } catch {
    const age = Date.now() - (await stat(breaking).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
    if (age > unseenMs) await rmdir(breaking).catch(() => {})
    return false
  }
  if (!await isHeld()) await rm(lock, { force: true })
  await rmdir(breaking)
  return await takeLock()
}

function lockText (child) {
  return JSON.stringify({ host: hostname(), pids: [process.pid, ...(child === undefined ? [] : [child.pid])] })
}

async function isHeld () {
  const found = await stat(lock).catch(() => undefined)
  if (found === undefined) return false
  const ageMs = Date.now() - found.mtimeMs
  const { host, pids } = await readJson(lock) ?? {}
  // Unreadable: its holder is just writing it. Another host's or container's processes cannot be seen from here.
  if (host !== hostname()) return ageMs < unseenMs
  return pids.some(isAlive) && ageMs < orphanedMs
}

function isAlive (pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** Runs a program in the checkout; its output goes to standard error, or only there when it fails. */
async function run (command, args, { isQuiet = false } = {}) {
  // On Windows npm is a script that only a shell can start.
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', isQuiet ? 'pipe' : 2, isQuiet ? 'pipe' : 2], shell: command === 'npm' && process.platform === 'win32' })
  const output = []
  child.stdout?.on('data', (chunk) => output.push(chunk))
  child.stderr?.on('data', (chunk) => output.push(chunk))
  const ended = new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  const [code] = await Promise.all([ended, writeFile(lock, lockText(child))])
  if (code === 0) return
  process.stderr.write(Buffer.concat(output))
  await fail(`${command === process.execPath ? args[0] : command} failed; the lines above say why. Mend it and start again`)
}

/** Ends the start under the lock, and gives the lock back. */
async function fail (reason) {
  say(`Gatehouse: ${reason}.`)
  await rm(lock, { force: true })
  process.exit(1)
}
