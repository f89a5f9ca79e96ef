/** Who is behind a call: as far as decisions ask, and as far as a record of it tells. */

/** Whose rights count. */
export interface Principal {
  userId: string
  /** Those that the caller's token is narrowed to, as `type:action`; null: all that the user has. */
  permissions: readonly string[] | null
}

/** Where a call comes from. */
export interface Origin {
  requestId: string | null
  ip: string | null
}

export interface Credential { type: 'session' | 'token', id: string }

/** A user who is signed in. */
export interface Caller extends Principal, Origin {
  credential: Credential | null
}

/** Whoever makes a change, as the audit log names them. */
export interface Author extends Origin {
  actor: { type: 'user', id: string } | { type: 'operator' | 'system' | 'anonymous' }
  credential: Credential | null
}

const nowhere = { credential: null, requestId: null, ip: null }

/** Somebody with a shell on the machine. */
export const operator: Author = { actor: { type: 'operator' }, ...nowhere }

/** The service by itself. */
export const system: Author = { actor: { type: 'system' }, ...nowhere }

/** Somebody of whom only the address is known. */
export const anonymousFrom = (origin: Origin): Author => ({ ...origin, actor: { type: 'anonymous' }, credential: null })

/** Somebody who has only just become a user, or proved to be one. */
export const newcomer = (userId: string, origin: Origin, credential: Credential | null = null): Author =>
  ({ ...origin, actor: { type: 'user', id: userId }, credential })

/** A caller as the author of what they do. */
export const asAuthor = (by: Caller | Author): Author => 'actor' in by
  ? by
  : { actor: { type: 'user', id: by.userId }, credential: by.credential, requestId: by.requestId, ip: by.ip }
