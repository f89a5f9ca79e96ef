/** What a change needs, in which order it is refused, and what it does to a world: the rest of the contract's §5, as naively. */
import { actionsOf, findResource, findRole, gives, groupsAround, holds, holdsOnRoot, may, pathToRoot, sees, subtree } from './evaluator.js'
import { type Binding, type Resource, rootId, type Subject, type World } from './world.js'

/** `by` is the caller's id. */
export type Change =
  | { kind: 'bind', by: string, resourceId: string, role: string, subject: Subject, expiresAt: number | null }
  | { kind: 'unbind', by: string, resourceId: string, bindingId: string }
  | { kind: 'create', by: string, parentId: string, type: string, name: string }
  | { kind: 'move', by: string, resourceId: string, parentId: string }
  | { kind: 'delete', by: string, resourceId: string, isRecursive: boolean }
  | { kind: 'join' | 'leave', by: string, groupId: string, memberId: string }
  | { kind: 'activate' | 'deactivate', by: string, userId: string }
  | { kind: 'create-role' | 'edit-role', by: string, name: string, permissions: string[] }
  | { kind: 'delete-role', by: string, name: string }
  | { kind: 'edit-type', by: string, name: string, ownActions: string[], parents: string[], creatorRole: string | null }

/** Time goes by. */
export type Wait = { kind: 'wait', time: number }

const deepest = 32
const administration: Record<string, string[]> = {
  user: ['view', 'create', 'edit'], role: ['create', 'edit', 'delete'], 'resource-type': ['edit', 'delete'], audit: ['view']
}

/** The code of the error by which a change is refused; null when it is made. */
export function refusal (world: World, change: Change): string | null {
  const { by } = change
  switch (change.kind) {
    case 'bind': {
      const refused = guard(world, by, change.resourceId, ['share'])
      if (refused !== null) return refused
      const role = findRole(world, change.role)
      if (role === undefined) return 'unknown-role'
      if (!isKnownSubject(world, by, change.subject)) return 'unknown-subject'
      if (!role.permissions.every((permission) => holds(world, by, change.resourceId, permission))) return 'escalation'
      const isPresent = sameBindings(world, change).some(({ expiresAt }) => expiresAt === null || expiresAt > world.now)
      return isPresent ? 'binding-exists' : null
    }
    case 'unbind': {
      const refused = guard(world, by, change.resourceId, ['share'])
      if (refused !== null) return refused
      const binding = world.bindings.find(({ id, resourceId }) => id === change.bindingId && resourceId === change.resourceId)
      if (binding === undefined) return 'not-found'
      const permissions = findRole(world, binding.role)?.permissions ?? []
      if (!permissions.every((permission) => holds(world, by, change.resourceId, permission))) return 'escalation'
      return losesOwner(world, change) ? 'last-owner' : null
    }
    case 'create': {
      const type = world.types.find(({ name }) => name === change.type)
      if (type === undefined) return 'unknown-type'
      const parent = findResource(world, change.parentId)
      if (parent === undefined || !sees(world, by, parent.id)) return 'not-found'
      if (!holds(world, by, parent.id, `${type.name}:create`)) return 'forbidden'
      if (!type.parents.includes(parent.type)) return 'invalid-parent'
      return depth(world, parent.id) >= deepest ? 'too-deep' : null
    }
    case 'move': {
      const refused = guard(world, by, change.resourceId, ['edit', 'share'])
      if (refused !== null) return refused
      const resource = findResource(world, change.resourceId) as Resource
      const parent = findResource(world, change.parentId)
      if (parent === undefined || !sees(world, by, parent.id)) return 'not-found'
      if (!holds(world, by, parent.id, `${resource.type}:create`)) return 'forbidden'
      if (!gainsOf(world, resource, parent).every((permission) => holds(world, by, resource.id, permission))) return 'escalation'
      if (resource.id === rootId) return 'built-in'
      const moved = subtree(world, resource.id)
      if (moved.includes(parent)) return 'cycle'
      if (!world.types.some(({ name, parents }) => name === resource.type && parents.includes(parent.type))) return 'invalid-parent'
      const height = Math.max(...moved.map(({ id }) => depth(world, id))) - depth(world, resource.id)
      return depth(world, parent.id) + 1 + height > deepest ? 'too-deep' : null
    }
    case 'delete': {
      const refused = guard(world, by, change.resourceId, ['delete'])
      if (refused !== null) return refused
      const below = subtree(world, change.resourceId)
      const mayAll = below.every(({ type }) => ['view', 'delete'].every((action) => holds(world, by, change.resourceId, `${type}:${action}`)))
      if (change.isRecursive && !mayAll) return 'forbidden'
      if (change.resourceId === rootId) return 'built-in'
      if (!change.isRecursive && below.length > 1) return 'has-children'
      return losesOwner(world, change) ? 'last-owner' : null
    }
    case 'join':
    case 'leave': {
      if (findResource(world, change.groupId)?.type !== 'group') return 'not-found'
      const refused = guard(world, by, change.groupId, ['edit'])
      if (refused !== null) return refused
      const isUser = world.users.some(({ id }) => id === change.memberId)
      const isGroup = findResource(world, change.memberId)?.type === 'group' && sees(world, by, change.memberId)
      if (!isUser && !isGroup) return 'not-found'
      const isMember = world.members.some(({ groupId, memberId }) => groupId === change.groupId && memberId === change.memberId)
      if (change.kind === 'leave') {
        if (!isMember) return 'not-found'
        return losesOwner(world, change) ? 'last-owner' : null
      }
      return change.memberId === change.groupId || groupsAround(world, change.groupId).includes(change.memberId) ? 'cycle' : null
    }
    case 'activate':
    case 'deactivate': {
      const user = world.users.find(({ id }) => id === change.userId)
      if (user === undefined || (user.id !== by && !holdsOnRoot(world, by, 'user:view'))) return 'not-found'
      if (!holdsOnRoot(world, by, 'user:edit')) return 'forbidden'
      return losesOwner(world, change, [rootId]) ? 'last-owner' : null
    }
    case 'create-role':
    case 'edit-role': {
      if (!holdsOnRoot(world, by, change.kind === 'edit-role' ? 'role:edit' : 'role:create')) return 'forbidden'
      const role = findRole(world, change.name)
      if (change.kind === 'edit-role' && role === undefined) return 'not-found'
      if (!change.permissions.every((permission) => isPossible(world, permission))) return 'invalid-request'
      if (!change.permissions.every((permission) => holdsOnRoot(world, by, permission))) return 'escalation'
      if (change.kind === 'create-role') return role === undefined ? null : 'role-exists'
      return role?.builtIn === true ? 'built-in' : null
    }
    case 'delete-role': {
      if (!holdsOnRoot(world, by, 'role:delete')) return 'forbidden'
      const role = findRole(world, change.name)
      if (role === undefined) return 'not-found'
      if (role.builtIn) return 'built-in'
      const isUsed = world.bindings.some((binding) => binding.role === role.name) || world.types.some(({ creatorRole }) => creatorRole === role.name)
      return isUsed ? 'in-use' : null
    }
    case 'edit-type': {
      if (!holdsOnRoot(world, by, 'resource-type:edit')) return 'forbidden'
      const role = change.creatorRole === null ? null : findRole(world, change.creatorRole)
      if (role === undefined) return 'unknown-role'
      if (!change.parents.every((parent) => parent === change.name || world.types.some(({ name }) => name === parent))) return 'unknown-type'
      if (role !== null && !role.permissions.every((permission) => holdsOnRoot(world, by, permission))) return 'escalation'
      if (['system', 'group'].includes(change.name)) return 'built-in'
      return isTypeInUse(world, change) ? 'in-use' : null
    }
  }
}

/**
 * The world after a change that was not refused.
 * @param newId of what the change makes, and `newBindingId` of the binding for a creator
 */
export function applied (before: World, change: Change | Wait, newId = '', newBindingId = ''): World {
  const world = structuredClone(before)
  switch (change.kind) {
    case 'wait':
      world.now += change.time
      break
    case 'bind': {
      // One that has expired gives way.
      const replaced = sameBindings(world, change)
      world.bindings = world.bindings.filter((binding) => !replaced.includes(binding))
      const { role, subject, resourceId, expiresAt } = change
      world.bindings.push({ id: newId, role, subject, resourceId, expiresAt })
      break
    }
    case 'unbind':
      world.bindings = world.bindings.filter(({ id }) => id !== change.bindingId)
      break
    case 'create': {
      const { type, name, parentId } = change
      world.resources.push({ id: newId, type, name, parentId })
      const role = world.types.find((candidate) => candidate.name === type)?.creatorRole ?? null
      if (role !== null) world.bindings.push({ id: newBindingId, role, subject: { type: 'user', id: change.by }, resourceId: newId, expiresAt: null })
      break
    }
    case 'move': {
      const resource = findResource(world, change.resourceId) as Resource
      resource.parentId = change.parentId
      break
    }
    case 'delete': {
      const gone = subtree(world, change.resourceId).map(({ id }) => id)
      world.resources = world.resources.filter(({ id }) => !gone.includes(id))
      world.members = world.members.filter(({ groupId, memberId }) => !gone.includes(groupId) && !gone.includes(memberId))
      world.bindings = world.bindings.filter(({ resourceId, subject }) =>
        !gone.includes(resourceId) && !(subject.type === 'group' && gone.includes(subject.id)))
      break
    }
    case 'join': {
      const { groupId, memberId } = change
      const isMember = world.members.some((member) => member.groupId === groupId && member.memberId === memberId)
      if (!isMember) world.members.push({ groupId, memberId })
      break
    }
    case 'leave':
      world.members = world.members.filter(({ groupId, memberId }) => groupId !== change.groupId || memberId !== change.memberId)
      break
    case 'activate':
    case 'deactivate':
      for (const user of world.users) if (user.id === change.userId) user.isActive = change.kind === 'activate'
      break
    case 'create-role':
      world.roles.push({ name: change.name, permissions: change.permissions, builtIn: false })
      break
    case 'edit-role':
      for (const role of world.roles) if (role.name === change.name) role.permissions = change.permissions
      break
    case 'delete-role':
      world.roles = world.roles.filter(({ name }) => name !== change.name)
      break
    case 'edit-type': {
      const { name, ownActions, parents, creatorRole } = change
      world.types = [...world.types.filter((type) => type.name !== name), { name, ownActions, parents, creatorRole }]
      break
    }
  }
  return world
}

/** What a route does for the resource in its path: hidden or absent → 404, not allowed → 403. */
function guard (world: World, userId: string, resourceId: string, actions: string[]): string | null {
  if (!sees(world, userId, resourceId)) return 'not-found'
  return actions.every((action) => may(world, userId, action, resourceId)) ? null : 'forbidden'
}

/** Levels below the root. */
const depth = (world: World, id: string) => pathToRoot(world, id).length - 1

/** A subject must be an active user, or a group that the caller sees. */
function isKnownSubject (world: World, callerId: string, subject: Subject): boolean {
  if (subject.type === 'everyone') return true
  if (subject.type === 'user') return world.users.some(({ id, isActive }) => id === subject.id && isActive)
  return findResource(world, subject.id)?.type === 'group' && sees(world, callerId, subject.id)
}

const nameOf = (subject: Subject) => subject.type === 'everyone' ? 'everyone' : subject.id

/** The bindings of the same role for the same subject on the same resource. */
function sameBindings (world: World, { role, subject, resourceId }: { role: string, subject: Subject, resourceId: string }) {
  return world.bindings.filter((binding) =>
    binding.role === role && binding.resourceId === resourceId && nameOf(binding.subject) === nameOf(subject))
}

/**
 * What a move gives: the permissions of the roles bound on the new parent and above it, as they are spelled, where they are about what
 * is moved or may be put below it, but for those that the same subject held on the resource before, and for as long.
 */
function gainsOf (world: World, resource: Resource, newParent: Resource): string[] {
  const placeable = new Set(subtree(world, resource.id).map(({ type }) => type))
  for (let size = 0; size !== placeable.size;) {
    size = placeable.size
    for (const { name, parents } of world.types) if (parents.some((parent) => placeable.has(parent))) placeable.add(name)
  }
  const isAddable = (type: string) => world.types.some(({ name, parents }) => name === type && parents.some((parent) => placeable.has(parent)))
  const isAboutIt = (permission: string) => {
    const [type = '', action] = permission.split(':')
    return type === '*' || (action === 'create' ? isAddable(type) : placeable.has(type))
  }
  const before = pathToRoot(world, resource.id).map(({ id }) => id)
  const arriving = pathToRoot(world, newParent.id).map(({ id }) => id).filter((id) => !before.includes(id))
  const counting = world.bindings.filter(({ expiresAt }) => expiresAt === null || expiresAt > world.now)
  const end = (binding: Binding) => binding.expiresAt ?? Infinity
  const permissions = (binding: Binding) => findRole(world, binding.role)?.permissions ?? []
  return counting.filter(({ resourceId }) => arriving.includes(resourceId)).flatMap((binding) => permissions(binding).filter((permission) => isAboutIt(permission) && !counting.some((other) =>
    before.includes(other.resourceId) && nameOf(other.subject) === nameOf(binding.subject) &&
    permissions(other).some((held) => gives(held, permission)) && end(other) >= end(binding))))
}

/** An active user who holds the role `owner` bound on that very resource without expiry, directly or through groups. */
function hasOwner (world: World, resourceId: string): boolean {
  return world.users.some((user) => user.isActive && world.bindings.some(({ role, resourceId: place, expiresAt, subject }) =>
    role === 'owner' && place === resourceId && expiresAt === null && subject.type !== 'everyone' &&
    (subject.id === user.id || groupsAround(world, user.id).includes(subject.id))))
}

/** Whether a change would leave the root or an organization, of those that it is about, without an owner of its own. */
function losesOwner (world: World, change: Change, concerned = world.resources.map(({ id }) => id)): boolean {
  const after = applied(world, change)
  return world.resources.some(({ id, type }) => ['system', 'organization'].includes(type) && concerned.includes(id) &&
    hasOwner(world, id) && findResource(after, id) !== undefined && !hasOwner(after, id))
}

/** Whether a role may name a permission: there must be a type with that action. */
function isPossible (world: World, permission: string): boolean {
  const [type = '', action = ''] = permission.split(':')
  const types = [
    ...world.types.map(({ name }) => ({ name, actions: actionsOf(world, name) })),
    ...Object.entries(administration).map(([name, actions]) => ({ name, actions }))
  ].filter(({ name }) => type === '*' || name === type)
  return types.some(({ actions }) => action === '*' || actions.includes(action))
}

/** Whether a type would lose an action that a role names, or a parent under which some of it stand. */
function isTypeInUse (world: World, { name, ownActions, parents }: { name: string, ownActions: string[], parents: string[] }): boolean {
  const dropped = (world.types.find((type) => type.name === name)?.ownActions ?? []).filter((action) => !ownActions.includes(action))
  const isElsewhere = (action: string) => world.types.some((type) => type.name !== name && type.ownActions.includes(action))
  const isNamed = world.roles.some((role) => role.permissions.some((permission) => {
    const [type = '', action = ''] = permission.split(':')
    return dropped.includes(action) && (type === name || (type === '*' && !isElsewhere(action)))
  }))
  const isStanding = world.resources.some(({ type, parentId }) =>
    type === name && parentId !== null && !parents.includes(findResource(world, parentId)?.type ?? ''))
  return isNamed || isStanding
}
