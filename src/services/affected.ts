/**
 * Whose decisions a change may change, and where: read from the events that the change itself has written, so that no
 * change needs to say it a second time.
 */
import { Prisma } from '../generated/prisma/client.js'
import type { EventType } from './audit.js'
import type { Database } from './database.js'
import { everyoneId, isUnexpired } from './decision.js'

type Sql = Prisma.Sql

export interface Affected {
  /**
   * A subquery of `subject_id`, `place_id`: the decisions of those who are the subject, on the place and what is below it.
   * It finds the same before the change and after it.
   */
  areas: Sql
  /** Whether the binding `binding_` begins or ceases to count for a user, or gives another role: so its own place is an area for them. */
  isPart: (userId: Sql) => Sql
}

interface Event {
  type: EventType
  resourceId: string
  targetId: string
  before: Record<string, any> | null
  after: Record<string, any> | null
}

/** What a user can be bound as, which stays when they are deactivated: unlike the subjects of a decision. */
export const subjectsAround = (userId: Sql): Sql => Prisma.sql`
  SELECT ${userId} UNION ALL SELECT ${everyoneId}::uuid UNION ALL
  SELECT around_.group_id FROM group_members member_ JOIN group_closure around_ ON around_.member_group_id = member_.group_id
  WHERE member_.user_id = ${userId}`

const binding = Prisma.sql`binding_`
const counts = isUnexpired(binding)
const above = (id: string): Sql => Prisma.sql`SELECT ancestor_id FROM resource_closure WHERE descendant_id = ${id}::uuid`
const areasOf = (subjectId: Sql, placeId: Sql, which: Sql): Sql => Prisma.sql`
  SELECT ${subjectId} AS subject_id, ${placeId} AS place_id FROM role_bindings ${binding} WHERE ${counts} AND ${which}`

const ofBinding = ({ resourceId, before, after }: Event): Affected => ({
  areas: Prisma.sql`SELECT ${(after ?? before)?.['subject'].id ?? everyoneId}::uuid AS subject_id, ${resourceId}::uuid AS place_id`,
  isPart: () => Prisma.sql`FALSE`
})

/** The groups around a group stay as they are when its members change. */
const ofMember = ({ resourceId: groupId, targetId: memberId }: Event): Affected => {
  const isPart = Prisma.sql`${binding}.group_id IN (SELECT group_id FROM group_closure WHERE member_group_id = ${groupId}::uuid)`
  return { areas: areasOf(Prisma.sql`${memberId}::uuid`, Prisma.sql`${binding}.resource_id`, isPart), isPart: () => isPart }
}

const ofUser = ({ targetId: userId }: Event): Affected => {
  const isPart = (user: Sql) => Prisma.sql`${binding}.subject_id IN (${subjectsAround(user)})`
  const user = Prisma.sql`${userId}::uuid`
  // Each of the two has an index of its own.
  const areas = [Prisma.sql`${binding}.is_on_container`, Prisma.sql`NOT ${binding}.is_on_container`]
    .map((which) => areasOf(user, Prisma.sql`${binding}.resource_id`, Prisma.sql`${which} AND ${isPart(user)}`))
  return { areas: Prisma.join(areas, ' UNION ALL '), isPart }
}

const ofRole = ({ targetId: role, before, after }: Event): Affected[] => {
  if (JSON.stringify(before?.['permissions']) === JSON.stringify(after?.['permissions'])) return []
  const isOfRole = Prisma.sql`${binding}.role = ${role}`
  return [{
    areas: areasOf(Prisma.sql`${binding}.subject_id`, Prisma.sql`${binding}.resource_id`, isOfRole),
    isPart: (user) => Prisma.sql`${isOfRole} AND ${binding}.subject_id IN (${subjectsAround(user)})`
  }]
}

/** What counted above the old place and does not above the new one, or the other way round. */
const ofMove = ({ resourceId, before, after }: Event): Affected => {
  const [from, to] = [above(before?.['parentId']), above(after?.['parentId'])]
  const isOnOneWay = Prisma.sql`${binding}.resource_id IN ((${from} EXCEPT ${to}) UNION ALL (${to} EXCEPT ${from}))`
  return { areas: areasOf(Prisma.sql`${binding}.subject_id`, Prisma.sql`${resourceId}::uuid`, isOnOneWay), isPart: () => Prisma.sql`FALSE` }
}

/** A new role is bound to nobody, and neither is one that can be deleted; who ends a session changes no decision. */
const affectedBy: Partial<Record<EventType, (event: Event) => Affected | Affected[]>> = {
  'binding.created': ofBinding,
  'binding.deleted': ofBinding,
  'member.added': ofMember,
  'member.removed': ofMember,
  'user.activated': ofUser,
  'user.deactivated': ofUser,
  'role.updated': ofRole,
  'resource.moved': ofMove
}

/**
 * What a change that was made in this transaction affects; null for nothing.
 * @param requestId under which it, and nothing else, has written its events
 */
export async function findAffected (tx: Database, requestId: string): Promise<Affected | null> {
  // By the range of ids, which have the time in them: the log is long, and has no index on requests. A minute for the clock.
  const events = await tx.$queryRaw<Event[]>`
    SELECT type, resource_id AS "resourceId", target_id AS "targetId", before, after FROM audit_events
    WHERE id > (SELECT uuid_v7(now() - interval '1 minute')) AND request_id = ${requestId}::uuid ORDER BY id`
  const all = events.flatMap((event) => affectedBy[event.type]?.(event) ?? [])
  if (all.length === 0) return null
  return {
    areas: Prisma.join(all.map(({ areas }) => areas), ' UNION ALL '),
    isPart: (userId) => Prisma.sql`(${Prisma.join(all.map(({ isPart }) => isPart(userId)), ' OR ')})`
  }
}
