/**
 * The decision: who may do what on which thing. It stands here once, as SQL, and the guard, lists and everything that
 * asks about access are made of these pieces (contract §5).
 */
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'

type Sql = Prisma.Sql

export const rootId = '00000000-0000-0000-0000-000000000000'
/** The subject that every signed-in user is. */
export const everyoneId = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

/** The actions that every type has. */
export const standardActions = ['view', 'create', 'edit', 'delete', 'share'] as const
export type StandardAction = typeof standardActions[number]
/** All of them are needed; the first one tells what a request is for. */
export type RequiredActions = readonly [StandardAction, ...StandardAction[]]

/** All actions of the type `t`. */
export const actionsOfType = Prisma.sql`(ARRAY['view', 'create', 'edit', 'delete', 'share'] || t.own_actions)`

/**
 * The ids under which a user may be bound to a role, as an array: the user, every group around them at any depth, and everyone;
 * null for who is not active. An array, because an index on subjects is then entered once for all of them: a user may be in hundreds
 * of groups. Most groups are in no other, so what is around them is a look into a small index of those that are.
 */
export const subjectsOf = (userId: Sql): Sql => Prisma.sql`(
  SELECT ARRAY[user_.id, ${everyoneId}::uuid] || direct_.ids || ARRAY(
    SELECT around_.group_id FROM group_closure around_ WHERE around_.member_group_id = ANY (direct_.ids) AND around_.group_id <> around_.member_group_id)
  FROM users user_, (SELECT ARRAY(SELECT member_.group_id FROM group_members member_ WHERE member_.user_id = ${userId}) AS ids OFFSET 0) direct_
  WHERE user_.id = ${userId} AND user_.is_active)`

/** Whether the binding in the table `alias` still counts: now, and not when a transaction began that has waited for locks since. */
export const isUnexpired = (alias: Sql): Sql => Prisma.sql`(${alias}.expires_at IS NULL OR ${alias}.expires_at > statement_timestamp())`

/**
 * What roles give a principal: a table like role_permissions. Of a token, each permission of the role is met with each of the
 * token's, and what both give is left: so a right counts where both have it, and a wildcard only where both have one.
 */
export const permissionsFor = ({ permissions }: Principal): Sql => permissions === null
  ? Prisma.sql`role_permissions`
  : Prisma.sql`(
    SELECT of_role.role, CASE of_role.type WHEN '*' THEN of_token.type ELSE of_role.type END AS type,
      CASE of_role.action WHEN '*' THEN of_token.action ELSE of_role.action END AS action
    FROM role_permissions of_role JOIN (
      SELECT split_part(permission, ':', 1) AS type, split_part(permission, ':', 2) AS action FROM unnest(${permissions}::text[]) permission) of_token
      ON (of_role.type = of_token.type OR '*' IN (of_role.type, of_token.type)) AND (of_role.action = of_token.action OR '*' IN (of_role.action, of_token.action)))`

/**
 * What every decision is made of: tables and conditions that give a row for each permission of each binding on a resource
 * or above it. They have names of their own, so that `resourceId` can be a column of the statement around them, or many of them
 * as `ANY (…)`; more conditions can follow with AND.
 * @param bindings a table like role_bindings
 * @param permissions a table like role_permissions
 */
const grantsFrom = (bindings: Sql, resourceId: Sql, permissions: Sql): Sql => Prisma.sql`
  resource_closure closure_ JOIN ${bindings} binding_ ON binding_.resource_id = closure_.ancestor_id
  JOIN ${permissions} permission_ ON permission_.role = binding_.role
  WHERE closure_.descendant_id = ${resourceId}`

/**
 * The same of those bindings that count for some subjects.
 * @param subjectIds an array
 * @param counts which bindings `binding_` count
 */
const grantsTo = (
  subjectIds: Sql, resourceId: Sql, counts = isUnexpired(Prisma.sql`binding_`), permissions = Prisma.sql`role_permissions`
): Sql => Prisma.sql`
  ${grantsFrom(Prisma.sql`role_bindings`, resourceId, permissions)} AND ${counts} AND binding_.subject_id = ANY (${subjectIds}::uuid[])`

/** The same for a user, who may be a column too; none for who is not active. */
export const grantsOn = (userId: Sql, resourceId: Sql, counts?: Sql, permissions?: Sql): Sql => grantsTo(subjectsOf(userId), resourceId, counts, permissions)

/**
 * The columns of `held`, for the rows of grants: `permissions` that somebody holds on a resource as `type:action`, and those of
 * them, `above`, that come from its ancestors and so hold on its parent too.
 */
const heldColumns = Prisma.sql`
  coalesce(array_agg(DISTINCT permission_.type || ':' || permission_.action), '{}') AS permissions,
  coalesce(array_agg(DISTINCT permission_.type || ':' || permission_.action) FILTER (WHERE closure_.distance > 0), '{}') AS above`

/** A subquery of one row: what a user holds on a resource. */
const heldThrough = (permissions: Sql, userId: Sql, resourceId: Sql): Sql => Prisma.sql`
  SELECT ${heldColumns} FROM ${grantsOn(userId, resourceId, undefined, permissions)}`

/** Of any user, without a token. */
export const heldBy = (userId: Sql, resourceId: Sql): Sql => heldThrough(Prisma.sql`role_permissions`, userId, resourceId)

/** Of whoever is asking. */
export const heldOn = (principal: Principal, resourceId: Sql): Sql =>
  heldThrough(permissionsFor(principal), Prisma.sql`${principal.userId}::uuid`, resourceId)

/** What whoever is signed in holds. */
export const heldByEveryone = (resourceId: Sql): Sql => Prisma.sql`
  SELECT coalesce(array_agg(DISTINCT permission_.type || ':' || permission_.action), '{}') AS permissions
  FROM ${grantsTo(Prisma.sql`ARRAY[${everyoneId}]`, resourceId)}`

/**
 * What a subject gives to whoever is in it: of a group what is bound to it, to the groups around it and to everyone, of everyone what is
 * bound to them, and of a user all. What else somebody holds comes on top, so where this stays the same, nobody's rights change by it.
 */
export const heldBySubject = (subjectId: Sql, resourceId: Sql): Sql => Prisma.sql`
  SELECT ${heldColumns} FROM ${grantsTo(Prisma.sql`(
    CASE WHEN EXISTS (SELECT FROM users WHERE id = ${subjectId}) THEN ${subjectsOf(subjectId)}
      ELSE ARRAY[${subjectId}, ${everyoneId}::uuid] || ARRAY(SELECT around_.group_id FROM group_closure around_ WHERE around_.member_group_id = ${subjectId}) END)`, resourceId)}`

/**
 * What is held on many resources at once, with a row for each `resource_id` on which anything is. What is above them, which is little,
 * and the bindings are read each by itself: a planner that joins them as tables may read all that is below each binding, which grows
 * with the tree, or look each binding up on each ancestor.
 * @param bindings the `resource_id` and `role` of those that count; there the name resource_closure is only what is above the resources
 * @param permissions a table like role_permissions
 */
export const heldFromOnEach = (bindings: Sql, permissions: Sql, resourceIds: Sql): Sql => Prisma.sql`
  WITH resource_closure AS MATERIALIZED (SELECT ancestor_id, descendant_id, distance FROM resource_closure WHERE descendant_id = ANY (${resourceIds})),
  bound_ AS MATERIALIZED (${bindings})
  SELECT closure_.descendant_id AS resource_id, ${heldColumns}
  FROM ${grantsFrom(Prisma.sql`bound_`, Prisma.sql`ANY (${resourceIds})`, permissions)} GROUP BY closure_.descendant_id`

/** The same of a user. Many have the same ancestors, whose bindings are gathered once. */
const heldThroughOnEach = (permissions: Sql, userId: Sql, resourceIds: Sql): Sql => heldFromOnEach(Prisma.sql`
  SELECT binding_.resource_id, binding_.role FROM role_bindings binding_
  WHERE binding_.resource_id = ANY (ARRAY(SELECT DISTINCT ancestor_id FROM resource_closure)) AND binding_.subject_id = ANY (${subjectsOf(userId)}::uuid[])
    AND ${isUnexpired(Prisma.sql`binding_`)}`, permissions, resourceIds)

/** Of any user, without a token. */
export const heldByOnEach = (userId: Sql, resourceIds: Sql): Sql => heldThroughOnEach(Prisma.sql`role_permissions`, userId, resourceIds)

/** Of whoever is asking. */
export const heldOnEach = (principal: Principal, resourceIds: Sql): Sql =>
  heldThroughOnEach(permissionsFor(principal), Prisma.sql`${principal.userId}::uuid`, resourceIds)

/** Whether `permissions` allow an action on a type: exactly, or by a wildcard on either side. */
export const allows = (permissions: Sql, type: Sql, action: Sql): Sql => Prisma.sql`
  ${permissions} && ARRAY[${type} || ':' || ${action}, ${type} || ':*', '*:' || ${action}, '*:*']`

/** Whether one permission, a row of the table `alias`, gives an action on a type. */
export const gives = (alias: Sql, type: Sql, action: Sql): Sql => Prisma.sql`(${alias}.type IN (${type}, '*') AND ${alias}.action IN (${action}, '*'))`

const view = Prisma.sql`'view'`

/** Whether a user sees `r` of type `r.type`, given `held` of it. */
export const isSeen = allows(Prisma.sql`held.permissions`, Prisma.sql`r.type`, view)

export type Decision = 'allow' | 'forbid' | 'hide'

/**
 * The decision about an action, given the `permissions` that somebody holds on `r`, whose type is `t`; null for none. Nobody may do what
 * the type does not have; nobody sees what is not there.
 */
export const decisionOn = (permissions: Sql, action: Sql): Sql => Prisma.sql`
  CASE WHEN ${allows(permissions, Prisma.sql`r.type`, view)} IS NOT TRUE THEN 'hide'
    WHEN ${action} = ANY ${actionsOfType} AND ${allows(permissions, Prisma.sql`r.type`, action)} THEN 'allow' ELSE 'forbid' END`

/** A resource as its reader may see it. */
export interface Resource {
  id: string
  type: string
  name: string
  /** Null for the root, and where the parent is hidden from the reader. */
  parentId: string | null
  attributes: Record<string, unknown>
  createdAt: Date
  updatedAt: Date
  /** Sorted; without `create`. */
  allowedActions: string[]
  creatableTypes: string[]
  version: number
}

/** `ORDER BY`: "C" collation is the order of the names' bytes, the same on every server. */
const inOrderOf = (name: Sql): Sql => Prisma.sql`ORDER BY ${name} COLLATE "C"`

/** Which of some actions on `r` are allowed, but for `create`, given `held` of it. */
const allowedAmong = (actions: Sql, order: Sql): Sql => Prisma.sql`
  ARRAY(SELECT action FROM unnest(${actions}) action
    WHERE ${isSeen} AND action <> 'create' AND ${allows(Prisma.sql`held.permissions`, Prisma.sql`r.type`, Prisma.sql`action`)} ${order})`

/** Of those of the type `t`, in their order. */
export const allowedActions = allowedAmong(actionsOfType, inOrderOf(Prisma.sql`action`))

const columnsWith = (allowedActions: Sql, order: Sql): Sql => Prisma.sql`
  r.id, r.type, r.name, r.attributes, r.version, r.created_at AS "createdAt", r.updated_at AS "updatedAt",
  CASE WHEN ${allows(Prisma.sql`held.above`, Prisma.sql`r.parent_type`, view)} THEN r.parent_id END AS "parentId",
  ${allowedActions} AS "allowedActions",
  ARRAY(SELECT child.type::text FROM resource_type_parents child
    WHERE ${isSeen} AND child.parent = r.type AND ${allows(Prisma.sql`held.permissions`, Prisma.sql`child.type`, Prisma.sql`'create'`)} ${order}) AS "creatableTypes"`

/** The columns of a `Resource` `r` of the type `t`, given `held` of it. */
export const resourceColumns = columnsWith(allowedActions, inOrderOf(Prisma.sql`child.type`))

/**
 * For many resources: tables in place of `resource_types` and `resource_type_parents`, read once and in order, and the columns made
 * of them, which sort nothing.
 */
export const orderedTypes = Prisma.sql`
  resource_types AS MATERIALIZED (
    SELECT t.name, t.own_actions, ARRAY(SELECT action FROM unnest(${actionsOfType}) action ${inOrderOf(Prisma.sql`action`)}) AS actions FROM resource_types t),
  resource_type_parents AS MATERIALIZED (SELECT type, parent FROM resource_type_parents ${inOrderOf(Prisma.sql`type`)})`
export const columnsByOrderedTypes = columnsWith(allowedAmong(Prisma.sql`t.actions`, Prisma.empty), Prisma.empty)

/** The resources with the ids that `ids` selects, as the user may see them. */
export const resourcesFor = (principal: Principal, ids: Sql, filter: Sql): Sql => Prisma.sql`
  SELECT ${resourceColumns} FROM resources r JOIN resource_types t ON t.name = r.type
  CROSS JOIN LATERAL (${heldOn(principal, Prisma.sql`r.id`)}) held
  WHERE r.id IN (${ids}) AND ${filter} ORDER BY r.id`

/** The resources with the ids that `ids` selects and that the user sees, in the order of their ids. */
export const seenResources = (principal: Principal, ids: Sql): Sql => resourcesFor(principal, ids, isSeen)
