/**
 * Changes that give nobody what they have not already: told by what the subjects hold whom they are about, however many
 * users those are, where there are too many to look at each.
 */
import { Prisma } from '../generated/prisma/client.js'
import type { Affected } from './affected.js'
import type { Database } from './database.js'
import { actionsOfType, allows, heldBySubject } from './decision.js'

/** A subject at a place, and what it holds there. */
export interface HeldBySubject { subject_id: string, place_id: string, permissions: string[] }

/**
 * What the subjects of a change hold, in the state after it.
 * @param most how many of them are looked at; null where there are more
 */
export async function findHeldBySubjects (tx: Database, { areas }: Affected, most: number): Promise<HeldBySubject[] | null> {
  const held = await tx.$queryRaw<HeldBySubject[]>`
    SELECT area.subject_id, area.place_id, held.permissions FROM (SELECT DISTINCT * FROM (${areas}) every LIMIT ${most + 1}) area
    CROSS JOIN LATERAL (${heldBySubject(Prisma.sql`area.subject_id`, Prisma.sql`area.place_id`)}) held`
  return held.length > most ? null : held
}

/** Whether they hold the same in the state before it, so that the change gives and takes nothing. */
export async function isHeldAlready (tx: Database, subjects: readonly HeldBySubject[]): Promise<boolean> {
  const allowedBy = (permissions: Prisma.Sql) => allows(permissions, Prisma.sql`t.name`, Prisma.sql`action`)
  const other = await tx.$queryRaw<unknown[]>`
    SELECT FROM jsonb_to_recordset(${JSON.stringify(subjects)}::jsonb) AS given(subject_id uuid, place_id uuid, permissions text[])
    CROSS JOIN LATERAL (${heldBySubject(Prisma.sql`given.subject_id`, Prisma.sql`given.place_id`)}) held
    WHERE EXISTS (
      SELECT FROM resource_types t, unnest(${actionsOfType}) action WHERE (${allowedBy(Prisma.sql`held.permissions`)}) <> (${allowedBy(Prisma.sql`given.permissions`)}))
    LIMIT 1`
  return other.length === 0
}
