/**
 * Nobody ends up, by any sequence of allowed calls, with a permission that nobody who held it gave: random people call
 * random routes, and after each call that was allowed whatever anybody gained must have been the caller's to give.
 * What is held is worked out by the reference evaluator. `--test-arg=--walks=N` walks more, `--test-arg=--seed=N` the same again.
 */
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { actionsOf, findResource, gives, groupsAround, holds, pathToRoot, permissionsOn } from '../reference/evaluator.js'
import type { Binding, Resource, World } from '../reference/world.js'
import { openWorld, type Person, rootId } from './world.js'

const { values: options } = parseArgs({ options: { walks: { type: 'string' }, seed: { type: 'string' } } })
const numRuns = Number(options.walks ?? 12)
const seed = Number(options.seed ?? Math.floor(Math.random() * 0x7fffffff))
const expiry = '2100-01-01T00:00:00.000Z'
t.setTimeout(0)

const { as, bind, person, role, give, database: { query } } = await openWorld()
// The root's owner stands aside. One of the people administers roles, without holding much else.
const people: Person[] = [await person(), await person(), await person(), await person()]
const [clerk] = people as [Person]
await give(clerk, rootId, 'role:*', '*:view', 'document:edit', 'organization:share')
// What people hold in each other's organizations: enough to share and to move, and not everything.
const partial = [
  await role('*:view', '*:create', '*:edit', '*:share'), await role('*:view', '*:share', 'project:*', 'group:edit'),
  await role('*:view', 'document:*', 'project:create', 'organization:share')
]
const fixed = (await query('SELECT id FROM role_bindings')).map(({ id }) => id)

async function start (): Promise<void> {
  await query('DELETE FROM resources WHERE id <> $1', [rootId])
  await query('DELETE FROM role_bindings WHERE id <> ALL ($1)', [fixed])
  await query('DELETE FROM roles WHERE NOT built_in AND name <> ALL ($1) AND name NOT IN (SELECT role FROM role_bindings)', [partial])
  for (const [index, who] of people.entries()) {
    const { body } = await as(who, 'POST', '/resources', { type: 'organization', name: `Organization ${index}` })
    for (const type of ['group', 'project', 'document']) await as(who, 'POST', '/resources', { type, name: `${type} ${index}`, parentId: body.id })
    for (const [next, name] of partial.entries()) await bind(body.id, name, { type: 'user', id: pick(people, index + next + 1).id })
  }
}

/** The database as the evaluator takes it. */
async function load (): Promise<World> {
  const types = await query(`SELECT name, own_actions AS "ownActions", creator_role AS "creatorRole",
    ARRAY(SELECT parent::text FROM resource_type_parents p WHERE p.type = t.name) AS parents FROM resource_types t`)
  const roles = await query(`SELECT name, built_in AS "builtIn",
    ARRAY(SELECT type || ':' || action FROM role_permissions p WHERE p.role = r.name) AS permissions FROM roles r`)
  const bindings = await query('SELECT id, role, resource_id AS "resourceId", user_id, group_id, expires_at FROM role_bindings ORDER BY id')
  return {
    now: Date.now(),
    users: await query('SELECT id, name, is_active AS "isActive" FROM users'),
    types: types as World['types'],
    roles: roles as World['roles'],
    resources: await query('SELECT id, type, name, parent_id AS "parentId" FROM resources ORDER BY id'),
    members: await query('SELECT group_id AS "groupId", coalesce(user_id, member_group_id) AS "memberId" FROM group_members'),
    bindings: bindings.map(({ id, role, resourceId, user_id: user, group_id: group, expires_at: end }): Binding => ({
      id,
      role,
      resourceId,
      subject: user !== null ? { type: 'user', id: user } : group !== null ? { type: 'group', id: group } : { type: 'everyone' },
      expiresAt: end === null ? null : end.getTime()
    }))
  }
}

type Call = [method: string, url: string, body?: object]
interface Step { kind: string, who: number, numbers: number[] }
const permissionPool = ['*:view', '*:edit', '*:share', '*:*', 'document:*', 'document:view', 'document:edit', 'document:delete', 'document:create', 'project:view', 'project:create', 'project:edit', 'group:edit', 'organization:view']

/** A call of the kind on what there is. People mostly turn to what they can do something with, or few calls would be allowed. */
const calls: Record<string, (world: World, caller: string, numbers: number[]) => Call | null> = {
  create (world, caller, [type, parent]) {
    const { id } = pick(reachable(world, caller, 'view'), parent)
    return ['POST', '/resources', { type: pick(['group', 'project', 'document'], type), name: 'x', parentId: id }]
  },
  bind (world, caller, [place, role, subject, kind, end]) {
    const { id } = pick(reachable(world, caller, 'share'), place)
    const groups = world.resources.filter(({ type }) => type === 'group')
    const whom = (kind as number) % 5 < 3 ? { type: 'user', id: pick(people, subject).id } : (kind as number) % 5 === 3 && groups.length > 0 ? { type: 'group', id: pick(groups, subject).id } : { type: 'everyone' }
    return ['POST', `/resources/${id}/bindings`, { role: pick(world.roles, role).name, subject: whom, ...((end as number) % 3 === 0 ? { expiresAt: expiry } : {}) }]
  },
  unbind (world, caller, [place]) {
    const binding = pick(world.bindings.filter(({ id, resourceId }) => !fixed.includes(id) && reachable(world, caller, 'share').some((resource) => resource.id === resourceId)), place)
    return binding === undefined ? null : ['DELETE', `/resources/${binding.resourceId}/bindings/${binding.id}`]
  },
  move (world, caller, [what, where]) {
    const { id } = pick(reachable(world, caller, 'share').filter(({ type }) => type !== 'system'), what) ?? { id: rootId }
    return ['POST', `/resources/${id}/move`, { parentId: pick(reachable(world, caller, 'view').filter(({ type }) => type === 'organization' || type === 'project'), where)?.id ?? rootId }]
  },
  join (world, caller, [group, member]) {
    const groups = reachable(world, caller, 'edit').filter(({ type }) => type === 'group')
    return groups.length === 0 ? null : ['PUT', `/groups/${pick(groups, group).id}/members/${pick([...people, ...groups], member).id}`]
  },
  leave (world, caller, [which]) {
    const members = world.members.filter(({ groupId }) => holds(world, caller, groupId, 'group:edit'))
    return members.length === 0 ? null : ['DELETE', `/groups/${pick(members, which).groupId}/members/${pick(members, which).memberId}`]
  },
  delete (world, caller, [what, recursive]) {
    const { id } = pick(reachable(world, caller, 'delete').filter(({ type }) => type !== 'organization'), what) ?? { id: rootId }
    return ['DELETE', `/resources/${id}${(recursive as number) % 2 === 0 ? '' : '?recursive=true'}`]
  },
  'create-role': (world, _caller, [name, ...permissions]) =>
    ['POST', '/roles', { name: `role-${world.roles.length}-${(name as number) % 5}`, permissions: some(permissions) }],
  'edit-role': (world, _caller, [name, ...permissions]) =>
    ['PATCH', `/roles/${pick(world.roles, name).name}`, { permissions: some(permissions) }]
}

function pick<T> (list: readonly T[], number: number | undefined): T {
  return list[(number as number) % list.length] as T
}

const some = (numbers: number[]) => [...new Set(numbers.slice(0, 2).map((number) => pick(permissionPool, number)))]

function reachable (world: World, caller: string, action: string): Resource[] {
  return world.resources.filter(({ id, type }) => holds(world, caller, id, `${type}:${action}`))
}

/** What a person could do with a resource or create directly below it, of `type:action`. */
function possible (world: World, { type }: Resource): string[] {
  return [...actionsOf(world, type).filter((action) => action !== 'create').map((action) => `${type}:${action}`),
    ...world.types.filter(({ parents }) => parents.includes(type)).map(({ name }) => `${name}:create`)]
}

/** What anybody gained by a call without its giver holding it; at present, and in a time when bindings have expired. */
function unjustGains (before: World, after: World, caller: string, kind: string, body: any, [, url]: Call): string[] {
  return [before.now, Date.parse(expiry) + 1].flatMap((now) => after.resources.flatMap((resource) => {
    // A new resource is held as its parent was.
    const isNew = findResource(before, resource.id) === undefined
    const place = isNew ? resource.parentId as string : resource.id
    const creatorRole = isNew && kind === 'create' ? after.types.find(({ name }) => name === resource.type)?.creatorRole : null
    const ofCreator = after.roles.find(({ name }) => name === creatorRole)?.permissions ?? []
    const callers = permissionsOn(before, caller, place)
    return people.flatMap(({ id, name }) => {
      const had = permissionsOn({ ...before, now }, id, place)
      const has = permissionsOn({ ...after, now }, id, resource.id)
      return possible(after, resource).filter((wanted) => {
        const isAmong = (permissions: string[]) => permissions.some((permission) => gives(permission, wanted))
        if (!isAmong(has) || isAmong(had) || isAmong(callers)) return false
        if (id === caller && isAmong(ofCreator)) return false
        // A grant to a group is a grant to whoever its editors choose.
        return !(kind === 'join' && isGivenToGroup(after, url.split('/')[2] as string, resource.id, wanted))
      }).map((wanted) => `${name} gained ${wanted} on ${resource.type} ${resource.id} by ${kind} ${JSON.stringify(body)}`)
    })
  }))
}

function isGivenToGroup (world: World, groupId: string, resourceId: string, wanted: string): boolean {
  const groups = [groupId, ...groupsAround(world, groupId)]
  const path = pathToRoot(world, resourceId).map(({ id }) => id)
  return world.bindings.some(({ subject, resourceId: place, role }) => subject.type === 'group' && groups.includes(subject.id) && path.includes(place) &&
    world.roles.find(({ name }) => name === role)?.permissions.some((permission) => gives(permission, wanted)))
}

const steps = fc.array(fc.record<Step>({
  kind: fc.constantFrom('bind', 'bind', 'bind', 'move', 'move', 'move', 'join', 'create-role', 'edit-role', ...Object.keys(calls)),
  who: fc.nat(people.length - 1),
  numbers: fc.array(fc.nat(997), { minLength: 5, maxLength: 5 })
}), { minLength: 25, maxLength: 25, size: 'max' })

t.test(`what anybody gains was their giver's (--seed ${seed})`, async (t) => {
  const answers = new Map<string, number>()
  await fc.assert(fc.asyncProperty(steps, async (walk) => {
    await start()
    let before = await load()
    const log: string[] = []
    for (const { kind, who, numbers } of walk) {
      // Few could do anything to roles otherwise.
      const caller = kind.endsWith('role') && who < 3 ? clerk : people[who] as Person
      const call = calls[kind]?.(before, caller.id, numbers) ?? null
      if (call === null) continue
      const [method, url, body] = call
      const { status, body: answer } = await as(caller, method, url, body)
      const result = status < 300 ? 'done' : String(answer.code)
      log.push(`${caller.name}: ${method} ${url} ${JSON.stringify(body ?? null)} → ${result}`)
      answers.set(`${kind} ${result}`, (answers.get(`${kind} ${result}`) ?? 0) + 1)
      if (status >= 500) throw new Error(log.join('\n'))
      if (status >= 300) continue
      const after = await load()
      const gains = unjustGains(before, after, caller.id, kind, body, call)
      if (gains.length > 0) throw new Error([...log, ...gains].join('\n'))
      before = after
    }
  }), { numRuns, seed, endOnFailure: false, ...(options.walks === undefined ? { interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false } : {}) })
  t.comment(Object.fromEntries([...answers].sort()))
  // A walk in which everything is refused would prove nothing.
  const count = (ending: string) => [...answers].filter(([answer]) => answer.endsWith(ending)).reduce((sum, [, times]) => sum + times, 0)
  t.ok(count(' done') > count('') / 5, `${count(' done')} of ${count('')} calls were allowed`)
  t.ok(count(' escalation') > count('') / 20, `${count(' escalation')} were escalations`)
})
