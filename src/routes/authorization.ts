/** Asking about access: what somebody may do, and why. */
import { type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { checkAll } from '../services/check.js'
import { type Resource as ResourceRow, requireAllowed } from '../services/decision.js'
import { explain, explanationFor } from '../services/explain.js'
import { Decision, Explanation, Name, reference, ResourceId, Uuid } from './schemas.js'

/** Whose access is asked about. */
const UserId = Type.Unsafe<string>({ ...Uuid, description: 'Whose access; your own when absent. For another user\'s you need `share` on the resource.' })

export const authorizationRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/authz/check', {
    config: { access: 'authenticated', errors: ['not-found', 'forbidden'] },
    schema: {
      tags: ['authorization'],
      summary: 'Check what somebody may do',
      description: 'In batches. What is not there, or hidden, is `hide`, and so is everything for a user who is not there or deactivated. ' +
        'Where a check names another user and you may not share the resource, the whole request is refused, as it would be there.',
      body: Type.Object({
        checks: Type.Array(Type.Object({
          action: Type.Unsafe<string>({ ...Name, examples: ['edit'] }),
          resourceId: Uuid,
          userId: Type.Optional(UserId)
        }, { additionalProperties: false }), { minItems: 1, maxItems: 100 })
      }, { additionalProperties: false }),
      response: {
        200: Type.Object({
          results: Type.Array(Type.Object({ decision: Decision }), { description: 'In the order of the checks.' })
        }, { description: 'The decisions.' })
      }
    }
  }, async ({ caller, body: { checks } }) => ({ results: (await checkAll(app.prisma, caller, checks)).map((decision) => ({ decision })) }))

  app.get('/resources/:id/explain', {
    config: { access: { resource: ['view'] }, errors: ['forbidden'] },
    schema: {
      tags: ['authorization'],
      summary: 'Explain a decision',
      description: 'Which grants it comes from, what is missing, and what has expired. For another user\'s you need `share`.',
      params: ResourceId,
      querystring: Type.Object({
        action: Type.Optional(Type.Unsafe<string>({ ...Name, default: 'view', description: 'What is to be done with the resource.', examples: ['edit'] })),
        userId: Type.Optional(UserId)
      }, { additionalProperties: false }),
      response: { 200: reference(Explanation, { description: 'The decision and where it comes from.' }) }
    }
  }, async ({ caller, resource, query: { action = 'view', userId } }) => {
    const { id } = resource as ResourceRow
    const isOwn = userId === undefined || userId.toLowerCase() === caller.userId
    if (!isOwn) requireAllowed(resource as ResourceRow, ['share'])
    const principal = isOwn ? caller : { userId, permissions: null }
    return await explanationFor(app.prisma, caller, await explain(app.prisma, principal, { resourceId: id, action }))
  })
}
