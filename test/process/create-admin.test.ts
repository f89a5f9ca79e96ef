/** `npm run create-admin`: whom it makes an owner of the root, how it asks for the password, and what it refuses. */
import t from 'tap'
import { rootId } from '../../src/services/decision.js'
import { openTestDatabase } from '../helpers/database.js'
import { makeFolder, runningPid, until } from '../database/fixtures/processes.js'
import { command, type ProgramOptions, password, runProgram, send, signUp, startProgram, startService } from './fixtures/programs.js'

const database = await openTestDatabase()
const usage = 'create-admin: usage: npm run create-admin -- --email jane@example.org --name "Jane Doe"   ' +
  '(the password is asked for, or read as one line from standard input)\n'

const options = (args: string[], rest: ProgramOptions = {}): ProgramOptions => ({
  ...rest, args: ['create-admin', ...args], env: { DATABASE_URL: database.url, ...rest.env }
})
const readUsers = async () => await database.query(`
  SELECT email, name, password_hash AS "passwordHash", EXISTS (SELECT 1 FROM role_bindings b WHERE b.user_id = u.id AND b.role = 'owner' AND b.resource_id = '${rootId}') AS "isOwner"
  FROM users u ORDER BY email`)
const findUser = async (email: string) => (await readUsers()).find((user) => user['email'] === email)

t.test('the password is the first line of standard input, and the account holds every right', async (t) => {
  const { code, stdout, stderr } = await runProgram(t, command, options(['--email', 'First@Example.ORG', '--name', 'First'], { input: `${password}\r\nanother line\n` }))
  t.same([code, stdout, stderr], [0, 'First@example.org was created and holds every right.\n', ''])
  t.match(await readUsers(), [{ email: 'First@example.org', name: 'First', isOwner: true }])
  const service = await startService(t, { DATABASE_URL: database.url, DATA_DIR: makeFolder(t) })
  const { status, cookie } = await send(service.url, 'POST', '/auth/login', { body: { email: 'first@example.org', password } })
  t.equal(status, 200)
  t.equal((await send(service.url, 'GET', '/users', { cookie })).status, 200)
  await service.stop()
})

t.test('an existing account gets the rights; no password is read, and none is changed', async (t) => {
  const passwordHash = `$argon2id$v=19$m=19456,p=1,t=2$${'a'.repeat(22)}$${'b'.repeat(43)}`
  await database.db.user.create({ data: { id: '01890a5d-ac96-774b-bcce-b302099a8057', email: 'known@example.org', name: 'Known', passwordHash } })
  // Standard input stays open and brings nothing.
  const { code, stdout, stderr } = await runProgram(t, command, options(['--email', 'KNOWN@example.org', '--name', 'Other']))
  t.same([code, stdout, stderr], [0, 'known@example.org exists already: the account now holds every right; its password is unchanged.\n', ''])
  t.same(await findUser('known@example.org'), { email: 'known@example.org', name: 'Known', isOwner: true, passwordHash })
  await database.query('UPDATE users SET is_active = false WHERE email = $1', ['known@example.org'])
  const again = await runProgram(t, command, options(['--email', 'known@example.org']))
  t.match(again.stdout, /its password is unchanged\. The account is deactivated, so it cannot sign in\.\n$/, 'and it says that this is of no use')
})

for (const [what, args, input, complaint] of [
  ['a short password', ['--email', 'a@example.org', '--name', 'A'], 'short\n', /^create-admin: password must have at least 12 characters\n$/],
  ['a bad e-mail', ['--email', 'nobody', '--name', 'A'], `${password}\n`, /^create-admin: email must be an e-mail address .+\n$/],
  ['no name for a new account', ['--email', 'a@example.org'], `${password}\n`, `create-admin: --name is missing: there is no account with this e-mail yet\n${usage.slice('create-admin: '.length)}`],
  ['no e-mail', ['--name', 'A'], `${password}\n`, usage],
  ['an unknown option', ['--email', 'a@example.org', '--role', 'owner'], `${password}\n`, usage],
  ['no password', ['--email', 'a@example.org', '--name', 'A'], '', /^create-admin: no password came: .+\n$/]
] as const) {
  t.test(`${what} is refused in one sentence and changes nothing`, async (t) => {
    const before = await readUsers()
    const { code, stdout, stderr } = await runProgram(t, command, options([...args], { input }))
    t.equal(code, 1)
    t.equal(stdout, '')
    t.match(stderr, complaint)
    t.notMatch(stderr, password)
    t.same(await readUsers(), before)
  })
}

t.test('a variable that does not fit, and a database that is away, are told in one line', async (t) => {
  const args = ['--email', 'a@example.org', '--name', 'A']
  const misconfigured = await runProgram(t, command, options(args, { env: { PORT: 'hunter2' } }))
  t.same([misconfigured.code, misconfigured.stderr], [1, 'create-admin: PORT must be a port number from 0 (any free one) to 65535\n'])
  const away = await runProgram(t, command, options(args, { env: { DATABASE_URL: 'postgresql://gatehouse:hunter2@127.0.0.1:1/gatehouse' } }))
  t.equal(away.code, 1)
  t.match(away.stderr, /^create-admin: cannot connect to the database: .*ECONNREFUSED.*\n$/)
  t.notMatch(misconfigured.stderr + away.stderr, 'hunter2')
})

t.test('an account that somebody else makes meanwhile is not taken over', async (t) => {
  const waiting = startProgram(t, command, options(['--email', 'quick@example.org', '--name', 'A']))
  await until(async () => (await database.query("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' AND query LIKE '%lower(u.email)%' AND pid <> pg_backend_pid()")).length > 0)
  const passwordHash = `$argon2id$v=19$m=19456,p=1,t=2$${'a'.repeat(22)}$${'b'.repeat(43)}`
  await database.db.user.create({ data: { id: '01890a5d-ac96-774b-bcce-b302099a8058', email: 'Quick@example.org', name: 'Quick', passwordHash } })
  waiting.child.stdin?.end(`${password}\n`)
  t.equal(await waiting.ended, 1)
  t.equal(waiting.stderr, 'create-admin: email-taken: nothing was changed; run the command again\n')
  t.match(await findUser('Quick@example.org'), { isOwner: false, passwordHash })
})

t.test('on a terminal it asks twice and shows nothing of what is typed', { skip: process.platform === 'win32' }, async (t) => {
  const program = startProgram(t, command, options(['--email', 'terminal@example.org', '--name', 'T'], { onTerminal: true }))
  await program.says(/Password: $/)
  program.child.stdin?.write(`${password}\r`)
  await program.says(/Password \(again\): $/)
  program.child.stdin?.write(`${password}\r`)
  t.equal(await program.ended, 0)
  t.equal(program.stdout.replaceAll('\r', ''), 'Password: \nPassword (again): \nterminal@example.org was created and holds every right.\n')
})

t.test('two passwords that differ, Ctrl-C and Ctrl-D at the prompt change nothing', { skip: process.platform === 'win32' }, async (t) => {
  const before = await readUsers()
  const ask = async (answers: string[]) => {
    const program = startProgram(t, command, options(['--email', 'nobody@example.org', '--name', 'T'], { onTerminal: true }))
    for (const [index, answer] of answers.entries()) {
      await program.says(index === 0 ? /Password: $/ : /Password \(again\): $/)
      program.child.stdin?.write(answer)
    }
    return { code: await program.ended, last: program.stdout.trimEnd().split('\r\n').at(-1) }
  }
  const [differing, interrupted, ended] = [await ask([`${password}\r`, 'another password\r']), await ask(['\u0003']), await ask(['\u0004'])]
  t.same(differing, { code: 1, last: 'create-admin: the two passwords differ: nothing was changed' })
  for (const { code, last } of [interrupted, ended]) {
    t.equal(code, 1)
    t.match(last, /^create-admin: no password came: /)
  }
  t.same(await readUsers(), before)
})

t.test('with the embedded database it works while the service is stopped, and while it runs', async (t) => {
  const dataDir = makeFolder(t)
  const embedded = (args: string[], input?: string): ProgramOptions => ({ args: ['create-admin', ...args], env: { DATA_DIR: dataDir }, ...(input === undefined ? {} : { input }) })
  const first = await runProgram(t, command, embedded(['--email', 'first@example.org', '--name', 'First'], `${password}\n`))
  t.same([first.code, first.stdout], [0, 'first@example.org was created and holds every right.\n'])
  t.match(first.stderr, /^creating the database in .*\n$/)
  t.equal(runningPid(dataDir), undefined, 'it gave PostgreSQL back')

  const waiting = startProgram(t, command, embedded(['--email', 'second@example.org', '--name', 'Second']))
  await until(() => runningPid(dataDir))
  waiting.child.kill('SIGTERM')
  t.equal(await waiting.ended, 1)
  t.equal(waiting.stderr, 'create-admin: interrupted\n')
  t.equal(runningPid(dataDir), undefined, 'also when it was interrupted')

  const service = await startService(t, { DATA_DIR: dataDir })
  const cookie = await signUp(service.url, 'jane@example.org')
  t.equal((await send(service.url, 'GET', '/users', { cookie })).status, 403)
  const second = await runProgram(t, command, embedded(['--email', 'jane@example.org']))
  t.equal(second.code, 0)
  t.equal((await send(service.url, 'GET', '/users', { cookie })).status, 200, 'the rights count at once')
  t.equal((await service.stop()).code, 0)
})
