/**
 * Asks the decision, and answers as it says: what somebody does not see is not found, and what they may not do is forbidden
 * (contract §5). The SQL that decides stands in decision.ts.
 */
import { DeniedError, DomainError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import { type Database, prepareStatement, type Reader } from './database.js'
import { allows, heldOn, type RequiredActions, type Resource, resourcesFor, rootId, seenResources } from './decision.js'

/** One resource, for whom no token narrows. */
const seenResource = prepareStatement((userId: string, id: string) => seenResources({ userId, permissions: null }, Prisma.sql`${id}::uuid`))

/**
 * Decides about one resource and loads it, in one statement, the same whether it is hidden or absent.
 * @returns null when the user does not see it (404); otherwise what they may do is in `allowedActions`
 */
export async function findSeenResource (db: Reader, principal: Principal, id: string): Promise<Resource | null> {
  const { userId, permissions } = principal
  const [resource] = await db.$queryRaw<Resource[]>(permissions === null ? seenResource(userId, id) : seenResources(principal, Prisma.sql`${id}::uuid`))
  return resource ?? null
}

/** Loads a resource for whoever has just made or changed it, and may do that without seeing it. */
export async function getResource (db: Database, principal: Principal, id: string): Promise<Resource> {
  const [resource] = await db.$queryRaw<Resource[]>(resourcesFor(principal, Prisma.sql`${id}::uuid`, Prisma.sql`TRUE`))
  if (resource === undefined) throw new DomainError('not-found')
  return resource
}

/**
 * Decides about a resource that a body refers to, by the same rule as the guard does about that in the path.
 * @param action what is to be done with it
 * @throws {DeniedError} not-found when the user does not see it
 */
export async function getSeenResource (db: Reader, principal: Principal, id: string, action: string): Promise<Resource> {
  const resource = await findSeenResource(db, principal, id)
  if (resource === null) throw new DeniedError('not-found', { resourceId: id, action })
  return resource
}

/**
 * Looks again at what the guard has let through, for a change that must not come after the thing or the right to it has
 * gone: to be called while locks keep both as they are.
 * @throws {DeniedError} not-found, forbidden
 */
export async function getAllowedResource (tx: Database, principal: Principal, id: string, actions: RequiredActions): Promise<Resource> {
  const resource = await getSeenResource(tx, principal, id, actions[0])
  requireAllowed(resource, actions)
  return resource
}

/** @throws {DeniedError} forbidden, unless all of the actions are allowed on a resource that is seen */
export function requireAllowed ({ id, type, allowedActions }: Resource, actions: RequiredActions): void {
  const action = actions.find((action) => !allowedActions.includes(action))
  if (action !== undefined) throw new DeniedError('forbidden', { resourceId: id, action, missing: `${type}:${action}` })
}

/** The error for a permission that a user does not hold on a resource, where it counts by itself. */
export function notHeld (resourceId: string, permission: string, code: 'forbidden' | 'escalation' = 'forbidden', detail?: string): DeniedError {
  return new DeniedError(code, { resourceId, action: permission, missing: permission }, detail)
}

/** Which of some permissions on the root a user holds, for what is administered there: users, roles, types. */
export async function findRootPermissions (db: Reader, principal: Principal, permissions: readonly string[]): Promise<Set<string>> {
  const rows = await db.$queryRaw<Array<{ permission: string }>>`
    SELECT wanted.permission FROM unnest(${permissions}::text[]) wanted(permission)
    CROSS JOIN (${heldOn(principal, Prisma.sql`${rootId}::uuid`)}) held
    WHERE ${allows(Prisma.sql`held.permissions`, Prisma.sql`split_part(wanted.permission, ':', 1)`, Prisma.sql`split_part(wanted.permission, ':', 2)`)}`
  return new Set(rows.map(({ permission }) => permission))
}

/**
 * Looks again at what the guard has let through, as `getAllowedResource` does, for what is administered on the root.
 * @throws {DeniedError} forbidden
 */
export async function requireRootPermission (tx: Database, principal: Principal, permission: string): Promise<void> {
  const held = await findRootPermissions(tx, principal, [permission])
  if (!held.has(permission)) throw notHeld(rootId, permission)
}

/**
 * Those of some permissions that a user does not hold on a resource, as a subquery; the root of every rule against escalation. A
 * wildcard counts as held only through a wildcard.
 * @param permissions a subquery of `type`, `action`
 */
export const notHeldOn = (principal: Principal, resourceId: string, permissions: Prisma.Sql): Prisma.Sql => Prisma.sql`
  SELECT DISTINCT wanted.type || ':' || wanted.action AS permission FROM (${permissions}) wanted
  CROSS JOIN (${heldOn(principal, Prisma.sql`${resourceId}::uuid`)}) held
  WHERE NOT (${allows(Prisma.sql`held.permissions`, Prisma.sql`wanted.type`, Prisma.sql`wanted.action`)})`

/** The same. @returns sorted */
export async function findNotHeld (db: Database, principal: Principal, resourceId: string, permissions: Prisma.Sql): Promise<string[]> {
  const rows = await db.$queryRaw<Array<{ permission: string }>>(notHeldOn(principal, resourceId, permissions))
  return rows.map(({ permission }) => permission).sort()
}
