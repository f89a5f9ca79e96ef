/** Resource types: what exists, where it may stand, and when a type may still be changed. */
import t from 'tap'
import { faults, openWorld, readPages } from './world.js'

const world = await openWorld()
const { as, administrator, create, database, give, person, request, role } = world
const somebody = await person()
const put = async (name: string, body: object, who = administrator) => await as(who, 'PUT', `/resource-types/${name}`, body)
const five = ['create', 'delete', 'edit', 'share', 'view']

t.test('a fresh install has five types, which everybody who is signed in can read', async (t) => {
  t.same((await as(somebody, 'GET', '/resource-types')).body, {
    items: [
      { name: 'document', actions: five, parents: ['organization', 'project'], creatorRole: null },
      { name: 'group', actions: five, parents: ['organization', 'system'], creatorRole: 'owner' },
      { name: 'organization', actions: five, parents: ['system'], creatorRole: 'owner' },
      { name: 'project', actions: five, parents: ['organization', 'project'], creatorRole: null },
      { name: 'system', actions: five, parents: [], creatorRole: null }
    ],
    nextCursor: null
  })
  t.match(await request('GET', '/resource-types?x=1'), { status: 401 })
  t.match(await as(somebody, 'GET', '/resource-types?x=1'), { status: 400 })
})

t.test('a type is made, changed as a whole, and deleted', async (t) => {
  const made = await put('page', { actions: ['publish', 'archive'], parents: ['project', 'organization'], creatorRole: 'owner' })
  t.equal(made.status, 201)
  t.same(made.body, { name: 'page', actions: ['archive', 'create', 'delete', 'edit', 'publish', 'share', 'view'], parents: ['organization', 'project'], creatorRole: 'owner' })
  const changed = await put('page', { parents: ['project'] })
  t.equal(changed.status, 200)
  t.same(changed.body, { name: 'page', actions: five, parents: ['project'], creatorRole: null }, 'what is not named goes')
  t.match(await as(administrator, 'DELETE', '/resource-types/page'), { status: 204, text: '' })
  t.match(await as(administrator, 'DELETE', '/resource-types/page'), { status: 404 })
  t.match(await put('page', { parents: [], creatorRole: null }), { status: 201 }, 'a type may stand nowhere yet')
})

t.test('the five may be named among the actions, and twice is once', async (t) => {
  t.same((await put('leaf', { actions: ['view', 'press', 'press', 'delete'], parents: ['project', 'project'] })).body,
    { name: 'leaf', actions: ['create', 'delete', 'edit', 'press', 'share', 'view'], parents: ['project'], creatorRole: null })
})

t.test('a type that is as it is wanted stays so, and nothing is told of it', async (t) => {
  const wanted = { actions: ['pull', 'press'], parents: ['project', 'organization'], creatorRole: 'viewer' }
  const { body } = await put('drawer', wanted)
  t.match(await put('drawer', { ...wanted, actions: ['press', 'pull'], parents: ['organization', 'project'] }), { status: 200, body })
  t.same(await database.query("SELECT type FROM audit_events WHERE target_id = 'drawer'"), [{ type: 'resource-type.created' }])
})

t.test('a type may stand under itself', async (t) => {
  t.match(await put('branch', { parents: ['organization', 'branch'] }), { status: 201, body: { parents: ['branch', 'organization'] } })
  const branch = await create(administrator, 'branch', await create(administrator, 'organization'))
  t.match(await as(administrator, 'GET', `/resources/${await create(administrator, 'branch', branch)}`), { body: { creatableTypes: ['branch'] } })
})

t.test('what is built in and ready for use can be changed, the rest not', async (t) => {
  for (const name of ['system', 'group']) {
    t.match(await put(name, { parents: ['system', 'organization'], creatorRole: 'owner' }), { status: 409, body: { code: 'built-in' } })
    t.match(await as(administrator, 'DELETE', `/resource-types/${name}`), { status: 409, body: { code: 'built-in' } })
  }
  for (const name of ['user', 'role', 'resource-type', 'audit']) {
    t.match(await put(name, { parents: [] }), { status: 409, body: { code: 'built-in' } }, 'permissions on the root use the name')
    t.match(await as(administrator, 'DELETE', `/resource-types/${name}`), { status: 404 })
  }
  t.match(await put('document', { actions: ['sign'], parents: ['organization', 'project'] }), { status: 200 })
  t.match(await put('document', { parents: ['organization', 'project'] }), { status: 200 })
})

for (const [what, name, body, fault] of [
  ['no parents', 'page', {}, '/parents is required'],
  ['parents as text', 'page', { parents: 'project' }, '/parents must be array'],
  ['a malformed parent', 'page', { parents: ['Project'] }, '/parents/0 must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a malformed action', 'page', { parents: [], actions: ['*'] }, '/actions/0 must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['101 actions', 'page', { parents: [], actions: Array(101).fill('press') }, '/actions must NOT have more than 100 items'],
  ['101 parents', 'page', { parents: Array(101).fill('project') }, '/parents must NOT have more than 100 items'],
  ['a malformed creator role', 'page', { parents: [], creatorRole: '' }, '/creatorRole must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['an unknown field', 'page', { parents: [], name: 'page' }, '/name is not known here'],
  ['a malformed name', 'Page', { parents: [] }, '/name must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a name of 64 characters', 'x'.repeat(64), { parents: [] }, '/name must match pattern "^[a-z][a-z0-9-]{0,62}$"']
] as const) {
  t.test(`refused for a type: ${what}`, async (t) => {
    const answer = await put(name, body)
    t.match(answer, { status: 400, body: { code: 'invalid-request' } })
    t.same(faults(answer), [fault])
  })
}

t.test('making and changing are refused in the documented order', async (t) => {
  const clerk = await person()
  await give(clerk, 'root', 'resource-type:edit', '*:view')
  const attempt = async (name: string, body: object) => {
    const answer = await put(name, body, clerk)
    return `${answer.status} ${answer.body.code ?? ''}`.trim()
  }
  t.match(await request('PUT', '/resource-types/X', { body: { x: 1 } }), { status: 401 })
  t.match(await put('X', { x: 1 }, somebody), { status: 403, body: { code: 'forbidden' } })
  t.match(await as(somebody, 'DELETE', '/resource-types/X'), { status: 403 })
  t.match(await as(clerk, 'DELETE', '/resource-types/X'), { status: 403 })
  t.equal(await attempt('system', { parents: ['nothing'], creatorRole: 'nothing', x: 1 }), '400 invalid-request')
  t.equal(await attempt('system', { parents: ['nothing'], creatorRole: 'nothing' }), '400 unknown-role')
  t.equal(await attempt('system', { parents: ['nothing'], creatorRole: 'owner' }), '400 unknown-type')
  t.equal(await attempt('system', { parents: [], creatorRole: 'owner' }), '403 escalation')
  t.equal(await attempt('system', { parents: [], creatorRole: 'viewer' }), '409 built-in')
  t.equal(await attempt('organization', { parents: ['system'], creatorRole: 'owner' }), '403 escalation', 'also where it stays as it was')
  t.equal(await attempt('note', { parents: ['project'], creatorRole: 'viewer' }), '201')
  t.match(await as(administrator, 'DELETE', '/resource-types/%00'), { status: 404 })
})

t.test('a type with resources is in use', async (t) => {
  await put('crate', { parents: ['organization', 'project'] })
  const organization = await create(administrator, 'organization')
  const crate = await create(administrator, 'crate', organization)
  t.match(await as(administrator, 'DELETE', '/resource-types/crate'), { status: 409, body: { code: 'in-use' } })
  t.match(await put('crate', { parents: ['project'] }), { status: 409, body: { code: 'in-use' } }, 'one stands under what is dropped')
  t.match(await put('crate', { parents: ['organization'] }), { status: 200 }, 'none stands under that')
  await as(administrator, 'DELETE', `/resources/${crate}`)
  t.match(await put('crate', { parents: [] }), { status: 200 })
  t.match(await as(administrator, 'DELETE', '/resource-types/crate'), { status: 204 })
})

t.test('a type that a role names is in use', async (t) => {
  await put('crate', { parents: ['project'], actions: ['open'] })
  const name = await role('crate:view')
  t.match(await as(administrator, 'DELETE', '/resource-types/crate'), { status: 409, body: { code: 'in-use' } })
  t.match(await put('crate', { parents: ['project'] }), { status: 200 }, 'an action that none names may go')
  await as(administrator, 'DELETE', `/roles/${name}`)
  t.match(await as(administrator, 'DELETE', '/resource-types/crate'), { status: 204 })
})

t.test('a type that another type names is in use, but not by naming itself', async (t) => {
  await put('shelf', { parents: ['project', 'shelf'] })
  await put('book', { parents: ['shelf'] })
  t.match(await as(administrator, 'DELETE', '/resource-types/shelf'), { status: 409, body: { code: 'in-use' } })
  await put('book', { parents: [] })
  t.match(await as(administrator, 'DELETE', '/resource-types/shelf'), { status: 204 })
})

t.test('an action that a role names is in use', async (t) => {
  await put('crate', { parents: ['project'], actions: ['open', 'close'] })
  const name = await role('crate:open')
  t.match(await put('crate', { parents: ['project'], actions: ['close'] }), { status: 409, body: { code: 'in-use' } })
  t.match(await put('crate', { parents: ['project'], actions: ['open'] }), { status: 200 })
  await as(administrator, 'PATCH', `/roles/${name}`, { permissions: ['*:open'] })
  t.match(await put('crate', { parents: ['project'] }), { status: 409, body: { code: 'in-use' } }, 'no other type has it')
  t.match(await as(administrator, 'DELETE', '/resource-types/crate'), { status: 409, body: { code: 'in-use' } })
  await put('door', { parents: ['project'], actions: ['open'] })
  t.match(await put('crate', { parents: ['project'] }), { status: 200 }, 'another type has it')
  t.match(await as(administrator, 'DELETE', '/resource-types/door'), { status: 409 })
  t.match(await as(administrator, 'DELETE', '/resource-types/crate'), { status: 204 })
})

t.test('the creator of a resource is bound to the creator role of its type', async (t) => {
  await put('chest', { parents: ['system'] })
  const keeper = await role('chest:view', 'chest:edit', 'chest:share')
  await put('chest', { parents: ['system'], creatorRole: keeper })
  const clerk = await person()
  await give(clerk, 'root', 'chest:create')
  const { status, body } = await as(clerk, 'POST', '/resources', { type: 'chest', name: 'x' })
  t.equal(status, 201)
  t.same(body.allowedActions, ['edit', 'share', 'view'])
  t.match(await as(clerk, 'GET', `/resources/${body.id}/bindings`), { body: { items: [{ role: keeper, subject: { type: 'user', id: clerk.id } }] } })
})

t.test('types come in the order of their names\' bytes, in pages that are complete', async (t) => {
  for (const name of ['a', 'a-b', 'a0', 'ab']) await put(name, { parents: [] })
  const names = (await as(somebody, 'GET', '/resource-types?limit=100')).body.items.map(({ name }: any) => name)
  t.same(names, [...names].sort())
  for (const limit of [1, 3]) t.same((await readPages(world, somebody, `/resource-types?limit=${limit}`)).flat().map(({ name }) => name), names)
})
