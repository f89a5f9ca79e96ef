/** The OpenAPI document, made from the routes themselves, and the page that shows it. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { STATUS_CODES } from 'node:http'
import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { Access } from './access.js'
import { problemHeaders, problems, toProblem } from './problem.js'
import { DomainError, type ErrorCode } from '../errors.js'

interface Options {
  version: string
  cookieName: string
}

interface Schema {
  description?: string
  response?: Record<string, unknown>
  hide?: boolean
}

export default fp<Options>(async (app, { version, cookieName }) => {
  // Before swagger's own hook, which takes each route as it is then.
  app.addHook('onRoute', describeErrors)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Gatehouse',
        version,
        description: 'Accounts, sessions, and who may do what on which thing. ' +
          '401 when we do not know you, 404 when you may not even see the thing, 403 when you may see it but not do that. ' +
          'Errors are RFC 9457 problems; `code` is meant for programs. What does not come as a whole, readable request is answered so too, ' +
          'before any path: 400, 408, or 431 for headers of more than 16 KiB.',
        license: { name: 'MIT', identifier: 'MIT' }
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'core', description: 'Index and health' },
        { name: 'users', description: 'Accounts' },
        { name: 'authentication', description: 'Login, logout, and the session' },
        { name: 'resources', description: 'The tree of everything that is protected' },
        { name: 'bindings', description: 'Who has which role on what' },
        { name: 'groups', description: 'Users and groups in groups; a group itself is a resource' },
        { name: 'roles', description: 'Sets of permissions' },
        { name: 'resource types', description: 'What may exist, and where' },
        { name: 'authorization', description: 'Who may do what, and why' },
        { name: 'audit log', description: 'Who changed what' }
      ],
      components: {
        securitySchemes: {
          session: { type: 'apiKey', in: 'cookie', name: cookieName, description: 'Set by POST /auth/login.' },
          token: { type: 'http', scheme: 'bearer', description: 'An access token, made by POST /users/me/tokens.' }
        }
      }
    },
    refResolver: { buildLocalReference: (json) => String(json['$id']) }
  })
  await app.register(async (docs) => {
    // The library's routes cannot say who may call them.
    docs.addHook('onRoute', (route) => { route.config = { ...route.config, access: 'public' } })
    // Every other text of the library's has it (ASVS 4.1.1).
    docs.addHook('onSend', async (_request, reply) => {
      if (reply.getHeader('content-type') === 'application/x-yaml') reply.type('application/x-yaml; charset=utf-8')
    })
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      uiConfig: { url: '/openapi.json', deepLinking: true, tryItOutEnabled: true },
      // The digest is that of the one style sheet that the page writes into itself; `npm run test:browser` tells when it changes.
      staticCSP: "default-src 'none'; script-src 'self'; style-src 'self' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    })
  })
}, { name: 'openapi' })

/** Adds to a route what its access, its body and its query imply: security, and every problem that it may answer. */
function describeErrors (route: RouteOptions): void {
  const schema = route.schema as Schema | undefined
  const { access, errors = [] } = route.config ?? {}
  if (schema === undefined || schema.hide === true || access === undefined) return
  const codes = new Set<ErrorCode>([...errors, 'internal'])
  const add = (isSo: boolean, ...more: ErrorCode[]) => { if (isSo) more.forEach((code) => codes.add(code)) }
  const isChange = !['GET', 'HEAD'].includes([route.method].flat()[0] as string)
  add(true, 'invalid-request')
  add(isChange, 'cross-site', 'payload-too-large', 'unsupported-media-type', 'timeout')
  add(access !== 'public', 'unauthenticated', 'overloaded')
  const isSessionRequired = access === 'session' || (typeof access === 'object' && 'user' in access && access.isSessionRequired === true)
  add(isSessionRequired, 'session-required')
  add(typeof access === 'object' && 'permission' in access, 'forbidden')
  add(typeof access === 'object' && 'user' in access, 'not-found')
  add(typeof access === 'object' && 'user' in access && access.user !== 'self-or-view', 'forbidden')
  add(typeof access === 'object' && 'resource' in access, 'not-found')
  // Who may not view it does not see it.
  add(typeof access === 'object' && 'resource' in access && access.resource.some((action) => action !== 'view'), 'forbidden')

  const words = [schema.description, describeAccess(access)].filter(Boolean).join(' ')
  // A schema of its own: that of HEAD is that of GET.
  route.schema = {
    ...schema,
    ...words === '' ? {} : { description: words },
    security: access === 'public' ? [] : [{ session: [] }, ...isSessionRequired ? [] : [{ token: [] }]],
    response: { ...schema.response, ...problemResponses([...codes]) }
  }
}

/** What a route needs, in words; undefined where it takes everybody, or says so itself. */
function describeAccess (access: Access): string | undefined {
  if (typeof access === 'string') return undefined
  if ('resource' in access) return `Needs ${access.resource.map((action) => `\`${action}\``).join(' and ')} on the ${access.type ?? 'resource'}.`
  if ('permission' in access) return `Needs \`${access.permission}\` on the root.`
  return access.user === 'self-or-view' ? undefined : `Needs \`${access.user}\` on the root.`
}

/** One response for each status, with an example for each code. */
function problemResponses (codes: ErrorCode[]): Record<string, unknown> {
  const statuses = [...new Set(codes.map((code) => problems[code].status))]
  const groups = statuses.map((status) => [status, codes.filter((code) => problems[code].status === status)] as const)
  return Object.fromEntries(groups.map(([status, group]) => [status, {
    description: `${STATUS_CODES[status]}: ${group.map((code) => `\`${code}\``).join(', ')}`,
    headers: problemHeaders(status),
    content: {
      'application/problem+json': {
        schema: { $ref: 'Problem#' },
        examples: Object.fromEntries(group.map((code) => [code, { value: toProblem(new DomainError(code)) }]))
      }
    }
  }]))
}
