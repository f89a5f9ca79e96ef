/** Personal access tokens, with which programs stand in for their user: what both may do, and never more. */
import { v7 as uuidv7 } from 'uuid'
import { DomainError, invalidField } from '../errors.js'
import { Prisma, type PrismaClient } from '../generated/prisma/client.js'
import { recordEvents } from './audit.js'
import { type Caller, system } from './caller.js'
import { removeInBatches } from './cleanup.js'
import { type Database, inTransaction, type Reader } from './database.js'
import { endTokens, tokenEvents } from './ending.js'
import { checkExpiry } from './expiry.js'
import { staySignedIn } from './presence.js'
import { checkPermissions } from './roles.js'
import { hashToken, isTokenLike, makeToken } from './token-secrets.js'
import { type User, userColumns } from './users.js'

/** A token as the API shows it; the secret itself is shown once. */
export interface AccessToken {
  id: string
  name: string
  /** With which the secret begins. */
  prefix: string
  /** Null: all that the user has. */
  permissions: string[] | null
  createdAt: Date
  lastUsedAt: Date | null
  expiresAt: Date | null
}

/** Who is asking by a token, as the database knew it at this request. */
export interface TokenIdentity {
  user: User
  token: { id: string, permissions: string[] | null }
}

const columns = Prisma.sql`t.id, t.name, t.prefix, t.permissions, t.created_at AS "createdAt", t.last_used_at AS "lastUsedAt", t.expires_at AS "expiresAt"`

/**
 * Makes a token for the user of a session.
 * @param input `permissions`: those to which it is narrowed, as `type:action`; null: all that the user has, now and later
 * @throws {DomainError} invalid-request; unauthenticated when the session has ended since
 */
export async function createToken (
  db: Database, caller: Caller,
  { name, expiresAt = null, permissions = null }: { name: string, expiresAt?: Date | null | undefined, permissions?: string[] | null | undefined }
): Promise<AccessToken & { token: string }> {
  if (name.trim() === '') throw invalidField('/name', 'must not be blank')
  checkExpiry(expiresAt)
  const { secret, prefix } = makeToken()
  return await inTransaction(db, async (tx) => {
    // Whoever ends a user's sessions and then their tokens waits for this one, and ends it too.
    await staySignedIn(tx, caller)
    if (permissions !== null) await checkPermissions(tx, permissions)
    const id = uuidv7()
    await recordEvents(tx, caller, tokenEvents('token.created', Prisma.sql`made`), Prisma.sql`made AS (
      INSERT INTO access_tokens (id, secret_hash, user_id, name, prefix, permissions, expires_at)
      VALUES (${id}::uuid, ${hashToken(secret)}, ${caller.userId}::uuid, ${name.trim()}, ${prefix}, ${permissions}::text[], ${expiresAt}::timestamptz)
      RETURNING *)`)
    const [token] = await tx.$queryRaw<AccessToken[]>`SELECT ${columns} FROM access_tokens t WHERE t.id = ${id}::uuid`
    return { token: secret, ...token as AccessToken }
  })
}

/** A page of a user's tokens in the order in which they were made. */
export async function listTokens (
  db: Database, userId: string, { after, limit }: { after?: string | undefined, limit: number }
): Promise<AccessToken[]> {
  const rest = after === undefined ? Prisma.sql`TRUE` : Prisma.sql`t.id > ${after}::uuid`
  return await db.$queryRaw<AccessToken[]>`
    SELECT ${columns} FROM access_tokens t WHERE t.user_id = ${userId}::uuid AND ${rest} ORDER BY t.id LIMIT ${limit}`
}

/** Ends a token of one's own. @throws {DomainError} not-found, also for one of somebody else */
export async function endToken (db: Database, caller: Caller, id: string): Promise<void> {
  const count = await endTokens(db, caller, Prisma.sql`id = ${id}::uuid AND user_id = ${caller.userId}::uuid`)
  if (count === 0) throw new DomainError('not-found')
}

/**
 * Finds the user for whom a token stands, in one statement; null when there is none. Once a minute it is noted that the
 * token was used.
 * @param reader the way of the look-up
 */
export async function findTokenIdentity (db: Database, secret: string, reader: Reader = db): Promise<TokenIdentity | null> {
  if (!isTokenLike(secret)) return null
  const [row] = await reader.$queryRaw<Array<User & { tokenId: string, permissions: string[] | null, isTouchDue: boolean }>>`
    SELECT ${userColumns}, t.id AS "tokenId", t.permissions, coalesce(t.last_used_at <= now() - interval '1 minute', TRUE) AS "isTouchDue"
    FROM access_tokens t JOIN users u ON u.id = t.user_id
    WHERE t.secret_hash = ${hashToken(secret)} AND (t.expires_at IS NULL OR t.expires_at > now()) AND u.is_active`
  if (row === undefined) return null
  const { tokenId: id, permissions, isTouchDue, ...user } = row
  if (isTouchDue) {
    // Of many requests at once, one finds something to write.
    await db.$executeRaw`
      UPDATE access_tokens SET last_used_at = now()
      WHERE id = ${id}::uuid AND coalesce(last_used_at <= now() - interval '1 minute', TRUE)`
  }
  return { user, token: { id, permissions } }
}

/** Removes tokens that expired a month ago, each with its event; until then their owner sees why something stopped. @returns how many */
export async function removeExpiredTokens (db: PrismaClient, batchSize = 500): Promise<number> {
  return await removeInBatches(db, batchSize, async (tx) => await endTokens(tx, system, Prisma.sql`id IN (
    SELECT id FROM access_tokens WHERE expires_at <= now() - interval '30 days' ORDER BY expires_at LIMIT ${batchSize} FOR UPDATE SKIP LOCKED)`))
}
