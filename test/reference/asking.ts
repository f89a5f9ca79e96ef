/** What the contract's §6 says about access, as naively as the decision itself: explanations and who has access. */
import { actionsOf, allowedActions, bindingsFor, decide, findResource, findRole, gives, holds, may, sees } from './evaluator.js'
import type { Binding, World } from './world.js'

export interface Grant { bindingId: string, role: string, permission: string, via: Array<string | null>, resourceId: string | null, expiresAt: number | null }
export interface Explanation { decision: string, because: Grant[], missing: string | null, expired: Grant[] }

/** The world as somebody asks about it: their own token narrows what they do and see, and those of others play no part. */
export const askedBy = (world: World, userId: string): World =>
  ({ ...world, users: world.users.map(({ narrowedTo, ...user }) => user.id === userId && narrowedTo !== undefined ? { ...user, narrowedTo } : user) })

/** Hours. */
const day = 24

/** Every way from a group inwards to a user. */
function chains (world: World, groupId: string, userId: string): string[][] {
  return world.members.filter((member) => member.groupId === groupId).flatMap(({ memberId }) =>
    memberId === userId ? [[groupId]] : chains(world, memberId, userId).map((chain) => [groupId, ...chain]))
}

/** The grants of bindings that give what is wanted, as `readerId` sees them. */
function grantsOf (world: World, readerId: string, userId: string, bindings: Binding[], isWanted: (permission: string) => boolean): Grant[] {
  const shown = (id: string) => sees(world, readerId, id) ? id : null
  return bindings.flatMap(({ id, role, subject, resourceId, expiresAt }) => {
    const ways = subject.type === 'group' ? chains(world, subject.id, userId) : [[]]
    return (findRole(world, role)?.permissions ?? []).filter(isWanted).flatMap((permission) =>
      ways.map((via) => ({ bindingId: id, role, permission, via: via.map(shown), resourceId: shown(resourceId), expiresAt })))
  })
}

/** The bindings that counted until some time of the last 30 days. */
function recentlyExpired (world: World, userId: string, resourceId: string): Binding[] {
  return bindingsFor({ ...world, now: -Infinity }, userId, resourceId)
    .filter(({ expiresAt }) => expiresAt !== null && expiresAt <= world.now && expiresAt > world.now - 30 * day)
}

export function explain (world: World, readerId: string, userId: string, action: string, resourceId: string): Explanation {
  const type = findResource(world, resourceId)?.type
  const decision = decide(world, userId, action, resourceId)
  if (type === undefined) return { decision, because: [], missing: null, expired: [] }
  const givesAction = (permission: string) => gives(permission, `${type}:${action}`)
  const givesView = (permission: string) => gives(permission, `${type}:view`)
  const counting = bindingsFor(world, userId, resourceId)
  if (decision === 'allow') return { decision, because: grantsOf(world, readerId, userId, counting, givesAction), missing: null, expired: [] }
  const because = decision === 'hide' ? [] : grantsOf(world, readerId, userId, counting, givesView)
  const missing = `${type}:${decision === 'hide' ? 'view' : action}`
  // As if nothing of the last 30 days had ended.
  const gone = recentlyExpired(world, userId, resourceId)
  const unended = { ...world, bindings: world.bindings.map((binding) => gone.includes(binding) ? { ...binding, expiresAt: null } : binding) }
  if (!may(unended, userId, action, resourceId)) return { decision, because, missing, expired: [] }
  const isHeld = counting.some(({ role }) => findRole(world, role)?.permissions.some(givesAction))
  return { decision, because, missing, expired: grantsOf(world, readerId, userId, gone, isHeld ? givesView : givesAction) }
}

export interface AccessItem { user: string, allowedActions: string[], because: Grant[] }

/** Who has access to a resource otherwise than as everyone, in order of their ids, and what everyone may do. */
export function accessTo (asked: World, readerId: string, resourceId: string, action?: string): { items: AccessItem[], everyone: string[] | null } {
  // The reader's token narrows what they are shown, not what they have.
  const world = askedBy(asked, 'nobody')
  const type = findResource(world, resourceId)?.type ?? ''
  // Somebody of whom nothing is known but that they are signed in.
  const anybody = { ...world, users: [...world.users, { id: 'anybody', name: 'Anybody', isActive: true }] }
  const forEveryone = actionsOf(world, type).filter((each) => may(anybody, 'anybody', each, resourceId))
  const items = world.users.flatMap(({ id }) => {
    const bindings = bindingsFor(world, id, resourceId)
    const own = bindings.filter(({ subject }) => subject.type !== 'everyone').flatMap(({ role }) => findRole(world, role)?.permissions ?? [])
    const actions = action === undefined ? allowedActions(world, id, resourceId) : [action].filter((each) => may(world, id, each, resourceId))
    const isOtherwise = actions.some((each) => !forEveryone.includes(each) || own.some((permission) => gives(permission, `${type}:${each}`)))
    if (!isOtherwise) return []
    const shown = allowedActions(world, id, resourceId)
    const isShown = (permission: string) => [...shown, ...actions].some((each) => gives(permission, `${type}:${each}`))
    return [{ user: id, allowedActions: shown, because: grantsOf(asked, readerId, id, bindings, isShown) }]
  })
  const everyone = forEveryone.filter((each) => each !== 'create').sort()
  const isForEveryone = action === undefined ? everyone.length > 0 : forEveryone.includes(action)
  return { items: items.sort((one, other) => one.user < other.user ? -1 : 1), everyone: isForEveryone ? everyone : null }
}

/** The roles whose permissions a user holds in a place, all of them. */
export function grantableRoles (world: World, userId: string, resourceId: string): string[] {
  return world.roles.filter(({ permissions }) => permissions.every((permission) => holds(world, userId, resourceId, permission))).map(({ name }) => name).sort()
}
