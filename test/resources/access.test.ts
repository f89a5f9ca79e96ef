/** Who has access to a resource, and which roles somebody may give there. */
import t from 'tap'
import { v7 as uuidv7 } from 'uuid'
import { absentId, openWorld, type Person, readPages, rootId } from './world.js'

const world = await openWorld()
const { administrator, as, bind, create, database: { query }, give, person, role } = world

/** An organization with a document in it, of an owner of its own. */
async function openPlace () {
  const owner = await person()
  const organization = await create(owner, 'organization')
  return { owner, organization, document: await create(owner, 'document', organization) }
}
const access = async (who: Person, id: string, query = '') => (await as(who, 'GET', `/resources/${id}/access${query}`)).body
const listed = async (who: Person, id: string, query = '') => (await access(who, id, query)).items.map(({ user, allowedActions }: any) => [user.id, ...allowedActions])

t.test('each user is listed once, with what they may do and every grant that it comes from', async (t) => {
  const { owner, organization, document } = await openPlace()
  const [member, both, gone, late, other] = [await person(), await person(), await person(), await person(), await person()]
  const [outer, inner] = [await create(owner, 'group', organization), await create(owner, 'group', organization)]
  await as(owner, 'PUT', `/groups/${outer}/members/${inner}`)
  for (const { id } of [member, both, gone]) await as(owner, 'PUT', `/groups/${inner}/members/${id}`)
  const ofGroup = await bind(organization, 'viewer', { type: 'group', id: outer })
  const editing = await role('document:edit')
  const ofBoth = await bind(document, editing, { type: 'user', id: both.id })
  await bind(document, 'member', { type: 'user', id: other.id })
  await as(administrator, 'PATCH', `/users/${gone.id}`, { isActive: false })
  await query("UPDATE role_bindings SET expires_at = date_trunc('milliseconds', now()) WHERE id = $1", [await give(late, document, 'document:view')])

  const viewing = { bindingId: ofGroup, role: 'viewer', permission: '*:view', via: [outer, inner], resourceId: organization, expiresAt: null }
  const { items, nextCursor, everyone } = await access(owner, document)
  t.same(items.slice(2), [
    { user: { id: member.id, name: member.name, email: member.email }, allowedActions: ['view'], because: [viewing] },
    {
      user: { id: both.id, name: both.name, email: both.email },
      allowedActions: ['edit', 'view'],
      because: [{ bindingId: ofBoth, role: editing, permission: 'document:edit', via: [], resourceId: document, expiresAt: null }, viewing]
    }
  ], 'who is deactivated, too late, or bound to what is none of this is not there')
  t.same(items.slice(0, 2).map(({ user }: any) => user.id), [administrator.id, owner.id])
  t.equal(nextCursor, null)
  t.equal(everyone, null)
  t.same(await listed(owner, document, '?action=edit'), [[administrator.id, 'delete', 'edit', 'share', 'view'], [owner.id, 'delete', 'edit', 'share', 'view'], [both.id, 'edit', 'view']])
  t.same(await access(owner, document, '?action=publish'), { items: [], nextCursor: null, everyone: null })
  t.same((await readPages(world, owner, `/resources/${document}/access?limit=1`)).map((page) => page.length), [1, 1, 1, 1])
})

t.test('everyone is one line, and who has access only so is not listed', async (t) => {
  const { owner, document } = await openPlace()
  const [editor, doubly, blind] = [await person(), await person(), await person()]
  await give('everyone', document, 'document:view', 'document:create')
  await give(editor, document, 'document:edit')
  await give(doubly, document, 'document:view')
  t.same((await access(owner, document)).everyone, { allowedActions: ['view'] })
  const ids = async (query = '') => (await listed(owner, document, query)).map(([id]: string[]) => id)
  t.same(await ids(), [administrator.id, owner.id, editor.id, doubly.id])
  t.same(await ids('?action=view'), [administrator.id, owner.id, doubly.id], 'the editor sees it as everyone does')
  t.same(await ids('?action=edit'), [administrator.id, owner.id, editor.id])
  t.equal((await access(owner, document, '?action=edit')).everyone, null)
  t.match((await access(owner, document, '?action=create')), { items: [{}, {}], everyone: { allowedActions: ['view'] } }, 'creating is asked for, and not shown')

  const hidden = await openPlace()
  await give('everyone', hidden.document, 'document:edit')
  await give(blind, hidden.document, 'document:share')
  await give(doubly, hidden.document, 'document:view')
  t.match(await access(hidden.owner, hidden.document), { items: [{}, { user: { id: doubly.id }, allowedActions: ['edit', 'view'] }, {}], everyone: null })
  t.same((await listed(hidden.owner, hidden.document, '?action=edit')).length, 3, 'to edit as everyone one must see it oneself')
  t.same((await listed(hidden.owner, hidden.document, '?action=share')).length, 2, 'who does not see it may nothing')
})

t.test('who has access is for who may share, and names nothing hidden', async (t) => {
  const { owner, organization, document } = await openPlace()
  const [reader, sharer, member] = [await person(), await person(), await person()]
  await give(reader, document, 'document:view')
  await give(sharer, document, 'document:view', 'document:share')
  const secret = await create(owner, 'group', organization)
  await as(owner, 'PUT', `/groups/${secret}/members/${member.id}`)
  await bind(organization, 'viewer', { type: 'group', id: secret })
  t.match(await as(reader, 'GET', `/resources/${document}/access`), { status: 403 })
  t.match(await as(member, 'GET', `/resources/${absentId}/access`), { status: 404 })
  const item = (await access(sharer, document)).items.find(({ user }: any) => user.id === member.id)
  t.match(item, { because: [{ via: [null], resourceId: null }] })
  for (const query of ['action=', 'limit=0', 'cursor=x', 'userId=x']) t.match(await as(owner, 'GET', `/resources/${document}/access?${query}`), { status: 400 }, query)
})

t.test('a large group is listed page by page', async (t) => {
  const { owner, organization, document } = await openPlace()
  const group = await create(owner, 'group', organization)
  await query(`WITH made AS (INSERT INTO users (id, email, name, password_hash)
      SELECT id, id || '@example.net', 'Member', '$argon2id$none' FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 3000)) x RETURNING id)
    INSERT INTO group_members (id, group_id, user_id) SELECT gen_random_uuid(), $1, id FROM made`, [group])
  await bind(organization, 'viewer', { type: 'group', id: group })
  await query('ANALYZE')
  const pages = await readPages(world, owner, `/resources/${document}/access?limit=100`)
  const ids = pages.flat().map(({ user }) => user.id)
  t.equal(ids.length, 3002)
  t.same(ids, [...new Set(ids)].sort())
})

t.test('so are many groups in one, whose members are partly the same, and may see it or not', async (t) => {
  const { owner, organization, document } = await openPlace()
  const company = await create(owner, 'group', organization)
  const teams = Array.from({ length: 40 }, () => uuidv7())
  await query("INSERT INTO resources (id, type, name, parent_id) SELECT id, 'group', 'team', $2 FROM unnest($1::uuid[]) id", [teams, organization])
  await query('INSERT INTO group_members (id, group_id, member_group_id) SELECT gen_random_uuid(), $1, id FROM unnest($2::uuid[]) id', [company, teams])
  // The first two are in every team; of the others each is in two teams, and every seventh is not active.
  const users = Array.from({ length: 60 }, () => uuidv7()).sort()
  await query(`INSERT INTO users (id, email, name, password_hash, is_active)
    SELECT id, id || '@example.net', 'Member', '$argon2id$none', place % 7 <> 0 FROM unnest($1::uuid[]) WITH ORDINALITY each(id, place)`, [users])
  const rows = teams.flatMap((team, place) => users.filter((_user, index) => index < 2 || index % 40 === place || (index + 13) % 40 === place).map((user) => [team, user]))
  await query('INSERT INTO group_members (id, group_id, user_id) SELECT gen_random_uuid(), * FROM unnest($1::uuid[], $2::uuid[])', [rows.map(([team]) => team), rows.map(([, user]) => user)])
  await bind(document, await role('document:edit'), { type: 'group', id: company })
  const read = async (query: string) => (await readPages(world, owner, `/resources/${document}/access?${query}`)).flat().map(({ user }) => user.id)
  const owners = await read('limit=100')
  t.equal(owners.length, 2, 'to edit is not to see')
  await bind(document, 'viewer', { type: 'group', id: teams[3] })
  const seeing = users.filter((_user, index) => (index < 2 || index % 40 === 3 || (index + 13) % 40 === 3) && (index + 1) % 7 !== 0)
  const active = users.filter((_user, index) => (index + 1) % 7 !== 0)
  for (const limit of [4, 25]) t.same(await read(`action=edit&limit=${limit}`), [...owners, ...seeing].sort(), `${limit} a page, of those who see it otherwise`)
  await bind(organization, 'viewer', { type: 'group', id: company })
  for (const limit of [4, 25]) {
    t.same(await read(`limit=${limit}`), [...owners, ...active].sort(), `${limit} a page`)
    t.same(await read(`action=edit&limit=${limit}`), [...owners, ...active].sort())
  }
})

t.test('roles that one may give are those of which one holds everything', async (t) => {
  const { owner, organization, document } = await openPlace()
  const sharer = await person()
  const [viewing, sharing, nothing] = [await role('document:view'), await role('document:view', 'document:share'), await role()]
  await bind(document, sharing, { type: 'user', id: sharer.id })
  const url = `/resources/${document}/grantable-roles`
  const names = async (who: Person) => (await readPages(world, who, `${url}?limit=2`)).flat().map(({ name }) => name)
  const some = [nothing, sharing, viewing, 'viewer', 'editor', 'owner', 'member']
  t.same((await names(sharer)).filter((name) => some.includes(name)), ['member', nothing, sharing, viewing].sort())
  const all = (await readPages(world, owner, '/roles')).flat()
  t.same((await readPages(world, owner, url)).flat(), all, 'as roles are shown elsewhere, in the same order')
  for (const { name } of all) {
    const may = (await names(sharer)).includes(name)
    t.match(await as(sharer, 'POST', `/resources/${document}/bindings`, { role: name, subject: { type: 'user', id: (await person()).id } }), { status: may ? 201 : 403 }, name)
  }
  t.match(await as(sharer, 'GET', `/resources/${organization}/grantable-roles`), { status: 404 })
  t.match(await as(administrator, 'GET', `/resources/${rootId}/grantable-roles`), { status: 200 })
  t.match(await as(sharer, 'GET', '/resources/root/grantable-roles'), { status: 403 })
  t.match(await as(owner, 'GET', `${url}?cursor=${uuidv7()}`), { status: 400 })
})
