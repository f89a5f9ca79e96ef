/** Worlds and changes as a person reads them: names in place of ids. */
import type { Change, Wait } from '../../reference/changes.js'
import type { World } from '../../reference/world.js'

/** The name of a user or a resource, or that there is none. */
export function nameOf (world: World, id: string | null | undefined): string {
  if (id === null || id === undefined) return String(id)
  return [...world.users, ...world.resources].find((thing) => thing.id === id)?.name ?? `(absent ${id.slice(-8)})`
}

const time = (expiresAt: number | null) => expiresAt === null ? '' : ` until ${expiresAt} h`

/** Every name for every id in a text. */
export function named (world: World, text: string): string {
  return [...world.users, ...world.resources].reduce((result, { id, name }) => result.replaceAll(id, name), text)
}

export function describeWorld (world: World): string {
  const below = (id: string, indent: string): string[] => world.resources.filter(({ parentId }) => parentId === id)
    .flatMap((resource) => [`${indent}${resource.name} (${resource.type})`, ...below(resource.id, `${indent}  `)])
  const roots = world.resources.filter(({ parentId }) => parentId === null)
  return [
    `users: ${world.users.map(({ name, isActive, narrowedTo }) =>
      `${name}${isActive ? '' : ' (deactivated)'}${narrowedTo === undefined ? '' : ` (by a token for ${narrowedTo.join(' ') || 'nothing'})`}`).join(', ')}`,
    ...world.types.map(({ name, ownActions, parents, creatorRole }) =>
      `type ${name}: under ${parents.join(', ') || 'nothing'}${ownActions.length > 0 ? `; ${ownActions.join(', ')}` : ''}${creatorRole === null ? '' : `; its creator becomes ${creatorRole}`}`),
    ...world.roles.map(({ name, permissions }) => `role ${name}: ${permissions.join(' ')}`),
    'tree:',
    ...roots.flatMap(({ id, name }) => [`  ${name}`, ...below(id, '    ')]),
    ...world.members.map(({ groupId, memberId }) => `${nameOf(world, memberId)} is in ${nameOf(world, groupId)}`),
    ...world.bindings.map(({ role, subject, resourceId, expiresAt }) =>
      `${subject.type === 'everyone' ? 'everyone' : nameOf(world, subject.id)} is ${role} on ${nameOf(world, resourceId)}${time(expiresAt)}`),
    `it is ${world.now} h`
  ].join('\n')
}

export function describeChange (world: World, change: Change | Wait): string {
  if (change.kind === 'wait') return `${change.time} h go by`
  const name = (id: string) => nameOf(world, id)
  const what = () => {
    switch (change.kind) {
      case 'bind': return `makes ${change.subject.type === 'everyone' ? 'everyone' : `the ${change.subject.type} ${name(change.subject.id)}`} ${change.role} on ${name(change.resourceId)}${time(change.expiresAt)}`
      case 'unbind': {
        const binding = world.bindings.find(({ id }) => id === change.bindingId)
        const subject = binding === undefined ? 'an absent one' : binding.subject.type === 'everyone' ? 'everyone' : name(binding.subject.id)
        return `takes ${binding?.role ?? 'a role'} on ${name(change.resourceId)} from ${subject}`
      }
      case 'create': return `creates a ${change.type} "${change.name}" under ${name(change.parentId)}`
      case 'move': return `moves ${name(change.resourceId)} under ${name(change.parentId)}`
      case 'delete': return `deletes ${name(change.resourceId)}${change.isRecursive ? ' and all below it' : ''}`
      case 'join': return `adds ${name(change.memberId)} to ${name(change.groupId)}`
      case 'leave': return `removes ${name(change.memberId)} from ${name(change.groupId)}`
      case 'activate':
      case 'deactivate': return `${change.kind}s ${name(change.userId)}`
      case 'create-role':
      case 'edit-role': return `${change.kind === 'edit-role' ? 'edits' : 'creates'} ${change.name}: ${change.permissions.join(' ')}`
      case 'delete-role': return `deletes the role ${change.name}`
      case 'edit-type': return `edits the type ${change.name}: under ${change.parents.join(', ')}; ${change.ownActions.join(', ')}`
    }
  }
  return `${name(change.by)} ${what()}`
}
