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
  const missing = await findNotHeld(db, caller, resourceId, Prisma.sql`
    SELECT split_part(permission, ':', 1) AS type, split_part(permission, ':', 2) AS action FROM unnest(${permissions}::text[]) permission`)
  const [first] = missing
  if (first !== undefined) throw notHeld(resourceId, first, 'escalation', `You do not hold ${missing.join(', ')} there yourself.`)
}
