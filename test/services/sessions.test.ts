/** Sessions: how long they live, how many there may be, when they are written to, and how their rows go. */
import { createHash, randomUUID } from 'node:crypto'
import t from 'tap'
import { system } from '../../src/services/caller.js'
import { argon2id } from '../../src/services/password-hashing.js'
import { endOtherSessions, endSessionBySecret, findIdentity, hashSessionSecret, removeExpiredSessions, saveSessionData, startSession } from '../../src/services/sessions.js'
import { createUser, updateUser } from '../../src/services/users.js'
import { letTimePass } from '../helpers/app.js'
import { callerOf, createUserEditor } from '../helpers/caller.js'
import { connect, openTestDatabase, untilBlocked } from '../helpers/database.js'
import { countStatements, listStatements } from '../helpers/statements.js'

const database = await openTestDatabase()
const { db, query, url } = database
const hour = 3_600_000
const settings = { sessionIdleMs: 24 * hour, sessionMaxMs: 14 * 24 * hour, sessionMaxPerUser: 20 }
const hasher = { ...argon2id, hash: async () => '$argon2id$not-a-real-one' }
const editor = await createUserEditor(database)
let counter = 0
const createPerson = () => createUser(db, { email: `person${++counter}@example.org`, name: 'Jane Doe', password: 'some-clever-password' }, { hasher })
const start = async (userId: string, changed: Partial<typeof settings> = {}) => {
  const secret = randomUUID()
  return { secret, session: await startSession(db, { userId, secret, ip: '192.0.2.7', userAgent: 'a test' }, { ...settings, ...changed }) }
}
const isAlive = async (secret: string, lifetimes = settings) => await findIdentity(db, secret, lifetimes) !== null

t.test('a session is found by its secret, with its user and where it comes from', async (t) => {
  const user = await createPerson()
  const { secret, session } = await start(user.id)
  t.same(await findIdentity(db, secret, settings), { identity: { user, session }, data: {} })
  t.match(session, { ip: '192.0.2.7', userAgent: 'a test', createdAt: Date, lastSeenAt: session.createdAt })
  t.equal(session.expiresAt.getTime() - session.createdAt.getTime(), 24 * hour)
})

t.test('a secret that nobody has finds nothing', async (t) => {
  for (const secret of ['', 'x', randomUUID(), '\0', '\ud800', 'x'.repeat(100_000)]) t.equal(await findIdentity(db, secret, settings), null)
})

t.test('the database holds a SHA-256 of the secret and nowhere the secret', async (t) => {
  const { secret, session } = await start((await createPerson()).id)
  const [row] = await query('SELECT sessions.*, encode(secret_hash, \'hex\') AS hex FROM sessions WHERE id = $1', [session.id])
  t.equal(row?.['hex'], createHash('sha256').update(secret).digest('hex'))
  t.equal(Buffer.from(hashSessionSecret(secret)).toString('hex'), row?.['hex'])
  t.notMatch(JSON.stringify(row), secret)
})

t.test('an address and a user agent are cut; the latter may be absent', async (t) => {
  const { id } = await createPerson()
  const startWith = (userAgent: string | undefined) => startSession(db, { userId: id, secret: randomUUID(), ip: '::1', userAgent }, settings)
  t.equal((await startWith('x'.repeat(5_000))).userAgent, 'x'.repeat(512))
  t.equal((await startWith(undefined)).userAgent, null)
  t.equal((await startSession(db, { userId: id, secret: randomUUID(), ip: 'x'.repeat(100), userAgent: undefined }, settings)).ip, 'x'.repeat(64))
})

t.test('a session ends after the idle time, unless it is used before', async (t) => {
  const { id } = await createPerson()
  const [used, unused] = [await start(id), await start(id)]
  for (let round = 0; round < 3; round++) {
    await letTimePass(database, 23 * 3_600)
    t.equal(await isAlive(used.secret), true)
  }
  t.equal(await isAlive(unused.secret), false)
  await letTimePass(database, 24 * 3_600 + 1)
  t.equal(await isAlive(used.secret), false)
  t.equal(await isAlive(used.secret), false, 'and asking does not bring it back')
})

t.test('a session ends after the absolute time, however often it is used', async (t) => {
  const { id } = await createPerson()
  const { secret } = await start(id)
  for (let round = 0; round < 14; round++) {
    await letTimePass(database, 23.9 * 3_600)
    t.equal(await isAlive(secret), true)
  }
  const { expiresAt, createdAt } = (await findIdentity(db, secret, settings))!.identity.session
  t.equal(expiresAt.getTime() - createdAt.getTime(), 14 * 24 * hour, 'its end does not move beyond')
  await letTimePass(database, 1.4 * 3_600 + 1)
  t.equal(await isAlive(secret), false)
})

t.test('an idle time above the absolute time does not lengthen it', async (t) => {
  const { session } = await start((await createPerson()).id, { sessionIdleMs: 100 * hour, sessionMaxMs: 2 * hour })
  t.equal(session.expiresAt.getTime() - session.createdAt.getTime(), 2 * hour)
})

const isWrite = (sql: string) => /^\s*(UPDATE|INSERT|DELETE)/.test(sql)

t.test('being seen is written once a minute at most', async (t) => {
  const { secret, session } = await start((await createPerson()).id)
  const look = async () => (await countStatements(async () => { t.equal(await isAlive(secret), true) }, database)).filter(isWrite).length
  t.equal(await look(), 0)
  await letTimePass(database, 59)
  t.equal(await look(), 0, 'after 59 seconds')
  await letTimePass(database, 1)
  t.equal(await look(), 1, 'after a minute')
  t.equal(await look(), 0, 'and not again')
  const found = await findIdentity(db, secret, settings)
  t.ok(found!.identity.session.lastSeenAt > session.lastSeenAt)
})

t.test('being seen is written once a tenth of the idle time where that is shorter than a minute', async (t) => {
  const lifetimes = { ...settings, sessionIdleMs: 100_000 }
  const { secret } = await start((await createPerson()).id, lifetimes)
  const look = async () => (await countStatements(async () => { t.equal(await isAlive(secret, lifetimes), true) }, database)).filter(isWrite).length
  await letTimePass(database, 9)
  t.equal(await look(), 0)
  await letTimePass(database, 1)
  t.equal(await look(), 1)
})

t.test('of many requests at once one writes that the session was seen', async (t) => {
  const { secret } = await start((await createPerson()).id)
  await letTimePass(database, 120)
  await query(`CREATE SEQUENCE writes; CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('writes'); RETURN NEW; END $$;
    CREATE TRIGGER count_writes BEFORE UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION count_write()`)
  t.ok((await Promise.all(Array.from({ length: 10 }, () => isAlive(secret)))).every(Boolean))
  t.same(await query("SELECT nextval('writes')::int AS next"), [{ next: 2 }])
  await query('DROP TRIGGER count_writes ON sessions')
})

t.test('a request that finds another one writing that the session was seen goes on without', async (t) => {
  const { secret, session } = await start((await createPerson()).id)
  await letTimePass(database, 120)
  const another = await connect(url)
  await another.query('BEGIN')
  await another.query('UPDATE sessions SET last_seen_at = now() WHERE id = $1', [session.id])
  const found = findIdentity(db, secret, settings)
  await untilBlocked(database)
  await another.query('COMMIT')
  await another.end()
  t.match(await found, { identity: { session: { id: session.id } } })
})

t.test('beyond the most sessions of a user the least recently seen one ends', async (t) => {
  const [user, another] = [await createPerson(), await createPerson()]
  const most = { sessionMaxPerUser: 3 }
  const other = await start(another.id, most)
  const started = []
  for (let index = 0; index < 3; index++) {
    started.push(await start(user.id, most))
    await letTimePass(database, 100)
  }
  t.equal(await isAlive(started[0]!.secret), true, 'the oldest is seen again')
  started.push(await start(user.id, most))
  t.same(await Promise.all(started.map(({ secret }) => isAlive(secret))), [true, false, true, true])
  t.equal(await isAlive(other.secret), true, 'those of others do not count')
})

t.test('whose sessions give way is looked up, however many others have', async (t) => {
  const { id } = await createPerson()
  const [statement] = await listStatements(async () => await start(id), database)
  const client = await connect(url)
  t.teardown(() => client.end())
  // Of a table as small as this one the planner would rather read all.
  await client.query('SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan')
  await client.query(`PREPARE statement AS ${statement?.sql}`)
  const { rows } = await client.query(`EXPLAIN EXECUTE statement(${statement?.values.map(() => 'NULL').join(', ')})`)
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
  t.match(plan, /Delete on sessions/)
  t.notMatch(plan, /Seq Scan/)
})

t.test('with one session per user the newest one stands', async (t) => {
  const { id } = await createPerson()
  const [first, second] = [await start(id, { sessionMaxPerUser: 1 }), await start(id, { sessionMaxPerUser: 1 })]
  t.same([await isAlive(first.secret), await isAlive(second.secret)], [false, true])
})

t.test('a session that is used up counts before one that lives', async (t) => {
  const { id } = await createPerson()
  const living = await start(id, { sessionMaxPerUser: 2 })
  await letTimePass(database, 60)
  const ended = await start(id, { sessionMaxPerUser: 2 })
  await query("UPDATE sessions SET expires_at = date_trunc('milliseconds', now()) WHERE id = $1", [ended.session.id])
  await start(id, { sessionMaxPerUser: 2 })
  t.equal(await isAlive(living.secret), true)
})

t.test('what an application keeps in a session is stored, but never makes one', async (t) => {
  const { secret } = await start((await createPerson()).id)
  await saveSessionData(db, secret, { colour: 'blue' })
  t.same((await findIdentity(db, secret, settings))?.data, { colour: 'blue' })
  await endSessionBySecret(db, system, secret)
  await saveSessionData(db, secret, { colour: 'red' })
  t.equal(await isAlive(secret), false)
  await endSessionBySecret(db, system, secret)
})

t.test('all sessions of a user but one end, and nobody else\'s', async (t) => {
  const [user, another] = [await createPerson(), await createPerson()]
  const [kept, ended, others] = [await start(user.id), await start(user.id), await start(another.id)]
  await endOtherSessions(db, { ...callerOf(user.id), credential: { type: 'session', id: kept.session.id } })
  t.same([await isAlive(kept.secret), await isAlive(ended.secret), await isAlive(others.secret)], [true, false, true])
})

t.test('a deactivated account has no session, and its old ones do not come back with it', async (t) => {
  const { id } = await createPerson()
  const { secret } = await start(id)
  await updateUser(db, editor, id, { isActive: false })
  t.equal(await isAlive(secret), false)
  await updateUser(db, editor, id, { isActive: true })
  t.equal(await isAlive(secret), false)
})

t.test('a session of a user who is inactive does not count, whoever wrote that', async (t) => {
  const { id } = await createPerson()
  const { secret } = await start(id)
  await query('UPDATE users SET is_active = false WHERE id = $1', [id])
  t.equal(await isAlive(secret), false)
})

t.test('cleaning up', async (t) => {
  const makeExpired = async (count: number) => {
    const { id } = await createPerson()
    await query(`INSERT INTO sessions (id, secret_hash, user_id, expires_at, absolute_expires_at, ip)
      SELECT gen_random_uuid(), sha256(gen_random_uuid()::text::bytea), $1, now() - interval '1 second', now(), '::1' FROM generate_series(1, $2)`, [id, count])
  }
  const remaining = async () => (await query('SELECT count(*)::int FROM sessions WHERE expires_at <= now()'))[0]?.['count']
  t.beforeEach(async () => { await query('DELETE FROM sessions') })

  t.test('removes what has ended, in batches, and leaves what lives', async (t) => {
    const { secret } = await start((await createPerson()).id)
    await makeExpired(25)
    let removed = 0
    const statements = await countStatements(async () => { removed = await removeExpiredSessions(db, 10) }, database)
    t.equal(removed, 25)
    t.equal(statements.filter((sql) => sql.includes('DELETE FROM sessions')).length, 3)
    t.equal(await remaining(), 0)
    t.equal(await isAlive(secret), true)
    t.equal(await removeExpiredSessions(db), 0)
    const events = await query("SELECT actor_type, actor_id, target_type, target_id, before FROM audit_events WHERE type = 'session.ended' AND actor_type = 'system' AND before ->> 'ip' = '::1'")
    t.equal(new Set(events.map(({ target_id: id }) => id)).size, 25, 'each end has its event')
    t.match(events[0], { actor_type: 'system', actor_id: null, target_type: 'session', before: { expiresAt: String, userAgent: null } })
  })

  t.test('is done by one instance at a time', async (t) => {
    await makeExpired(5)
    const another = await connect(url)
    await another.query('BEGIN')
    await another.query('SELECT pg_advisory_xact_lock(7283001)')
    t.equal(await removeExpiredSessions(db), 0)
    t.equal(await remaining(), 5)
    await another.query('ROLLBACK')
    await another.end()
    t.equal(await removeExpiredSessions(db), 5)
  })

  t.test('by two at once removes each row once', async (t) => {
    await makeExpired(200)
    const [one, other] = await Promise.all([removeExpiredSessions(db, 7), removeExpiredSessions(db, 7)])
    t.ok(one + other <= 200)
    t.equal(one + other + await remaining(), 200)
    await removeExpiredSessions(db)
    t.equal(await remaining(), 0)
  })

  t.test('does not wait for a session that a request holds', async (t) => {
    await makeExpired(3)
    const another = await connect(url)
    await another.query('BEGIN')
    await another.query('SELECT 1 FROM sessions LIMIT 1 FOR UPDATE')
    t.equal(await removeExpiredSessions(db), 2)
    await another.query('ROLLBACK')
    await another.end()
  })
})
