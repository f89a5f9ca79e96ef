/**
 * What every `npm` command does first: install and build when something is missing, once, whoever else does so at the same time.
 * scripts/walk.js does so with a real checkout.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { until } from '../database/fixtures/processes.js'
import { type Environment, root, startProgram } from '../process/fixtures/programs.js'

const building = 'Gatehouse: building\n'
const waiting = 'Gatehouse: another start is setting up this checkout; waiting for it\n'

/** As long as the file `hold` is there, a step does not end. */
const step = (name: string, work: string) => `
const fs = require('node:fs')
fs.appendFileSync('calls', '${name} ')
const timer = setInterval(() => {
  if (fs.existsSync('hold')) return
  clearInterval(timer)
  if (fs.existsSync('fail')) { console.log('why it failed'); process.exit(1) }
  ${work}
}, 10)
`

/** A checkout in which installing and building take no time; its service says one word and ends. */
function makeCheckout (t: Test) {
  const folder = join(realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-'))), 'a checkout')
  t.teardown(() => rmSync(dirname(folder), { recursive: true, force: true, maxRetries: 5 }))
  const lock = JSON.stringify({ packages: { '': {}, 'node_modules/one': { version: '1.0.0' } } })
  const files = {
    'package.json': '{"type":"module"}',
    'package-lock.json': lock,
    'node_modules/.package-lock.json': lock,
    'tsconfig.json': '',
    'tsconfig.build.json': '',
    'prisma.config.ts': '',
    'prisma/schema.prisma': '',
    'src/main.ts': '',
    'node_modules/prisma/build/index.js': step('generate', "fs.mkdirSync('src/generated/prisma', { recursive: true }); fs.writeFileSync('src/generated/prisma/client.ts', '')"),
    'node_modules/typescript/bin/tsc': step('compile', "fs.mkdirSync('dist', { recursive: true }); fs.writeFileSync('dist/main.js', 'console.log(\"started\")')"),
    'bin/package.json': '{}',
    'bin/npm': `#!/usr/bin/env node\n${step('install', "fs.copyFileSync('package-lock.json', 'node_modules/.package-lock.json')")}`
  }
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), content, { mode: 0o755 })
  }
  cpSync(join(root, 'scripts'), join(folder, 'scripts'), { recursive: true })
  const path = (name: string) => join(folder, name)
  const env: Environment = { PATH: `${path('bin')}${delimiter}${process.env['PATH']}` }
  return {
    path,
    start: (nodeArgs: string[] = []) => startProgram(t, path('scripts/start.js'), { cwd: folder, env, nodeArgs }),
    /** What ran so far. */
    calls: () => existsSync(path('calls')) ? readFileSync(path('calls'), 'utf8').trim().split(' ') : [],
    hold: () => writeFileSync(path('hold'), ''),
    letGo: () => rmSync(path('hold')),
    /** Leaves a lock as another start would have. */
    leaveLock: (content: unknown, ageMs: number) => {
      writeFileSync(path('.setup-lock'), typeof content === 'string' ? content : JSON.stringify(content))
      const time = new Date(Date.now() - ageMs)
      utimesSync(path('.setup-lock'), time, time)
    }
  }
}

type Program = ReturnType<typeof startProgram>
const outcome = async (program: Program) => [await program.ended, program.stdout, program.stderr]

t.test('it installs and builds what is missing, and again only what has changed', async (t) => {
  const { start, calls, path } = makeCheckout(t)
  rmSync(path('node_modules/.package-lock.json'))
  t.same(await outcome(start()), [0, 'started\n', `Gatehouse: installing its dependencies (first start only; a minute or so)\n${building}`])
  t.same(calls(), ['install', 'generate', 'compile'])
  t.same(await outcome(start()), [0, 'started\n', ''])
  appendFileSync(path('src/main.ts'), '// changed')
  t.same(await outcome(start()), [0, 'started\n', building])
  writeFileSync(path('package-lock.json'), JSON.stringify({ packages: { '': {}, 'node_modules/one': { version: '1.0.1' } } }))
  t.equal(await start().ended, 0)
  t.same(calls(), ['install', 'generate', 'compile', 'generate', 'compile', 'install', 'generate', 'compile'])
  t.notOk(existsSync(path('.setup-lock')))
})

t.test('of several at once one builds, and the others wait for it', async (t) => {
  const { start, calls, hold, letGo } = makeCheckout(t)
  hold()
  const programs = [start(), start(), start()]
  await until(() => programs.filter(({ stderr }) => stderr === waiting).length === 2)
  letGo()
  t.same((await Promise.all(programs.map(outcome))).sort(), [[0, 'started\n', waiting], [0, 'started\n', waiting], [0, 'started\n', building]])
  t.same(calls(), ['generate', 'compile'])
})

t.test('a start that was killed while it built: the next one waits for what it had begun, and builds anew', async (t) => {
  const { start, calls, hold, letGo } = makeCheckout(t)
  hold()
  const killed = start()
  await until(() => calls().length === 1)
  // Its child is in the lock as soon as the lock has been written.
  await delay(200)
  killed.child.kill('SIGKILL')
  const next = start()
  await next.says(waiting)
  await delay(500)
  t.same(calls(), ['generate'], 'what the killed one began still runs')
  letGo()
  t.same(await outcome(next), [0, 'started\n', waiting + building])
  t.same(calls(), ['generate', 'generate', 'compile'])
})

t.test('a lock that nobody holds any more is taken', async (t) => {
  const { pid: dead } = spawnSync(process.execPath, ['--version'])
  const [here, elsewhere] = [hostname(), 'another-host']
  for (const [what, content, ageMs, isWaitedFor] of [
    ['of a dead process', { host: here, pids: [dead] }, 0, false],
    ['of a live process that is another program by now', { host: here, pids: [process.pid] }, 301_000, false],
    ['of another host, without a sign of life', { host: elsewhere, pids: [1] }, 16_000, false],
    ['of another host, whose last sign of life is less than 15 s old', { host: elsewhere, pids: [1] }, 13_500, true],
    ['that is empty, because its writer was killed', '', 13_500, true]
  ] as const) {
    const { start, leaveLock } = makeCheckout(t)
    leaveLock(content, ageMs)
    t.same(await outcome(start()), [0, 'started\n', (isWaitedFor ? waiting : '') + building], what)
  }
})

t.test('several that find a stale lock: still only one builds', async (t) => {
  const { start, calls, leaveLock } = makeCheckout(t)
  leaveLock({ host: 'another-host', pids: [1] }, 16_000)
  const outcomes = await Promise.all([start(), start(), start(), start()].map(outcome))
  t.same(outcomes.map(([code, stdout]) => [code, stdout]), Array(4).fill([0, 'started\n']))
  t.same(calls(), ['generate', 'compile'])
})

t.test('a build that fails ends the start with its output, and does not block the next', async (t) => {
  const { start, path } = makeCheckout(t)
  writeFileSync(path('fail'), '')
  const [code, stdout, stderr] = await outcome(start())
  t.same([code, stdout], [1, ''])
  t.match(stderr, /^Gatehouse: building\nwhy it failed\nGatehouse: .*index\.js failed; the lines above say why\. Mend it and start again\.\n$/)
  rmSync(path('fail'))
  t.same(await outcome(start()), [0, 'started\n', building])
})

t.test('packages behind a link are used, and never removed to install others', async (t) => {
  const { start, calls, path } = makeCheckout(t)
  mkdirSync(path('elsewhere'))
  renameSync(path('node_modules'), path('elsewhere/node_modules'))
  symlinkSync(path('elsewhere/node_modules'), path('node_modules'))
  t.same(await outcome(start()), [0, 'started\n', building])
  rmSync(path('elsewhere/node_modules/.package-lock.json'))
  const [code, stdout, stderr] = await outcome(start())
  t.same([code, stdout], [1, ''])
  t.match(stderr, /^Gatehouse: node_modules is a link, .*\n$/)
  t.same(calls(), ['generate', 'compile'])
  t.notOk(existsSync(path('.setup-lock')))
})

t.test('an old Node.js is told which one it takes', async (t) => {
  const { start, calls } = makeCheckout(t)
  const old = start(['--import', 'data:text/javascript,Object.defineProperty(process,"versions",{value:{node:"20.18.3"}})'])
  t.same(await outcome(old), [1, '', 'Gatehouse needs Node.js 20.19 or later; this is 20.18.3.\n'])
  t.same(calls(), [])
})
