/** Limits on guessing, and the cookie by which an account knows a browser that has been signed in to it. */
import { randomBytes } from 'node:crypto'
import { Signer } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { accountKey, type Limits, noLimits, openLimits } from '../services/limits.js'

declare module 'fastify' {
  interface FastifyInstance {
    limits: Limits
  }
  interface FastifyRequest {
    /** What tells this browser from others that have been signed in to the account; undefined when it has not been. */
    deviceOf: (email: string) => string | undefined
  }
  interface FastifyReply {
    /** Lets this browser be known to the account to which it has just signed in. */
    rememberDevice: (email: string) => void
  }
}

const halfYearSeconds = 15_552_000

export default fp<{ isOn: boolean, secrets: string[], isHttps: boolean }>(async (app, { isOn, secrets, isHttps }) => {
  const cookieName = isHttps ? '__Host-device' : 'device'
  const signer = new Signer(secrets)
  const newCookies = new WeakMap<FastifyReply, string>()
  app.decorate('limits', isOn ? openLimits(app.prisma, app.counterStore) : noLimits)

  // It lets nobody in: who has it only does not share the limit of an account with strangers (OWASP, "device cookies").
  // What is signed begins with a word and a colon, which no session id has, so neither cookie can stand in for the other.
  app.decorateRequest('deviceOf', function (this: FastifyRequest, email: string) {
    const { valid, value } = signer.unsign(this.cookies[cookieName] ?? '')
    const [purpose, account, device, since] = valid ? value.split(':') : []
    const isCurrent = Number(since) > Date.now() / 1_000 - halfYearSeconds
    return purpose === 'device' && account === accountKey(email) && isCurrent ? device : undefined
  })
  app.decorateReply('rememberDevice', function (this: FastifyReply, email: string) {
    if (!isOn || this.request.deviceOf(email) !== undefined) return
    const value = ['device', accountKey(email), randomBytes(16).toString('base64url'), Math.floor(Date.now() / 1_000)].join(':')
    newCookies.set(this, app.serializeCookie(cookieName, signer.sign(value), { path: '/', httpOnly: true, sameSite: 'lax', secure: isHttps, maxAge: halfYearSeconds }))
  })
  // After that of the session, which many a client takes for the only one.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    const cookie = newCookies.get(reply)
    if (cookie !== undefined) reply.header('set-cookie', cookie)
    done()
  })
}, { name: 'limits', dependencies: ['prisma', 'session'] })
