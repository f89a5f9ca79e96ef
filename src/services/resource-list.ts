/**
 * Listing what a user may do something with: a page costs the same at the start and at the end, among a thousand resources
 * and among a million, for somebody who sees little and for somebody who sees all.
 *
 * Candidates are taken in the order of their ids and no further than the page: from below each binding on a container,
 * through the index of the closure; and from the bindings on leaves, each of which gives one resource, by a range of their
 * own index. Then what is held on those of the page is gathered in one go, and the decision is made on each as anywhere else.
 */
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import { prepareStatement, type Reader } from './database.js'
import { actionsOfType, allows, columnsByOrderedTypes, gives, heldFromOnEach, heldOn, isSeen, isUnexpired, orderedTypes, permissionsFor, type Resource, standardActions, subjectsOf } from './decision.js'

type Sql = Prisma.Sql

export interface ResourceFilter {
  type?: string | undefined
  parentId?: string | undefined
  /** The action that the user may do; default `view`. */
  action?: string | undefined
  /** Literally, anywhere in the name, whatever its case. */
  q?: string | undefined
}

/** Up to so many bindings on leaves are read at once for all of a user's groups together; of more, each group's are walked by themselves. */
const fewBindings = 1_000

/** About so many names are looked up one by one for a search, of all containers together, which takes less than to read those of a million. */
const fewNames = 20_000

/** The condition of all of some, where there are any. */
const all = (...conditions: Array<Sql | undefined>): Sql => Prisma.join([Prisma.sql`TRUE`, ...conditions.filter((condition) => condition !== undefined)], ' AND ')

/** What is asked for, and by whom. */
type Asked = [
  userId: string, permissions: readonly string[] | null, type: string | undefined, parentId: string | undefined, action: string, q: string | undefined,
  after: string | undefined, limit: number
]

/** What the text of the statement depends on: which of these there are, and whether all types have the action, that of seeing among them. */
interface Shape { isNarrowed: boolean, hasType: boolean, hasParent: boolean, hasName: boolean, isLater: boolean, action: 'view' | 'standard' | 'own' }

/** For each shape its statement, whose text is made once: 4 kB, in which the pieces of the decision stand. */
const statements = new Map<string, (...asked: Asked) => Sql>()

/**
 * A page of the resources that a user sees and on which they may do an action, in the order of their ids. A search by name
 * reads names until the page is full; where that takes long, those of all resources.
 * @param page `after`: the last id of the page before; `limit`: how many
 */
export async function listResources (
  db: Reader, { userId, permissions }: Principal, { type, parentId, action = 'view', q }: ResourceFilter, { after, limit }: { after?: string | undefined, limit: number }
): Promise<Resource[]> {
  const isStandard = standardActions.some((standard) => standard === action)
  const shape: Shape = {
    isNarrowed: permissions !== null,
    hasType: type !== undefined,
    hasParent: parentId !== undefined,
    hasName: q !== undefined,
    isLater: after !== undefined,
    action: action === 'view' ? action : isStandard ? 'standard' : 'own'
  }
  const key = Object.values(shape).join()
  // Each by itself, as they are counted.
  const statement = statements.get(key) ?? prepareStatement<Asked>((userId, permissions, type, parentId, action, q, after, limit) =>
    pageOf(shape, [userId, permissions, type, parentId, action, q, after, limit]))
  statements.set(key, statement)
  return await db.$queryRaw<Resource[]>(statement(userId, permissions, type, parentId, action, q, after, limit))
}

function pageOf (shape: Shape, asked: Asked): Sql {
  const conditions = conditionsOf(shape, asked)
  const { action, unexpired, subjects, principal } = conditions
  const inherited = shape.hasParent ? childrenOf(conditions) : belowContainers(conditions)
  const pageIds = Prisma.sql`(SELECT ids FROM page)::uuid[]`
  const ownOnPage = Prisma.sql`
    SELECT resource_id, role FROM own UNION ALL
    SELECT b.resource_id, b.role FROM role_bindings b
    WHERE NOT b.is_on_container AND b.subject_id = ANY (${subjects}) AND b.resource_id = ANY (${pageIds}) AND ${unexpired}`
  return Prisma.sql`
    WITH ${orderedTypes},
    permission AS MATERIALIZED (SELECT role, type, action FROM ${permissionsFor(principal)} p),
    giving AS MATERIALIZED (
      SELECT ARRAY(SELECT role || ':' || type FROM permission WHERE action IN (${action}, '*')) AS roles
        ${shape.action === 'view' ? Prisma.empty : Prisma.sql`, ARRAY(SELECT role || ':' || type FROM permission WHERE action IN ('view', '*')) AS seeing`}),
    subject AS MATERIALIZED (SELECT ${subjectsOf(Prisma.sql`${principal.userId}::uuid`)} AS ids),
    own AS MATERIALIZED (SELECT b.resource_id, b.role FROM role_bindings b WHERE b.is_on_container AND b.subject_id = ANY (${subjects}) AND ${unexpired}),
    few AS MATERIALIZED (${fewOnLeaves(conditions)}),
    ${shape.hasName ? Prisma.sql`named AS MATERIALIZED (SELECT r.id FROM resources r WHERE ${conditions.isNamed}),` : Prisma.empty}
    page AS MATERIALIZED (
      SELECT ARRAY(SELECT DISTINCT found.id FROM (${inherited} UNION ALL ${onLeaves(conditions)}) found ORDER BY found.id LIMIT ${conditions.limit}) AS ids)
    SELECT ${columnsByOrderedTypes} FROM resources r JOIN resource_types t ON t.name = r.type
    JOIN (${heldFromOnEach(ownOnPage, Prisma.sql`permission`, Prisma.sql`(${pageIds})`)}) held ON held.resource_id = r.id
    WHERE r.id = ANY (${pageIds}) AND ${isSeen} ORDER BY r.id`
}

type Conditions = ReturnType<typeof conditionsOf>

/** The parts of the statement that depend on what is asked for. */
function conditionsOf (shape: Shape, [userId, permissions, type, parentId, action, q, after, limit]: Asked) {
  const principal: Principal = { userId, permissions: shape.isNarrowed ? permissions : null }
  /** Whether the user sees what has an id. As a scalar, which the planner leaves where it is, so that it is asked only of those that come so far. */
  const seesById = (id: Sql) => Prisma.sql`(SELECT ${isSeen} FROM resources r CROSS JOIN LATERAL (${heldOn(principal, Prisma.sql`r.id`)}) held WHERE r.id = ${id})`
  // position(), not LIKE: nothing in the text needs escaping.
  const isNamed = Prisma.sql`position(lower(${q}) IN lower(r.name)) > 0`
  const isNamedById = (id: Sql) => Prisma.sql`(SELECT ${isNamed} FROM resources r WHERE r.id = ${id})`
  // As an array, which the planner takes for a short one: so each candidate is looked up among its hashes, however many there are.
  const isFound = Prisma.sql`CASE WHEN candidate.place <= ${fewNames} / (SELECT 1 + count(*) FROM own) THEN ${isNamedById(Prisma.sql`candidate.id`)}
    ELSE candidate.id IN (SELECT unnest(ARRAY(SELECT id FROM named))) END`
  const isAfter = (id: Sql) => shape.isLater ? Prisma.sql`${id} > ${after}::uuid` : Prisma.sql`TRUE`
  const mustSee = shape.action === 'view' ? undefined : Prisma.sql`(candidate.is_seen OR ${seesById(Prisma.sql`candidate.id`)})`
  return {
    shape,
    principal,
    isNamed,
    action: Prisma.sql`${action}`,
    limit,
    parentId,
    /** Whether something is of the type that is asked for; undefined: of any. */
    isOfType: (column: Sql) => shape.hasType ? Prisma.sql`${column} = ${type}` : undefined,
    subjects: Prisma.sql`(SELECT ids FROM subject)::uuid[]`,
    unexpired: isUnexpired(Prisma.sql`b`),
    /** Types that have the action; undefined: all. */
    typesWithAction: shape.action === 'own' ? Prisma.sql`(SELECT t.name FROM resource_types t WHERE ${action} = ANY (t.own_actions))` : undefined,
    /**
     * The first few of some candidates, in their order.
     * @param id their column, and `candidates` FROM and WHERE
     * @param isSurelySeen whether the grant of the action is one of `view` as well; what it reaches may else be hidden all the same
     */
    firstOf: (id: Sql, candidates: Sql, isSurelySeen: Sql) => Prisma.sql`
      SELECT DISTINCT candidate.id FROM (
        SELECT ${id} AS id ${mustSee === undefined ? Prisma.empty : Prisma.sql`, ${isSurelySeen} AS is_seen`} ${shape.hasName ? Prisma.sql`, row_number() OVER (ORDER BY ${id}) AS place` : Prisma.empty}
        ${candidates} AND ${isAfter(id)}) candidate
      WHERE ${all(shape.hasName ? isFound : undefined, mustSee)}
      ORDER BY candidate.id LIMIT ${limit}`,
    /** Which bindings give a resource alone; under a parent, those on its children are all that matter. */
    isOnLeaf: all(
      shape.hasParent ? Prisma.sql`b.resource_parent_id = ${parentId}::uuid` : Prisma.sql`NOT b.is_on_container`,
      isAfter(Prisma.sql`b.resource_id`))
  }
}

/** From below each container on which the action is given, the first few; of one type where it is given for that, or asked for. */
function belowContainers ({ shape, action, isOfType, typesWithAction, firstOf }: Conditions): Sql {
  const below = (isGiven: Sql) => Prisma.sql`(${firstOf(
    Prisma.sql`c.descendant_id`, Prisma.sql`FROM resource_closure c WHERE ${isGiven} AND c.ancestor_id = bound.resource_id`, Prisma.sql`bound.is_seen`)})`
  const isAnyType = !shape.hasType && typesWithAction === undefined
  const [ofType, tables] = isAnyType
    ? [Prisma.sql`p.type`, Prisma.sql`permission p`]
    : [Prisma.sql`t.name`, Prisma.sql`permission p JOIN resource_types t ON p.type IN (t.name, '*')`]
  const isSeen = shape.action === 'view'
    ? Prisma.sql`TRUE`
    : Prisma.sql`EXISTS (SELECT FROM permission seeing WHERE seeing.role = p.role AND ${gives(Prisma.sql`seeing`, ofType, Prisma.sql`'view'`)})`
  return Prisma.sql`
    SELECT found.id FROM (
      SELECT own.resource_id, given.type, bool_or(given.is_seen) AS is_seen FROM own JOIN (
        SELECT DISTINCT p.role, ${ofType} AS type, ${isSeen} AS is_seen FROM ${tables} WHERE p.action IN (${action}, '*')
          AND ${all(isOfType(Prisma.sql`t.name`), typesWithAction === undefined ? undefined : Prisma.sql`t.name IN ${typesWithAction}`)}) given
        ON given.role = own.role GROUP BY own.resource_id, given.type) bound
    CROSS JOIN LATERAL (${isAnyType
      ? Prisma.sql`${below(Prisma.sql`bound.type = '*'`)} UNION ALL ${below(Prisma.sql`bound.type <> '*' AND c.type = bound.type`)}`
      : below(Prisma.sql`c.type = bound.type`)}) found`
}

/** The first few children of a parent, of each type for which the action is given on the parent. */
function childrenOf ({ action, isOfType, parentId, principal, firstOf }: Conditions): Sql {
  const isAllowed = (of: Sql) => allows(Prisma.sql`held.permissions`, Prisma.sql`t.name`, of)
  return Prisma.sql`
    SELECT found.id FROM resources parent CROSS JOIN LATERAL (${heldOn(principal, Prisma.sql`parent.id`)}) held
    JOIN resource_type_parents child ON child.parent = parent.type JOIN resource_types t ON t.name = child.type
    CROSS JOIN LATERAL (${firstOf(
      Prisma.sql`c.id`, Prisma.sql`FROM resources c WHERE c.parent_id = ${parentId}::uuid AND c.type = t.name`, isAllowed(Prisma.sql`'view'`))}) found
    WHERE parent.id = ${parentId}::uuid AND ${action} = ANY ${actionsOfType} AND ${isAllowed(action)} AND ${all(isOfType(Prisma.sql`t.name`))}`
}

const fewOnLeaves = ({ subjects, unexpired, isOnLeaf }: Conditions): Sql => Prisma.sql`
  SELECT b.resource_id, b.resource_type, b.role FROM role_bindings b WHERE b.subject_id = ANY (${subjects}) AND ${isOnLeaf} AND ${unexpired} LIMIT ${fewBindings} + 1`

/** Of the bindings on leaves those that give the action, the first few of each subject. */
function onLeaves ({ isOfType, subjects, unexpired, typesWithAction, firstOf, isOnLeaf }: Conditions): Sql {
  const isAmong = (roles: Sql) => Prisma.sql`ARRAY[b.role || ':' || b.resource_type, b.role || ':*'] && (SELECT ${roles} FROM giving)`
  const gives = all(
    isAmong(Prisma.sql`roles`),
    isOfType(Prisma.sql`b.resource_type`),
    typesWithAction === undefined ? undefined : Prisma.sql`b.resource_type IN ${typesWithAction}`)
  const isFew = Prisma.sql`(SELECT count(*) FROM few) <= ${fewBindings}`
  const firstGivenBy = (bindings: Sql) => firstOf(Prisma.sql`b.resource_id`, Prisma.sql`FROM ${bindings} AND ${gives}`, isAmong(Prisma.sql`seeing`))
  return Prisma.sql`
    (${firstGivenBy(Prisma.sql`few b WHERE ${isFew}`)})
    UNION ALL
    SELECT found.id FROM unnest(${subjects}) one(id)
    CROSS JOIN LATERAL (${firstGivenBy(Prisma.sql`role_bindings b WHERE b.subject_id = one.id AND ${isOnLeaf} AND ${unexpired}`)}) found
    WHERE NOT ${isFew}`
}
