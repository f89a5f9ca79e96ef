/** Who has access to a resource: a page of users, each with what they may do and every grant that it comes from. */
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import type { Reader } from './database.js'
import { actionsOfType, allowedActions, allows, grantsOn, heldBy, heldByEveryone, isSeen, isUnexpired } from './decision.js'
import { type FoundGrant, type Grant, grantsFor, withChains } from './grants.js'
import { lastId } from './ids.js'

export interface Access {
  user: { id: string, name: string, email: string }
  allowedActions: string[]
  because: Grant[]
}

/** What whoever is signed in may do. */
export interface EveryonesAccess { allowedActions: string[] }

interface Situation {
  type: string
  /** Of the type, but for `create`. */
  actions: string[]
  isPossible: boolean
  allowedToEveryone: string[]
  everyoneSees: boolean
  everyoneHolds: boolean
}

/**
 * A page of the active users who have access otherwise than as everyone, in the order of their ids, and what everyone may
 * do. With an action, only those who may do that; it is otherwise than as everyone where everyone may not do it, or they
 * hold it themselves as well.
 * @param page `after`: the last id of the page before; `limit`: how many
 */
export async function listAccess (
  db: Reader, reader: Principal, resourceId: string, action: string | undefined, { after, limit }: { after?: string | undefined, limit: number }
): Promise<{ items: Access[], everyone: EveryonesAccess | null }> {
  const asked = Prisma.sql`${action ?? 'view'}::text`
  const [situation] = await db.$queryRaw<Situation[]>`
    SELECT r.type, array_remove(${actionsOfType}, 'create') AS actions, ${asked} = ANY ${actionsOfType} AS "isPossible", ${allowedActions} AS "allowedToEveryone",
      ${isSeen} AS "everyoneSees", ${allows(Prisma.sql`held.permissions`, Prisma.sql`r.type`, asked)} AS "everyoneHolds"
    FROM resources r JOIN resource_types t ON t.name = r.type CROSS JOIN LATERAL (${heldByEveryone(Prisma.sql`r.id`)}) held WHERE r.id = ${resourceId}::uuid`
  if (situation?.isPossible !== true) return { items: [], everyone: null }
  const { everyoneSees, everyoneHolds, allowedToEveryone } = situation
  const userIds = await listUserIds(db, resourceId, action, situation, { after, limit })
  return {
    items: await describeAccess(db, reader, resourceId, action, userIds),
    everyone: everyoneSees && everyoneHolds ? { allowedActions: allowedToEveryone } : null
  }
}

/** From each group so many first: two, as whoever founded everything is the first of many. */
const fewOfEach = 2

/**
 * Walks the members of every bound group, and the bindings of users on every ancestor, each in the order of the users' ids
 * and no further than the page: a group of a hundred thousand costs as much of it as the page takes. The first few of each
 * group tell how far the page can reach, so of a thousand groups only those are walked on that have more up to there.
 */
async function listUserIds (
  db: Reader, resourceId: string, action: string | undefined, { type, actions, everyoneSees, everyoneHolds }: Situation,
  { after, limit }: { after?: string | undefined, limit: number }
): Promise<string[]> {
  // By these grants of their own somebody is listed: where everyone sees it by any of an action, else only by one of seeing.
  // Who may do the action by a grant of their own may still not see it.
  const isBySeeing = !everyoneSees && (action === undefined || everyoneHolds)
  const wanted = isBySeeing ? ['view'] : action === undefined ? actions : [action]
  const sees = allows(Prisma.sql`held.permissions`, Prisma.sql`${type}`, Prisma.sql`'view'`)
  // As a scalar, which the planner leaves where it is; of an EXISTS it would make a join with every binding above.
  const mustSee = (id: Prisma.Sql, isSurelySeen: Prisma.Sql) => everyoneSees || isBySeeing
    ? Prisma.empty
    : Prisma.sql`AND (${isSurelySeen} OR (SELECT ${sees} FROM (${heldBy(id, Prisma.sql`${resourceId}::uuid`)}) held))`
  const firstOf = (id: Prisma.Sql, isSurelySeen: Prisma.Sql, most: number) => Prisma.sql`${after === undefined ? Prisma.empty : Prisma.sql`AND ${id} > ${after}::uuid`}
    AND EXISTS (SELECT FROM users u WHERE u.id = ${id} AND u.is_active) ${mustSee(id, isSurelySeen)} ORDER BY ${id} LIMIT ${most}`
  const rolesGiving = (actions: string[]) => Prisma.sql`ARRAY(SELECT p.role FROM role_permissions p WHERE p.type IN (${type}, '*') AND p.action = ANY (${[...actions, '*']}::text[]))`
  const isAmong = (roles: Prisma.Sql) => Prisma.sql`b.role = ANY ((SELECT ${roles} FROM giving)::text[])`
  const member = Prisma.sql`m.user_id`
  const rows = await db.$queryRaw<Array<{ id: string }>>`
    WITH giving AS MATERIALIZED (SELECT ${rolesGiving(wanted)} AS roles, ${rolesGiving(['view'])} AS seeing),
    place AS MATERIALIZED (SELECT ancestor_id AS id FROM resource_closure WHERE descendant_id = ${resourceId}::uuid),
    inside AS MATERIALIZED (
      SELECT c.member_group_id AS id, bool_or(${isAmong(Prisma.sql`seeing`)}) AS is_seen FROM role_bindings b JOIN group_closure c ON c.group_id = b.group_id
      WHERE b.resource_id IN (SELECT id FROM place) AND b.group_id IS NOT NULL AND ${isAmong(Prisma.sql`roles`)} AND ${isUnexpired(Prisma.sql`b`)} GROUP BY c.member_group_id),
    begun AS MATERIALIZED (
      SELECT inside.*, ARRAY(SELECT m.user_id FROM group_members m
        WHERE m.group_id = inside.id AND m.user_id IS NOT NULL ${firstOf(member, Prisma.sql`inside.is_seen`, fewOfEach)}) AS ids FROM inside),
    furthest AS MATERIALIZED (SELECT coalesce((SELECT DISTINCT one.id FROM begun CROSS JOIN LATERAL unnest(begun.ids) one(id) ORDER BY one.id OFFSET ${limit - 1} LIMIT 1), ${lastId}::uuid) AS id)
    SELECT DISTINCT found.id FROM (
      SELECT bound.id FROM place CROSS JOIN LATERAL (
        SELECT DISTINCT b.subject_id AS id FROM role_bindings b
        WHERE b.resource_id = place.id AND b.user_id IS NOT NULL AND ${isAmong(Prisma.sql`roles`)} AND ${isUnexpired(Prisma.sql`b`)}
          ${firstOf(Prisma.sql`b.subject_id`, isAmong(Prisma.sql`seeing`), limit)}) bound
      UNION ALL SELECT unnest(ids) FROM begun
      UNION ALL
      SELECT further.id FROM furthest CROSS JOIN begun CROSS JOIN LATERAL (
        SELECT m.user_id AS id FROM group_members m
        WHERE m.group_id = begun.id AND m.user_id > begun.ids[${fewOfEach}::int] AND m.user_id <= furthest.id ${firstOf(member, Prisma.sql`begun.is_seen`, limit)}) further
      WHERE begun.ids[${fewOfEach}::int] <= furthest.id) found
    ORDER BY found.id LIMIT ${limit}`
  return rows.map(({ id }) => id)
}

async function describeAccess (db: Reader, reader: Principal, resourceId: string, action: string | undefined, userIds: string[]): Promise<Access[]> {
  // OFFSET 0 keeps the planner from making one join of all users with every binding above.
  const rows = await db.$queryRaw<Array<FoundGrant & Access['user'] & { allowedActions: string[] }>>`
    WITH found AS MATERIALIZED (
      SELECT given.* FROM unnest(${userIds}::uuid[]) asked(id) CROSS JOIN LATERAL (
        SELECT asked.id AS "userId", binding_.id AS "bindingId", binding_.role, binding_.group_id AS "groupId", binding_.resource_id AS "resourceId",
          permission_.type AS of, permission_.action, permission_.type || ':' || permission_.action AS permission, binding_.expires_at AS "expiresAt", closure_.distance
        FROM ${grantsOn(Prisma.sql`asked.id`, Prisma.sql`${resourceId}::uuid`)} OFFSET 0) given),
    one AS (
      SELECT u.id, u.name, u.email, r.type, ${allowedActions} AS "allowedActions"
      FROM (SELECT "userId", array_agg(DISTINCT permission) AS permissions FROM found GROUP BY "userId") held JOIN users u ON u.id = held."userId"
      CROSS JOIN resources r JOIN resource_types t ON t.name = r.type WHERE r.id = ${resourceId}::uuid)
    SELECT one.*, found.* FROM one JOIN found ON found."userId" = one.id
    WHERE found.of IN (one.type, '*') AND found.action = ANY (one."allowedActions" || ARRAY['*', ${action ?? '*'}])
    ORDER BY one.id, found.distance, found."bindingId", found.permission COLLATE "C"`
  const grants = await withChains(db, rows)
  const users = [...new Map(rows.map((row) => [row.id, row])).values()]
  const because = await grantsFor(db, reader, users.map((user) => grants.filter(({ userId }) => userId === user.id)))
  return users.map(({ id, name, email, allowedActions }, index) => ({ user: { id, name, email }, allowedActions, because: because[index] as Grant[] }))
}
