/** Records of denied requests: what is told of a 403 or a 404 to who may ask about it later. */
import t from 'tap'
import { removeExpiredDenials } from '../../src/services/denials.js'
import { openTestApp } from '../helpers/app.js'
import { countStatements } from '../helpers/statements.js'
import { absentId, openWorld, type Person, plantTree, rootId } from './world.js'

const world = await openWorld()
const { administrator, as, bind, create, database, give, person, role, testApp: { app } } = world
const { query } = database
const { owner, organization, project, document } = await plantTree(world)
const stranger = await person()
const auditor = await person()
await give(auditor, rootId, 'audit:view')
const group = await create(owner, 'group', organization)

interface Denied { id: string, status: number }
const denied = async (...parameters: Parameters<typeof as>): Promise<Denied> => {
  const { status, headers } = await as(...parameters)
  await app.denials.flush()
  return { id: String(headers['x-request-id']), status }
}
const recorded = async (who: Person, { id }: { id: string }) => await as(who, 'GET', `/decisions/${id}`)
/** What the administrator is told of a request. */
const told = async (...parameters: Parameters<typeof as>) => (await recorded(administrator, await denied(...parameters))).body

t.test('what is forbidden is told with the grants that let it be seen, and what is missing', async (t) => {
  const viewer = await person()
  const [outer, inner] = [await create(owner, 'group', organization), await create(owner, 'group', organization)]
  await as(owner, 'PUT', `/groups/${outer}/members/${inner}`)
  await as(owner, 'PUT', `/groups/${inner}/members/${viewer.id}`)
  const binding = await bind(project, 'viewer', { type: 'group', id: outer }, '2099-01-01T00:00:00.000Z')
  const before = Date.now()
  const request = await denied(viewer, 'PATCH', `/resources/${document.toUpperCase()}?x=secret`, { name: 'x' })
  const { status, body } = await recorded(owner, request)
  t.equal(status, 200)
  const { at, ...rest } = body
  t.ok(Date.parse(at) >= before && Date.parse(at) <= Date.now())
  t.same(rest, {
    requestId: request.id,
    userId: viewer.id,
    method: 'PATCH',
    path: `/resources/${document.toUpperCase()}`,
    resourceId: document,
    action: 'edit',
    decision: 'forbid',
    status: 403,
    because: [{ bindingId: binding, role: 'viewer', permission: '*:view', via: [outer, inner], resourceId: project, expiresAt: '2099-01-01T00:00:00.000Z' }],
    missing: 'document:edit'
  })
})

t.test('what is hidden and what is absent are told apart, and only here', async (t) => {
  const [hidden, absent, nonsense] = [await denied(stranger, 'GET', `/resources/${document}`), await denied(stranger, 'GET', `/resources/${absentId}`), await denied(stranger, 'GET', '/resources/nonsense')]
  const common = { userId: stranger.id, method: 'GET', action: 'view', decision: 'hide', status: 404, because: [] }
  t.match((await recorded(auditor, hidden)).body, { ...common, path: `/resources/${document}`, resourceId: document, missing: 'document:view' })
  t.match((await recorded(auditor, absent)).body, { ...common, path: `/resources/${absentId}`, resourceId: absentId, missing: null })
  t.match((await recorded(auditor, nonsense)).body, { ...common, path: '/resources/nonsense', resourceId: null, missing: null })
})

/** Each with the request that is denied, and what is recorded of it. */
const subject = { type: 'everyone' }
const cases: Array<[title: string, needs: string[], method: string, path: () => string, body: () => unknown, record: () => object]> = [
  ['an action', ['document:view'], 'DELETE', () => `/resources/${document}`, () => undefined, () => ({ resourceId: document, action: 'delete', status: 403, missing: 'document:delete' })],
  ['an action on what is hidden', [], 'DELETE', () => `/resources/${document}`, () => undefined, () => ({ resourceId: document, action: 'delete', status: 404, missing: 'document:view' })],
  ['HEAD', [], 'HEAD', () => `/resources/${document}`, () => undefined, () => ({ method: 'HEAD', resourceId: document, action: 'view', status: 404 })],
  ['the second of two actions', ['*:view', 'document:edit'], 'POST', () => `/resources/${document}/move`, () => ({ parentId: organization }), () => ({ resourceId: document, action: 'share', missing: 'document:share' })],
  ['a parent that is hidden', [], 'POST', () => '/resources', () => ({ type: 'document', name: 'x', parentId: project }), () => ({ path: '/resources', resourceId: project, action: 'document:create', status: 404, missing: 'project:view' })],
  ['a parent that is absent', [], 'POST', () => '/resources', () => ({ type: 'document', name: 'x', parentId: absentId }), () => ({ resourceId: absentId, action: 'document:create', status: 404, missing: null })],
  ['creating', ['project:view'], 'POST', () => '/resources', () => ({ type: 'document', name: 'x', parentId: project }), () => ({ resourceId: project, action: 'document:create', status: 403, missing: 'document:create' })],
  ['the new parent of a move', ['document:*'], 'POST', () => `/resources/${document}/move`, () => ({ parentId: organization }), () => ({ resourceId: organization, action: 'document:create', status: 404, missing: 'organization:view' })],
  ['creating by a move', ['document:view', 'document:edit', 'document:share', 'organization:view'], 'POST', () => `/resources/${document}/move`, () => ({ parentId: organization }), () => ({ resourceId: organization, action: 'document:create', status: 403, missing: 'document:create' })],
  ['all that is below', ['project:*'], 'DELETE', () => `/resources/${project}?recursive=true`, () => undefined, () => ({ path: `/resources/${project}`, resourceId: project, action: 'document:delete', status: 403, missing: 'document:delete' })],
  ['giving more than one holds', ['document:view', 'document:share'], 'POST', () => `/resources/${document}/bindings`, () => ({ role: 'owner', subject }), () => ({ resourceId: document, action: '*:*', status: 403, decision: 'forbid', missing: '*:*' })],
  ['a hidden group as a member', ['group:view', 'group:edit'], 'PUT', () => `/groups/${group}/members/${document}`, () => undefined, () => ({ resourceId: document, action: 'view', status: 404, missing: 'document:view' })],
  ['a member that is absent', ['group:view', 'group:edit'], 'PUT', () => `/groups/${group}/members/${absentId}`, () => undefined, () => ({ resourceId: absentId, action: 'view', status: 404, missing: null })],
  ['a member that is seen and no group', ['group:view', 'group:edit', 'document:view'], 'PUT', () => `/groups/${group}/members/${document}`, () => undefined, () => ({ resourceId: document, action: 'view', status: 404, missing: null })],
  ['what is no group', ['document:view'], 'GET', () => `/groups/${document}/members`, () => undefined, () => ({ resourceId: document, action: 'view', status: 404, missing: null })],
  ['a check about somebody else', ['document:view'], 'POST', () => '/authz/check', () => ({ checks: [{ action: 'view', resourceId: document, userId: owner.id }] }), () => ({ resourceId: document, action: 'share', status: 403, missing: 'document:share' })],
  ['checks of which one is hidden', ['document:view'], 'POST', () => '/authz/check', () => ({ checks: [document, project].map((resourceId) => ({ action: 'view', resourceId, userId: owner.id })) }), () => ({ resourceId: project, action: 'share', status: 404, missing: 'project:view' })],
  ['an explanation about somebody else', ['document:view'], 'GET', () => `/resources/${document}/explain?userId=${owner.id}`, () => undefined, () => ({ path: `/resources/${document}/explain`, resourceId: document, action: 'share', status: 403, missing: 'document:share' })],
  ['who has access', ['document:view'], 'GET', () => `/resources/${document}/access`, () => undefined, () => ({ resourceId: document, action: 'share', status: 403, missing: 'document:share' })]
]
for (const [title, permissions, method, path, body, record] of cases) {
  t.test(`denied: ${title}`, async (t) => {
    const who = await person()
    if (permissions.length > 0) await give(who, organization, ...permissions)
    const { because, ...found } = await told(who, method, path(), body())
    t.match(found, { userId: who.id, method, decision: found.status === 403 ? 'forbid' : 'hide', ...record() })
    t.equal(because.length > 0, found.status === 403, 'only what is seen is seen because of something')
  })
}

for (const [title, permissions, method, path, body, record] of [
  ['a collection', [], 'GET', () => '/users', undefined, { action: 'user:view', missing: 'user:view', status: 403 }],
  ['a new role', [], 'POST', () => '/roles', { name: 'x', permissions: [] }, { action: 'role:create', missing: 'role:create', status: 403 }],
  ['a role with more than one holds', ['role:create'], 'POST', () => '/roles', { name: 'x', permissions: ['document:edit', 'document:delete'] }, { action: 'document:delete', missing: 'document:delete', status: 403 }],
  ['an account', [], 'GET', () => `/users/${owner.id}`, undefined, { action: 'user:view', missing: 'user:view', status: 404 }],
  ['an account that is absent', [], 'GET', () => `/users/${absentId}`, undefined, { action: 'user:view', missing: null, status: 404 }],
  ['an account that is absent, to who would see it', ['user:view'], 'GET', () => `/users/${absentId}`, undefined, { action: 'user:view', missing: null, status: 404 }],
  ['a change of a hidden account', ['user:edit'], 'PATCH', () => `/users/${owner.id}`, {}, { action: 'user:edit', missing: 'user:view', status: 404 }],
  ['a change of an account', ['user:view'], 'PATCH', () => `/users/${owner.id}`, {}, { action: 'user:edit', missing: 'user:edit', status: 403 }],
  ['a record of another request', [], 'GET', () => `/decisions/${absentId}`, undefined, { action: 'audit:view', missing: null, status: 404 }]
] as const) {
  t.test(`denied on the root: ${title}`, async (t) => {
    const who = await person()
    if (permissions.length > 0) await give(who, rootId, ...permissions)
    const { because, ...found } = await told(who, method, path(), body)
    t.match(found, { resourceId: rootId, decision: found.status === 403 ? 'forbid' : 'hide', ...record })
    t.match(because, found.status === 403 ? [{ role: 'member', permission: 'system:view', resourceId: rootId }] : [])
  })
}

t.test('of a token, what it is narrowed to counts', async (t) => {
  const { body: { token } } = await as(owner, 'POST', '/users/me/tokens', { name: 'narrow', permissions: ['document:view'] })
  const send = async (id: string) => await told(owner, 'DELETE', `/resources/${id}`, undefined, { token, cookie: undefined } as never)
  t.match(await send(document), { status: 403, missing: 'document:delete', because: [{ role: 'owner', permission: '*:*' }] })
  t.match(await send(project), { status: 404, missing: 'project:view', because: [] })
})

t.test('what was not denied for want of access is not recorded', async (t) => {
  const { body: { id: binding } } = await as(owner, 'POST', `/resources/${project}/bindings`, { role: 'viewer', subject: { type: 'user', id: administrator.id } })
  const { body: { token } } = await as(owner, 'POST', '/users/me/tokens', { name: 'a token' })
  const requests: Array<[number, Promise<Denied>]> = [
    [404, denied(owner, 'GET', '/nowhere')],
    [404, denied(owner, 'DELETE', `/resources/${document}/bindings/${binding}`)],
    [404, denied(owner, 'DELETE', `/users/me/sessions/${absentId}`)],
    [404, denied(owner, 'DELETE', `/users/me/tokens/${absentId}`)],
    [404, denied(owner, 'DELETE', `/groups/${group}/members/${owner.id}`)],
    [404, denied(owner, 'GET', '/roles/none')],
    [404, denied(administrator, 'DELETE', '/roles/none')],
    [404, denied(administrator, 'DELETE', '/resource-types/none')],
    [403, denied(owner, 'POST', '/users/me/tokens', {}, { token } as never)],
    [403, denied(owner, 'PATCH', '/users/me', {}, { headers: { origin: 'https://elsewhere.example.org' } })],
    [401, denied({ ...owner, cookie: '' }, 'GET', `/resources/${document}`)],
    [400, denied(owner, 'POST', `/resources/${document}/bindings`, { role: 'viewer', subject: { type: 'group', id: absentId } })],
    [200, denied(owner, 'GET', `/resources/${document}`)]
  ]
  for (const [expected, request] of requests) {
    const { id, status } = await request
    t.equal(status, expected)
    t.same(await query('SELECT 1 FROM denials WHERE request_id = $1', [id]), [])
  }
})

t.test('a record is for who may share now what it is about, or view the audit log', async (t) => {
  const [viewer, sharer, rootSharer] = [await person(), await person(), await person()]
  await give(viewer, document, 'document:view', 'document:edit')
  await give(rootSharer, rootId, 'system:view', 'system:share')
  const binding = await give(sharer, document, 'document:view', 'document:share')
  const request = await denied(stranger, 'GET', `/resources/${document}`)
  const ofRoot = await denied(stranger, 'GET', '/users')
  const ofAbsent = await denied(stranger, 'GET', `/resources/${absentId}`)
  const ofNothing = await denied(stranger, 'GET', '/resources/nonsense')
  const statuses = async (request: Denied) => await Promise.all([auditor, sharer, owner, viewer, stranger, rootSharer].map(async (who) => (await recorded(who, request)).status))
  t.same(await statuses(request), [200, 200, 200, 404, 404, 404])
  t.same(await statuses(ofRoot), [200, 404, 404, 404, 404, 200])
  t.same(await statuses(ofAbsent), [200, 404, 404, 404, 404, 404])
  t.same(await statuses(ofNothing), [200, 404, 404, 404, 404, 404])
  t.equal((await recorded(viewer, request)).text, (await recorded(viewer, { id: absentId })).text, 'a record that one may not see is like none')
  t.equal((await recorded(viewer, request)).text, (await recorded(viewer, { id: 'nonsense' })).text)
  await as(administrator, 'DELETE', `/resources/${document}/bindings/${binding}`)
  t.match(await recorded(sharer, request), { status: 404 }, 'the right to share it has gone')
})

t.test('what a reader may not see is not named to them, save to who may view the audit log', async (t) => {
  const [viewer, sharer] = [await person(), await person()]
  const hidden = await create(owner, 'group', organization)
  await as(owner, 'PUT', `/groups/${hidden}/members/${viewer.id}`)
  const bindings = [await bind(organization, 'viewer', { type: 'group', id: hidden }), await bind(document, 'viewer', { type: 'user', id: viewer.id })]
  await give(sharer, document, 'document:view', 'document:share')
  const request = await denied(viewer, 'PATCH', `/resources/${document}`, {})
  const via = (reader: Person) => recorded(reader, request).then(({ body: { because } }) => because.map(({ bindingId, via, resourceId }: any) => [bindingId, via, resourceId]))
  t.same(await via(sharer), [[bindings[1], [], document], [bindings[0], [null], null]])
  t.same(await via(owner), [[bindings[1], [], document], [bindings[0], [hidden], organization]])
  t.same(await via(auditor), await via(owner))

  const mover = await person()
  await give(mover, document, 'document:view', 'document:edit', 'document:share')
  const place = await create(administrator, 'organization')
  const keeper = await person()
  await give(keeper, place, 'organization:view', 'organization:share')
  const move = await denied(mover, 'POST', `/resources/${document}/move`, { parentId: place })
  t.match((await recorded(keeper, move)).body, { resourceId: place, path: '/resources/:id/move' })
  t.match((await recorded(auditor, move)).body, { resourceId: place, path: `/resources/${document}/move` })
})

t.test('a path tells whoever sent it nothing about what it named: hidden, absent and gone are the same', async (t) => {
  const { token } = (await as(owner, 'POST', '/users/me/tokens', { name: 'reader', permissions: ['*:view'] })).body
  const [hidden, gone] = [await create(administrator, 'group'), await create(administrator, 'group')]
  const seen = await create(owner, 'group', organization)
  const pathsTo = async (member: string, place = organization) => {
    const options = { headers: { authorization: `Bearer ${token}` } }
    const requests = [await denied(stranger, 'DELETE', `/resources/${place}/bindings/${member}`, undefined, options), await denied(stranger, 'PUT', `/groups/${group}/members/${member}`, undefined, options)]
    t.same(requests.map(({ status }) => status), [403, 403])
    return async () => await Promise.all(requests.map(async (request) => (await recorded(owner, request)).body.path))
  }
  const told = [await pathsTo(hidden), await pathsTo(absentId), await pathsTo(gone), await pathsTo(hidden.replaceAll('-', '%2d')), await pathsTo(hidden.toUpperCase())]
  const [masked] = await Promise.all(told.map((paths) => paths()))
  t.same(masked, [`/resources/${organization}/bindings/:id`, `/groups/${group}/members/:id`])
  await as(administrator, 'DELETE', `/resources/${gone}`)
  for (const paths of told) t.same(await paths(), masked)
  t.same(await (await pathsTo(seen))(), [`/resources/${organization}/bindings/${seen}`, `/groups/${group}/members/${seen}`])
})

t.test('who may share the root, and no more, is not told which users there are', async (t) => {
  const sharer = await person()
  await give(sharer, rootId, 'system:view', 'system:share')
  const told = []
  for (const id of [owner.id, absentId]) {
    const { requestId, at, ...rest } = (await recorded(sharer, await denied(sharer, 'GET', `/users/${id}`))).body
    told.push(rest)
  }
  t.match(told[0], { path: '/users/:id', resourceId: rootId, decision: 'hide', missing: null })
  t.same(told[1], told[0])
})

t.test('a record stays as it was decided, whatever comes after', async (t) => {
  const viewer = await person()
  const name = await role('document:view')
  const leaf = await create(owner, 'document', project)
  const binding = await bind(leaf, name, { type: 'user', id: viewer.id })
  const [forbidden, hidden] = [await denied(viewer, 'DELETE', `/resources/${leaf}`), await denied(stranger, 'GET', `/resources/${leaf}`)]
  const before = await Promise.all([forbidden, hidden].map(async (request) => (await recorded(auditor, request)).body))
  t.match(before, [{ because: [{ bindingId: binding }] }, { missing: 'document:view' }])
  await as(administrator, 'DELETE', `/resources/${leaf}/bindings/${binding}`)
  await bind(leaf, 'owner', { type: 'user', id: stranger.id })
  t.same(await Promise.all([forbidden, hidden].map(async (request) => (await recorded(auditor, request)).body)), before)
  await as(owner, 'DELETE', `/resources/${leaf}`)
  t.same(await Promise.all([forbidden, hidden].map(async (request) => (await recorded(auditor, request)).body)), before)
  t.match(await recorded(owner, hidden), { status: 404 }, 'nobody can share it any more')
})

t.test('hidden and absent leave the same records, by the same statements', async (t) => {
  const statements = async (...ids: string[]) => await countStatements(async () => {
    await Promise.all(ids.map(async (id) => await as(stranger, 'GET', `/resources/${id}`)))
    await app.denials.flush()
  }, database)
  const written = (all: string[]) => all.filter((sql) => sql.includes('INSERT INTO denials'))
  await app.denials.flush()
  const [hidden, absent] = [await statements(document), await statements(absentId)]
  t.same(hidden, absent)
  t.match(hidden, [/FROM sessions/, /FROM resources/, /INSERT INTO denials/])
  t.equal(hidden.length, 3)
  t.ok(written(await statements(...Array<string>(50).fill(document))).length < 50, 'and those of many requests at once')
})

t.test('records are over after DECISION_RETENTION_DAYS, and are removed in batches', async (t) => {
  const { app: short } = await openTestApp(database, { environment: { DECISION_RETENTION_DAYS: '1.5' } })
  const requests = [await denied(stranger, 'GET', `/resources/${document}`), await denied(stranger, 'GET', `/resources/${document}`)]
  const read = async () => (await short.inject({ url: `/decisions/${requests[0]?.id}`, headers: { cookie: owner.cookie } })).statusCode
  const letHoursPass = async (hours: number) => await query('UPDATE denials SET at = at - make_interval(hours => $1)', [hours])
  await letHoursPass(35)
  t.equal(await read(), 200)
  await letHoursPass(1)
  t.equal(await read(), 404)
  const recent = await denied(stranger, 'GET', `/resources/${document}`)
  t.ok(await removeExpiredDenials(database.db, short.config.decisionRetentionMs, 1) >= 2)
  t.same(await query('SELECT request_id AS id FROM denials WHERE request_id = ANY ($1)', [[...requests, recent].map(({ id }) => id)]), [{ id: recent.id }])
})
