/** What a request to something protected costs: one statement for the session and one for the decision. */
import t from 'tap'
import { openTestDatabase } from '../helpers/database.js'
import { rootId } from '../reference/world.js'
import { type Answer, ask as send, type Asking } from './answers.js'
import { openAppWithRoutes } from './route-table.js'
import { openWorld } from './world.js'

const database = await openTestDatabase()
const app = await openAppWithRoutes(database)
const world = openWorld(database)

const here = await world.addResource('organization', rootId)
const document = await world.addResource('document', here)
const group = await world.addResource('group', here)
const owner = await world.addPerson('Owner')
await world.bind('owner', { type: 'user', id: owner.id }, here)
const viewer = await world.addPerson('Viewer')
await world.bind('viewer', { type: 'user', id: viewer.id }, here)
const stranger = await world.addPerson('Stranger')
const absent = '01890a5d-ac96-774b-bcce-b302099a8057'

const resourceRoutes = app.routes.filter(({ access }) => typeof access === 'object' && 'resource' in access)
const urlOf = (url: string, id: string) => url.replace(':id', id).replace(/:\w+/g, absent)
/** Only once what came after the answers before, the records of denials, is done. */
const ask = async (to: typeof app, method: string, url: string, asking: Asking = {}) => {
  await to.app.denials.flush()
  return await send(to, method, url, asking)
}
const get = async (url: string, { cookie } = owner) => await ask(app, 'GET', url, { cookie })

t.test('reading a resource', async (t) => {
  const answer = await get(`/resources/${document}`)
  t.equal(answer.status, 200)
  t.equal(answer.statements.length, 2, 'two statements')
  t.match(answer.statements[0], /FROM sessions/, 'the session')
  t.match(answer.statements[1], /FROM resources .* resource_closure .* role_bindings /, 'the decision')
  t.ok(answer.statements.every((statement) => /^s\d+: /.test(statement)), 'both prepared')

  const others: Record<string, () => Promise<Answer>> = {
    'of another type': () => get(`/resources/${group}`),
    'the organization': () => get(`/resources/${here}`),
    'the root': () => get(`/resources/${rootId}`),
    'the root by its alias': () => get('/resources/root'),
    'in capital letters': () => get(`/resources/${document.toUpperCase()}`),
    'for somebody else': () => get(`/resources/${document}`, viewer),
    hidden: () => get(`/resources/${document}`, stranger),
    absent: () => get(`/resources/${absent}`),
    malformed: () => get('/resources/nonsense'),
    'with HEAD': () => ask(app, 'HEAD', `/resources/${document}`, { cookie: owner.cookie })
  }
  for (const [title, other] of Object.entries(others)) t.same((await other()).statements, answer.statements, `the same two, prepared under the same names: ${title}`)
})

t.test('with a token it is two as well: the token with its user, and the decision', async (t) => {
  for (const permissions of [null, ['document:view']]) {
    const authorization = `Bearer ${await world.openToken(owner.id, permissions)}`
    const { status, statements } = await ask(app, 'GET', `/resources/${document}`, { headers: { authorization } })
    t.equal(status, 200)
    t.match(statements, [/^s\d+: .* FROM access_tokens t JOIN users/, /^s\d+: .* FROM resources /])
    t.equal(statements.length, 2)
  }
})

t.test('a refusal costs no more, whatever was asked for', async (t) => {
  const { statements: usual } = await get(`/resources/${document}`)
  const refused: Record<number, string[]> = { 403: [], 404: [] }
  for (const { method, url } of resourceRoutes) {
    const place = url.startsWith('/groups/') ? group : document
    for (const [{ cookie }, id] of [[viewer, place], [stranger, place], [owner, absent]] as const) {
      const { status, statements } = await ask(app, method, urlOf(url, id), { cookie })
      // Who may see may view.
      if (status < 400) continue
      t.same(statements, usual, `${method} ${url}: ${status}`)
      refused[status]?.push(`${method} ${url}`)
    }
  }
  const all = resourceRoutes.map(({ method, url }) => `${method} ${url}`)
  t.same([...new Set(refused[404])], all, 'every route was tried with something hidden')
  const viewed = resourceRoutes.filter(({ access }) => JSON.stringify(access).includes('["view"]')).map(({ method, url }) => `${method} ${url}`)
  t.same([...new Set(refused[403])], all.filter((route) => !viewed.includes(route)), 'and with something forbidden')
})

t.test('lists', async (t) => {
  for (const [url, cost] of Object.entries({
    '/resources': 2,
    '/resources?q=a&type=document&action=edit&limit=1': 2,
    [`/resources?parentId=${here}`]: 2,
    '/roles': 2,
    '/resource-types': 2,
    // The decision about the resource first.
    [`/resources/${document}/bindings`]: 3,
    [`/resources/${document}/bindings?inherited=true`]: 3,
    [`/groups/${group}/members`]: 3,
    // Then the explanation, and what of it may be named.
    [`/resources/${document}/explain?action=edit`]: 4,
    // Then what everyone may do, which users, their grants, and what of them may be named.
    [`/resources/${document}/access?limit=1`]: 6,
    [`/resources/${document}/grantable-roles`]: 3,
    // The right to view the log, the decision about the resource, the events, and what of them may be named.
    [`/audit-events?resourceId=${document}&subtree=true`]: 5
  })) {
    const answer = await get(url)
    t.equal(answer.status, 200)
    t.equal(answer.statements.length, cost, `${url.replace(/[0-9a-f-]{36}/, ':id')} costs ${cost}`)
  }

  const before = await get('/resources')
  for (let count = 0; count < 15; count++) await world.addResource('document', await world.addResource('project', here))
  const after = await get('/resources')
  t.same(after.statements, before.statements, 'the length of a list costs nothing')
  t.not(after.payload, before.payload, 'although there is more in it')
  t.same((await get('/resources', stranger)).statements, before.statements, 'nor who asks')
  t.same((await get(`/resources?parentId=${absent}`)).statements, (await get(`/resources?parentId=${here}`)).statements, 'nor whether the parent is there')
})

t.test('changes hold their locks for as few as these', async (t) => {
  const change = async (method: string, url: string, body?: object) => await ask(app, method, url, { cookie: owner.cookie, ...body === undefined ? {} : { body } })
  const created = await change('POST', '/resources', { type: 'document', name: 'new', parentId: here })
  const { id } = JSON.parse(created.payload)
  const project = await world.addResource('project', here)
  const bound = await change('POST', `/resources/${id}/bindings`, { role: 'viewer', subject: { type: 'user', id: stranger.id } })
  const binding = JSON.parse(bound.payload).id
  const answers: Record<string, [cost: number, answer: Answer]> = {
    // Of all: the session, BEGIN, the locks, that the session is still there, and COMMIT. Here: the type's lock, what is to be known of it and of the parent, the decision, the resource, its event.
    create: [10, created],
    // Of the rest: the decision before and again. Here: what is to be known, and the binding with its event.
    bind: [9, bound],
    rename: [10, await change('PATCH', `/resources/${id}`, { name: 'other' })],
    move: [13, await change('POST', `/resources/${id}/move`, { parentId: project })],
    unbind: [9, await change('DELETE', `/resources/${id}/bindings/${binding}`)],
    delete: [11, await change('DELETE', `/resources/${id}`)]
  }
  for (const [name, [cost, { status, statements }]] of Object.entries(answers)) {
    t.ok(status < 300, `${name}: ${status}`)
    t.equal(statements.length, cost, `costs ${cost}`)
  }
})

t.test('without a session', async (t) => {
  for (const { method, url, access } of app.routes) {
    const { status, statements } = await ask(app, method, urlOf(url, document))
    if (access === 'public') continue
    t.equal(status, 401, `${method} ${url}`)
    t.equal(statements.length, 0, 'asks the database nothing')
  }
  const { status, statements } = await ask(app, 'GET', `/resources/${document}`, { cookie: (await world.addPerson('Deactivated', { isActive: false })).cookie })
  t.equal(status, 401, 'a dead session')
  t.equal(statements.length, 1, 'costs its look-up')
})
