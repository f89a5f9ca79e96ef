/** Accounts: registration, oneself, and their administration. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { changePassword } from '../services/authentication.js'
import type { Caller } from '../services/caller.js'
import type { Database } from '../services/database.js'
import { dryRun } from '../services/dry-run.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { createUser, listUsers, updateOneself, updateUser, type User as UserRow } from '../services/users.js'
import { defaultLimit, DryRunQuery, Empty, orDryRun, PageQuery, pageOf, UserId } from './conventions.js'
import { Email, Password, reference, User, UserName } from './schemas.js'

export const userRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const isOpen = app.config.registration === 'open'

  app.post('/users', {
    config: { access: isOpen ? 'public' : { permission: 'user:create' }, errors: ['email-taken', 'overloaded', ...isOpen ? ['rate-limited' as const] : []] },
    bodyLimit: 16_384,
    schema: {
      tags: ['users'],
      summary: 'Create an account',
      description: isOpen ? 'Registration is open.' : 'Registration is closed.',
      body: Type.Object({ email: Email, name: UserName, password: Password }, { additionalProperties: false }),
      response: {
        201: { description: 'The account.', headers: { Location: { type: 'string', description: 'The path of the user.' } }, content: { 'application/json': { schema: reference(User) } } }
      }
    }
  }, async (request, reply) => {
    const by = isOpen ? { requestId: request.id, ip: request.ip } : request.caller
    const create = async () => await createUser(app.prisma, request.body, app.config, by)
    // Who administers accounts may make many.
    const user = isOpen ? await app.limits.register(request.ip, create) : await create()
    return await reply.code(201).header('location', `/users/${user.id}`).send(user)
  })

  app.get('/users/me', {
    config: { access: 'authenticated' },
    schema: { tags: ['users'], summary: 'Oneself', response: { 200: reference(User, { description: 'The account.' }) } }
  }, async ({ identity }) => identity.user)

  app.patch('/users/me', {
    config: { access: 'authenticated' },
    schema: {
      tags: ['users'],
      summary: 'Change one\'s name',
      body: Type.Object({ name: Type.Optional(UserName) }, { additionalProperties: false }),
      response: { 200: reference(User, { description: 'The account.' }) }
    }
  }, async ({ caller, body }) => await updateOneself(app.prisma, caller, body))

  app.put('/users/me/password', {
    config: { access: 'session', errors: ['invalid-credentials', 'rate-limited'] },
    bodyLimit: 16_384,
    schema: {
      tags: ['users'],
      summary: 'Change one\'s password',
      description: 'Every other session of the user ends.',
      body: Type.Object({
        currentPassword: Password,
        newPassword: Password,
        endTokens: Type.Optional(Type.Boolean({ description: 'Whether the user\'s access tokens end too.' }))
      }, { additionalProperties: false }),
      response: { 204: Empty }
    }
  }, async ({ caller, identity: { user }, body }, reply) => {
    await app.limits.confirmPassword(user.id, async () => await changePassword(app.prisma, caller, { ...body, user }, app.config))
    return await reply.code(204).send(null)
  })

  app.get('/users', {
    config: { access: { permission: 'user:view' } },
    schema: {
      tags: ['users'],
      summary: 'List accounts',
      querystring: Type.Object({
        ...PageQuery,
        email: Type.Optional(Type.String({ minLength: 1, maxLength: 320, description: 'The whole address, whatever its case.' })),
        q: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: 'Literally, anywhere in the name, whatever its case.' }))
      }, { additionalProperties: false }),
      response: { 200: pageOf(reference(User)) }
    }
  }, async ({ query: { limit = defaultLimit, cursor, ...filter } }) => {
    const after = decodeCursor(app.cursorKeys, 'users', cursor)
    const rows = await listUsers(app.prisma, filter, { after, limit: limit + 1 })
    return cutPage(rows, limit, ({ id }) => id, (last) => encodeCursor(app.cursorKeys, 'users', last))
  })

  app.get('/users/:id', {
    config: { access: { user: 'self-or-view' } },
    schema: { tags: ['users'], summary: 'One account', description: 'Oneself, or with `user:view` on the root.', params: UserId, response: { 200: reference(User, { description: 'The account.' }) } }
  }, async ({ targetUser }) => targetUser as UserRow)

  app.patch('/users/:id', {
    config: { access: { user: 'user:edit' }, errors: ['last-owner'] },
    schema: {
      tags: ['users'],
      summary: 'Change an account',
      description: 'Deactivating ends every session and token of the user at once.',
      params: UserId,
      body: Type.Object({ name: Type.Optional(UserName), isActive: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
      querystring: DryRunQuery,
      response: { 200: orDryRun(User, 'The account.') }
    }
  }, async ({ caller, targetUser, query, body }) => {
    const update = async (db: Database, by: Caller) => await updateUser(db, by, (targetUser as UserRow).id, body)
    return query.dryRun === true ? await dryRun(app.prisma, caller, update) : await update(app.prisma, caller)
  })
}
