/** The audit log in the database: what an event holds, that it keeps to its transaction, and that nothing in it changes. */
import t from 'tap'
import { recordEvent, recordEvents } from '../../src/services/audit.js'
import { makeOwnerOfRoot } from '../../src/services/bindings.js'
import { anonymousFrom, type Caller, operator } from '../../src/services/caller.js'
import { Prisma } from '../../src/generated/prisma/client.js'
import { createResource, updateResource } from '../../src/services/resources.js'
import { deleteResource, moveResource } from '../../src/services/tree.js'
import { startSession } from '../../src/services/sessions.js'
import { createUser } from '../../src/services/users.js'
import { callerOf } from '../helpers/caller.js'
import { openTestDatabase } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'

const database = await openTestDatabase()
const { db, query } = database
const hasher = { hash: async () => '$argon2id$of-no-password', verify: async () => true, isOutdated: () => false }
const rootId = '00000000-0000-0000-0000-000000000000'
const requestId = '0191b2c3-d4e5-4f60-8a00-000000000001'

/** The events since `mark`, the oldest first. */
const mark = async () => (await query<{ id: string }>('SELECT id FROM audit_events ORDER BY id DESC LIMIT 1'))[0]?.id ?? rootId
const eventsAfter = async (id: string) => await query('SELECT * FROM audit_events WHERE id > $1 ORDER BY id', [id])
const placesOf = async (eventId: string) => (await query<{ place: string }>('SELECT place_id AS place FROM audit_event_places WHERE event_id = $1 ORDER BY 1', [eventId])).map(({ place }) => place)

const jane = await createUser(db, { email: 'jane@example.org', name: 'Jane', password: 'some-clever-password' }, { hasher })
await makeOwnerOfRoot(db, jane.id)
const session = await startSession(db, { userId: jane.id, secret: 'a secret', ip: '192.0.2.7', userAgent: undefined }, { sessionIdleMs: 3_600_000, sessionMaxMs: 3_600_000, sessionMaxPerUser: 20 })
const caller: Caller = { ...callerOf(jane.id), credential: { type: 'session', id: session.id }, requestId, ip: '192.0.2.7' }

t.test('an event says who did what, by which credential, from where, in which request, and when', async (t) => {
  const start = await mark()
  const before = new Date()
  await recordEvent(db, caller, { type: 'role.updated', target: { type: 'role', id: 'clerk' }, before: { permissions: [] }, after: { permissions: ['*:view'] } })
  const [event] = await eventsAfter(start)
  t.match(event, {
    id: /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    type: 'role.updated',
    actor_type: 'user',
    actor_id: jane.id,
    credential_type: 'session',
    credential_id: caller.credential?.id,
    resource_id: null,
    target_type: 'role',
    target_id: 'clerk',
    before: { permissions: [] },
    after: { permissions: ['*:view'] },
    request_id: requestId,
    ip: '192.0.2.7'
  })
  t.equal(parseInt(event?.['id'].slice(0, 13).replace('-', ''), 16), event?.['at'].getTime(), 'the time is that in the id')
  t.ok(Math.abs(event?.['at'].getTime() - before.getTime()) < 60_000)
})

t.test('who is no user has no id, and an address is cut to what can be one', async (t) => {
  const start = await mark()
  await recordEvent(db, operator, { type: 'user.created', target: { type: 'user', id: jane.id } })
  await recordEvent(db, anonymousFrom({ requestId: null, ip: 'x'.repeat(100) }), { type: 'login.failed', target: { type: 'user', id: null } })
  t.match(await eventsAfter(start), [
    { actor_type: 'operator', actor_id: null, credential_type: null, request_id: null, ip: null },
    { actor_type: 'anonymous', target_id: null, ip: 'x'.repeat(64) }
  ])
})

t.test('events that are written at once have their order', async (t) => {
  const start = await mark()
  const names = Array.from({ length: 1_000 }, (_, index) => `role-${index}`)
  t.equal(await recordEvents(db, operator, Prisma.sql`
    SELECT 'role.created', NULL::uuid, 'role', name, NULL::jsonb, NULL::jsonb, NULL::uuid FROM unnest(${names}::text[]) WITH ORDINALITY each(name, place) ORDER BY place`), 1_000)
  t.same((await eventsAfter(start)).map(({ target_id: name }) => name), names)
})

t.test('an event belongs to all that its resource stood under when it happened, and where it came from', async (t) => {
  const [here, there] = [await createResource(db, caller, { type: 'organization', name: 'Here' }), await createResource(db, caller, { type: 'organization', name: 'There' })]
  const project = await createResource(db, caller, { type: 'project', name: 'Project', parentId: here.id })
  const start = await mark()
  const document = await createResource(db, caller, { type: 'document', name: 'Minutes', parentId: project.id })
  await updateResource(db, caller, document.id, { attributes: { language: 'en' } })
  await moveResource(db, caller, project.id, there.id)
  await updateResource(db, caller, document.id, { name: 'Other' })
  await deleteResource(db, caller, project.id, true)
  const events = await eventsAfter(start)
  const places = []
  for (const { id, type, target_id: target } of events) places.push([type, target, await placesOf(id)])
  t.same(places, [
    ['resource.created', document.id, [here.id, project.id, document.id]],
    ['resource.updated', document.id, [here.id, project.id, document.id]],
    ['resource.moved', project.id, [here.id, there.id, project.id]],
    ['resource.updated', document.id, [there.id, project.id, document.id]],
    ['resource.deleted', project.id, [there.id, project.id]],
    ['resource.deleted', document.id, [there.id, project.id, document.id]]
  ].map(([type, target, ids]) => [type, target, [...ids as string[]].sort()]))
  t.match(events[1], { before: { type: 'document', name: 'Minutes', parentId: project.id, attributes: {} }, after: { attributes: { language: 'en' } } })
  t.match(events[2], { before: { parentId: here.id }, after: { parentId: there.id } })
})

t.test('what is rolled back leaves no event', async (t) => {
  const start = await mark()
  await t.rejects(db.$transaction(async (tx) => {
    await createResource(tx, caller, { type: 'organization', name: 'Never' })
    t.equal((await tx.$queryRaw<unknown[]>`SELECT 1 FROM audit_events WHERE id > ${start}::uuid`).length, 2)
    throw new Error('enough')
  }), { message: 'enough' })
  t.same(await eventsAfter(start), [])
})

t.test('a change that changes nothing costs no event', async (t) => {
  const { id, version } = await createResource(db, caller, { type: 'organization', name: 'Same', attributes: { one: 1 } })
  const start = await mark()
  t.match(await updateResource(db, caller, id, { name: 'Same', attributes: { one: 1 } }), { version })
  t.match(await moveResource(db, caller, id, rootId), { version })
  t.same(await eventsAfter(start), [])
})

t.test('the event of a change to a resource costs no statement of its own', async (t) => {
  const { id } = await createResource(db, caller, { type: 'organization', name: 'Counted' })
  const statements = await countStatements(() => updateResource(db, caller, id, { name: 'Changed' }), database)
  t.equal(statements.filter((sql) => sql.includes('audit_events')).length, 1)
  t.match(statements.find((sql) => sql.includes('audit_events')), 'UPDATE resources')
})

t.test('nothing in the log can be changed or removed, nor made up with another time', async (t) => {
  const refused = { code: '42501' }
  for (const table of ['audit_events', 'audit_event_places']) {
    await t.rejects(query(`DELETE FROM ${table}`), refused)
    await t.rejects(query(`DELETE FROM ${table} WHERE FALSE`), refused)
    await t.rejects(query(`TRUNCATE ${table}`), refused)
    await t.rejects(query(`TRUNCATE ${table} CASCADE`), refused)
  }
  await t.rejects(query("UPDATE audit_events SET actor_type = 'system'"), refused)
  await t.rejects(query('UPDATE audit_event_places SET place_id = event_id'), refused)
  await t.rejects(query("INSERT INTO audit_events SELECT * FROM audit_events LIMIT 1 ON CONFLICT (id) DO UPDATE SET actor_type = 'system'"), refused)
  await t.rejects(query('WITH gone AS (DELETE FROM audit_events RETURNING *) SELECT count(*) FROM gone'), refused)
  await t.rejects(query("INSERT INTO audit_events (at, type, actor_type, target_type) VALUES ('2001-01-01', 'user.created', 'operator', 'user')"), { code: '23514' })
  await query('DELETE FROM users')
  t.ok((await query('SELECT 1 FROM audit_events')).length > 1_000, 'it outlives those of whom it tells')
})
