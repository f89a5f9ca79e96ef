/** What a start refuses before it begins, as its user sees it: one line, and no secret in it. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import pLimit from 'p-limit'
import t from 'tap'
import { type Environment, runProgram, start } from './fixtures/programs.js'

const folder = t.testdir({ file: '' })
const dataDir = join(folder, 'data')

const canary = 'hunter2'
const malformed: Environment = {
  HOST: `${canary} !`,
  PORT: canary,
  DATABASE_URL: `mysql://gatehouse:${canary}@127.0.0.1/gatehouse`,
  PUBLIC_URL: `https://user:${canary}@api.example.org`,
  TRUST_PROXY: canary,
  CORS_ORIGINS: canary,
  REGISTRATION: canary,
  PASSWORD_MIN_LENGTH: canary,
  SESSION_IDLE_HOURS: canary,
  SESSION_MAX_DAYS: canary,
  SESSION_MAX_PER_USER: canary,
  SESSION_SECRETS: canary,
  DECISION_RETENTION_DAYS: canary,
  LOG_LEVEL: canary,
  RATE_LIMIT: canary
}
t.test('a variable that does not fit stops the start with one line that names it and never holds its value', async (t) => {
  const atOnce = pLimit(2)
  await Promise.all(Object.entries(malformed).map(async ([name, value]) => await atOnce(async () => {
    const { code, stdout, stderr } = await runProgram(t, start, { env: { DATA_DIR: dataDir, [name]: value } })
    t.same([code, stdout], [1, ''], name)
    t.match(stderr, new RegExp(`^Gatehouse cannot start: ${name} must be .*\n$`))
    t.notMatch(stderr, canary)
  })))
  t.same(readdirSync(folder), ['file'], 'nothing was begun')
})

t.test('a DATA_DIR that cannot be is told in one line', async (t) => {
  const { code, stderr } = await runProgram(t, start, { env: { DATA_DIR: join(folder, 'file'), PORT: '0' } })
  t.equal(code, 1)
  t.match(stderr, /^Gatehouse cannot start: the embedded database in .* cannot be used: .*\n$/)
})
