/** What of an event somebody may read who may share the resource that it is about, but not view the audit log: nothing hidden is named. */
import { Prisma } from '../generated/prisma/client.js'
import type { AuditEvent } from './audit-log.js'
import type { Principal } from './caller.js'
import type { Database } from './database.js'
import { allows, heldOn, heldOnEach, isSeen, rootId } from './decision.js'

type Told = Record<string, unknown>
interface GroupOrOther { type: string, id: string }

/**
 * The events with null for the id and name of every resource and group that the reader does not see. Of a hidden resource the
 * attributes go too; ids of events and bindings stay, and so do users, as in lists of bindings and members.
 * @param placeId the resource of which the reader asked; the events happened on it or below it
 */
export async function eventsFor (db: Database, reader: Principal, placeId: string, events: AuditEvent[]): Promise<AuditEvent[]> {
  const ids = new Set(events.flatMap(({ type, resourceId, before, after }) => [resourceId, ...[before, after].flatMap((told) => namedIn(type, told))]))
  const seen = await findSeen(db, reader, placeId, [...ids].filter((id) => typeof id === 'string'))
  const shown = (id: string | null) => id !== null && seen.has(id) ? id : null
  return events.map((event) => {
    const toldTo = (told: Told | null) => told === null ? null : redact(event.type, told, shown, shown(event.resourceId) !== null)
    const [before, after] = [toldTo(event.before), toldTo(event.after)]
    const { target } = event
    // Of members the target is who is told of.
    const id = target.type === 'resource' ? shown(target.id) : target.type === 'member' ? (before ?? after)?.['id'] as string | null : target.id
    return { ...event, resourceId: shown(event.resourceId), target: { ...target, id }, before, after }
  })
}

/** The resources and groups, beside that on which it happened, that an event names before or after. */
function namedIn (type: string, told: Told | null): unknown[] {
  if (told === null) return []
  const { parentId, subject, id } = told
  return type.startsWith('member.') ? [id] : [parentId, (subject as GroupOrOther | undefined)?.id]
}

function redact (type: string, told: Told, shown: (id: string | null) => string | null, isSeen: boolean): Told {
  const hideGroup = <T extends GroupOrOther>(one: T) => one.type === 'group' ? { ...one, id: shown(one.id) } : one
  if (type.startsWith('member.')) return hideGroup(told as Told & GroupOrOther)
  if (type.startsWith('binding.')) return { ...told, subject: hideGroup(told['subject'] as GroupOrOther) }
  const { parentId } = told
  return { ...told, parentId: shown(parentId as string | null), ...isSeen ? {} : { name: null, attributes: null } }
}

/**
 * Which of some resources the reader sees. What has been deleted is seen by nobody any more; where it stood below the place
 * then, whoever sees things of its type there is still told of it, or the log would not say what is gone.
 */
async function findSeen (db: Database, reader: Principal, placeId: string, ids: string[]): Promise<Set<string>> {
  const rows = await db.$queryRaw<Array<{ id: string }>>`
    SELECT r.id FROM resources r JOIN (${heldOnEach(reader, Prisma.sql`${ids}::uuid[]`)}) held ON held.resource_id = r.id WHERE ${isSeen}
    UNION ALL
    SELECT gone.resource_id FROM audit_events gone CROSS JOIN (${heldOn(reader, Prisma.sql`${placeId}::uuid`)}) held
    WHERE gone.resource_id = ANY (${ids}::uuid[]) AND gone.type = 'resource.deleted'
      AND ${allows(Prisma.sql`held.permissions`, Prisma.sql`(gone.before ->> 'type')`, Prisma.sql`'view'`)}
      AND (${placeId}::uuid = ${rootId}::uuid OR EXISTS (
        SELECT FROM audit_event_places p WHERE p.place_id = ${placeId}::uuid AND p.type = 'resource.deleted' AND p.event_id = gone.id))`
  return new Set(rows.map(({ id }) => id))
}
