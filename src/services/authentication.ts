/** Proving who one is with a password: login, changing the password, and giving somebody another who has lost theirs. */
import { DomainError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvent } from './audit.js'
import { anonymousFrom, type Author, type Caller } from './caller.js'
import { recordLogin, replacePasswordHash, withPassword } from './credentials.js'
import { type Database, inTransaction } from './database.js'
import { endAllAccess, endTokens } from './ending.js'
import { argon2id, type PasswordHasher } from './password-hashing.js'
import { checkPassword } from './password-rules.js'
import { staySignedIn } from './presence.js'
import { endOtherSessions, type Session, type SessionLifetimes, startSession } from './sessions.js'
import type { PasswordSettings, User } from './users.js'

/**
 * Signs a user in. Unknown e-mail, wrong password and deactivated account cost one argon2 verification each, as
 * success does, and end in the same error.
 * @param input `secret`: the id for the new session's cookie; `endsSecret`: that of the session which this login replaces
 * @throws {DomainError} invalid-credentials, overloaded
 */
export async function logIn (
  db: Database,
  input: { email: string, password: string, secret: string, endsSecret?: string | undefined, ip: string, userAgent: string | undefined, requestId?: string | undefined },
  settings: SessionLifetimes & { sessionMaxPerUser: number },
  hasher: PasswordHasher = argon2id
): Promise<{ user: User, session: Session }> {
  const { email, password } = input
  const { accountId, result: signedIn } = await withPassword(db, hasher, email, password, async (known) => {
    // Only now is the password at hand from which a better hash can be made (ASVS 11.4.2).
    const hash = hasher.isOutdated(known.passwordHash) ? await hasher.hash(password) : known.passwordHash
    return await inTransaction(db, async (tx) => {
      const user = await recordLogin(tx, known, hash)
      return user === null ? null : { user, session: await startSession(tx, { ...input, userId: user.id }, settings) }
    })
  })
  if (signedIn !== null) return signedIn
  // Not the address that was tried: now and then somebody types a password there.
  const { requestId = null, ip } = input
  await recordEvent(db, anonymousFrom({ requestId, ip }), { type: 'login.failed', target: { type: 'user', id: accountId } })
  throw new DomainError('invalid-credentials')
}

/**
 * Changes the caller's password and ends every other session of theirs.
 * @param input `endTokens`: whether their tokens end too
 * @throws {DomainError} invalid-request, invalid-credentials, overloaded
 */
export async function changePassword (
  db: Database, caller: Caller,
  input: { user: User, currentPassword: string, newPassword: string, endTokens?: boolean | undefined },
  { hasher = argon2id, ...rules }: PasswordSettings = {}
): Promise<void> {
  const { user, currentPassword, newPassword } = input
  await checkPassword(newPassword, user, rules, '/newPassword')
  const { result } = await withPassword(db, hasher, user.email, currentPassword, async (known) => {
    const passwordHash = await hasher.hash(newPassword)
    return await inTransaction(db, async (tx) => {
      await staySignedIn(tx, caller)
      if (!await replacePasswordHash(tx, known, passwordHash)) return null
      await recordEvent(tx, caller, { type: 'password.changed', target: { type: 'user', id: user.id } })
      await endOtherSessions(tx, caller)
      if (input.endTokens === true) await endTokens(tx, caller, Prisma.sql`user_id = ${user.id}::uuid`)
      return known
    })
  })
  if (result === null) throw new DomainError('invalid-credentials')
}

/**
 * Gives a user another password, without the one they have lost, and ends every session and token of theirs: whoever has
 * the old one may have made them. A deactivated account stays so.
 * @param by an operator; the API lets nobody set the password of somebody else (ASVS 6.4.6)
 * @throws {DomainError} invalid-request, not-found, overloaded
 */
export async function resetPassword (
  db: Database, by: Author, user: User, password: string, { hasher = argon2id, ...rules }: PasswordSettings = {}
): Promise<void> {
  await checkPassword(password, user, rules, '/password')
  const passwordHash = await hasher.hash(password)
  await inTransaction(db, async (tx) => {
    // It locks the user first, as a login does: one that was in time has its session by now, and loses it.
    const { count } = await tx.user.updateMany({ where: { id: user.id }, data: { passwordHash } })
    if (count === 0) throw new DomainError('not-found')
    await recordEvent(tx, by, { type: 'password.changed', target: { type: 'user', id: user.id } })
    await endAllAccess(tx, by, user.id)
  })
}
