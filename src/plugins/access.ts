/**
 * The guard: every route says who may call it, and this file alone enforces it, before the body is read.
 * 401 when we do not know the caller, 404 when they may not even see the thing, 403 when they may not do that.
 */
import fp from 'fastify-plugin'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { DeniedError, DomainError, type ErrorCode } from '../errors.js'
import type { Caller } from '../services/caller.js'
import type { Reader } from '../services/database.js'
import { findRootPermissions, getSeenResource, notHeld, requireAllowed } from '../services/authorization.js'
import { type RequiredActions, type Resource, rootId } from '../services/decision.js'
import { toId } from '../services/ids.js'
import type { AdministrativePermission } from '../services/roles.js'
import type { Session as OwnSession } from '../services/sessions.js'
import { findUserById, type User } from '../services/users.js'

export type Access =
  | 'public'
  /** Anybody who is signed in, by a session or a token. */
  | 'authenticated'
  /** Anybody who is signed in by a session; 403 for tokens. */
  | 'session'
  /** Holders of a permission on the root; 403 for others. */
  | { permission: AdministrativePermission }
  /** The user whom the parameter `id` names: 404 without `user:view` unless it is oneself, then 403 without the permission, and for tokens where only a session will do. */
  | { user: 'self-or-view' | 'user:edit', isSessionRequired?: true }
  /** The resource that the parameter `id` names: 404 for who does not see it, 403 for who may not do all of the actions. */
  | { resource: RequiredActions, type?: 'group' }

declare module 'fastify' {
  interface FastifyContextConfig {
    access: Access
    /** What this route may answer beyond what its access and its schema imply; for the OpenAPI document. */
    errors?: ErrorCode[]
  }
  interface FastifyRequest {
    /** Who is signed in, and by which session; null for a token. @throws {DomainError} unauthenticated, on a public route */
    readonly identity: { user: User, session: OwnSession | null }
    /** The session by which somebody is signed in. @throws {DomainError} session-required for a token */
    readonly currentSession: OwnSession
    /** The same as services ask for it. @throws {DomainError} unauthenticated, on a public route */
    readonly caller: Caller
    /** The user whom the path names, loaded by the guard on routes with `access: { user }`. */
    targetUser: User | null
    /** The resource that the path names, loaded by the guard on routes with `access: { resource }`. */
    resource: Resource | null
  }
}

export default fp(async (app) => {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => { routes.push(route) })
  app.addHook('onReady', async () => {
    refuse(routes.filter(({ config }) => config?.access === undefined), 'config.access, which says who may call them')
    refuse(routes.filter(({ schema }) => schema === undefined), 'a schema, which says what they take')
    refuse(routes.filter(({ url, config: { access } = {} }) => typeof access === 'object' && !('permission' in access) && !/:id(?!\w)/.test(url)), 'the parameter :id, which their access is about')
  })

  app.decorateRequest('identity', {
    getter () {
      if (this.bearer !== null) return { user: this.bearer.user, session: null }
      const { identity } = this.session
      if (identity === undefined) throw new DomainError('unauthenticated')
      return identity
    }
  })
  app.decorateRequest('currentSession', {
    getter () {
      // The guard has let nobody pass without one.
      return this.identity.session as OwnSession
    }
  })
  app.decorateRequest('caller', {
    getter (): Caller {
      const rest = { userId: this.identity.user.id, requestId: this.id, ip: this.ip }
      if (this.bearer === null) return { ...rest, permissions: null, credential: { type: 'session', id: this.currentSession.id } }
      const { id, permissions } = this.bearer.token
      return { ...rest, permissions, credential: { type: 'token', id } }
    }
  })
  app.decorateRequest('targetUser', null)
  app.decorateRequest('resource', null)

  app.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config
    if (access === 'public') return
    const { caller } = request
    if (access === 'session') requireSession(caller)
    if (typeof access === 'string') return
    if ('permission' in access) {
      const held = await findRootPermissions(app.reads.short, caller, [access.permission])
      if (!held.has(access.permission)) throw notHeld(rootId, access.permission)
      return
    }
    const { id } = request.params as { id: string }
    if ('user' in access) request.targetUser = await guardUser(app, caller, id, access)
    else request.resource = await guardResource(app.reads.short, caller, id, access)
  })
}, { name: 'access', dependencies: ['session', 'token'] })

/** Lets an application not start with routes that leave open what would then be taken for granted. */
function refuse (routes: RouteOptions[], missing: string): void {
  if (routes.length === 0) return
  const names = routes.map(({ method, url }) => `${[method].flat().join(',')} ${url}`)
  throw new Error(`Routes without ${missing}: ${names.join('; ')}`)
}

/** Tokens manage no passwords, sessions and tokens. */
function requireSession ({ credential }: Caller): void {
  if (credential?.type !== 'session') throw new DomainError('session-required')
}

/** Hidden and absent cost the same statements, and end in the same answer. */
async function guardUser (
  { prisma, reads }: Pick<FastifyInstance, 'prisma' | 'reads'>, caller: Caller, id: string, { user: needed, isSessionRequired }: Extract<Access, { user: unknown }>
): Promise<User> {
  const held = await findRootPermissions(reads.short, caller, ['user:view', 'user:edit'])
  const user = await findUserById(prisma, toId(id))
  const isSeen = held.has('user:view') || user?.id === caller.userId
  if (user === null || !isSeen) {
    const permission = needed === 'self-or-view' ? 'user:view' : needed
    throw new DeniedError('not-found', { resourceId: rootId, action: permission, missing: user === null ? null : 'user:view' })
  }
  if (isSessionRequired === true) requireSession(caller)
  if (needed !== 'self-or-view' && !held.has(needed)) throw notHeld(rootId, needed)
  return user
}

async function guardResource (
  db: Reader, caller: Caller, id: string, { resource: actions, type }: Extract<Access, { resource: unknown }>
): Promise<Resource> {
  const resource = await getSeenResource(db, caller, id === 'root' ? rootId : toId(id), actions[0])
  if (type !== undefined && resource.type !== type) throw new DeniedError('not-found', { resourceId: resource.id, action: actions[0], missing: null })
  requireAllowed(resource, actions)
  return resource
}
