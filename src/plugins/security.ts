/** What every answer carries, and which requests of browsers are refused: headers, CORS, the cross-site rule. */
import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import cors from '@fastify/cors'
import fp from 'fastify-plugin'
import helmet from 'helmet'
import { DomainError } from '../errors.js'
import { hasBearer } from './token.js'

interface Options {
  isHttps: boolean
  corsOrigins: string[]
  /** The origin under which clients reach the service; asked at each request, as a port of 0 is known only then. */
  ownOrigin: () => string
}

const stateChanging = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])
const yearSeconds = 31_536_000

export default fp<Options>(async (app, { isHttps, corsOrigins, ownOrigin }) => {
  const headers = securityHeaders(isHttps)
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(headers).header('x-request-id', request.id)
    const { httpVersion, headers: { host } } = request.raw
    done(host === undefined && httpVersion === '1.1' ? new DomainError('invalid-request', 'A request of HTTP/1.1 needs a Host header.') : undefined)
  })
  // Last: the files of the page under /docs come with a rule of their own.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.header('cache-control', 'no-store')
    done()
  })
  if (corsOrigins.length > 0) {
    // The plugin's own route for preflight requests cannot say who may call it.
    app.addHook('onRoute', (route) => {
      if (route.method === 'OPTIONS' && route.url === '*') route.config = { access: 'public' }
    })
    // An OPTIONS that is no preflight is a method that no path has; the plugin would answer in plain text.
    app.addHook('onRequest', async ({ method, headers }) => {
      const isPreflight = headers.origin !== undefined && headers['access-control-request-method'] !== undefined
      if (method === 'OPTIONS' && !isPreflight) throw new DomainError('not-found')
    })
    await app.register(cors, {
      origin: corsOrigins,
      credentials: true,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      exposedHeaders: ['etag', 'location', 'ratelimit', 'ratelimit-policy', 'retry-after', 'x-request-id']
    })
  }

  // Before the body is read: a broken or too large one under an unknown path is still not found.
  app.addHook('onRequest', (request, _reply, done) => {
    done(request.is404 ? new DomainError('not-found') : undefined)
  })

  // A browser says where a request comes from; a page elsewhere cannot change that. Programs send neither header, and a
  // bearer token is never sent by a browser on its own (contract §4; OWASP ASVS 3.5.1).
  app.addHook('onRequest', (request, _reply, done) => {
    if (!stateChanging.has(request.method) || hasBearer(request)) return done()
    const { 'sec-fetch-site': site, origin } = request.headers
    const isOwn = site === undefined
      ? origin === undefined || origin === ownOrigin() || corsOrigins.includes(origin)
      : site === 'same-origin' || site === 'none'
    done(isOwn ? undefined : new DomainError('cross-site'))
  })
}, { name: 'security' })

/** Those of helmet, which are the same on every answer: asked for once, as asking each time was a fifth of the work of `GET /auth/session`. */
function securityHeaders (isHttps: boolean): OutgoingHttpHeaders {
  const answer = new ServerResponse(new IncomingMessage(new Socket()))
  helmet({
    // Answers are data: nothing in them is to be loaded, run or framed. The page under /docs has a policy of its own.
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    strictTransportSecurity: isHttps ? { maxAge: yearSeconds } : false
  })(answer.req, answer, () => {})
  return answer.getHeaders()
}
