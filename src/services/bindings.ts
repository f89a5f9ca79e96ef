/** Role bindings: giving a subject a role on a resource and everything below it, and taking it back. */
import { v7 as uuidv7 } from 'uuid'
import { DomainError, invalidField } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { jsonTime, recordEvents } from './audit.js'
import { type Author, type Caller, operator, type Principal } from './caller.js'
import type { Database } from './database.js'
import { findSeenResource, getAllowedResource } from './authorization.js'
import { allows, everyoneId, heldOnEach, rootId } from './decision.js'
import { requireHeld } from './escalation.js'
import { checkExpiry } from './expiry.js'
import { changingRights } from './locks.js'
import { keepingOwners } from './owners.js'
import { findRole, getRole } from './roles.js'
import { findUserByEmail, findUserById, type User } from './users.js'

export interface Subject {
  type: 'user' | 'group' | 'everyone'
  /** Null, as is the name, for a group that the reader does not see; absent for everyone. */
  id?: string | null
  name?: string | null
}

export interface Binding {
  id: string
  role: string
  subject: Subject
  /** Null for an inherited binding on something that the reader does not see. */
  resourceId: string | null
  expiresAt: Date | null
  createdAt: Date
  createdBy: string | null
}

export interface SubjectReference {
  type: 'user' | 'group' | 'everyone'
  id?: string | undefined
  email?: string | undefined
}

/** The bindings with the ids that `ids` selects, as a user may see them, in the order of their ids. Names are looked up one by one: a join would be planned for many more. */
const bindingsFor = (principal: Principal, ids: Prisma.Sql): Prisma.Sql => {
  const sees = (alias: Prisma.Sql, type: Prisma.Sql) => allows(Prisma.sql`${alias}.permissions`, type, Prisma.sql`'view'`)
  return Prisma.sql`
    WITH page AS MATERIALIZED (SELECT b.* FROM role_bindings b WHERE b.id = ANY (ARRAY(${ids}))),
    held AS MATERIALIZED (${heldOnEach(principal, Prisma.sql`ARRAY(SELECT resource_id FROM page UNION SELECT group_id FROM page WHERE group_id IS NOT NULL)`)})
    SELECT b.id, b.role, b.expires_at AS "expiresAt", b.created_at AS "createdAt", b.created_by AS "createdBy",
      CASE WHEN ${sees(Prisma.sql`there`, Prisma.sql`b.resource_type`)} THEN b.resource_id END AS "resourceId",
      CASE
        WHEN b.user_id IS NOT NULL THEN jsonb_build_object('type', 'user', 'id', b.user_id, 'name', (SELECT u.name FROM users u WHERE u.id = b.user_id))
        WHEN b.group_id IS NULL THEN jsonb_build_object('type', 'everyone')
        WHEN ${sees(Prisma.sql`inside`, Prisma.sql`'group'`)} THEN jsonb_build_object('type', 'group', 'id', b.group_id, 'name', (SELECT g.name FROM resources g WHERE g.id = b.group_id))
        ELSE jsonb_build_object('type', 'group', 'id', NULL, 'name', NULL)
      END AS subject
    FROM page b LEFT JOIN held there ON there.resource_id = b.resource_id LEFT JOIN held inside ON inside.resource_id = b.group_id
    ORDER BY b.id`
}

/**
 * A page of the bindings on a resource, in the order of their ids, which is that of their making.
 * @param isInherited whether those on its ancestors, which count here too, are listed as well
 */
export async function listBindings (
  db: Database, principal: Principal, resourceId: string, isInherited: boolean, { after, limit }: { after?: string | undefined, limit: number }
): Promise<Binding[]> {
  const places = isInherited
    ? Prisma.sql`SELECT ancestor_id AS id FROM resource_closure WHERE descendant_id = ${resourceId}::uuid`
    : Prisma.sql`SELECT ${resourceId}::uuid AS id`
  const rest = after === undefined ? Prisma.sql`TRUE` : Prisma.sql`b.id > ${after}::uuid`
  // The first few of each place, so that a place with very many costs no more than the page. The condition on the role is that of the index.
  return await db.$queryRaw<Binding[]>(bindingsFor(principal, Prisma.sql`
    SELECT found.id FROM (${places}) place
    CROSS JOIN LATERAL (SELECT b.id FROM role_bindings b WHERE b.resource_id = place.id AND b.role <> '' AND ${rest} ORDER BY b.id LIMIT ${limit}) found
    ORDER BY found.id LIMIT ${limit}`))
}

/**
 * Binds a role. A binding of the same that has expired gives way.
 * @throws {DomainError} in this order: invalid-request, unknown-role, unknown-subject, escalation, binding-exists; not-found
 *   and forbidden when the user has lost the right to share since the guard looked
 */
export async function createBinding (
  db: Database, caller: Caller, resourceId: string,
  { role, subject, expiresAt }: { role: string, subject: SubjectReference, expiresAt?: Date | null | undefined }
): Promise<Binding> {
  checkExpiry(expiresAt)
  const findSubject = subjectFinder(subject)
  return await changingRights(db, async (tx) => {
    await getAllowedResource(tx, caller, resourceId, ['share'])
    const known = await findRole(tx, role)
    if (known === null) throw new DomainError('unknown-role')
    const ids = await findSubject(tx, caller)
    if (ids === null) throw new DomainError('unknown-subject')
    await requireHeld(tx, caller, resourceId, known.permissions)

    const subjectId = ids.userId ?? ids.groupId ?? everyoneId
    const same = Prisma.sql`resource_id = ${resourceId}::uuid AND subject_id = ${subjectId}::uuid AND role = ${role}`
    const [present] = await tx.$queryRaw<Array<{ isOver: boolean }>>`
      SELECT coalesce(expires_at <= now(), FALSE) AS "isOver" FROM role_bindings WHERE ${same}`
    if (present?.isOver === false) throw new DomainError('binding-exists')
    if (present !== undefined) await removeBindings(tx, caller, same)
    const id = uuidv7()
    await addBinding(tx, caller, Prisma.sql`
      INSERT INTO role_bindings (id, role, resource_id, user_id, group_id, subject_id, expires_at, created_by)
      VALUES (${id}::uuid, ${role}, ${resourceId}::uuid, ${ids.userId ?? null}::uuid, ${ids.groupId ?? null}::uuid, ${subjectId}::uuid,
        ${expiresAt ?? null}::timestamptz, ${caller.userId}::uuid)`)
    const [binding] = await tx.$queryRaw<Binding[]>(bindingsFor(caller, Prisma.sql`SELECT ${id}::uuid`))
    return binding as Binding
  })
}

/**
 * Takes a binding back.
 * @throws {DomainError} in this order: not-found (no such binding on this very resource), escalation, last-owner
 */
export async function deleteBinding (db: Database, caller: Caller, resourceId: string, id: string): Promise<void> {
  await changingRights(db, async (tx) => {
    await getAllowedResource(tx, caller, resourceId, ['share'])
    const [binding] = await tx.$queryRaw<Array<{ role: string }>>`
      SELECT role FROM role_bindings WHERE id = ${id}::uuid AND resource_id = ${resourceId}::uuid`
    if (binding === undefined) throw new DomainError('not-found')
    await requireHeld(tx, caller, resourceId, (await getRole(tx, binding.role)).permissions)
    await keepingOwners(tx, Prisma.sql`SELECT ${resourceId}::uuid`, async () => await removeBindings(tx, caller, Prisma.sql`id = ${id}::uuid`))
  })
}

/** Binds a user to `owner` on the root for good, whoever asks: for `npm run create-admin`. */
export async function makeOwnerOfRoot (db: Database, userId: string): Promise<void> {
  await changingRights(db, async (tx) => {
    await removeBindings(tx, operator, Prisma.sql`resource_id = ${rootId}::uuid AND subject_id = ${userId}::uuid AND role = 'owner' AND expires_at IS NOT NULL`)
    await addBinding(tx, operator, Prisma.sql`
      INSERT INTO role_bindings (id, role, resource_id, user_id, subject_id)
      VALUES (${uuidv7()}::uuid, 'owner', ${rootId}::uuid, ${userId}::uuid, ${userId}::uuid)
      ON CONFLICT (resource_id, subject_id, role) DO NOTHING`)
  })
}

/** Makes the binding that `insert` does, if it does. */
export async function addBinding (tx: Database, by: Caller | Author, insert: Prisma.Sql): Promise<void> {
  await recordEvents(tx, by, bindingEvents('binding.created', Prisma.sql`made`), Prisma.sql`made AS (${insert} RETURNING *)`)
}

async function removeBindings (tx: Database, by: Caller | Author, which: Prisma.Sql): Promise<void> {
  await recordEvents(tx, by, bindingEvents('binding.deleted', Prisma.sql`gone`), Prisma.sql`gone AS (DELETE FROM role_bindings WHERE ${which} RETURNING *)`)
}

/** An event for each of some rows of the table of bindings. */
export function bindingEvents (type: 'binding.created' | 'binding.deleted', rows: Prisma.Sql): Prisma.Sql {
  const told = Prisma.sql`jsonb_build_object('role', b.role, 'expiresAt', ${jsonTime(Prisma.sql`b.expires_at`)},
    'subject', CASE WHEN b.user_id IS NOT NULL THEN jsonb_build_object('type', 'user', 'id', b.user_id)
      WHEN b.group_id IS NOT NULL THEN jsonb_build_object('type', 'group', 'id', b.group_id) ELSE jsonb_build_object('type', 'everyone') END)`
  const [before, after] = type === 'binding.created' ? [Prisma.sql`NULL::jsonb`, told] : [told, Prisma.sql`NULL::jsonb`]
  return Prisma.sql`SELECT ${type}::text, b.resource_id, 'binding', b.id::text, ${before}, ${after}, NULL::uuid FROM ${rows} b`
}

/** What a subject is named by. */
const subjectShapes = {
  user: 'needs an id or an email, not both, for a user',
  group: 'needs an id, and no email, for a group',
  everyone: 'takes neither id nor email for everyone'
}

/**
 * How to find a subject, for its reader; null when there is no such active user, or no such group that the reader sees.
 * @throws {DomainError} invalid-request when it is not named as its type asks for
 */
function subjectFinder (
  { type, id, email }: SubjectReference
): (tx: Database, reader: Principal) => Promise<{ userId?: string, groupId?: string } | null> {
  if (type === 'everyone' && id === undefined && email === undefined) return async () => ({})
  if (type === 'group' && id !== undefined && email === undefined) {
    return async (tx, reader) => (await findSeenResource(tx, reader, id))?.type === 'group' ? { groupId: id } : null
  }
  const asUser = (user: User | null) => user?.isActive === true ? { userId: user.id } : null
  if (type === 'user' && id !== undefined && email === undefined) return async (tx) => asUser(await findUserById(tx, id))
  if (type === 'user' && id === undefined && email !== undefined) return async (tx) => asUser(await findUserByEmail(tx, email))
  throw invalidField('/subject', subjectShapes[type])
}
