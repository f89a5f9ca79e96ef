/** Checks: what somebody may do with some things, asked in batches by clients that decide for themselves what to show. */
import { DeniedError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import type { Reader } from './database.js'
import { type Decision, decisionOn, heldByOnEach, heldOnEach } from './decision.js'

export interface Check {
  action: string
  resourceId: string
  /** Whose decision it is; the caller's own when absent. */
  userId?: string | undefined
}

/**
 * Decides about a batch, in one statement. What is not there, and who is not there or not active, is `hide`. The caller's
 * token narrows only the caller's own decisions.
 * @returns in the order of the checks
 * @throws {DeniedError} not-found or forbidden, for the whole batch, where a check is about somebody else and the caller
 *   does not see the resource, or may not share it
 */
export async function checkAll (db: Reader, principal: Principal, checks: readonly Check[]): Promise<Decision[]> {
  const action = Prisma.sql`item.action`
  const caller = Prisma.sql`${principal.userId}::uuid`
  // What each user holds is gathered in one go; the caller's own permissions also say whether they may ask about others.
  const rows = await db.$queryRaw<Array<{ decision: Decision, asking: Decision, resourceId: string, sharing: string }>>`
    WITH item AS (
      SELECT * FROM unnest(${checks.map(({ userId }) => userId ?? principal.userId)}::uuid[], ${checks.map(({ resourceId }) => resourceId)}::uuid[],
        ${checks.map(({ action }) => action)}::text[]) WITH ORDINALITY item(user_id, resource_id, action, place)),
    own AS MATERIALIZED (${heldOnEach(principal, Prisma.sql`ARRAY(SELECT DISTINCT resource_id FROM item)`)}),
    other AS MATERIALIZED (
      SELECT each.user_id, held.* FROM (SELECT user_id, array_agg(DISTINCT resource_id) AS ids FROM item WHERE user_id <> ${caller} GROUP BY user_id) each
      CROSS JOIN LATERAL (${heldByOnEach(Prisma.sql`each.user_id`, Prisma.sql`each.ids`)}) held)
    SELECT CASE WHEN item.user_id = ${caller} THEN ${decisionOn(Prisma.sql`own.permissions`, action)} ELSE ${decisionOn(Prisma.sql`other.permissions`, action)} END AS decision,
      CASE WHEN item.user_id = ${caller} THEN 'allow' ELSE ${decisionOn(Prisma.sql`own.permissions`, Prisma.sql`'share'`)} END AS asking, item.resource_id AS "resourceId", r.type || ':share' AS sharing
    FROM item LEFT JOIN own ON own.resource_id = item.resource_id
    LEFT JOIN other ON other.user_id = item.user_id AND other.resource_id = item.resource_id
    LEFT JOIN resources r ON r.id = item.resource_id LEFT JOIN resource_types t ON t.name = r.type ORDER BY item.place`
  const denial = (of: Decision) => rows.find(({ asking }) => asking === of)
  const hidden = denial('hide')
  if (hidden !== undefined) throw new DeniedError('not-found', { resourceId: hidden.resourceId, action: 'share' })
  const forbidden = denial('forbid')
  if (forbidden !== undefined) throw new DeniedError('forbidden', { resourceId: forbidden.resourceId, action: 'share', missing: forbidden.sharing })
  return rows.map(({ decision }) => decision)
}
