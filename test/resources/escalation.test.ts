/** The rule against escalation, at each of its doors. The table says what its holder may give away. */
import t from 'tap'
import { openWorld, type Person, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, create, give, person, role } = world
const isEscalation = { status: 403, body: { code: 'escalation' } }

// What somebody holds, what they would give, and what of it is missing.
const cases: ReadonlyArray<[held: string[], given: string[], missing: string]> = [
  [['*:*'], ['*:*', '*:view', 'document:*', 'document:view', 'user:edit'], ''],
  [['*:view'], ['*:view', 'document:view', 'project:view'], ''],
  [['document:*'], ['document:*', 'document:view', 'document:delete'], ''],
  [['document:view', 'document:edit'], ['document:edit'], ''],
  [['document:view'], [], ''],
  [['*:view'], ['*:view', 'document:edit'], 'document:edit'],
  [['document:view', 'document:edit', 'document:create', 'document:delete', 'document:share'], ['document:*'], 'document:*'],
  [['document:view', 'group:view', 'organization:view', 'project:view', 'system:view'], ['*:view'], '*:view'],
  [['*:view', '*:create', '*:edit', '*:delete', '*:share'], ['document:*'], 'document:*'],
  [['*:view', '*:create', '*:edit', '*:delete', '*:share'], ['*:*'], '*:*'],
  [['document:*'], ['project:*', '*:*', 'document:*'], '*:*, project:*'],
  [['document:*'], ['*:view'], '*:view'],
  [['role:*'], ['role:create', 'user:view'], 'user:view']
]

for (const [held, given, missing] of cases) {
  t.test(`who holds ${held.join(' ')} may ${missing === '' ? '' : 'not '}give ${given.join(' ') || 'nothing'}`, async (t) => {
    const expect = (status: number) => missing === ''
      ? { status }
      : { ...isEscalation, body: { code: 'escalation', detail: `You do not hold ${missing} there yourself.` } }
    const gift = await role(...given)
    const old = await role()
    const organization = await create(administrator, 'organization')
    const sharer = await person()
    await give(sharer, organization, ...held)
    await give(sharer, organization, 'organization:view', 'organization:share')
    const subject = { type: 'user', id: (await person()).id }
    t.match(await as(sharer, 'POST', `/resources/${organization}/bindings`, { role: gift, subject }), expect(201), 'bind')
    const binding = await world.bind(organization, gift, { type: 'user', id: (await person()).id })
    t.match(await as(sharer, 'DELETE', `/resources/${organization}/bindings/${binding}`), expect(204), 'unbind')

    const clerk = await person()
    await give(clerk, rootId, ...held)
    await give(clerk, rootId, 'role:create', 'role:edit', 'resource-type:edit', 'organization:view')
    t.match(await as(clerk, 'POST', '/roles', { name: `${gift}-copy`, permissions: given }), expect(201), 'create a role')
    t.match(await as(clerk, 'PATCH', `/roles/${old}`, { permissions: given }), expect(200), 'edit a role')
    t.match(await as(clerk, 'PATCH', `/roles/${gift}`, { description: 'x' }), expect(200), 'describe a role')
    t.match(await as(clerk, 'PUT', `/resource-types/${gift}-type`, { parents: ['project'], creatorRole: gift }), expect(201), 'set a creator role')
  })
}

t.test('what is held elsewhere, or has expired, or below, does not count', async (t) => {
  const organization = await create(administrator, 'organization')
  const project = await create(administrator, 'project', organization)
  const sharer = await person()
  await give(sharer, organization, '*:view', '*:share')
  await give(sharer, project, 'document:edit')
  const gift = await role('document:edit')
  const attempt = async (id: string) => await as(sharer, 'POST', `/resources/${id}/bindings`, { role: gift, subject: { type: 'everyone' } })
  t.match(await attempt(organization), isEscalation, 'held below')
  t.match(await attempt(project), { status: 201 }, 'held there')
  const other = await create(sharer, 'organization')
  t.match(await attempt(other), { status: 201 }, 'an owner')
  t.match(await attempt(organization), isEscalation, 'held elsewhere')
  const id = await give(sharer, organization, 'document:edit')
  await world.database.query("UPDATE role_bindings SET expires_at = now() - interval '1 second' WHERE id = $1", [id])
  t.match(await attempt(organization), isEscalation, 'expired')
  await give('everyone', organization, 'document:edit')
  t.match(await attempt(organization), { status: 201 }, 'held as everyone')
})

t.test('what is held through a group counts', async (t) => {
  const organization = await create(administrator, 'organization')
  const sharer = await person()
  const [outer, inner] = [await create(administrator, 'group', organization), await create(administrator, 'group', organization)]
  await as(administrator, 'PUT', `/groups/${outer}/members/${inner}`)
  await as(administrator, 'PUT', `/groups/${inner}/members/${sharer.id}`)
  await world.bind(organization, 'owner', { type: 'group', id: outer })
  t.match(await as(sharer, 'POST', `/resources/${organization}/bindings`, { role: 'owner', subject: { type: 'user', id: sharer.id } }), { status: 201 })
})

t.test('owners of an organization change no roles and no types: those count everywhere', async (t) => {
  const owner = await person()
  await create(owner, 'organization')
  const name = await role('document:view')
  const attempts: Array<[string, string, object]> = [
    ['POST', '/roles', { name: 'mine', permissions: [] }], ['PATCH', `/roles/${name}`, { permissions: ['*:*'] }],
    ['PUT', '/resource-types/document', { parents: [], creatorRole: 'owner' }]
  ]
  for (const [method, url, body] of attempts) t.match(await as(owner, method, url, body), { status: 403, body: { code: 'forbidden' } })
})

t.test('a creator role gives its creator no more than whoever set it held', async (t) => {
  const clerk: Person = await person()
  await give(clerk, rootId, 'resource-type:edit')
  t.match(await as(clerk, 'PUT', '/resource-types/trap', { parents: ['system'], creatorRole: 'owner' }), isEscalation)
  t.match(await as(clerk, 'PUT', '/resource-types/trap', { parents: ['system'], creatorRole: 'member' }), { status: 201 }, 'everyone is a member on the root')
})
