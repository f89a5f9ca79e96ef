/** Answers about access and the reference evaluator side by side, on one world. */
import type { Database } from '../../../src/services/database.js'
import { type Check, checkAll } from '../../../src/services/check.js'
import { type Access, type EveryonesAccess, listAccess } from '../../../src/services/access.js'
import { explain, explanationFor } from '../../../src/services/explain.js'
import type { Grant } from '../../../src/services/grants.js'
import { listGrantableRoles } from '../../../src/services/roles.js'
import { accessTo, askedBy, explain as expectedExplanation, grantableRoles, type Grant as ExpectedGrant } from '../../reference/asking.js'
import { actionsOf, decide, findResource, may } from '../../reference/evaluator.js'
import type { User, World } from '../../reference/world.js'
import { expectEqual } from './compare.js'
import { callerIn } from './perform.js'

export const absentId = '01999999-9999-7999-8999-999999999999'

/** Every action on every resource: as one's own question, and about everybody else wherever one may share. */
export async function compareChecks (db: Database, everybody: World, { id: askerId, name }: User): Promise<void> {
  const world = askedBy(everybody, askerId)
  const triples = (userId: string): Array<{ userId: string, resourceId: string, action: string }> => [...world.resources.map(({ id }) => id), absentId].flatMap((resourceId) =>
    [...actionsOf(world, findResource(world, resourceId)?.type ?? ''), 'archive'].map((action) => ({ userId, resourceId, action })))
  const own = triples(askerId).map(({ resourceId, action }): Check => ({ resourceId, action }))
  const about = world.users.flatMap(({ id }) => triples(id)).filter(({ resourceId }) => may(world, askerId, 'share', resourceId))
  const asked = [...own, ...about]
  const decisions = await checkAll(db, callerIn(world, askerId), asked)
  expectEqual(world, decisions, asked.map((check) => decide(world, check.userId ?? askerId, check.action, check.resourceId)), `what ${name} is told by checks`)
}

const inOrder = <T>(grants: T[]) => grants.map((grant) => JSON.stringify(grant)).sort()
/** Times are those of the world's clock, which the product does not know. */
const actualGrants = (grants: readonly Grant[]) => inOrder(grants.map(({ bindingId, role, permission, via, resourceId, expiresAt }) =>
  ({ bindingId, role, permission, via, resourceId, ends: expiresAt !== null })))
const expectedGrants = (grants: readonly ExpectedGrant[]) => inOrder(grants.map(({ bindingId, role, permission, via, resourceId, expiresAt }) =>
  ({ bindingId, role, permission, via, resourceId, ends: expiresAt !== null })))

/** The explanation of one decision, for one reader. */
export async function compareExplanation (
  db: Database, everybody: World, { readerId, userId, action, resourceId }: { readerId: string, userId: string, action: string, resourceId: string }
): Promise<void> {
  const world = askedBy(everybody, readerId)
  const actual = await explanationFor(db, callerIn(world, readerId), await explain(db, callerIn(world, userId), { action, resourceId }))
  const expected = expectedExplanation(world, readerId, userId, action, resourceId)
  expectEqual(world, { ...actual, because: actualGrants(actual.because), expired: actualGrants(actual.expired) },
    { ...expected, because: expectedGrants(expected.because), expired: expectedGrants(expected.expired) },
    `why ${userId} ${expected.decision}: ${action} ${resourceId}, as ${readerId} may know`)
}

/** Who has access to a resource, read to the end in small pages, and which roles the reader may give there. */
export async function compareAccess (
  db: Database, everybody: World, { readerId, resourceId, action, limit }: { readerId: string, resourceId: string, action?: string | undefined, limit: number }
): Promise<void> {
  const world = askedBy(everybody, readerId)
  const reader = callerIn(world, readerId)
  const found: Access[] = []
  let forEveryone: EveryonesAccess | null | undefined
  for (let page: Access[] | undefined; page === undefined || page.length === limit;) {
    ({ items: page, everyone: forEveryone } = await listAccess(db, reader, resourceId, action, { after: found.at(-1)?.user.id, limit }))
    found.push(...page)
    if (found.length > world.users.length) break
  }
  const { items, everyone } = accessTo(world, readerId, resourceId, action)
  const what = `who has access to ${resourceId}${action === undefined ? '' : ` and may ${action}`} in pages of ${limit}, as ${readerId} may know`
  expectEqual(world, found.map(({ user, allowedActions, because }) => ({ user: user.id, allowedActions, because: actualGrants(because) })),
    items.map((item) => ({ ...item, because: expectedGrants(item.because) })), what)
  expectEqual(world, forEveryone?.allowedActions ?? null, everyone, `as everyone: ${what}`)
  const roles = await listGrantableRoles(db, reader, resourceId, { limit: 100 })
  expectEqual(world, roles.map(({ name }) => name), grantableRoles(world, readerId, resourceId), `what ${readerId} may give on ${resourceId}`)
}
