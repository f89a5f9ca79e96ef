/** Who is behind a call: as far as decisions ask, and as far as a record of it tells. */

/** Whose rights count. */
export interface Principal {
  userId: string
  /** Those that the caller's token is narrowed to, as `type:action`; null: all that the user has. */
  permissions: readonly string[] | null
}

export interface Caller extends Principal {
  credential: { type: 'session' | 'token', id: string } | null
  requestId: string | null
  ip: string | null
}
