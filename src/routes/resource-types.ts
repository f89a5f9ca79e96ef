/** Resource types: what may exist, and where. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { toName } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { deleteResourceType, listResourceTypes, putResourceType } from '../services/resource-types.js'
import { defaultLimit, Empty, PageQuery, pageOf } from './conventions.js'
import { Name, reference, ResourceType } from './schemas.js'

export const resourceTypeRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/resource-types', {
    config: { access: 'authenticated' },
    schema: {
      tags: ['resource types'],
      summary: 'List resource types',
      description: 'In the order of their names.',
      querystring: Type.Object(PageQuery, { additionalProperties: false }),
      response: { 200: pageOf(reference(ResourceType)) }
    }
  }, async ({ query: { limit = defaultLimit, cursor } }) => {
    const after = decodeCursor(app.cursorKeys, 'resource-types', cursor)
    const rows = await listResourceTypes(app.prisma, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ name }) => name, (last) => encodeCursor(app.cursorKeys, 'resource-types', last))
  })

  app.put('/resource-types/:name', {
    config: { access: { permission: 'resource-type:edit' }, errors: ['unknown-role', 'unknown-type', 'escalation', 'built-in', 'in-use'] },
    schema: {
      tags: ['resource types'],
      summary: 'Make or change a resource type',
      description: 'As a whole: what the body does not name goes.',
      params: Type.Object({ name: Name('The name of the type.', 'document') }),
      body: Type.Object({
        actions: Type.Optional(Type.Array(Name('A word.', 'publish'), { maxItems: 100, description: 'Those beyond view, create, edit, delete and share.', examples: [['publish']] })),
        parents: Type.Array(Name('The name of a type.', 'project'), { maxItems: 100, description: 'The types under which it may stand.', examples: [['project']] }),
        creatorRole: Type.Optional(Type.Unsafe<string | null>({
          ...Name('The role that its creator is bound to; you must hold its permissions on the root.', 'owner'), type: ['string', 'null']
        }))
      }, { additionalProperties: false }),
      response: {
        200: reference(ResourceType, { description: 'The type as it is now.' }),
        201: { description: 'The type is new.', content: { 'application/json': { schema: reference(ResourceType) } } }
      }
    }
  }, async ({ caller, params, body }, reply) => {
    const { type, isNew } = await putResourceType(app.prisma, caller, params.name, body)
    return await reply.code(isNew ? 201 : 200).send(type)
  })

  app.delete('/resource-types/:name', {
    config: { access: { permission: 'resource-type:delete' }, errors: ['not-found', 'built-in', 'in-use'] },
    schema: { tags: ['resource types'], summary: 'Delete a resource type', params: Type.Object({ name: Type.String({ description: 'The name of the type.', examples: ['document'] }) }), response: { 204: Empty } }
  }, async ({ caller, params }, reply) => {
    await deleteResourceType(app.prisma, caller, toName(params.name))
    return await reply.code(204).send(null)
  })
}
