/** What an account is proved by: the stored hash of its password, read and replaced so that nobody gets in by one that is gone. */
import type { Database } from './database.js'
import type { PasswordHasher } from './password-hashing.js'
import { lookupEmail, type User, userColumns } from './users.js'

/** What a password is checked against. */
export interface Credentials {
  id: string
  passwordHash: string
  isActive: boolean
}

/** Finds the stored hash for an address, whatever its case; also that of a deactivated account. */
export async function findCredentials (db: Database, email: string): Promise<Credentials | null> {
  const [known] = await db.$queryRaw<Credentials[]>`
    SELECT u.id, u.password_hash AS "passwordHash", u.is_active AS "isActive" FROM users u WHERE lower(u.email) = lower(${lookupEmail(email)})`
  return known ?? null
}

/**
 * Checks a password and goes on with the account that it belongs to. Unknown e-mail, wrong password and deactivated account
 * cost one verification and the same statements.
 * @param work null when the stored hash is no longer the one that was checked, or the account no longer active. Somebody may
 *   have changed the password, or a login have stored it with other parameters: so it is checked again, against what is there now
 * @returns `result` is null when the password is not that of an active account, `accountId` that of the e-mail where there is one
 * @throws {DomainError} overloaded
 */
export async function withPassword<T> (
  db: Database, hasher: PasswordHasher, email: string, password: string, work: (known: Credentials) => Promise<T | null>
): Promise<{ accountId: string | null, result: T | null }> {
  for (;;) {
    const known = await findCredentials(db, email)
    const isRight = await hasher.verify(known?.passwordHash, password)
    if (known === null || !isRight || !known.isActive) return { accountId: known?.id ?? null, result: null }
    const result = await work(known)
    if (result !== null) return { accountId: known.id, result }
  }
}

/**
 * Notes a login and locks the user until the transaction ends. Null when the account has been deactivated or has another
 * hash than the one that was checked: then no session may be left behind.
 * @param newHash what is stored from now on: the same, or one of the same password with today's parameters
 */
export async function recordLogin (tx: Database, { id, passwordHash }: Credentials, newHash: string): Promise<User | null> {
  const [user] = await tx.$queryRaw<User[]>`
    UPDATE users u SET last_login_at = now(), password_hash = ${newHash} WHERE u.id = ${id}::uuid AND u.password_hash = ${passwordHash} AND u.is_active
    RETURNING ${userColumns}`
  return user ?? null
}

/** Stores a new hash in place of the one that was checked; false when that is no longer the stored one. */
export async function replacePasswordHash (tx: Database, { id, passwordHash }: Omit<Credentials, 'isActive'>, newHash: string): Promise<boolean> {
  return await tx.$executeRaw`UPDATE users SET password_hash = ${newHash}, updated_at = now() WHERE id = ${id}::uuid AND password_hash = ${passwordHash}` === 1
}
