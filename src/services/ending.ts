/** Ending all by which a user gets in. */
import type { Database } from './database.js'

/**
 * Ends every session and every token of a user, in this order: who is making a token holds the session by which they do,
 * so that no token comes after the others have gone.
 * @param tx a transaction
 */
export async function endAllAccess (tx: Database, userId: string): Promise<void> {
  await tx.session.deleteMany({ where: { userId } })
  await endTokens(tx, userId)
}

/** Ends every token of a user. */
export async function endTokens (tx: Database, userId: string): Promise<void> {
  await tx.accessToken.deleteMany({ where: { userId } })
}
