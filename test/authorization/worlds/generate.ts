/** Random worlds and random walks through them, made of small numbers that fast-check can shrink. */
import fc from 'fast-check'
import type { Change, Wait } from '../../reference/changes.js'
import { creatableTypes, findResource, groupsAround, holdsOnRoot, may, pathToRoot, standardActions } from '../../reference/evaluator.js'
import { freshWorld, rootId, type Subject, type World } from '../../reference/world.js'

/** Any number; which of several things it means is decided where the things are known. */
const number = fc.nat(0xffff)
export const pick = <T>(things: readonly T[], choice: number): T => things[choice % things.length] as T
const many = <T>(item: fc.Arbitrary<T>, maxLength: number, minLength = 0) => fc.array(item, { minLength, maxLength, size: 'max' })
const mostly = (maxPercent: number) => fc.nat(99).map((percent) => percent < maxPercent)

const userNames = ['Ada', 'Ben', 'Cleo', 'Dan', 'Eve']
const resourceNames = ['Alpha', 'bravo', 'Charlie', 'delta', 'Echo', 'foxtrot', 'Golf', 'hotel', 'India', 'juliett', 'Kilo', 'lima', 'Mike', 'november']
const ownTypes = ['case', 'shelf']
const ownActions = ['sign', 'archive']
/** Wildcards and `view` more often than the rest: without them nobody sees anything. */
const permissionTypes = ['*', '*', '*', 'system', 'group', 'organization', 'project', 'document', ...ownTypes, 'user', 'role', 'resource-type', 'audit']
const permissionActions = ['*', '*', 'view', 'view', 'view', ...standardActions, ...ownActions]

const permission = fc.tuple(number, number).map(([type, action]) => `${pick(permissionTypes, type)}:${pick(permissionActions, action)}`)
/** Roles with which one can do something and not all: they meet the rules against escalation. */
const sharingPermissions = [
  ['*:view', '*:edit', '*:share', '*:create'], ['*:view', '*:share'], ['*:view', '*:create', '*:edit', '*:share', '*:delete'],
  ['*:view', '*:create', 'organization:*', 'project:*'], ['system:view', 'organization:*', 'project:*', 'group:*']
]
const usualPermissions = [
  ...sharingPermissions, ['*:*'], ['*:view', 'group:*'], ['*:view', '*:delete', '*:share', 'system:*'],
  ['*:view', 'role:edit', 'role:create', 'role:delete'], ['*:view', 'user:*', 'resource-type:*', 'organization:share']
]
const permissions = fc.oneof(many(permission, 5).map((chosen) => [...new Set(chosen)]), fc.constantFrom(...usualPermissions))
/** Hours from the start of the world; 0 has just expired. Whole ones, while bindings made later end at half hours. */
const expiry = fc.oneof({ arbitrary: fc.constant(null), weight: 3 }, { arbitrary: fc.integer({ min: 1, max: 6 }), weight: 2 }, { arbitrary: fc.integer({ min: -2, max: 0 }), weight: 1 })

const plannedWorld = fc.record({
  isInactive: many(mostly(20), userNames.length, 1),
  /** Some ask by a token that is narrowed. */
  tokens: many(fc.tuple(mostly(25), permissions), userNames.length, userNames.length),
  hasOwner: mostly(75),
  isFresh: mostly(50),
  types: many(fc.record({ parents: many(number, 4, 1), ownActions: fc.subarray(ownActions), creatorRole: fc.option(number) }), ownTypes.length),
  projectActions: fc.subarray(ownActions, { maxLength: 1 }),
  roles: many(permissions, 4),
  /** Somebody who may share something without holding everything. */
  sharer: fc.option(fc.record({ permissions: fc.constantFrom(...sharingPermissions), user: number, place: fc.nat(3) })),
  resources: many(fc.record({ place: number, isGroup: mostly(30), isDeep: mostly(50), rank: fc.nat(0xff) }), resourceNames.length),
  /** So many projects, each in the other: the depth has an end. */
  chain: fc.oneof({ arbitrary: fc.constant(0), weight: 49 }, { arbitrary: fc.integer({ min: 26, max: 31 }), weight: 1 }),
  members: many(fc.tuple(number, number), 9),
  bindings: many(fc.record({ role: number, subject: number, place: number, expiresAt: expiry }), 9)
})

const id = (kind: string, index: number, rank = 0) => `01900000-0000-7${kind}-8000-${rank.toString(16).padStart(6, '0')}${index.toString(16).padStart(6, '0')}`

export const worlds: fc.Arbitrary<World> = plannedWorld.map((plan) => {
  const world = freshWorld()
  world.users = plan.isInactive.map((isInactive, index) => ({ id: id('aaa', index + 1), name: userNames[index] as string, isActive: !isInactive }))
  plan.tokens.forEach(([isByToken, narrowedTo], index) => { if (isByToken && world.users[index] !== undefined) world.users[index].narrowedTo = narrowedTo })
  if (!plan.isFresh) world.bindings = []

  plan.roles.forEach((granted, index) => world.roles.push({ name: `role-${index + 1}`, permissions: granted, builtIn: false }))
  if (plan.sharer !== null) world.roles.push({ name: 'sharer', permissions: plan.sharer.permissions, builtIn: false })
  const possibleParents = [...world.types.map(({ name }) => name), ...ownTypes.slice(0, plan.types.length)]
  plan.types.forEach(({ parents, ownActions, creatorRole }, index) => world.types.push({
    name: ownTypes[index] as string,
    ownActions,
    parents: [...new Set(parents.map((parent) => pick(possibleParents, parent)))],
    creatorRole: creatorRole === null ? null : pick(world.roles, creatorRole).name
  }))
  for (const type of world.types) if (type.name === 'project') type.ownActions = plan.projectActions

  plan.resources.forEach(({ place, isGroup, isDeep, rank }, index) => {
    const above = isDeep ? world.resources.slice(-3) : world.resources
    const places = above.flatMap((parent) => world.types
      .filter(({ name, parents }) => parents.includes(parent.type) && (!isGroup || name === 'group'))
      .map(({ name }) => ({ type: name, parentId: parent.id })))
    if (places.length === 0) return
    world.resources.push({ id: id('bbb', index + 1, rank), name: resourceNames[index] as string, ...pick(places, place) })
  })

  for (let level = 1, parentId = rootId; plan.chain > 0 && level <= plan.chain; level++) {
    const deeper = { id: id('bbb', 0x100 + level, level % 5), name: `level ${level}`, type: level === 1 ? 'organization' : 'project', parentId }
    world.resources.push(deeper)
    parentId = deeper.id
  }

  const groups = world.resources.filter(({ type }) => type === 'group')
  for (const [group, member] of plan.members) {
    if (groups.length === 0) break
    const groupId = pick(groups, group).id
    const memberId = pick([...world.users, ...groups], member).id
    const isCycle = memberId === groupId || groupsAround(world, groupId).includes(memberId)
    const isThere = world.members.some((present) => present.groupId === groupId && present.memberId === memberId)
    if (!isCycle && !isThere) world.members.push({ groupId, memberId })
  }

  const bind = (role: string, subject: Subject, resourceId: string, expiresAt: number | null) => {
    const isThere = world.bindings.some((other) => other.role === role && other.resourceId === resourceId && JSON.stringify(other.subject) === JSON.stringify(subject))
    if (!isThere) world.bindings.push({ id: id('ccc', world.bindings.length + 1), role, subject, resourceId, expiresAt })
  }
  if (plan.hasOwner) bind('owner', { type: 'user', id: pick(world.users, 0).id }, rootId, null)
  if (plan.sharer !== null) bind('sharer', { type: 'user', id: pick(world.users, plan.sharer.user).id }, pick(world.resources, plan.sharer.place).id, null)
  for (const { role, subject, place, expiresAt } of plan.bindings) {
    bind(pick(world.roles, role).name, pick(subjectsIn(world), subject), pick(world.resources, place).id, expiresAt)
  }
  return world
})

function subjectsIn (world: World): Subject[] {
  return [
    ...world.users.map(({ id }): Subject => ({ type: 'user', id })),
    ...world.resources.filter(({ type }) => type === 'group').map(({ id }): Subject => ({ type: 'group', id })),
    { type: 'everyone' }
  ]
}

/** A change before it is known what there will be to change. */
const plannedChange = fc.record({
  kind: fc.oneof(...([
    ['bind', 4], ['unbind', 3], ['create', 3], ['move', 4], ['delete', 2], ['join', 3], ['leave', 2], ['activate', 1], ['deactivate', 2],
    ['edit-role', 2], ['create-role', 1], ['delete-role', 1], ['edit-type', 1], ['wait', 2]
  ] as const).map(([kind, weight]) => ({ arbitrary: fc.constant(kind), weight }))),
  isByOwner: mostly(45),
  isAimed: mostly(85),
  by: number,
  first: number,
  second: number,
  third: number,
  permissions
})
export type PlannedChange = typeof plannedChange extends fc.Arbitrary<infer T> ? T : never

export const walks = (maxLength: number): fc.Arbitrary<PlannedChange[]> => many(plannedChange, maxLength, 1)

const absentId = id('eee', 1)

/** What a planned change is in a world; null when there is nobody to make it. `isAimed`: at something that it fits. */
export function inWorld (world: World, { kind, isByOwner, isAimed, by: caller, first, second, third, permissions }: PlannedChange): Change | Wait | null {
  if (kind === 'wait') return { kind, time: 1 + first % 3 }
  const active = world.users.filter(({ isActive }) => isActive)
  const owners = active.filter((user) => holdsOnRoot(world, user.id, '*:*'))
  // Those who may share something and do not hold everything meet the rules against escalation.
  const sharers = active.filter((user) => !owners.includes(user) && world.resources.some((resource) => may(world, user.id, 'share', resource.id)))
  const callers = isByOwner ? owners : isAimed ? sharers : active
  if (active.length === 0) return null
  const by = pick(callers.length > 0 ? callers : active, caller).id
  const aimed = <T>(things: T[], isFitting: (thing: T) => boolean, choice: number): T => {
    const fitting = isAimed ? things.filter(isFitting) : []
    return pick(fitting.length > 0 ? fitting : things, choice)
  }
  const resourceFor = (action: string, choice: number) => aimed(world.resources, ({ id }) => id !== rootId && may(world, by, action, id), choice).id
  const anyId = (choice: number) => pick([...world.resources, { id: absentId }], choice).id
  const last = world.resources.at(-1)?.id ?? rootId

  switch (kind) {
    case 'bind': {
      const subject = pick<Subject>([...subjectsIn(world), ...(isAimed ? [] : [{ type: 'user', id: absentId }, { type: 'group', id: anyId(third) }] as const)], second)
      const again = pick(world.bindings, first)
      if (third % 5 === 0 && again !== undefined) return { kind, by, resourceId: again.resourceId, role: again.role, subject: again.subject, expiresAt: null }
      const role = pick([...world.roles.map(({ name }) => name), ...(isAimed ? [] : ['no-such-role'])], third)
      return { kind, by, resourceId: resourceFor('share', first), role, subject, expiresAt: second % 3 === 0 ? world.now + 0.5 + third % 3 : null }
    }
    case 'unbind': {
      const binding = aimed(world.bindings, ({ resourceId }) => may(world, by, 'share', resourceId), first)
      return { kind, by, resourceId: isAimed && binding !== undefined ? binding.resourceId : anyId(second), bindingId: binding?.id ?? absentId }
    }
    case 'create': {
      const parentId = third % 6 === 0 ? last : aimed([...world.resources, { id: absentId }], (parent) => creatableTypes(world, by, parent.id).length > 0, first).id
      const type = aimed([...world.types.map(({ name }) => name), 'no-such-type'], (name) => creatableTypes(world, by, parentId).includes(name), second)
      return { kind, by, parentId, type, name: `New ${pick(resourceNames, third)}` }
    }
    case 'move': {
      const { id: resourceId, type } = aimed(world.resources, ({ id }) => id !== rootId && may(world, by, 'edit', id) && may(world, by, 'share', id), first)
      if (third % 6 === 0) return { kind, by, resourceId, parentId: last }
      const isElsewhere = (parentId: string) => pathToRoot(world, parentId).every(({ id }) => id !== resourceId) && findResource(world, resourceId)?.parentId !== parentId
      const parent = aimed([...world.resources, { id: absentId }], ({ id }) => isElsewhere(id) && creatableTypes(world, by, id).includes(type), second)
      return { kind, by, resourceId, parentId: parent.id }
    }
    case 'delete':
      return { kind, by, resourceId: resourceFor('delete', first), isRecursive: second % 3 > 0 }
    case 'join':
    case 'leave': {
      const group = aimed([...world.resources, { id: absentId, type: '' }], ({ id, type }) => type === 'group' && (kind === 'join' || world.members.some(({ groupId }) => groupId === id)), first)
      const members = [...world.users, ...world.resources].map(({ id }) => id)
      const isMember = (id: string) => world.members.some(({ groupId, memberId }) => groupId === group.id && memberId === id)
      const isGroup = (id: string) => findResource(world, id)?.type === 'group'
      return { kind, by, groupId: group.id, memberId: aimed([...members, absentId], kind === 'leave' ? isMember : (id) => world.users.some((user) => user.id === id) || isGroup(id), second) }
    }
    case 'activate':
    case 'deactivate':
      return { kind, by, userId: aimed([...world.users, { id: absentId, isActive: true }], ({ isActive }) => isActive === (kind === 'deactivate'), first).id }
    case 'create-role':
    case 'edit-role':
    case 'delete-role': {
      const name = aimed([...world.roles, { name: kind === 'create-role' ? 'role-9' : 'no-such-role', builtIn: false }], ({ builtIn }) => !builtIn, first).name
      return kind === 'delete-role' ? { kind, by, name } : { kind, by, name, permissions }
    }
    case 'edit-type': {
      const { name, parents, creatorRole } = aimed(world.types, ({ name }) => !['system', 'group'].includes(name), first)
      const changedParents = second % 3 === 0 ? [...new Set([...parents, pick(world.types, third).name])] : parents.filter((_, index) => index !== second % 7)
      return { kind, by, name, parents: changedParents, ownActions: ownActions.filter((_, index) => third % (index + 2) === 0), creatorRole }
    }
  }
}

/** What to ask lists for, and in pages of which size: pages of one are as many statements as there are things, and most of what a world costs. */
const plannedList = fc.record({ action: number, type: number, parent: number, q: number, limit: fc.constantFrom(1, 2, 3, 5, 8, 100, 100, 100) })
export type PlannedList = typeof plannedList extends fc.Arbitrary<infer T> ? T : never
export const lists = fc.array(plannedList, { minLength: 2, maxLength: 2 })

export function listIn (world: World, { action, type, parent, q, limit }: PlannedList) {
  const filter = {
    action: pick([...standardActions, ...ownActions, 'view', 'no-such-action'], action),
    type: pick([undefined, undefined, undefined, ...world.types.map(({ name }) => name), 'no-such-type'], type),
    parentId: pick([undefined, undefined, undefined, undefined, ...world.resources.map(({ id }) => id), absentId], parent),
    q: pick([undefined, undefined, undefined, 'A', 'lta', '%', 'new'], q)
  }
  return { filter, limit }
}
