/** Sessions: @fastify/session, with the database as its store and our own rules about what a session is. */
import cookie, { Signer } from '@fastify/cookie'
import session, { type SessionStore } from '@fastify/session'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { system } from '../services/caller.js'
import { endSessionBySecret, findIdentity, type Identity, saveSessionData, type SessionLifetimes } from '../services/sessions.js'
import { hasBearer } from './token.js'

declare module 'fastify' {
  interface Session {
    /** Who is signed in; set by the store, for this request only. */
    identity?: Identity
  }
  interface FastifyRequest {
    /** The session id in a well-signed cookie that counts for nothing on this route, whether or not such a session lives. */
    presentedSecret: string | undefined
  }
  interface FastifyReply {
    /** Sets the cookie of the session that the handler has just stored under `request.session.sessionId`. */
    openSession: () => Promise<void>
    /** Ends the session of this request in the browser, after it has ended in the database. */
    closeSession: () => void
  }
}

interface Options {
  secrets: string[]
  isHttps: boolean
  lifetimes: SessionLifetimes
}

export default fp<Options>(async (app, { secrets, isHttps, lifetimes }) => {
  // A sibling domain cannot set a cookie with the prefix (RFC 6265bis, 4.1.3.2).
  const cookieName = isHttps ? '__Host-sessionid' : 'sessionid'
  const cookieOptions = { path: '/', httpOnly: true, sameSite: 'lax', secure: isHttps } as const
  const signer = new Signer(secrets)
  const mayChangeCookie = new WeakSet<FastifyReply>()
  /** Those whose rows a login has just made, without data. */
  const newSecrets = new Set<string>()

  await app.register(cookie)
  app.decorateRequest('presentedSecret', undefined)

  // Before the look-up: which requests have one at all.
  app.addHook('onRequest', (request, _reply, done) => {
    const value = request.cookies[cookieName]
    // Public routes, such as the health check, do not touch the database. A bearer token counts alone where it is given.
    const isIgnored = request.routeOptions.config.access === 'public' || hasBearer(request)
    if (value !== undefined && isIgnored) {
      const unsigned = signer.unsign(value)
      request.presentedSecret = unsigned.valid ? unsigned.value : undefined
      hideCookie(request)
    }
    done()
  })

  await app.register(session, {
    secret: signer,
    cookieName,
    store: createStore(),
    // Both default to true: every anonymous request would then write a row and set a cookie.
    saveUninitialized: false,
    rolling: false,
    // The browser forgets it at the absolute limit; what counts is decided by the database.
    cookie: { ...cookieOptions, maxAge: lifetimes.sessionMaxMs }
  })

  // After the look-up: a dead cookie is left alone. The plugin would answer with one that clears it, on every 401 and
  // 404, and without Secure, which browsers refuse for a __Host- name.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.session.identity === undefined) hideCookie(request)
    done()
  })

  // Only login and logout change the cookie: a late answer of a request that changed its session's data would else put
  // the old cookie over that of a newer login.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    const header = reply.getHeader('set-cookie')
    if (header !== undefined && !mayChangeCookie.has(reply)) {
      reply.removeHeader('set-cookie')
      reply.header('set-cookie', [header].flat().filter((value) => !String(value).startsWith(`${cookieName}=`)))
    }
    done()
  })

  app.decorateReply('openSession', async function (this: FastifyReply) {
    mayChangeCookie.add(this)
    const { session } = this.request
    newSecrets.add(session.sessionId)
    await session.save().finally(() => { newSecrets.delete(session.sessionId) })
  })
  app.decorateReply('closeSession', function (this: FastifyReply) {
    mayChangeCookie.add(this)
    hideCookie(this.request)
    this.clearCookie(cookieName, cookieOptions)
  })

  function hideCookie (request: FastifyRequest): void {
    request.cookies = { ...request.cookies, [cookieName]: undefined }
  }

  /** The plugin's view of the table. It never makes a row: only a login does (services/sessions.ts). */
  function createStore (): SessionStore {
    return {
      get (secret, done) {
        findIdentity(app.prisma, secret, lifetimes, app.reads.short).then(
          (found) => done(null, found === null ? null : { ...found.data, identity: keptOutOfJson(found.identity) } as never), done)
      },
      set (secret, { cookie: _cookie, identity: _identity, ...data }, done) {
        // To write that again would be a login's second transaction.
        if (newSecrets.has(secret) && Object.keys(data).length === 0) return done()
        saveSessionData(app.prisma, secret, data as never).then(() => done(), done)
      },
      destroy (secret, done) {
        endSessionBySecret(app.prisma, system, secret).then(() => done(), done)
      }
    }
  }
}, { name: 'session', dependencies: ['prisma'] })

/**
 * The plugin writes a session as JSON twice in each request, to see whether it was changed. Who is signed in is no part of that: it
 * comes from the database each time, and writing it was a twentieth of the work of a read.
 */
function keptOutOfJson (identity: Identity): Identity {
  return Object.defineProperty(identity, 'toJSON', { value: () => undefined })
}
