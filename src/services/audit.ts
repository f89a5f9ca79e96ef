/**
 * Writing the audit log: each change tells what it did, in its own transaction, so that there is neither one without the
 * other. An event is one statement more, or none where the change and its event are one statement.
 */
import { Prisma } from '../generated/prisma/client.js'
import { asAuthor, type Author, type Caller } from './caller.js'
import type { Database } from './database.js'
import { rootId } from './decision.js'

type Sql = Prisma.Sql

export const eventTypes = [
  'user.created', 'user.updated', 'user.activated', 'user.deactivated', 'password.changed', 'login.succeeded', 'login.failed',
  'session.ended', 'token.created', 'token.ended', 'role.created', 'role.updated', 'role.deleted',
  'resource-type.created', 'resource-type.updated', 'resource-type.deleted',
  'resource.created', 'resource.updated', 'resource.moved', 'resource.deleted', 'member.added', 'member.removed', 'binding.created', 'binding.deleted'
] as const
export type EventType = typeof eventTypes[number]
export const targetTypes = ['user', 'session', 'token', 'role', 'resource-type', 'resource', 'member', 'binding'] as const
export type TargetType = typeof targetTypes[number]

/** What happened. */
export interface Happening {
  type: EventType
  /** The resource on which it happened; none for what is administered on the root. */
  resourceId?: string
  /** Of roles and types the name; of members the member's id; null for nobody that there is. */
  target: { type: TargetType, id: string | null }
  /** How the target was and is now, without secrets and without what is worked out for a reader. */
  before?: object
  after?: object
  /** Another resource below which it happened too: from where something was moved. */
  alsoUnder?: string
}

/** A time as JSON has it, whatever the time zone of the connection. */
export const jsonTime = (time: Sql): Sql => Prisma.sql`to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/**
 * Writes events, in their order. To be called after what they tell of, as the places of a resource must be known; before, for
 * what is deleted.
 * @param tx the transaction of the change
 */
export async function recordEvent (tx: Database, by: Caller | Author, ...happenings: Happening[]): Promise<void> {
  await recordEvents(tx, by, Prisma.join(happenings.map(asRow), ' UNION ALL '))
}

/** A row for `recordEvents`. */
export function asRow ({ type, resourceId, target, before, after, alsoUnder }: Happening): Sql {
  const json = (value: object | undefined) => value === undefined ? null : JSON.stringify(value)
  return Prisma.sql`
    SELECT ${type}::text, ${resourceId ?? null}::uuid, ${target.type}::text, ${target.id}::text, ${json(before)}::jsonb, ${json(after)}::jsonb, ${alsoUnder ?? null}::uuid`
}

/**
 * Writes the events of many things at once, in one statement.
 * @param happenings and `change`: see `telling`
 * @returns how many events there were
 */
export async function recordEvents (tx: Database, by: Caller | Author, happenings: Sql, change?: Sql): Promise<number> {
  const [row] = await tx.$queryRaw<Array<{ count: number }>>(telling(by, happenings, change, Prisma.sql`SELECT count(*)::int AS count FROM event`))
  return (row as { count: number }).count
}

/**
 * The statement that changes things, writes what happened to them, and answers.
 * @param happenings a subquery of the type, the resource, the target's type and id, before, after, and another resource below
 *   which it happened, in this order
 * @param change the statements that change them, for `happenings` and `answer` to read from, as `name AS (DELETE … RETURNING …)`;
 *   none of them sees what another does
 * @param answer the query that the statement ends with
 */
export function telling (by: Caller | Author, happenings: Sql, change: Sql | undefined, answer: Sql): Sql {
  const { actor, credential, requestId, ip } = asAuthor(by)
  // The id first: the time is that in the id, so that a span of time is a span of ids. Places are looked up one by one, as arrays of one:
  // the planner might else join the events with all that there is.
  return Prisma.sql`
    WITH ${change === undefined ? Prisma.empty : Prisma.sql`${change},`}
    happening (type, resource_id, target_type, target_id, before, after, also_under) AS (${happenings}),
    numbered AS (SELECT uuid_v7() AS id, ${'id' in actor ? actor.id : null}::uuid AS actor_id, happening.* FROM happening),
    event AS (
      INSERT INTO audit_events (id, at, type, actor_type, actor_id, credential_type, credential_id, resource_id, target_type, target_id, before, after, request_id, ip)
      SELECT id, uuid_v7_time(id), type, ${actor.type}, actor_id, ${credential?.type ?? null}, ${credential?.id ?? null}::uuid,
        resource_id, target_type, target_id, before, after, ${requestId}::uuid, left(${ip}, 64)
      FROM numbered RETURNING id),
    place AS (
      INSERT INTO audit_event_places (place_id, event_id, actor_id, type)
      SELECT c.ancestor_id, n.id, n.actor_id, n.type FROM numbered n JOIN resource_closure c ON c.descendant_id = ANY (ARRAY[n.resource_id])
      WHERE c.ancestor_id <> ${rootId}::uuid
      UNION ALL
      SELECT c.ancestor_id, n.id, n.actor_id, n.type FROM numbered n JOIN resource_closure c ON c.descendant_id = ANY (ARRAY[n.also_under])
      WHERE c.ancestor_id <> ${rootId}::uuid AND c.ancestor_id <> ALL (ARRAY(SELECT ancestor_id FROM resource_closure WHERE descendant_id = n.resource_id)))
    ${answer}`
}
