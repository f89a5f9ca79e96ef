/** Access tokens: their form, what is stored, for whom and how long they stand, and what ends them. */
import { createHash, randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import t from 'tap'
import { argon2id } from '../../src/services/password-hashing.js'
import { changePassword } from '../../src/services/authentication.js'
import type { Caller } from '../../src/services/caller.js'
import { endSessionsOf, startSession } from '../../src/services/sessions.js'
import { isTokenLike, makeToken } from '../../src/services/token-secrets.js'
import { createToken, endToken, findTokenIdentity, listTokens, removeExpiredTokens } from '../../src/services/tokens.js'
import { createUser, updateUser } from '../../src/services/users.js'
import { createUserEditor } from '../helpers/caller.js'
import { connect, openTestDatabase, untilBlocked } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'

const database = await openTestDatabase()
const { db, query, url } = database
const editor = await createUserEditor(database)
const hasher = { ...argon2id, hash: async () => '$argon2id$not-a-real-one', verify: async () => true }
const password = 'some-clever-password'
let counter = 0

/** Somebody with a session, as services see them. */
async function createPerson () {
  const user = await createUser(db, { email: `person${++counter}@example.org`, name: 'Jane Doe', password }, { hasher })
  const settings = { sessionIdleMs: 3_600_000, sessionMaxMs: 3_600_000, sessionMaxPerUser: 20 }
  const { id } = await startSession(db, { userId: user.id, secret: randomUUID(), ip: '192.0.2.7', userAgent: undefined }, settings)
  const caller: Caller = { userId: user.id, permissions: null, credential: { type: 'session', id }, requestId: null, ip: null }
  return { user, caller }
}
const isGood = async (token: string) => await findTokenIdentity(db, token) !== null

t.test('a token is a prefix, 36 random characters and a CRC-32 of them to the base of 62', async (t) => {
  const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
  const secrets = Array.from({ length: 200 }, () => makeToken())
  for (const { secret, prefix } of secrets) {
    t.match(secret, /^gate_[0-9A-Za-z]{42}$/)
    t.equal(prefix, secret.slice(0, 11))
    const checksum = [...secret.slice(41)].reduce((sum, digit) => sum * 62 + digits.indexOf(digit), 0)
    t.equal(checksum, crc32(secret.slice(5, 41)))
    t.ok(isTokenLike(secret))
  }
  t.equal(new Set(secrets.map(({ secret }) => secret)).size, 200)
  t.equal(new Set(secrets.flatMap(({ secret }) => [...secret.slice(5, 41)])).size, 62, 'every character occurs')
})

t.test('what cannot be a token asks the database nothing', async (t) => {
  const { secret } = makeToken()
  const texts = ['', 'x', secret.slice(0, -1), `${secret}0`, `${secret.slice(0, 10)}${secret[10] === 'a' ? 'b' : 'a'}${secret.slice(11)}`, secret.toUpperCase(), ` ${secret}`, 'x'.repeat(100_000), 'gate_\0']
  t.same(await countStatements(async () => { for (const text of texts) t.equal(await findTokenIdentity(db, text), null) }, database), [])
  t.equal(await findTokenIdentity(db, secret), null, 'nor is one that nobody was given good')
})

t.test('it stands for its user, with its permissions, found in one statement', async (t) => {
  const { user, caller } = await createPerson()
  const { token, ...shown } = await createToken(db, caller, { name: ' backup ', permissions: ['*:view', 'document:edit'] })
  t.match(shown, { name: 'backup', permissions: ['*:view', 'document:edit'], createdAt: Date, lastUsedAt: null, expiresAt: null })
  t.same(await findTokenIdentity(db, token), { user, token: { id: shown.id, permissions: ['*:view', 'document:edit'] } })
  t.equal((await countStatements(async () => await findTokenIdentity(db, token), database)).length, 1)
  const full = await createToken(db, caller, { name: 'all' })
  t.equal((await findTokenIdentity(db, full.token))?.token.permissions, null)
  const none = await createToken(db, caller, { name: 'nothing', permissions: [] })
  t.same((await findTokenIdentity(db, none.token))?.token.permissions, [])
})

t.test('the database holds a SHA-256 of it and nowhere the secret', async (t) => {
  const { token, id } = await createToken(db, (await createPerson()).caller, { name: 'one' })
  const [row] = await query("SELECT *, encode(secret_hash, 'hex') AS hex FROM access_tokens WHERE id = $1", [id])
  t.equal(row?.['hex'], createHash('sha256').update(token).digest('hex'))
  t.notMatch(JSON.stringify(row), token.slice(11))
})

t.test('a name that is blank, a time that is over, and a permission that nobody could have are refused', async (t) => {
  const { caller } = await createPerson()
  const refused = async (input: Partial<Parameters<typeof createToken>[2]>, path: string) =>
    await t.rejects(createToken(db, caller, { name: 'one', ...input }), { code: 'invalid-request', errors: [{ path }] })
  await refused({ name: '  ' }, '/name')
  await refused({ expiresAt: new Date(Date.now() - 1) }, '/expiresAt')
  await refused({ expiresAt: new Date(NaN) }, '/expiresAt')
  await refused({ permissions: ['*:view', 'nothing:view'] }, '/permissions/1')
  await refused({ permissions: ['document:publish'] }, '/permissions/0')
  t.same(await listTokens(db, caller.userId, { limit: 10 }), [])
})

t.test('it ends when it expires, and is shown for another month', async (t) => {
  const { caller } = await createPerson()
  const { token, id } = await createToken(db, caller, { name: 'one', expiresAt: new Date(Date.now() + 60_000) })
  t.equal(await isGood(token), true)
  // The column has milliseconds and would round up, to a moment that is still to come.
  await query("UPDATE access_tokens SET expires_at = date_trunc('milliseconds', now()) WHERE id = $1", [id])
  t.equal(await isGood(token), false)
  t.equal(await removeExpiredTokens(db), 0)
  t.match(await listTokens(db, caller.userId, { limit: 10 }), [{ id }])
  await query("UPDATE access_tokens SET expires_at = date_trunc('milliseconds', now()) - interval '30 days' WHERE id = $1", [id])
  t.equal(await removeExpiredTokens(db), 1)
  t.same(await listTokens(db, caller.userId, { limit: 10 }), [])
  t.match(await query("SELECT actor_type, before FROM audit_events WHERE type = 'token.ended' AND target_id = $1", [id]), [{ actor_type: 'system', before: { userId: caller.userId, name: 'one', expiresAt: String } }])
})

t.test('that it was used is written once a minute at most, by one of many', async (t) => {
  const { caller } = await createPerson()
  const { token, id } = await createToken(db, caller, { name: 'one' })
  const writes = async (work: () => Promise<unknown>) => (await countStatements(work, database)).filter((sql) => /^\s*UPDATE/.test(sql)).length
  t.equal(await writes(() => isGood(token)), 1)
  t.equal(await writes(() => isGood(token)), 0)
  const lastUsedAt = async () => (await listTokens(db, caller.userId, { limit: 1 }))[0]?.lastUsedAt as Date
  const first = await lastUsedAt()
  await query("UPDATE access_tokens SET last_used_at = now() - interval '59 seconds' WHERE id = $1", [id])
  t.equal(await writes(() => isGood(token)), 0)
  await query("UPDATE access_tokens SET last_used_at = date_trunc('milliseconds', now()) - interval '60 seconds' WHERE id = $1", [id])
  await query(`CREATE SEQUENCE uses; CREATE FUNCTION count_use() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('uses'); RETURN NEW; END $$;
    CREATE TRIGGER count_uses BEFORE UPDATE ON access_tokens FOR EACH ROW EXECUTE FUNCTION count_use()`)
  t.ok((await Promise.all(Array.from({ length: 10 }, () => isGood(token)))).every(Boolean))
  t.same(await query("SELECT nextval('uses')::int AS next"), [{ next: 2 }])
  await query('DROP TRIGGER count_uses ON access_tokens')
  t.ok((await lastUsedAt()) >= first)
})

t.test('one ends one\'s own tokens and no others', async (t) => {
  const [one, other] = [await createPerson(), await createPerson()]
  const { token, id } = await createToken(db, one.caller, { name: 'one' })
  await t.rejects(endToken(db, other.caller, id), { code: 'not-found' })
  t.equal(await isGood(token), true)
  await endToken(db, one.caller, id)
  t.equal(await isGood(token), false)
  await t.rejects(endToken(db, one.caller, id), { code: 'not-found' })
})

for (const [what, end] of Object.entries<(person: Awaited<ReturnType<typeof createPerson>>) => Promise<unknown>>({
  'deactivating its user': async ({ user }) => await updateUser(db, editor, user.id, { isActive: false }),
  'ending all sessions of its user': async ({ user }) => await endSessionsOf(db, editor, user.id),
  'a change of the password that says so': async ({ user, caller }) => await changePassword(db, caller, {
    user, currentPassword: password, newPassword: 'quite another password', endTokens: true
  }, { hasher })
})) {
  t.test(`${what} ends it`, async (t) => {
    const [person, other] = [await createPerson(), await createPerson()]
    const tokens = [await createToken(db, person.caller, { name: 'one' }), await createToken(db, person.caller, { name: 'two' })]
    const { token: foreign } = await createToken(db, other.caller, { name: 'of another' })
    await end(person)
    for (const { token } of tokens) t.equal(await isGood(token), false)
    t.equal(await isGood(foreign), true)
    await query('UPDATE users SET is_active = true WHERE id = $1', [person.user.id])
    for (const { token } of tokens) t.equal(await isGood(token), false, 'for ever')
  })
}

t.test('any other change of the password does not', async (t) => {
  const { user, caller } = await createPerson()
  const { token } = await createToken(db, caller, { name: 'one' })
  await changePassword(db, caller, { user, currentPassword: password, newPassword: 'quite another password' }, { hasher })
  t.equal(await isGood(token), true)
})

t.test('a deactivated user has no good token, however it came to be', async (t) => {
  const { user, caller } = await createPerson()
  const { token } = await createToken(db, caller, { name: 'one' })
  await query('UPDATE users SET is_active = false WHERE id = $1', [user.id])
  t.equal(await isGood(token), false)
})

t.test('no token is made by a session that has ended', async (t) => {
  const { user, caller } = await createPerson()
  await endSessionsOf(db, editor, user.id)
  await t.rejects(createToken(db, caller, { name: 'late' }), { code: 'unauthenticated' })
})

t.test('one that is being made while all access of its user ends does not stay', async (t) => {
  const { user, caller } = await createPerson()
  const maker = await connect(url)
  await maker.query('BEGIN')
  // As createToken does, up to before its commit.
  await maker.query('SELECT 1 FROM sessions WHERE id = $1 AND expires_at > now() FOR KEY SHARE', [caller.credential?.id])
  await maker.query("INSERT INTO access_tokens (id, secret_hash, user_id, name, prefix) VALUES ($1, sha256('x'), $2, 'raced', 'gate_')", [randomUUID(), user.id])
  const ending = updateUser(db, editor, user.id, { isActive: false })
  await untilBlocked(database)
  await maker.query('COMMIT')
  await ending
  await maker.end()
  t.same(await listTokens(db, user.id, { limit: 10 }), [])
})
