/** Ending all by which a user gets in, each with its event. */
import { Prisma } from '../generated/prisma/client.js'
import { jsonTime, recordEvents } from './audit.js'
import type { Author, Caller } from './caller.js'
import type { Database } from './database.js'

/**
 * Ends every session and every token of a user, in this order: who is making a token holds the session by which they do,
 * so that no token comes after the others have gone.
 * @param tx a transaction
 */
export async function endAllAccess (tx: Database, by: Caller | Author, userId: string): Promise<void> {
  await endSessions(tx, by, Prisma.sql`user_id = ${userId}::uuid`)
  await endTokens(tx, by, Prisma.sql`user_id = ${userId}::uuid`)
}

/**
 * Ends live sessions, in one statement.
 * @param which a condition on the table of sessions
 * @returns how many
 */
export async function endSessions (db: Database, by: Caller | Author, which: Prisma.Sql): Promise<number> {
  return await recordEvents(db, by, sessionsEnded(Prisma.sql`ended`), Prisma.sql`ended AS (${endingSessions(which)})`)
}

/** Those that have expired have ended by themselves, as `removeExpiredSessions` tells. */
export const endingSessions = (which: Prisma.Sql): Prisma.Sql => Prisma.sql`DELETE FROM sessions WHERE (${which}) AND expires_at > now() RETURNING *`

/** An event for each of some rows of the table of sessions. */
export function sessionsEnded (rows: Prisma.Sql): Prisma.Sql {
  return Prisma.sql`
    (SELECT 'session.ended', NULL::uuid, 'session', s.id::text, jsonb_build_object('userId', s.user_id, 'createdAt', ${jsonTime(Prisma.sql`s.created_at`)},
      'expiresAt', ${jsonTime(Prisma.sql`s.expires_at`)}, 'ip', s.ip, 'userAgent', s.user_agent), NULL::jsonb, NULL::uuid
    FROM ${rows} s ORDER BY s.id)`
}

/**
 * Ends tokens, in one statement; one that has expired is listed until it is removed, so it has its event too.
 * @param which a condition on the table of tokens
 * @returns how many
 */
export async function endTokens (db: Database, by: Caller | Author, which: Prisma.Sql): Promise<number> {
  return await recordEvents(db, by, tokenEvents('token.ended', Prisma.sql`ended`), Prisma.sql`ended AS (DELETE FROM access_tokens WHERE ${which} RETURNING *)`)
}

/** An event for each of some rows of the table of tokens. */
export function tokenEvents (type: 'token.created' | 'token.ended', rows: Prisma.Sql): Prisma.Sql {
  const told = Prisma.sql`jsonb_build_object('userId', t.user_id, 'name', t.name, 'permissions', t.permissions, 'expiresAt', ${jsonTime(Prisma.sql`t.expires_at`)})`
  const [before, after] = type === 'token.created' ? [Prisma.sql`NULL::jsonb`, told] : [told, Prisma.sql`NULL::jsonb`]
  return Prisma.sql`SELECT ${type}::text, NULL::uuid, 'token', t.id::text, ${before}, ${after}, NULL::uuid FROM ${rows} t`
}
