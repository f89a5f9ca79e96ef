/** The errors of the domain and their closed set of codes; it knows no HTTP (plugins/problem.ts does). */

/** Stable codes for programs, as the API documents them. A code without a row in plugins/problem.ts does not compile. */
export type ErrorCode =
  | 'invalid-request'
  | 'unknown-subject'
  | 'unknown-role'
  | 'unknown-type'
  | 'unauthenticated'
  | 'invalid-credentials'
  | 'forbidden'
  | 'escalation'
  | 'session-required'
  | 'cross-site'
  | 'not-found'
  | 'email-taken'
  | 'binding-exists'
  | 'role-exists'
  | 'last-owner'
  | 'has-children'
  | 'invalid-parent'
  | 'too-deep'
  | 'cycle'
  | 'built-in'
  | 'in-use'
  | 'precondition-failed'
  | 'timeout'
  | 'rate-limited'
  | 'payload-too-large'
  | 'unsupported-media-type'
  | 'headers-too-large'
  | 'overloaded'
  | 'internal'

/** One field of a request that does not fit: a JSON Pointer to it (RFC 6901) and what it should be. */
export interface FieldError {
  path: string
  message: string
}

export class DomainError extends Error {
  override name = 'DomainError'

  /**
   * @param code what went wrong, for programs
   * @param detail what went wrong here, for people; absent: the sentence that belongs to the code
   * @param errors for `invalid-request`: each field that does not fit
   */
  constructor (readonly code: ErrorCode, readonly detail?: string, readonly errors?: FieldError[]) {
    // It is an answer: nobody asks where in the code it was given, and to note that was a thirtieth of the work of a denial.
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(detail ?? code)
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** What a decision failed about. */
export interface Denial {
  /** The resource whose decision failed: the root for what is administered there. */
  resourceId: string
  /** What was to be done with it; for what is administered on the root, and for what was to be made in it, the permission. */
  action: string
  /** The permission by which it failed; null where there is nothing; absent: that of viewing the resource. */
  missing?: string | null
}

/** Somebody may not do this; or not even see it, and then it is the same as if it were not there. */
export class DeniedError extends DomainError {
  constructor (code: 'not-found' | 'forbidden' | 'escalation', readonly denial: Denial, detail?: string) {
    super(code, detail)
  }
}

/** So many of something in so much time. */
export interface Limit {
  name: string
  quota: number
  windowSeconds: number
}

/** Somebody has reached a limit, and may go on after `waitMs`. */
export class RateLimitError extends DomainError {
  constructor (readonly limit: Limit, readonly waitMs: number) {
    super('rate-limited')
  }
}

/** A bearer token that lets nobody in. */
export class InvalidTokenError extends DomainError {
  constructor () {
    super('unauthenticated', 'The bearer token is not one of a user, or it has expired or ended.')
  }
}

/** The error for one field that does not fit. */
export function invalidField (path: string, message: string): DomainError {
  return new DomainError('invalid-request', undefined, [{ path, message }])
}
