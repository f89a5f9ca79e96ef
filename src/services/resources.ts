/** Resources: creating and changing them. Listing them stands in resource-list.ts, moving and deleting in tree.ts. */
import { v7 as uuidv7 } from 'uuid'
import { DomainError, invalidField } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvents, telling } from './audit.js'
import { bindingEvents } from './bindings.js'
import type { Caller } from './caller.js'
import type { Database } from './database.js'
import { getAllowedResource, getResource, getSeenResource, notHeld, notHeldOn } from './authorization.js'
import { type Resource, resourcesFor, rootId } from './decision.js'
import { changingResources } from './locks.js'

const mostAttributeBytes = 16_384
/** PostgreSQL refuses JSON that is nested too deeply for its stack; nobody means to store that. */
const mostAttributeLevels = 64
export const deepest = 32

export type Attributes = Record<string, unknown>

/**
 * Creates a resource under a parent and binds its creator to the type's creator role.
 * @throws {DomainError} in this order: invalid-request, unknown-type, not-found (parent), forbidden, invalid-parent, too-deep
 */
export async function createResource (
  db: Database, caller: Caller,
  { type, name, parentId = rootId, attributes = {} }: { type: string, name: string, parentId?: string | undefined, attributes?: Attributes | undefined }
): Promise<Resource> {
  checkAttributes(attributes)
  return await changingResources(db, caller, async (tx) => {
    const place = await findPlace(tx, caller, type, parentId)
    if (place === null) throw new DomainError('unknown-type')
    const parent = await getSeenResource(tx, caller, parentId, `${type}:create`)
    if (!place.mayCreate) throw notHeld(parentId, `${type}:create`)
    if (!place.parents.includes(parent.type)) throw new DomainError('invalid-parent')
    if (place.depth >= deepest) throw new DomainError('too-deep')

    const id = uuidv7()
    await tx.$executeRaw`
      INSERT INTO resources (id, type, name, parent_id, attributes) VALUES (${id}::uuid, ${type}, ${name}, ${parentId}::uuid, ${JSON.stringify(attributes)}::jsonb)`
    const created = resourceEvents('resource.created', Prisma.sql`(SELECT * FROM resources WHERE id = ${id}::uuid)`)
    if (place.creatorRole === null) {
      const [resource] = await tx.$queryRaw<[Resource]>(telling(caller, created, undefined, resourcesFor(caller, Prisma.sql`${id}::uuid`, Prisma.sql`TRUE`)))
      return resource
    }
    await recordEvents(tx, caller, Prisma.sql`${created} UNION ALL ${bindingEvents('binding.created', Prisma.sql`made`)}`, Prisma.sql`made AS (
      INSERT INTO role_bindings (id, role, resource_id, user_id, subject_id, created_by)
      VALUES (${uuidv7()}::uuid, ${place.creatorRole}, ${id}::uuid, ${caller.userId}::uuid, ${caller.userId}::uuid, ${caller.userId}::uuid) RETURNING *)`)
    // By itself: what the binding gives is not seen by the statement that makes it.
    return await getResource(tx, caller, id)
  })
}

/** What a type and a parent are to each other. */
export interface Place {
  /** Of the type. */
  creatorRole: string | null
  parents: string[]
  /** Of the parent: levels below the root. */
  depth: number
  mayCreate: boolean
}

/** Looks at a type, locked against change until the transaction ends, and at a place for something of it; null when there is no such type. */
export async function findPlace (tx: Database, caller: Caller, type: string, parentId: string): Promise<Place | null> {
  // By itself: a statement that waits for a lock goes on with the parents that it saw before.
  await tx.$executeRaw`SELECT 1 FROM resource_types WHERE name = ${type} FOR SHARE`
  const [place] = await tx.$queryRaw<Place[]>`
    SELECT t.creator_role AS "creatorRole", ARRAY(SELECT parent::text FROM resource_type_parents WHERE type = t.name) AS parents,
      (SELECT distance FROM resource_closure WHERE ancestor_id = ${rootId}::uuid AND descendant_id = ${parentId}::uuid) AS depth,
      NOT EXISTS (${notHeldOn(caller, parentId, Prisma.sql`SELECT ${type} AS type, 'create' AS action`)}) AS "mayCreate"
    FROM resource_types t WHERE t.name = ${type}`
  return place ?? null
}

/** What the audit log tells of a resource, a row of a table like that of resources. */
const told = (row: Prisma.Sql): Prisma.Sql => Prisma.sql`
  jsonb_build_object('type', ${row}.type, 'name', ${row}.name, 'parentId', ${row}.parent_id, 'attributes', ${row}.attributes)`

/** An event for each of some rows of the table of resources. */
export function resourceEvents (type: 'resource.created' | 'resource.deleted', rows: Prisma.Sql): Prisma.Sql {
  const [before, after] = type === 'resource.created' ? [Prisma.sql`NULL::jsonb`, told(Prisma.sql`r`)] : [told(Prisma.sql`r`), Prisma.sql`NULL::jsonb`]
  return Prisma.sql`SELECT ${type}::text, r.id, 'resource', r.id::text, ${before}, ${after}, NULL::uuid FROM ${rows} r`
}

/**
 * Changes columns of a resource, and its version, unless they are as they should be already.
 * @param wanted the columns and their values; the row must be locked, as what it was before is told too
 */
export async function changeResource (
  tx: Database, caller: Caller, id: string, type: 'resource.updated' | 'resource.moved', wanted: Array<readonly [column: Prisma.Sql, value: Prisma.Sql]>
): Promise<void> {
  const isOther = Prisma.join(wanted.map(([column, value]) => Prisma.sql`r.${column} IS DISTINCT FROM ${value}`), ' OR ')
  const assignments = Prisma.join(wanted.map(([column, value]) => Prisma.sql`${column} = ${value}`))
  // What is under the old place is found by the closure as it was when the statement began, so the new one is said apart.
  await recordEvents(tx, caller, Prisma.sql`
    SELECT ${type}::text, r.id, 'resource', r.id::text, ${told(Prisma.sql`old`)}, ${told(Prisma.sql`r`)}, r.parent_id
    FROM changed r JOIN resources old ON old.id = r.id`, Prisma.sql`changed AS (
    UPDATE resources r SET ${assignments}, version = version + 1, updated_at = now() WHERE r.id = ${id}::uuid AND (${isOther}) RETURNING r.*)`)
}

/**
 * Changes a resource that the guard has let through; `attributes` are replaced as a whole.
 * @param ifMatch versions that the client knows, one of which must be the present one; undefined: any
 * @throws {DomainError} invalid-request, not-found and forbidden (lost since the guard looked), precondition-failed
 */
export async function updateResource (
  db: Database, caller: Caller, id: string,
  { name, attributes }: { name?: string | undefined, attributes?: Attributes | undefined }, ifMatch?: readonly number[]
): Promise<Resource> {
  checkAttributes(attributes)
  const json = attributes === undefined ? null : JSON.stringify(attributes)
  return await changingResources(db, caller, async (tx) => {
    // By itself: a statement that waits for a lock goes on with the version that it saw before.
    await tx.$executeRaw`SELECT 1 FROM resources WHERE id = ${id}::uuid FOR NO KEY UPDATE`
    requireVersion(await getAllowedResource(tx, caller, id, ['edit']), ifMatch)
    await changeResource(tx, caller, id, 'resource.updated', [
      [Prisma.sql`name`, Prisma.sql`coalesce(${name ?? null}, r.name)`],
      [Prisma.sql`attributes`, Prisma.sql`coalesce(${json}::jsonb, r.attributes)`]
    ])
    return await getResource(tx, caller, id)
  })
}

/** @throws {DomainError} precondition-failed, unless the present version is one of those that the client knows; undefined: any */
export function requireVersion ({ version }: Resource, ifMatch: readonly number[] | undefined): void {
  if (ifMatch !== undefined && !ifMatch.includes(version)) throw new DomainError('precondition-failed')
}

/** @throws {DomainError} invalid-request */
function checkAttributes (attributes: Attributes | undefined): void {
  if (attributes === undefined) return
  const waiting: Array<[unknown, number]> = [[attributes, 1]]
  // PostgreSQL writes 1e300 out in full, and would so read megabytes where a client sent a few bytes.
  let digits = 0
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [value, level] = next
    if (level > mostAttributeLevels) throw invalidField('/attributes', `must be nested at most ${mostAttributeLevels} levels deep`)
    if (typeof value === 'number') {
      // JSON can spell numbers that no double holds; they would be stored as null.
      if (!Number.isFinite(value)) throw invalidField('/attributes', 'must not contain a number out of range')
      digits += Math.abs(Number(/e(.*)/.exec(String(value))?.[1] ?? 0))
    }
    if (typeof value === 'object' && value !== null) waiting.push(...Object.values(value).map((child): [unknown, number] => [child, level + 1]))
  }
  if (Buffer.byteLength(JSON.stringify(attributes)) + digits > mostAttributeBytes) throw invalidField('/attributes', 'must be at most 16 KiB of JSON')
}
