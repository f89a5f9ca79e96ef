/** Whether a caller is still signed in: they were when their request came, but its body, a lock or a slow reader may have taken its time since. */
import { DomainError, InvalidTokenError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import type { Credential } from './caller.js'
import type { Database } from './database.js'

export interface WithCredential { credential: Credential | null }

/** @throws {DomainError} unauthenticated, when the session or the token by which they call has ended */
export async function requireSignedIn (db: Database, { credential }: WithCredential, lock = Prisma.empty): Promise<void> {
  if (credential === null) return
  const [row] = await db.$queryRaw<unknown[]>(credential.type === 'session'
    ? Prisma.sql`SELECT 1 FROM sessions WHERE id = ${credential.id}::uuid AND expires_at > statement_timestamp() ${lock}`
    : Prisma.sql`SELECT 1 FROM access_tokens WHERE id = ${credential.id}::uuid AND (expires_at IS NULL OR expires_at > statement_timestamp()) ${lock}`)
  if (row === undefined) throw credential.type === 'session' ? new DomainError('unauthenticated') : new InvalidTokenError()
}

/** The same for a change: whoever ends the session or the token waits until it has been made. Locks of locks.ts come before. */
export async function staySignedIn (tx: Database, caller: WithCredential): Promise<void> {
  await requireSignedIn(tx, caller, Prisma.sql`FOR KEY SHARE`)
}
