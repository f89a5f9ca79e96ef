/** Ending all by which a user gets in, each with its event. */
import { Prisma } from '../generated/prisma/client.js'
import { asRow, type Happening, jsonTime, recordEvents } from './audit.js'
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
 * Ends sessions, in one statement. The rows of those that have expired already go too, without an event: nobody ends them.
 * @param which a condition on the table of sessions
 * @param also what happens with it
 * @returns how many events there were: one for each session that was alive, and the others
 */
export async function endSessions (db: Database, by: Caller | Author, which: Prisma.Sql, ...also: Happening[]): Promise<number> {
  const ended = Prisma.sql`
    (SELECT 'session.ended', NULL::uuid, 'session', id::text,
      jsonb_build_object('userId', user_id, 'createdAt', ${jsonTime(Prisma.sql`created_at`)}, 'ip', ip, 'userAgent', user_agent), NULL::jsonb, NULL::uuid
    FROM ended WHERE expires_at > now() ORDER BY id)`
  return await recordEvents(db, by, Prisma.join([ended, ...also.map(asRow)], ' UNION ALL '), Prisma.sql`ended AS (DELETE FROM sessions WHERE ${which} RETURNING *)`)
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
