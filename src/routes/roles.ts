/** Roles: named sets of permissions. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { Caller } from '../services/caller.js'
import type { Database } from '../services/database.js'
import { dryRun } from '../services/dry-run.js'
import { toName } from '../services/ids.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { createRole, deleteRole, getRole, listRoles, updateRole } from '../services/roles.js'
import { defaultLimit, DryRunQuery, DryRunResponse, Empty, orDryRun, PageQuery, pageOf } from './conventions.js'
import { Name, Permissions, reference, Role } from './schemas.js'

const Params = Type.Object({ name: Type.String({ description: 'The name of the role.', examples: ['editor'] }) })
const Description = Type.String({ maxLength: 500, examples: ['See and edit documents'] })

export const roleRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get('/roles', {
    config: { access: 'authenticated' },
    schema: {
      tags: ['roles'],
      summary: 'List roles',
      description: 'In the order of their names.',
      querystring: Type.Object(PageQuery, { additionalProperties: false }),
      response: { 200: pageOf(reference(Role)) }
    }
  }, async ({ query: { limit = defaultLimit, cursor } }) => {
    const after = decodeCursor(app.cursorKeys, 'roles', cursor)
    return cutPage(await listRoles(app.prisma, { after, limit: limit + 1 }), limit, ({ name }) => name, (last) => encodeCursor(app.cursorKeys, 'roles', last))
  })

  app.get('/roles/:name', {
    config: { access: 'authenticated', errors: ['not-found'] },
    schema: { tags: ['roles'], summary: 'One role', params: Params, response: { 200: reference(Role, { description: 'The role.' }) } }
  }, async ({ params }) => await getRole(app.prisma, toName(params.name)))

  app.post('/roles', {
    config: { access: { permission: 'role:create' }, errors: ['escalation', 'role-exists'] },
    schema: {
      tags: ['roles'],
      summary: 'Create a role',
      description: 'With permissions that you hold on the root yourself.',
      body: Type.Object({ name: Name('What bindings will name it by.', 'reviewer'), description: Type.Optional(Description), permissions: Permissions }, { additionalProperties: false }),
      querystring: DryRunQuery,
      response: {
        201: { description: 'The role.', headers: { Location: { type: 'string', description: 'The path of the role.' } }, content: { 'application/json': { schema: reference(Role) } } },
        ...DryRunResponse
      }
    }
  }, async ({ caller, query, body }, reply) => {
    const create = async (db: Database, by: Caller) => await createRole(db, by, body)
    if (query.dryRun === true) return await dryRun(app.prisma, caller, create)
    const role = await create(app.prisma, caller)
    return await reply.code(201).header('location', `/roles/${role.name}`).send(role)
  })

  app.patch('/roles/:name', {
    config: { access: { permission: 'role:edit' }, errors: ['not-found', 'escalation', 'built-in'] },
    schema: {
      tags: ['roles'],
      summary: 'Change a role',
      description: 'At once for everybody who holds it; the permissions are replaced as a whole, by ones that you hold on the root yourself.',
      params: Params,
      body: Type.Object({ description: Type.Optional(Description), permissions: Type.Optional(Permissions) }, { additionalProperties: false }),
      querystring: DryRunQuery,
      response: { 200: orDryRun(Role, 'The role as it is now.') }
    }
  }, async ({ caller, params, query, body }) => {
    const update = async (db: Database, by: Caller) => await updateRole(db, by, toName(params.name), body)
    return query.dryRun === true ? await dryRun(app.prisma, caller, update) : await update(app.prisma, caller)
  })

  app.delete('/roles/:name', {
    config: { access: { permission: 'role:delete' }, errors: ['not-found', 'built-in', 'in-use'] },
    schema: { tags: ['roles'], summary: 'Delete a role', params: Params, querystring: DryRunQuery, response: { 204: Empty, ...DryRunResponse } }
  }, async ({ caller, params, query }, reply) => {
    const remove = async (db: Database, by: Caller) => await deleteRole(db, by, toName(params.name))
    if (query.dryRun === true) return await dryRun(app.prisma, caller, remove)
    await remove(app.prisma, caller)
    return await reply.code(204).send(null)
  })
}
