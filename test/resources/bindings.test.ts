/** Role bindings: giving a role, taking it back, and what the list of them shows to whom. */
import t from 'tap'
import { createBinding, deleteBinding } from '../../src/services/bindings.js'
import { callerOf } from '../helpers/caller.js'
import { absentId, faults, openWorld, readPages, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, bind, create, give, person, request, role, testApp, database: { db, query } } = world
const owner = await person()
const stranger = await person()
const organization = await create(owner, 'organization')
const bindings = `/resources/${organization}/bindings`
const group = await create(owner, 'group', organization, 'Editors')
const hiddenGroup = await create(administrator, 'group', undefined, 'A secret society')
const deactivated = await person()
await as(administrator, 'PATCH', `/users/${deactivated.id}`, { isActive: false })

const bindHere = async (body: object, who = owner) => await as(who, 'POST', bindings, body)
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

t.test('a fresh install has one binding: everyone is a member', async (t) => {
  const { body } = await as(administrator, 'GET', '/resources/root/bindings')
  t.same(body.items.filter(({ subject }: any) => subject.id !== administrator.id).map(({ role, subject, resourceId, expiresAt, createdBy }: any) => ({ role, subject, resourceId, expiresAt, createdBy })),
    [{ role: 'member', subject: { type: 'everyone' }, resourceId: rootId, expiresAt: null, createdBy: null }])
})

t.test('a role is given to a user by id, to a user by e-mail, to a group, and to everyone', async (t) => {
  const [byId, byEmail] = [await person(), await person()]
  for (const [subject, shown] of [
    [{ type: 'user', id: byId.id.toUpperCase() }, { type: 'user', id: byId.id, name: byId.name }],
    [{ type: 'user', email: ` ${byEmail.email.replace('person', 'PERSON')} ` }, { type: 'user', id: byEmail.id, name: byEmail.name }],
    [{ type: 'group', id: group.toUpperCase() }, { type: 'group', id: group, name: 'Editors' }],
    [{ type: 'everyone' }, { type: 'everyone' }]
  ] as const) {
    const { status, headers, body } = await bindHere({ role: 'viewer', subject })
    t.equal(status, 201)
    t.match(body, { id: /^[0-9a-f]{8}-[0-9a-f]{4}-7/, role: 'viewer', resourceId: organization, expiresAt: null, createdBy: owner.id, createdAt: /Z$/ })
    t.same(body.subject, shown)
    t.equal(headers['location'], `${bindings}/${body.id}`)
    t.same((await as(owner, 'GET', bindings)).body.items.at(-1), body, 'it is the last of the list')
    t.match(await as(owner, 'DELETE', headers['location']!), { status: 204, text: '' })
    t.match(await as(owner, 'DELETE', headers['location']!), { status: 404 })
  }
})

t.test('a binding counts on its resource and everything below it, from the next request on, and nowhere else', async (t) => {
  const project = await create(owner, 'project', organization)
  const document = await create(owner, 'document', project)
  const guest = await person()
  const statuses = async () => await Promise.all([organization, project, document].map(async (id) => (await as(guest, 'GET', `/resources/${id}`)).status))
  t.same(await statuses(), [404, 404, 404])
  const { body } = await as(owner, 'POST', `/resources/${project}/bindings`, { role: 'viewer', subject: { type: 'user', id: guest.id } })
  t.same(await statuses(), [404, 200, 200])
  t.match(await as(guest, 'PATCH', `/resources/${document}`, {}), { status: 403 })
  t.match(await as(owner, 'DELETE', `/resources/${project}/bindings/${body.id}`), { status: 204 })
  t.same(await statuses(), [404, 404, 404])
})

const user = { type: 'user', id: owner.id }
for (const [what, change, fault] of [
  ['no role', { role: undefined }, '/role is required'],
  ['no subject', { subject: undefined }, '/subject is required'],
  ['a role that no role can be called', { role: 'Viewer' }, '/role must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a subject without a type', { subject: { id: owner.id } }, '/subject/type is required'],
  ['a subject of another type', { subject: { type: 'robot' } }, '/subject/type must be equal to one of the allowed values'],
  ['a subject with a name', { subject: { ...user, name: 'x' } }, '/subject/name is not known here'],
  ['a user without id and e-mail', { subject: { type: 'user' } }, '/subject needs an id or an email, not both, for a user'],
  ['a user with both', { subject: { ...user, email: owner.email } }, '/subject needs an id or an email, not both, for a user'],
  ['a group without id', { subject: { type: 'group' } }, '/subject needs an id, and no email, for a group'],
  ['a group with an e-mail', { subject: { type: 'group', email: owner.email } }, '/subject needs an id, and no email, for a group'],
  ['a group with both', { subject: { type: 'group', id: group, email: owner.email } }, '/subject needs an id, and no email, for a group'],
  ['everyone with an id', { subject: { type: 'everyone', id: owner.id } }, '/subject takes neither id nor email for everyone'],
  ['everyone with an e-mail', { subject: { type: 'everyone', email: owner.email } }, '/subject takes neither id nor email for everyone'],
  ['an id in words', { subject: { type: 'user', id: 'me' } }, '/subject/id must match'],
  ['an id as a URN', { subject: { type: 'user', id: `urn:uuid:${owner.id}` } }, '/subject/id must match'],
  ['an id in braces', { subject: { type: 'group', id: `{${group}}` } }, '/subject/id must match'],
  ['an empty e-mail', { subject: { type: 'user', email: '' } }, '/subject/email must NOT have fewer than 1 characters'],
  ['an unknown field', { resourceId: organization }, '/resourceId is not known here']
] as const) {
  t.test(`refused before the role is looked up: ${what}`, async (t) => {
    const answer = await bindHere({ role: 'nothing', subject: user, ...change })
    t.match(answer, { status: 400, body: { code: 'invalid-request' } })
    t.ok(faults(answer)[0]?.startsWith(fault), faults(answer).join('; '))
  })
}

for (const [what, expiresAt, shown] of [
  ['never', null, null],
  ['the last moment of the year 9999', '9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ['a time of another zone', '2100-01-01T00:00:00+02:00', '2099-12-31T22:00:00.000Z'],
  ['a time with a microsecond', '2100-01-01T00:00:00.123456Z', '2100-01-01T00:00:00.123Z'],
  ['a leap day', '2096-02-29T00:00:00Z', '2096-02-29T00:00:00.000Z']
] as const) {
  t.test(`a binding may expire at ${what}`, async (t) => {
    const { status, body } = await bindHere({ role: 'viewer', subject: { type: 'user', id: (await person()).id }, expiresAt })
    t.equal(status, 201)
    t.equal(body.expiresAt, shown)
  })
}

for (const [what, expiresAt, fault] of [
  ['a year ago', '2020-01-01T00:00:00Z', 'must be in the future, and not after the year 9999'],
  ['the year 0', '0000-01-01T00:00:00Z', 'must be in the future, and not after the year 9999'],
  ['a leap second', '2100-12-31T23:59:60Z', 'must be in the future, and not after the year 9999'],
  ['an offset without minutes', '2100-01-01T00:00:00+05', 'must be in the future, and not after the year 9999'],
  ['the year 10000 by its offset', '9999-12-31T23:59:59-12:00', 'must be in the future, and not after the year 9999'],
  ['a date without time', '2100-01-01', 'must match format "date-time"'],
  ['a time without zone', '2100-01-01T00:00:00', 'must match format "date-time"'],
  ['a day that is not', '2100-02-29T00:00:00Z', 'must match format "date-time"'],
  ['an hour that is not', '2100-01-01T25:00:00Z', 'must match format "date-time"'],
  ['a year of five digits', '10000-01-01T00:00:00Z', 'must match format "date-time"'],
  ['words', 'tomorrow', 'must match format "date-time"'],
  ['nothing', '', 'must match format "date-time"'],
  ['a number', 4_102_444_800, 'must be string,null']
] as const) {
  t.test(`a binding cannot expire at ${what}`, async (t) => {
    const answer = await bindHere({ role: 'nothing', subject: { type: 'user', id: absentId }, expiresAt })
    t.equal(answer.status, 400)
    t.same(faults(answer), [`/expiresAt ${fault}`])
  })
}

t.test('an expiry of this very moment is in the past', async (t) => {
  await t.rejects(createBinding(db, callerOf(owner.id), organization, { role: 'viewer', subject: { type: 'everyone' }, expiresAt: new Date() }), { code: 'invalid-request' })
})

t.test('a binding that has expired grants nothing, and gives way to a new one', async (t) => {
  const guest = await person()
  const subject = { type: 'user', id: guest.id }
  const { body: first } = await bindHere({ role: 'viewer', subject, expiresAt: inAnHour() })
  t.match(await as(guest, 'GET', `/resources/${organization}`), { status: 200 })
  t.match(await bindHere({ role: 'viewer', subject }), { status: 409, body: { code: 'binding-exists' } }, 'as long as it counts, it is the same binding')
  await query("UPDATE role_bindings SET expires_at = now() - interval '1 second' WHERE id = $1", [first.id])
  t.match(await as(guest, 'GET', `/resources/${organization}`), { status: 404 })
  t.same((await as(guest, 'GET', '/resources')).body.items.map(({ id }: any) => id), [rootId])
  const { status, body: second } = await bindHere({ role: 'viewer', subject })
  t.equal(status, 201)
  t.match(await as(guest, 'GET', `/resources/${organization}`), { status: 200 })
  t.match(await as(owner, 'DELETE', `${bindings}/${first.id}`), { status: 404 })
  t.not(second.id, first.id)
})

t.test('giving is refused in the documented order', async (t) => {
  const viewer = await person()
  await give(viewer, organization, '*:view')
  const sharer = await person()
  await give(sharer, organization, '*:view', '*:share')
  await bindHere({ role: 'owner', subject: { type: 'user', id: viewer.id } })
  const attempt = async (who: typeof owner, body: object) => {
    const answer = await as(who, 'POST', bindings, body)
    return `${answer.status} ${answer.body.code}`
  }
  const unknown = { type: 'user', id: absentId }
  t.match(await request('POST', bindings, { body: { x: 1 } }), { status: 401 })
  t.equal(await attempt(stranger, { x: 1 }), '404 not-found')
  const mere = await person()
  await give(mere, organization, '*:view')
  t.equal(await attempt(mere, { x: 1 }), '403 forbidden')
  t.equal(await attempt(sharer, { role: 'nothing', subject: unknown, x: 1 }), '400 invalid-request')
  t.equal(await attempt(sharer, { role: 'nothing', subject: unknown, expiresAt: '2020-01-01T00:00:00Z' }), '400 invalid-request')
  t.equal(await attempt(sharer, { role: 'nothing', subject: unknown }), '400 unknown-role')
  t.equal(await attempt(sharer, { role: 'owner', subject: unknown }), '400 unknown-subject')
  t.equal(await attempt(sharer, { role: 'owner', subject: { type: 'user', id: viewer.id } }), '403 escalation')
  t.equal(await attempt(owner, { role: 'owner', subject: { type: 'user', id: viewer.id } }), '409 binding-exists')
})

t.test('who is unknown, deactivated, or a group that one does not see, all are the same answer', async (t) => {
  const answers = await Promise.all([
    { type: 'user', id: absentId }, { type: 'user', id: deactivated.id }, { type: 'user', id: group }, { type: 'user', id: rootId }, { type: 'user', id: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
    { type: 'user', email: 'nobody@example.org' }, { type: 'user', email: 'no address' }, { type: 'user', email: deactivated.email }, { type: 'user', email: 'person%@example.org' },
    { type: 'group', id: absentId }, { type: 'group', id: hiddenGroup }, { type: 'group', id: organization }, { type: 'group', id: owner.id }
  ].map(async (subject) => await bindHere({ role: 'viewer', subject })))
  for (const { status, body } of answers) {
    t.equal(status, 400)
    t.same(body, { type: 'urn:gatehouse:problem:unknown-subject', title: 'Unknown subject', status: 400, detail: 'There is no such active user, and no such group that you may see.', code: 'unknown-subject' })
  }
})

t.test('the same binding is refused, another role, subject or place is not', async (t) => {
  const guest = await person()
  const project = await create(owner, 'project', organization)
  const subject = { type: 'user', id: guest.id }
  t.match(await bindHere({ role: 'viewer', subject }), { status: 201 })
  t.match(await bindHere({ role: 'viewer', subject: { type: 'user', email: guest.email }, expiresAt: inAnHour() }), { status: 409, body: { code: 'binding-exists' } })
  t.match(await bindHere({ role: 'editor', subject }), { status: 201 })
  t.match(await as(owner, 'POST', `/resources/${project}/bindings`, { role: 'viewer', subject }), { status: 201 })
})

t.test('taking back is refused in the documented order', async (t) => {
  const guest = await person()
  const { body } = await bindHere({ role: 'owner', subject: { type: 'user', id: guest.id } })
  const sharer = await person()
  await give(sharer, organization, '*:view', '*:share')
  const elsewhere = await create(owner, 'organization')
  const url = `${bindings}/${body.id}`
  t.match(await request('DELETE', url), { status: 401 })
  t.match(await as(stranger, 'DELETE', url), { status: 404 })
  const viewer = await person()
  await give(viewer, organization, '*:view')
  t.match(await as(viewer, 'DELETE', `${bindings}/${absentId}`), { status: 403, body: { code: 'forbidden' } })
  t.match(await as(sharer, 'DELETE', `${bindings}/${absentId}`), { status: 404 })
  t.match(await as(sharer, 'DELETE', `${bindings}/nonsense`), { status: 404 })
  t.match(await as(owner, 'DELETE', `/resources/${elsewhere}/bindings/${body.id}`), { status: 404 }, 'it is on another resource')
  t.match(await as(sharer, 'DELETE', url), { status: 403, body: { code: 'escalation' } })
  t.match(await as(guest, 'DELETE', url.toUpperCase().replace('/RESOURCES', '/resources').replace('/BINDINGS', '/bindings')), { status: 204 }, 'one may give up one\'s own')
})

t.test('a share that was taken away between the guard and the lock counts no more', async (t) => {
  const viewer = await person()
  await give(viewer, organization, '*:view')
  const attempt = async (who: typeof owner) => await createBinding(db, callerOf(who.id), organization, { role: 'viewer', subject: { type: 'user', id: owner.id } })
  await t.rejects(attempt(stranger), { code: 'not-found' })
  await t.rejects(attempt(viewer), { code: 'forbidden' })
  await t.rejects(deleteBinding(db, callerOf(viewer.id), organization, absentId), { code: 'forbidden' })
})

t.test('the list shows what is on the resource, and with `inherited` what counts there from above', async (t) => {
  const top = await create(owner, 'organization')
  const middle = await create(owner, 'project', top)
  const bottom = await create(owner, 'project', middle)
  const beside = await create(owner, 'project', top)
  const ids = [await bind(top, 'viewer', { type: 'everyone' }), await bind(middle, 'viewer', { type: 'everyone' }), await bind(bottom, 'viewer', { type: 'everyone' })]
  await bind(beside, 'editor', { type: 'everyone' })
  const list = async (id: string, query = '') => (await as(owner, 'GET', `/resources/${id}/bindings${query}`)).body.items.filter(({ role }: any) => role === 'viewer').map(({ id }: any) => id)
  t.same(await list(bottom), [ids[2]])
  t.same(await list(bottom, '?inherited=false'), [ids[2]])
  t.same(await list(bottom, '?inherited=true'), ids)
  t.same(await list(middle, '?inherited=true'), ids.slice(0, 2))
  t.match(await as(owner, 'GET', `/resources/${bottom}/bindings?inherited=1`), { status: 400 })
  t.match(await as(owner, 'GET', `/resources/${bottom}/bindings?deep=true`), { status: 400 })
  const viewer = await person()
  t.match(await as(viewer, 'GET', `/resources/${bottom}/bindings?x=1`), { status: 403 }, 'to see is not enough')
  t.match(await request('GET', `/resources/${bottom}/bindings`), { status: 401 })
})

t.test('what an inherited binding comes from is not named to who does not see it', async (t) => {
  const top = await create(owner, 'organization', undefined, 'Hidden organization')
  const project = await create(owner, 'project', top)
  const secret = await create(owner, 'group', top, 'Hidden group')
  const ids = { hidden: await bind(top, 'viewer', { type: 'group', id: secret }), own: await bind(project, 'editor', { type: 'group', id: secret }) }
  const sharer = await person()
  await give(sharer, project, 'project:view', 'project:share')
  const answer = await as(sharer, 'GET', `/resources/${project}/bindings?inherited=true`)
  const find = (id: string) => answer.body.items.find((binding: any) => binding.id === id)
  t.match(find(ids.hidden), { role: 'viewer', resourceId: null, subject: { type: 'group', id: null, name: null } }, 'its own id stays')
  t.match(find(ids.own), { role: 'editor', resourceId: project, subject: { type: 'group', id: null, name: null } })
  const creators = answer.body.items.find(({ role, subject }: any) => role === 'owner' && subject.id === owner.id)
  t.match(creators, { resourceId: null, subject: { type: 'user', id: owner.id, name: owner.name } }, 'a user is named')
  t.match(answer.body.items.find(({ role }: any) => role === 'member'), { resourceId: rootId, subject: { type: 'everyone' } }, 'everyone sees the root')
  t.notMatch(answer.text, new RegExp(`${top}|${secret}|Hidden`))

  await give(sharer, secret, 'group:view')
  const seen = (await as(sharer, 'GET', `/resources/${project}/bindings?inherited=true`)).body.items
  t.match(seen.find(({ id }: any) => id === ids.hidden), { resourceId: null, subject: { type: 'group', id: secret, name: 'Hidden group' } })
  t.match((await as(owner, 'GET', `/resources/${project}/bindings?inherited=true`)).body.items.find(({ id }: any) => id === ids.hidden), { resourceId: top, subject: { id: secret } })
})

t.test('a hidden group\'s binding can be taken back by its id', async (t) => {
  const secret = await create(owner, 'group', organization, 'Another hidden group')
  const id = await bind(organization, await role('organization:view'), { type: 'group', id: secret })
  const sharer = await person()
  await give(sharer, organization, 'organization:view', 'organization:share')
  t.match(await as(sharer, 'GET', `/resources/${secret}`), { status: 404 })
  t.match(await as(sharer, 'DELETE', `${bindings}/${id}`), { status: 204 })
})

t.test('the list\'s pages are complete and without duplicates', async (t) => {
  const place = await create(owner, 'organization')
  const names = await Promise.all(Array.from({ length: 10 }, async () => await role('*:view')))
  for (const name of names) await bind(place, name, { type: 'everyone' })
  const url = `/resources/${place}/bindings`
  const all = (await as(owner, 'GET', `${url}?limit=100`)).body.items.map(({ id }: any) => id)
  t.equal(all.length, 11)
  t.same(all, [...all].sort())
  for (const [limit, sizes] of [[1, Array(11).fill(1)], [3, [3, 3, 3, 2]], [11, [11]]] as const) {
    const pages = await readPages(world, owner, `${url}?limit=${limit}`)
    t.same(pages.map((page) => page.length), sizes)
    t.same(pages.flat().map(({ id }) => id), all)
  }
  t.same((await readPages(world, owner, `${url}?inherited=true&limit=3`)).flat().length, 13, 'with the two of the root')
})

t.test('the creator of a binding is forgotten with the account, the binding is not', async (t) => {
  const { body } = await bindHere({ role: 'viewer', subject: { type: 'user', id: (await person()).id } })
  await query('UPDATE role_bindings SET created_by = NULL WHERE id = $1', [body.id])
  t.match((await readPages(world, owner, bindings)).flat().find(({ id }) => id === body.id), { createdBy: null })
})

t.test('the document describes the routes of bindings', async (t) => {
  const { post } = testApp.document().paths['/resources/{id}/bindings']!
  t.same(Object.keys(post!.responses).sort(), ['200', '201', '400', '401', '403', '404', '408', '409', '413', '415', '429', '500', '503'])
})
