/** Accounts: what is taken as an e-mail and a name, finding, listing, changing, and that races leave nothing impossible behind. */
import t from 'tap'
import type { DomainError } from '../../src/errors.js'
import { isDatabaseFault } from '../../src/services/database.js'
import { argon2id } from '../../src/services/password-hashing.js'
import { findCredentials, replacePasswordHash } from '../../src/services/credentials.js'
import { createUser, findUserByEmail, findUserById, listUsers, updateOneself, updateUser, type User } from '../../src/services/users.js'
import { makeOwnerOfRoot } from '../../src/services/bindings.js'
import { callerOf, createUserEditor } from '../helpers/caller.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const { db, query } = database
/** Hashes nothing, where a test is not about passwords. */
const hasher = { ...argon2id, hash: async () => '$argon2id$not-a-real-one' }
const password = 'some-clever-password'
let counter = 0
const create = (input: { email?: string, name?: string } = {}) =>
  createUser(db, { email: `someone${++counter}@example.org`, name: 'Jane Doe', password, ...input }, { hasher })
const unknownId = '01890a5d-ac96-774b-bcce-b302099a8057'

t.test('a user who was created is found again, equal', async (t) => {
  const user = await createUser(db, { email: 'test@example.com', name: 'Jane Doe', password: 'some-clever-password' })
  t.same(await findUserByEmail(db, 'test@example.com'), user)
  t.same(await findUserById(db, user.id), user)
  t.match(user, { email: 'test@example.com', name: 'Jane Doe', isActive: true, lastLoginAt: null, createdAt: Date, updatedAt: Date })
  t.match(user.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'the id is a UUID of version 7')
  t.same(Object.keys(user).sort(), ['createdAt', 'email', 'id', 'isActive', 'lastLoginAt', 'name', 'updatedAt'], 'and nothing of the password shows')
})

t.test('the password is kept as an argon2id hash', async (t) => {
  const [row] = await query("SELECT * FROM users WHERE email = 'test@example.com'")
  t.match(row?.['password_hash'], /^\$argon2id\$/)
  t.notMatch(JSON.stringify(row), /some-clever-password/)
  t.equal(await argon2id.verify((await findCredentials(db, 'TEST@example.com'))?.passwordHash, 'some-clever-password'), true)
})

t.test('a user is created inside a transaction, and gone when that is rolled back', async (t) => {
  await t.rejects(db.$transaction(async (tx) => {
    await createUser(tx, { email: 'rolled.back@example.org', name: 'Jane Doe', password }, { hasher })
    t.ok(await findUserByEmail(tx, 'rolled.back@example.org'))
    throw new Error('enough')
  }), { message: 'enough' })
  t.equal(await findUserByEmail(db, 'rolled.back@example.org'), null)
})

for (const [what, email, stored] of [
  ['an ordinary one', 'plain@example.org', 'plain@example.org'],
  ['blanks around it', '  blanks@example.org\t', 'blanks@example.org'],
  ['a domain in capitals', 'Capitals@EXAMPLE.Org', 'Capitals@example.org'],
  ['a domain of one label', 'root@localhost', 'root@localhost'],
  ['an international domain as punycode', 'jane@xn--bcher-kva.example', 'jane@xn--bcher-kva.example'],
  ['all signs that a local part may have', ".!#$%&'*+/=?^_`{|}~-@example.org", ".!#$%&'*+/=?^_`{|}~-@example.org"],
  ['a plus', 'jane+list@example.org', 'jane+list@example.org'],
  ['255 characters', `${'a'.repeat(251)}@b.c`, `${'a'.repeat(251)}@b.c`],
  ['a label of 63 characters', `a@${'b'.repeat(63)}.org`, `a@${'b'.repeat(63)}.org`]
] as const) {
  t.test(`an e-mail with ${what} is stored trimmed, with the domain in lower case`, async (t) => {
    t.equal((await create({ email })).email, stored)
    t.equal((await findUserByEmail(db, email))?.email, stored)
  })
}

for (const [what, email] of Object.entries({
  'the empty one': '',
  blanks: '   ',
  'one without an at sign': 'example.org',
  'one with two': 'a@b@example.org',
  'one without a local part': '@example.org',
  'one without a domain': 'jane@',
  'one with a blank inside': 'jane doe@example.org',
  'one in quotes': '"jane"@example.org',
  'one with a name before it': 'Jane <jane@example.org>',
  'a letter beyond ASCII before the at sign': 'jäne@example.org',
  'a letter beyond ASCII after it': 'jane@bücher.example',
  'a letter that lower case folds to ASCII': 'jane@example.or\u212A',
  'a label that begins with a hyphen': 'jane@-example.org',
  'a label that ends with one': 'jane@example-.org',
  'an empty label': 'jane@example..org',
  'a dot at the end': 'jane@example.org.',
  'a label of 64 characters': `a@${'b'.repeat(64)}.org`,
  'an address instead of a domain': 'jane@[192.0.2.1]',
  'a line break': 'jane@example.org\nx'
})) {
  t.test(`refused as an e-mail: ${what}`, async (t) => {
    await t.rejects(create({ email }), { code: 'invalid-request', errors: [{ path: '/email', message: 'must be an e-mail address in ASCII such as jane@example.org' }] })
  })
}

t.test('an e-mail of 256 characters is refused, saying why', async (t) => {
  await t.rejects(create({ email: `${'a'.repeat(252)}@b.c` }), { errors: [{ path: '/email', message: 'must have at most 255 characters' }] })
})

for (const [what, name, stored] of [
  ['blanks around it', ' \t Jane Doe\u00a0\n', 'Jane Doe'],
  ['one character', 'J', 'J'],
  ['32 characters outside the basic plane', '🦩'.repeat(32), '🦩'.repeat(32)],
  ['quotes and semicolons', "Robert'); DROP TABLE users;--", "Robert'); DROP TABLE users;--"],
  ['another script', '山田 太郎', '山田 太郎']
] as const) {
  t.test(`a name with ${what} is stored trimmed`, async (t) => {
    const { id } = await create({ name })
    t.equal((await findUserById(db, id))?.name, stored)
  })
}

for (const [what, name, message] of [
  ['the empty one', '', 'must not be blank'],
  ['blanks alone', ' \u2003\t', 'must not be blank'],
  ['33 characters', 'x'.repeat(33), 'must have at most 32 characters'],
  ['33 characters outside the basic plane', '🦩'.repeat(33), 'must have at most 32 characters']
] as const) {
  t.test(`refused as a name: ${what}`, async (t) => {
    await t.rejects(create({ name }), { code: 'invalid-request', errors: [{ path: '/name', message }] })
    const { id } = await create()
    await t.rejects(updateUser(db, callerOf(id), id, { name }), { code: 'invalid-request', errors: [{ path: '/name', message }] })
  })
}

t.test('a weak password is refused with the reason, and no account is made', async (t) => {
  await t.rejects(createUser(db, { email: 'weak@example.org', name: 'Jane Doe', password: 'weak1' }), { errors: [{ path: '/password', message: 'must have at least 12 characters' }] })
  await t.rejects(createUser(db, { email: 'weak@example.org', name: 'Jane Doe', password: '839201756483' }), { errors: [{ path: '/password' }] })
  await t.rejects(createUser(db, { email: 'weak.tea.leaves@example.org', name: 'Jane Doe', password: 'weak.tea.leaves1' }), { errors: [{ path: '/password', message: /^is too easy to guess/ }] })
  t.equal(await findUserByEmail(db, 'weak@example.org'), null)
})

t.test('an address is one account, whatever its case', async (t) => {
  await create({ email: 'Mixed.Case@example.org' })
  for (const email of ['mixed.case@example.org', 'MIXED.CASE@EXAMPLE.ORG', ' Mixed.Case@example.org ']) {
    await t.rejects(create({ email }), { code: 'email-taken' }, email)
    t.equal((await findUserByEmail(db, email))?.email, 'Mixed.Case@example.org', email)
  }
})

t.test('of 20 registrations of one address at once exactly one succeeds', async (t) => {
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => create({ email: index % 2 ? 'raced@example.org' : 'RACED@example.org' })))
  const refused = results.filter((result) => result.status === 'rejected')
  t.equal(refused.length, 19)
  t.ok(refused.every(({ reason }) => (reason as DomainError).code === 'email-taken'))
  t.same(await query("SELECT count(*)::int FROM users WHERE lower(email) = 'raced@example.org'"), [{ count: 1 }])
})

t.test('nobody is found by what is no address or no id', async (t) => {
  const editor = await createUserEditor(database)
  for (const email of ['', ' ', 'nobody@example.org', '%', '_', "' OR 1=1 --", 'plain@example.or\u212A', 'plain@example.org\0', '\ud800', 'x'.repeat(100_000)]) {
    t.equal(await findUserByEmail(db, email), null, JSON.stringify(email).slice(0, 40))
    t.equal(await findCredentials(db, email), null)
  }
  for (const id of ['', 'abc', unknownId, `{${unknownId}}`, unknownId.replaceAll('-', ''), `${unknownId}\n`]) {
    t.equal(await findUserById(db, id), null, JSON.stringify(id))
    await t.rejects(updateUser(db, editor, id, { name: 'Nobody' }), { code: 'not-found' })
  }
})

t.test('an id counts in either case', async (t) => {
  const user = await create()
  t.same(await findUserById(db, user.id.toUpperCase()), user)
})

t.test('an error that is not about the address is passed on as it is', async (t) => {
  const failing = { ...argon2id, hash: async () => 'not argon2id, which the database checks' }
  const error = await createUser(db, { email: 'unchecked@example.org', name: 'Jane Doe', password }, { hasher: failing }).catch((error) => error)
  t.not(error.name, 'DomainError')
  t.match(error.message, /users_password_hash_check/)
  t.notOk(isDatabaseFault(error), 'it is no fault of the database either')
})

t.test('lists', async (t) => {
  await query('DELETE FROM users')
  const names = ['Ada', 'Bob 100%', 'bobby_tables', 'Ćwikła', 'Émile', 'O\'Brien', 'back\\slash']
  const users: User[] = []
  for (const name of names) users.push(await create({ name, email: `list${users.length}@example.org` }))
  const all = { limit: 100 }
  const namesOf = async (filter: { email?: string, q?: string }, page: { after?: string, limit: number } = all) => (await listUsers(db, filter, page)).map(({ name }) => name)

  t.test('show users in the order of their creation, a page at a time', async (t) => {
    t.same(await listUsers(db, {}, all), users)
    t.same(await namesOf({}, { limit: 2 }), ['Ada', 'Bob 100%'])
    t.same(await namesOf({}, { limit: 2, after: users[1]!.id }), ['bobby_tables', 'Ćwikła'])
    t.same(await namesOf({}, { limit: 2, after: users[6]!.id }), [])
  })

  for (const [q, expected] of [
    ['bob', ['Bob 100%', 'bobby_tables']],
    ['BOB', ['Bob 100%', 'bobby_tables']],
    ['%', ['Bob 100%']],
    ['_', ['bobby_tables']],
    ['\\', ['back\\slash']],
    ['\'', ['O\'Brien']],
    ['ćWIK', ['Ćwikła']],
    ['émile', ['Émile']],
    ['nobody', []],
    ['example.org', []]
  ] as const) {
    t.test(`find ${JSON.stringify(q)} literally, anywhere in the name, in any case`, async (t) => { t.same(await namesOf({ q }), expected) })
  }

  t.test('find the whole address, in any case', async (t) => {
    t.same(await namesOf({ email: 'LIST3@example.org ' }), ['Ćwikła'])
    t.same(await namesOf({ email: 'list' }), [])
    t.same(await namesOf({ email: 'list3@example.org', q: 'Ada' }), [])
  })
})

t.test('a name and whether the account is active are changed, alone or together', async (t) => {
  const { id } = await create()
  const editor = await createUserEditor(database)
  t.match(await updateUser(db, editor, id, { name: ' New Name ' }), { name: 'New Name', isActive: true })
  t.match(await updateUser(db, editor, id, { isActive: false }), { name: 'New Name', isActive: false })
  t.match(await updateUser(db, editor, id, { isActive: true, name: 'Another' }), { name: 'Another', isActive: true })
  t.match(await updateUser(db, editor, id.toUpperCase(), {}), { id, name: 'Another', isActive: true })
  await t.rejects(updateUser(db, editor, unknownId, { name: 'Nobody' }), { code: 'not-found' })
})

t.test('oneself may change one\'s name, and nothing of an account without the right to, even when it was lost just now', async (t) => {
  const { id } = await create()
  t.match(await updateOneself(db, callerOf(id), { name: ' New Name ' }), { id, name: 'New Name' })
  t.match(await updateOneself(db, callerOf(id), {}), { id, name: 'New Name' })
  await t.rejects(updateUser(db, callerOf(id), id, { name: 'Another' }), { code: 'forbidden' })
  await t.rejects(updateUser(db, callerOf(id), id, { isActive: false }), { code: 'forbidden' })
  t.match(await findUserById(db, id), { name: 'New Name', isActive: true })
})

t.test('a password hash is replaced only where it is the one that was checked', async (t) => {
  const { id } = await create()
  const newHash = '$argon2id$another'
  t.equal(await replacePasswordHash(db, { id, passwordHash: '$argon2id$stale' }, newHash), false)
  t.equal(await replacePasswordHash(db, { id, passwordHash: '$argon2id$not-a-real-one' }, newHash), true)
})

t.test('the last active administrator stays active', async (t) => {
  const [one, other] = [await create(), await create()]
  await makeOwnerOfRoot(db, one.id)
  const [byOne, byOther] = [callerOf(one.id), callerOf(other.id)]
  await t.rejects(updateUser(db, byOne, one.id, { isActive: false }), { code: 'last-owner' })
  await t.rejects(updateUser(db, byOne, one.id.toUpperCase(), { isActive: false }), { code: 'last-owner' }, 'in either case of the id')
  await makeOwnerOfRoot(db, other.id)
  t.match(await updateUser(db, byOther, one.id, { isActive: false }), { isActive: false })
  await t.rejects(updateUser(db, byOther, other.id, { isActive: false }), { code: 'last-owner' })
  t.match(await updateUser(db, byOther, one.id, { isActive: false }), { isActive: false }, 'again, which changes nothing')
  await t.rejects(updateUser(db, byOne, one.id, { isActive: true }), { code: 'forbidden' }, 'an owner who is not active may nothing')
  t.match(await updateUser(db, byOther, other.id, { name: 'Still here' }), { isActive: true })
})

t.test('two administrators who deactivate themselves leave one active, 50 times out of 50', async (t) => {
  await query('DELETE FROM users')
  const [one, other] = [await create(), await create()]
  await makeOwnerOfRoot(db, one.id)
  await makeOwnerOfRoot(db, other.id)
  for (let round = 0; round < 50; round++) {
    const results = await Promise.allSettled([one, other].map(({ id }) => updateUser(db, callerOf(id), id, { isActive: false })))
    const [active] = await query('SELECT count(*)::int FROM users WHERE is_active')
    const refused = results.filter((result) => result.status === 'rejected')
    if (active?.['count'] !== 1 || refused.length !== 1 || refused[0]?.reason.code !== 'last-owner') t.fail(`round ${round}`, { active, results })
    await query('UPDATE users SET is_active = true')
  }
})
