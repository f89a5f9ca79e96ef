/** What the audit log tells whoever may share a resource: all that happened there, and nothing by name that is hidden from them. */
import t from 'tap'
import { absentId, openWorld, type Person, rootId } from './world.js'

const world = await openWorld()
const { administrator, as, create, person, give, bind } = world

const read = async (who: Person, query: string): Promise<any[]> => {
  const { status, body, text } = await as(who, 'GET', `/audit-events?limit=100&${query}`)
  if (status !== 200) throw new Error(`${query}: ${status} ${text}`)
  return body.items.reverse()
}
/** The one event of a type there. */
const one = async (who: Person, type: string, resourceId: string, rest = '') => {
  const found = await read(who, `type=${type}&resourceId=${resourceId}${rest}`)
  if (found.length !== 1) throw new Error(`${found.length} events of ${type}`)
  return found[0]
}

t.test('nothing that is hidden is named: parents, groups that are bound, groups that are members', async (t) => {
  const [owner, sharer] = [await person(), await person()]
  const organization = await create(owner, 'organization')
  const [first, second] = [await create(owner, 'project', organization), await create(owner, 'project', organization)]
  const document = await create(owner, 'document', first)
  await as(owner, 'POST', `/resources/${document}/move`, { parentId: second })
  const group = await create(owner, 'group', organization)
  const inner = await create(owner, 'group', organization)
  await as(owner, 'PUT', `/groups/${group}/members/${inner}`)
  await as(owner, 'PUT', `/groups/${group}/members/${owner.id}`)
  await as(owner, 'DELETE', `/groups/${group}/members/${inner}`)
  const bound = (await as(owner, 'POST', `/resources/${document}/bindings`, { role: 'viewer', subject: { type: 'group', id: inner } })).body
  await as(owner, 'POST', `/resources/${document}/bindings`, { role: 'viewer', subject: { type: 'everyone' } })
  await as(owner, 'DELETE', `/resources/${document}/bindings/${bound.id}`)
  await give(sharer, document, 'document:view', 'document:share')
  await give(sharer, group, 'group:view', 'group:share')

  t.match(await one(sharer, 'resource.created', document), { resourceId: document, target: { id: document }, before: null, after: { parentId: null, type: 'document', attributes: {} } })
  t.match(await one(sharer, 'resource.moved', document), { actor: { type: 'user', id: owner.id }, credential: { type: 'session' }, before: { parentId: null }, after: { parentId: null } })
  const bindings = await read(sharer, `type=binding.created&resourceId=${document}`)
  t.match(bindings.map(({ target, after }) => ({ target, after })), [
    { target: { type: 'binding', id: bound.id }, after: { role: 'viewer', subject: { type: 'group', id: null } } },
    { after: { role: 'viewer', subject: { type: 'everyone' } } },
    { after: { subject: { type: 'user', id: sharer.id } } }
  ])
  t.match(await one(sharer, 'binding.deleted', document), { target: { id: bound.id }, before: { role: 'viewer', subject: { type: 'group', id: null } }, after: null })
  t.match(await read(sharer, `type=member.added&resourceId=${group}`), [
    { resourceId: group, target: { type: 'member', id: null }, after: { type: 'group', id: null } },
    { resourceId: group, target: { type: 'member', id: owner.id }, after: { type: 'user', id: owner.id } }
  ])
  t.match(await one(sharer, 'member.removed', group), { target: { type: 'member', id: null }, before: { type: 'group', id: null }, after: null })

  for (const who of [owner, administrator]) {
    const rest = '&subtree=true'
    t.match(await one(who, 'resource.moved', document, rest), { before: { parentId: first }, after: { parentId: second } })
    t.match((await read(who, `type=binding.created&resourceId=${document}`))[0], { after: { subject: { type: 'group', id: inner } } })
    t.match((await read(who, `type=member.added&resourceId=${group}`))[0], { target: { id: inner }, after: { type: 'group', id: inner } })
  }
  await give(sharer, second, 'project:view')
  await give(sharer, inner, 'group:view')
  t.match(await one(sharer, 'resource.moved', document), { before: { parentId: null }, after: { parentId: second } }, 'what they see by now is named')
  t.match((await read(sharer, `type=binding.created&resourceId=${document}`))[0], { after: { subject: { type: 'group', id: inner } } })
})

t.test('what is hidden below a resource has neither id nor name nor attributes there, while its bindings show roles and users', async (t) => {
  const [owner, sharer] = [await person(), await person()]
  const organization = await create(owner, 'organization')
  const { body: { id: document } } = await as(owner, 'POST', '/resources', { type: 'document', name: 'Secret plans', parentId: organization, attributes: { secret: 'plan' } })
  await as(owner, 'PATCH', `/resources/${document}`, { name: 'More secret plans' })
  await as(owner, 'POST', `/resources/${document}/bindings`, { role: 'viewer', subject: { type: 'user', id: owner.id } })
  await give(sharer, organization, 'organization:view', 'organization:share')
  const { body } = await as(sharer, 'GET', `/audit-events?resourceId=${organization}&subtree=true&limit=100`)
  t.notMatch(JSON.stringify(body), new RegExp(`${document}|ecret|plan`))
  const all = body.items.reverse()
  const hidden = { resourceId: null, target: { type: 'resource', id: null } }
  t.match(all.filter(({ type }: any) => type === 'resource.created'), [
    { resourceId: organization, after: { type: 'organization' } },
    { ...hidden, after: { type: 'document', name: null, parentId: organization, attributes: null } }
  ])
  t.match(all.find(({ type }: any) => type === 'resource.updated'), { ...hidden, before: { name: null }, after: { name: null } })
  t.match(all.find(({ type, resourceId }: any) => type === 'binding.created' && resourceId === null), { after: { role: 'viewer', subject: { type: 'user', id: owner.id } } })
  t.equal((await as(sharer, 'GET', `/audit-events?resourceId=${document}`)).status, 404)
  t.match(await one(administrator, 'resource.updated', organization, '&subtree=true'), { resourceId: document, after: { name: 'More secret plans', attributes: { secret: 'plan' } } })
})

t.test('what has been deleted is named to who sees its type where it stood, and to nobody else', async (t) => {
  const [owner, sharer, elsewhere] = [await person(), await person(), await person()]
  const organization = await create(owner, 'organization')
  const project = await create(owner, 'project', organization)
  const document = await create(owner, 'document', project, 'Minutes')
  const other = await create(elsewhere, 'organization')
  const strange = await create(elsewhere, 'group', other)
  const group = await create(owner, 'group', organization)
  await bind(organization, 'viewer', { type: 'group', id: strange })
  await bind(organization, 'viewer', { type: 'group', id: group })
  await as(elsewhere, 'DELETE', `/resources/${strange}`)
  await as(owner, 'DELETE', `/resources/${group}`)
  await as(owner, 'DELETE', `/resources/${project}?recursive=true`)
  await give(sharer, organization, 'organization:*', 'project:view')
  const deletedFor = async (who: Person) => await read(who, `type=resource.deleted&resourceId=${organization}&subtree=true`)
  t.match(await deletedFor(owner), [
    { resourceId: group, target: { id: group }, before: { parentId: organization } },
    { resourceId: project, target: { id: project }, before: { parentId: organization } },
    { resourceId: document, target: { id: document }, before: { name: 'Minutes', parentId: project, attributes: {} } }
  ])
  t.match(await deletedFor(sharer), [
    { resourceId: null, target: { id: null }, before: { type: 'group', name: null, parentId: organization, attributes: null } },
    { resourceId: project, target: { id: project }, before: { type: 'project' } },
    { resourceId: null, target: { id: null }, before: { type: 'document', name: null, parentId: project } }
  ])
  // Bound to the organization, but never below it.
  const subjects = async (who: Person) => (await read(who, `type=binding.deleted&resourceId=${organization}`)).map(({ before }) => before.subject.id)
  t.same(await subjects(owner), [null, group])
  t.same(await subjects(administrator), [strange, group])
  t.equal((await as(owner, 'GET', `/audit-events?resourceId=${document}`)).status, 404)
  t.match(await read(administrator, `resourceId=${document}`), [{ type: 'resource.created' }, { type: 'resource.deleted' }])

  // One that was moved out of sight first is gone for them like anything there.
  const moved = await create(administrator, 'document', organization)
  await as(administrator, 'POST', `/resources/${moved}/move`, { parentId: other })
  t.match(await one(owner, 'resource.moved', organization, '&subtree=true'), { resourceId: null, target: { id: null }, before: { parentId: organization }, after: { parentId: null, name: null } })
  await as(elsewhere, 'DELETE', `/resources/${moved}`)
  t.match(await one(owner, 'resource.moved', organization, '&subtree=true'), { resourceId: null, target: { id: null } })
  t.notMatch(JSON.stringify(await read(owner, `resourceId=${organization}&subtree=true`)), new RegExp(`${moved}|${other}|${strange}`))
})

t.test('who may share the root reads what happened on resources, and nothing of accounts, sessions, roles and types', async (t) => {
  const sharer = await person()
  await give(sharer, rootId, 'system:view', 'system:share')
  const document = await create(administrator, 'document', await create(administrator, 'organization'))
  await as(administrator, 'DELETE', `/resources/${document}`)
  const types = new Set((await read(sharer, `resourceId=${rootId}&subtree=true`)).map(({ type }) => type.split('.')[0]))
  t.same([...types].sort(), ['binding', 'member', 'resource'])
  for (const type of ['user.created', 'login.succeeded', 'session.ended', 'role.created', 'token.created']) {
    t.same(await read(sharer, `resourceId=${rootId}&subtree=true&type=${type}`), [])
    t.same(await read(sharer, `resourceId=${rootId}&type=${type}`), [])
  }
  t.equal((await as(sharer, 'GET', '/audit-events')).status, 403)
  t.notMatch(JSON.stringify(await read(sharer, `resourceId=${rootId}&subtree=true`)), document)
  await give(sharer, rootId, 'document:view')
  t.match((await read(sharer, `resourceId=${rootId}&subtree=true&type=resource.deleted`)).at(-1), { resourceId: document }, 'what is gone from anywhere')
  t.same(await read(administrator, `resourceId=${absentId}`), [])
})
