/** Roles: the built-in ones, those of one's own, what a permission may be, and that nobody makes a role beyond themselves. */
import t from 'tap'
import { absentId, faults, openWorld, readPages } from './world.js'

const world = await openWorld()
const { as, administrator, create, give, person, request, role } = world
const somebody = await person()

const builtIn = [
  { name: 'editor', description: 'See, create and edit', permissions: ['*:create', '*:edit', '*:view'], builtIn: true },
  { name: 'member', description: 'See the root and create organizations; what everyone who is signed in may do', permissions: ['organization:create', 'system:view'], builtIn: true },
  { name: 'owner', description: 'Everything', permissions: ['*:*'], builtIn: true },
  { name: 'viewer', description: 'See', permissions: ['*:view'], builtIn: true }
]

t.test('a fresh install has four roles, which everybody who is signed in can read', async (t) => {
  t.same((await as(somebody, 'GET', '/roles')).body, { items: builtIn, nextCursor: null })
  for (const expected of builtIn) t.same((await as(somebody, 'GET', `/roles/${expected.name}`)).body, expected)
  t.match(await request('GET', '/roles?x=1'), { status: 401 })
  t.match(await request('GET', '/roles/owner'), { status: 401 })
  t.match(await as(somebody, 'GET', '/roles?x=1'), { status: 400 })
  for (const name of ['nothing', 'OWNER', '%00', 'x'.repeat(200), absentId]) t.match(await as(somebody, 'GET', `/roles/${name}`), { status: 404, body: { code: 'not-found' } }, name)
})

t.test('a role is made, read, changed and deleted', async (t) => {
  const made = await as(administrator, 'POST', '/roles', { name: 'writer', description: 'Writes', permissions: ['document:view', 'document:edit', '*:share', 'project:*'] })
  t.match(made, { status: 201, headers: { location: '/roles/writer' } })
  t.same(made.body, { name: 'writer', description: 'Writes', permissions: ['*:share', 'document:edit', 'document:view', 'project:*'], builtIn: false }, 'the permissions are sorted')
  t.same((await as(somebody, 'GET', '/roles/writer')).body, made.body)
  const described = await as(administrator, 'PATCH', '/roles/writer', { description: '' })
  t.same(described.body, { ...made.body, description: '' })
  const changed = await as(administrator, 'PATCH', '/roles/writer', { permissions: ['document:view'] })
  t.same(changed.body, { name: 'writer', description: '', permissions: ['document:view'], builtIn: false })
  t.same((await as(administrator, 'PATCH', '/roles/writer', {})).body, changed.body)
  t.match(await as(administrator, 'DELETE', '/roles/writer'), { status: 204, text: '' })
  t.match(await as(administrator, 'DELETE', '/roles/writer'), { status: 404 })
  t.match(await as(administrator, 'PATCH', '/roles/writer', {}), { status: 404 })
  for (const method of ['PATCH', 'DELETE']) t.match(await as(administrator, method, '/roles/%00', {}), { status: 404 })
})

t.test('a role may hold nothing, and a name of 63 characters', async (t) => {
  const name = `a${'-9'.repeat(31)}`
  t.same((await as(administrator, 'POST', '/roles', { name, permissions: [] })).body, { name, description: '', permissions: [], builtIn: false })
})

t.test('a changed role counts at once for everybody who holds it', async (t) => {
  const organization = await create(administrator, 'organization')
  const holder = await person()
  const name = await role('organization:view')
  await world.bind(organization, name, { type: 'user', id: holder.id })
  const actions = async () => (await as(holder, 'GET', `/resources/${organization}`)).body.allowedActions
  t.same(await actions(), ['view'])
  await as(administrator, 'PATCH', `/roles/${name}`, { permissions: ['organization:view', 'organization:edit'] })
  t.same(await actions(), ['edit', 'view'])
  await as(administrator, 'PATCH', `/roles/${name}`, { permissions: ['organization:edit'] })
  t.equal(await actions(), undefined)
})

for (const [what, change, fault] of [
  ['no name', { name: undefined }, '/name is required'],
  ['no permissions', { permissions: undefined }, '/permissions is required'],
  ['an empty name', { name: '' }, '/name must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a name of 64 characters', { name: 'x'.repeat(64) }, '/name must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a name with a line break', { name: 'writer\n' }, '/name must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a name in capitals', { name: 'Writer' }, '/name must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a description that is too long', { description: 'x'.repeat(501) }, '/description must NOT have more than 500 characters'],
  ['a description that is null', { description: null }, '/description must be string'],
  ['an unknown field', { builtIn: true }, '/builtIn is not known here'],
  ['permissions as text', { permissions: '*:*' }, '/permissions must be array'],
  ['a permission twice', { permissions: ['*:view', '*:view'] }, '/permissions must NOT have duplicate items (items ## 1 and 0 are identical)'],
  ['a permission without an action', { permissions: ['document'] }, '/permissions/0 must match pattern'],
  ['a permission of three parts', { permissions: ['document:view:all'] }, '/permissions/0 must match pattern'],
  ['a wildcard in a word', { permissions: ['doc*:view'] }, '/permissions/0 must match pattern'],
  ['an empty permission', { permissions: [''] }, '/permissions/0 must match pattern'],
  ['an unknown type', { permissions: ['*:view', 'dokument:view'] }, '/permissions/1 names the type "dokument", which there is not'],
  ['an unknown type with a wildcard', { permissions: ['dokument:*'] }, '/permissions/0 names the type "dokument", which there is not'],
  ['an action that the type does not have', { permissions: ['document:publish'] }, '/permissions/0 names the action "publish", which the type "document" does not have'],
  ['an action that no type has', { permissions: ['*:publish'] }, '/permissions/0 names the action "publish", which no type has'],
  ['an action that users do not have', { permissions: ['user:delete'] }, '/permissions/0 names the action "delete", which the type "user" does not have'],
  ['a type that JavaScript knows', { permissions: ['constructor:view'] }, '/permissions/0 names the type "constructor", which there is not']
] as const) {
  t.test(`refused in a role: ${what}`, async (t) => {
    const answer = await as(administrator, 'POST', '/roles', { name: 'owner', permissions: [], ...change })
    t.match(answer, { status: 400, body: { code: 'invalid-request' } })
    t.ok(faults(answer)[0]?.startsWith(fault), faults(answer).join('; '))
    const { name: _, ...rest } = { name: '', ...change } as Record<string, unknown>
    if ('permissions' in change && change.permissions !== undefined) t.match(await as(administrator, 'PATCH', '/roles/owner', rest), { status: 400 }, 'and before it is said that it is built in')
  })
}

t.test('501 permissions are too many', async (t) => {
  t.match(await as(administrator, 'POST', '/roles', { name: 'x', permissions: Array.from({ length: 501 }, (_, index) => `t${index}:view`) }), { status: 400 })
})

t.test('what is administered on the root can be in a role', async (t) => {
  const permissions = ['audit:view', 'resource-type:delete', 'resource-type:edit', 'role:create', 'role:delete', 'role:edit', 'user:create', 'user:edit', 'user:view']
  t.same((await as(administrator, 'POST', '/roles', { name: 'administration', permissions })).body.permissions, permissions)
  t.same((await as(administrator, 'POST', '/roles', { name: 'staff', permissions: ['user:*', 'role:*', 'resource-type:*', 'audit:*'] })).body.permissions, ['audit:*', 'resource-type:*', 'role:*', 'user:*'])
})

t.test('each change needs its own permission on the root', async (t) => {
  const organization = await create(somebody, 'organization')
  const doors = { 'role:create': ['POST', '/roles'], 'role:edit': ['PATCH', '/roles/nothing'], 'role:delete': ['DELETE', '/roles/nothing'] } as const
  const owner = await as(somebody, 'GET', `/resources/${organization}`)
  t.same(owner.body.allowedActions, ['delete', 'edit', 'share', 'view'], 'an owner elsewhere')
  for (const permission of Object.keys(doors)) {
    const clerk = await person()
    await give(clerk, 'root', permission)
    for (const [needed, [method, url]] of Object.entries(doors)) {
      t.match(await request(method, url, { body: { x: 1 } }), { status: 401 })
      t.match(await as(somebody, method, url, { x: 1 }), { status: 403, body: { code: 'forbidden' } })
      t.match(await as(clerk, method, url, { x: 1 }), needed === permission ? { status: 400 } : { status: 403, body: { code: 'forbidden' } }, `${permission} at ${needed}`)
    }
  }
})

t.test('making and changing are refused in the documented order', async (t) => {
  const clerk = await person()
  await give(clerk, 'root', 'role:create', 'role:edit', 'role:delete', '*:view')
  const attempt = async (method: string, url: string, body: object) => {
    const answer = await as(clerk, method, url, body)
    return `${answer.status} ${answer.body?.code ?? ''}`.trim()
  }
  t.equal(await attempt('POST', '/roles', { name: 'owner', permissions: ['*:edit', 'nothing:view'] }), '400 invalid-request')
  t.equal(await attempt('POST', '/roles', { name: 'owner', permissions: ['*:edit'] }), '403 escalation')
  t.equal(await attempt('POST', '/roles', { name: 'owner', permissions: ['*:view'] }), '409 role-exists')
  t.equal(await attempt('POST', '/roles', { name: 'onlooker', permissions: ['*:view'] }), '201')
  t.equal(await attempt('PATCH', '/roles/nothing', { permissions: ['nothing:view'] }), '404 not-found')
  t.equal(await attempt('PATCH', '/roles/viewer', { permissions: ['*:edit', 'nothing:view'] }), '400 invalid-request')
  t.equal(await attempt('PATCH', '/roles/viewer', { permissions: ['*:edit'] }), '403 escalation')
  t.equal(await attempt('PATCH', '/roles/viewer', { permissions: ['*:view'] }), '409 built-in')
  t.equal(await attempt('PATCH', '/roles/owner', { description: 'x' }), '403 escalation', 'it would go on to hold what the caller does not')
  t.equal(await attempt('PATCH', '/roles/onlooker', { permissions: ['document:view'] }), '200')
  for (const name of ['owner', 'editor', 'viewer', 'member']) t.equal(await attempt('DELETE', `/roles/${name}`, {}), '409 built-in')
})

t.test('a role that is bound, or a type\'s creator role, is in use', async (t) => {
  const organization = await create(administrator, 'organization')
  const name = await role('document:view')
  const binding = await world.bind(organization, name, { type: 'everyone' })
  t.match(await as(administrator, 'DELETE', `/roles/${name}`), { status: 409, body: { code: 'in-use' } })
  await as(administrator, 'DELETE', `/resources/${organization}/bindings/${binding}`)
  await as(administrator, 'PUT', '/resource-types/page', { parents: ['project'], creatorRole: name })
  t.match(await as(administrator, 'DELETE', `/roles/${name}`), { status: 409, body: { code: 'in-use' } })
  await as(administrator, 'PUT', '/resource-types/page', { parents: ['project'] })
  t.match(await as(administrator, 'DELETE', `/roles/${name}`), { status: 204 })
})

t.test('roles come in the order of their names\' bytes, in pages that are complete', async (t) => {
  for (const name of ['a', 'a-b', 'a0', 'ab', 'z9']) await as(administrator, 'POST', '/roles', { name, permissions: [] })
  const names = (await as(somebody, 'GET', '/roles?limit=100')).body.items.map(({ name }: any) => name)
  t.same(names, [...names].sort())
  t.same(names.filter((name: string) => /^a(-b|0|b)?$/.test(name)), ['a', 'a-b', 'a0', 'ab'])
  for (const limit of [1, 3]) t.same((await readPages(world, somebody, `/roles?limit=${limit}`)).flat().map(({ name }) => name), names)
})
