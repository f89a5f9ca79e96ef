/** Resources: the tree of everything that is protected. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { Caller } from '../services/caller.js'
import type { Database } from '../services/database.js'
import type { Resource as ResourceRow } from '../services/decision.js'
import { dryRun } from '../services/dry-run.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { listResources } from '../services/resource-list.js'
import { createResource, updateResource } from '../services/resources.js'
import { deleteResource, moveResource } from '../services/tree.js'
import { defaultLimit, DryRunQuery, Empty, PageQuery, pageOf, ResourceId, SearchText } from './conventions.js'
import { Attributes, DryRun, Name, reference, Resource, Uuid } from './schemas.js'

const ResourceName = Type.String({ minLength: 1, maxLength: 255, examples: ['Minutes'] })
const ETag = { ETag: { type: 'string', description: 'For If-Match.' } }
const IfMatch = Type.Object({ 'if-match': Type.Optional(Type.String({ description: 'The ETag of GET: change only this version.', examples: ['"1"'] })) })
const withETag = (description: string) => ({ description, headers: ETag, content: { 'application/json': { schema: reference(Resource) } } })
const etagOf = ({ version }: ResourceRow) => `"${version}"`

/** The versions in an If-Match header (RFC 9110, 13.1.1): undefined when there is none or it takes any. A weak tag matches nothing. */
function parseIfMatch (header: string | undefined): number[] | undefined {
  if (header === undefined || header.trim() === '*') return undefined
  return header.split(',').flatMap((tag) => /^\s*"(\d{1,9})"\s*$/.exec(tag)?.[1] ?? []).map(Number)
}

export const resourceRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.post('/resources', {
    config: { access: 'authenticated', errors: ['unknown-type', 'not-found', 'forbidden', 'invalid-parent', 'too-deep'] },
    schema: {
      tags: ['resources'],
      summary: 'Create a resource',
      description: 'Needs `<type>:create` on the parent. You are bound to the type\'s creator role on it.',
      body: Type.Object({
        type: Name('The name of its type.', 'document'),
        name: ResourceName,
        parentId: Type.Optional(Type.Unsafe<string>({ ...Uuid, description: 'The root when absent.' })),
        attributes: Type.Optional(Attributes)
      }, { additionalProperties: false }),
      response: {
        201: { ...withETag('The resource.'), headers: { ...ETag, Location: { type: 'string', description: 'The path of the resource.' } } }
      }
    }
  }, async ({ caller, body }, reply) => {
    const resource = await createResource(app.prisma, caller, { ...body, parentId: body.parentId?.toLowerCase() })
    return await reply.code(201).headers({ location: `/resources/${resource.id}`, etag: etagOf(resource) }).send(resource)
  })

  app.get('/resources', {
    config: { access: 'authenticated' },
    schema: {
      tags: ['resources'],
      summary: 'List resources',
      description: 'Those on which you may do an action, in the order of their ids.',
      querystring: Type.Object({
        ...PageQuery,
        type: Type.Optional(Name('Only those of this type.', 'document')),
        parentId: Type.Optional(Type.Unsafe<string>({ ...Uuid, description: 'Directly under this one; something hidden is like something absent.' })),
        action: Type.Optional(Type.Unsafe<string>({ ...Name('What you may do with them.', 'view'), default: 'view' })),
        q: Type.Optional(SearchText)
      }, { additionalProperties: false }),
      response: { 200: pageOf(reference(Resource)) }
    }
  }, async ({ caller, query: { limit = defaultLimit, cursor, ...filter } }) => {
    const after = decodeCursor(app.cursorKeys, 'resources', cursor)
    const rows = await listResources(app.reads.long, caller, filter, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ id }) => id, (last) => encodeCursor(app.cursorKeys, 'resources', last))
  })

  app.get('/resources/:id', {
    config: { access: { resource: ['view'] } },
    schema: { tags: ['resources'], summary: 'One resource', params: ResourceId, response: { 200: withETag('The resource.') } }
  }, async (request, reply) => {
    const resource = request.resource as ResourceRow
    return await reply.header('etag', etagOf(resource)).send(resource)
  })

  app.patch('/resources/:id', {
    config: { access: { resource: ['edit'] }, errors: ['precondition-failed'] },
    schema: {
      tags: ['resources'],
      summary: 'Change a resource',
      description: '`attributes` are replaced as a whole.',
      params: ResourceId,
      headers: IfMatch,
      body: Type.Object({ name: Type.Optional(ResourceName), attributes: Type.Optional(Attributes) }, { additionalProperties: false }),
      response: { 200: withETag('The resource as it is now.') }
    }
  }, async (request, reply) => {
    const { id } = request.resource as ResourceRow
    const resource = await updateResource(app.prisma, request.caller, id, request.body, parseIfMatch(request.headers['if-match']))
    return await reply.header('etag', etagOf(resource)).send(resource)
  })

  app.post('/resources/:id/move', {
    config: { access: { resource: ['edit', 'share'] }, errors: ['escalation', 'precondition-failed', 'built-in', 'cycle', 'invalid-parent', 'too-deep'] },
    schema: {
      tags: ['resources'],
      summary: 'Move a resource under another parent',
      description: 'With all below it. Takes `<type>:create` on the new parent too, and that you hold whatever its new place lets others do with it.',
      params: ResourceId,
      headers: IfMatch,
      querystring: DryRunQuery,
      body: Type.Object({ parentId: Uuid }, { additionalProperties: false }),
      response: {
        200: {
          description: 'The resource in its new place. With `dryRun`: what would change, without an `ETag`.', headers: ETag, content: { 'application/json': { schema: Type.Union([reference(Resource), reference(DryRun)]) } }
        }
      }
    }
  }, async (request, reply) => {
    const { id } = request.resource as ResourceRow
    const ifMatch = parseIfMatch(request.headers['if-match'])
    const move = async (db: Database, by: Caller) => await moveResource(db, by, id, request.body.parentId.toLowerCase(), ifMatch)
    if (request.query.dryRun === true) return await dryRun(app.prisma, request.caller, move)
    const resource = await move(app.prisma, request.caller)
    return await reply.header('etag', etagOf(resource)).send(resource)
  })

  app.delete('/resources/:id', {
    config: { access: { resource: ['delete'] }, errors: ['precondition-failed', 'built-in', 'has-children', 'last-owner'] },
    schema: {
      tags: ['resources'],
      summary: 'Delete a resource',
      params: ResourceId,
      headers: IfMatch,
      querystring: Type.Object({
        recursive: Type.Optional(Type.Boolean({ description: 'With all below it; needs `delete` for every type there.' }))
      }, { additionalProperties: false }),
      response: { 204: Empty }
    }
  }, async ({ caller, resource, query, headers }, reply) => {
    await deleteResource(app.prisma, caller, (resource as ResourceRow).id, query.recursive === true, parseIfMatch(headers['if-match']))
    return await reply.code(204).send(null)
  })
}
