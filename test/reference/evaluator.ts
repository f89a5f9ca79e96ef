/**
 * The decision paragraph of the contract (§5) as naive TypeScript: loops and recursion over plain arrays, sharing nothing
 * with the product. The product's SQL is held against it, so it should be obvious rather than fast.
 */
import { type Binding, type Resource, type Role, rootId, type World } from './world.js'

export type Decision = 'allow' | 'forbid' | 'hide'

export const standardActions = ['view', 'create', 'edit', 'delete', 'share']

export function findResource (world: World, id: string): Resource | undefined {
  return world.resources.find((resource) => resource.id === id)
}

export function findRole (world: World, name: string): Role | undefined {
  return world.roles.find((role) => role.name === name)
}

/** A resource and its ancestors, up to the root. */
export function pathToRoot (world: World, id: string): Resource[] {
  const resource = findResource(world, id)
  if (resource === undefined) return []
  return resource.parentId === null ? [resource] : [resource, ...pathToRoot(world, resource.parentId)]
}

/** A resource and everything below it. */
export function subtree (world: World, id: string): Resource[] {
  return world.resources.filter((resource) => pathToRoot(world, resource.id).some((above) => above.id === id))
}

/** The groups that a user or a group belongs to: directly, or through groups in groups. */
export function groupsAround (world: World, memberId: string): string[] {
  const direct = world.members.filter((member) => member.memberId === memberId).map((member) => member.groupId)
  return [...new Set(direct.flatMap((groupId) => [groupId, ...groupsAround(world, groupId)]))]
}

/** The bindings that count for a user on a resource. */
export function bindingsFor (world: World, userId: string, resourceId: string): Binding[] {
  const user = world.users.find((candidate) => candidate.id === userId)
  // Deactivated users may nothing.
  if (user?.isActive !== true) return []
  const groups = groupsAround(world, userId)
  const path = pathToRoot(world, resourceId)
  return world.bindings.filter(({ resourceId: place, subject, expiresAt }) => {
    const isHere = path.some((resource) => resource.id === place)
    const isUnexpired = expiresAt === null || expiresAt > world.now
    const isMeant = subject.type === 'everyone' || (subject.type === 'user' ? subject.id === userId : groups.includes(subject.id))
    return isHere && isUnexpired && isMeant
  })
}

/** The permissions that a user has on a resource through roles. */
export function permissionsOn (world: World, userId: string, resourceId: string): string[] {
  return bindingsFor(world, userId, resourceId).flatMap((binding) => findRole(world, binding.role)?.permissions ?? [])
}

/** Whether one permission gives another; a wildcard is given by a wildcard only. */
export function gives (permission: string, wanted: string): boolean {
  const [type, action] = permission.split(':')
  const [wantedType, wantedAction] = wanted.split(':')
  return (type === '*' || type === wantedType) && (action === '*' || action === wantedAction)
}

/** Whether a user holds a permission on a resource: through a role, and where they ask by a token, through that too. */
export function holds (world: World, userId: string, resourceId: string, permission: string): boolean {
  const { narrowedTo } = world.users.find(({ id }) => id === userId) ?? {}
  return permissionsOn(world, userId, resourceId).some((held) => gives(held, permission)) &&
    (narrowedTo === undefined || narrowedTo.some((allowed) => gives(allowed, permission)))
}

/** All actions of a type. */
export function actionsOf (world: World, type: string): string[] {
  return [...standardActions, ...world.types.find(({ name }) => name === type)?.ownActions ?? []]
}

export function sees (world: World, userId: string, resourceId: string): boolean {
  const resource = findResource(world, resourceId)
  return resource !== undefined && holds(world, userId, resourceId, `${resource.type}:view`)
}

export function may (world: World, userId: string, action: string, resourceId: string): boolean {
  const resource = findResource(world, resourceId)
  return resource !== undefined && actionsOf(world, resource.type).includes(action) &&
    sees(world, userId, resourceId) && holds(world, userId, resourceId, `${resource.type}:${action}`)
}

/** Not seen → hide (404). Seen but not allowed → forbid (403). */
export function decide (world: World, userId: string, action: string, resourceId: string): Decision {
  if (!sees(world, userId, resourceId)) return 'hide'
  return may(world, userId, action, resourceId) ? 'allow' : 'forbid'
}

/** What a user may do with a resource, as its `allowedActions` say: sorted, without `create`. */
export function allowedActions (world: World, userId: string, resourceId: string): string[] {
  const actions = actionsOf(world, findResource(world, resourceId)?.type ?? '')
  return actions.filter((action) => action !== 'create' && may(world, userId, action, resourceId)).sort()
}

/** Which types a user may create directly under a resource, sorted. */
export function creatableTypes (world: World, userId: string, resourceId: string): string[] {
  const parent = findResource(world, resourceId)
  if (parent === undefined || !sees(world, userId, resourceId)) return []
  return world.types.filter(({ name, parents }) => parents.includes(parent.type) && holds(world, userId, resourceId, `${name}:create`))
    .map(({ name }) => name).sort()
}

/** The `parentId` that a user is shown: null where the parent is hidden. */
export function shownParentId (world: World, userId: string, resourceId: string): string | null {
  const parentId = findResource(world, resourceId)?.parentId ?? null
  return parentId !== null && sees(world, userId, parentId) ? parentId : null
}

/** Whether a user holds a permission on the root, such as `user:view`, by which users, roles, types and the audit log are administered. */
export function holdsOnRoot (world: World, userId: string, permission: string): boolean {
  return holds(world, userId, rootId, permission)
}

export interface ListFilter { type?: string | undefined, parentId?: string | undefined, action?: string | undefined, q?: string | undefined }

/** The ids that `GET /resources` finds for a user, on all its pages together. */
export function list (world: World, userId: string, { type, parentId, action = 'view', q }: ListFilter): string[] {
  return world.resources
    .filter((resource) => type === undefined || resource.type === type)
    .filter((resource) => parentId === undefined || resource.parentId === parentId)
    .filter((resource) => q === undefined || resource.name.toLowerCase().includes(q.toLowerCase()))
    .filter((resource) => may(world, userId, action, resource.id))
    .map((resource) => resource.id).sort()
}
