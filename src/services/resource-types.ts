/** Resource types: what may exist, where, and what can be done with it. */
import { DomainError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvent } from './audit.js'
import type { Caller } from './caller.js'
import type { Database } from './database.js'
import { requireRootPermission } from './authorization.js'
import { actionsOfType, rootId, standardActions } from './decision.js'
import { requireHeld } from './escalation.js'
import { changingRights } from './locks.js'
import { administrativePermissions, findRole } from './roles.js'

export interface ResourceType {
  name: string
  /** All of them, sorted: the five that every type has and its own. */
  actions: string[]
  /** The types under which it may stand, sorted. */
  parents: string[]
  /** The role that the creator of such a resource is bound to. */
  creatorRole: string | null
}

const columns = Prisma.sql`t.name, t.creator_role AS "creatorRole",
  ARRAY(SELECT action FROM unnest(${actionsOfType}) action ORDER BY action COLLATE "C") AS actions,
  ARRAY(SELECT p.parent::text FROM resource_type_parents p WHERE p.type = t.name ORDER BY p.parent COLLATE "C") AS parents`

/** Names that permissions on the root use already. */
const reserved = new Set(administrativePermissions.map((permission) => permission.split(':')[0]))

/** A page of the types in the order of their names. */
export async function listResourceTypes (db: Database, { after = '', limit }: { after?: string | undefined, limit: number }): Promise<ResourceType[]> {
  return await db.$queryRaw<ResourceType[]>`
    SELECT ${columns} FROM resource_types t WHERE t.name COLLATE "C" > ${after} ORDER BY t.name COLLATE "C" LIMIT ${limit}`
}

/**
 * Makes a type, or changes one as a whole.
 * @param input `actions`: those beyond the five that every type has, which may be named too
 * @returns the type, and whether it is new
 * @throws {DomainError} in this order: forbidden (lost since the guard looked), unknown-role, unknown-type (a parent), escalation, built-in, in-use
 */
export async function putResourceType (
  db: Database, caller: Caller, name: string,
  { actions = [], parents, creatorRole = null }: { actions?: string[] | undefined, parents: string[], creatorRole?: string | null | undefined }
): Promise<{ type: ResourceType, isNew: boolean }> {
  const ownActions = [...new Set(actions)].filter((action) => !(standardActions as readonly string[]).includes(action))
  return await changingRights(db, caller, async (tx) => {
    await requireRootPermission(tx, caller, 'resource-type:edit')
    const role = creatorRole === null ? null : await findRole(tx, creatorRole)
    if (creatorRole !== null && role === null) throw new DomainError('unknown-role')
    const known = new Set([name, ...(await tx.$queryRaw<Array<{ name: string }>>`SELECT name FROM resource_types`).map((type) => type.name)])
    if (!parents.every((parent) => known.has(parent))) throw new DomainError('unknown-type')
    if (role !== null) await requireHeld(tx, caller, rootId, role.permissions)

    const present = await findLocked(tx, name)
    if (present?.builtIn === true || reserved.has(name)) throw new DomainError('built-in')
    if (present !== null) {
      await requireUnused(tx, name, present.ownActions.filter((action) => !ownActions.includes(action)), parents)
    }
    const before = await findResourceType(tx, name)
    const wanted = { actions: [...standardActions, ...ownActions].sort(), parents: [...new Set(parents)].sort(), creatorRole }
    if (before !== null && JSON.stringify(told(before)) === JSON.stringify(wanted)) return { type: before, isNew: false }
    await tx.$executeRaw`
      INSERT INTO resource_types (name, own_actions, creator_role) VALUES (${name}, ${ownActions}::text[], ${creatorRole})
      ON CONFLICT (name) DO UPDATE SET own_actions = excluded.own_actions, creator_role = excluded.creator_role`
    await tx.$executeRaw`DELETE FROM resource_type_parents WHERE type = ${name}`
    await tx.$executeRaw`INSERT INTO resource_type_parents (type, parent) SELECT DISTINCT ${name}, parent FROM unnest(${parents}::text[]) parent`
    const type = await findResourceType(tx, name) as ResourceType
    const event = { target: { type: 'resource-type', id: name }, after: told(type) } as const
    await recordEvent(tx, caller, before === null ? { ...event, type: 'resource-type.created' } : { ...event, type: 'resource-type.updated', before: told(before) })
    return { type, isNew: before === null }
  })
}

async function findResourceType (db: Database, name: string): Promise<ResourceType | null> {
  const [type] = await db.$queryRaw<ResourceType[]>`SELECT ${columns} FROM resource_types t WHERE t.name = ${name}`
  return type ?? null
}

/** A type as the audit log tells of one. */
const told = ({ actions, parents, creatorRole }: ResourceType) => ({ actions, parents, creatorRole })

/** @throws {DomainError} in this order: forbidden (lost since the guard looked), not-found, built-in, in-use */
export async function deleteResourceType (db: Database, caller: Caller, name: string): Promise<void> {
  await changingRights(db, caller, async (tx) => {
    await requireRootPermission(tx, caller, 'resource-type:delete')
    const present = await findLocked(tx, name)
    if (present === null) throw new DomainError('not-found')
    if (present.builtIn) throw new DomainError('built-in')
    const [use] = await tx.$queryRaw<unknown[]>`
      SELECT 1 FROM resources WHERE type = ${name}
      UNION ALL SELECT 1 FROM role_permissions WHERE type = ${name}
      UNION ALL SELECT 1 FROM resource_type_parents WHERE parent = ${name} AND type <> ${name} LIMIT 1`
    if (use !== undefined) throw new DomainError('in-use')
    await requireUnused(tx, name, present.ownActions, [])
    const before = told(await findResourceType(tx, name) as ResourceType)
    await tx.$executeRaw`DELETE FROM resource_type_parents WHERE type = ${name}`
    await tx.$executeRaw`DELETE FROM resource_types WHERE name = ${name}`
    await recordEvent(tx, caller, { type: 'resource-type.deleted', target: { type: 'resource-type', id: name }, before })
  })
}

/** Waits for those who are just creating or moving resources of the type, and keeps others from it. */
async function findLocked (tx: Database, name: string): Promise<{ builtIn: boolean, ownActions: string[] } | null> {
  const [type] = await tx.$queryRaw<Array<{ builtIn: boolean, ownActions: string[] }>>`
    SELECT built_in AS "builtIn", own_actions AS "ownActions" FROM resource_types WHERE name = ${name} FOR UPDATE`
  return type ?? null
}

/** @throws {DomainError} in-use when a role names a dropped action, or a resource stands under a type that is no parent any more */
async function requireUnused (tx: Database, name: string, dropped: string[], parents: string[]): Promise<void> {
  const [use] = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM role_permissions p WHERE p.action = ANY (${dropped}::text[]) AND (p.type = ${name} OR (p.type = '*'
      AND NOT EXISTS (SELECT FROM resource_types other WHERE other.name <> ${name} AND p.action = ANY (other.own_actions))))
    UNION ALL
    SELECT 1 FROM resources r JOIN resources parent ON parent.id = r.parent_id
    WHERE r.type = ${name} AND parent.type <> ALL (${parents}::text[]) LIMIT 1`
  if (use !== undefined) throw new DomainError('in-use')
}
