/** Groups: who is in them, groups in groups, and what membership gives. */
import t from 'tap'
import { absentId, openWorld, readPages, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, create, give, person, request, database: { query } } = world
const owner = await person()
const stranger = await person()
const organization = await create(owner, 'organization')
const membersOf = (group: string) => `/groups/${group}/members`
const add = async (group: string, member: string, who = owner) => await as(who, 'PUT', `${membersOf(group)}/${member}`)
const remove = async (group: string, member: string, who = owner) => await as(who, 'DELETE', `${membersOf(group)}/${member}`)
const newGroup = async (name?: string) => await create(owner, 'group', organization, name)

t.test('a user is added once, however often, and removed once', async (t) => {
  const group = await newGroup()
  const member = await person()
  t.match(await add(group, member.id.toUpperCase()), { status: 204, text: '' })
  t.match(await add(group.toUpperCase(), member.id), { status: 204 })
  t.same((await as(owner, 'GET', membersOf(group))).body, { items: [{ type: 'user', id: member.id, name: member.name }], nextCursor: null })
  t.match(await remove(group, member.id.toUpperCase()), { status: 204, text: '' })
  t.match(await remove(group, member.id), { status: 404, body: { code: 'not-found' } })
  t.same((await as(owner, 'GET', membersOf(group))).body, { items: [], nextCursor: null })
})

t.test('a group is added likewise, and its members are members by it', async (t) => {
  const [outer, middle, inner] = [await newGroup('Outer'), await newGroup('Middle'), await newGroup('Inner')]
  const member = await person()
  const place = await create(owner, 'project', organization)
  await as(owner, 'POST', `/resources/${place}/bindings`, { role: 'viewer', subject: { type: 'group', id: outer } })
  const status = async () => (await as(member, 'GET', `/resources/${place}`)).status
  for (const [group, id] of [[outer, middle], [inner, member.id], [middle, inner]] as const) {
    t.equal(await status(), 404)
    t.match(await add(group, id), { status: 204 })
    t.match(await add(group, id), { status: 204 })
  }
  t.equal(await status(), 200)
  t.same((await as(owner, 'GET', membersOf(outer))).body.items, [{ type: 'group', id: middle, name: 'Middle' }], 'the list has the direct ones')
  t.match(await remove(middle, inner), { status: 204 })
  t.match(await remove(middle, inner), { status: 404 })
  t.equal(await status(), 404)
})

t.test('two ways into a group: one that ends leaves the other', async (t) => {
  const [outer, left, right] = [await newGroup(), await newGroup(), await newGroup()]
  const member = await person()
  const place = await create(owner, 'project', organization)
  await as(owner, 'POST', `/resources/${place}/bindings`, { role: 'viewer', subject: { type: 'group', id: outer } })
  for (const [group, id] of [[outer, left], [outer, right], [left, member.id], [right, member.id]] as const) await add(group, id)
  await remove(outer, left)
  t.match(await as(member, 'GET', `/resources/${place}`), { status: 200 })
  t.match(await as(owner, 'DELETE', `/resources/${right}`), { status: 204 }, 'a group that is a member can be deleted')
  t.match(await as(member, 'GET', `/resources/${place}`), { status: 404 })
  t.same((await as(owner, 'GET', membersOf(outer))).body.items, [])
})

t.test('a group cannot be in itself, at any depth', async (t) => {
  const [one, two, three] = [await newGroup(), await newGroup(), await newGroup()]
  await add(one, two)
  await add(two, three)
  for (const [group, member] of [[one, one], [two, one], [three, one], [three, two]] as const) t.match(await add(group, member), { status: 409, body: { code: 'cycle' } })
  t.match(await add(one, three), { status: 204 }, 'twice inside is no cycle')
  t.match(await remove(one, one), { status: 404 })
})

t.test('whom one cannot add, or remove, is not found', async (t) => {
  const group = await newGroup()
  const hidden = await create(administrator, 'group')
  const stray = await person()
  for (const id of [absentId, 'nonsense', `urn:uuid:${owner.id}`, rootId, 'root', organization, hidden, 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'everyone']) {
    t.match(await add(group, id), { status: 404, body: { code: 'not-found' } }, `add ${id}`)
    t.match(await remove(group, id), { status: 404, body: { code: 'not-found' } }, `remove ${id}`)
  }
  t.match(await remove(group, stray.id), { status: 404 }, 'one who is no member')
  t.match(await add(group, hidden, administrator), { status: 204 })
  t.match(await remove(group, hidden), { status: 404 }, 'a member that one does not see')
  t.match(await add(group, hidden), { status: 404 })
  t.same((await as(owner, 'GET', membersOf(group))).body.items, [{ type: 'group', id: null, name: null }])
  t.same((await as(administrator, 'GET', membersOf(group))).body.items.map(({ id }: any) => id), [hidden])
  t.match(await remove(group, hidden, administrator), { status: 204 })
})

t.test('a deactivated user may be a member, and may do nothing', async (t) => {
  const group = await newGroup()
  const member = await person()
  await as(administrator, 'PATCH', `/users/${member.id}`, { isActive: false })
  t.match(await add(group, member.id), { status: 204 })
  t.same((await as(owner, 'GET', membersOf(group))).body.items, [{ type: 'user', id: member.id, name: member.name }])
  t.match(await as(member, 'GET', '/resources/root'), { status: 401 })
  t.match(await remove(group, member.id), { status: 204 })
})

t.test('seeing a group shows its members, editing it changes them', async (t) => {
  const group = await newGroup()
  const member = await person()
  const viewer = await person()
  await give(viewer, group, 'group:view')
  const editor = await person()
  await give(editor, group, 'group:view', 'group:edit')
  const url = membersOf(group)
  t.match(await request('GET', `${url}?x=1`), { status: 401 })
  t.match(await request('PUT', `${url}/${member.id}`), { status: 401 })
  t.match(await as(stranger, 'GET', `${url}?x=1`), { status: 404 })
  t.match(await as(stranger, 'PUT', `${url}/${member.id}`), { status: 404 })
  t.match(await as(stranger, 'DELETE', `${url}/${member.id}`), { status: 404 })
  t.match(await as(viewer, 'GET', url), { status: 200 })
  t.match(await as(viewer, 'GET', `${url}?x=1`), { status: 400 })
  t.match(await as(viewer, 'PUT', `${url}/${absentId}`), { status: 403, body: { code: 'forbidden' } })
  t.match(await as(viewer, 'DELETE', `${url}/${absentId}`), { status: 403 })
  t.match(await as(editor, 'PUT', `${url}/${member.id}`, { x: 1 }), { status: 400 })
  t.match(await as(editor, 'PUT', `${url}/${member.id}`), { status: 204 })
  t.match(await as(editor, 'DELETE', `${url}/${member.id}`), { status: 204 })
})

t.test('what is no group has no members', async (t) => {
  for (const id of ['root', rootId, organization, absentId, 'nonsense']) {
    t.match(await as(administrator, 'GET', membersOf(id)), { status: 404, body: { code: 'not-found' } }, id)
    t.match(await as(administrator, 'PUT', `${membersOf(id)}/${owner.id}`), { status: 404 }, id)
    t.match(await as(administrator, 'DELETE', `${membersOf(id)}/${owner.id}`), { status: 404 }, id)
  }
})

t.test('an editor of a group decides whom a binding to it reaches, whatever they hold', async (t) => {
  const group = await newGroup()
  const place = await create(owner, 'project', organization)
  await as(owner, 'POST', `/resources/${place}/bindings`, { role: 'owner', subject: { type: 'group', id: group } })
  const editor = await person()
  await give(editor, group, 'group:view', 'group:edit')
  t.match(await as(editor, 'PUT', `${membersOf(group)}/${editor.id}`), { status: 204 })
  t.match((await as(editor, 'GET', `/resources/${place}`)).body, { allowedActions: ['delete', 'edit', 'share', 'view'] })
})

t.test('members come in the order in which they were added, in pages that are complete', async (t) => {
  const group = await newGroup()
  const added: string[] = []
  for (let index = 0; index < 7; index++) {
    const id = index % 2 === 0 ? (await person()).id : await newGroup()
    await add(group, id)
    added.push(id)
  }
  for (const [limit, sizes] of [[1, [1, 1, 1, 1, 1, 1, 1]], [3, [3, 3, 1]], [7, [7]], [100, [7]]] as const) {
    const pages = await readPages(world, owner, `${membersOf(group)}?limit=${limit}`)
    t.same(pages.map((page) => page.length), sizes)
    t.same(pages.flat().map(({ id }) => id), added)
  }
})

t.test('a deleted group takes its memberships and its bindings with it, and leaves its members', async (t) => {
  const group = await newGroup()
  const inner = await newGroup()
  await add(group, inner)
  await add(group, owner.id)
  const { body } = await as(owner, 'POST', `/resources/${organization}/bindings`, { role: 'viewer', subject: { type: 'group', id: group } })
  t.match(await as(owner, 'DELETE', `/resources/${group}`), { status: 204 })
  t.same(await query('SELECT 1 FROM group_members WHERE group_id = $1 UNION ALL SELECT 1 FROM role_bindings WHERE id = $2', [group, body.id]), [])
  t.match(await as(owner, 'GET', `/resources/${inner}`), { status: 200 })
})
