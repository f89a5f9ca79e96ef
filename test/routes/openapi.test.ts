/** The OpenAPI document: a valid 3.1, complete, and true in its examples. That answers keep to it is checked at every request of the tests. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import buildValidators from '@fastify/ajv-compiler'
import buildSerializers from '@fastify/fast-json-stringify-compiler'
import type { FastifyInstance, RouteOptions } from 'fastify'
import t from 'tap'
import { strictAjv } from '../../src/plugins/validation.js'
import { openTestApp } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { assertFits, type Operation } from '../helpers/documented.js'

const database = await openTestDatabase()
/** As they are when all hooks have seen them. */
const routes: Array<{ route: RouteOptions, schemas: object }> = []
const watch = (message: unknown) => {
  (message as { fastify: FastifyInstance }).fastify.addHook('onRoute', function (route) { routes.push({ route, schemas: this.getSchemas() }) })
}
subscribe('fastify.initialization', watch)
const { request, document: readDocument } = await openTestApp(database)
unsubscribe('fastify.initialization', watch)
const document = readDocument()
const operations = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, method, operation })))

t.test('GET /openapi.json answers with it', async (t) => {
  t.same((await request('GET', '/openapi.json')).body, JSON.parse(JSON.stringify(document)))
})

t.test('it has the structure of OpenAPI 3.1', async (t) => {
  t.equal(document.openapi, '3.1.0')
  t.match(document.info, { title: 'Gatehouse', version: /^\d+\.\d+\.\d+/, license: { name: 'MIT', identifier: 'MIT' } })
  t.same(Object.keys(document).filter((key) => !['openapi', 'info', 'servers', 'tags', 'paths', 'components'].includes(key)), [])
  t.ok(Object.keys(document.components).every((key) => ['schemas', 'securitySchemes'].includes(key)))
  t.same(Object.keys(document.components.schemas).sort(), ['AccessToken', 'AuditEvent', 'Binding', 'Denial', 'DryRun', 'Explanation', 'Grant', 'Member', 'Problem', 'Resource', 'ResourceType', 'Role', 'Session', 'User'])
  const tags = new Set(document.tags.map(({ name }) => name))
  for (const { name, path, method, operation } of operations) {
    t.match(path, /^\/[a-zA-Z0-9/{}.-]*$/, name)
    t.ok(['get', 'put', 'post', 'delete', 'patch'].includes(method), name)
    t.ok(operation.summary, `${name} says what it is for`)
    t.ok(operation.tags.length === 1 && operation.tags.every((tag) => tags.has(tag)), `${name} has a tag that is described`)
    t.ok(Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)), `${name} can succeed`)
    const parameters = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
    t.same(parameters.map((parameter) => parameter.name), [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter), `${name} describes its parameters`)
    t.ok(parameters.every(({ required, schema }) => required === true && schema !== undefined))
    for (const parameter of operation.parameters ?? []) t.ok(parameter.description, `${name} says what ${parameter.name} is`)
    if (method === 'get') t.notOk('requestBody' in operation, name)
    else if (operation.requestBody !== undefined) t.same(Object.keys(operation.requestBody.content), ['application/json'], name)
    for (const [status, response] of Object.entries(operation.responses)) {
      t.match(status, /^[2-5]\d\d$/)
      t.ok(response.description, `${name} ${status} says what it means`)
      t.notMatch(response.description, /^Default Response$/)
      for (const header of Object.values(response.headers ?? {})) t.ok(header.schema)
      if (Number(status) >= 400) t.same(Object.keys(response.content ?? {}), ['application/problem+json'], `${name} ${status}`)
    }
  }
})

t.test('every reference leads somewhere', async (t) => {
  const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference as string)
  t.ok(references.length > 20)
  for (const reference of new Set(references)) {
    const target = reference.replace(/^#\//, '').split('/').reduce<any>((part, name) => part?.[name.replaceAll('~1', '/').replaceAll('~0', '~')], document)
    t.type(target, 'object', reference)
  }
})

t.test('every schema of a route makes code, which a start leaves to the first request', async (t) => {
  const { schemas } = routes.at(-1) as typeof routes[number]
  const check = buildValidators()(schemas as never, { customOptions: strictAjv })
  const write = buildSerializers()(schemas)
  for (const { route: { url, method, schema = {} } } of routes) {
    const route = { url, method: String(method) }
    for (const part of [schema.params, schema.querystring, schema.headers, schema.body]) {
      if (part !== undefined) t.doesNotThrow(() => check({ ...route, schema: part as object }), `${route.method} ${url}`)
    }
    for (const [httpStatus, response] of Object.entries(schema.response ?? {})) {
      const bodies = response.content === undefined ? [response] : Object.values(response.content).map((body: any) => body.schema)
      for (const body of bodies) t.doesNotThrow(() => write({ ...route, httpStatus, schema: body }), `${route.method} ${url} ${httpStatus}`)
    }
  }
})

t.test('it has every route of ours, with its method', async (t) => {
  const listed = routes.flatMap(({ route: { method, url } }) => [method].flat().map((one) => `${one} ${url.replace(/:(\w+)/g, '{$1}')}`))
    .filter((name) => !name.startsWith('HEAD ') && !name.startsWith('GET /docs'))
  t.ok(listed.length >= 12)
  t.same(listed.sort(), operations.map(({ name }) => name).sort())
  t.same(operations.map(({ name }) => name).sort(), [
    'DELETE /groups/{id}/members/{memberId}', 'DELETE /resource-types/{name}', 'DELETE /resources/{id}', 'DELETE /resources/{id}/bindings/{bindingId}',
    'DELETE /roles/{name}', 'DELETE /users/me/sessions', 'DELETE /users/me/sessions/{sessionId}', 'DELETE /users/me/tokens/{tokenId}',
    'DELETE /users/{id}/sessions', 'GET /', 'GET /audit-events', 'GET /auth/session', 'GET /decisions/{requestId}', 'GET /groups/{id}/members', 'GET /healthz', 'GET /openapi.json', 'GET /readyz',
    'GET /resource-types', 'GET /resources', 'GET /resources/{id}', 'GET /resources/{id}/access', 'GET /resources/{id}/bindings', 'GET /resources/{id}/explain', 'GET /resources/{id}/grantable-roles', 'GET /roles', 'GET /roles/{name}', 'GET /users',
    'GET /users/me', 'GET /users/me/sessions', 'GET /users/me/tokens', 'GET /users/{id}', 'GET /users/{id}/sessions', 'PATCH /resources/{id}', 'PATCH /roles/{name}', 'PATCH /users/me', 'PATCH /users/{id}', 'POST /auth/login',
    'POST /auth/logout', 'POST /authz/check', 'POST /resources', 'POST /resources/{id}/bindings', 'POST /resources/{id}/move', 'POST /roles', 'POST /users', 'POST /users/me/tokens',
    'PUT /groups/{id}/members/{memberId}', 'PUT /resource-types/{name}', 'PUT /users/me/password'
  ])
})

t.test('it says what each route needs', async (t) => {
  const isPublic = new Set(['GET /', 'GET /healthz', 'GET /readyz', 'GET /openapi.json', 'POST /users', 'POST /auth/login'])
  const isForSessions = (name: string) => /sessions|tokens|password|logout/.test(name)
  t.same(document.components.securitySchemes, {
    session: { type: 'apiKey', in: 'cookie', name: 'sessionid', description: 'Set by POST /auth/login.' },
    token: { type: 'http', scheme: 'bearer', description: 'An access token, made by POST /users/me/tokens.' }
  })
  for (const { name, operation } of operations) {
    t.same(operation.security, isPublic.has(name) ? [] : isForSessions(name) ? [{ session: [] }] : [{ session: [] }, { token: [] }], name)
  }
  const closed = (await openTestApp(database, { environment: { REGISTRATION: 'closed' } })).document()
  t.match(closed.paths['/users']?.['post'], { security: [{ session: [] }, { token: [] }], responses: { 401: {}, 403: {} } }, 'where registration is closed')
})

const statuses = (operation: Operation) => Object.keys(operation.responses).map(Number)
for (const [name, expected] of Object.entries({
  'GET /': [200, 400, 500],
  'GET /healthz': [200, 400, 500],
  'GET /readyz': [200, 400, 500, 503],
  'POST /users': [201, 400, 403, 408, 409, 413, 415, 429, 500, 503],
  'GET /users/me': [200, 400, 401, 500, 503],
  'PATCH /users/me': [200, 400, 401, 403, 408, 413, 415, 500, 503],
  'PUT /users/me/password': [204, 400, 401, 403, 408, 413, 415, 429, 500, 503],
  'GET /users': [200, 400, 401, 403, 500, 503],
  'GET /users/{id}': [200, 400, 401, 404, 500, 503],
  'PATCH /users/{id}': [200, 400, 401, 403, 404, 408, 409, 413, 415, 500, 503],
  'POST /auth/login': [200, 400, 401, 403, 408, 413, 415, 429, 500, 503],
  'POST /auth/logout': [204, 400, 401, 403, 408, 413, 415, 500, 503],
  'GET /auth/session': [200, 400, 401, 500, 503],
  'GET /users/me/sessions': [200, 400, 401, 403, 500, 503],
  'POST /users/me/tokens': [201, 400, 401, 403, 408, 413, 415, 500, 503],
  'GET /users/me/tokens': [200, 400, 401, 403, 500, 503],
  'DELETE /users/me/tokens/{tokenId}': [204, 400, 401, 403, 404, 408, 413, 415, 500, 503],
  'DELETE /users/me/sessions': [204, 400, 401, 403, 408, 413, 415, 500, 503],
  'DELETE /users/me/sessions/{sessionId}': [204, 400, 401, 403, 404, 408, 413, 415, 500, 503],
  'GET /users/{id}/sessions': [200, 400, 401, 403, 404, 500, 503],
  'DELETE /users/{id}/sessions': [204, 400, 401, 403, 404, 408, 413, 415, 500, 503]
})) {
  t.test(`it has every status of ${name}`, async (t) => {
    t.same(statuses(operations.find((one) => one.name === name)!.operation), expected)
  })
}

t.test('it says which codes a status may have, with an example of each', async (t) => {
  const { responses } = operations.find(({ name }) => name === 'PATCH /users/{id}')!.operation
  t.equal(responses[403]?.description, 'Forbidden: `cross-site`, `forbidden`')
  t.match(responses[403]?.content?.['application/problem+json']?.examples, { 'cross-site': { value: { code: 'cross-site', status: 403 } }, forbidden: { value: { code: 'forbidden' } } })
  t.match(responses[401]?.headers, { 'WWW-Authenticate': { schema: { type: 'string' } } })
  t.match(operations.find(({ name }) => name === 'POST /auth/login')!.operation.responses[429]?.headers, { 'Retry-After': {}, RateLimit: {}, 'RateLimit-Policy': {}, 'RateLimit-Limit': {}, 'RateLimit-Remaining': {}, 'RateLimit-Reset': {} })
  for (const [name, status] of [['POST /auth/login', 200], ['POST /auth/logout', 204]] as const) {
    t.match(operations.find((one) => one.name === name)!.operation.responses[status]?.headers, { 'Set-Cookie': { schema: { type: 'string' } } })
  }
  t.match(responses[503]?.headers, { 'Retry-After': { schema: { type: 'integer' } } })
})

t.test('every example fits its schema', async (t) => {
  let count = 0
  for (const { name, operation } of operations) {
    for (const [status, { content = {} }] of Object.entries(operation.responses)) {
      for (const { schema, examples = {} } of Object.values(content)) {
        for (const { value } of Object.values(examples)) {
          await assertFits(document, schema, value, `an example of ${name} ${status}`)
          count++
        }
      }
    }
  }
  t.ok(count > 50)
  /** Schemas have lists of examples, wherever they stand. */
  async function visit (schema: unknown, path: string): Promise<void> {
    if (typeof schema !== 'object' || schema === null) return
    const { examples, ...rest } = schema as { examples?: unknown }
    if (Array.isArray(examples)) {
      for (const example of examples) await assertFits(document, rest, example, path)
      count++
    }
    for (const [key, child] of Object.entries(rest)) await visit(child, `${path}/${key}`)
  }
  const before = count
  await visit(document.components.schemas, 'components')
  await visit(document.paths, 'paths')
  t.ok(count - before > 20)
})
