/** Reading the audit log: who may read which events, and what of them; filters and pages. */
import t from 'tap'
import { readEvents } from '../../src/services/audit-log.js'
import { callerOf } from '../helpers/caller.js'
import { countStatements } from '../helpers/statements.js'
import { absentId, faults, openWorld, type Person, plantTree, readPages, rootId } from './world.js'

const world = await openWorld()
const { administrator, as, create, person, give, bind, database, testApp: { app } } = world

const read = async (who: Person, query = '', options = {}) => await as(who, 'GET', `/audit-events${query}`, undefined, options)
/** All events that fit, the oldest first. */
const events = async (who: Person, query: string): Promise<any[]> => {
  const { status, text } = await read(who, query, { headers: { accept: 'application/x-ndjson' } })
  if (status !== 200) throw new Error(`${query}: ${status} ${text}`)
  return text === '' ? [] : text.trimEnd().split('\n').map((line) => JSON.parse(line)).reverse()
}

const { owner, organization, project, document } = await plantTree(world)
const stranger = await person()
const auditor = await person()
await give(auditor, rootId, 'audit:view')
const viewer = await person()
await bind(organization, 'viewer', { type: 'user', id: viewer.id })

t.test('who may read what', async (t) => {
  const gone = await create(owner, 'document', project)
  await as(owner, 'DELETE', `/resources/${gone}`)
  // By query, the answers to: the owner of the root, an auditor, the organization's owner, its viewer, and a stranger.
  const table: Array<[query: string, statuses: number[]]> = [
    ['', [200, 200, 403, 403, 403]],
    [`?actorId=${owner.id}`, [200, 200, 403, 403, 403]],
    [`?resourceId=${organization}`, [200, 200, 200, 403, 404]],
    [`?resourceId=${document.toUpperCase()}&subtree=true`, [200, 200, 200, 403, 404]],
    [`?resourceId=${rootId}`, [200, 200, 403, 403, 403]],
    [`?resourceId=${gone}`, [200, 200, 404, 404, 404]],
    [`?resourceId=${absentId}`, [200, 200, 404, 404, 404]],
    ['?resourceId=root', [400, 400, 400, 400, 400]],
    [`?resourceId=${absentId}&limit=0`, [400, 400, 400, 400, 400]],
    ['?subtree=true', [400, 400, 400, 400, 400]],
    ['?actorId=nobody', [400, 400, 400, 400, 400]],
    ['?type=binding.changed', [400, 400, 400, 400, 400]],
    ['?since=yesterday', [400, 400, 400, 400, 400]],
    ['?until=2026-01-31', [400, 400, 400, 400, 400]],
    ['?until=2026-06-30T23:59:60Z', [400, 400, 400, 400, 400]],
    ['?cursor=nonsense', [400, 400, 400, 400, 400]],
    ['?nonsense=1', [400, 400, 400, 400, 400]]
  ]
  for (const [query, expected] of table) {
    for (const headers of [{}, { accept: 'application/x-ndjson' }]) {
      const statuses = []
      for (const who of [administrator, auditor, owner, viewer, stranger]) {
        statuses.push((await read(who, query, { headers })).status)
        t.equal((await as(who, 'HEAD', `/audit-events${query}`, undefined, { headers })).status, statuses.at(-1), 'HEAD as GET')
      }
      t.same(statuses, expected, `${query} ${JSON.stringify(headers)}`)
    }
    t.equal((await world.request('GET', `/audit-events${query}`)).status, 401)
  }
  t.same(faults(await read(owner, '?subtree=true')), ['/subtree needs a resourceId'])
  t.same(faults(await read(owner, '?until=2026-06-30T23:59:60Z')), ['/until must be a time that there is'])
  t.same(faults(await read(owner, '?cursor=nonsense')), ['/cursor must be a nextCursor of this list'])
})

t.test('hidden and absent are the same, in the answer and in what it costs', async (t) => {
  const gone = await create(owner, 'document', project)
  await as(owner, 'DELETE', `/resources/${gone}`)
  const ask = async (id: string, rest: string) => {
    let answer
    await app.denials.flush()
    const statements = await countStatements(async () => {
      answer = await read(stranger, `?resourceId=${id}${rest}`)
      await app.denials.flush()
    }, database)
    const { status, text, headers: { date: _date, 'x-request-id': _id, ...headers } } = answer as unknown as Awaited<ReturnType<typeof read>>
    return { status, text, headers, statements }
  }
  for (const rest of ['', '&subtree=true', `&type=resource.updated&actorId=${owner.id}&limit=1`]) {
    const absent = await ask(absentId, rest)
    t.equal(absent.status, 404)
    t.equal(absent.statements.length, 4, 'the session, the right to view the log, the decision about the resource; and after the answer its record')
    for (const id of [organization, project, document, gone]) t.same(await ask(id, rest), absent)
  }
})

t.test('by a token, what the token does not have does not count', async (t) => {
  const tokenFor = async (who: Person, permissions: string[]) => (await as(who, 'POST', '/users/me/tokens', { name: 'reader', permissions })).body.token
  const ask = async (token: string, query: string) => (await world.request('GET', `/audit-events${query}`, { token })).status
  t.equal(await ask(await tokenFor(administrator, ['audit:view']), ''), 200)
  t.equal(await ask(await tokenFor(administrator, ['document:*']), ''), 403)
  t.equal(await ask(await tokenFor(administrator, ['document:*']), `?resourceId=${document}`), 200)
  t.equal(await ask(await tokenFor(owner, ['document:view']), `?resourceId=${document}`), 403)
  t.equal(await ask(await tokenFor(owner, ['project:*']), `?resourceId=${document}`), 404)
})

t.test('a page says who did what, by which credential, in which request, from where', async (t) => {
  const [before] = (await read(administrator, '?limit=1')).body.items
  const changed = await as(owner, 'PATCH', `/resources/${document}`, { name: 'Protocol' }, { remoteAddress: '192.0.2.9' })
  const { body: { items: [event], nextCursor } } = await read(administrator, '?limit=1')
  const [session] = await database.query('SELECT id FROM sessions WHERE user_id = $1', [owner.id])
  t.match(event.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/)
  t.ok(event.at >= before.at)
  t.same({ ...event, id: '', at: '' }, {
    id: '',
    at: '',
    type: 'resource.updated',
    actor: { type: 'user', id: owner.id },
    credential: { type: 'session', id: session?.['id'] },
    resourceId: document,
    target: { type: 'resource', id: document },
    before: { type: 'document', name: 'Minutes', parentId: project, attributes: {} },
    after: { type: 'document', name: 'Protocol', parentId: project, attributes: {} },
    requestId: changed.headers['x-request-id'],
    ip: '192.0.2.9'
  })
  t.type(nextCursor, 'string')
  const [failed] = await events(administrator, '?type=login.failed')
  t.equal(failed, undefined)
  await world.request('POST', '/auth/login', { body: { email: 'nobody@example.org', password: 'a wrong password' } })
  const [tried] = await events(administrator, '?type=login.failed')
  t.match(tried, { actor: { type: 'anonymous' }, credential: null, resourceId: null, target: { type: 'user', id: null }, before: null, after: null })
  t.notOk('id' in tried.actor)
})

t.test('filters, alone and together, on the page and in the stream', async (t) => {
  const [alice, bob] = [await person(), await person()]
  for (const { id } of [alice, bob]) await bind(project, 'editor', { type: 'user', id })
  const start = new Date((await read(administrator, '?limit=1')).body.items[0].at)
  const since = `since=${new Date(start.getTime() + 1).toISOString()}`
  while (new Date().getTime() <= start.getTime());
  const place = await create(alice, 'project', project, 'Place')
  const leaf = await create(bob, 'document', place, 'Leaf')
  await as(alice, 'PATCH', `/resources/${leaf}`, { name: 'Leaf 2' })
  await as(alice, 'PATCH', `/resources/${place}`, { name: 'Place 2' })
  await as(bob, 'PATCH', '/users/me', { name: 'Bob' })
  await as(bob, 'PATCH', `/resources/${leaf}`, { name: 'Leaf 3' })
  const [all] = [await events(administrator, `?${since}`)]
  t.same(all.map(({ type }) => type), ['resource.created', 'resource.created', 'resource.updated', 'resource.updated', 'user.updated', 'resource.updated'])
  const ids = all.map(({ id }) => id)
  // Which of them fit, by their place.
  const table: Array<[query: string, fitting: number[]]> = [
    ['', [0, 1, 2, 3, 4, 5]],
    ['type=resource.updated', [2, 3, 5]],
    ['type=role.deleted', []],
    [`actorId=${bob.id}`, [1, 4, 5]],
    [`actorId=${bob.id.toUpperCase()}&type=resource.updated`, [5]],
    [`actorId=${absentId}`, []],
    [`resourceId=${place}`, [0, 3]],
    [`resourceId=${place}&subtree=false`, [0, 3]],
    [`resourceId=${place}&subtree=true`, [0, 1, 2, 3, 5]],
    [`resourceId=${project}&subtree=true`, [0, 1, 2, 3, 5]],
    [`resourceId=${leaf}&actorId=${alice.id}`, [2]],
    [`resourceId=${leaf}&type=resource.updated`, [2, 5]],
    [`resourceId=${leaf}&type=user.updated`, []],
    [`resourceId=${leaf}&type=resource.updated&actorId=${bob.id}`, [5]],
    [`resourceId=${organization}&subtree=true&actorId=${alice.id}`, [0, 2, 3]],
    [`resourceId=${organization}&subtree=true&type=resource.created`, [0, 1]],
    [`resourceId=${organization}&subtree=true&type=resource.created&actorId=${bob.id}`, [1]],
    [`resourceId=${rootId}`, []],
    [`resourceId=${rootId}&subtree=true`, [0, 1, 2, 3, 5]],
    [`resourceId=${rootId}&subtree=true&actorId=${bob.id}`, [1, 5]],
    [`resourceId=${rootId}&subtree=true&type=user.updated`, []],
    [`resourceId=${absentId}&subtree=true`, []]
  ]
  for (const [query, fitting] of table) {
    const expected = fitting.map((place) => all[place])
    t.same(await events(administrator, `?${query}&${since}`.replace('?&', '?')), expected, query)
    t.same((await readPages(world, administrator, `/audit-events?limit=2&${query}&${since}`.replace('&&', '&'))).flat().reverse(), expected, `${query}, in pages`)
  }
  t.same((await events(administrator, `?${since}&until=${all[3].at}`)).map(({ id }) => id), ids.filter((_id, place) => all[place].at < all[3].at), 'until, exclusive')
  t.same((await events(administrator, `?since=${all[3].at}`)).map(({ id }) => id), ids.filter((_id, place) => all[place].at >= all[3].at), 'since, inclusive')
})

t.test('times of any zone, between milliseconds, and at the ends of time', async (t) => {
  await create(owner, 'document', project)
  const [event] = (await read(administrator, '?limit=1&type=resource.created')).body.items
  const at = new Date(event.at)
  const has = async (query: string) => (await events(administrator, `?type=resource.created&resourceId=${event.resourceId}&${query}`)).length === 1
  const withDigits = (digits: string) => event.at.replace('Z', `${digits}Z`)
  const inKolkata = `${new Date(at.getTime() + 5.5 * 3_600_000).toISOString().slice(0, -1)}%2B05:30`
  t.same(await Promise.all([
    has(`since=${event.at}`), has(`since=${withDigits('000')}`), has(`since=${withDigits('001')}`), has(`since=${inKolkata}`),
    has(`until=${event.at}`), has(`until=${withDigits('0001')}`), has(`until=${inKolkata}`),
    has('since=0001-01-01T00:00:00Z'), has('until=0001-01-01T00:00:00Z'), has('since=9999-12-31T23:59:59Z'), has('until=9999-12-31T23:59:59Z'),
    has(`since=${event.at}&until=${event.at}`)
  ]), [true, true, false, true, false, true, false, true, false, false, true, false])
})

t.test('a page costs the same statements for whoever reads, and cursors are of this list and of the service alone', async (t) => {
  const cost = async (who: Person, query: string) => (await countStatements(async () => { await read(who, query) }, database)).length
  t.equal(await cost(administrator, ''), 3)
  t.equal(await cost(administrator, `?resourceId=${organization}&subtree=true&limit=100`), 3)
  t.equal(await cost(owner, `?resourceId=${organization}&subtree=true&limit=1`), 5)
  t.equal(await cost(owner, `?resourceId=${organization}&subtree=true&limit=100`), 5, 'what may be named costs one, whatever it is')
  const { body: { nextCursor } } = await read(administrator, '?limit=1')
  t.equal((await read(administrator, `?cursor=${nextCursor}`)).status, 200)
  t.equal((await read(administrator, `?cursor=${nextCursor.slice(0, -1)}${nextCursor.endsWith('A') ? 'B' : 'A'}`)).status, 400)
  const other = (await as(administrator, 'GET', '/users?limit=1')).body.nextCursor
  t.equal((await read(administrator, `?cursor=${other}`)).status, 400)
})

t.test('the format follows Accept, and JSON it is unless lines are preferred', async (t) => {
  const page = 'application/json; charset=utf-8'
  const stream = 'application/x-ndjson; charset=utf-8'
  for (const [accept, expected] of [
    [undefined, page], ['*/*', page], ['application/*', page], ['application/json', page], ['', page], ['text/html', page], ['application/json, application/x-ndjson', page],
    ['application/x-ndjson;q=0, */*', page], ['application/x-ndjson;q=0.4, application/json;q=0.5', page], ['application/x-ndjson;q=0.5, */*;q=0.8', page], ['application/x-ndjson-seq', page],
    ['application/x-ndjson', stream], ['Application/X-NDJSON', stream], ['application/x-ndjson; charset=utf-8', stream], ['application/x-ndjson, */*;q=0.1', stream],
    ['text/html, application/x-ndjson;q=0.9, */*;q=0.8', stream], ['application/json;q=0, */*', stream], ['application/x-ndjson;q=0.5, application/json;q=0.4', stream]
  ] as const) {
    const { status, headers } = await read(administrator, '?limit=1&type=binding.created', { headers: accept === undefined ? {} : { accept } })
    t.same([status, headers['content-type'], headers['vary']], [200, expected, 'accept'], accept ?? 'without one')
  }
})

t.test('HEAD of the stream reads no more than it must', async (t) => {
  const statements = await countStatements(async () => {
    const { status, headers, text } = await as(administrator, 'HEAD', '/audit-events', undefined, { headers: { accept: 'application/x-ndjson' } })
    t.same([status, headers['content-type'], text], [200, 'application/x-ndjson; charset=utf-8', ''])
  }, database)
  t.equal(statements.length, 3)
})

t.test('a stream has more than its batches, once each, in order', async (t) => {
  const author = await person()
  await database.query(`INSERT INTO audit_events (id, at, type, actor_type, actor_id, target_type)
    SELECT id, uuid_v7_time(id), 'role.updated', 'user', $1, 'role' FROM (SELECT uuid_v7('2020-01-01'::timestamptz + place * interval '0.1 ms') AS id FROM generate_series(1, 600) place) each`, [author.id])
  const streamed = await events(administrator, `?actorId=${author.id}&type=role.updated`)
  const ids = (await database.query<{ id: string }>('SELECT id FROM audit_events WHERE actor_id = $1 AND type = $2 ORDER BY id', [author.id, 'role.updated'])).map(({ id }) => id)
  t.same(streamed.map(({ id }) => id), ids)
  const { body: { items, nextCursor } } = await read(administrator, `?actorId=${author.id}&type=role.updated&limit=100`)
  t.same(items.map(({ id }: { id: string }) => id), ids.toReversed().slice(0, 100))
  t.same((await events(administrator, `?actorId=${author.id}&type=role.updated&cursor=${nextCursor}`)).map(({ id }) => id), ids.slice(0, 500), 'from a cursor on')
})

t.test('a stream goes no further for who is no longer signed in', async (t) => {
  const reader = await person()
  await give(reader, rootId, 'audit:view')
  const [session] = await database.query<{ id: string }>('SELECT id FROM sessions WHERE user_id = $1', [reader.id])
  const stream = readEvents(database.db, { ...callerOf(reader.id), credential: { type: 'session', id: String(session?.id) } }, { type: 'role.updated' })
  t.equal((await stream.next()).value?.length, 200)
  await as(reader, 'POST', '/auth/logout')
  await t.rejects(stream.next(), { code: 'unauthenticated' })
})
