/** The key in DATA_DIR: made once, readable by its owner only, and the same for all who make it at once. */
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadSessionSecrets } from '../src/session-secrets.js'

t.test('the key is made at the first start and stays', async (t) => {
  const dataDir = join(t.testdir(), 'new', 'data')
  const secrets = await loadSessionSecrets(dataDir)
  t.equal(secrets.length, 1)
  t.match(secrets[0], /^[A-Za-z0-9_-]{43}$/)
  t.same(await loadSessionSecrets(dataDir), secrets)
  t.same(readdirSync(dataDir), ['session-secret'], 'and nothing else is left')
  t.not((await loadSessionSecrets(join(t.testdirName, 'another')))[0], secrets[0])
})

t.test('only its owner can read it, whatever the umask', { skip: process.platform === 'win32' }, async (t) => {
  const umask = process.umask(0)
  t.teardown(() => { process.umask(umask) })
  const dataDir = join(t.testdir(), 'data')
  await loadSessionSecrets(dataDir)
  t.equal(statSync(join(dataDir, 'session-secret')).mode & 0o777, 0o600)
  t.equal(statSync(dataDir).mode & 0o777, 0o700)
})

t.test('ten that make it at once end up with the same', async (t) => {
  const dataDir = join(t.testdir(), 'data')
  const all = await Promise.all(Array.from({ length: 10 }, () => loadSessionSecrets(dataDir)))
  t.equal(new Set(all.flat()).size, 1)
  t.same(readdirSync(dataDir), ['session-secret'])
})

t.test('a folder that cannot be is an error, not a key that is lost again', async (t) => {
  const folder = t.testdir()
  writeFileSync(join(folder, 'file'), '')
  await t.rejects(loadSessionSecrets(join(folder, 'file')), { code: 'ENOTDIR' })
  await t.rejects(loadSessionSecrets(join(folder, 'file', 'data')), { code: 'ENOTDIR' })
})

t.test('a key that cannot be given its name is an error', async (t) => {
  const folder = t.testdir({ data: { 'session-secret': {} } })
  await t.rejects(loadSessionSecrets(join(folder, 'data')), { code: 'EISDIR' })
})

t.test('a folder that cannot be made is an error, where Node by itself would try for ever', { skip: process.platform !== 'linux' }, async (t) => {
  await t.rejects(loadSessionSecrets('/proc/none/data'), { code: 'ENOENT', path: '/proc/none' })
})

t.test('a folder that takes no file is an error', { skip: process.platform !== 'linux' }, async (t) => {
  // Where not even root may make one.
  await t.rejects(loadSessionSecrets('/proc/self'), /open '\/proc/)
})
