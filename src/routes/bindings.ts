/** Role bindings: who has which role on a resource. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { createBinding, deleteBinding, listBindings } from '../services/bindings.js'
import type { Caller } from '../services/caller.js'
import type { Database } from '../services/database.js'
import type { Resource as ResourceRow } from '../services/decision.js'
import { dryRun } from '../services/dry-run.js'
import { toId } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { defaultLimit, DryRunQuery, DryRunResponse, Empty, PageQuery, pageOf, ResourceId } from './conventions.js'
import { Binding, Email, Name, NullableTime, reference, SubjectType, Uuid } from './schemas.js'

export const bindingRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/resources/:id/bindings', {
    config: { access: { resource: ['share'] } },
    schema: {
      tags: ['bindings'],
      summary: 'List the bindings on a resource',
      params: ResourceId,
      querystring: Type.Object({
        ...PageQuery,
        inherited: Type.Optional(Type.Boolean({ description: 'With those on its ancestors, which count here too.' }))
      }, { additionalProperties: false }),
      response: { 200: pageOf(reference(Binding)) }
    }
  }, async ({ caller, resource, query: { limit = defaultLimit, cursor, inherited = false } }) => {
    const after = decodeCursor(app.cursorKeys, 'bindings', cursor)
    const rows = await listBindings(app.prisma, caller, (resource as ResourceRow).id, inherited, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ id }) => id, (last) => encodeCursor(app.cursorKeys, 'bindings', last))
  })

  app.post('/resources/:id/bindings', {
    config: { access: { resource: ['share'] }, errors: ['unknown-role', 'unknown-subject', 'escalation', 'binding-exists', 'rate-limited'] },
    schema: {
      tags: ['bindings'],
      summary: 'Give a role',
      description: 'To a user, a group or everyone, on this resource and everything below it.',
      params: ResourceId,
      querystring: DryRunQuery,
      body: Type.Object({
        role: Name('The name of the role.', 'editor'),
        subject: Type.Object({
          type: SubjectType,
          id: Type.Optional(Uuid),
          email: Type.Optional(Email)
        }, {
          additionalProperties: false,
          description: 'A user by `id` or `email`, a group by `id`, or everyone.',
          examples: [{ type: 'user', email: 'jane@example.org' }]
        }),
        expiresAt: Type.Optional(Type.Unsafe<string | null>({ ...NullableTime, description: 'From then on the binding grants nothing.' }))
      }, { additionalProperties: false }),
      response: {
        201: { description: 'The binding.', headers: { Location: { type: 'string', description: 'Its path, for DELETE.' } }, content: { 'application/json': { schema: reference(Binding) } } },
        ...DryRunResponse
      }
    }
  }, async ({ caller, resource, query, body: { role, subject, expiresAt } }, reply) => {
    const { id } = resource as ResourceRow
    const create = async (db: Database, by: Caller) => await createBinding(db, by, id, {
      role, subject: { ...subject, id: subject.id?.toLowerCase() }, expiresAt: expiresAt == null ? null : new Date(expiresAt)
    })
    const limited = async <T>(work: () => Promise<T>) => await app.limits.nameSubject(caller.userId, { isGuessable: subject.email !== undefined }, work)
    if (query.dryRun === true) return await limited(async () => await dryRun(app.prisma, caller, create))
    const binding = await limited(async () => await create(app.prisma, caller))
    return await reply.code(201).header('location', `/resources/${id}/bindings/${binding.id}`).send(binding)
  })

  app.delete('/resources/:id/bindings/:bindingId', {
    config: { access: { resource: ['share'] }, errors: ['escalation', 'last-owner'] },
    schema: {
      tags: ['bindings'],
      summary: 'Take a role back',
      params: Type.Object({ ...ResourceId.properties, bindingId: Type.String({ description: 'The binding\'s id.', examples: Uuid['examples'] }) }),
      querystring: DryRunQuery,
      response: { 204: Empty, ...DryRunResponse }
    }
  }, async ({ caller, resource, params, query }, reply) => {
    const remove = async (db: Database, by: Caller) => await deleteBinding(db, by, (resource as ResourceRow).id, toId(params.bindingId))
    if (query.dryRun === true) return await dryRun(app.prisma, caller, remove)
    await remove(app.prisma, caller)
    return await reply.code(204).send(null)
  })
}
