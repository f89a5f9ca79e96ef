/** Reading the audit log: who may read which events, and pages of them by any filter, the newest first. */
import { invalidField } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { type EventType, eventTypes, type TargetType } from './audit.js'
import { eventsFor } from './audit-visibility.js'
import type { Author, Caller, Credential, Principal } from './caller.js'
import type { Database } from './database.js'
import { findRootPermissions, getAllowedResource, notHeld } from './authorization.js'
import { rootId } from './decision.js'
import { lastId } from './ids.js'
import { requireSignedIn } from './presence.js'

/** An event as the API shows it. */
export interface AuditEvent {
  id: string
  at: Date
  type: EventType
  actor: Author['actor']
  credential: Credential | null
  /** Null for what is administered on the root, and for something that the reader does not see. */
  resourceId: string | null
  target: { type: TargetType, id: string | null }
  before: Record<string, unknown> | null
  after: Record<string, unknown> | null
  requestId: string | null
  ip: string | null
}

export interface EventFilter {
  resourceId?: string | undefined
  /** Whether what happened below the resource counts too. */
  isSubtree?: boolean | undefined
  actorId?: string | undefined
  type?: EventType | undefined
  /** The first moment that counts, and the first one that does not any more, in ISO 8601. */
  since?: string | undefined
  until?: string | undefined
}

/** Those that happen on resources. */
const typesOnResources = eventTypes.filter((type) => /^(resource|member|binding)\./.test(type))

const firstId = rootId
/** Of a stream, each with a look at the reader's rights: enough for speed, and little in memory even where each is large. */
const batchSize = 200

/**
 * A page of the log as a reader may see it, the newest first. All of it needs `audit:view` on the root; that of one resource
 * is also for whoever may share that, and then names nothing that they do not see.
 * @param page `after`: the last id of the page before; `limit`: how many
 * @throws {DomainError} in this order: invalid-request, not-found (no such resource, or the reader does not see it), forbidden
 */
export async function listEvents (
  db: Database, reader: Principal, filter: EventFilter, { after, limit }: { after?: string | undefined, limit: number }
): Promise<AuditEvent[]> {
  const page = pageOfEvents(filter, after, limit)
  const isAllShown = await mayReadAll(db, reader, filter.resourceId)
  const events = (await db.$queryRaw<EventRow[]>(page)).map(toEvent)
  return isAllShown ? events : await eventsFor(db, reader, filter.resourceId as string, events)
}

/**
 * All that `listEvents` gives, in batches, each by a statement of its own: a reader that is slow holds nothing up, and one who
 * loses the right to read on, or is no longer signed in, gets no further.
 * @throws {DomainError} as `listEvents` does, also between batches
 */
export async function * readEvents (db: Database, reader: Caller, filter: EventFilter, after?: string): AsyncGenerator<AuditEvent[], void> {
  let last = after
  let events: AuditEvent[]
  do {
    await requireSignedIn(db, reader)
    events = await listEvents(db, reader, filter, { after: last, limit: batchSize })
    if (events.length > 0) yield events
    last = events.at(-1)?.id
  } while (events.length === batchSize)
}

/**
 * @returns whether the reader may read everything; otherwise what is on the resource
 * @throws {DeniedError} not-found, forbidden
 */
async function mayReadAll (db: Database, reader: Principal, resourceId: string | undefined): Promise<boolean> {
  const held = await findRootPermissions(db, reader, ['audit:view'])
  if (held.has('audit:view')) return true
  if (resourceId === undefined) throw notHeld(rootId, 'audit:view')
  await getAllowedResource(db, reader, resourceId, ['share'])
  return false
}

/**
 * Under the columns that a filter fixes, an index has the events of each type in order. So of each type the first few are
 * taken and merged, which costs the same at the start and at the end, whether the filter fits everything or next to nothing.
 * @throws {DomainError} invalid-request
 */
function pageOfEvents ({ resourceId, isSubtree = false, actorId, type, since, until }: EventFilter, after: string | undefined, limit: number): Prisma.Sql {
  if (isSubtree && resourceId === undefined) throw invalidField('/subtree', 'needs a resourceId')
  const from = since === undefined ? firstId : idAt(since, '/since')
  const [before] = [until === undefined ? lastId : idAt(until, '/until'), after ?? lastId].sort()
  // Below the root is whatever happened on a resource; the places leave it out.
  const [table, id, place] = isSubtree && resourceId !== rootId
    ? [Prisma.sql`audit_event_places`, Prisma.sql`event_id`, Prisma.sql`AND place_id = ${resourceId}::uuid`]
    : [Prisma.sql`audit_events`, Prisma.sql`id`, resourceId === undefined || isSubtree ? Prisma.empty : Prisma.sql`AND resource_id = ${resourceId}::uuid`]
  const page = Prisma.sql`${id} >= ${from}::uuid AND ${id} < ${before}::uuid ORDER BY ${id} DESC LIMIT ${limit}`
  const actor = actorId === undefined ? Prisma.empty : Prisma.sql`AND actor_id = ${actorId}::uuid`
  const types = (resourceId === undefined ? eventTypes : typesOnResources).filter((one) => type === undefined || one === type)
  const found = resourceId === undefined && actorId === undefined && type === undefined
    ? Prisma.sql`SELECT id FROM audit_events WHERE ${page}`
    : Prisma.sql`
      SELECT found.id FROM unnest(${types}::text[]) wanted
      CROSS JOIN LATERAL (SELECT ${id} AS id FROM ${table} WHERE type = wanted ${place} ${actor} AND ${page}) found
      ORDER BY found.id DESC LIMIT ${limit}`
  return Prisma.sql`
    SELECT e.id, e.at, e.type, e.actor_type AS "actorType", e.actor_id AS "actorId", e.credential_type AS "credentialType", e.credential_id AS "credentialId",
      e.resource_id AS "resourceId", e.target_type AS "targetType", e.target_id AS "targetId", e.before, e.after, e.request_id AS "requestId", e.ip
    FROM (${found}) page JOIN audit_events e ON e.id = page.id ORDER BY page.id DESC`
}

/**
 * The first id that an event can have at a moment or after it: its first 48 bits are milliseconds, in which events are told.
 * @throws {DomainError} invalid-request for what no Date holds, such as a leap second
 */
function idAt (moment: string, path: string): string {
  const isBetween = /\.\d{3}\d*[1-9]/.test(moment)
  const ms = Date.parse(moment) + (isBetween ? 1 : 0)
  if (Number.isNaN(ms)) throw invalidField(path, 'must be a time that there is')
  const digits = Math.max(ms, 0).toString(16).padStart(12, '0')
  return `${digits.slice(0, 8)}-${digits.slice(8)}-0000-0000-000000000000`
}

interface EventRow extends Pick<AuditEvent, 'id' | 'at' | 'type' | 'resourceId' | 'before' | 'after' | 'requestId' | 'ip'> {
  actorType: Author['actor']['type']
  actorId: string | null
  credentialType: Credential['type'] | null
  credentialId: string
  targetType: TargetType
  targetId: string | null
}

function toEvent ({ id, at, type, actorType, actorId, credentialType, credentialId, resourceId, targetType, targetId, before, after, requestId, ip }: EventRow): AuditEvent {
  return {
    id,
    at,
    type,
    actor: actorType === 'user' ? { type: actorType, id: actorId as string } : { type: actorType },
    credential: credentialType === null ? null : { type: credentialType, id: credentialId },
    resourceId,
    target: { type: targetType, id: targetId },
    before,
    after,
    requestId,
    ip
  }
}
