/** `npm run reset-password`: what it does to a running service, and what it refuses. How it asks is in create-admin.test.ts. */
import t from 'tap'
import { openTestApp } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { command, password, runProgram } from './fixtures/programs.js'

const database = await openTestDatabase()
const { request, signUp, logIn } = await openTestApp(database)
const jane = await signUp({ email: 'jane@example.org' })
const reset = async (args: string[], input: string) => {
  const { code, stdout, stderr } = await runProgram(t, command, { args: ['reset-password', ...args], env: { DATABASE_URL: database.url }, input })
  return [code, stdout, stderr]
}

t.test('the new password counts at once, every session and token ends, and a deactivated account stays so', async (t) => {
  const { body: { token } } = await request('POST', '/users/me/tokens', { cookie: jane.cookie, body: { name: 'script' } })
  t.same(await reset(['--email', 'JANE@example.org'], `${password}\n`), [0, 'jane@example.org has a new password; every session and access token of the account has ended.\n', ''])
  t.equal((await request('GET', '/users/me', { cookie: jane.cookie })).status, 401)
  t.equal((await request('GET', '/users/me', { token })).status, 401)
  t.equal((await request('POST', '/auth/login', { body: { email: jane.email, password: jane.password } })).status, 401)
  await logIn({ email: jane.email, password })
  await database.query('UPDATE users SET is_active = false')
  const [code, said] = await reset(['--email', 'jane@example.org'], 'eight quiet lanterns')
  t.same([code, said], [0, 'jane@example.org has a new password; every session and access token of the account has ended. The account is deactivated, so it cannot sign in.\n'])
  t.same(await database.query("SELECT DISTINCT actor_type FROM audit_events WHERE type = 'password.changed'"), [{ actor_type: 'operator' }])
})

for (const [what, args, input, complaint] of [
  ['an e-mail without an account', ['--email', 'nobody@example.org'], '', 'reset-password: there is no account with this e-mail: nothing was changed\n'],
  ['a weak password', ['--email', 'jane@example.org'], 'short\n', 'reset-password: password must have at least 12 characters\n'],
  ['an option of another command', ['--email', 'jane@example.org', '--name', 'Jane'], '', 'reset-password: usage: npm run reset-password -- --email jane@example.org   (the password is asked for, or read as one line from standard input)\n']
] as const) {
  t.test(`${what} is refused in one sentence and changes nothing`, async (t) => {
    const before = await database.query('SELECT * FROM users')
    t.same(await reset([...args], input), [1, '', complaint])
    t.same(await database.query('SELECT * FROM users'), before)
  })
}
