/** The rule against escalation: nobody gives, or takes away, what they do not hold in that place themselves. */
import { Prisma } from '../generated/prisma/client.js'
import type { Caller } from './caller.js'
import type { Database } from './database.js'
import { findNotHeld, notHeld } from './authorization.js'

/**
 * @param permissions as `type:action`
 * @throws {DeniedError} escalation, naming what is missing
 */
export async function requireHeld (db: Database, caller: Caller, resourceId: string, permissions: readonly string[]): Promise<void> {
  refuseMissing(resourceId, await findNotHeld(db, caller, resourceId, Prisma.sql`
    SELECT split_part(permission, ':', 1) AS type, split_part(permission, ':', 2) AS action FROM unnest(${permissions}::text[]) permission`))
}

/**
 * @param missing what a role holds and the caller does not
 * @throws {DeniedError} escalation, where there is anything
 */
export function refuseMissing (resourceId: string, missing: readonly string[]): void {
  const [first, ...others] = [...missing].sort()
  if (first !== undefined) throw notHeld(resourceId, first, 'escalation', `You do not hold ${[first, ...others].join(', ')} there yourself.`)
}
