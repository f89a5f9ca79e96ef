/**
 * What each route needs: the contract's tables (§2 to §5) as data, in the order in which it is checked. Written down by
 * hand and judged by the reference evaluator, so that `authz.lock` is not just whatever the product does.
 */
import { holds, holdsOnRoot, may, sees } from '../reference/evaluator.js'
import type { World } from '../reference/world.js'

export type Need =
  /** 401 otherwise. */
  | 'signed in'
  /** Not by a token. 403 otherwise. */
  | 'session'
  /** A login proves who one is by itself. 401 otherwise. */
  | 'active account'
  /** On the root. 403 otherwise. */
  | { permission: string }
  /** On the root, or the account is one's own. 404 otherwise. */
  | { accountBy: string }
  /** 404 otherwise. */
  | { sees: 'target' | 'parent' }
  /** May share the target, or view the audit log. 404 otherwise. */
  | { sharesOrAudits: 'target' }
  /** Actions on the target. 403 otherwise. */
  | { may: string[] }
  /** A permission on the root with which nothing more is needed. */
  | { elseAllowedBy: string }
  /** A permission held on the parent, such as that of creating something there. 403 otherwise. */
  | { holdsOnParent: string }

/** The ids that a request is about. */
export interface Subjects { account?: string, target?: string, parent?: string }

/** The changes that can be tried with `?dryRun=true`. */
const triable = [
  'PATCH /users/:id, deactivate another', 'POST /resources/:id/move, within the organization',
  'POST /resources/:id/bindings, on a document', 'DELETE /resources/:id/bindings/:bindingId',
  'PUT /groups/:id/members/:memberId, a user', 'DELETE /groups/:id/members/:memberId', 'POST /roles', 'PATCH /roles/:name', 'DELETE /roles/:name'
]

/** A table of routes in which each change that can be tried is followed by its dry run. */
export const withDryRuns = <T>(table: Record<string, T>, dryRun: (row: T) => T): Record<string, T> => Object.fromEntries(
  Object.entries(table).flatMap(([route, row]) => triable.includes(route) ? [[route, row], [`${route}, dry run`, dryRun(row)]] : [[route, row]]))

const ofRoutes: Record<string, Need[]> = {
  'GET /': [],
  'GET /healthz': [],
  'GET /readyz': [],
  'GET /openapi.json': [],
  'GET /docs': [],
  'GET /docs/static/*': [],
  'GET /docs/static/index.html': [],
  'GET /docs/static/swagger-initializer.js': [],
  'GET /docs/json': [],
  'GET /docs/yaml': [],

  'POST /users, registration open': [],
  'POST /users, registration closed': ['signed in', { permission: 'user:create' }],
  'GET /users': ['signed in', { permission: 'user:view' }],
  'GET /users/me': ['signed in'],
  'PATCH /users/me': ['signed in'],
  'PUT /users/me/password': ['signed in', 'session'],
  'GET /users/:id, oneself': ['signed in', { accountBy: 'user:view' }],
  'GET /users/:id, another': ['signed in', { accountBy: 'user:view' }],
  'PATCH /users/:id, oneself': ['signed in', { accountBy: 'user:view' }, { permission: 'user:edit' }],
  'PATCH /users/:id, another': ['signed in', { accountBy: 'user:view' }, { permission: 'user:edit' }],
  'PATCH /users/:id, deactivate another': ['signed in', { accountBy: 'user:view' }, { permission: 'user:edit' }],

  'POST /auth/login': ['active account'],
  'GET /users/me/sessions': ['signed in', 'session'],
  'DELETE /users/me/sessions': ['signed in', 'session'],
  'DELETE /users/me/sessions/:sessionId': ['signed in', 'session'],
  'POST /users/me/tokens': ['signed in', 'session'],
  'GET /users/me/tokens': ['signed in', 'session'],
  'DELETE /users/me/tokens/:tokenId': ['signed in', 'session'],
  'GET /users/:id/sessions, of oneself': ['signed in', { accountBy: 'user:view' }, 'session', { permission: 'user:edit' }],
  'GET /users/:id/sessions, of another': ['signed in', { accountBy: 'user:view' }, 'session', { permission: 'user:edit' }],
  'DELETE /users/:id/sessions, of another': ['signed in', { accountBy: 'user:view' }, 'session', { permission: 'user:edit' }],

  'POST /auth/logout': ['signed in', 'session'],
  'GET /auth/session': ['signed in'],

  'POST /resources, an organization': ['signed in', { sees: 'parent' }, { holdsOnParent: 'organization:create' }],
  'POST /resources, a group in the root': ['signed in', { sees: 'parent' }, { holdsOnParent: 'group:create' }],
  'POST /resources, a document in the organization': ['signed in', { sees: 'parent' }, { holdsOnParent: 'document:create' }],
  'GET /resources': ['signed in'],
  'GET /resources, what is in the organization': ['signed in'],
  'GET /resources/:id, the root': ['signed in', { sees: 'target' }],
  'GET /resources/:id, the organization': ['signed in', { sees: 'target' }],
  'GET /resources/:id, a document': ['signed in', { sees: 'target' }],
  'PATCH /resources/:id, the root': ['signed in', { sees: 'target' }, { may: ['edit'] }],
  'PATCH /resources/:id, a document': ['signed in', { sees: 'target' }, { may: ['edit'] }],
  'POST /resources/:id/move, within the organization': ['signed in', { sees: 'target' }, { may: ['edit', 'share'] }, { sees: 'parent' }, { holdsOnParent: 'document:create' }],
  'POST /resources/:id/move, to the other organization': ['signed in', { sees: 'target' }, { may: ['edit', 'share'] }, { sees: 'parent' }, { holdsOnParent: 'document:create' }],
  'DELETE /resources/:id, a document': ['signed in', { sees: 'target' }, { may: ['delete'] }],
  'DELETE /resources/:id, a project with a document': ['signed in', { sees: 'target' }, { may: ['delete'] }],

  'GET /resources/:id/bindings, of the root': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'GET /resources/:id/bindings, of a document': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'GET /resources/:id/bindings, inherited ones too': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'POST /resources/:id/bindings, on the root': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'POST /resources/:id/bindings, on a document': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'DELETE /resources/:id/bindings/:bindingId': ['signed in', { sees: 'target' }, { may: ['share'] }],

  'GET /groups/:id/members': ['signed in', { sees: 'target' }],
  'PUT /groups/:id/members/:memberId, a user': ['signed in', { sees: 'target' }, { may: ['edit'] }],
  'PUT /groups/:id/members/:memberId, a group': ['signed in', { sees: 'target' }, { may: ['edit'] }],
  'DELETE /groups/:id/members/:memberId': ['signed in', { sees: 'target' }, { may: ['edit'] }],

  'GET /roles': ['signed in'],
  'GET /roles/:name': ['signed in'],
  'POST /roles': ['signed in', { permission: 'role:create' }],
  'PATCH /roles/:name': ['signed in', { permission: 'role:edit' }],
  'DELETE /roles/:name': ['signed in', { permission: 'role:delete' }],

  'GET /resource-types': ['signed in'],
  'PUT /resource-types/:name': ['signed in', { permission: 'resource-type:edit' }],
  'DELETE /resource-types/:name': ['signed in', { permission: 'resource-type:delete' }],

  'POST /authz/check': ['signed in'],
  'POST /authz/check, about another user': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'GET /resources/:id/explain, one\'s own access': ['signed in', { sees: 'target' }],
  'GET /resources/:id/explain, another user\'s': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'GET /resources/:id/access': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'GET /resources/:id/grantable-roles': ['signed in', { sees: 'target' }, { may: ['share'] }],
  'GET /decisions/:requestId, about a document': ['signed in', { sharesOrAudits: 'target' }],
  'GET /decisions/:requestId, about what is absent': ['signed in', { sharesOrAudits: 'target' }],

  'GET /audit-events': ['signed in', { permission: 'audit:view' }],
  'GET /audit-events, as lines': ['signed in', { permission: 'audit:view' }],
  'GET /audit-events, of a document': ['signed in', { elseAllowedBy: 'audit:view' }, { sees: 'target' }, { may: ['share'] }],
  'GET /audit-events, in the organization': ['signed in', { elseAllowedBy: 'audit:view' }, { sees: 'target' }, { may: ['share'] }]
}

/** By route, and for variants of a request by route and title. A dry run needs what the change itself needs. */
export const needs = withDryRuns(ofRoutes, (row) => row)

/**
 * The status that somebody must get for a valid request.
 * @param userId null without a session or token
 * @param isByToken whether they ask by a token; the world says to what it is narrowed
 * @param success what the request gets from who may make it
 */
export function expectedStatus (world: World, route: string, userId: string | null, subjects: Subjects, success: number, isByToken = false): number {
  const user = world.users.find(({ id }) => id === userId)
  for (const need of needs[route] ?? []) {
    // A deactivated user has no session that counts.
    if (need === 'signed in' && user?.isActive !== true) return 401
    if (need === 'active account' && world.users.find(({ id }) => id === subjects.account)?.isActive !== true) return 401
    if (need === 'session' && isByToken) return 403
    if (typeof need === 'string') continue
    const by = userId as string
    const { target = '', parent = '' } = subjects
    if ('elseAllowedBy' in need && holdsOnRoot(world, by, need.elseAllowedBy)) return success
    if ('permission' in need && !holdsOnRoot(world, by, need.permission)) return 403
    if ('accountBy' in need && subjects.account !== by && !holdsOnRoot(world, by, need.accountBy)) return 404
    if ('sees' in need && !sees(world, by, need.sees === 'target' ? target : parent)) return 404
    if ('sharesOrAudits' in need && !may(world, by, 'share', target) && !holdsOnRoot(world, by, 'audit:view')) return 404
    if ('may' in need && !need.may.every((action) => may(world, by, action, target))) return 403
    if ('holdsOnParent' in need && !holds(world, by, parent, need.holdsOnParent)) return 403
  }
  return success
}
