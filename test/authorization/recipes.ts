/** For each route a request that is valid for whoever may make it, on things that are made anew for each call. */
import { v7 as uuidv7 } from 'uuid'
import { password } from '../helpers/app.js'
import { rootId } from '../reference/world.js'
import { type Subjects, withDryRuns } from './needs.js'
import type { Person, World } from './world.js'

/** Who asks, where, and what there is. */
export interface Scene {
  world: World
  /** Without a session: somebody else, who only lends an account to log in with. */
  caller: Person
  /** The organization in which the personas have their roles. */
  here: string
  /** The organization of the owner elsewhere. */
  elsewhere: string
}

export interface Recipe {
  /** What the service answers to who may do this. */
  success: number
  /** Sent to an application whose registration is closed. */
  isClosed?: true
  headers?: Record<string, string>
  prepare: (scene: Scene) => Promise<{ url: string, body?: unknown, subjects?: Subjects }>
}

let count = 0
/** A name that nothing has yet. */
const newName = () => `thing-${++count}`

const plain = (url: string, success = 200): Recipe => ({ success, prepare: async () => ({ url }) })
const registration = async () => ({ url: '/users', body: { email: `${newName()}@example.org`, name: 'Newcomer', password } })
/** On a document of its own in the organization. */
const onDocument = (success: number, rest = '', body?: (scene: Scene) => Promise<unknown>): Recipe => ({
  success,
  prepare: async (scene) => {
    const target = await scene.world.addResource('document', scene.here)
    return { url: `/resources/${target}${rest}`, body: await body?.(scene), subjects: { target } }
  }
})
const onRoot = (success: number, rest = '', body?: (scene: Scene) => Promise<unknown>): Recipe => ({
  success,
  prepare: async (scene) => ({ url: `/resources/root${rest}`, body: await body?.(scene), subjects: { target: rootId } })
})
const onBystander = (success: number, body?: unknown, rest = ''): Recipe => ({
  success,
  prepare: async ({ world }) => {
    const { id } = await world.addPerson('Bystander')
    return { url: `/users/${id}${rest}`, body, subjects: { account: id } }
  }
})
const onOneself = (success: number, body?: unknown, rest = ''): Recipe => ({
  success,
  prepare: async ({ caller: { id } }) => ({ url: `/users/${id}${rest}`, body, subjects: { account: id } })
})
/** On a group of its own in the organization. */
const onGroup = (success: number, memberOf?: (scene: Scene, groupId: string) => Promise<string>): Recipe => ({
  success,
  prepare: async (scene) => {
    const target = await scene.world.addResource('group', scene.here)
    const member = memberOf === undefined ? '' : `/${await memberOf(scene, target)}`
    return { url: `/groups/${target}/members${member}`, subjects: { target } }
  }
})
const creation = (type: string, parentOf: (scene: Scene) => string): Recipe => ({
  success: 201,
  prepare: async (scene) => ({ url: '/resources', body: { type, name: newName(), parentId: parentOf(scene) }, subjects: { parent: parentOf(scene) } })
})
const move = (parentOf: (scene: Scene) => Promise<string>): Recipe => ({
  success: 200,
  prepare: async (scene) => {
    const target = await scene.world.addResource('document', scene.here)
    const parent = await parentOf(scene)
    return { url: `/resources/${target}/move`, body: { parentId: parent }, subjects: { target, parent } }
  }
})
const viewerFor = async ({ world }: Scene) => ({ role: 'viewer', subject: { type: 'user', id: (await world.addPerson('Bystander')).id } })
const onRole = (success: number, body?: unknown): Recipe => ({
  success,
  prepare: async ({ world }) => {
    const name = newName()
    await world.addRole(name, ['document:view'])
    return { url: `/roles/${name}`, body }
  }
})

const denial = (targetOf: (scene: Scene) => Promise<string>): Recipe => ({
  success: 200,
  prepare: async (scene) => {
    const target = await targetOf(scene)
    const { id } = await scene.world.addPerson('Bystander')
    return { url: `/decisions/${await scene.world.addDenial(id, target)}`, subjects: { target } }
  }
})

const dryRun = ({ prepare, ...recipe }: Recipe): Recipe => ({
  ...recipe,
  success: 200,
  prepare: async (scene) => {
    const request = await prepare(scene)
    return { ...request, url: `${request.url}?dryRun=true` }
  }
})

const ofRoutes: Record<string, Recipe> = {
  'GET /': plain('/'),
  'GET /healthz': plain('/healthz'),
  'GET /readyz': plain('/readyz'),
  'GET /openapi.json': plain('/openapi.json'),
  'GET /docs': plain('/docs'),
  'GET /docs/static/*': plain('/docs/static/swagger-ui.css'),
  'GET /docs/static/index.html': plain('/docs/static/index.html', 302),
  'GET /docs/static/swagger-initializer.js': plain('/docs/static/swagger-initializer.js'),
  'GET /docs/json': plain('/docs/json'),
  'GET /docs/yaml': plain('/docs/yaml'),

  'POST /users, registration open': { success: 201, prepare: registration },
  'POST /users, registration closed': { success: 201, isClosed: true, prepare: registration },
  'GET /users': plain('/users'),
  'GET /users/me': plain('/users/me'),
  'PATCH /users/me': { success: 200, prepare: async () => ({ url: '/users/me', body: { name: 'Another Name' } }) },
  'PUT /users/me/password': {
    success: 204,
    prepare: async () => ({ url: '/users/me/password', body: { currentPassword: password, newPassword: password } })
  },
  'GET /users/:id, oneself': onOneself(200),
  'GET /users/:id, another': onBystander(200),
  'PATCH /users/:id, oneself': onOneself(200, { name: 'Another Name' }),
  'PATCH /users/:id, another': onBystander(200, { name: 'Another Name' }),
  'PATCH /users/:id, deactivate another': onBystander(200, { isActive: false }),

  'POST /auth/login': {
    success: 200,
    prepare: async ({ caller: { id, email } }) => ({ url: '/auth/login', body: { email, password }, subjects: { account: id } })
  },
  'GET /users/me/sessions': plain('/users/me/sessions'),
  'DELETE /users/me/sessions': plain('/users/me/sessions', 204),
  'DELETE /users/me/sessions/:sessionId': {
    success: 204,
    prepare: async ({ world, caller }) => {
      const id = uuidv7()
      await world.openSession(caller.id, id)
      return { url: `/users/me/sessions/${id}` }
    }
  },
  'POST /users/me/tokens': { success: 201, prepare: async () => ({ url: '/users/me/tokens', body: { name: newName() } }) },
  'GET /users/me/tokens': plain('/users/me/tokens'),
  'DELETE /users/me/tokens/:tokenId': {
    success: 204,
    prepare: async ({ world, caller }) => {
      const id = uuidv7()
      await world.openToken(caller.id, null, id)
      return { url: `/users/me/tokens/${id}` }
    }
  },
  'GET /users/:id/sessions, of oneself': onOneself(200, undefined, '/sessions'),
  'GET /users/:id/sessions, of another': onBystander(200, undefined, '/sessions'),
  'DELETE /users/:id/sessions, of another': onBystander(204, undefined, '/sessions'),

  'POST /auth/logout': plain('/auth/logout', 204),
  'GET /auth/session': plain('/auth/session'),

  'POST /resources, an organization': creation('organization', () => rootId),
  'POST /resources, a group in the root': creation('group', () => rootId),
  'POST /resources, a document in the organization': creation('document', ({ here }) => here),
  'GET /resources': plain('/resources'),
  'GET /resources, what is in the organization': { success: 200, prepare: async ({ here }) => ({ url: `/resources?parentId=${here}` }) },
  'GET /resources/:id, the root': onRoot(200),
  'GET /resources/:id, the organization': { success: 200, prepare: async ({ here }) => ({ url: `/resources/${here}`, subjects: { target: here } }) },
  'GET /resources/:id, a document': onDocument(200),
  'PATCH /resources/:id, the root': onRoot(200, '', async () => ({ attributes: {} })),
  'PATCH /resources/:id, a document': onDocument(200, '', async () => ({ name: 'Another Name' })),
  'POST /resources/:id/move, within the organization': move(async ({ world, here }) => await world.addResource('project', here)),
  'POST /resources/:id/move, to the other organization': move(async ({ elsewhere }) => elsewhere),
  'DELETE /resources/:id, a document': onDocument(204),
  'DELETE /resources/:id, a project with a document': {
    success: 204,
    prepare: async ({ world, here }) => {
      const target = await world.addResource('project', here)
      await world.addResource('document', target)
      return { url: `/resources/${target}?recursive=true`, subjects: { target } }
    }
  },

  'GET /resources/:id/bindings, of the root': onRoot(200, '/bindings'),
  'GET /resources/:id/bindings, of a document': onDocument(200, '/bindings'),
  'GET /resources/:id/bindings, inherited ones too': onDocument(200, '/bindings?inherited=true'),
  'POST /resources/:id/bindings, on the root': onRoot(201, '/bindings', viewerFor),
  'POST /resources/:id/bindings, on a document': onDocument(201, '/bindings', viewerFor),
  'DELETE /resources/:id/bindings/:bindingId': {
    success: 204,
    prepare: async ({ world, here }) => {
      const target = await world.addResource('document', here)
      const { id } = await world.addPerson('Bystander')
      return { url: `/resources/${target}/bindings/${await world.bind('viewer', { type: 'user', id }, target)}`, subjects: { target } }
    }
  },

  'GET /groups/:id/members': onGroup(200),
  'PUT /groups/:id/members/:memberId, a user': onGroup(204, async ({ world }) => (await world.addPerson('Bystander')).id),
  'PUT /groups/:id/members/:memberId, a group': onGroup(204, async ({ world, here }) => await world.addResource('group', here)),
  'DELETE /groups/:id/members/:memberId': onGroup(204, async ({ world }, groupId) => {
    const { id } = await world.addPerson('Bystander')
    await world.join(groupId, { type: 'user', id })
    return id
  }),

  'GET /roles': plain('/roles'),
  'GET /roles/:name': plain('/roles/editor'),
  'POST /roles': { success: 201, prepare: async () => ({ url: '/roles', body: { name: newName(), permissions: ['document:view'] } }) },
  'PATCH /roles/:name': onRole(200, { permissions: ['document:view', 'document:edit'] }),
  'DELETE /roles/:name': onRole(204),

  'GET /resource-types': plain('/resource-types'),
  'PUT /resource-types/:name': { success: 201, prepare: async () => ({ url: `/resource-types/${newName()}`, body: { parents: ['project'] } }) },
  'DELETE /resource-types/:name': {
    success: 204,
    prepare: async ({ world }) => ({ url: `/resource-types/${await world.addType(newName())}` })
  },

  'POST /authz/check': { success: 200, prepare: async ({ here }) => ({ url: '/authz/check', body: { checks: [{ action: 'edit', resourceId: here }] } }) },
  'POST /authz/check, about another user': {
    success: 200,
    prepare: async ({ world, here }) => {
      const target = await world.addResource('document', here)
      const { id: userId } = await world.addPerson('Bystander')
      return { url: '/authz/check', body: { checks: [{ action: 'edit', resourceId: target, userId }] }, subjects: { target } }
    }
  },
  'GET /resources/:id/explain, one\'s own access': onDocument(200, '/explain?action=edit'),
  'GET /resources/:id/explain, another user\'s': {
    success: 200,
    prepare: async ({ world, here }) => {
      const target = await world.addResource('document', here)
      return { url: `/resources/${target}/explain?action=edit&userId=${(await world.addPerson('Bystander')).id}`, subjects: { target } }
    }
  },
  'GET /resources/:id/access': onDocument(200, '/access'),
  'GET /resources/:id/grantable-roles': onDocument(200, '/grantable-roles'),
  'GET /decisions/:requestId, about a document': denial(async ({ world, here }) => await world.addResource('document', here)),
  'GET /decisions/:requestId, about what is absent': denial(async () => uuidv7()),

  'GET /audit-events': plain('/audit-events?limit=1'),
  'GET /audit-events, as lines': { success: 200, headers: { accept: 'application/x-ndjson' }, prepare: async () => ({ url: '/audit-events?type=role.created' }) },
  'GET /audit-events, of a document': {
    success: 200,
    prepare: async ({ world, here }) => {
      const target = await world.addResource('document', here)
      return { url: `/audit-events?resourceId=${target}`, subjects: { target } }
    }
  },
  'GET /audit-events, in the organization': { success: 200, prepare: async ({ here }) => ({ url: `/audit-events?resourceId=${here}&subtree=true&limit=1`, subjects: { target: here } }) }
}

/** By route, and for variants by route and title; the names are those of the needs. */
export const recipes = withDryRuns(ofRoutes, dryRun)
