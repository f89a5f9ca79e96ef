// Runs the README and the pages with examples literally, as a newcomer would: a fresh clone in a folder with a blank in its
// name, `npm start`, twice at once, the bash blocks of each page in a session of its own, Ctrl-C, another start; then the same
// with DATABASE_URL. It sees what is committed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { root, setUp } from './setup.js'

/** In this order, the pages of a list in one shell; the very first lists the configuration, and its first block signs in. */
const pages = [['README.md'], ['model.md', 'asking.md', 'audit.md'].map((page) => join('docs', page))]

/** Installing included. */
const startMs = 600_000
const walkMs = 180_000
/** What the service promises, and what npm adds to it. */
const stopMs = 12_000

const say = (line) => { process.stdout.write(`walk: ${line}\n`) }

await setUp()
const { openDatabase } = await import('../dist/database/open.js')
const folder = await mkdtemp(join(tmpdir(), 'gatehouse walk '))
const clone = join(folder, 'a clone')
const running = new Set()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    for (const child of running) killGroup(child, 'SIGINT')
    process.exit(1)
  })
}

let other
try {
  // git refuses the checkout of another user, which CI's often is; what is in it runs here anyway.
  await writeFile(join(folder, 'gitconfig'), '[safe]\n\tdirectory = *\n')
  await run('git', ['clone', '--quiet', root, clone], { cwd: folder, env: { ...process.env, GIT_CONFIG_GLOBAL: join(folder, 'gitconfig') } })
  await walk('embedded PostgreSQL', {})
  await rm(join(clone, '.data'), { recursive: true })
  other = await openDatabase({ dataDir: join(folder, 'other'), use: 'command', log: say })
  await walk('DATABASE_URL', { DATABASE_URL: other.url })
  if (existsSync(join(clone, '.data', 'postgres'))) throw new Error('a PostgreSQL was made in spite of DATABASE_URL')
  say('done')
} catch (error) {
  say(`FAILED: ${error.message}`)
  process.exitCode = 1
} finally {
  for (const child of running) killGroup(child, 'SIGKILL')
  await other?.close()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** One newcomer: start, walk, stop, and a second start that still knows the account. */
async function walk (title, settings) {
  const port = await findFreePort()
  const texts = await Promise.all(pages.map(async (list) => (await Promise.all(list.map(async (page) => await readFile(join(clone, page), 'utf8')))).join('\n')))
  // Nothing of the caller's configuration, which the README lists.
  const foreign = new Set([...texts[0].matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name))
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.has(name)))
  const env = { ...inherited, ...settings }
  const dataDir = join(clone, '.data')
  const blocksOf = (text) => [...text.matchAll(/^```bash\n(.*?)^```$/gms)].map(([, block]) => block.replaceAll('127.0.0.1:3000', `127.0.0.1:${port}`))

  say(`${title}: npm start`)
  const isNew = !existsSync(join(clone, 'node_modules'))
  const first = begin({ ...env, PORT: String(port) })
  if (isNew) await startBeside(first, { ...env, PORT: '0', DATA_DIR: join(folder, 'beside') })
  await untilReady(first)
  for (const [index, text] of texts.entries()) {
    const count = await runBlocks(blocksOf(text), env)
    if (count === 0) throw new Error(`${pages[index].join(', ')} has no examples`)
    say(`${title}: ${count} commands of ${pages[index].join(', ')} answered as it says`)
  }
  await stop(first, dataDir)
  say(`${title}: Ctrl-C ended with status 0`)

  const since = Date.now()
  const second = begin({ ...env, PORT: String(port) })
  await untilReady(second)
  say(`${title}: the second start was ready after ${((Date.now() - since) / 1000).toFixed(1)} s`)
  const [block] = blocksOf(texts[0])
  const helper = block.split('\n').filter((line) => /^(jar=|api\(\))/.test(line))
  const login = block.split('\n').find((line) => line.includes('/auth/login') && line.includes('# → 200'))
  await runBlocks([[...helper, login].join('\n')], env)
  await stop(second, dataDir)
  say(`${title}: the account was still there`)
}

/** A second `npm start` while the first installs and builds: one of them does it, and the other waits for it. */
async function startBeside (first, env) {
  const beside = begin(env)
  await Promise.all([first, beside].map(untilReady))
  const worked = [first, beside].map(({ output }) => /^Gatehouse: (installing|building|another start)/m.exec(output)?.[1])
  if (worked.sort().join() !== 'another start,installing') throw new Error(`both set the checkout up:\n${first.output}\n${beside.output}`)
  await stop(beside, env.DATA_DIR)
  say('of two starts at once one installed and built, and the other waited for it')
}

/** `npm start` in a process group of its own, as a terminal would give it. */
function begin (env) {
  const child = spawn('npm', ['start'], { cwd: clone, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.output = ''
  const collect = (chunk) => { child.output += chunk }
  child.stdout.setEncoding('utf8').on('data', collect)
  child.stderr.setEncoding('utf8').on('data', collect)
  child.ended = once(child, 'close').finally(() => running.delete(child))
  return child
}

async function untilReady (child) {
  const deadline = Date.now() + startMs
  while (!/^Gatehouse is ready at http/m.test(child.output)) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`npm start did not become ready:\n${child.output}`)
    await delay(50)
  }
}

/** Ctrl-C: the terminal sends it to every process of the group. */
async function stop (child, dataDir) {
  killGroup(child, 'SIGINT')
  const [code] = await Promise.race([child.ended, delay(stopMs, ['none within 12 s'], { ref: false })])
  if (code !== 0) throw new Error(`Ctrl-C ended npm start with status ${code}:\n${child.output}`)
  if (existsSync(join(dataDir, 'postgres', 'data', 'postmaster.pid'))) throw new Error('PostgreSQL was left running')
}

/**
 * Runs blocks in one bash and compares what each command's last line ends with to the comment after it.
 * @returns how many were compared
 */
async function runBlocks (blocks, env) {
  const commands = blocks.join('\n').split(/(?<=# → .*\n)/)
  const mark = '\u001e'
  const script = commands.map((command) => `${command}\nprintf '\\n${mark}'\n`).join('')
  const output = await run('bash', ['-euo', 'pipefail', '-c', script], { cwd: clone, env })
  const answers = output.split(mark)
  const expectations = commands.map((command) => /# → (.*)\n?$/.exec(command)?.[1])
  for (const [index, expected] of expectations.entries()) {
    const last = answers[index].trimEnd().split('\n').at(-1)
    if (expected !== undefined && !last.endsWith(expected)) {
      throw new Error(`${commands[index].trim()}\nended with ${last}`)
    }
  }
  return expectations.filter((expected) => expected !== undefined).length
}

/** Runs a program to its end and returns what it wrote to standard output. */
async function run (command, args, options) {
  const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  const timer = setTimeout(() => killGroup(child, 'SIGKILL'), walkMs)
  let output = ''
  let complaints = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => { output += chunk })
  child.stderr.setEncoding('utf8').on('data', (chunk) => { complaints += chunk })
  const [code, signal] = await once(child, 'close').finally(() => {
    clearTimeout(timer)
    running.delete(child)
  })
  if (code !== 0) throw new Error(`${command} ended with ${code ?? signal}:\n${output}${complaints}`)
  return output
}

function killGroup (child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended already.
  }
}

async function findFreePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  await once(server.close(), 'close')
  return port
}
