/** The root and every organization keep an owner of their own, once they have one. */
import t from 'tap'
import { openWorld, type Person, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, bind, create, person, database: { query } } = world

const bindingOf = async (resourceId: string, { id }: { id: string }, role = 'owner') =>
  (await as(administrator, 'GET', `/resources/${resourceId}/bindings?limit=100`)).body.items.find((binding: any) => binding.role === role && binding.subject.id === id).id
const unbind = async (resourceId: string, subject: { id: string }, who: Person = administrator) =>
  await as(who, 'DELETE', `/resources/${resourceId}/bindings/${await bindingOf(resourceId, subject)}`)
const isLastOwner = { status: 409, body: { code: 'last-owner' } }
const asUser = ({ id }: { id: string }) => ({ type: 'user', id })
/** A group in an organization of its own, so that only what is bound to it matters. */
const groupOf = async (...members: Array<{ id: string }>) => {
  const group = await create(administrator, 'group')
  for (const { id } of members) await as(administrator, 'PUT', `/groups/${group}/members/${id}`)
  return group
}

t.test('an organization keeps its last owner, a project need not have any', async (t) => {
  const [one, two] = [await person(), await person()]
  const organization = await create(one, 'organization')
  t.match(await unbind(organization, one, one), isLastOwner)
  t.match(await unbind(organization, one), isLastOwner, 'an owner of the root is none of its own')
  await bind(organization, 'editor', asUser(two))
  t.match(await unbind(organization, one), isLastOwner, 'an editor is none')
  await bind(organization, 'owner', asUser(two))
  t.match(await unbind(organization, one, one), { status: 204 })
  t.match(await unbind(organization, two), isLastOwner)
  const project = await create(two, 'project', organization)
  await bind(project, 'owner', asUser(one))
  t.match(await unbind(project, one), { status: 204 })
})

t.test('an owner whose binding expires, or has expired, does not count', async (t) => {
  const [one, two] = [await person(), await person()]
  const organization = await create(one, 'organization')
  const id = await bind(organization, 'owner', asUser(two), '9999-12-31T00:00:00Z')
  t.match(await unbind(organization, one), isLastOwner)
  t.match(await unbind(organization, two), { status: 204 }, 'and may go')
  await query("UPDATE role_bindings SET expires_at = now() - interval '1 second' WHERE id = $1", [id])
  t.match(await unbind(organization, one), isLastOwner)
})

t.test('a deactivated owner does not count, and everyone is no owner', async (t) => {
  const [one, two] = [await person(), await person()]
  const organization = await create(one, 'organization')
  await bind(organization, 'owner', asUser(two))
  await as(administrator, 'PATCH', `/users/${two.id}`, { isActive: false })
  await bind(organization, 'owner', { type: 'everyone' })
  t.match(await unbind(organization, one), isLastOwner)
  await as(administrator, 'PATCH', `/users/${two.id}`, { isActive: true })
  t.match(await unbind(organization, one), { status: 204 })
})

t.test('owners through groups in groups count', async (t) => {
  const [one, two] = [await person(), await person()]
  const organization = await create(one, 'organization')
  const inner = await groupOf(two)
  const outer = await groupOf({ id: inner })
  await bind(organization, 'owner', { type: 'group', id: outer })
  t.match(await unbind(organization, one), { status: 204 })
  t.match(await unbind(organization, { id: outer }), isLastOwner)
  t.match(await as(administrator, 'DELETE', `/groups/${inner}/members/${two.id}`), isLastOwner)
  t.match(await as(administrator, 'DELETE', `/groups/${outer}/members/${inner}`), isLastOwner)
  t.match(await as(administrator, 'DELETE', `/resources/${inner}`), isLastOwner)
  t.match(await as(administrator, 'DELETE', `/resources/${outer}`), isLastOwner)
  t.same((await as(administrator, 'GET', `/groups/${inner}/members`)).body.items.length, 1, 'nothing of it was done')
  await as(administrator, 'PUT', `/groups/${outer}/members/${one.id}`)
  t.match(await as(administrator, 'DELETE', `/resources/${inner}`), { status: 204 })
  t.match(await as(administrator, 'DELETE', `/groups/${outer}/members/${one.id}`), isLastOwner)
})

t.test('an empty group, and one of deactivated users, owns nothing', async (t) => {
  const [one, two] = [await person(), await person()]
  const organization = await create(one, 'organization')
  const group = await groupOf(two)
  await bind(organization, 'owner', { type: 'group', id: group })
  await as(administrator, 'PATCH', `/users/${two.id}`, { isActive: false })
  t.match(await unbind(organization, one), isLastOwner)
  t.match(await as(administrator, 'DELETE', `/groups/${group}/members/${two.id}`), { status: 204 }, 'who does not count may leave')
  t.match(await unbind(organization, { id: group }), { status: 204 })
})

t.test('a group that goes with all below a resource is asked for likewise', async (t) => {
  const [one, two] = [await person(), await person()]
  const house = await create(one, 'organization')
  const group = await create(one, 'group', house)
  await as(one, 'PUT', `/groups/${group}/members/${two.id}`)
  const organization = await create(two, 'organization')
  await bind(organization, 'owner', { type: 'group', id: group })
  t.match(await unbind(organization, two), { status: 204 })
  t.match(await as(one, 'DELETE', `/resources/${house}?recursive=true`), isLastOwner)
  t.match(await as(one, 'GET', `/resources/${group}`), { status: 200 })
  await bind(organization, 'owner', asUser(two))
  t.match(await as(one, 'DELETE', `/resources/${house}?recursive=true`), { status: 204 })
})

t.test('an organization goes with its own owners\' group', async (t) => {
  const one = await person()
  const organization = await create(one, 'organization')
  const group = await create(one, 'group', organization)
  await as(one, 'PUT', `/groups/${group}/members/${one.id}`)
  await bind(organization, 'owner', { type: 'group', id: group })
  t.match(await unbind(organization, one), { status: 204 })
  t.match(await as(administrator, 'DELETE', `/resources/${group}`), isLastOwner)
  t.match(await as(one, 'DELETE', `/resources/${organization}?recursive=true`), { status: 204 })
})

t.test('an organization that has no owner can be changed as before', async (t) => {
  const one = await person()
  const organization = await create(one, 'organization')
  await query('DELETE FROM role_bindings WHERE resource_id = $1', [organization])
  const id = await bind(organization, 'viewer', asUser(one))
  t.match(await as(administrator, 'DELETE', `/resources/${organization}/bindings/${id}`), { status: 204 })
})

t.test('an owner of an organization may be deactivated, though the last', async (t) => {
  const one = await person()
  await create(one, 'organization')
  t.match(await as(administrator, 'PATCH', `/users/${one.id}`, { isActive: false }), { status: 200 })
})

t.test('the root keeps its last owner, by whichever way', async (t) => {
  t.match(await unbind(rootId, administrator), isLastOwner)
  t.match(await as(administrator, 'PATCH', `/users/${administrator.id}`, { isActive: false }), isLastOwner)
  t.match(await as(administrator, 'PATCH', `/users/${administrator.id.toUpperCase()}`, { isActive: false }), isLastOwner)
  const other = await person()
  const group = await groupOf(other)
  await bind(rootId, 'owner', { type: 'group', id: group })
  t.match(await as(administrator, 'PATCH', `/users/${administrator.id}`, { name: 'Still here' }), { status: 200 })
  t.match(await unbind(rootId, administrator, other), { status: 204 })
  t.match(await as(other, 'PATCH', `/users/${other.id}`, { isActive: false }), isLastOwner, 'an owner through a group')
  t.match(await as(other, 'DELETE', `/groups/${group}/members/${other.id}`), isLastOwner)
  t.match(await as(other, 'DELETE', `/resources/${group}`), isLastOwner)
  await as(other, 'POST', '/resources/root/bindings', { role: 'owner', subject: asUser(administrator) })
  t.match(await as(other, 'PATCH', `/users/${other.id}`, { isActive: false }), { status: 200 })
})
