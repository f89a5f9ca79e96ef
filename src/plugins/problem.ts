/** Errors as RFC 9457 problems: the one table of statuses, and the one place where foreign errors get a code. */
import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { DomainError, type ErrorCode, type FieldError, InvalidTokenError, RateLimitError } from '../errors.js'
import { isDatabaseFault } from '../services/database.js'

export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  errors?: FieldError[]
}

/** Status, title and the default detail of every code; the detail says what to do. */
export const problems = {
  'invalid-request': { status: 400, title: 'Invalid request', detail: 'The request does not fit what this path takes: see "errors", or the path in /openapi.json.' },
  'unknown-subject': { status: 400, title: 'Unknown subject', detail: 'There is no such active user, and no such group that you may see.' },
  'unknown-role': { status: 400, title: 'Unknown role', detail: 'There is no role of this name. GET /roles lists them.' },
  'unknown-type': { status: 400, title: 'Unknown resource type', detail: 'There is no resource type of this name. GET /resource-types lists them.' },
  unauthenticated: { status: 401, title: 'Not signed in', detail: 'Sign in with POST /auth/login and send the cookie that it sets, or send an access token as Authorization: Bearer.' },
  'invalid-credentials': { status: 401, title: 'Invalid credentials', detail: 'The e-mail or the password is wrong, or the account is deactivated.' },
  forbidden: { status: 403, title: 'Forbidden', detail: 'You may not do this.' },
  escalation: { status: 403, title: 'Escalation', detail: 'This would give, or take, rights that you do not hold there yourself.' },
  'session-required': { status: 403, title: 'Session required', detail: 'An access token cannot do this. Sign in with POST /auth/login and send the cookie that it sets.' },
  'cross-site': { status: 403, title: 'Cross-site request refused', detail: 'A browser sent this request from another site. Send it from the service\'s own origin.' },
  'not-found': { status: 404, title: 'Not found', detail: 'There is nothing here that you may see.' },
  'email-taken': { status: 409, title: 'E-mail taken', detail: 'There is an account with this e-mail already.' },
  'last-owner': { status: 409, title: 'Last owner', detail: 'This would leave the root or an organization without an owner. Make somebody else an owner of it first.' },
  'binding-exists': { status: 409, title: 'Binding exists', detail: 'This subject is bound to this role on this resource already.' },
  'role-exists': { status: 409, title: 'Role exists', detail: 'There is a role of this name already.' },
  'has-children': { status: 409, title: 'Has children', detail: 'There is something below it. Delete that first, or use ?recursive=true.' },
  'invalid-parent': { status: 409, title: 'Invalid parent', detail: 'A resource of this type cannot stand there: see "parents" in GET /resource-types.' },
  'too-deep': { status: 409, title: 'Too deep', detail: 'The tree is at most 32 levels deep below the root.' },
  cycle: { status: 409, title: 'Cycle', detail: 'A thing cannot be inside itself.' },
  'built-in': { status: 409, title: 'Built in', detail: 'What is built in cannot be changed, moved or deleted.' },
  'in-use': { status: 409, title: 'In use', detail: 'Something depends on this. Change that first.' },
  'precondition-failed': { status: 412, title: 'Precondition failed', detail: 'It has changed since. GET it again, and send its new ETag in If-Match.' },
  timeout: { status: 408, title: 'Request timed out', detail: 'The request did not arrive in time. Send it again.' },
  'payload-too-large': { status: 413, title: 'Payload too large', detail: 'The body is larger than this path takes.' },
  'unsupported-media-type': { status: 415, title: 'Unsupported media type', detail: 'Send the body as application/json.' },
  'rate-limited': { status: 429, title: 'Too many attempts', detail: 'There were too many attempts. Try again after the seconds that Retry-After says.' },
  'headers-too-large': { status: 431, title: 'Headers too large', detail: 'The headers are larger than 16 KiB.' },
  overloaded: { status: 503, title: 'Service unavailable', detail: 'The service cannot answer at the moment. Try again in a little while.' },
  internal: { status: 500, title: 'Internal error', detail: 'Something went wrong on our side. The x-request-id of this answer finds it in the log.' }
} satisfies Record<ErrorCode, { status: number, title: string, detail: string }>

const retryAfterSeconds = 2
/** Of a limit; a longer time is told in part, so that nobody waits for hours on one answer's word (contract §4). */
const longestRetryAfterSeconds = 900

/** Fastify's own refusals before a handler runs, by their code; every other 4xx of Fastify is an invalid request. */
const codesOfFastify: Record<string, ErrorCode> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_HANDLER_TIMEOUT: 'overloaded',
  FST_ERR_MAX_PARAM_LENGTH: 'not-found'
}

/** The problem to answer with: constant texts, so that nothing of a driver, a query or a path leaks (ASVS 16.5.1). */
export function toProblem (error: unknown): Problem {
  const { code, detail, errors } = toDomainError(error)
  const { status, title, detail: usual } = problems[code]
  return { type: `urn:gatehouse:problem:${code}`, title, status, detail: detail ?? usual, code, ...(errors === undefined ? {} : { errors }) }
}

function toDomainError (error: unknown): DomainError {
  if (error instanceof DomainError) return error
  if (isDatabaseFault(error)) return new DomainError('overloaded')
  const { code = '', statusCode = 500, validation } = error as Partial<FastifyError>
  if (validation !== undefined) return new DomainError('invalid-request', undefined, validation.map(toFieldError))
  const known = codesOfFastify[code]
  if (known !== undefined) return new DomainError(known)
  // Only Fastify's own refusals: a library's error with a `statusCode` inside a handler is a fault of ours.
  const isRefusal = code.startsWith('FST_ERR_') && statusCode >= 400 && statusCode < 500
  return new DomainError(isRefusal ? 'invalid-request' : 'internal', code === 'FST_ERR_CTP_INVALID_JSON_BODY' ? 'The body is not valid JSON.' : undefined)
}

/** One failed check of Ajv in our words, where its own would name things that the client does not know. */
function toFieldError ({ instancePath, keyword, params, message = 'does not fit' }: NonNullable<FastifyError['validation']>[number]): FieldError {
  const child = (name: unknown) => `${instancePath}/${String(name).replaceAll('~', '~0').replaceAll('/', '~1')}`
  if (keyword === 'required') return { path: child(params['missingProperty']), message: 'is required' }
  if (keyword === 'additionalProperties') return { path: child(params['additionalProperty']), message: 'is not known here' }
  return { path: instancePath, message }
}

/** The headers that a problem of a status carries, for the OpenAPI document. */
export function problemHeaders (status: number): Record<string, unknown> | undefined {
  if (status === 401) return { 'WWW-Authenticate': { type: 'string', description: 'How to authenticate.' } }
  const retryAfter = { 'Retry-After': { type: 'integer', description: 'Seconds after which to try again.' } }
  if (status === 429) {
    return {
      ...retryAfter,
      RateLimit: { type: 'string', description: 'The limit, what is left of it, and the seconds until there is more.' },
      'RateLimit-Policy': { type: 'string', description: 'The limit, how many it allows, and in how many seconds.' },
      'RateLimit-Limit': { type: 'integer', description: 'How many the limit allows.' },
      'RateLimit-Remaining': { type: 'integer', description: 'What is left of it.' },
      'RateLimit-Reset': { type: 'integer', description: 'Seconds until there is more.' }
    }
  }
  if (status === 503) return retryAfter
  return undefined
}

/** What says how long to wait, in the form of draft-ietf-httpapi-ratelimit-headers and in that of its early drafts, which more clients read. */
function limitHeaders ({ limit: { name, quota, windowSeconds }, waitMs }: RateLimitError): Record<string, string> {
  const seconds = String(Math.min(Math.max(Math.ceil(waitMs / 1_000), 1), longestRetryAfterSeconds))
  return {
    'retry-after': seconds,
    ratelimit: `"${name}";r=0;t=${seconds}`,
    'ratelimit-policy': `"${name}";q=${quota};w=${windowSeconds}`,
    'ratelimit-limit': String(quota),
    'ratelimit-remaining': '0',
    'ratelimit-reset': seconds
  }
}

/** Answers with a problem. 401 says how to authenticate (RFC 9110, 11.6.1; RFC 6750, 3), 503 when to come again. */
export function sendProblem (reply: FastifyReply, error: unknown): FastifyReply {
  const problem = toProblem(error)
  if (problem.status === 401) {
    reply.header('www-authenticate', `Bearer realm="gatehouse"${error instanceof InvalidTokenError ? ', error="invalid_token"' : ''}`)
  }
  if (error instanceof RateLimitError) reply.headers(limitHeaders(error))
  if (problem.status === 503) reply.header('retry-after', retryAfterSeconds)
  return reply.code(problem.status).type('application/problem+json; charset=utf-8').send(problem)
}

/** For requests that Fastify refuses before any hook runs, such as a path with a broken percent sign. */
export function sendFrameworkError (error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'x-request-id': reply.request.id })
  sendProblem(reply, error)
}

/** For what is not even a request: Node hands over the bare socket. */
export function answerClientError (error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return
  const codes = new Map<string | undefined, ErrorCode>([['ERR_HTTP_REQUEST_TIMEOUT', 'timeout'], ['HPE_HEADER_OVERFLOW', 'headers-too-large']])
  const problem = toProblem(new DomainError(codes.get(error.code) ?? 'invalid-request'))
  const body = JSON.stringify(problem)
  socket.end([
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'x-content-type-options: nosniff',
    `x-request-id: ${randomUUID()}`,
    'connection: close', '', body
  ].join('\r\n'))
}

export default fp(async (app) => {
  app.setErrorHandler((error, request, reply) => {
    const { status } = toProblem(error)
    // A client that went away in the middle of its body is no fault of ours.
    if (status >= 500 && !request.raw.readableAborted) request.log.error({ requestId: request.id, err: error }, 'the request failed')
    return sendProblem(reply, error)
  })
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, new DomainError('not-found')))
}, { name: 'problem' })
