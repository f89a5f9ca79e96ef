/** Moving and deleting what others stand below. */
import { DomainError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvents } from './audit.js'
import { bindingEvents } from './bindings.js'
import type { Caller } from './caller.js'
import type { Database } from './database.js'
import { findNotHeld, getAllowedResource, getResource, getSeenResource, notHeld, notHeldOn } from './authorization.js'
import { gives, isUnexpired, type Resource, rootId } from './decision.js'
import { refuseMissing } from './escalation.js'
import { memberEvents } from './groups.js'
import { changingTree } from './locks.js'
import { keepingOwners, ownedThrough } from './owners.js'
import { changeResource, deepest, findPlace, type Place, requireVersion, resourceEvents } from './resources.js'

const below = (id: string): Prisma.Sql => Prisma.sql`SELECT descendant_id FROM resource_closure WHERE ancestor_id = ${id}::uuid`
const above = (id: string): Prisma.Sql => Prisma.sql`SELECT ancestor_id FROM resource_closure WHERE descendant_id = ${id}::uuid`

/**
 * Moves a resource, with all below it, under another parent.
 * @param id of a resource that the guard has let through: the user may edit and share it
 * @param ifMatch as for `updateResource`
 * @throws {DomainError} in this order: not-found and forbidden (lost since), not-found (parent), forbidden, escalation, precondition-failed, built-in, cycle, invalid-parent, too-deep
 */
export async function moveResource (db: Database, caller: Caller, id: string, parentId: string, ifMatch?: readonly number[]): Promise<Resource> {
  return await changingTree(db, caller, async (tx) => {
    const resource = await getAllowedResource(tx, caller, id, ['edit', 'share'])
    const place = await findPlace(tx, caller, resource.type, parentId) as Place
    const parent = await getSeenResource(tx, caller, parentId, `${resource.type}:create`)
    if (!place.mayCreate) throw notHeld(parentId, `${resource.type}:create`)
    const [{ gained, isInside, height }] = await tx.$queryRaw<[{ gained: string[], isInside: boolean, height: number }]>`
      SELECT ARRAY(${notHeldOn(caller, id, gainedByMove(id, parentId))}) AS gained,
        EXISTS (SELECT FROM resource_closure WHERE ancestor_id = ${id}::uuid AND descendant_id = ${parentId}::uuid) AS "isInside",
        (SELECT max(distance) FROM resource_closure WHERE ancestor_id = ${id}::uuid)::int AS height`
    refuseMissing(id, gained)
    requireVersion(resource, ifMatch)
    if (id === rootId) throw new DomainError('built-in')
    if (isInside) throw new DomainError('cycle')
    if (!place.parents.includes(parent.type)) throw new DomainError('invalid-parent')
    if (place.depth + 1 + height > deepest) throw new DomainError('too-deep')
    await changeResource(tx, caller, id, 'resource.moved', [[Prisma.sql`parent_id`, Prisma.sql`${parentId}::uuid`]])
    return await getResource(tx, caller, id)
  })
}

/**
 * What the bindings on the new ancestors give on the moved resources, and on what may be put below them later: they begin to count
 * there as if the mover had made each of them. So the mover must hold it, or a move into one's own organization would make an editor
 * an owner. A wildcard gives types and actions to come too, so it must be held as one. What the same subject held before, and for as
 * long, is not given by the move.
 */
const gainedByMove = (id: string, parentId: string): Prisma.Sql => Prisma.sql`
  WITH RECURSIVE placeable AS (
    SELECT type FROM resource_closure WHERE ancestor_id = ${id}::uuid
    UNION SELECT child.type FROM placeable JOIN resource_type_parents child ON child.parent = placeable.type),
  addable AS (SELECT child.type FROM resource_type_parents child WHERE child.parent IN (SELECT type FROM placeable)),
  granted AS (
    SELECT b.subject_id, b.expires_at, p.type, p.action, b.resource_id IN (${above(id)}) AS is_old
    FROM role_bindings b JOIN role_permissions p ON p.role = b.role
    WHERE ${isUnexpired(Prisma.sql`b`)} AND b.resource_id IN (${above(parentId)} UNION ${above(id)}))
  SELECT DISTINCT arriving.type, arriving.action FROM granted arriving
  WHERE NOT arriving.is_old
    AND (arriving.type = '*' OR arriving.type IN (SELECT type FROM addable) OR (arriving.type IN (SELECT type FROM placeable) AND arriving.action <> 'create'))
    AND NOT EXISTS (
    SELECT FROM granted held WHERE held.is_old AND held.subject_id = arriving.subject_id
      AND (held.expires_at IS NULL OR held.expires_at >= arriving.expires_at)
      AND ${gives(Prisma.sql`held`, Prisma.sql`arriving.type`, Prisma.sql`arriving.action`)})`

/**
 * Deletes a resource that the guard has let through, and with `isRecursive` all below it, for which the user must hold
 * `delete` for each type there.
 * @param ifMatch as for `updateResource`
 * @throws {DomainError} not-found (gone since), forbidden, precondition-failed, built-in, has-children, last-owner
 */
export async function deleteResource (db: Database, caller: Caller, id: string, isRecursive: boolean, ifMatch?: readonly number[]): Promise<void> {
  await changingTree(db, caller, async (tx) => {
    const resource = await getAllowedResource(tx, caller, id, ['delete'])
    if (isRecursive) {
      const [missing] = await findNotHeld(tx, caller, id, Prisma.sql`
        SELECT DISTINCT c.type, action FROM resource_closure c, unnest(ARRAY['view', 'delete']) action WHERE c.ancestor_id = ${id}::uuid`)
      if (missing !== undefined) throw notHeld(id, missing)
    }
    requireVersion(resource, ifMatch)
    if (id === rootId) throw new DomainError('built-in')
    const [child] = await tx.$queryRaw<Array<{ id: string }>>`SELECT id FROM resources WHERE parent_id = ${id}::uuid LIMIT 1`
    if (child !== undefined && !isRecursive) throw new DomainError('has-children')
    // By indexes: the planner would rather read all resources, and all bindings and members even for a single one.
    const isBelow = (column: Prisma.Sql) => Prisma.sql`${column} = ANY (ARRAY(${below(id)}))`
    const hangOn = (table: Prisma.Sql, one: Prisma.Sql, other: Prisma.Sql) => Prisma.sql`(SELECT * FROM ${table} WHERE id = ANY (ARRAY(
      SELECT id FROM ${table} WHERE ${isBelow(one)} UNION SELECT id FROM ${table} WHERE ${isBelow(other)})) ORDER BY id)`
    await keepingOwners(tx, ownedThrough(below(id)), async () => {
      // With all that goes along: bindings on it and of it, members in it and of it.
      await recordEvents(tx, caller, Prisma.join([
        memberEvents('member.removed', hangOn(Prisma.sql`group_members`, Prisma.sql`group_id`, Prisma.sql`member_group_id`)),
        bindingEvents('binding.deleted', hangOn(Prisma.sql`role_bindings`, Prisma.sql`resource_id`, Prisma.sql`group_id`)),
        resourceEvents('resource.deleted', Prisma.sql`(SELECT * FROM resources WHERE ${isBelow(Prisma.sql`id`)} ORDER BY id)`)
      ], ' UNION ALL '))
      await tx.$executeRaw`DELETE FROM resources WHERE ${isBelow(Prisma.sql`id`)}`
    })
  })
}
