/** Role bindings: giving a subject a role on a resource and everything below it, and taking it back. */
import { v7 as uuidv7 } from 'uuid'
import { DomainError, invalidField } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { jsonTime, recordEvents, telling } from './audit.js'
import { type Author, type Caller, operator, type Principal } from './caller.js'
import type { Database } from './database.js'
import { findSeenResource, getAllowedResource, notHeldOn } from './authorization.js'
import { allows, everyoneId, heldOnEach, rootId } from './decision.js'
import { refuseMissing } from './escalation.js'
import { checkExpiry } from './expiry.js'
import { changingRights } from './locks.js'
import { keepingOwners } from './owners.js'
import { lookupEmail } from './users.js'

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

/**
 * The columns of a `Binding` `b`. Names are looked up one by one: a join would be planned for many more.
 * @param sees whether its reader sees the resource on which it is, and the group that it is for
 */
const bindingColumns = (sees: { place: Prisma.Sql, group: Prisma.Sql }): Prisma.Sql => Prisma.sql`
  b.id, b.role, b.expires_at AS "expiresAt", b.created_at AS "createdAt", b.created_by AS "createdBy", CASE WHEN ${sees.place} THEN b.resource_id END AS "resourceId",
  CASE
    WHEN b.user_id IS NOT NULL THEN jsonb_build_object('type', 'user', 'id', b.user_id, 'name', (SELECT u.name FROM users u WHERE u.id = b.user_id))
    WHEN b.group_id IS NULL THEN jsonb_build_object('type', 'everyone')
    WHEN ${sees.group} THEN jsonb_build_object('type', 'group', 'id', b.group_id, 'name', (SELECT g.name FROM resources g WHERE g.id = b.group_id))
    ELSE jsonb_build_object('type', 'group', 'id', NULL, 'name', NULL)
  END AS subject`

/** The bindings with the ids that `ids` selects, as a user may see them, in the order of their ids. */
const bindingsFor = (principal: Principal, ids: Prisma.Sql): Prisma.Sql => {
  const sees = (alias: Prisma.Sql, type: Prisma.Sql) => allows(Prisma.sql`${alias}.permissions`, type, Prisma.sql`'view'`)
  return Prisma.sql`
    WITH page AS MATERIALIZED (SELECT b.* FROM role_bindings b WHERE b.id = ANY (ARRAY(${ids}))),
    held AS MATERIALIZED (${heldOnEach(principal, Prisma.sql`ARRAY(SELECT resource_id FROM page UNION SELECT group_id FROM page WHERE group_id IS NOT NULL)`)})
    SELECT ${bindingColumns({ place: sees(Prisma.sql`there`, Prisma.sql`b.resource_type`), group: sees(Prisma.sql`inside`, Prisma.sql`'group'`) })}
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
  return await changingRights(db, caller, async (tx) => {
    await getAllowedResource(tx, caller, resourceId, ['share'])
    const subjectId = await findSubject(tx, caller)
    const [found] = await tx.$queryRaw<[Situation]>`
      SELECT EXISTS (SELECT FROM roles WHERE name = ${role}) AS "isRole", subject.id AS "subjectId",
        ARRAY(${notHeldOn(caller, resourceId, Prisma.sql`SELECT type, action FROM role_permissions WHERE role = ${role}`)}) AS missing,
        (SELECT coalesce(b.expires_at <= statement_timestamp(), FALSE) FROM role_bindings b
          WHERE b.resource_id = ${resourceId}::uuid AND b.subject_id = subject.id AND b.role = ${role}) AS "isOver"
      FROM (SELECT (${subjectId}) AS id) subject`
    if (!found.isRole) throw new DomainError('unknown-role')
    if (found.subjectId === null) throw new DomainError('unknown-subject')
    refuseMissing(resourceId, found.missing)
    if (found.isOver === false) throw new DomainError('binding-exists')
    if (found.isOver === true) {
      await removeBindings(tx, caller, Prisma.sql`resource_id = ${resourceId}::uuid AND subject_id = ${found.subjectId}::uuid AND role = ${role}`)
    }
    const idOf = (type: SubjectReference['type']) => subject.type === type ? found.subjectId : null
    // Whoever could name the group sees it.
    const sees = { place: Prisma.sql`TRUE`, group: Prisma.sql`TRUE` }
    const [binding] = await tx.$queryRaw<[Binding]>(telling(caller, bindingEvents('binding.created', Prisma.sql`made`), Prisma.sql`made AS (
      INSERT INTO role_bindings (id, role, resource_id, user_id, group_id, subject_id, expires_at, created_by)
      VALUES (${uuidv7()}::uuid, ${role}, ${resourceId}::uuid, ${idOf('user')}::uuid, ${idOf('group')}::uuid, ${found.subjectId}::uuid,
        ${expiresAt ?? null}::timestamptz, ${caller.userId}::uuid) RETURNING *)`, Prisma.sql`SELECT ${bindingColumns(sees)} FROM made b`))
    return binding
  })
}

/** What else there is to know before a binding is made. */
interface Situation {
  isRole: boolean
  subjectId: string | null
  /** Permissions of the role that the caller does not hold. */
  missing: string[]
  /** Of the same binding as there is already, whether it has expired; null: there is none. */
  isOver: boolean | null
}

/**
 * Takes a binding back.
 * @throws {DomainError} in this order: not-found (no such binding on this very resource), escalation, last-owner
 */
export async function deleteBinding (db: Database, caller: Caller, resourceId: string, id: string): Promise<void> {
  await changingRights(db, caller, async (tx) => {
    await getAllowedResource(tx, caller, resourceId, ['share'])
    const [binding] = await tx.$queryRaw<Array<{ role: string, missing: string[] }>>`
      SELECT b.role, ARRAY(${notHeldOn(caller, resourceId, Prisma.sql`SELECT p.type, p.action FROM role_permissions p WHERE p.role = b.role`)}) AS missing
      FROM role_bindings b WHERE b.id = ${id}::uuid AND b.resource_id = ${resourceId}::uuid`
    if (binding === undefined) throw new DomainError('not-found')
    refuseMissing(resourceId, binding.missing)
    const remove = async () => await removeBindings(tx, caller, Prisma.sql`id = ${id}::uuid`)
    if (binding.role === 'owner') await keepingOwners(tx, Prisma.sql`SELECT ${resourceId}::uuid`, remove)
    else await remove()
  })
}

/** Binds a user to `owner` on the root for good, whoever asks: for `npm run create-admin`. */
export async function makeOwnerOfRoot (db: Database, userId: string): Promise<void> {
  await changingRights(db, operator, async (tx) => {
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
 * How to find the id of a subject, for its reader: a subquery, which gives null when there is no such active user, or no such group
 * that the reader sees.
 * @throws {DomainError} invalid-request when it is not named as its type asks for
 */
function subjectFinder ({ type, id, email }: SubjectReference): (tx: Database, reader: Principal) => Promise<Prisma.Sql> {
  const user = (which: Prisma.Sql) => Prisma.sql`SELECT u.id FROM users u WHERE ${which} AND u.is_active`
  if (type === 'everyone' && id === undefined && email === undefined) return async () => Prisma.sql`${everyoneId}::uuid`
  if (type === 'group' && id !== undefined && email === undefined) {
    return async (tx, reader) => Prisma.sql`${(await findSeenResource(tx, reader, id))?.type === 'group' ? id : null}::uuid`
  }
  if (type === 'user' && id !== undefined && email === undefined) return async () => user(Prisma.sql`u.id = ${id}::uuid`)
  if (type === 'user' && id === undefined && email !== undefined) return async () => user(Prisma.sql`lower(u.email) = lower(${lookupEmail(email)})`)
  throw invalidField('/subject', subjectShapes[type])
}
