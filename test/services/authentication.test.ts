/** Login and changing the password: one verification whoever asks, and races that leave no session behind. */
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { changePassword, logIn, resetPassword } from '../../src/services/authentication.js'
import type { PasswordHasher } from '../../src/services/password-hashing.js'
import { createToken, findTokenIdentity } from '../../src/services/tokens.js'
import { operator } from '../../src/services/caller.js'
import { findIdentity, startSession } from '../../src/services/sessions.js'
import { createUser, updateUser, type User } from '../../src/services/users.js'
import { callerOf, createUserEditor } from '../helpers/caller.js'
import { openTestDatabase, untilBlocked } from '../helpers/database.js'

const database = await openTestDatabase()
const { db, query } = database
const settings = { sessionIdleMs: 3_600_000, sessionMaxMs: 36_000_000, sessionMaxPerUser: 20 }
const password = 'some-clever-password'
const anotherPassword = 'another-clever-password'

/** Counts instead of hashing: with it a round of a race takes milliseconds. */
const calls: string[] = []
const hasher: PasswordHasher = {
  hash: async (password) => { calls.push('hash'); return `$argon2id$${password}` },
  verify: async (hash, password) => { calls.push('verify'); return hash === `$argon2id$${password}` || hash === `$argon2id$old$${password}` },
  isOutdated: (hash) => hash.startsWith('$argon2id$old$')
}
const editor = await createUserEditor(database)
let counter = 0
const createPerson = () => createUser(db, { email: `person${++counter}@example.org`, name: 'Jane Doe', password }, { hasher })
const tryLogIn = (email: string, used = password, endsSecret?: string, secret: string = randomUUID()) =>
  logIn(db, { email, password: used, secret, endsSecret, ip: '192.0.2.7', userAgent: undefined }, settings, hasher)
const sessionsOf = async (userId: string) => (await query<{ id: string }>('SELECT id FROM sessions WHERE user_id = $1', [userId])).map(({ id }) => id)

t.test('the right password starts a session and notes the login', async (t) => {
  const person = await createPerson()
  const { user, session } = await tryLogIn(person.email.toUpperCase())
  t.match(user, { id: person.id, lastLoginAt: Date })
  t.same(await sessionsOf(person.id), [session.id])
  t.same(user.updatedAt, person.updatedAt, 'to sign in is no change of the account')
})

t.test('known, unknown and deactivated accounts cost one verification and get the same error', async (t) => {
  const [person, deactivated] = [await createPerson(), await createPerson()]
  await updateUser(db, editor, deactivated.id, { isActive: false })
  for (const [what, email, used] of [
    ['wrong password', person.email, 'wrong'],
    ['unknown', 'nobody@example.org', password],
    ['no address at all', '', password],
    ['deactivated with the right password', deactivated.email, password],
    ['deactivated with a wrong one', deactivated.email, 'wrong']
  ] as const) {
    calls.length = 0
    const error = await tryLogIn(email, used).catch((error) => error)
    t.match(error, { name: 'DomainError', code: 'invalid-credentials', detail: undefined, errors: undefined }, what)
    t.same(calls, ['verify'], what)
  }
  calls.length = 0
  await tryLogIn(person.email)
  t.same(calls, ['verify'], 'success')
  t.same(await sessionsOf(deactivated.id), [])
})

t.test('a stored hash that is broken is a wrong password, not a fault', async (t) => {
  const { id, email } = await createPerson()
  await query("UPDATE users SET password_hash = '$argon2id$v=19$m=99999999,t=9,p=9$broken' WHERE id = $1", [id])
  await t.rejects(logIn(db, { email, password, secret: 'x', ip: '::1', userAgent: undefined }, settings), { code: 'invalid-credentials' })
})

t.test('a hash with other parameters than those of today', async (t) => {
  const createOld = async () => {
    const person = await createPerson()
    await query('UPDATE users SET password_hash = $2 WHERE id = $1', [person.id, `$argon2id$old$${password}`])
    return person
  }
  const hashOf = async (id: string) => (await query<{ hash: string }>('SELECT password_hash AS hash FROM users WHERE id = $1', [id]))[0]?.hash

  t.test('is replaced at the next login, once, by one that is made while the password is at hand', async (t) => {
    const person = await createOld()
    calls.length = 0
    const { user } = await tryLogIn(person.email)
    t.same(calls, ['verify', 'hash'])
    t.equal(await hashOf(person.id), `$argon2id$${password}`)
    t.same(user.updatedAt, person.updatedAt, 'which is no change of the account')
    calls.length = 0
    await tryLogIn(person.email)
    t.same(calls, ['verify'])
  })

  t.test('stays when the password is wrong or the account deactivated', async (t) => {
    const person = await createOld()
    await t.rejects(tryLogIn(person.email, 'wrong'), { code: 'invalid-credentials' })
    await updateUser(db, editor, person.id, { isActive: false })
    calls.length = 0
    await t.rejects(tryLogIn(person.email), { code: 'invalid-credentials' })
    t.same(calls, ['verify'])
    t.equal(await hashOf(person.id), `$argon2id$old$${password}`)
  })

  t.test('keeps nobody out: four logins at once succeed, 20 times out of 20', async (t) => {
    for (let round = 0; round < 20; round++) {
      const { id, email } = await createOld()
      await Promise.all([tryLogIn(email), tryLogIn(email), tryLogIn(email), tryLogIn(email)])
      if (await hashOf(id) !== `$argon2id$${password}`) t.fail(`round ${round}`)
    }
  })

  t.test('that a login replaces while another login or a change is under way is checked once more', async (t) => {
    const meanwhile = (email: string): PasswordHasher => {
      let isFirst = true
      return {
        ...hasher,
        hash: async (given) => {
          if (isFirst) await tryLogIn(email)
          isFirst = false
          return await hasher.hash(given)
        }
      }
    }
    const [one, other] = [await createOld(), await createOld()]
    calls.length = 0
    await logIn(db, { email: one.email, password, secret: randomUUID(), ip: '::1', userAgent: undefined }, settings, meanwhile(one.email))
    t.same(calls, ['verify', 'verify', 'hash', 'hash', 'verify'])
    t.equal((await sessionsOf(one.id)).length, 2)
    calls.length = 0
    await changePassword(db, callerOf(other.id), { user: other, currentPassword: password, newPassword: anotherPassword }, { hasher: meanwhile(other.email) })
    t.same(calls, ['verify', 'verify', 'hash', 'hash', 'verify', 'hash'])
    t.equal(await hashOf(other.id), `$argon2id$${anotherPassword}`)
  })

  t.test('never puts an old password over a new one: logins race a change, which succeeds, 20 times out of 20', async (t) => {
    for (let round = 0; round < 20; round++) {
      const user = await createOld()
      const session = await startSession(db, { userId: user.id, secret: randomUUID(), ip: '::1', userAgent: undefined }, settings)
      const caller = { ...callerOf(user.id), credential: { type: 'session', id: session.id } } as const
      const change = changePassword(db, caller, { user, currentPassword: password, newPassword: anotherPassword }, { hasher })
      await Promise.allSettled([tryLogIn(user.email), change, tryLogIn(user.email)])
      await change
      const left = await sessionsOf(user.id)
      if (await hashOf(user.id) !== `$argon2id$${anotherPassword}` || left.length !== 1) t.fail(`round ${round}`, { left })
    }
  })
})

t.test('a login ends the session that it replaces, also one of somebody else, and no other', async (t) => {
  const [person, another] = [await createPerson(), await createPerson()]
  const [old, untouched] = ['old-secret', 'untouched-secret']
  await tryLogIn(another.email, password, undefined, old)
  await tryLogIn(another.email, password, undefined, untouched)
  await tryLogIn(person.email, password, old)
  t.equal(await findIdentity(db, old, settings), null)
  t.not(await findIdentity(db, untouched, settings), null)
})

t.test('a failed login ends nothing', async (t) => {
  const { email } = await createPerson()
  await tryLogIn(email, password, undefined, 'mine')
  await t.rejects(tryLogIn(email, 'wrong', 'mine'), { code: 'invalid-credentials' })
  t.not(await findIdentity(db, 'mine', settings), null)
})

t.test('20 logins at once leave no more sessions than a user may have', async (t) => {
  const { id, email } = await createPerson()
  await Promise.all(Array.from({ length: 20 }, () =>
    logIn(db, { email, password, secret: randomUUID(), ip: '::1', userAgent: undefined }, { ...settings, sessionMaxPerUser: 5 }, hasher)))
  t.equal((await sessionsOf(id)).length, 5)
})

t.test('changing the password', async (t) => {
  const open = async () => {
    const user = await createPerson()
    const session = await startSession(db, { userId: user.id, secret: randomUUID(), ip: '::1', userAgent: undefined }, settings)
    const change = (currentPassword = password, newPassword = anotherPassword) =>
      changePassword(db, { ...callerOf(user.id), credential: { type: 'session', id: session.id } }, { user, currentPassword, newPassword }, { hasher })
    return { user, session, change }
  }

  t.test('ends every other session, and the old password', async (t) => {
    const { user, session, change } = await open()
    await tryLogIn(user.email)
    await change()
    t.same(await sessionsOf(user.id), [session.id])
    await t.rejects(tryLogIn(user.email), { code: 'invalid-credentials' })
    await tryLogIn(user.email, anotherPassword)
  })

  t.test('needs the current one, and a good new one', async (t) => {
    const { user, change } = await open()
    await tryLogIn(user.email)
    await t.rejects(change('wrong'), { code: 'invalid-credentials' })
    await t.rejects(change(password, 'short'), { code: 'invalid-request', errors: [{ path: '/newPassword' }] })
    await t.rejects(change(password, `${user.email.split('@')[0]}-1`), { code: 'invalid-request' })
    t.equal((await sessionsOf(user.id)).length, 2)
    await tryLogIn(user.email)
  })

  t.test('of an account that is gone is refused', async (t) => {
    const { user, change } = await open()
    await query('DELETE FROM users WHERE id = $1', [user.id])
    await t.rejects(change(), { code: 'invalid-credentials' })
  })

  t.test('twice at once succeeds once', async (t) => {
    const { change, user } = await open()
    const results = await Promise.allSettled([change(password, 'the-first-of-two-changes'), change(password, 'the-second-of-two-changes')])
    t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    t.match(results.find(({ status }) => status === 'rejected'), { reason: { code: 'invalid-credentials' } })
    await tryLogIn(user.email, results[0].status === 'fulfilled' ? 'the-first-of-two-changes' : 'the-second-of-two-changes')
  })

  t.test('while others sign in with the old one leaves only the session that asked, 20 times out of 20', async (t) => {
    for (let round = 0; round < 20; round++) {
      const { user, session, change } = await open()
      await Promise.allSettled([tryLogIn(user.email), tryLogIn(user.email), change(), tryLogIn(user.email), tryLogIn(user.email)])
      const left = await sessionsOf(user.id)
      if (left.length !== 1 || left[0] !== session.id) t.fail(`round ${round}`, { left })
    }
  })
})

t.test('resetting the password', async (t) => {
  const reset = (user: User, newPassword = anotherPassword) => resetPassword(db, operator, user, newPassword, { hasher })

  t.test('needs no old one, ends every session and token, and is told as done by the operator', async (t) => {
    const [person, another] = [await createPerson(), await createPerson()]
    const [{ session }, elsewhere] = [await tryLogIn(person.email), await tryLogIn(another.email)]
    const { token, id } = await createToken(db, { ...callerOf(person.id), credential: { type: 'session', id: session.id } }, { name: 'script' })
    await reset(person)
    t.same(await sessionsOf(person.id), [])
    t.equal(await findTokenIdentity(db, token), null)
    t.same(await sessionsOf(another.id), [elsewhere.session.id], 'and nobody else\'s')
    await t.rejects(tryLogIn(person.email), { code: 'invalid-credentials' })
    await tryLogIn(person.email, anotherPassword)
    t.same(await query("SELECT type, target_type, target_id, actor_id, before, after FROM audit_events WHERE actor_type = 'operator' ORDER BY id"), [
      { type: 'password.changed', target_type: 'user', target_id: person.id, actor_id: null, before: null, after: null },
      { type: 'session.ended', target_type: 'session', target_id: session.id, actor_id: null, before: { userId: person.id, createdAt: session.createdAt.toISOString(), expiresAt: session.expiresAt.toISOString(), ip: '192.0.2.7', userAgent: null }, after: null },
      { type: 'token.ended', target_type: 'token', target_id: id, actor_id: null, before: { userId: person.id, name: 'script', permissions: null, expiresAt: null }, after: null }
    ])
  })

  t.test('needs a good new one', async (t) => {
    const person = await createPerson()
    await tryLogIn(person.email)
    await t.rejects(reset(person, 'short'), { code: 'invalid-request', errors: [{ path: '/password' }] })
    await t.rejects(reset(person, `${person.email.split('@')[0]}-1`), { code: 'invalid-request' })
    t.equal((await sessionsOf(person.id)).length, 1)
    await tryLogIn(person.email)
  })

  t.test('does not make a deactivated account active', async (t) => {
    const person = await createPerson()
    await updateUser(db, editor, person.id, { isActive: false })
    await reset(person)
    await t.rejects(tryLogIn(person.email, anotherPassword), { code: 'invalid-credentials' })
    await updateUser(db, editor, person.id, { isActive: true })
    await tryLogIn(person.email, anotherPassword)
  })

  t.test('of an account that is gone is refused', async (t) => {
    const person = await createPerson()
    await query('DELETE FROM users WHERE id = $1', [person.id])
    await t.rejects(reset(person), { code: 'not-found' })
  })

  t.test('while others sign in with the old one leaves no session, 20 times out of 20', async (t) => {
    for (let round = 0; round < 20; round++) {
      const person = await createPerson()
      await Promise.allSettled([tryLogIn(person.email), tryLogIn(person.email), reset(person), tryLogIn(person.email), tryLogIn(person.email)])
      const left = await sessionsOf(person.id)
      if (left.length > 0) t.fail(`round ${round}`, { left })
    }
  })
})

t.test('a login while the account is deactivated leaves no session, 40 times out of 40', async (t) => {
  const person = await createPerson()
  for (let round = 0; round < 40; round++) {
    await Promise.allSettled([tryLogIn(person.email), tryLogIn(person.email), updateUser(db, editor, person.id, { isActive: false }), tryLogIn(person.email)])
    const left = await sessionsOf(person.id)
    if (left.length > 0) t.fail(`round ${round}`, { left })
    await updateUser(db, editor, person.id, { isActive: true })
  }
})

t.test('a login that was quicker than a deactivation is ended by it', async (t) => {
  const person = await createPerson()
  let deactivation: Promise<unknown> | undefined
  await db.$transaction(async (tx) => {
    await logIn(tx, { email: person.email, password, secret: randomUUID(), ip: '::1', userAgent: undefined }, settings, hasher)
    deactivation = updateUser(db, editor, person.id, { isActive: false })
    // A race has this order only sometimes.
    await untilBlocked(database)
  })
  await deactivation
  t.same(await sessionsOf(person.id), [])
})
