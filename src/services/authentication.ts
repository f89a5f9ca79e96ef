/** Proving who one is with a password: login, and changing the password. */
import { DomainError } from '../errors.js'
import { type Database, inTransaction } from './database.js'
import { endTokens } from './ending.js'
import { argon2id, type PasswordHasher } from './password-hashing.js'
import { checkPassword } from './password-rules.js'
import { endOtherSessions, endSessionBySecret, type Session, type SessionLifetimes, startSession } from './sessions.js'
import { findCredentials, type PasswordSettings, recordLogin, replacePasswordHash, type User } from './users.js'

/**
 * Signs a user in. Unknown e-mail, wrong password and deactivated account cost one argon2 verification each, as
 * success does, and end in the same error.
 * @param input `secret`: the id for the new session's cookie; `endsSecret`: that of the session which this login replaces
 * @throws {DomainError} invalid-credentials, overloaded
 */
export async function logIn (
  db: Database,
  input: { email: string, password: string, secret: string, endsSecret?: string | undefined, ip: string, userAgent: string | undefined },
  settings: SessionLifetimes & { sessionMaxPerUser: number },
  hasher: PasswordHasher = argon2id
): Promise<{ user: User, session: Session }> {
  const known = await findCredentials(db, input.email)
  const isRight = await hasher.verify(known?.passwordHash, input.password)
  if (known === null || !isRight) throw new DomainError('invalid-credentials')

  return await inTransaction(db, async (tx) => {
    const user = await recordLogin(tx, known)
    if (user === null) throw new DomainError('invalid-credentials')
    if (input.endsSecret !== undefined) await endSessionBySecret(tx, input.endsSecret)
    return { user, session: await startSession(tx, { ...input, userId: user.id }, settings) }
  })
}

/**
 * Changes a user's password and ends every other session of theirs.
 * @param input `sessionId`: the session that asks and stays; `endTokens`: whether their tokens end too
 * @throws {DomainError} invalid-request, invalid-credentials, overloaded
 */
export async function changePassword (
  db: Database,
  input: { user: User, sessionId: string, currentPassword: string, newPassword: string, endTokens?: boolean | undefined },
  { passwordMinLength = 12, hasher = argon2id }: PasswordSettings = {}
): Promise<void> {
  const { user, sessionId, currentPassword, newPassword } = input
  await checkPassword(newPassword, user, passwordMinLength, '/newPassword')
  const known = await findCredentials(db, user.email)
  const isRight = await hasher.verify(known?.passwordHash, currentPassword)
  if (known === null || !isRight) throw new DomainError('invalid-credentials')
  const passwordHash = await hasher.hash(newPassword)

  await inTransaction(db, async (tx) => {
    if (!await replacePasswordHash(tx, known, passwordHash)) throw new DomainError('invalid-credentials')
    await endOtherSessions(tx, user.id, sessionId)
    if (input.endTokens === true) await endTokens(tx, user.id)
  })
}
