// `npm run test:worlds -- --runs N`: holds decisions against the reference evaluator in as many random worlds as one likes.
// `--seed S --path P --only rest|walks|requests`, as printed with a failure, runs the world that failed again.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root, setUp } from './setup.js'

await setUp()
const { compileTests, compiledName } = await import('./compile-tests.js')
await compileTests()
const test = join(root, compiledName('test/authorization/worlds.test.ts'))
const given = process.argv.slice(2)
const args = given.includes('--runs') || given.includes('--path') ? given : ['--runs', '10000', ...given]
const child = spawn(process.execPath, ['--enable-source-maps', test, ...args], { cwd: root, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
child.on('close', (code) => { process.exitCode = code ?? 1 })
