/** Two instances of the application on one database, and many rounds of requests that meet there. */
import type { InjectOptions } from 'fastify'
import t from 'tap'
import { openTestApp } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { openWorld, type Person } from './world.js'

/** How often the races are run that are known to be lost without locks, and how often their relatives. */
export const rounds = 200
export const fewer = 30

export interface Call {
  by: Person
  method: string
  url: string
  body?: unknown
  ifMatch?: string
}

export interface Result {
  status: number
  /** Of the problem, for 400 and above. */
  code: string | undefined
  body: any
}

/** What a race needs of its test. */
type Test = Pick<typeof t, 'same' | 'comment'>

export async function openRaces () {
  const database = await openTestDatabase()
  const apps = [await openTestApp(database), await openTestApp(database)] as const
  const world = openWorld(database)
  const { query } = database

  async function send (instance: 0 | 1, { by, method, url, body, ifMatch }: Call): Promise<Result> {
    const response = await apps[instance].app.inject({
      method: method as NonNullable<InjectOptions['method']>,
      url,
      headers: {
        cookie: by.cookie,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(ifMatch === undefined ? {} : { 'if-match': ifMatch })
      },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) })
    })
    const parsed = response.payload === '' ? undefined : JSON.parse(response.payload)
    return { status: response.statusCode, code: response.statusCode < 400 ? undefined : parsed?.code, body: parsed }
  }

  /** Sends all at once, to the two instances in turn; which call goes first and to which instance changes from round to round. */
  async function meet (round: number, calls: Call[]): Promise<Result[]> {
    const order = calls.map((_call, index) => (index + round) % calls.length)
    const results: Result[] = []
    await Promise.all(order.map(async (index, place) => {
      results[index] = await send((place + (round >> 1)) % 2 === 0 ? 0 : 1, calls[index] as Call)
    }))
    return results
  }

  /**
   * Runs a race and looks at how it may end.
   * @param play one round; gives the results in the order of the calls
   * @param endings each way in which a round may end: the statuses, with the code of a problem, in the order of the calls
   */
  async function race (t: Test, play: (round: number) => Promise<Result[]>, endings: string[], count = rounds): Promise<void> {
    const seen: Record<string, number> = {}
    for (let round = 0; round < count; round++) {
      const ending = (await play(round)).map(({ status, code }) => code === undefined ? `${status}` : `${status} ${code}`).join(', ')
      seen[ending] = (seen[ending] ?? 0) + 1
    }
    t.same(Object.keys(seen).filter((ending) => !endings.includes(ending)), [], 'no round ended in another way')
    t.comment(Object.entries(seen).map(([ending, times]) => `${times} times ${ending}`).join('; '))
    t.same(await findBrokenInvariants(), [], 'tree, groups and their closures are whole')
  }

  /** What the closures say beside what follows from parents and members: rows of one that the other does not have. */
  async function findBrokenInvariants (): Promise<unknown[]> {
    return await query(`
      WITH RECURSIVE up AS (
        SELECT id AS descendant_id, id AS ancestor_id, 0 AS distance FROM resources
        UNION ALL SELECT up.descendant_id, r.parent_id, up.distance + 1 FROM up JOIN resources r ON r.id = up.ancestor_id
        WHERE r.parent_id IS NOT NULL AND up.distance < 40),
      inside AS (
        SELECT id AS group_id, id AS member_group_id FROM resources WHERE type = 'group'
        UNION SELECT inside.group_id, m.member_group_id FROM inside JOIN group_members m ON m.group_id = inside.member_group_id
        WHERE m.member_group_id IS NOT NULL),
      tree (one, other, distance) AS (SELECT descendant_id, ancestor_id, distance FROM up),
      stored_tree AS (SELECT descendant_id, ancestor_id, distance::int FROM resource_closure)
      SELECT 'tree, not stored' AS problem, x.* FROM (SELECT * FROM tree EXCEPT SELECT * FROM stored_tree) x
      UNION ALL SELECT 'tree, only stored', x.* FROM (SELECT * FROM stored_tree EXCEPT SELECT * FROM tree) x
      UNION ALL SELECT 'groups, not stored', x.*, 0 FROM (SELECT * FROM inside EXCEPT SELECT group_id, member_group_id FROM group_closure) x
      UNION ALL SELECT 'groups, only stored', x.*, 0 FROM (SELECT group_id, member_group_id FROM group_closure EXCEPT SELECT * FROM inside) x
      UNION ALL SELECT 'under no parent of its type', r.id, r.parent_id, 0 FROM resources r JOIN resources p ON p.id = r.parent_id
        WHERE NOT EXISTS (SELECT FROM resource_type_parents allowed WHERE allowed.type = r.type AND allowed.parent = p.type)`)
  }

  return { ...database, world, send, meet, race }
}

const call = (by: Person, method: string, url: string, body?: unknown): Call => ({ by, method, url, ...(body === undefined ? {} : { body }) })

/** The calls that meet in races. */
export const calls = {
  view: (by: Person, id: string) => call(by, 'GET', `/resources/${id}`),
  create: (by: Person, type: string, parentId: string) => call(by, 'POST', '/resources', { type, name: 'new', parentId }),
  rename: (by: Person, id: string, name: string) => call(by, 'PATCH', `/resources/${id}`, { name }),
  move: (by: Person, id: string, parentId: string) => call(by, 'POST', `/resources/${id}/move`, { parentId }),
  remove: (by: Person, id: string) => call(by, 'DELETE', `/resources/${id}`),
  removeAll: (by: Person, id: string) => call(by, 'DELETE', `/resources/${id}?recursive=true`),
  bind: (by: Person, id: string, role: string, subject: object) => call(by, 'POST', `/resources/${id}/bindings`, { role, subject }),
  unbind: (by: Person, id: string, bindingId: string) => call(by, 'DELETE', `/resources/${id}/bindings/${bindingId}`),
  join: (by: Person, groupId: string, memberId: string) => call(by, 'PUT', `/groups/${groupId}/members/${memberId}`),
  leave: (by: Person, groupId: string, memberId: string) => call(by, 'DELETE', `/groups/${groupId}/members/${memberId}`),
  deactivate: (by: Person, userId: string) => call(by, 'PATCH', `/users/${userId}`, { isActive: false }),
  createRole: (by: Person, name: string, permissions: string[]) => call(by, 'POST', '/roles', { name, permissions }),
  editRole: (by: Person, name: string, permissions: string[]) => call(by, 'PATCH', `/roles/${name}`, { permissions }),
  deleteRole: (by: Person, name: string) => call(by, 'DELETE', `/roles/${name}`),
  putType: (by: Person, name: string, parents: string[]) => call(by, 'PUT', `/resource-types/${name}`, { parents }),
  deleteType: (by: Person, name: string) => call(by, 'DELETE', `/resource-types/${name}`)
}

export const user = ({ id }: Person) => ({ type: 'user', id }) as const

/** How many active users own a resource for good, directly or through groups. */
export const ownersOf = `
  SELECT count(DISTINCT u.id)::int AS count FROM role_bindings b
  LEFT JOIN group_closure inside ON inside.group_id = b.group_id
  LEFT JOIN group_members m ON m.group_id = inside.member_group_id
  JOIN users u ON u.id IN (b.user_id, m.user_id)
  WHERE b.resource_id = $1 AND b.role = 'owner' AND b.expires_at IS NULL AND u.is_active`
