/** Groups: who is in them. A group is a resource; its members are users and other groups. */
import { v7 as uuidv7 } from 'uuid'
import { DeniedError, DomainError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvents } from './audit.js'
import type { Caller, Principal } from './caller.js'
import type { Database } from './database.js'
import { findSeenResource, getAllowedResource } from './authorization.js'
import { allows, heldOnEach } from './decision.js'
import { changingRights } from './locks.js'
import { keepingOwners, ownedThrough } from './owners.js'
import { findUserById } from './users.js'

export interface Member {
  type: 'user' | 'group'
  /** Null, as is the name, for a group that the reader does not see. */
  id: string | null
  name: string | null
}

/** A page of the direct members of a group, in the order in which they were added; `key` is their place in it. */
export async function listMembers (
  db: Database, principal: Principal, groupId: string, { after, limit }: { after?: string | undefined, limit: number }
): Promise<Array<Member & { key: string }>> {
  const isSeen = allows(Prisma.sql`held.permissions`, Prisma.sql`'group'`, Prisma.sql`'view'`)
  const rest = after === undefined ? Prisma.sql`TRUE` : Prisma.sql`m.id > ${after}::uuid`
  // Names are looked up one by one: a join would be planned for as many rows as a limit that is not known might let through.
  return await db.$queryRaw<Array<Member & { key: string }>>`
    WITH page AS MATERIALIZED (
      SELECT m.id, m.user_id, m.member_group_id FROM group_members m WHERE m.group_id = ${groupId}::uuid AND ${rest} ORDER BY m.id LIMIT ${limit}),
    held AS MATERIALIZED (${heldOnEach(principal, Prisma.sql`ARRAY(SELECT member_group_id FROM page WHERE member_group_id IS NOT NULL)`)})
    SELECT m.id AS key, CASE WHEN m.user_id IS NULL THEN 'group' ELSE 'user' END AS type,
      CASE WHEN m.user_id IS NOT NULL THEN m.user_id WHEN ${isSeen} THEN m.member_group_id END AS id,
      CASE WHEN m.user_id IS NOT NULL THEN (SELECT u.name FROM users u WHERE u.id = m.user_id)
        WHEN ${isSeen} THEN (SELECT g.name FROM resources g WHERE g.id = m.member_group_id) END AS name
    FROM page m LEFT JOIN held ON held.resource_id = m.member_group_id ORDER BY m.id`
}

/**
 * Adds a user or a group to a group; adding one twice changes nothing.
 * @throws {DomainError} not-found for a member that is absent, or a group that the caller does not see; cycle;
 *   not-found and forbidden when the caller has lost the right to edit the group since the guard looked
 */
export async function addMember (db: Database, caller: Caller, groupId: string, memberId: string): Promise<void> {
  await changingRights(db, caller, async (tx) => {
    await getAllowedResource(tx, caller, groupId, ['edit'])
    const column = await columnOf(tx, caller, memberId)
    const [present] = await tx.$queryRaw<unknown[]>`SELECT 1 FROM group_members WHERE group_id = ${groupId}::uuid AND ${column} = ${memberId}::uuid`
    if (present !== undefined) return
    const [cycle] = await tx.$queryRaw<unknown[]>`SELECT 1 FROM group_closure WHERE group_id = ${memberId}::uuid AND member_group_id = ${groupId}::uuid`
    if (cycle !== undefined) throw new DomainError('cycle')
    await recordEvents(tx, caller, memberEvents('member.added', Prisma.sql`made`), Prisma.sql`made AS (
      INSERT INTO group_members (id, group_id, ${column}) VALUES (${uuidv7()}::uuid, ${groupId}::uuid, ${memberId}::uuid) RETURNING *)`)
  })
}

/** @throws {DomainError} not-found for one who is no member, or a group that the caller does not see; last-owner */
export async function removeMember (db: Database, caller: Caller, groupId: string, memberId: string): Promise<void> {
  await changingRights(db, caller, async (tx) => {
    await getAllowedResource(tx, caller, groupId, ['edit'])
    const column = await columnOf(tx, caller, memberId)
    await keepingOwners(tx, ownedThrough(Prisma.sql`SELECT ${groupId}::uuid`), async () => {
      const count = await recordEvents(tx, caller, memberEvents('member.removed', Prisma.sql`gone`), Prisma.sql`gone AS (
        DELETE FROM group_members WHERE group_id = ${groupId}::uuid AND ${column} = ${memberId}::uuid RETURNING *)`)
      if (count === 0) throw new DomainError('not-found')
    })
  })
}

/** An event for each of some rows of the table of members. */
export function memberEvents (type: 'member.added' | 'member.removed', rows: Prisma.Sql): Prisma.Sql {
  const told = Prisma.sql`jsonb_build_object('type', CASE WHEN m.user_id IS NULL THEN 'group' ELSE 'user' END, 'id', coalesce(m.user_id, m.member_group_id))`
  const [before, after] = type === 'member.added' ? [Prisma.sql`NULL::jsonb`, told] : [told, Prisma.sql`NULL::jsonb`]
  return Prisma.sql`SELECT ${type}::text, m.group_id, 'member', coalesce(m.user_id, m.member_group_id)::text, ${before}, ${after}, NULL::uuid FROM ${rows} m`
}

/** The column of group_members for a user, or for a group that the caller sees. */
async function columnOf (tx: Database, caller: Caller, memberId: string): Promise<Prisma.Sql> {
  if (await findUserById(tx, memberId) !== null) return Prisma.sql`user_id`
  const group = await findSeenResource(tx, caller, memberId)
  // Something else that they see is no group.
  if (group?.type !== 'group') throw new DeniedError('not-found', { resourceId: memberId, action: 'view', ...group === null ? {} : { missing: null } })
  return Prisma.sql`member_group_id`
}
