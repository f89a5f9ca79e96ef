/** The OpenAPI document says of every route of the model what it needs, what it takes and what it answers. */
import t from 'tap'
import { openTestApp } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import type { Operation } from '../helpers/documented.js'

const { document } = await openTestApp(await openTestDatabase())
const usual = ['400', '401', '500', '503']
const ofChanges = [...usual, '403', '408', '413', '415']

const expected: Record<string, string[]> = {
  'get /resource-types': ['200', ...usual],
  'put /resource-types/{name}': ['200', '201', '409', ...ofChanges],
  'delete /resource-types/{name}': ['204', '404', '409', ...ofChanges],
  'get /roles': ['200', ...usual],
  'get /roles/{name}': ['200', '404', ...usual],
  'post /roles': ['200', '201', '409', ...ofChanges],
  'patch /roles/{name}': ['200', '404', '409', ...ofChanges],
  'delete /roles/{name}': ['200', '204', '404', '409', ...ofChanges],
  'post /resources': ['201', '404', '409', ...ofChanges],
  'get /resources': ['200', ...usual],
  'get /resources/{id}': ['200', '404', ...usual],
  'patch /resources/{id}': ['200', '404', '412', ...ofChanges],
  'post /resources/{id}/move': ['200', '404', '409', '412', ...ofChanges],
  'delete /resources/{id}': ['204', '404', '409', '412', ...ofChanges],
  'get /resources/{id}/bindings': ['200', '403', '404', ...usual],
  'post /resources/{id}/bindings': ['200', '201', '404', '409', '429', ...ofChanges],
  'delete /resources/{id}/bindings/{bindingId}': ['200', '204', '404', '409', ...ofChanges],
  'get /resources/{id}/explain': ['200', '403', '404', ...usual],
  'get /resources/{id}/access': ['200', '403', '404', ...usual],
  'get /resources/{id}/grantable-roles': ['200', '403', '404', ...usual],
  'get /groups/{id}/members': ['200', '404', ...usual],
  'put /groups/{id}/members/{memberId}': ['200', '204', '404', '409', ...ofChanges],
  'delete /groups/{id}/members/{memberId}': ['200', '204', '404', '409', ...ofChanges],
  'post /authz/check': ['200', '404', ...ofChanges],
  'get /audit-events': ['200', '403', '404', ...usual]
}

/** The codes that a response names among its examples. */
const codesOf = (operation: Operation, status: string): string[] =>
  Object.keys(operation.responses[status]?.content?.['application/problem+json']?.examples ?? {}).sort()

const operations = Object.entries(document().paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation] as const))
const ofModel = new Map<string, Operation>(operations.filter(([name]) => / \/(resources|resource-types|roles|groups|authz|audit-events)/.test(name)))

t.test('every route of the model is there, and no other', async (t) => {
  t.same([...ofModel.keys()].sort(), Object.keys(expected).sort())
})

for (const [name, operation] of ofModel) {
  t.test(`${name} is described: statuses, session, words and examples`, async (t) => {
    t.same(Object.keys(operation.responses).sort(), expected[name]?.sort())
    t.same(operation.security, [{ session: [] }, { token: [] }])
    t.match(operation.summary, /^\w.{5,}/)
    t.ok(document().tags.some((tag) => operation.tags.includes(tag.name)), 'its tag is described')
    const body = operation.requestBody?.content['application/json']?.schema as Schema | undefined
    const missing = [
      ...(body === undefined ? [] : withoutExample(body, 'body')),
      // The examples of a parameter's schema stand beside it.
      ...(operation.parameters ?? []).flatMap(({ name, schema, ...beside }) => withoutExample({ ...schema, ...beside } as Schema, name)),
      ...Object.entries(operation.responses).flatMap(([status, { content }]) => content?.['application/json'] === undefined ? [] : withoutExample(content['application/json'].schema as Schema, status))
    ]
    t.same(missing, [], 'everything that a client writes or reads has an example')
  })
}

interface Schema { type?: string | string[], properties?: Record<string, Schema>, items?: Schema, anyOf?: Schema[], examples?: unknown[], example?: unknown, enum?: unknown[], const?: unknown, default?: unknown, description?: string, $ref?: string }

/** The paths of those leaves of a schema that show no example; a boolean, a default, an enum and a cursor explain themselves. */
function withoutExample (schema: Schema, path: string): string[] {
  const { components } = document()
  if (schema.$ref !== undefined) return withoutExample(components.schemas[schema.$ref.split('/').at(-1) as string] as Schema, path)
  if (schema.examples !== undefined || schema.example !== undefined || schema.enum !== undefined || schema.default !== undefined || schema.type === 'boolean' || schema.type === 'null') return []
  if (schema.properties !== undefined) return Object.entries(schema.properties).flatMap(([name, property]) => withoutExample(property, `${path}.${name}`))
  if (schema.items !== undefined) return withoutExample(schema.items, `${path}[]`)
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((branch) => withoutExample(branch, path))
  return /ursor$/.test(path) ? [] : [path]
}

t.test('what a route needs is said in words', async (t) => {
  const all = new Map<string, Operation>(operations)
  for (const [name, sentence] of [
    ['get /resources/{id}', 'Needs `view` on the resource.'],
    ['patch /resources/{id}', 'Needs `edit` on the resource.'],
    ['post /resources/{id}/move', 'Needs `edit` and `share` on the resource.'],
    ['get /resources/{id}/bindings', 'Needs `share` on the resource.'],
    ['put /groups/{id}/members/{memberId}', 'Needs `edit` on the group.'],
    ['post /roles', 'Needs `role:create` on the root.'],
    ['put /resource-types/{name}', 'Needs `resource-type:edit` on the root.'],
    ['patch /users/{id}', 'Needs `user:edit` on the root.'],
    ['get /users', 'Needs `user:view` on the root.']
  ] as const) t.ok(all.get(name)?.description?.endsWith(sentence), name)
  for (const [name, { description = '' }] of operations) t.ok(description.split('Needs `').length <= 2, `${name} says it once`)
  for (const name of ['get /roles', 'get /resources', 'post /auth/login']) t.notMatch(all.get(name)?.description ?? '', /Needs `.*`(?! on the parent)/)
})

t.test('each refusal is an example of its code', async (t) => {
  const conflicts = (name: string) => codesOf(ofModel.get(name) as Operation, '409')
  t.same(conflicts('post /resources'), ['invalid-parent', 'too-deep'])
  t.same(conflicts('post /resources/{id}/move'), ['built-in', 'cycle', 'invalid-parent', 'too-deep'])
  t.same(conflicts('delete /resources/{id}'), ['built-in', 'has-children', 'last-owner'])
  t.same(conflicts('post /resources/{id}/bindings'), ['binding-exists'])
  t.same(conflicts('delete /resources/{id}/bindings/{bindingId}'), ['last-owner'])
  t.same(conflicts('put /groups/{id}/members/{memberId}'), ['cycle'])
  t.same(conflicts('delete /groups/{id}/members/{memberId}'), ['last-owner'])
  t.same(conflicts('post /roles'), ['role-exists'])
  t.same(conflicts('patch /roles/{name}'), ['built-in'])
  t.same(conflicts('delete /roles/{name}'), ['built-in', 'in-use'])
  t.same(conflicts('put /resource-types/{name}'), ['built-in', 'in-use'])
  t.same(conflicts('delete /resource-types/{name}'), ['built-in', 'in-use'])
  t.same(codesOf(ofModel.get('post /resources/{id}/bindings') as Operation, '400'), ['invalid-request', 'unknown-role', 'unknown-subject'])
  t.same(codesOf(ofModel.get('post /resources/{id}/bindings') as Operation, '403'), ['cross-site', 'escalation', 'forbidden'])
  t.same(codesOf(ofModel.get('post /resources') as Operation, '400'), ['invalid-request', 'unknown-type'])
})
