/** The same change in two ways: by the services, in a transaction that is given back, and by requests. */
import { DomainError } from '../../../src/errors.js'
import { createBinding, deleteBinding } from '../../../src/services/bindings.js'
import type { Caller } from '../../../src/services/caller.js'
import type { Database } from '../../../src/services/database.js'
import { findRootPermissions, getSeenResource } from '../../../src/services/authorization.js'
import type { StandardAction } from '../../../src/services/decision.js'
import { addMember, removeMember } from '../../../src/services/groups.js'
import { putResourceType } from '../../../src/services/resource-types.js'
import { createResource } from '../../../src/services/resources.js'
import { createRole, deleteRole, updateRole } from '../../../src/services/roles.js'
import { deleteResource, moveResource } from '../../../src/services/tree.js'
import { findUserById, updateUser } from '../../../src/services/users.js'
import type { Change } from '../../reference/changes.js'
import type { World } from '../../reference/world.js'
import { callerOf } from '../../helpers/caller.js'
import type { RequestOptions, Response } from '../../helpers/app.js'

export interface Outcome {
  /** The code of the error; null when the change was made. */
  refusal: string | null
  /** Of what was made. */
  id?: string | undefined
}

const hour = 3_600_000
const dateOf = (world: World, time: number | null) => time === null ? null : new Date(Date.now() + (time - world.now) * hour)

/** A user as they ask in a world. */
export const callerIn = (world: World, userId: string): Caller => callerOf(userId, world.users.find(({ id }) => id === userId)?.narrowedTo ?? null)

/** Calls the service behind the route, after what the guard asks there. What failed half-way is undone. */
export async function performByService (tx: Database, world: World, change: Change): Promise<Outcome> {
  const { refusal, made } = await orRefusal(tx, async () => await callService(tx, world, change) as { id?: string } | undefined)
  return { refusal, id: made?.id }
}

/** What a piece of work gives, or the code of the error by which it is refused; then nothing of it is left. */
export async function orRefusal<T> (tx: Database, work: () => Promise<T>): Promise<{ refusal: string | null, made?: T }> {
  await tx.$executeRaw`SAVEPOINT change`
  try {
    return { refusal: null, made: await work() }
  } catch (error) {
    if (!(error instanceof DomainError)) throw error
    await tx.$executeRaw`ROLLBACK TO SAVEPOINT change`
    return { refusal: error.code }
  }
}

export async function callService (tx: Database, world: World, change: Change, by = callerIn(world, change.by)): Promise<unknown> {
  switch (change.kind) {
    case 'bind': {
      await guard(tx, by, change.resourceId, ['share'])
      const { role, subject, resourceId, expiresAt } = change
      return await createBinding(tx, by, resourceId, { role, subject, expiresAt: dateOf(world, expiresAt) })
    }
    case 'unbind':
      await guard(tx, by, change.resourceId, ['share'])
      return await deleteBinding(tx, by, change.resourceId, change.bindingId)
    case 'create':
      return await createResource(tx, by, change)
    case 'move':
      await guard(tx, by, change.resourceId, ['edit', 'share'])
      return await moveResource(tx, by, change.resourceId, change.parentId)
    case 'delete':
      await guard(tx, by, change.resourceId, ['delete'])
      return await deleteResource(tx, by, change.resourceId, change.isRecursive)
    case 'join':
    case 'leave':
      await guard(tx, by, change.groupId, ['edit'], 'group')
      return await (change.kind === 'join' ? addMember : removeMember)(tx, by, change.groupId, change.memberId)
    case 'activate':
    case 'deactivate': {
      const held = await findRootPermissions(tx, by, ['user:view', 'user:edit'])
      const user = await findUserById(tx, change.userId)
      if (user === null || !(held.has('user:view') || user.id === by.userId)) throw new DomainError('not-found')
      if (!held.has('user:edit')) throw new DomainError('forbidden')
      return await updateUser(tx, by, user.id, { isActive: change.kind === 'activate' })
    }
    case 'create-role':
      await guardRoot(tx, by, 'role:create')
      return await createRole(tx, by, change)
    case 'edit-role':
      await guardRoot(tx, by, 'role:edit')
      return await updateRole(tx, by, change.name, change)
    case 'delete-role':
      await guardRoot(tx, by, 'role:delete')
      return await deleteRole(tx, by, change.name)
    case 'edit-type':
      await guardRoot(tx, by, 'resource-type:edit')
      return await putResourceType(tx, by, change.name, { actions: change.ownActions, parents: change.parents, creatorRole: change.creatorRole })
  }
}

async function guard (tx: Database, by: Caller, resourceId: string, actions: StandardAction[], type?: string): Promise<void> {
  const resource = await getSeenResource(tx, by, resourceId, 'view')
  if (type !== undefined && resource.type !== type) throw new DomainError('not-found')
  if (!actions.every((action) => resource.allowedActions.includes(action))) throw new DomainError('forbidden')
}

async function guardRoot (tx: Database, by: Caller, permission: string): Promise<void> {
  if (!(await findRootPermissions(tx, by, [permission])).has(permission)) throw new DomainError('forbidden')
}

/** A cookie or a token for each user. */
export type Credentials = Map<string, Pick<RequestOptions, 'cookie' | 'token'>>

export type Request = (method: string, url: string, options?: RequestOptions) => Promise<Response>

/** Sends the request of the contract. */
export async function performByRequest (request: Request, credentials: Credentials, world: World, change: Change): Promise<Outcome> {
  const response = await requestChange(request, credentials, world, change)
  return { refusal: response.status < 400 ? null : response.body.code, id: response.body?.id }
}

/** @param query to append to the path */
export async function requestChange (request: Request, credentials: Credentials, world: World, change: Change, query = ''): Promise<Response> {
  const [method, url, body] = requestFor(world, change)
  return await request(method, `${url}${query}`, { ...credentials.get(change.by), body })
}

function requestFor (world: World, change: Change): [method: string, url: string, body?: object] {
  switch (change.kind) {
    case 'bind': {
      const { role, subject, expiresAt } = change
      return ['POST', `/resources/${change.resourceId}/bindings`, { role, subject, expiresAt: dateOf(world, expiresAt) }]
    }
    case 'unbind': return ['DELETE', `/resources/${change.resourceId}/bindings/${change.bindingId}`]
    case 'create': return ['POST', '/resources', { type: change.type, name: change.name, parentId: change.parentId }]
    case 'move': return ['POST', `/resources/${change.resourceId}/move`, { parentId: change.parentId }]
    case 'delete': return ['DELETE', `/resources/${change.resourceId}${change.isRecursive ? '?recursive=true' : ''}`]
    case 'join': return ['PUT', `/groups/${change.groupId}/members/${change.memberId}`]
    case 'leave': return ['DELETE', `/groups/${change.groupId}/members/${change.memberId}`]
    case 'activate':
    case 'deactivate': return ['PATCH', `/users/${change.userId}`, { isActive: change.kind === 'activate' }]
    case 'create-role': return ['POST', '/roles', { name: change.name, permissions: change.permissions }]
    case 'edit-role': return ['PATCH', `/roles/${change.name}`, { permissions: change.permissions }]
    case 'delete-role': return ['DELETE', `/roles/${change.name}`]
    case 'edit-type': return ['PUT', `/resource-types/${change.name}`, { actions: change.ownActions, parents: change.parents, creatorRole: change.creatorRole }]
  }
}
