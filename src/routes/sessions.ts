/** Where somebody is signed in, and ending that: for oneself, and for those who administer accounts. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { toId } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { endOtherSessions, endSession, endSessionsOf, listSessions } from '../services/sessions.js'
import type { User as UserRow } from '../services/users.js'
import { defaultLimit, Empty, PageQuery, pageOf, UserId } from './conventions.js'
import { reference, Session, Uuid } from './schemas.js'

const list = { querystring: Type.Object(PageQuery, { additionalProperties: false }), response: { 200: pageOf(reference(Session)) } }

export const sessionRoutes: FastifyPluginAsyncTypebox = async (app) => {
  /** A page of somebody's sessions, as the session `currentId` shows it. */
  async function getPage (userId: string, currentId: string, { limit = defaultLimit, cursor }: { limit?: number, cursor?: string }) {
    const listName = `sessions of ${userId}`
    const after = decodeCursor(app.cursorKeys, listName, cursor)
    const rows = await listSessions(app.prisma, userId, { after, limit: limit + 1 })
    const page = cutPage(rows, limit, ({ id }) => id, (last) => encodeCursor(app.cursorKeys, listName, last))
    return { ...page, items: page.items.map((session) => ({ ...session, current: session.id === currentId })) }
  }

  app.get('/users/me/sessions', {
    config: { access: 'session' },
    schema: { tags: ['authentication'], summary: 'List one\'s sessions', description: 'Where one is signed in, in the order of their beginning.', ...list }
  }, async ({ identity: { user }, currentSession, query }) => await getPage(user.id, currentSession.id, query))

  app.delete('/users/me/sessions', {
    config: { access: 'session' },
    schema: { tags: ['authentication'], summary: 'End all one\'s other sessions', description: 'All but the session of this request.', response: { 204: Empty } }
  }, async ({ caller }, reply) => {
    await endOtherSessions(app.prisma, caller)
    return await reply.code(204).send(null)
  })

  app.delete('/users/me/sessions/:sessionId', {
    config: { access: 'session', errors: ['not-found'] },
    schema: {
      tags: ['authentication'],
      summary: 'End one of one\'s sessions',
      params: Type.Object({ sessionId: Type.String({ description: 'The session\'s id.', examples: Uuid['examples'] }) }),
      response: { 204: Empty }
    }
  }, async ({ caller, currentSession, params }, reply) => {
    const id = toId(params.sessionId)
    await endSession(app.prisma, caller, id)
    if (id === currentSession.id) reply.closeSession()
    return await reply.code(204).send(null)
  })

  app.get('/users/:id/sessions', {
    config: { access: { user: 'user:edit', isSessionRequired: true } },
    schema: { tags: ['users'], summary: 'List the sessions of an account', params: UserId, ...list }
  }, async ({ currentSession, targetUser, query }) => await getPage((targetUser as UserRow).id, currentSession.id, query))

  app.delete('/users/:id/sessions', {
    config: { access: { user: 'user:edit', isSessionRequired: true } },
    schema: { tags: ['users'], summary: 'End all sessions and tokens of an account', params: UserId, response: { 204: Empty } }
  }, async ({ caller, targetUser }, reply) => {
    await endSessionsOf(app.prisma, caller, (targetUser as UserRow).id)
    return await reply.code(204).send(null)
  })
}
