/** Login, logout, and who is signed in. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { logIn } from '../services/authentication.js'
import { endSessionBySecret } from '../services/sessions.js'
import { Empty } from './conventions.js'
import { Email, Password, reference, Session, User } from './schemas.js'

export const authenticationRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/auth/login', {
    config: { access: 'public', errors: ['invalid-credentials', 'rate-limited', 'overloaded'] },
    bodyLimit: 16_384,
    schema: {
      tags: ['authentication'],
      summary: 'Sign in',
      description: 'Starts a new session and sets its cookie; the session whose cookie came with the request ends.',
      body: Type.Object({ email: Email, password: Password }, { additionalProperties: false }),
      response: {
        200: {
          description: 'Signed in.',
          headers: { 'Set-Cookie': { type: 'string', description: 'The cookie of the session, and mostly one by which the account knows this browser again.' } },
          content: { 'application/json': { schema: Type.Object({ user: reference(User), session: reference(Session) }) } }
        }
      }
    }
  }, async (request, reply) => {
    const { body, ip, headers } = request
    const attempt = { email: body.email, address: ip, device: request.deviceOf(body.email) }
    const { user, session } = await app.limits.logIn(attempt, async () => await logIn(app.prisma, {
      ...body, secret: request.session.sessionId, endsSecret: request.presentedSecret, ip, userAgent: headers['user-agent'], requestId: request.id
    }, app.config))
    await reply.openSession()
    reply.rememberDevice(body.email)
    return { user, session: { ...session, current: true } }
  })

  app.post('/auth/logout', {
    config: { access: 'session' },
    schema: { tags: ['authentication'], summary: 'Sign out', response: { 204: { ...Empty, headers: { 'Set-Cookie': { type: 'string', description: 'Removes the cookie.' } } } } }
  }, async (request, reply) => {
    await endSessionBySecret(app.prisma, request.caller, request.session.sessionId)
    reply.closeSession()
    return await reply.code(204).send(null)
  })

  app.get('/auth/session', {
    config: { access: 'authenticated' },
    schema: {
      tags: ['authentication'],
      summary: 'Who is signed in',
      response: { 200: Type.Object({ user: reference(User), session: Type.Union([reference(Session), Type.Null()]) }, { description: 'The user, and the session of this request; null with a token.' }) }
    }
  }, async ({ identity: { user, session } }) => ({ user, session: session === null ? null : { ...session, current: true } }))
}
