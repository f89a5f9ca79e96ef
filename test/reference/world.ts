/** What the reference evaluator looks at: everything that decisions depend on, as plain arrays. */

export const rootId = '00000000-0000-0000-0000-000000000000'

export interface World {
  /** The present, on the scale of `expiresAt`; any unit. */
  now: number
  users: User[]
  types: ResourceType[]
  roles: Role[]
  /** The root among them. */
  resources: Resource[]
  members: Member[]
  bindings: Binding[]
}

export interface User {
  id: string
  name: string
  isActive: boolean
  /** In this world they ask by a token with these permissions. Absent: by a session, or a token that is not narrowed. */
  narrowedTo?: string[]
}

export interface ResourceType {
  name: string
  /** Those beyond the five that every type has. */
  ownActions: string[]
  parents: string[]
  creatorRole: string | null
}

export interface Role {
  name: string
  /** `type:action`, with `*` on either side. */
  permissions: string[]
  builtIn: boolean
}

export interface Resource { id: string, type: string, name: string, parentId: string | null }

/** A user or a group that is directly in a group. */
export interface Member { groupId: string, memberId: string }

export type Subject = { type: 'user' | 'group', id: string } | { type: 'everyone' }

export interface Binding {
  id: string
  role: string
  subject: Subject
  resourceId: string
  expiresAt: number | null
}

/** What a fresh install has. */
export function freshWorld (): World {
  return {
    now: 0,
    users: [],
    types: [
      { name: 'system', ownActions: [], parents: [], creatorRole: null },
      { name: 'group', ownActions: [], parents: ['system', 'organization'], creatorRole: 'owner' },
      { name: 'organization', ownActions: [], parents: ['system'], creatorRole: 'owner' },
      { name: 'project', ownActions: [], parents: ['organization', 'project'], creatorRole: null },
      { name: 'document', ownActions: [], parents: ['organization', 'project'], creatorRole: null }
    ],
    roles: [
      { name: 'owner', permissions: ['*:*'], builtIn: true },
      { name: 'editor', permissions: ['*:view', '*:create', '*:edit'], builtIn: true },
      { name: 'viewer', permissions: ['*:view'], builtIn: true },
      { name: 'member', permissions: ['system:view', 'organization:create'], builtIn: true }
    ],
    resources: [{ id: rootId, type: 'system', name: 'root', parentId: null }],
    members: [],
    bindings: [{ id: '00000000-0000-7000-8000-000000000000', role: 'member', subject: { type: 'everyone' }, resourceId: rootId, expiresAt: null }]
  }
}
