/** Who is in a group. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { Caller } from '../services/caller.js'
import type { Database } from '../services/database.js'
import type { Resource as ResourceRow } from '../services/decision.js'
import { dryRun } from '../services/dry-run.js'
import { addMember, listMembers, removeMember } from '../services/groups.js'
import { toId } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { defaultLimit, DryRunQuery, DryRunResponse, Empty, PageQuery, pageOf, ResourceId } from './conventions.js'
import { Member, reference, Uuid } from './schemas.js'

const MemberId = Type.Object({ ...ResourceId.properties, memberId: Type.String({ description: 'A user\'s or a group\'s id.', examples: Uuid['examples'] }) })

export const groupRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/groups/:id/members', {
    config: { access: { resource: ['view'], type: 'group' } },
    schema: {
      tags: ['groups'],
      summary: 'List the members of a group',
      description: 'The direct ones, in the order in which they were added.',
      params: ResourceId,
      querystring: Type.Object(PageQuery, { additionalProperties: false }),
      response: { 200: pageOf(reference(Member)) }
    }
  }, async ({ caller, resource, query: { limit = defaultLimit, cursor } }) => {
    const after = decodeCursor(app.cursorKeys, 'members', cursor)
    const rows = await listMembers(app.prisma, caller, (resource as ResourceRow).id, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ key }) => key, (last) => encodeCursor(app.cursorKeys, 'members', last))
  })

  app.put('/groups/:id/members/:memberId', {
    config: { access: { resource: ['edit'], type: 'group' }, errors: ['cycle'] },
    schema: {
      tags: ['groups'],
      summary: 'Add a member',
      description: 'Adding one twice changes nothing.',
      params: MemberId,
      querystring: DryRunQuery,
      response: { 204: Empty, ...DryRunResponse }
    }
  }, async ({ caller, resource, params, query }, reply) => {
    const add = async (db: Database, by: Caller) => await addMember(db, by, (resource as ResourceRow).id, toId(params.memberId))
    if (query.dryRun === true) return await dryRun(app.prisma, caller, add)
    await add(app.prisma, caller)
    return await reply.code(204).send(null)
  })

  app.delete('/groups/:id/members/:memberId', {
    config: { access: { resource: ['edit'], type: 'group' }, errors: ['last-owner'] },
    schema: { tags: ['groups'], summary: 'Remove a member', params: MemberId, querystring: DryRunQuery, response: { 204: Empty, ...DryRunResponse } }
  }, async ({ caller, resource, params, query }, reply) => {
    const remove = async (db: Database, by: Caller) => await removeMember(db, by, (resource as ResourceRow).id, toId(params.memberId))
    if (query.dryRun === true) return await dryRun(app.prisma, caller, remove)
    await remove(app.prisma, caller)
    return await reply.code(204).send(null)
  })
}
