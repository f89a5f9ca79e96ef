/** Limits on guessing: what is counted, who is slowed down by it, for how long, and what guesses at once come to. */
import pg from 'pg'
import t from 'tap'
import { DomainError, RateLimitError } from '../../src/errors.js'
import { accountKey, type LoginAttempt, noLimits, openLimits, removeExpiredLimits } from '../../src/services/limits.js'
import { startSession } from '../../src/services/sessions.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const { db, query, url } = database
const pools = [new pg.Pool({ connectionString: url }), new pg.Pool({ connectionString: url })]
// The database is dropped while their connections are still closing.
for (const pool of pools) pool.on('error', () => {})
t.teardown(() => Promise.all(pools.map((pool) => pool.end())))
/** Two instances of the service. */
const [limits, otherInstance] = pools.map((pool) => openLimits(db, pool)) as [ReturnType<typeof openLimits>, ReturnType<typeof openLimits>]

let counter = 0
const newEmail = () => `person${++counter}@example.org`
/** One that nobody has used yet. */
const newAddress = () => `10.${(++counter >> 16) & 255}.${(counter >> 8) & 255}.${counter & 255}`
const letTimePass = async (seconds: number) => await query('UPDATE rate_limits SET expire = expire - $1', [seconds * 1_000])

const right = async () => 'in'
const wrong = async () => { throw new DomainError('invalid-credentials') }
const broken = async () => { throw new DomainError('overloaded') }
/** A short wait as long as it was when it began: 2, 4, 8 seconds and so on. On a busy machine a second of it may have passed. */
const wholeWait = (seconds: number) => seconds > 64 ? Math.ceil(seconds) : Math.max(2, 2 ** Math.ceil(Math.log2(seconds)))
/** What becomes of an attempt: `in`, the code of the error, or the wait in seconds. */
const outcome = async (attempt: Promise<unknown>): Promise<unknown> => await attempt.catch((error: DomainError) =>
  error instanceof RateLimitError ? wholeWait(error.waitMs / 1_000) : error.code)
const tryLogin = async (attempt: Partial<LoginAttempt>, work: () => Promise<unknown>, at = limits) =>
  await outcome(at.logIn({ email: 'jane@example.org', address: newAddress(), device: undefined, ...attempt }, work))
const times = async (count: number, work: () => Promise<unknown>) => {
  const found = []
  for (let index = 0; index < count; index++) found.push(await work())
  return found
}
const failed = 'invalid-credentials'

t.test('the sixth failed login to an account has to wait, wherever it comes from, and each one after it for longer', async (t) => {
  const email = newEmail()
  const endOfWait = async () => Number((await query('SELECT expire FROM rate_limits WHERE key = $1', [`account-wait:${accountKey(email)}`]))[0]?.['expire'])
  t.same(await times(4, () => tryLogin({ email }, wrong)), Array(4).fill(failed))
  for (const seconds of [2, 4, 8, 16, 32, 64]) {
    const before = Date.now()
    t.equal(await tryLogin({ email: ` ${email}` }, wrong), failed, 'one may try')
    const [end, after] = [await endOfWait(), Date.now()]
    t.ok(end - after <= seconds * 1_000 && seconds * 1_000 <= end - before, `and then has to wait for ${seconds} seconds`)
    // On a busy machine they might pass meanwhile.
    await letTimePass(-600)
    const waits = [await tryLogin({ email: email.toUpperCase() }, right), ...await times(3, () => tryLogin({ email }, right, otherInstance))]
    t.ok(waits.every((wait) => typeof wait === 'number' && wait > 300), 'and waits', { waits })
    t.equal(await endOfWait(), end + 600_000, 'asking again changes nothing')
    await letTimePass(600 + seconds)
  }
  t.same(await tryLogin({ email: newEmail() }, right), 'in', 'another account is not concerned')
  await letTimePass(900)
  t.same(await times(5, () => tryLogin({ email }, wrong)), Array(5).fill(failed), 'after 15 minutes it begins anew')
})

t.test('a wait is never longer than 15 minutes', async (t) => {
  const email = newEmail()
  await times(5, () => tryLogin({ email }, wrong))
  for (let round = 0; round < 30; round++) {
    await query("UPDATE rate_limits SET expire = 0 WHERE key LIKE 'account-wait:%'")
    await tryLogin({ email }, wrong)
  }
  const wait = await tryLogin({ email }, right) as number
  t.ok(wait <= 900 && wait > 890, String(wait))
})

t.test('of 60 guesses at once, at two instances, five are looked at', async (t) => {
  const email = newEmail()
  let looks = 0
  const guess = async () => {
    looks++
    await wrong()
  }
  const found = await Promise.all(Array.from({ length: 60 }, (_, index) => tryLogin({ email }, guess, index % 2 === 0 ? limits : otherInstance)))
  t.equal(looks, 5)
  t.equal(found.filter((one) => one === failed).length, 5)
  t.ok(found.every((one) => one === failed || (typeof one === 'number' && one <= 4)), 'and the others wait no longer than after guesses one by one', { found })
})

t.test('a right password pays nothing', async (t) => {
  const [email, address] = [newEmail(), newAddress()]
  t.same(await times(60, () => tryLogin({ email, address }, right)), Array(60).fill('in'))
  t.same(await times(5, () => tryLogin({ email }, wrong)), Array(5).fill(failed))
})

t.test('nor do many at once, which wait for each other', async (t) => {
  const atOnce = async (count: number, attempt: () => Partial<LoginAttempt>, at = (_index: number) => limits) =>
    await Promise.all(Array.from({ length: count }, (_, index) => tryLogin(attempt(), right, at(index))))
  const [email, address] = [newEmail(), newAddress()]
  t.same(await atOnce(60, () => ({ email })), Array(60).fill('in'), 'from many addresses')
  t.same(await atOnce(60, () => ({ email, address })), Array(60).fill('in'), 'from one')
  t.same(await atOnce(60, () => ({ email, address, device: 'mine' })), Array(60).fill('in'), 'from one browser that is known')
  t.same(await atOnce(60, () => ({ email }), (index) => index % 2 === 0 ? limits : otherInstance), Array(60).fill('in'), 'at two instances')
  t.same(await atOnce(120, () => ({ email: newEmail(), address })), Array(120).fill('in'), 'for many accounts')
  t.same(await times(4, () => tryLogin({ email, address }, wrong)), Array(4).fill(failed))
  t.same(await atOnce(60, () => ({ email, address })), Array(60).fill('in'), 'after four failures too')
  t.equal(await tryLogin({ email }, wrong), failed)
  // The wait of two seconds might pass meanwhile on a busy machine.
  await letTimePass(-600)
  t.same((await atOnce(60, () => ({ email }))).filter((wait) => typeof wait !== 'number'), [], 'but none after five')
})

t.test('right passwords among guesses at once let no more guesses in', async (t) => {
  const email = newEmail()
  const found = await Promise.all(Array.from({ length: 40 }, (_, index) => tryLogin({ email }, index % 2 === 0 ? wrong : right)))
  // The fourth one closes the way when a right one is under way beside it.
  t.ok([4, 5].includes(found.filter((one) => one === failed).length), 'five at most', { found })
  t.type(await tryLogin({ email }, right), 'number')
})

t.test('nor does a fault of ours', async (t) => {
  const email = newEmail()
  t.same(await times(10, () => tryLogin({ email }, broken)), Array(10).fill('overloaded'))
  t.same(await times(10, () => tryLogin({ email, device: 'known' }, broken)), Array(10).fill('overloaded'))
  t.same(await times(5, () => tryLogin({ email }, wrong)), Array(5).fill(failed))
  await letTimePass(2)
  t.same(await tryLogin({ email }, broken), 'overloaded')
  t.same(await tryLogin({ email }, wrong), failed, 'nor does it begin a wait')
})

t.test('the right password ends a wait for nobody but who gives it', async (t) => {
  const [email, stranger] = [newEmail(), newAddress()]
  await times(5, () => tryLogin({ email, address: stranger }, wrong))
  await letTimePass(2)
  t.equal(await tryLogin({ email }, right), 'in', 'the owner, once it is over')
  t.equal(await tryLogin({ email, address: stranger }, wrong), failed)
  t.equal(await tryLogin({ email, address: stranger }, wrong), 4, 'whose success has not made the stranger\'s failures undone')
})

t.test('a browser that the account knows goes on while strangers are slowed down', async (t) => {
  const [email, address] = [newEmail(), newAddress()]
  await times(5, () => tryLogin({ email, address }, wrong))
  t.equal(await tryLogin({ email, address }, right), 2)
  t.equal(await tryLogin({ email, address, device: 'mine' }, right), 'in', 'even at the same address')
  t.same(await times(6, () => tryLogin({ email, device: 'mine' }, wrong)), [...Array(5).fill(failed), 2], 'with a limit of its own')
  t.equal(await tryLogin({ email, device: 'another of mine' }, right), 'in')
  await letTimePass(2)
  t.equal(await tryLogin({ email, device: 'mine' }, right), 'in')
  t.same(await times(6, () => tryLogin({ email, device: 'mine' }, wrong)), [...Array(5).fill(failed), 2], 'success has made its failures undone')
})

t.test('so does an address where the account is signed in', async (t) => {
  const [email, home] = [newEmail(), newAddress()]
  const { id } = await db.user.create({ data: { id: crypto.randomUUID(), email, name: 'Jane', passwordHash: '$argon2id$none' } })
  const session = { userId: id, secret: 'a secret', ip: home, userAgent: undefined }
  await startSession(db, session, { sessionIdleMs: 60_000, sessionMaxMs: 60_000, sessionMaxPerUser: 2 })
  await times(5, () => tryLogin({ email }, wrong))
  t.equal(await tryLogin({ email }, right), 2)
  t.equal(await tryLogin({ email, address: home }, right), 'in')
  t.same(await times(6, () => tryLogin({ email, address: home }, wrong)), [...Array(5).fill(failed), 2])
  await query("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE user_id = $1", [id])
  await letTimePass(2)
  await tryLogin({ email }, wrong)
  t.equal(await tryLogin({ email, address: home }, right), 4, 'but no longer when the session has ended')
})

t.test('one address has 50 failed logins in 15 minutes, for all accounts together', async (t) => {
  const address = newAddress()
  t.same(await times(50, () => tryLogin({ email: newEmail(), address }, wrong)), Array(50).fill(failed))
  const wait = await tryLogin({ email: newEmail(), address: `::ffff:${address}` }, right) as number
  t.ok(wait > 800 && wait <= 900, String(wait))
  t.equal(await tryLogin({ email: newEmail() }, right), 'in', 'other addresses go on')
  t.equal(await tryLogin({ email: newEmail(), address, device: 'known' }, right), 'in', 'as does a browser that is known')
  await letTimePass(900)
  t.equal(await tryLogin({ email: newEmail(), address }, right), 'in')
})

t.test('of 80 guesses at once from one address, for as many accounts, 50 are looked at', async (t) => {
  const address = newAddress()
  const found = await Promise.all(Array.from({ length: 80 }, () => tryLogin({ email: newEmail(), address }, wrong)))
  t.equal(found.filter((one) => one === failed).length, 50)
})

t.test('an IPv6 address counts with its network of 64 bits, and what is no address as it is', async (t) => {
  await times(50, () => tryLogin({ email: newEmail(), address: `2001:db8:1:2:${(++counter).toString(16)}::1` }, wrong))
  t.type(await tryLogin({ email: newEmail(), address: '2001:db8:1:2:ffff::' }, right), 'number')
  t.equal(await tryLogin({ email: newEmail(), address: '2001:db8:1:3::1' }, right), 'in')
  t.equal(await tryLogin({ email: newEmail(), address: 'unknown'.repeat(50) }, wrong), failed)
})

t.test('an address makes 30 accounts an hour, those that exist already counted', async (t) => {
  const address = newAddress()
  const taken = async () => { throw new DomainError('email-taken') }
  const refused = async () => { throw new DomainError('invalid-request') }
  const register = async (work: () => Promise<unknown>) => await outcome(limits.register(address, work))
  t.same(await times(40, () => register(refused)), Array(40).fill('invalid-request'), 'what is not well-formed is not counted')
  t.same(await times(15, () => register(right)), Array(15).fill('in'))
  t.same(await times(15, () => register(taken)), Array(15).fill('email-taken'))
  const wait = await register(right) as number
  t.ok(wait > 3_500 && wait <= 3_600, String(wait))
  t.equal(await outcome(limits.register(newAddress(), right)), 'in')
  await letTimePass(3_600)
  const found = await Promise.all(Array.from({ length: 40 }, () => register(right)))
  t.equal(found.filter((one) => one === 'in').length, 30, 'so it is with 40 at once')
})

t.test('somebody who is signed in has 20 wrong current passwords in 15 minutes', async (t) => {
  const confirm = async (work: () => Promise<unknown>, userId = 'one') => await outcome(limits.confirmPassword(userId, work))
  t.same(await times(25, () => confirm(right)), Array(25).fill('in'))
  t.same(await Promise.all(Array.from({ length: 60 }, () => confirm(right))), Array(60).fill('in'))
  const found = await Promise.all(Array.from({ length: 30 }, () => confirm(wrong)))
  t.equal(found.filter((one) => one === failed).length, 20)
  t.type(await confirm(right), 'number')
  t.equal(await confirm(wrong, 'another'), failed)
})

t.test('and 20 unknown subjects; whoever guesses beyond finds nobody, whoever names an id goes on', async (t) => {
  const unknown = async () => { throw new DomainError('unknown-subject') }
  const forbidden = async () => { throw new DomainError('escalation') }
  const name = async (isGuessable: boolean, work: () => Promise<unknown>) => await outcome(limits.nameSubject('one', { isGuessable }, work))
  t.same(await times(25, () => name(true, right)), Array(25).fill('in'))
  t.same(await times(25, () => name(false, forbidden)), Array(25).fill('escalation'))
  t.same(await times(10, () => name(true, unknown)), Array(10).fill('unknown-subject'))
  t.same(await times(10, () => name(false, unknown)), Array(10).fill('unknown-subject'))
  t.type(await name(true, unknown), 'number')
  t.type(await name(true, right), 'number', 'nor can it be told who exists')
  t.type(await name(false, unknown), 'number')
  t.equal(await name(false, right), 'in')
})

t.test('the database learns no e-mail from it', async (t) => {
  await tryLogin({ email: 'canary@example.org' }, wrong)
  t.same(await query("SELECT 1 FROM rate_limits WHERE key LIKE '%canary%'"), [])
})

t.test('where limits are off nothing is counted', async (t) => {
  const before = await query('SELECT count(*) FROM rate_limits')
  const attempt = { email: 'jane@example.org', address: '10.0.0.1', device: undefined }
  t.same(await times(60, () => outcome(noLimits.logIn(attempt, wrong))), Array(60).fill(failed))
  for (const limit of [() => noLimits.register('10.0.0.1', right), () => noLimits.confirmPassword('one', right), () => noLimits.nameSubject('one', { isGuessable: true }, right)]) {
    t.equal(await outcome(limit()), 'in')
  }
  t.same(await query('SELECT count(*) FROM rate_limits'), before)
})

t.test('a database that does not answer is no limit', async (t) => {
  const dead = new pg.Pool({ connectionString: 'postgresql://nobody@127.0.0.1:1/nothing' })
  t.teardown(() => dead.end())
  const unreachable = openLimits(db, dead)
  t.equal(await tryLogin({}, right, unreachable), 'ECONNREFUSED')
  t.equal(await outcome(unreachable.register('10.0.0.1', right)), 'ECONNREFUSED')
  // One that goes away when the failures have been counted.
  const { rows } = await pools[0]!.query('SELECT 1')
  t.equal(rows.length, 1)
  const leaving = {
    query: async (statement: { values: unknown[] }) => {
      if (String(statement.values[0]).startsWith('account-wait:')) throw Object.assign(new Error('gone'), { code: '57P01' })
      return await pools[0]!.query(statement as never)
    }
  }
  const email = newEmail()
  await times(4, () => tryLogin({ email }, wrong, openLimits(db, leaving)))
  t.equal(await tryLogin({ email }, right, openLimits(db, leaving)), '57P01')
})

t.test('what is over is removed, in batches', async (t) => {
  await times(3, () => tryLogin({ email: newEmail() }, wrong))
  await query('UPDATE rate_limits SET expire = 0')
  await tryLogin({ email: newEmail() }, wrong)
  const [row] = await query('SELECT count(*)::int AS count FROM rate_limits WHERE expire = 0')
  t.equal(await removeExpiredLimits(db, 4), row?.['count'])
  t.same(await query('SELECT count(*)::int AS count FROM rate_limits'), [{ count: 3 }])
})
