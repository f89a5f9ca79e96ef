/**
 * What decisions and lists read, counted in PostgreSQL's buffers (pages of 8 kB) rather than in time, with the plans that
 * prepared statements end up with, which know nothing of their parameters.
 */
import pg from 'pg'
import t from 'tap'
import { listAccess } from '../../src/services/access.js'
import { listBindings } from '../../src/services/bindings.js'
import { checkAll } from '../../src/services/check.js'
import { findSeenResource } from '../../src/services/authorization.js'
import { explain } from '../../src/services/explain.js'
import { listMembers } from '../../src/services/groups.js'
import { listResources, type ResourceFilter } from '../../src/services/resource-list.js'
import { listSessions } from '../../src/services/sessions.js'
import { listUsers } from '../../src/services/users.js'
import { callerOf } from '../helpers/caller.js'
import { openTestDatabase } from '../helpers/database.js'
import { listStatements } from '../helpers/statements.js'
import { type CallerName, callers, documents, fillCrowd, idOf, largeGroup } from './crowd.js'

const database = await openTestDatabase()
const { db, query } = database
await fillCrowd(database)
await query('SET plan_cache_mode = force_generic_plan')

/** Before PostgreSQL 17 an index is entered once for each of a caller's groups instead of once for all: that many more for who is in 200. */
const [{ isOlder } = { isOlder: false }] = await query<{ isOlder: boolean }>('SELECT current_setting(\'server_version_num\')::int < 170000 AS "isOlder"')
const most = (buffers: number, name: CallerName) => isOlder && name === 'many groups' ? 10 * buffers : buffers

const as = (name: CallerName) => callerOf(idOf('user', callers[name]))
const middle = idOf('document', documents / 2)
const limit = 21
const names = Object.keys(callers) as CallerName[]

/** A value as EXECUTE takes it. */
function literal (value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  return pg.escapeLiteral(Array.isArray(value) ? `{${value.map((item) => JSON.stringify(item)).join(',')}}` : String(value))
}

interface Plan { 'Shared Hit Blocks': number, 'Shared Read Blocks': number }

/**
 * Prepares the statements that some work sends, word for word, runs each again by its generic plan, and adds up the buffers that they
 * touch: at a second time, as what a connection looks up of the catalogues at the first is none of the plan's.
 */
async function buffersOf<T extends unknown[] | object | null> (work: () => Promise<T>): Promise<{ buffers: number, result: T }> {
  let result: T | undefined
  const statements = await listStatements(async () => { result = await work() }, database)
  let buffers = 0
  for (const { sql, values } of statements) {
    await query(`PREPARE statement AS ${sql}`)
    const execute = `EXECUTE statement${values.length === 0 ? '' : `(${values.map(literal).join(', ')})`}`
    await query(execute)
    const [row] = await query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${execute}`)
    const { Plan: plan } = (row as { 'QUERY PLAN': [{ Plan: Plan }] })['QUERY PLAN'][0]
    buffers += plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
    await query('DEALLOCATE statement')
  }
  return { buffers, result: result as T }
}

t.test('a decision touches at most 30 buffers, whoever asks and however it ends', async (t) => {
  for (const [name, number, isSeen] of [
    ['sparse', 1500, true], ['sparse', 1501, false], ['dense', 1, true], ['direct', 6, true], ['direct', 7, false],
    ['many groups', (150 * 5 + 1) * 29, true], ['many groups', 2, false], ['large group', 2, false], ['nobody', 1, false]
  ] as const) {
    const { buffers, result } = await buffersOf(async () => await findSeenResource(db, as(name), idOf('document', number)))
    t.equal(result !== null, isSeen, `${name}: ${isSeen ? 'seen' : 'hidden'}`)
    t.ok(buffers > 0 && buffers <= most(30, name), `${name}: ${buffers} buffers`)
  }
  const { buffers } = await buffersOf(async () => await findSeenResource(db, as('dense'), idOf('document', documents + 1)))
  t.ok(buffers <= 30, `absent: ${buffers} buffers`)
})

t.test('a page of a list touches at most 250, at the start and in the middle, whoever asks and whatever it is narrowed to', async (t) => {
  const filters: Array<[ResourceFilter, items: Partial<Record<CallerName, number>>]> = [
    [{}, { sparse: 21, dense: 21, direct: 21, 'many groups': 21, 'large group': 21, nobody: 1 }],
    [{ type: 'document' }, { sparse: 20, dense: 21, direct: 21, 'many groups': 21, 'large group': 21, nobody: 0 }],
    [{ type: 'project' }, { sparse: 0, dense: 21, direct: 0, 'many groups': 20, 'large group': 21, nobody: 0 }],
    [{ action: 'edit' }, { sparse: 0, dense: 21, direct: 21, 'many groups': 21, 'large group': 21, nobody: 0 }],
    [{ action: 'edit', type: 'document' }, { sparse: 0, dense: 21, direct: 21, 'many groups': 21, 'large group': 21, nobody: 0 }],
    [{ parentId: idOf('organization', 1) }, { sparse: 0, dense: 21, direct: 0, 'many groups': 2, 'large group': 21, nobody: 0 }],
    [{ parentId: idOf('project', 7), action: 'edit' }, { sparse: 0, dense: 21, 'many groups': 21, 'large group': 0, nobody: 0 }],
    [{ parentId: idOf('organization', 1), type: 'document' }, { dense: 0 }]
  ]
  for (const [filter, items] of filters) {
    for (const name of names) {
      const first = await buffersOf(async () => await listResources(db, as(name), filter, { limit }))
      const later = await buffersOf(async () => await listResources(db, as(name), filter, { limit, after: middle }))
      if (items[name] !== undefined) t.equal(first.result.length, items[name], `${JSON.stringify(filter)}, ${name}`)
      t.ok(Math.max(first.buffers, later.buffers) <= most(250, name), `${JSON.stringify(filter)}, ${name}: ${first.buffers}, in the middle ${later.buffers}`)
    }
  }
})

t.test('a search by name stops where its page is full', async (t) => {
  const { buffers, result } = await buffersOf(async () => await listResources(db, as('direct'), { q: 'document' }, { limit }))
  t.equal(result.length, limit)
  t.ok(buffers <= 500, `${buffers} buffers`)
})

t.test('a search by name that finds little looks up some names and then reads all, wherever what it finds stands', async (t) => {
  for (const [name, q, found] of [
    ['dense', 'no such name', 0], ['large group', 'no such name', 0],
    // Of eleven documents with such a name the caller sees nine, most of them far into the list.
    ['dense', 'DOCUMENT 2999', 9], ['dense', 't 299', 21], ['direct', 'document 29994', 1]
  ] as const) {
    const { buffers, result } = await buffersOf(async () => await listResources(db, as(name), { q }, { limit }))
    t.equal(result.length, found, `${name}: ${q}`)
    t.ok(buffers <= 60_000, `${buffers} buffers`)
  }
})

t.test('other lists take no more than their page', async (t) => {
  const owner = callerOf(idOf('user', 7))
  const place = idOf('organization', 1)
  const lists: Record<string, [bound: number, work: () => Promise<object>]> = {
    members: [150, async () => await listMembers(db, owner, largeGroup, { limit })],
    'members, in the middle': [150, async () => await listMembers(db, owner, largeGroup, { limit, after: '01900000-c350-7050-8006-00000000c350' })],
    bindings: [150, async () => await listBindings(db, owner, place, false, { limit })],
    'inherited bindings': [250, async () => await listBindings(db, owner, idOf('document', 10), true, { limit })],
    users: [10, async () => await listUsers(db, {}, { limit })],
    'users, in the middle': [10, async () => await listUsers(db, {}, { limit, after: idOf('user', 50_000) })],
    'a user by address': [10, async () => await listUsers(db, { email: 'U77@example.org' }, { limit })],
    sessions: [10, async () => await listSessions(db, owner.userId, { limit })],
    explanation: [most(150, 'many groups'), async () => await explain(db, as('many groups'), { resourceId: idOf('document', 2), action: 'edit' })],
    'a hundred checks': [1_500, async () => await checkAll(db, as('many groups'), Array.from({ length: 100 }, (_, place) => ({ action: 'edit', resourceId: idOf('document', 1 + place * 97) })))]
  }
  for (const [title, [bound, work]] of Object.entries(lists)) {
    const { buffers } = await buffersOf(work)
    t.ok(buffers <= bound, `${title}: ${buffers} of ${bound}`)
  }
})

t.test('who has access is read no further than the page, although a hundred thousand have', async (t) => {
  const { buffers, result } = await buffersOf(async () => await listAccess(db, callerOf(idOf('user', 7)), idOf('organization', 1), undefined, { limit }))
  t.equal(result.items.length, limit)
  t.ok(buffers <= 5_000, `${buffers} buffers: each user is decided about, and the groups between are followed`)
})
