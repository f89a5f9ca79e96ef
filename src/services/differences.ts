/**
 * Which decisions differ before and after a change. What a user holds on a thing is what they hold on the place at which
 * something changes for them, and what is bound below that, which stays. So both are compared at the places first, and only
 * below those where they differ are things looked at, of the types for which they differ, one after the other.
 */
import { Prisma } from '../generated/prisma/client.js'
import { type Affected, subjectsAround } from './affected.js'
import type { Principal } from './caller.js'
import type { Database } from './database.js'
import {
  actionsOfType, allows, type Decision, decisionOn, everyoneId, gives, grantsOn, heldBy, isUnexpired, permissionsFor, subjectsOf
} from './decision.js'

type Sql = Prisma.Sql

/** Somebody for whom something changes at a place and on what is below it, and what they hold there afterwards. */
export interface Reached { userId: string, placeId: string, after: string[] }

/** A decision that differs; ids. */
export interface Difference { user: string, resource: string, action: string, before: Decision, after: Decision }

/** How much is looked at, at most. The whole of it is done within a second, and a thousand differences are found long before. */
export interface Effort {
  /** Users at places. */
  reached: number
  /** Subtrees of one type for one user. */
  subtrees: number
  /** Things for one user. */
  things: number
}

/** What was found, and whether there was more to look at. */
export interface Found<T> { items: T[], isCut: boolean }

/** Where somebody sees things, and of which types: the bindings by which they do. */
const sightOf = (caller: Principal): Sql => {
  // Each of the two has an index of its own.
  const bound = (which: Sql) => Prisma.sql`
    SELECT b.resource_id, b.role FROM role_bindings b
    WHERE ${which} AND b.subject_id = ANY (${subjectsOf(Prisma.sql`${caller.userId}::uuid`)}::uuid[]) AND ${isUnexpired(Prisma.sql`b`)}`
  return Prisma.sql`
    SELECT DISTINCT b.resource_id AS place_id, p.type FROM (${bound(Prisma.sql`b.is_on_container`)} UNION ALL ${bound(Prisma.sql`NOT b.is_on_container`)}) b
    JOIN ${permissionsFor(caller)} p ON p.role = b.role WHERE p.action IN ('view', '*')`
}

/** Where somebody sees something, and things of which type (`*`: any) at or below it; and all places that have one of these below them. */
export interface Sight { tops: Array<{ id: string, type: string }>, around: string[] }

export async function findSight (tx: Database, caller: Principal): Promise<Sight> {
  const [sight] = await tx.$queryRaw<[Sight]>`
    WITH top AS MATERIALIZED (
      SELECT sight.place_id AS id, sight.type FROM (${sightOf(caller)}) sight
      WHERE sight.type = '*' OR EXISTS (SELECT FROM resource_closure c WHERE c.ancestor_id = sight.place_id AND c.type = sight.type))
    SELECT (SELECT coalesce(jsonb_agg(top), '[]') FROM top) AS tops,
      ARRAY(SELECT DISTINCT c.ancestor_id FROM top JOIN resource_closure c ON c.descendant_id = top.id)::text[] AS around`
  return sight
}

/** The rows of a subquery; and, also where there are none, whether something was cut. */
async function findWithCut<T> (tx: Database, tables: Sql, isCut: Sql, rows: Sql): Promise<Found<T>> {
  const found = await tx.$queryRaw<Array<{ item: T | null, isCut: boolean }>>`
    WITH ${tables} SELECT found.item, cut."isCut" FROM (SELECT ${isCut} AS "isCut") cut LEFT JOIN (SELECT to_jsonb(each) AS item FROM (${rows}) each) found ON TRUE`
  return { items: found.flatMap(({ item }) => item ?? []), isCut: found.some(({ isCut }) => isCut) }
}

/**
 * Who is reached by a change and where, in the state after it. Where the caller sees nothing is left out: how much there is would show
 * in what is cut.
 * @param sight of the caller, in the state before it
 * @param whose the caller alone, or everybody else
 */
export async function findReached (
  tx: Database, { userId }: Principal, { tops, around }: Sight, { areas }: Affected, whose: 'own' | 'others', { reached: most }: Effort
): Promise<Found<Reached>> {
  const isInSight = Prisma.sql`(area.place_id = ANY (${around}::uuid[])
    OR EXISTS (
      SELECT FROM resource_closure c JOIN top ON top.id = c.ancestor_id WHERE c.descendant_id = area.place_id
        AND (top.type = '*' OR EXISTS (SELECT FROM resource_closure below WHERE below.ancestor_id = area.place_id AND below.type = top.type))))`
  const caller = Prisma.sql`${userId}::uuid`
  // Each branch in order and no further than needed: a group of a hundred thousand costs no more than one of a few thousand.
  const users = Prisma.sql`
    SELECT id FROM users WHERE id = area.subject_id
    UNION ALL (SELECT id FROM users WHERE area.subject_id = ${everyoneId}::uuid ORDER BY id LIMIT ${most + 2})
    UNION ALL SELECT member.user_id FROM group_closure inside CROSS JOIN LATERAL (
      SELECT m.user_id FROM group_members m WHERE m.group_id = inside.member_group_id AND m.user_id IS NOT NULL ORDER BY m.user_id LIMIT ${most + 2}) member
    WHERE inside.group_id = area.subject_id`
  const [which, reached] = whose === 'own'
    ? [Prisma.sql`area.subject_id IN (${subjectsAround(caller)})`, Prisma.sql`SELECT ${caller} AS user_id, area.place_id FROM area`]
    : [Prisma.sql`TRUE`, Prisma.sql`SELECT user_.id AS user_id, area.place_id FROM area CROSS JOIN LATERAL (${users}) user_ WHERE user_.id <> ${caller}`]
  return await findWithCut<Reached>(tx, Prisma.sql`
    top AS MATERIALIZED (SELECT id, type FROM jsonb_to_recordset(${JSON.stringify(tops)}::jsonb) top(id uuid, type text)),
    area AS MATERIALIZED (SELECT area.* FROM (${areas}) area WHERE ${which} AND ${isInSight} ORDER BY area.place_id, area.subject_id LIMIT ${most + 1}),
    reached AS MATERIALIZED (SELECT * FROM (${reached}) reached LIMIT ${most + 1})`,
  Prisma.sql`(SELECT count(*) FROM area) > ${most} OR (SELECT count(*) FROM reached) > ${most}`,
  Prisma.sql`
    SELECT pair.user_id AS "userId", pair.place_id AS "placeId", held.permissions AS after
    FROM (SELECT DISTINCT user_id, place_id FROM reached ORDER BY user_id, place_id) pair
    CROSS JOIN LATERAL (${heldBy(Prisma.sql`pair.user_id`, Prisma.sql`pair.place_id`)}) held`)
}

/**
 * The decisions that differ for those who are reached, on things that the caller sees, in the state before the change.
 * @param most how many are wanted; one more is given where there is one
 */
export async function findDifferences (
  tx: Database, caller: Principal, { isPart }: Affected, reached: readonly Reached[], most: number, effort: Effort
): Promise<Found<Difference>> {
  const given = reached.map(({ userId, placeId, after }, index) => ({ number: index, user_id: userId, place_id: placeId, after }))
  const [type, action] = [Prisma.sql`t.name`, Prisma.sql`action`]
  const heldDiffers = Prisma.sql`(${allows(Prisma.sql`held.permissions`, type, action)}) <> (${allows(Prisma.sql`given.after`, type, action)})`
  const distance = Prisma.sql`(SELECT c.distance FROM resource_closure c WHERE c.ancestor_id = pair.place_id AND c.descendant_id = r.id)`
  const decided = (held: Sql) => decisionOn(Prisma.sql`(${held} || coalesce(below.permissions, '{}'))`, action)
  return await findWithCut<Difference>(tx, Prisma.sql`
    pair AS MATERIALIZED (
      SELECT given.*, held.permissions AS before, differing.types
      FROM jsonb_to_recordset(${JSON.stringify(given)}::jsonb) AS given(number int, user_id uuid, place_id uuid, after text[])
      CROSS JOIN LATERAL (${heldBy(Prisma.sql`given.user_id`, Prisma.sql`given.place_id`)}) held
      CROSS JOIN LATERAL (
        SELECT array_agg(t.name) AS types FROM resource_types t WHERE EXISTS (SELECT FROM unnest(${actionsOfType}) action WHERE ${heldDiffers})) differing
      WHERE held.permissions <> given.after AND differing.types IS NOT NULL),
    sight AS MATERIALIZED (${sightOf(caller)}),
    place AS MATERIALIZED (SELECT DISTINCT place_id FROM pair),
    -- The subtrees below the places in which the caller sees things: whole ones, or those that begin further down.
    subtree AS MATERIALIZED (
      SELECT place.place_id, place.place_id AS top_id, t.name AS type
      FROM place JOIN resource_closure c ON c.descendant_id = place.place_id JOIN sight ON sight.place_id = c.ancestor_id JOIN resource_types t ON sight.type IN (t.name, '*')
      UNION SELECT place.place_id, sight.place_id, t.name
      FROM sight JOIN resource_closure c ON c.descendant_id = sight.place_id AND c.distance > 0 JOIN place ON place.place_id = c.ancestor_id JOIN resource_types t ON sight.type IN (t.name, '*')),
    -- None inside another.
    apart AS MATERIALIZED (
      SELECT subtree.* FROM subtree WHERE subtree.top_id = subtree.place_id OR NOT EXISTS (
        SELECT FROM ${grantsOn(Prisma.sql`${caller.userId}::uuid`, Prisma.sql`subtree.top_id`, undefined, permissionsFor(caller))}
          AND closure_.distance > 0 AND ${gives(Prisma.sql`permission_`, Prisma.sql`subtree.type`, Prisma.sql`'view'`)})),
    walk AS MATERIALIZED (
      SELECT pair.number, apart.top_id, apart.type FROM pair JOIN apart ON apart.place_id = pair.place_id AND apart.type = ANY (pair.types) LIMIT ${effort.subtrees + 1}),
    thing AS MATERIALIZED (
      SELECT walk.number, walk.type, c.descendant_id AS id FROM walk CROSS JOIN LATERAL (
        SELECT c.descendant_id FROM resource_closure c WHERE c.ancestor_id = walk.top_id AND c.type = walk.type ORDER BY c.descendant_id LIMIT ${effort.things + 1}) c
      LIMIT ${effort.things + 1})`,
  Prisma.sql`(SELECT count(*) FROM walk) > ${effort.subtrees} OR (SELECT count(*) FROM thing) > ${effort.things}`,
  Prisma.sql`
    SELECT pair.user_id AS "user", r.id AS resource, action, decided.before, decided.after
    FROM thing r JOIN pair ON pair.number = r.number JOIN resource_types t ON t.name = r.type
    CROSS JOIN LATERAL (
      SELECT array_agg(DISTINCT permission_.type || ':' || permission_.action) AS permissions
      FROM ${grantsOn(Prisma.sql`pair.user_id`, Prisma.sql`r.id`)} AND closure_.distance < ${distance}) below
    CROSS JOIN LATERAL unnest(${actionsOfType}) action
    CROSS JOIN LATERAL (SELECT ${decided(Prisma.sql`pair.before`)} AS before, ${decided(Prisma.sql`pair.after`)} AS after) decided
    WHERE decided.before <> decided.after
      -- Where something changes further down, it is looked at from there.
      AND NOT EXISTS (
        SELECT FROM resource_closure c JOIN role_bindings binding_ ON binding_.resource_id = c.ancestor_id
        WHERE c.descendant_id = r.id AND c.distance < ${distance} AND ${isUnexpired(Prisma.sql`binding_`)} AND ${isPart(Prisma.sql`pair.user_id`)})
    LIMIT ${most + 1}`)
}
