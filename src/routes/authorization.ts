/** Asking about access: what somebody may do, and why. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { listAccess } from '../services/access.js'
import { checkAll } from '../services/check.js'
import { requireAllowed } from '../services/authorization.js'
import type { Resource as ResourceRow } from '../services/decision.js'
import { getDenial } from '../services/denials.js'
import { explain, explanationFor } from '../services/explain.js'
import { toId } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { listGrantableRoles } from '../services/roles.js'
import { defaultLimit, PageQuery, pageOf, ResourceId } from './conventions.js'
import { Decision, Denial, Explanation, Grant, Name, reference, Role, Uuid } from './schemas.js'

/** Whose access is asked about. */
const UserId = Type.Unsafe<string>({ ...Uuid, description: 'Whose access; your own when absent. For another user\'s you need `share` on the resource.' })
const AllowedActions = Type.Array(Type.String(), { description: 'Sorted; without `create`.', examples: [['edit', 'view']] })

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
          action: Name('What is to be done.', 'edit'),
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
  }, async ({ caller, body: { checks } }) => ({ results: (await checkAll(app.reads.long, caller, checks)).map((decision) => ({ decision })) }))

  app.get('/resources/:id/explain', {
    config: { access: { resource: ['view'] }, errors: ['forbidden'] },
    schema: {
      tags: ['authorization'],
      summary: 'Explain a decision',
      description: 'Which grants it comes from, what is missing, and what has expired. For another user\'s you need `share`.',
      params: ResourceId,
      querystring: Type.Object({
        action: Type.Optional(Type.Unsafe<string>({ ...Name('What is to be done with the resource.', 'edit'), default: 'view' })),
        userId: Type.Optional(UserId)
      }, { additionalProperties: false }),
      response: { 200: reference(Explanation, { description: 'The decision and where it comes from.' }) }
    }
  }, async ({ caller, resource, query: { action = 'view', userId } }) => {
    const { id } = resource as ResourceRow
    const isOwn = userId === undefined || userId.toLowerCase() === caller.userId
    if (!isOwn) requireAllowed(resource as ResourceRow, ['share'])
    const principal = isOwn ? caller : { userId, permissions: null }
    return await explanationFor(app.reads.long, caller, await explain(app.reads.long, principal, { resourceId: id, action }))
  })

  app.get('/resources/:id/access', {
    config: { access: { resource: ['share'] } },
    schema: {
      tags: ['authorization'],
      summary: 'List who has access',
      description: 'Each user once, in the order of their ids. Those who have it only as everyone are not listed one by one.',
      params: ResourceId,
      querystring: Type.Object({
        ...PageQuery,
        action: Type.Optional(Name('Only who may do this.', 'edit'))
      }, { additionalProperties: false }),
      response: {
        200: Type.Object({
          ...pageOf(Type.Object({
            user: Type.Object({ id: Uuid, name: Type.String({ examples: ['Jane Doe'] }), email: Type.String({ examples: ['jane@example.org'] }) }),
            allowedActions: AllowedActions,
            because: Type.Array(reference(Grant), { description: 'Every grant of one of these actions, or of the one that was asked for.' })
          })).properties,
          everyone: Type.Union([Type.Object({ allowedActions: AllowedActions }), Type.Null()], { description: 'What whoever is signed in may do; null for nothing, or not that action.' })
        }, { description: 'A page of the list, and what everyone may do.' })
      }
    }
  }, async ({ caller, resource, query: { limit = defaultLimit, cursor, action } }) => {
    const after = decodeCursor(app.cursorKeys, 'access', cursor)
    const { items, everyone } = await listAccess(app.reads.long, caller, (resource as ResourceRow).id, action, { after, limit: limit + 1 })
    return { ...cutPage(items, limit, ({ user }) => user.id, (last) => encodeCursor(app.cursorKeys, 'access', last)), everyone }
  })

  app.get('/resources/:id/grantable-roles', {
    config: { access: { resource: ['share'] } },
    schema: {
      tags: ['authorization'],
      summary: 'List the roles that you may give here',
      description: 'In the order of their names: those of which you hold every permission here yourself.',
      params: ResourceId,
      querystring: Type.Object(PageQuery, { additionalProperties: false }),
      response: { 200: pageOf(reference(Role)) }
    }
  }, async ({ caller, resource, query: { limit = defaultLimit, cursor } }) => {
    const after = decodeCursor(app.cursorKeys, 'grantable-roles', cursor)
    const rows = await listGrantableRoles(app.prisma, caller, (resource as ResourceRow).id, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ name }) => name, (last) => encodeCursor(app.cursorKeys, 'grantable-roles', last))
  })

  app.get('/decisions/:requestId', {
    config: { access: 'authenticated', errors: ['not-found'] },
    schema: {
      tags: ['authorization'],
      summary: 'Explain why a request was answered 403 or 404',
      description: 'For who holds `audit:view` on the root, or `share` on the resource concerned; to everybody else it is not there. ' +
        'It is there within seconds of the answer, as it was decided, and is kept for some days.',
      params: Type.Object({ requestId: Type.String({ description: 'The `x-request-id` of the answer.', examples: Uuid['examples'] }) }),
      response: { 200: reference(Denial, { description: 'What was decided, and why.' }) }
    }
  }, async ({ caller, params: { requestId } }) => await getDenial(app.prisma, caller, toId(requestId), app.config.decisionRetentionMs))
}
