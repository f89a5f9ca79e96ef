/** Dry runs: what a change would change, in which order, how far it is looked for, and that it is not made. */
import t from 'tap'
import { addMember, removeMember } from '../../src/services/groups.js'
import { createBinding, deleteBinding } from '../../src/services/bindings.js'
import { type DryRun, dryRun } from '../../src/services/dry-run.js'
import type { Effort } from '../../src/services/differences.js'
import type { Caller } from '../../src/services/caller.js'
import type { Database } from '../../src/services/database.js'
import { updateRole } from '../../src/services/roles.js'
import { callerOf } from '../helpers/caller.js'
import { openTestApp } from '../helpers/app.js'
import { untilBlocked } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'
import { absentId, faults, openWorld, type Person, plantTree, rootId } from './world.js'

const world = await openWorld()
const { administrator, as, bind, create, database, database: { db, query }, give, person, role } = world
const { owner, organization, project, document } = await plantTree(world)
const group = await create(owner, 'group', organization)

const caller = callerOf(owner.id)

/** A place at which a piece of work waits until a test lets it go on. */
function gate () {
  let [enter, goOn] = [() => {}, () => {}]
  const reached = new Promise<void>((resolve) => { enter = resolve })
  const left = new Promise<void>((resolve) => { goOn = resolve })
  return { reached, goOn: () => goOn(), hold: async () => { enter(); await left } }
}

const tried = async (who: Person, method: string, url: string, body?: object) => await as(who, method, `${url}?dryRun=true`, body)
/** Each change as a line. */
const lines = ({ changes }: DryRun, names: Record<string, string> = {}) => changes.map(({ user, resource, action, before, after }) =>
  [names[user] ?? user, names[resource] ?? resource, action, before, after].join(' '))
const toUser = ({ id }: { id: string }) => ({ type: 'user', id })

t.test('each change can be tried, and is answered with what it would change', async (t) => {
  const jane = await person()
  const names = { [jane.id]: 'jane', [document]: 'document', [project]: 'project' }
  const expect = async (who: Person, method: string, url: string, body: object | undefined, expected: string[]) => {
    const { status, body: answer, headers } = await tried(who, method, url, body)
    t.same({ status, truncated: answer.truncated, changes: answer.changes && lines(answer, names) }, { status: 200, truncated: false, changes: expected }, `${method} ${url}`)
    t.same([headers['location'], headers['etag']], [undefined, undefined])
  }
  const documents = await role('document:view', 'document:edit')
  await expect(owner, 'POST', `/resources/${project}/bindings`, { role: documents, subject: toUser(jane) },
    ['create hide forbid', 'delete hide forbid', 'edit hide allow', 'share hide forbid', 'view hide allow'].map((rest) => `jane document ${rest}`))
  const binding = await bind(project, documents, toUser(jane))
  const losses = ['create forbid hide', 'delete forbid hide', 'edit allow hide', 'share forbid hide', 'view allow hide'].map((rest) => `jane document ${rest}`)
  await expect(owner, 'DELETE', `/resources/${project}/bindings/${binding}`, undefined, losses)
  await expect(administrator, 'PATCH', `/roles/${documents}`, { permissions: ['document:view', 'document:share'] }, ['jane document edit allow forbid', 'jane document share forbid allow'])
  await expect(administrator, 'PATCH', `/roles/${documents}`, { permissions: ['document:edit', 'document:view'], description: 'In another order' }, [])
  await expect(administrator, 'PATCH', `/roles/${documents}`, { description: 'In other words' }, [])
  await expect(administrator, 'POST', '/roles', { name: 'nobodys', permissions: ['*:*'] }, [])
  await expect(administrator, 'DELETE', `/roles/${await role('*:view')}`, undefined, [])
  await expect(owner, 'POST', `/resources/${document}/move`, { parentId: organization }, losses)
  await expect(owner, 'POST', `/resources/${document}/move`, { parentId: project }, [])

  const organizations = await role('project:view')
  await bind(organization, organizations, { type: 'group', id: group })
  await expect(owner, 'PUT', `/groups/${group}/members/${jane.id}`, undefined,
    ['create hide forbid', 'delete hide forbid', 'edit hide forbid', 'share hide forbid', 'view hide allow'].map((rest) => `jane project ${rest}`))
  await as(owner, 'PUT', `/groups/${group}/members/${jane.id}`)
  await expect(owner, 'PUT', `/groups/${group}/members/${jane.id}`, undefined, [])
  await expect(owner, 'DELETE', `/groups/${group}/members/${jane.id}`, undefined,
    ['create forbid hide', 'delete forbid hide', 'edit forbid hide', 'share forbid hide', 'view allow hide'].map((rest) => `jane project ${rest}`))
  await expect(administrator, 'PATCH', `/users/${jane.id}`, { name: 'Jane' }, [])

  const { body } = await tried(administrator, 'PATCH', `/users/${jane.id}`, { isActive: false })
  t.ok(body.changes.length > 10)
  t.ok(body.changes.every(({ user, before, after }: Record<string, string>) => user === jane.id && before !== 'hide' && after === 'hide'), 'who is deactivated sees nothing')
  t.match(await as(jane, 'GET', `/resources/${document}`), { status: 200 }, 'and is still signed in')
})

t.test('a dry run is refused as the change would be', async (t) => {
  const [sharer, other] = [await person(), await person()]
  await give(sharer, document, 'document:view', 'document:share')
  const ownership = (await as(owner, 'GET', `/resources/${organization}/bindings`)).body.items[0].id
  const viewer = { role: 'viewer', subject: toUser(other) }
  for (const [who, method, url, body, refusal] of [
    [sharer, 'POST', `/resources/${document}/bindings`, viewer, '403 escalation'],
    [sharer, 'POST', `/resources/${document}/bindings`, { ...viewer, role: 'none' }, '400 unknown-role'],
    [owner, 'POST', `/resources/${document}/bindings`, { ...viewer, subject: toUser({ id: absentId }) }, '400 unknown-subject'],
    [owner, 'POST', `/resources/${document}/bindings`, { ...viewer, expiresAt: '2001-01-01T00:00:00Z' }, '400 invalid-request'],
    [other, 'POST', `/resources/${document}/bindings`, viewer, '404 not-found'],
    [owner, 'POST', `/resources/${organization}/bindings`, { role: 'owner', subject: toUser(owner) }, '409 binding-exists'],
    [owner, 'DELETE', `/resources/${organization}/bindings/${ownership}`, undefined, '409 last-owner'],
    [owner, 'DELETE', `/resources/${organization}/bindings/${absentId}`, undefined, '404 not-found'],
    [owner, 'POST', `/resources/${project}/move`, { parentId: project }, '409 cycle'],
    [owner, 'PUT', `/groups/${group}/members/${absentId}`, undefined, '404 not-found'],
    [owner, 'PUT', `/groups/${group}/members/${group}`, undefined, '409 cycle'],
    [administrator, 'PATCH', '/roles/owner', { permissions: [] }, '409 built-in'],
    [administrator, 'POST', '/roles', { name: 'owner', permissions: [] }, '409 role-exists'],
    [administrator, 'DELETE', '/roles/none', undefined, '404 not-found'],
    [owner, 'POST', '/roles', { name: 'new', permissions: [] }, '403 forbidden'],
    [administrator, 'PATCH', `/users/${administrator.id}`, { isActive: false }, '409 last-owner']
  ] as const) {
    const { status, body: { code } } = await tried(who, method, url, body)
    t.equal(`${status} ${code}`, refusal, `${method} ${url}`)
  }
  for (const query of ['dryRun=1', 'dryRun=', 'dryRun=TRUE', 'dryRun=true&dryRun=true', 'dryrun=true']) {
    t.match(await as(owner, 'POST', `/resources/${document}/bindings?${query}`, viewer), { status: 400, body: { code: 'invalid-request' } }, query)
  }
  t.ok(faults(await as(owner, 'PUT', `/groups/${group}/members/${other.id}?dryRun=yes`)).some((fault) => fault.startsWith('/dryRun')))
  t.match(await as(owner, 'POST', '/resources?dryRun=true', { type: 'organization', name: 'x' }), { status: 400 }, 'what has no dry run refuses one')
  t.match(await as(owner, 'PUT', `/groups/${group}/members/${other.id}?dryRun=false`), { status: 204 }, 'and false is the change itself')
  t.match(await as(owner, 'DELETE', `/groups/${group}/members/${other.id}`), { status: 204 })
})

t.test('who tries unknown addresses is slowed down as who binds them', async (t) => {
  const { request } = await openTestApp(database, { environment: { RATE_LIMIT: 'on' } })
  const guess = async (email: string) => await request('POST', `/resources/${document}/bindings?dryRun=true`, { cookie: owner.cookie, body: { role: 'viewer', subject: { type: 'user', email } } })
  for (let count = 0; count < 20; count++) t.match(await guess(`guess${count}@example.org`), { status: 400, body: { code: 'unknown-subject' } })
  t.match(await guess(administrator.email), { status: 429 })
})

t.test('the caller\'s own come first', async (t) => {
  const [early, editor, late] = [await person(), await person(), await person()]
  await give(editor, rootId, 'role:edit', 'document:view', 'document:share')
  const mixed = await role('document:view', 'document:edit')
  for (const subject of [early, editor, late]) await bind(document, mixed, toUser(subject))
  const { body } = await tried(editor, 'PATCH', `/roles/${mixed}`, { permissions: ['document:view', 'document:share'] })
  t.same(lines(body, { [editor.id]: 'own', [early.id]: 'early', [late.id]: 'late', [document]: 'document' }), [
    'own document edit allow forbid', 'early document edit allow forbid', 'early document share forbid allow', 'late document edit allow forbid', 'late document share forbid allow'])
})

t.test('only what the caller sees is told of, as they see it without the change', async (t) => {
  const [editor, jane] = [await person(), await person()]
  const [hidden, shown] = [await create(owner, 'document', project), await create(owner, 'document', project)]
  const team = await create(owner, 'group', organization)
  await give(editor, team, 'group:view', 'group:edit')
  await give(editor, shown, 'document:view')
  for (const place of [hidden, shown]) await bind(place, 'owner', { type: 'group', id: team })
  const resources = async (who: Person, memberId: string) => [...new Set((await tried(who, 'PUT', `/groups/${team}/members/${memberId}`)).body.changes.map(({ resource }: { resource: string }) => resource))]
  t.same(await resources(editor, jane.id), [shown])
  t.same(await resources(editor, editor.id), [shown], 'not even what they would see by it')
  t.same(await resources(owner, jane.id), [hidden, shown].sort())
  const token = (await as(owner, 'POST', '/users/me/tokens', { name: 'narrow', permissions: ['group:*', 'document:edit'] })).body.token
  t.same((await world.request('PUT', `/groups/${team}/members/${jane.id}?dryRun=true`, { token })).body.changes, [], 'nor by a token what the token does not show')
})

t.test('nothing of a dry run is left, and others never see it', async (t) => {
  const jane = await person()
  await bind(document, 'viewer', toUser(jane))
  const tables = (await query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('sessions', '_prisma_migrations') ORDER BY 1")).map(({ name }) => name)
  const digest = async () => await query(tables.map((name) => `SELECT '${name}' AS name, md5(string_agg(concat_ws(' ', x.ctid, x), ' ' ORDER BY x.ctid)) FROM "${name}" x`).join(' UNION ALL '))
  const sessions = async () => (await query('SELECT count(*)::int AS count FROM sessions WHERE user_id = $1', [jane.id]))[0]?.['count']
  const before = await digest()
  await tried(administrator, 'PATCH', `/users/${jane.id}`, { isActive: false })
  await tried(owner, 'POST', `/resources/${document}/move`, { parentId: organization })
  await tried(owner, 'POST', `/resources/${document}/bindings`, { role: 'owner', subject: toUser(jane) })
  await tried(owner, 'PUT', `/groups/${group}/members/${jane.id}`)
  t.same(await digest(), before, 'no row was added, changed or moved')
  t.equal(await sessions(), 1)
})

t.test('a dry run tells of one moment: it waits for a change that is being made, and changes wait for it', async (t) => {
  const jane = await person()
  const binding = await bind(document, 'viewer', toUser(jane))
  const viewing = { role: 'viewer', subject: { type: 'user', id: jane.id } } as const
  const changed = gate()
  const change = db.$transaction(async (tx) => {
    await deleteBinding(tx, caller, document, binding)
    await changed.hold()
  })
  await changed.reached
  const run = tried(owner, 'POST', `/resources/${document}/bindings`, viewing)
  await untilBlocked(database)
  changed.goOn()
  await change
  t.match(await run, { status: 200, body: { truncated: false } }, 'without the other change it would have been a binding that exists')

  const running = gate()
  const held = dryRun(db, caller, async (tx, by) => {
    await createBinding(tx, by, document, viewing)
    await running.hold()
  })
  await running.reached
  const made = as(owner, 'POST', `/resources/${document}/bindings`, viewing)
  await untilBlocked(database)
  t.match(await as(jane, 'GET', `/resources/${document}`), { status: 404 }, 'meanwhile nothing has changed for anybody')
  running.goOn()
  t.same((await held).changes, (await run).body.changes)
  t.match(await made, { status: 201 })
})

/** Documents in a project of their own, and people in a group of their own that stands beside it. */
async function crowd (documents: number, people: number) {
  const [place, team] = [await create(owner, 'project', organization), await create(owner, 'group', organization)]
  await query("INSERT INTO resources (id, type, name, parent_id) SELECT uuid_v7(), 'document', 'd' || n, $1 FROM generate_series(1, $2::int) n", [place, documents])
  await query(`WITH made AS (INSERT INTO users (id, email, name, password_hash) SELECT uuid_v7(), gen_random_uuid() || '@example.org', 'u', '$argon2id$of-no-password' FROM generate_series(1, $2::int) RETURNING id)
    INSERT INTO group_members (id, group_id, user_id) SELECT uuid_v7(), $1, id FROM made`, [team, people])
  return { place, team }
}
const all = { total: 1_000, truncated: true }
const summary = ({ changes, truncated }: DryRun) => ({ total: changes.length, truncated })

t.test('at most a thousand changes are told, and whether there are more', async (t) => {
  const { place, team } = await crowd(100, 10)
  const bindTeam = async (permissions: string[], effort?: Partial<Effort>) => {
    const name = await role(...permissions)
    return await dryRun(db, caller, async (tx, by) => await createBinding(tx, by, place, { role: name, subject: { type: 'group', id: team } }), effort)
  }
  await query("UPDATE resource_types SET own_actions = '{}' WHERE name = 'document'")
  t.same(summary(await bindTeam(['document:view'])), all, 'five for each document and person')
  const viewers = await role('document:view')
  await bind(place, viewers, { type: 'group', id: team })
  t.same(summary(await bindTeam(['document:edit'])), { total: 1_000, truncated: false }, 'a thousand')
  t.same(summary(await bindTeam(['document:edit', 'project:view'])), all, 'a thousand and five for each person')
  const { status, body } = await tried(owner, 'POST', `/resources/${place}/bindings`, { role: 'owner', subject: { type: 'group', id: team } })
  t.same([status, body.changes.length, body.truncated], [200, 1_000, true])
})

t.test('one\'s own are told before all else, however much there is', async (t) => {
  const { place, team } = await crowd(300, 30)
  const editor = await person()
  await give(editor, rootId, 'document:view', 'role:edit')
  const name = await role('document:view', 'document:edit')
  for (const subject of [{ type: 'group', id: team }, toUser(editor)]) await bind(place, name, subject)
  const { changes, truncated } = await dryRun(db, callerOf(editor.id), async (tx, by) => await updateRole(tx, by, name, { permissions: [] }))
  t.equal(truncated, true)
  t.same([...new Set(changes.slice(0, 300).map(({ user, action, before, after }) => [user, action, before, after].join(' ')))], [`${editor.id} edit allow forbid`])
  t.equal(changes.filter(({ user }) => user === editor.id).length, 300)
})

t.test('a search that has to end before says so', async (t) => {
  const { place, team } = await crowd(20, 5)
  const bindTeam = async (effort: Partial<Effort>, permissions = ['document:view']) => {
    const name = await role(...permissions)
    return summary(await dryRun(db, caller, async (tx, by) => await createBinding(tx, by, place, { role: name, subject: { type: 'group', id: team } }), effort))
  }
  t.same(await bindTeam({ reached: 5, subtrees: 5, things: 100 }), { total: 500, truncated: false }, 'as much as there is')
  t.same(await bindTeam({ reached: 3 }), { total: 400, truncated: true }, 'fewer people')
  t.same(await bindTeam({ subtrees: 3 }), { total: 400, truncated: true }, 'fewer subtrees')
  t.same(await bindTeam({ things: 98 }), { total: 495, truncated: true }, 'fewer things')
  await bind(place, 'viewer', { type: 'group', id: team })
  t.same(await bindTeam({ things: 0 }), { total: 0, truncated: false }, 'where nothing changes at the place itself, nothing below it is looked at')
  t.same(await bindTeam({ reached: 3 }), { total: 0, truncated: false }, 'nor anybody, where the group has it already')
  t.same(await bindTeam({ reached: 3 }, ['document:edit']), { total: 80, truncated: true }, 'but where it has not')
  t.same(await bindTeam({ reached: 0 }), { total: 0, truncated: true })

  const empty = await Promise.all([1, 2, 3].map(async () => await create(owner, 'group', organization)))
  const name = await role('document:view')
  for (const id of empty) await bind(document, name, { type: 'group', id })
  const edit = async (reached: number) => summary(await dryRun(db, callerOf(administrator.id), async (tx, by) => await updateRole(tx, by, name, { permissions: [] }), { reached }))
  t.same(await edit(3), { total: 0, truncated: false }, 'groups with nobody in them')
  t.same(await edit(2), { total: 0, truncated: true }, 'more of them than are looked at')
})

t.test('what the caller sees nothing of is not counted, so nobody finds out how much it is', async (t) => {
  const editor = await person()
  const shared = await create(administrator, 'group')
  await give(editor, shared, 'group:view', 'group:edit')
  const member = await person()
  const join = async () => summary(await dryRun(db, callerOf(editor.id), async (tx, by) => await addMember(tx, by, shared, member.id), { reached: 3 }))
  const before = await join()
  t.same(before, { total: 0, truncated: false })
  const places = await Promise.all([1, 2, 3, 4, 5].map(async () => await create(administrator, 'organization')))
  for (const place of places) await bind(place, 'viewer', { type: 'group', id: shared })
  t.same(await join(), before)
  const inside = await create(administrator, 'project', places[0])
  await give(editor, inside, 'project:view')
  t.same(await join(), { total: 5, truncated: false }, 'the five actions on the one thing that they see')
  for (const place of places) await give(editor, place, 'organization:view')
  t.match(await join(), { truncated: true }, 'while what they see is')
})

t.test('a dry run costs the same statements, however much there is', async (t) => {
  const sizes = [await crowd(1, 1), await crowd(200, 50)]
  const costs: number[] = []
  for (const { place, team } of sizes) {
    const bindTeam = async (tx: Database, by: Caller) => await createBinding(tx, by, place, { role: 'viewer', subject: { type: 'group', id: team } })
    costs.push((await countStatements(async () => await dryRun(db, caller, bindTeam), database)).length)
  }
  t.equal(costs[1], costs[0])
})

t.test('everyone, in groups in groups, until a time', async (t) => {
  const place = await create(owner, 'document', project)
  const [outer, inner] = [await create(owner, 'group', organization), await create(owner, 'group', organization)]
  const [one, two, stranger] = [await person(), await person(), await person()]
  await addMember(db, caller, inner, one.id)
  await addMember(db, caller, inner, two.id)
  await bind(place, 'viewer', { type: 'group', id: outer }, '2100-01-01T00:00:00Z')
  const join = async () => await dryRun(db, caller, async (tx, by) => await addMember(tx, by, outer, inner))
  t.same([...new Set((await join()).changes.map(({ user }) => user))], [one.id, two.id].sort())
  await query("UPDATE role_bindings SET expires_at = date_trunc('milliseconds', now()) WHERE resource_id = $1", [place])
  t.same((await join()).changes, [], 'what has expired gives nothing')
  await addMember(db, caller, outer, inner)
  t.same((await dryRun(db, caller, async (tx, by) => await removeMember(tx, by, outer, inner))).changes, [])

  const { changes, truncated } = await dryRun(db, caller, async (tx, by) => await createBinding(tx, by, place, { role: 'viewer', subject: { type: 'everyone' } }))
  t.equal(truncated, false)
  const users = new Set(changes.map(({ user }) => user))
  t.same([stranger.id, one.id, owner.id, administrator.id].map((id) => users.has(id)), [true, true, false, false], 'whoever does not see it already')
})
