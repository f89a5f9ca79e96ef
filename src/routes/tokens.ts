/** One's own access tokens. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { toId } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { createToken, endToken, listTokens } from '../services/tokens.js'
import { defaultLimit, Empty, PageQuery, pageOf } from './conventions.js'
import { AccessToken, NullableTime, Permissions, reference, Uuid } from './schemas.js'

export const tokenRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/users/me/tokens', {
    config: { access: 'session' },
    schema: {
      tags: ['authentication'],
      summary: 'Make an access token',
      description: 'For programs, which send it as `Authorization: Bearer`. It may do what you may do and its own permissions allow, but never manage passwords, sessions or tokens.',
      body: Type.Object({
        name: Type.String({ minLength: 1, maxLength: 100, description: 'What it is for.', examples: ['backup script'] }),
        expiresAt: Type.Optional(Type.Unsafe<string | null>({ ...NullableTime, description: 'From then on it lets nobody in; never, when absent.' })),
        permissions: Type.Optional(Type.Unsafe<string[] | null>({ ...Permissions, type: ['array', 'null'], description: '`type:action`, with `*` for any on either side; all that you may do, when absent.' }))
      }, { additionalProperties: false }),
      response: {
        201: Type.Object({
          token: Type.String({ description: 'The secret, shown this once.', examples: ['gate_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3ab'] }),
          ...AccessToken.properties
        }, { description: 'The token.' })
      }
    }
  }, async ({ caller, body: { name, expiresAt, permissions } }, reply) => {
    const token = await createToken(app.prisma, caller, { name, permissions, expiresAt: expiresAt == null ? null : new Date(expiresAt) })
    return await reply.code(201).send(token)
  })

  app.get('/users/me/tokens', {
    config: { access: 'session' },
    schema: {
      tags: ['authentication'],
      summary: 'List one\'s access tokens',
      description: 'In the order in which they were made. One that has expired is listed for another month.',
      querystring: Type.Object(PageQuery, { additionalProperties: false }),
      response: { 200: pageOf(reference(AccessToken)) }
    }
  }, async ({ caller: { userId }, query: { limit = defaultLimit, cursor } }) => {
    const listName = `tokens of ${userId}`
    const after = decodeCursor(app.cursorKeys, listName, cursor)
    const rows = await listTokens(app.prisma, userId, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ id }) => id, (last) => encodeCursor(app.cursorKeys, listName, last))
  })

  app.delete('/users/me/tokens/:tokenId', {
    config: { access: 'session', errors: ['not-found'] },
    schema: {
      tags: ['authentication'],
      summary: 'End one of one\'s access tokens',
      params: Type.Object({ tokenId: Type.String({ description: 'The token\'s id.', examples: Uuid['examples'] }) }),
      response: { 204: Empty }
    }
  }, async ({ caller, params }, reply) => {
    await endToken(app.prisma, caller, toId(params.tokenId))
    return await reply.code(204).send(null)
  })
}
