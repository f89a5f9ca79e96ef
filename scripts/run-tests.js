// `npm test`: sets the checkout up when needed, keeps one database running for all test files, and runs tap.
// Arguments go to tap: `npm test -- test/routes/users.test.ts`. What runs is the build, by translations of the tests in dist-test.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root, setUp } from './setup.js'

await setUp()
const { compileTests, compiledName } = await import('./compile-tests.js')
await compileTests()
const { openDatabase } = await import('../dist/database/open.js')
const say = (line) => { process.stderr.write(`${line}\n`) }
const databaseUrl = process.env.TEST_DATABASE_URL || undefined
const database = await openDatabase({ databaseUrl, dataDir: join(root, '.test-data'), use: 'command', isDurable: false, log: say })

// A part of the tests covers a part of src.
const isPart = process.argv.slice(2).some((name) => !name.startsWith('-'))
const options = [...process.argv.slice(2).map(compiledName), ...(isPart ? ['--allow-incomplete-coverage', '--allow-empty-coverage'] : [])]
const child = spawn(process.execPath, [join(root, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs'), ...options], { cwd: root, stdio: 'inherit' })
// Ctrl-C reaches tap as well: it ends, and the database is given back.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
process.exitCode = await new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)))
await database.close()
