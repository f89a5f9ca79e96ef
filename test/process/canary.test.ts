/** Secrets that are easy to find again go through a real service and its commands, and then are looked for wherever they might lie. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { makeFolder, until } from '../database/fixtures/processes.js'
import { openTestDatabase } from '../helpers/database.js'
import { command, runProgram, send, startProgram, startService } from './fixtures/programs.js'

const database = await openTestDatabase()
const email = 'canary@example.org'
const passwords = { first: 'a canary sings quietly', second: 'a canary hums at dusk', third: 'a canary whistles low', guess: 'a canary guesses badly', refused: 'canary' }
const keys = ['a canary key that signs cookies: 40 chars', 'an older canary key of 40 characters too!']

/** The command lines of all processes that can be seen. */
const readArguments = () => process.platform === 'linux'
  ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    } catch {
      return '' // It has ended.
    }
  }).join('\n')
  : ''

/** Every row of every table, as text. */
async function readDatabase (): Promise<string> {
  const tables = await database.query<{ name: string }>("SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'")
  const all = tables.map(({ name }) => `SELECT '${name} ' || t::text AS row FROM ${name} t`).join(' UNION ALL ')
  return (await database.query<{ row: string }>(all)).map(({ row }) => row).join('\n')
}

const hex = (text: string | Buffer) => Buffer.from(text as string).toString('hex')
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

t.test('no password, cookie, token or key is in a log, an answer that does not hand it out, an audit row, the database or an argument', async (t) => {
  const service = await startService(t, { DATABASE_URL: database.url, DATA_DIR: makeFolder(t), LOG_LEVEL: 'trace', SESSION_SECRETS: keys.join() })
  const ask = async (...parameters: Parameters<typeof send> extends [string, ...infer Rest] ? Rest : never) => await send(service.url, ...parameters)
  const answers: Array<Awaited<ReturnType<typeof send>>> = []
  const note = async (answer: ReturnType<typeof send>) => { answers.push(await answer) }

  await note(ask('POST', '/users', { body: { email, name: 'Canary', password: passwords.first } }))
  const login = await ask('POST', '/auth/login', { body: { email, password: passwords.first } })
  const [cookie = '', device = ''] = login.headers.getSetCookie().map((text) => text.split(';', 1)[0] as string)
  const made = await ask('POST', '/users/me/tokens', { cookie, body: { name: 'Canary' } })
  const { token } = made.body
  const authorization = `Bearer ${token}`
  t.same([login.status, made.status, token.slice(0, made.body.prefix.length)], [200, 201, made.body.prefix])

  for (const method of ['GET', 'HEAD']) await note(ask(method, `/users/me?token=${token}`, { headers: { authorization } }))
  await note(ask('GET', '/users/me', { headers: { authorization } }))
  await note(ask('GET', '/users/me', { headers: { authorization: `${authorization}x` } }))
  await note(ask('GET', '/users/me/tokens', { cookie }))
  await note(ask('GET', '/users/me/sessions', { cookie: `${cookie}; ${device}` }))
  await note(ask('GET', `/nowhere?${cookie}`, { cookie: `${cookie}x` }))
  await note(ask('POST', '/auth/login', { cookie: device, body: { email, password: passwords.guess } }))
  await note(ask('POST', '/auth/login', { body: { email, password: [passwords.guess] } }))
  await note(ask('POST', '/users', { body: { email, name: 'Canary', password: passwords.refused } }))
  await note(ask('PUT', '/users/me/password', { cookie, body: { currentPassword: passwords.guess, newPassword: passwords.second } }))
  await note(ask('PUT', '/users/me/password', { cookie, body: { currentPassword: passwords.first, newPassword: passwords.second, secret: passwords.second } }))
  await note(ask('PUT', '/users/me/password', { cookie, body: { currentPassword: passwords.first, newPassword: passwords.second } }))
  t.same(answers.map(({ status }) => status), [201, 400, 400, 200, 401, 200, 200, 404, 401, 400, 400, 401, 400, 204])
  const inUse = await readDatabase()

  const waiting = startProgram(t, command, { args: ['reset-password', '--email', email], env: { DATABASE_URL: database.url } })
  waiting.child.stdin?.write(passwords.third)
  const commandLine = `reset-password\0--email\0${email}`
  // Right after its start a process may have no arguments yet.
  if (process.platform === 'linux') await until(() => readArguments().includes(commandLine))
  const seen = [readArguments()]
  waiting.child.stdin?.end()
  t.equal(await waiting.ended, 0)
  const weak = await runProgram(t, command, { args: ['create-admin', '--email', 'other@example.org', '--name', 'Canary'], env: { DATABASE_URL: database.url }, input: passwords.refused })
  await note(ask('GET', '/users/me', { cookie }))
  seen.push(readArguments())
  const afterwards = await readDatabase()
  t.equal((await service.stop()).code, 0)

  const value = decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1))
  const id = value.split('.')[0] as string
  const deviceValue = decodeURIComponent(device.slice(device.indexOf('=') + 1))
  const secrets = [...Object.values(passwords).slice(0, 4), ...keys, cookie, value, id, device, deviceValue, deviceValue.split(':')[2] as string, token, token.slice(made.body.prefix.length)]
  const places = {
    'the log': service.stdout + service.stderr,
    'what the commands say': [waiting, weak].map(({ stdout, stderr }) => stdout + stderr).join(),
    'the answers': answers.map(({ body, headers }) => JSON.stringify([body ?? null, ...headers])).join('\n'),
    'the database while all are in use': inUse,
    'the database afterwards': afterwards,
    arguments: seen.join('\n')
  }
  for (const [place, text] of Object.entries(places)) {
    const found = secrets.filter((secret) => [secret, encodeURIComponent(secret), hex(secret), hex(Buffer.from(secret, 'base64url'))].some((form) => text.includes(form)))
    t.same(found, [], `nothing in ${place}`)
  }

  // The search finds what is there: hashes, the canary's address, the command that waited.
  for (const known of [sha256(id), sha256(token), '$argon2id$', email, 'login.failed', 'token.created']) t.ok(inUse.includes(known), known)
  t.match(afterwards, /audit_events [^\n]*password\.changed,operator/)
  if (process.platform === 'linux') t.ok(places.arguments.includes(commandLine))
  t.match(places['the log'], /"path":"\/users\/me","status":200/)
})
