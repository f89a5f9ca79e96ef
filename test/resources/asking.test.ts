/** Checks and explanations: what somebody may do, and which grants that comes from. */
import t from 'tap'
import { v7 as uuidv7 } from 'uuid'
import { explain } from '../../src/services/explain.js'
import { countStatements } from '../helpers/statements.js'
import { absentId, faults, openWorld, type Person, plantTree, rootId } from './world.js'

const world = await openWorld()
const { administrator, as, bind, create, database: { db, query }, give, person, role, testApp: { app } } = world
const { owner, organization, project, document } = await plantTree(world)

const check = async (who: Person, ...checks: object[]) => await as(who, 'POST', '/authz/check', { checks })
const decisions = async (who: Person, ...checks: object[]) => (await check(who, ...checks)).body.results?.map(({ decision }: { decision: string }) => decision)
const explained = async (who: Person, resourceId: string, action: string, userId?: string) =>
  await as(who, 'GET', `/resources/${resourceId}/explain?action=${action}${userId === undefined ? '' : `&userId=${userId}`}`)

t.test('a check answers for each item in order', async (t) => {
  const reader = await person()
  await give(reader, document, 'document:view')
  t.same(await decisions(reader, { action: 'view', resourceId: document }, { action: 'edit', resourceId: document }, { action: 'view', resourceId: project },
    { action: 'view', resourceId: absentId }, { action: 'publish', resourceId: document }, { action: 'view', resourceId: document.toUpperCase() }, { action: 'view', resourceId: rootId }),
  ['allow', 'forbid', 'hide', 'hide', 'forbid', 'allow', 'allow'])
  t.same(await decisions(administrator, { action: 'publish', resourceId: document }, { action: 'create', resourceId: document }), ['forbid', 'allow'], 'nobody may what the type does not have')
  const blind = await person()
  await give(blind, document, 'document:edit')
  t.same(await decisions(blind, { action: 'edit', resourceId: document }), ['hide'])
})

t.test('a check about somebody else is for who may share that resource', async (t) => {
  const [reader, sharer, gone] = [await person(), await person(), await person()]
  await give(reader, document, 'document:view')
  await give(gone, document, 'document:view')
  await give(sharer, document, 'document:view', 'document:share')
  await as(administrator, 'PATCH', `/users/${gone.id}`, { isActive: false })
  const about = (userId: string, resourceId = document) => ({ action: 'view', resourceId, userId })
  t.same(await decisions(sharer, about(reader.id), about(owner.id.toUpperCase()), about(gone.id), about(absentId), about(sharer.id)), ['allow', 'allow', 'hide', 'hide', 'allow'])
  t.same(await decisions(reader, about(reader.id.toUpperCase()), about(reader.id, project)), ['allow', 'hide'], 'naming oneself needs nothing')
  t.match(await check(reader, about(reader.id), about(owner.id)), { status: 403, body: { code: 'forbidden' } })
  t.match(await check(reader, about(owner.id), about(owner.id, project)), { status: 404, body: { code: 'not-found' } }, 'hidden comes first')
  t.equal((await check(reader, about(owner.id, project))).text, (await check(reader, about(owner.id, absentId))).text)
  t.match(await check(administrator, about(owner.id, absentId)), { status: 404 })
})

t.test('a batch of a hundred is one statement', async (t) => {
  const checks = (count: number) => Array.from({ length: count }, (_, index) => ({ action: 'edit', resourceId: [document, project, absentId][index % 3] as string }))
  t.equal((await check(owner, ...checks(100))).body.results.length, 100)
  await app.denials.flush()
  t.equal((await countStatements(async () => await check(owner, ...checks(100)))).length, 2, 'after that of the session')
  t.equal((await countStatements(async () => await check(owner, { action: 'view', resourceId: document, userId: administrator.id }))).length, 2)
})

t.test('refused as checks', async (t) => {
  const one = { action: 'view', resourceId: document }
  for (const [body, fault] of [
    [{}, '/checks is required'], [{ checks: [] }, '/checks must NOT have fewer than 1 items'], [{ checks: Array(101).fill(one) }, '/checks must NOT have more than 100 items'],
    [{ checks: [{ ...one, resourceId: 'root' }] }, '/checks/0/resourceId must match'], [{ checks: [{ ...one, userId: 'me' }] }, '/checks/0/userId must match'],
    [{ checks: [{ ...one, action: 'View' }] }, '/checks/0/action must match'], [{ checks: [{ action: 'view' }] }, '/checks/0/resourceId is required'],
    [{ checks: [{ ...one, more: 1 }] }, '/checks/0/more is not known here'], [{ checks: [one], more: 1 }, '/more is not known here']
  ] as const) t.ok(faults(await as(owner, 'POST', '/authz/check', body)).some((each) => each.startsWith(fault)), fault)
})

t.test('an explanation names every grant, however it comes', async (t) => {
  const member = await person()
  const [outer, inner] = [await create(owner, 'group', organization), await create(owner, 'group', organization)]
  await as(owner, 'PUT', `/groups/${outer}/members/${inner}`)
  for (const group of [outer, inner]) await as(owner, 'PUT', `/groups/${group}/members/${member.id}`)
  const documents = await role('document:view', 'document:edit')
  const ofOrganization = await bind(organization, 'viewer', { type: 'group', id: outer })
  const ofDocument = await bind(document, documents, { type: 'user', id: member.id }, '2100-01-01T00:00:00.000Z')
  const own = { bindingId: ofDocument, role: documents, via: [], resourceId: document, expiresAt: '2100-01-01T00:00:00.000Z' }
  const through = (via: string[]) => ({ bindingId: ofOrganization, role: 'viewer', permission: '*:view', via, resourceId: organization, expiresAt: null })

  t.same((await explained(owner, document, 'view', member.id)).body,
    { decision: 'allow', because: [{ ...own, permission: 'document:view' }, through([outer]), through([outer, inner])], missing: null, expired: [] })
  t.same((await explained(owner, document, 'edit', member.id)).body, { decision: 'allow', because: [{ ...own, permission: 'document:edit' }], missing: null, expired: [] })
  t.same((await explained(owner, document, 'delete', member.id.toUpperCase())).body,
    { decision: 'forbid', because: [{ ...own, permission: 'document:view' }, through([outer]), through([outer, inner])], missing: 'document:delete', expired: [] })
  t.same((await as(owner, 'GET', `/resources/root/explain?userId=${owner.id}`)).body.decision, 'allow', 'of viewing, unless told otherwise')
  t.same((await as(owner, 'GET', `/resources/${document}/explain?userId=${absentId}`)).body, { decision: 'hide', because: [], missing: 'document:view', expired: [] }, 'of nobody')
  t.same((await explained(owner, document, 'publish', member.id)).body.missing, 'document:publish', 'of an action that the type does not have')
})

t.test('an explanation is one\'s own with view, and another\'s with share', async (t) => {
  const [reader, stranger] = [await person(), await person()]
  await give(reader, document, 'document:view')
  t.match(await explained(reader, document, 'edit'), { status: 200, body: { decision: 'forbid', missing: 'document:edit' } })
  t.match(await explained(reader, document, 'edit', reader.id.toUpperCase()), { status: 200, body: { decision: 'forbid' } })
  t.match(await explained(reader, document, 'edit', owner.id), { status: 403, body: { code: 'forbidden' } })
  t.match(await explained(reader, document, 'edit', absentId), { status: 403 }, 'whoever it is')
  t.match(await explained(stranger, document, 'edit'), { status: 404 })
  for (const query of ['action=Edit', 'userId=me', 'userId=', 'action=edit&action=view', 'more=1']) t.match(await as(reader, 'GET', `/resources/${document}/explain?${query}`), { status: 400 }, query)
})

t.test('an explanation names nothing that its reader does not see', async (t) => {
  const [sharer, member] = [await person(), await person()]
  const secret = await create(owner, 'group', organization)
  await as(owner, 'PUT', `/groups/${secret}/members/${member.id}`)
  const binding = await bind(organization, 'viewer', { type: 'group', id: secret })
  await give(sharer, document, 'document:view', 'document:share')
  t.match((await explained(sharer, document, 'view', member.id)).body, { decision: 'allow', because: [{ bindingId: binding, via: [null], resourceId: null }] })
  t.match((await explained(owner, document, 'view', member.id)).body, { because: [{ bindingId: binding, via: [secret], resourceId: organization }] })
})

t.test('what has ended within 30 days and would have allowed it is told', async (t) => {
  const late = await person()
  const ended = async (roleName: string, ago: string) => {
    const id = await bind(document, roleName, { type: 'user', id: late.id })
    await query(`UPDATE role_bindings SET expires_at = now() - interval '${ago}' WHERE id = $1`, [id])
    return id
  }
  const told = async (action: string) => (await explained(owner, document, action, late.id)).body
  const [editing, viewing] = [await ended(await role('document:edit'), '1 second'), await ended('viewer', '31 days')]
  t.match(await told('edit'), { decision: 'hide', because: [], missing: 'document:view', expired: [] }, 'what does not let see lets do nothing')
  await query('UPDATE role_bindings SET expires_at = now() - interval \'29 days\' WHERE id = $1', [viewing])
  t.match(await told('view'), { decision: 'hide', expired: [{ bindingId: viewing, permission: '*:view' }] })
  t.match(await told('edit'), { decision: 'hide', expired: [{ bindingId: editing, permission: 'document:edit' }] }, 'both together would')
  t.same((await told('delete')).expired, [])
  t.same((await told('publish')).expired, [])
  await query('UPDATE role_bindings SET expires_at = NULL WHERE id = $1', [editing])
  t.match(await told('edit'), { decision: 'hide', expired: [{ bindingId: viewing, permission: '*:view' }] }, 'the action is still held')
  await query('UPDATE role_bindings SET expires_at = NULL WHERE id = $1', [viewing])
  t.match(await told('edit'), { decision: 'allow', expired: [] })
})

t.test('a user in groups that branch again and again gets ten chains of each grant', async (t) => {
  const member = await person()
  let above = [await create(owner, 'group', organization)]
  const top = above[0] as string
  for (let level = 0; level < 12; level++) {
    const pair = [uuidv7(), uuidv7()]
    for (const id of pair) {
      await query("INSERT INTO resources (id, type, name, parent_id) VALUES ($1, 'group', 'branch', $2)", [id, organization])
      for (const group of above) await query('INSERT INTO group_members (id, group_id, member_group_id) VALUES ($1, $2, $3)', [uuidv7(), group, id])
    }
    above = pair
  }
  for (const group of above) await as(owner, 'PUT', `/groups/${group}/members/${member.id}`)
  await bind(document, 'viewer', { type: 'group', id: top })
  const { body: { because } } = await explained(owner, document, 'view', member.id)
  t.equal(because.length, 10)
  t.equal(new Set(because.map(({ via }: { via: string[] }) => via.join())).size, 10)
  t.ok(because.every(({ via }: { via: string[] }) => via.length === 13 && via[0] === top && above.includes(via[12] as string)))
})

t.test('an explanation of what has gone since the guard looked', async (t) => {
  t.same(await explain(db, { userId: owner.id, permissions: null }, { action: 'view', resourceId: absentId }), { decision: 'hide', because: [], missing: null, expired: [] })
})
