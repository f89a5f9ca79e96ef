/** Explanations: which grants a decision comes from, what is missing, and what has run out. */
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import type { Reader } from './database.js'
import { actionsOfType, allows, type Decision, decisionOn, gives, grantsOn, heldOn, isUnexpired } from './decision.js'
import { type FoundGrant, type Grant, grantsFor, withChains } from './grants.js'

export interface Explanation {
  decision: Decision
  /** When it is allowed every grant of the action; when it is forbidden those that let the user see the resource. */
  because: Grant[]
  /** The permission by which it fails; null when it is allowed, and for a resource that is not there. */
  missing: string | null
  /** Grants that ended in the last 30 days and would have allowed it. */
  expired: Grant[]
}

interface Row {
  decision: Decision
  /** As permissions: what is asked for, and seeing the resource. */
  wanted: string
  viewing: string
  isPossible: boolean
  holdsView: boolean
  holdsAction: boolean
}

interface GrantRow extends FoundGrant {
  isExpired: boolean
  givesView: boolean
  givesAction: boolean
}

/**
 * Explains a decision, whoever it is about. It names what its reader may not see: `explanationFor` does not.
 * @param principal whose decision it is
 */
export async function explain (db: Reader, principal: Principal, { resourceId, action }: { resourceId: string, action: string }): Promise<Explanation> {
  const user = Prisma.sql`${principal.userId}::uuid`
  const [binding, permission, held, view] = [Prisma.sql`binding_`, Prisma.sql`permission_`, Prisma.sql`held.permissions`, Prisma.sql`'view'`]
  const wanted = Prisma.sql`${action}::text`
  const type = Prisma.sql`r.type`
  const isCounting = Prisma.sql`(${isUnexpired(binding)} OR ${binding}.expires_at > now() - interval '30 days')`
  // What a token does not have, no grant would have allowed.
  const isInToken = (action: Prisma.Sql) => principal.permissions === null ? Prisma.sql`TRUE` : allows(Prisma.sql`${principal.permissions}::text[]`, type, action)
  const givesView = gives(permission, Prisma.sql`asked.type`, view)
  const givesAction = gives(permission, Prisma.sql`asked.type`, wanted)
  const rows = await db.$queryRaw<Array<Row & (GrantRow | { bindingId: null })>>`
    SELECT asked.*, found.*
    FROM (
      SELECT r.id, r.type, ${type} || ':' || ${wanted} AS wanted, ${type} || ':view' AS viewing, ${decisionOn(held, wanted)} AS decision,
        ${wanted} = ANY ${actionsOfType} AND ${isInToken(view)} AND ${isInToken(wanted)} AS "isPossible",
        ${allows(held, type, view)} AS "holdsView", ${allows(held, type, wanted)} AS "holdsAction"
      FROM resources r JOIN resource_types t ON t.name = r.type CROSS JOIN LATERAL (${heldOn(principal, Prisma.sql`r.id`)}) held
      WHERE r.id = ${resourceId}::uuid) asked
    LEFT JOIN LATERAL (
      SELECT ${user} AS "userId", ${binding}.id AS "bindingId", ${binding}.role, ${binding}.group_id AS "groupId", ${binding}.resource_id AS "resourceId",
        permission_.type || ':' || permission_.action AS permission, ${binding}.expires_at AS "expiresAt", closure_.distance,
        NOT ${isUnexpired(binding)} AS "isExpired", ${givesView} AS "givesView", ${givesAction} AS "givesAction"
      FROM ${grantsOn(user, Prisma.sql`asked.id`, isCounting)} AND (${givesView} OR ${givesAction})) found ON TRUE
    ORDER BY found.distance, found."bindingId", found.permission COLLATE "C"`
  const [asked] = rows
  if (asked === undefined) return { decision: 'hide', because: [], missing: null, expired: [] }
  const { decision } = asked
  const grants = await withChains(db, rows.filter((row): row is Row & GrantRow => row.bindingId !== null))
  const counting = grants.filter(({ isExpired }) => !isExpired)
  return {
    decision,
    because: decision === 'hide' ? [] : counting.filter((grant) => decision === 'allow' ? grant.givesAction : grant.givesView),
    missing: decision === 'allow' ? null : decision === 'hide' ? asked.viewing : asked.wanted,
    expired: decision === 'allow' || !asked.isPossible ? [] : missed(asked, grants.filter(({ isExpired }) => isExpired))
  }
}

/** Of grants that have expired, those of the action, or where that is still held those of seeing; none unless all of them together would have allowed it. */
function missed<T extends GrantRow> ({ holdsView, holdsAction }: Row, expired: T[]): T[] {
  const [views, actions] = [expired.filter(({ givesView }) => givesView), expired.filter(({ givesAction }) => givesAction)]
  const wouldSee = holdsView || views.length > 0
  const wouldDo = holdsAction || actions.length > 0
  if (!wouldSee || !wouldDo) return []
  return holdsAction ? views : actions
}

/** An explanation as a reader may see it. */
export async function explanationFor (db: Reader, reader: Principal, explanation: Explanation): Promise<Explanation> {
  const [because = [], expired = []] = await grantsFor(db, reader, [explanation.because, explanation.expired])
  return { ...explanation, because, expired }
}
