/** What a start refuses before it begins, as its user sees it: one line, and no secret in it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Environment, runProgram, start } from './fixtures/programs.js'

const folder = t.testdir({ file: '' })
const dataDir = join(folder, 'data')

const canary = 'hunter2'
/** Those that hold secrets; how each other is refused is in test/config.test.ts. */
const malformed: Environment = {
  DATABASE_URL: `mysql://gatehouse:${canary}@127.0.0.1/gatehouse`,
  SESSION_SECRETS: canary
}
t.test('a variable that does not fit stops the start with one line that names it and never holds its value', async (t) => {
  await Promise.all(Object.entries(malformed).map(async ([name, value]) => {
    const { code, stdout, stderr } = await runProgram(t, start, { env: { DATA_DIR: dataDir, [name]: value } })
    t.same([code, stdout], [1, ''], name)
    t.match(stderr, new RegExp(`^Gatehouse cannot start: ${name} must be .*\n$`))
    t.notMatch(stderr, canary)
  }))
  t.same(readdirSync(folder), ['file'], 'nothing was begun')
})

t.test('a DATA_DIR that cannot be is told in one line', async (t) => {
  const { code, stderr } = await runProgram(t, start, { env: { DATA_DIR: join(folder, 'file'), PORT: '0' } })
  t.equal(code, 1)
  t.match(stderr, /^Gatehouse cannot start: the embedded database in .* cannot be used: .*\n$/)
})
