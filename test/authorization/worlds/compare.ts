/** The product and the reference evaluator side by side, on one world. Each comparison throws at the first difference. */
import { isDeepStrictEqual } from 'node:util'
import { Prisma } from '../../../src/generated/prisma/client.js'
import type { Database } from '../../../src/services/database.js'
import { findNotHeld, findRootPermissions } from '../../../src/services/authorization.js'
import { type Resource, seenResources } from '../../../src/services/decision.js'
import { listResources } from '../../../src/services/resource-list.js'
import { administrativePermissions } from '../../../src/services/roles.js'
import type { Change } from '../../reference/changes.js'
import {
  actionsOf, allowedActions, creatableTypes, decide, findResource, gives, holds, holdsOnRoot, list, type ListFilter, pathToRoot, permissionsOn, sees, shownParentId
} from '../../reference/evaluator.js'
import { rootId, type User, type World } from '../../reference/world.js'
import { named } from './describe.js'
import { callerIn, type Credentials, type Request } from './perform.js'

export function expectEqual (world: World, actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new Error(named(world, `${what}\n  product:   ${JSON.stringify(actual)}\n  reference: ${JSON.stringify(expected)}`))
}

export const activeUsers = (world: World): User[] => world.users.filter(({ isActive }) => isActive)

/** A resource as the evaluator shows it to a user. */
function shown (world: World, userId: string, id: string) {
  const { type, name } = findResource(world, id) as { type: string, name: string }
  return { id, type, name, parentId: shownParentId(world, userId, id), allowedActions: allowedActions(world, userId, id), creatableTypes: creatableTypes(world, userId, id) }
}

const relevant = ({ id, type, name, parentId, allowedActions, creatableTypes }: Resource) => ({ id, type, name, parentId, allowedActions, creatableTypes })

/** Every resource for every active user: seen or not, with which actions, types to create, and parent. */
export async function compareDecisions (db: Database, world: World): Promise<void> {
  for (const user of activeUsers(world)) {
    const rows = await db.$queryRaw<Resource[]>(seenResources(callerIn(world, user.id), Prisma.sql`SELECT id FROM resources`))
    const expected = world.resources.filter(({ id }) => sees(world, user.id, id)).map(({ id }) => shown(world, user.id, id))
    expectEqual(world, rows.map(relevant), expected.sort(byId), `what ${user.name} sees`)
  }
}

const byId = (one: { id: string }, other: { id: string }) => one.id < other.id ? -1 : 1

/** A list read to its end in small pages: complete, in order, nothing twice, and each row as GET shows it. */
export async function compareList (db: Database, world: World, user: User, filter: ListFilter, limit: number): Promise<void> {
  const rows: Resource[] = []
  for (let page: Resource[] | undefined; page === undefined || page.length === limit;) {
    page = await listResources(db, callerIn(world, user.id), filter, { after: rows.at(-1)?.id, limit })
    rows.push(...page)
    if (rows.length > world.resources.length) break
  }
  const expected = list(world, user.id, filter).map((id) => shown(world, user.id, id))
  expectEqual(world, rows.map(relevant), expected, `what ${user.name} finds for ${JSON.stringify(filter)} in pages of ${limit}`)
}

/** What a user holds in one place, wildcards included, which the rules against escalation ask, and what they administer. */
export async function compareHeld (db: Database, world: World, user: User, resourceId: string): Promise<void> {
  const types = ['*', ...world.types.map(({ name }) => name), 'no-such-type']
  const permissions = types.flatMap((type) => ['*', 'no-such-action', ...actionsOf(world, type), 'sign'].map((action) => `${type}:${action}`))
  const missing = await findNotHeld(db, callerIn(world, user.id), resourceId, Prisma.sql`
    SELECT split_part(p, ':', 1) AS type, split_part(p, ':', 2) AS action FROM unnest(${permissions}::text[]) p`)
  const expected = new Set(permissions.filter((permission) => !holds(world, user.id, resourceId, permission)))
  expectEqual(world, missing.sort(), [...expected].sort(), `what ${user.name} does not hold on ${resourceId}`)
  const administered = await findRootPermissions(db, callerIn(world, user.id), administrativePermissions)
  expectEqual(world, [...administered].sort(), administrativePermissions.filter((permission) => holdsOnRoot(world, user.id, permission)).sort(),
    `what ${user.name} administers`)
}

/** The rows of the world, and both closures against naive ones. */
export async function compareRows (db: Database, world: World): Promise<void> {
  const [row] = await db.$queryRaw<Array<{ rows: Record<string, string[] | null> }>>`SELECT jsonb_build_object(
    'users', (SELECT jsonb_agg(concat_ws(' ', id, is_active)) FROM users),
    'resources', (SELECT jsonb_agg(concat_ws(' ', id, type, parent_id)) FROM resources),
    'members', (SELECT jsonb_agg(concat_ws(' ', group_id, user_id, member_group_id)) FROM group_members),
    'bindings', (SELECT jsonb_agg(concat_ws(' ', id, role, resource_id, user_id, group_id, CASE WHEN expires_at <= now() THEN 'expired' END)) FROM role_bindings),
    'permissions', (SELECT jsonb_agg(concat_ws(' ', role, type || ':' || action)) FROM role_permissions),
    'closure of the tree', (SELECT jsonb_agg(concat_ws(' ', ancestor_id, descendant_id, distance)) FROM resource_closure),
    'closure of groups', (SELECT jsonb_agg(concat_ws(' ', group_id, member_group_id)) FROM group_closure)) AS rows`
  const groups = world.resources.filter(({ type }) => type === 'group').map(({ id }) => id)
  const inside = (id: string): string[] =>
    [id, ...world.members.filter(({ groupId, memberId }) => groupId === id && groups.includes(memberId)).flatMap(({ memberId }) => inside(memberId))]
  const words = (...parts: Array<string | number | boolean | null>) => parts.filter((part) => part !== null).join(' ')
  const expected: Record<string, string[]> = {
    users: world.users.map(({ id, isActive }) => words(id, isActive ? 't' : 'f')),
    resources: world.resources.map(({ id, type, parentId }) => words(id, type, parentId)),
    members: world.members.map(({ groupId, memberId }) => words(groupId, memberId)),
    bindings: world.bindings.map(({ id, role, subject, resourceId, expiresAt }) => words(id, role, resourceId,
      subject.type === 'everyone' ? null : subject.id, expiresAt !== null && expiresAt <= world.now ? 'expired' : null)),
    permissions: world.roles.flatMap(({ name, permissions }) => permissions.map((permission) => words(name, permission))),
    'closure of the tree': world.resources.flatMap(({ id }) => pathToRoot(world, id).map((above, distance) => words(above.id, id, distance))),
    'closure of groups': groups.flatMap((id) => [...new Set(inside(id))].map((member) => words(id, member)))
  }
  for (const [what, rows] of Object.entries(expected)) expectEqual(world, (row?.rows[what] ?? []).sort(), rows.sort(), `the rows: ${what}`)
}

/** Every user and resource by requests: GET, a PATCH that is refused for its body after it was allowed, and the list. */
export async function compareRequests (request: Request, world: World, credentials: Credentials): Promise<void> {
  for (const user of world.users) {
    const credential = credentials.get(user.id)
    const statuses = { allow: { GET: 200, PATCH: 400 }, forbid: { GET: 403, PATCH: 403 }, hide: { GET: 404, PATCH: 404 } }
    for (const { id } of world.resources) {
      for (const [method, action] of [['GET', 'view'], ['PATCH', 'edit']] as const) {
        const response = await request(method, `/resources/${id}`, { ...credential, ...(method === 'PATCH' ? { body: { nonsense: true } } : {}) })
        const expected = user.isActive ? statuses[decide(world, user.id, action, id)][method] : 401
        expectEqual(world, response.status, expected, `the status of ${method} /resources/${id} for ${user.name}`)
        if (response.status === 200) expectEqual(world, relevant(response.body), shown(world, user.id, id), `${id} for ${user.name}`)
      }
    }
    const found: string[] = []
    for (let cursor: string | null | undefined; cursor !== null;) {
      const { status, body } = await request('GET', `/resources?limit=4${cursor === undefined ? '' : `&cursor=${cursor}`}`, credential)
      expectEqual(world, status, user.isActive ? 200 : 401, `the status of GET /resources for ${user.name}`)
      found.push(...(body.items ?? []).map(({ id }: Resource) => id))
      cursor = body.nextCursor ?? null
      if (found.length > world.resources.length) break
    }
    expectEqual(world, found, list(world, user.id, {}), `what ${user.name} lists`)
  }
}

/** Changes by which somebody may get what their maker does not hold: that is what membership, activity and creator roles are for. */
const exempt = ['join', 'activate', 'create', 'edit-type']

/**
 * That nobody holds anything after a change that they did not hold before and its maker did not hold there either. Looks
 * at what can be done with what there is, the actions of each resource's type and creating below it, and at wildcards, which
 * count for what is still to come.
 */
export function expectNoEscalation (before: World, after: World, change: Change): void {
  if (exempt.includes(change.kind)) return
  for (const { id, type } of after.resources) {
    if (findResource(before, id) === undefined) continue
    const possible = [
      ...actionsOf(after, type).filter((action) => action !== 'create').map((action) => `${type}:${action}`),
      ...after.types.filter(({ parents }) => parents.includes(type)).map(({ name }) => `${name}:create`)]
    for (const user of activeUsers(after)) {
      const [had, has] = [permissionsOn(before, user.id, id), permissionsOn(after, user.id, id)]
      const gained = [...possible, `${type}:*`, ...has.filter((permission) => permission.startsWith('*:'))].filter((wanted) => !had.some((permission) => gives(permission, wanted)) &&
        !holds(before, change.by, id, wanted) && has.some((permission) => gives(permission, wanted)))
      expectEqual(after, gained, [], `what ${user.name} gains on ${id === rootId ? 'root' : id} without its giver holding it`)
    }
  }
}
