/** Accounts: creating, finding, changing and deactivating them. */
import { v7 as uuidv7 } from 'uuid'
import { DomainError, invalidField } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { recordEvent } from './audit.js'
import { type Author, type Caller, newcomer, type Origin } from './caller.js'
import { type Database, inTransaction } from './database.js'
import { requireRootPermission } from './authorization.js'
import { endAllAccess } from './ending.js'
import { isUuid } from './ids.js'
import { changingRights, keepingRights } from './locks.js'
import { keepingOwners, theRoot } from './owners.js'
import { argon2id, type PasswordHasher } from './password-hashing.js'
import { checkPassword, type PasswordRules } from './password-rules.js'
import { staySignedIn } from './presence.js'

/** A user as the API shows it; never with the hash of the password. */
export interface User {
  id: string
  email: string
  name: string
  isActive: boolean
  createdAt: Date
  updatedAt: Date
  lastLoginAt: Date | null
}

const userFields = {
  id: true, email: true, name: true, isActive: true, createdAt: true, updatedAt: true, lastLoginAt: true
} satisfies Prisma.UserSelect

/** The same fields in SQL, for the statements that Prisma's model API cannot express. */
export const userColumns = Prisma.sql`u.id, u.email, u.name, u.is_active AS "isActive",
  u.created_at AS "createdAt", u.updated_at AS "updatedAt", u.last_login_at AS "lastLoginAt"`

export interface PasswordSettings extends PasswordRules {
  hasher?: PasswordHasher
}

/**
 * Creates an account.
 * @param input `email` and `name` are trimmed here; `password` is taken as it is
 * @param by who makes it; only from where, when it is the new user
 * @throws {DomainError} invalid-request, email-taken, overloaded
 */
export async function createUser (
  db: Database,
  input: { email: string, name: string, password: string },
  { hasher = argon2id, ...rules }: PasswordSettings = {},
  by: Caller | Author | Origin = { requestId: null, ip: null }
): Promise<User> {
  const email = normalizeEmail(input.email)
  const name = normalizeName(input.name)
  await checkPassword(input.password, { email, name }, rules, '/password')
  const passwordHash = await hasher.hash(input.password)
  try {
    return await inTransaction(db, async (tx) => {
      const user = await tx.user.create({ data: { id: uuidv7(), email, name, passwordHash }, select: userFields })
      await recordEvent(tx, 'credential' in by ? by : newcomer(user.id, by), { type: 'user.created', target: { type: 'user', id: user.id }, after: told(user) })
      return user
    })
  } catch (error) {
    // The index decides, not a look-up before: two registrations at once cannot both pass.
    const isTaken = error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002'
    throw isTaken ? new DomainError('email-taken') : error
  }
}

/** Finds a user by e-mail, whatever its case. */
export async function findUserByEmail (db: Database, email: string): Promise<User | null> {
  const [user] = await db.$queryRaw<User[]>`SELECT ${userColumns} FROM users u WHERE lower(u.email) = lower(${lookupEmail(email)})`
  return user ?? null
}

/** Finds a user by id; null for an id that is none. */
export async function findUserById (db: Database, id: string): Promise<User | null> {
  if (!isUuid(id)) return null
  const [user] = await db.$queryRaw<User[]>`SELECT ${userColumns} FROM users u WHERE u.id = ${id}::uuid`
  return user ?? null
}

/**
 * A page of users in the order of their ids, which is that of their creation.
 * @param filter `email`: the whole address, whatever its case; `q`: literally, anywhere in the name, whatever its case
 * @param page `after`: the last id of the page before; `limit`: how many
 */
export async function listUsers (
  db: Database, filter: { email?: string | undefined, q?: string | undefined }, page: { after?: string | undefined, limit: number }
): Promise<User[]> {
  const conditions = [
    Prisma.sql`TRUE`,
    ...(page.after === undefined ? [] : [Prisma.sql`u.id > ${page.after}::uuid`]),
    ...(filter.email === undefined ? [] : [Prisma.sql`lower(u.email) = lower(${lookupEmail(filter.email)})`]),
    // position(), not LIKE: nothing in the text needs escaping.
    ...(filter.q === undefined ? [] : [Prisma.sql`position(lower(${filter.q}) IN lower(u.name)) > 0`])
  ]
  return await db.$queryRaw<User[]>`
    SELECT ${userColumns} FROM users u WHERE ${Prisma.join(conditions, ' AND ')} ORDER BY u.id LIMIT ${page.limit}`
}

/**
 * Changes one's own name.
 * @throws {DomainError} invalid-request
 */
export async function updateOneself (db: Database, caller: Caller, { name }: { name?: string | undefined }): Promise<User> {
  const change = name === undefined ? {} : { name: normalizeName(name) }
  return await inTransaction(db, async (tx) => {
    await staySignedIn(tx, caller)
    return await changeUser(tx, caller, caller.userId, change)
  })
}

/**
 * Changes a user's name or whether the account is active. Deactivating ends every session and token of the user at once.
 * @throws {DomainError} invalid-request, forbidden (lost since the guard looked), not-found, last-owner
 */
export async function updateUser (
  db: Database, caller: Caller, id: string, change: { name?: string | undefined, isActive?: boolean | undefined }
): Promise<User> {
  if (!isUuid(id)) throw new DomainError('not-found')
  const name = change.name === undefined ? undefined : normalizeName(change.name)
  const update = async (tx: Database) => {
    await requireRootPermission(tx, caller, 'user:edit')
    return await changeUser(tx, caller, id, { name, isActive: change.isActive })
  }
  if (change.isActive === undefined) return await keepingRights(db, caller, update)
  return await changingRights(db, caller, async (tx) => {
    const changed = await keepingOwners(tx, theRoot, async () => await update(tx))
    // After the user is locked: a login that was in time has its session by now, a later one finds the account inactive.
    if (!changed.isActive) await endAllAccess(tx, caller, id)
    return changed
  })
}

/**
 * Changes what differs, and locks the user until the transaction ends in any case.
 * @throws {DomainError} not-found
 */
async function changeUser (tx: Database, caller: Caller, id: string, change: { name?: string | undefined, isActive?: boolean | undefined }): Promise<User> {
  const [before] = await tx.$queryRaw<User[]>`SELECT ${userColumns} FROM users u WHERE u.id = ${id}::uuid FOR NO KEY UPDATE`
  if (before === undefined) throw new DomainError('not-found')
  const { name = before.name, isActive = before.isActive } = change
  if (name === before.name && isActive === before.isActive) return before
  const after = await tx.user.update({ where: { id: before.id }, data: { name, isActive }, select: userFields })
  const event = { target: { type: 'user', id: after.id }, before: told(before), after: told(after) } as const
  await recordEvent(tx, caller,
    ...(name === before.name ? [] : [{ ...event, type: 'user.updated' } as const]),
    ...(isActive === before.isActive ? [] : [{ ...event, type: isActive ? 'user.activated' : 'user.deactivated' } as const]))
  return after
}

/** A user as the audit log tells of one. */
const told = ({ email, name, isActive }: User) => ({ email, name, isActive })

/**
 * An address as it is stored: trimmed, the domain in lower case.
 * @throws {DomainError} invalid-request
 */
function normalizeEmail (text: string): string {
  const [local = '', domain = '', ...rest] = text.trim().split('@')
  // The form that HTML gives <input type=email>: ASCII, so an international domain is to be written as punycode.
  const isLocal = /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+$/.test(local)
  const isDomain = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/.test(domain)
  const email = `${local}@${domain.toLowerCase()}`
  if (!isLocal || !isDomain || rest.length > 0) throw invalidField('/email', 'must be an e-mail address in ASCII such as jane@example.org')
  if (email.length > 255) throw invalidField('/email', 'must have at most 255 characters')
  return email
}

/** What to look an address up with; nothing but ASCII is stored, and lower() would fold some other letters into it. */
export function lookupEmail (email: string): string {
  return /^[!-~]+$/.test(email.trim()) ? email.trim() : ''
}

/** @throws {DomainError} invalid-request */
function normalizeName (text: string): string {
  const name = text.trim()
  if (name === '') throw invalidField('/name', 'must not be blank')
  if ([...name].length > 32) throw invalidField('/name', 'must have at most 32 characters')
  return name
}
