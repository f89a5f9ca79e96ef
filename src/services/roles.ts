/** Roles: named sets of permissions. */
import { DomainError, invalidField } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvent } from './audit.js'
import type { Caller, Principal } from './caller.js'
import type { Database } from './database.js'
import { requireRootPermission } from './authorization.js'
import { allows, heldOn, rootId, standardActions } from './decision.js'
import { requireHeld } from './escalation.js'
import { changingRights } from './locks.js'

export interface Role {
  name: string
  description: string
  /** `type:action`, sorted; `*` stands for any. */
  permissions: string[]
  builtIn: boolean
}

/** What is administered by permissions on the root, beside the types of resources. */
export const administrativePermissions = [
  'user:view', 'user:create', 'user:edit', 'role:create', 'role:edit', 'role:delete', 'resource-type:edit', 'resource-type:delete', 'audit:view'
] as const
export type AdministrativePermission = typeof administrativePermissions[number]

const columns = Prisma.sql`r.name, r.description, r.built_in AS "builtIn",
  ARRAY(SELECT p.type || ':' || p.action FROM role_permissions p WHERE p.role = r.name ORDER BY (p.type || ':' || p.action) COLLATE "C") AS permissions`

/** A page of the roles in the order of their names. */
export async function listRoles (db: Database, { after = '', limit }: { after?: string | undefined, limit: number }): Promise<Role[]> {
  return await db.$queryRaw<Role[]>`SELECT ${columns} FROM roles r WHERE r.name COLLATE "C" > ${after} ORDER BY r.name COLLATE "C" LIMIT ${limit}`
}

/** A page of the roles that somebody may bind on a resource: all of whose permissions they hold there themselves. */
export async function listGrantableRoles (
  db: Database, principal: Principal, resourceId: string, { after = '', limit }: { after?: string | undefined, limit: number }
): Promise<Role[]> {
  return await db.$queryRaw<Role[]>`
    SELECT ${columns} FROM roles r CROSS JOIN (${heldOn(principal, Prisma.sql`${resourceId}::uuid`)}) held
    WHERE r.name COLLATE "C" > ${after}
      AND NOT EXISTS (SELECT FROM role_permissions p WHERE p.role = r.name AND NOT (${allows(Prisma.sql`held.permissions`, Prisma.sql`p.type`, Prisma.sql`p.action`)}))
    ORDER BY r.name COLLATE "C" LIMIT ${limit}`
}

export async function findRole (db: Database, name: string): Promise<Role | null> {
  const [role] = await db.$queryRaw<Role[]>`SELECT ${columns} FROM roles r WHERE r.name = ${name}`
  return role ?? null
}

/** @throws {DomainError} not-found */
export async function getRole (db: Database, name: string): Promise<Role> {
  const role = await findRole(db, name)
  if (role === null) throw new DomainError('not-found')
  return role
}

/** @throws {DomainError} in this order: forbidden (lost since the guard looked), invalid-request, escalation, role-exists */
export async function createRole (
  db: Database, caller: Caller, { name, description = '', permissions }: { name: string, description?: string | undefined, permissions: string[] }
): Promise<Role> {
  return await changingRights(db, caller, async (tx) => {
    await requireRootPermission(tx, caller, 'role:create')
    await checkPermissions(tx, permissions)
    await requireHeld(tx, caller, rootId, permissions)
    if (await findRole(tx, name) !== null) throw new DomainError('role-exists')
    await tx.$executeRaw`INSERT INTO roles (name, description) VALUES (${name}, ${description})`
    await setPermissions(tx, name, permissions)
    const role = await getRole(tx, name)
    await recordEvent(tx, caller, { type: 'role.created', target: { type: 'role', id: name }, after: told(role) })
    return role
  })
}

/**
 * Changes a role, at once for everybody who holds it.
 * @throws {DomainError} in this order: forbidden (lost since the guard looked), not-found, invalid-request, escalation, built-in
 */
export async function updateRole (
  db: Database, caller: Caller, name: string, { description, permissions }: { description?: string | undefined, permissions?: string[] | undefined }
): Promise<Role> {
  return await changingRights(db, caller, async (tx) => {
    await requireRootPermission(tx, caller, 'role:edit')
    const role = await getRole(tx, name)
    if (permissions !== undefined) await checkPermissions(tx, permissions)
    await requireHeld(tx, caller, rootId, permissions ?? role.permissions)
    if (role.builtIn) throw new DomainError('built-in')
    const wanted = { ...role, description: description ?? role.description, permissions: permissions ?? role.permissions }
    if (JSON.stringify(told(wanted)) === JSON.stringify(told(role))) return role
    await tx.$executeRaw`UPDATE roles SET description = ${wanted.description}, updated_at = now() WHERE name = ${name}`
    if (permissions !== undefined) await setPermissions(tx, name, permissions)
    const changed = await getRole(tx, name)
    await recordEvent(tx, caller, { type: 'role.updated', target: { type: 'role', id: name }, before: told(role), after: told(changed) })
    return changed
  })
}

/** @throws {DomainError} in this order: forbidden (lost since the guard looked), not-found, built-in, in-use */
export async function deleteRole (db: Database, caller: Caller, name: string): Promise<void> {
  await changingRights(db, caller, async (tx) => {
    await requireRootPermission(tx, caller, 'role:delete')
    const role = await getRole(tx, name)
    if (role.builtIn) throw new DomainError('built-in')
    const [use] = await tx.$queryRaw<unknown[]>`
      SELECT 1 FROM role_bindings WHERE role = ${name} UNION ALL SELECT 1 FROM resource_types WHERE creator_role = ${name} LIMIT 1`
    if (use !== undefined) throw new DomainError('in-use')
    await tx.$executeRaw`DELETE FROM roles WHERE name = ${name}`
    await recordEvent(tx, caller, { type: 'role.deleted', target: { type: 'role', id: name }, before: told(role) })
  })
}

/** A role as the audit log tells of one. */
const told = ({ description, permissions }: Role) => ({ description, permissions: [...permissions].sort() })

async function setPermissions (tx: Database, role: string, permissions: string[]): Promise<void> {
  await tx.$executeRaw`DELETE FROM role_permissions WHERE role = ${role}`
  await tx.$executeRaw`
    INSERT INTO role_permissions (role, type, action)
    SELECT DISTINCT ${role}, split_part(permission, ':', 1), split_part(permission, ':', 2) FROM unnest(${permissions}::text[]) permission`
}

/**
 * Every permission must be one that somebody could have: a misspelt one would silently grant nothing.
 * @throws {DomainError} invalid-request
 */
export async function checkPermissions (tx: Database, permissions: string[]): Promise<void> {
  // Shared locks: no type and no action goes while a role that names it is being written.
  const types = await tx.$queryRaw<Array<{ name: string, ownActions: string[] }>>`SELECT name, own_actions AS "ownActions" FROM resource_types FOR SHARE`
  const known = new Map(types.map(({ name, ownActions }) => [name, new Set<string>([...standardActions, ...ownActions])]))
  for (const permission of administrativePermissions) {
    const [type, action] = permission.split(':') as [string, string]
    known.set(type, new Set([...known.get(type) ?? [], action]))
  }
  permissions.forEach((permission, index) => {
    const [type, action] = permission.split(':') as [string, string]
    const path = `/permissions/${index}`
    if (type !== '*' && !known.has(type)) throw invalidField(path, `names the type "${type}", which there is not`)
    const isKnown = action === '*' || [...known].some(([name, actions]) => (type === '*' || type === name) && actions.has(action))
    if (!isKnown) throw invalidField(path, `names the action "${action}", which ${type === '*' ? 'no type has' : `the type "${type}" does not have`}`)
  })
}
