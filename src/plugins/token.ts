/** Access tokens in the Authorization header (RFC 6750), in place of the cookie. */
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { InvalidTokenError } from '../errors.js'
import { findTokenIdentity, type TokenIdentity } from '../services/tokens.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** For whom the token stands that came with this request; null without one, and on public routes. */
    bearer: TokenIdentity | null
  }
}

export default fp(async (app) => {
  app.decorateRequest('bearer', null)
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.access === 'public' || !hasBearer(request)) return done()
    identify(request).then(() => done(), done)
  })

  /** @throws {InvalidTokenError} even beside a good cookie: whoever sends a token means it */
  async function identify (request: FastifyRequest): Promise<void> {
    const [, secret = ''] = /^bearer +([^ ]+) *$/i.exec(String(request.headers.authorization)) ?? []
    request.bearer = await findTokenIdentity(app.prisma, secret, app.reads.short)
    if (request.bearer === null) throw new InvalidTokenError()
  }
}, { name: 'token', dependencies: ['prisma'] })

/** Whether the request brings a token in place of the cookie, good or bad. */
export function hasBearer (request: FastifyRequest): boolean {
  return /^bearer(\s|$)/i.test(request.headers.authorization ?? '')
}
