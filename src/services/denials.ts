/** Why requests were denied: recorded as it was decided, for those who may ask about it later. */
import { DeniedError, type Denial } from '../errors.js'
import { Prisma, type PrismaClient } from '../generated/prisma/client.js'
import type { Principal } from './caller.js'
import { removeInBatches } from './cleanup.js'
import type { Database } from './database.js'
import { allows, decisionOn, heldOn, rootId } from './decision.js'
import { explain } from './explain.js'
import { type Grant, grantsFor, justGrant, whichAreSeen } from './grants.js'
import { isUuid, nobodys } from './ids.js'

/** A request that was answered 403 or 404 for want of access. */
export interface DeniedRequest {
  requestId: string
  at: Date
  caller: Principal
  method: string
  /** Without the query. */
  path: string
  status: number
  code: DeniedError['code']
  denial: Denial
}

/** What is told of one. */
export interface RecordedDenial {
  requestId: string
  at: Date
  userId: string
  method: string
  path: string
  /** Null where the path named no id. */
  resourceId: string | null
  action: string
  decision: 'forbid' | 'hide'
  status: number
  /** On `forbid` the grants that let the user see the resource. */
  because: Grant[]
  /** The permission by which it failed; null where there was nothing. */
  missing: string | null
}

const mostOfPath = 1_000

/**
 * Records why requests were denied: for what is hidden and for what is absent with the same one statement, whatever their
 * number. What is forbidden is looked at once more for the grants that let it be seen.
 */
export async function recordDenials (db: Database, denied: readonly DeniedRequest[]): Promise<void> {
  // Once for each of who was forbidden what on the same thing.
  const forbidden = new Map(denied.filter(({ code }) => code !== 'not-found').map((one) => [sightOf(one), one]))
  const sights = new Map<string, Grant[]>()
  for (const [key, { caller: { userId, permissions }, denial: { resourceId } }] of forbidden) {
    const { because } = await explain(db, { userId, permissions }, { resourceId, action: 'view' })
    sights.set(key, because.map(justGrant))
  }
  const rows = denied.map((one) => {
    const { caller, code, denial: { resourceId, action, missing }, path, ...request } = one
    const decision = code === 'not-found' ? 'hide' : 'forbid'
    const because = decision === 'hide' ? [] : sights.get(sightOf(one))
    return { ...request, userId: caller.userId, path: path.slice(0, mostOfPath), resourceId, action, decision, because, isUnseen: missing === undefined, missing: missing ?? null }
  })
  await db.$executeRaw`
    INSERT INTO denials (request_id, at, user_id, method, path, resource_id, action, decision, status, because, missing)
    SELECT d."requestId", d.at, d."userId", d.method, d.path, nullif(d."resourceId", ${nobodys}::uuid), d.action, d.decision, d.status, d.because,
      CASE WHEN d."isUnseen" THEN r.type || ':view' ELSE d.missing END
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) d("requestId" uuid, at timestamptz, "userId" uuid, method text, path text, "resourceId" uuid, action text,
      decision text, status smallint, because jsonb, "isUnseen" boolean, missing text)
    LEFT JOIN resources r ON r.id = d."resourceId"`
}

/** What the grants depend on that let somebody see a resource. */
const sightOf = ({ caller: { userId, permissions }, denial: { resourceId } }: DeniedRequest) => JSON.stringify([userId, permissions, resourceId])

/**
 * Finds why a request was denied, for who holds `audit:view` on the root, or may now share what it was about. To the latter it
 * names nothing that is hidden from them.
 * @param retentionMs what is older is over, whether or not it has been removed
 * @throws {DeniedError} not-found, also for a record that the reader may not see
 */
export async function getDenial (db: Database, reader: Principal, requestId: string, retentionMs: number): Promise<RecordedDenial> {
  const share = Prisma.sql`'share'`
  // Without a record the root is looked at, so that there being none costs the same.
  const [row] = await db.$queryRaw<Array<RecordedDenial & { isThere: boolean, mayAudit: boolean, mayShare: boolean }>>`
    SELECT d.request_id AS "requestId", d.at, d.user_id AS "userId", d.method, d.path, d.resource_id AS "resourceId", d.action, d.decision, d.status, d.because, d.missing,
      d.request_id IS NOT NULL AS "isThere", ${allows(Prisma.sql`on_root.permissions`, Prisma.sql`'audit'`, Prisma.sql`'view'`)} AS "mayAudit",
      ${decisionOn(Prisma.sql`held.permissions`, share)} = 'allow' AS "mayShare"
    FROM (SELECT ${requestId}::uuid AS id) asked
    LEFT JOIN denials d ON d.request_id = asked.id AND d.at > now() - make_interval(secs => ${retentionMs / 1_000})
    LEFT JOIN resources r ON r.id = coalesce(d.resource_id, ${rootId}::uuid) LEFT JOIN resource_types t ON t.name = r.type
    CROSS JOIN LATERAL (${heldOn(reader, Prisma.sql`r.id`)}) held CROSS JOIN (${heldOn(reader, Prisma.sql`${rootId}::uuid`)}) on_root`
  const { isThere, mayAudit, mayShare, ...found } = row as NonNullable<typeof row>
  const isTold = isThere && (mayAudit || (mayShare && found.resourceId !== null))
  if (!isTold) throw new DeniedError('not-found', { resourceId: rootId, action: 'audit:view', missing: isThere ? 'audit:view' : null })
  const denial = { ...found, because: found.because.map((grant) => ({ ...grant, expiresAt: grant.expiresAt === null ? null : new Date(grant.expiresAt) })) }
  return mayAudit ? denial : await denialFor(db, reader, denial)
}

async function denialFor (db: Database, reader: Principal, denial: RecordedDenial): Promise<RecordedDenial> {
  const [because = []] = await grantsFor(db, reader, [denial.because])
  const segments = denial.path.split('/')
  const seen = await whichAreSeen(db, reader, segments.filter(isUuid))
  // What is hidden, has gone, or never was looks the same.
  const isShown = (id: string) => id === denial.resourceId || seen.get(id) === true
  const path = segments.map((segment) => !isNaming(segment) || isShown(segment.toLowerCase()) ? segment : ':id').join('/')
  // Who is told sees the root: what was hidden there is a user or a record that the path named.
  const missing = denial.decision === 'hide' && denial.resourceId === rootId ? null : denial.missing
  return { ...denial, because, path, missing }
}

/** Whether a segment of a path may be an id, also as it can be written with percent signs. */
const isNaming = (segment: string) => isUuid(segment) || segment.includes('%')

/** Removes records that are over. @returns how many */
export async function removeExpiredDenials (db: PrismaClient, retentionMs: number, batchSize = 1_000): Promise<number> {
  return await removeInBatches(db, batchSize, async (tx) => await tx.$executeRaw`
    DELETE FROM denials WHERE request_id IN (
      SELECT request_id FROM denials WHERE at <= now() - make_interval(secs => ${retentionMs / 1_000}) ORDER BY at LIMIT ${batchSize} FOR UPDATE SKIP LOCKED)`)
}
