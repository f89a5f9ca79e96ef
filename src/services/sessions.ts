/**
 * Sessions in the database, from the first row to the last. The row is the session: what ends it deletes it, and
 * nothing but a login makes one, so a request in flight can never bring an ended session back.
 */
import { createHash } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'
import { DomainError } from '../errors.js'
import { Prisma, type PrismaClient } from '../generated/prisma/client.js'
import { jsonTime, recordEvents, telling } from './audit.js'
import { type Author, type Caller, newcomer, system } from './caller.js'
import { removeInBatches } from './cleanup.js'
import { type Database, prepareStatement, type Reader } from './database.js'
import { requireRootPermission } from './authorization.js'
import { keepingRights } from './locks.js'
import { endAllAccess, endingSessions, endSessions, sessionsEnded } from './ending.js'
import { lookupEmail, type User, userColumns } from './users.js'

/** A session as the API shows it; `expiresAt` is when it ends unless it is used before. */
export interface Session {
  id: string
  createdAt: Date
  lastSeenAt: Date
  expiresAt: Date
  ip: string
  userAgent: string | null
}

/** Who is asking, as the database knew it at this request. */
export interface Identity {
  user: User
  session: Session
}

/** How long a session lives; milliseconds. */
export interface SessionLifetimes {
  sessionIdleMs: number
  sessionMaxMs: number
}

/** Longest cut of a User-Agent header that is kept. */
const longestUserAgent = 512
/** Longer than any address; a proxy that is trusted may say anything. */
const longestAddress = 64
const minute = 60_000

const sessionColumns = Prisma.sql`s.id AS "sessionId", s.created_at AS "sessionCreatedAt", s.last_seen_at AS "lastSeenAt",
  s.expires_at AS "expiresAt", s.ip, s.user_agent AS "userAgent"`

const interval = (ms: number) => Prisma.sql`make_interval(secs => ${ms / 1000}::double precision)`

/** What is stored of the id in the cookie. It has 192 random bits, so a plain hash cannot be reversed (ASVS 6.5.2). */
export function hashSessionSecret (secret: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(secret).digest())
}

/**
 * Starts a session for a user who has just proved who they are.
 * @param input `secret`: the id that goes into the cookie; `endsSecret`: that of the session which this one replaces;
 *   `ip`, `userAgent`, `requestId`: where it comes from
 * @param settings `sessionMaxPerUser`: beyond it the least recently seen sessions of the user end
 */
export async function startSession (
  db: Database,
  input: { userId: string, secret: string, endsSecret?: string | undefined, ip: string, userAgent: string | undefined, requestId?: string | undefined },
  settings: SessionLifetimes & { sessionMaxPerUser: number }
): Promise<Session> {
  const secretHash = hashSessionSecret(input.secret)
  const replaced = input.endsSecret === undefined ? null : hashSessionSecret(input.endsSecret)
  const [session] = await db.$queryRaw<Session[]>(newSession(
    uuidv7(), secretHash, input.userId, settings.sessionIdleMs / 1_000, settings.sessionMaxMs / 1_000, input.ip, input.userAgent ?? null,
    input.requestId ?? null, replaced, settings.sessionMaxPerUser - 1))
  return session as Session
}

/**
 * Starts a session, ends those that give way to it, and tells of both; what it starts is none of the sessions that it sees. Those
 * are found one way after the other: with OR between the two, all sessions that there are would be read.
 */
const newSession = prepareStatement((
  id: string, secretHash: Uint8Array, userId: string, idleSeconds: number, maxSeconds: number, ip: string, userAgent: string | null,
  requestId: string | null, replaced: Uint8Array | null, othersAtMost: number
) => {
  const end = Prisma.sql`make_interval(secs => ${maxSeconds}::double precision)`
  return telling(newcomer(userId, { requestId, ip }, { type: 'session', id }), Prisma.sql`
    ${sessionsEnded(Prisma.sql`ended`)} UNION ALL
    SELECT 'login.succeeded', NULL, 'user', s.user_id::text, NULL, jsonb_build_object('sessionId', s.id, 'createdAt', ${jsonTime(Prisma.sql`s.created_at`)},
      'expiresAt', ${jsonTime(Prisma.sql`s.expires_at`)}, 'ip', s.ip, 'userAgent', s.user_agent), NULL FROM made s`, Prisma.sql`
    made AS (
      INSERT INTO sessions (id, secret_hash, user_id, created_at, last_seen_at, expires_at, absolute_expires_at, ip, user_agent)
      VALUES (${id}::uuid, ${secretHash}, ${userId}::uuid, now(), now(), now() + least(make_interval(secs => ${idleSeconds}::double precision), ${end}), now() + ${end},
        left(${ip}, ${longestAddress}::int), left(${userAgent}, ${longestUserAgent}::int)) RETURNING *),
    ended AS (${endingSessions(Prisma.sql`id = ANY (ARRAY(
      SELECT id FROM sessions WHERE secret_hash = ${replaced}::bytea
      UNION ALL (
        SELECT id FROM sessions WHERE user_id = ${userId}::uuid AND secret_hash IS DISTINCT FROM ${replaced}::bytea AND expires_at > now()
        ORDER BY last_seen_at DESC, id DESC OFFSET ${othersAtMost})))`)})`, Prisma.sql`
    SELECT s.id, s.created_at AS "createdAt", s.last_seen_at AS "lastSeenAt", s.expires_at AS "expiresAt", s.ip, s.user_agent AS "userAgent" FROM made s`)
})

type IdentityRow = User & Omit<Session, 'id' | 'createdAt'> & {
  sessionId: string
  sessionCreatedAt: Date
  data: Record<string, unknown>
  isTouchDue: boolean
}

const liveSession = prepareStatement((secretHash: Uint8Array, touchAfterSeconds: number) => Prisma.sql`
  SELECT ${userColumns}, ${sessionColumns}, s.data,
    s.last_seen_at <= now() - make_interval(secs => ${touchAfterSeconds}::double precision) AS "isTouchDue"
  FROM sessions s JOIN users u ON u.id = s.user_id
  WHERE s.secret_hash = ${secretHash} AND s.expires_at > now() AND u.is_active`)

/**
 * Finds the live session for the id in a cookie together with its user, in one statement; null when there is none.
 * Once a minute, or once a tenth of the idle time where that is shorter, it also moves the session's end on.
 * @param reader the way of the look-up
 */
export async function findIdentity (
  db: Database, secret: string, lifetimes: SessionLifetimes, reader: Reader = db
): Promise<{ identity: Identity, data: Record<string, unknown> } | null> {
  const touchAfterSeconds = Math.min(minute, lifetimes.sessionIdleMs / 10) / 1_000
  const [row] = await reader.$queryRaw<IdentityRow[]>(liveSession(hashSessionSecret(secret), touchAfterSeconds))
  if (row === undefined) return null
  const { sessionId, sessionCreatedAt, lastSeenAt, expiresAt, ip, userAgent, data, isTouchDue, ...user } = row
  const session = { id: sessionId, createdAt: sessionCreatedAt, lastSeenAt, expiresAt, ip, userAgent }
  if (isTouchDue) Object.assign(session, await touchSession(db, sessionId, lifetimes))
  return { identity: { user, session }, data }
}

/** Notes that a live session was used now. Of many requests at once, one finds something to write. */
async function touchSession (db: Database, id: string, lifetimes: SessionLifetimes): Promise<Partial<Session>> {
  const [touched] = await db.$queryRaw<Array<Pick<Session, 'lastSeenAt' | 'expiresAt'>>>`
    UPDATE sessions SET last_seen_at = now(), expires_at = least(now() + ${interval(lifetimes.sessionIdleMs)}, absolute_expires_at)
    WHERE id = ${id}::uuid AND expires_at > now()
      AND last_seen_at <= now() - ${interval(Math.min(minute, lifetimes.sessionIdleMs / 10))}
    RETURNING last_seen_at AS "lastSeenAt", expires_at AS "expiresAt"`
  return touched ?? {}
}

/** Stores what an application keeps in a session. It changes a row that is there and never makes one. */
export async function saveSessionData (db: Database, secret: string, data: Prisma.InputJsonObject): Promise<void> {
  await db.$executeRaw`UPDATE sessions SET data = ${JSON.stringify(data)}::jsonb WHERE secret_hash = ${hashSessionSecret(secret)}`
}

/** Ends the session with this id in its cookie; nothing happens when there is none. */
export async function endSessionBySecret (db: Database, by: Caller | Author, secret: string): Promise<void> {
  await endSessions(db, by, Prisma.sql`secret_hash = ${hashSessionSecret(secret)}`)
}

/** A page of the live sessions of a user in the order of their ids, which is that of their beginning. */
export async function listSessions (
  db: Database, userId: string, { after, limit }: { after?: string | undefined, limit: number }
): Promise<Session[]> {
  const rest = after === undefined ? Prisma.sql`TRUE` : Prisma.sql`s.id > ${after}::uuid`
  return await db.$queryRaw<Session[]>`
    SELECT s.id, s.created_at AS "createdAt", s.last_seen_at AS "lastSeenAt", s.expires_at AS "expiresAt", s.ip, s.user_agent AS "userAgent"
    FROM sessions s WHERE s.user_id = ${userId}::uuid AND s.expires_at > now() AND ${rest} ORDER BY s.id LIMIT ${limit}`
}

/** Ends one live session of one's own. @throws {DomainError} not-found, also for one of somebody else */
export async function endSession (db: Database, caller: Caller, id: string): Promise<void> {
  const count = await endSessions(db, caller, Prisma.sql`id = ${id}::uuid AND user_id = ${caller.userId}::uuid AND expires_at > now()`)
  if (count === 0) throw new DomainError('not-found')
}

/** Ends every session of one's own but that by which one asks. */
export async function endOtherSessions (db: Database, caller: Caller): Promise<void> {
  await endSessions(db, caller, Prisma.sql`user_id = ${caller.userId}::uuid AND id IS DISTINCT FROM ${caller.credential?.id}::uuid`)
}

/** Ends every session and token of a user, for somebody who administers accounts. @throws {DomainError} forbidden (lost since the guard looked) */
export async function endSessionsOf (db: Database, caller: Caller, userId: string): Promise<void> {
  await keepingRights(db, caller, async (tx) => {
    await requireRootPermission(tx, caller, 'user:edit')
    await endAllAccess(tx, caller, userId)
  })
}

/** Whether a live session of the account with this e-mail began at this address. */
export async function isSignedInFrom (db: Database, email: string, ip: string): Promise<boolean> {
  const rows = await db.$queryRaw<unknown[]>`
    SELECT 1 FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE lower(u.email) = lower(${lookupEmail(email)}) AND s.ip = ${ip} AND s.expires_at > now() LIMIT 1`
  return rows.length > 0
}

/** Removes sessions that have ended by themselves, each with its event. @returns how many */
export async function removeExpiredSessions (db: PrismaClient, batchSize = 500): Promise<number> {
  return await removeInBatches(db, batchSize, async (tx) => await recordEvents(tx, system, sessionsEnded(Prisma.sql`ended`), Prisma.sql`ended AS (
    DELETE FROM sessions WHERE id IN (
      SELECT id FROM sessions WHERE expires_at <= now() ORDER BY expires_at LIMIT ${batchSize} FOR UPDATE SKIP LOCKED) RETURNING *)`))
}
