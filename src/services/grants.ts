/** Grants as answers about access show them: each with the chain of groups through which it reaches the user. */
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import type { Reader } from './database.js'
import { heldOn, isSeen } from './decision.js'

/** One permission of one binding, and how it reaches the user. */
export interface Grant {
  bindingId: string
  role: string
  /** As the role spells it. */
  permission: string
  /** The group that is bound, and so on inwards to the one that the user is in; null for one that the reader does not see. */
  via: Array<string | null>
  /** On which it is bound; null where the reader does not see it. */
  resourceId: string | null
  expiresAt: Date | null
}

/** The same as it comes from the database, for one user. */
export interface FoundGrant extends Omit<Grant, 'via'> {
  userId: string
  groupId: string | null
}

/** Where groups branch and meet again, there can be more chains than anybody could read. */
const mostChains = 10

/**
 * Finds the chains of groups of grants: a grant to a group becomes one for each chain from that group to the user, of at
 * most ten.
 */
export async function withChains<T extends FoundGrant> (db: Reader, found: readonly T[]): Promise<Array<T & Grant>> {
  const bound = [...new Map(found.flatMap(({ userId, groupId }) => groupId === null ? [] : [[`${userId} ${groupId}`, { userId, groupId }] as const])).values()]
  // The edges on the way: groups in what is bound that have the user in them. From none of them there is a way to elsewhere.
  const edges = bound.length === 0
    ? []
    : await db.$queryRaw<Array<{ userId: string, groupId: string, inner: string | null }>>`
      WITH around AS MATERIALIZED (
        SELECT DISTINCT asked.user_id, c.group_id
        FROM unnest(${[...new Set(bound.map(({ userId }) => userId))]}::uuid[]) asked(user_id)
        JOIN group_members m ON m.user_id = asked.user_id JOIN group_closure c ON c.member_group_id = m.group_id
        WHERE c.group_id IN (SELECT inside.member_group_id FROM group_closure inside WHERE inside.group_id = ANY (${bound.map(({ groupId }) => groupId)}::uuid[])))
      SELECT a.user_id AS "userId", a.group_id AS "groupId", NULL::uuid AS inner
      FROM around a JOIN group_members m ON m.group_id = a.group_id AND m.user_id = a.user_id
      UNION ALL SELECT a.user_id, a.group_id, m.member_group_id
      FROM around a JOIN group_members m ON m.group_id = a.group_id JOIN around b ON b.user_id = a.user_id AND b.group_id = m.member_group_id
      ORDER BY 1, 2, 3 NULLS FIRST`
  const chains = new Map(bound.map(({ userId, groupId }) => {
    const own = edges.filter((edge) => edge.userId === userId)
    return [`${userId} ${groupId}`, findChains(groupId, (id) => own.filter((edge) => edge.groupId === id).map(({ inner }) => inner))]
  }))
  return found.flatMap((grant) => (chains.get(`${grant.userId} ${grant.groupId}`) ?? [[]]).map((via) => ({ ...grant, via })))
}

/** @param innerOf what of a group leads to the user: null where they are in it themselves, which comes first */
function findChains (groupId: string, innerOf: (id: string) => Array<string | null>): string[][] {
  const chains: string[][] = []
  const waiting = [[groupId]]
  for (let chain = waiting.pop(); chain !== undefined && chains.length < mostChains; chain = waiting.pop()) {
    const next = innerOf(chain.at(-1) as string)
    if (next.includes(null)) chains.push(chain)
    waiting.push(...next.filter((id) => id !== null).reverse().map((id) => [...chain as string[], id]))
  }
  return chains
}

/** Lists of grants as a reader may see them: nothing is named that is hidden from them. */
export async function grantsFor (db: Reader, reader: Principal, lists: ReadonlyArray<readonly Grant[]>): Promise<Grant[][]> {
  const ids = lists.flat().flatMap(({ resourceId, via }) => [resourceId, ...via]).filter((id) => id !== null)
  const seen = await whichAreSeen(db, reader, ids)
  const shown = (id: string | null) => id !== null && seen.get(id) === true ? id : null
  return lists.map((grants) => grants.map((grant) => ({ ...justGrant(grant), via: grant.via.map(shown), resourceId: shown(grant.resourceId) })))
}

/** A grant without what else is known of one. */
export function justGrant ({ bindingId, role, permission, via, resourceId, expiresAt }: Grant): Grant {
  return { bindingId, role, permission, via, resourceId, expiresAt }
}

/** Of some ids those that resources have, and whether a reader sees each. */
export async function whichAreSeen (db: Reader, reader: Principal, ids: readonly string[]): Promise<Map<string, boolean>> {
  if (ids.length === 0) return new Map()
  const rows = await db.$queryRaw<Array<{ id: string, isSeen: boolean }>>`
    SELECT r.id, ${isSeen} AS "isSeen" FROM resources r CROSS JOIN LATERAL (${heldOn(reader, Prisma.sql`r.id`)}) held WHERE r.id = ANY (${[...new Set(ids)]}::uuid[])`
  return new Map(rows.map(({ id, isSeen }) => [id, isSeen]))
}
