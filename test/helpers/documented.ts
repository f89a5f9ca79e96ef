/** Holds every answer of a test run against the OpenAPI document: documented status, headers, and a body of the documented shape. */
import assert from 'node:assert/strict'
import type { OutgoingHttpHeaders } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'

/** The parts of an OpenAPI 3.1 document that the tests look at. */
export interface OpenapiDocument {
  openapi: string
  info: { title: string, version: string, license: object }
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object>, securitySchemes: Record<string, Record<string, string>> }
  tags: Array<{ name: string }>
}

export interface Operation {
  summary: string
  description?: string
  tags: string[]
  security: Array<Record<string, string[]>>
  parameters?: Array<{ name: string, in: string, required?: boolean, description?: string, schema: object }>
  requestBody?: { required?: boolean, content: Record<string, Content> }
  responses: Record<string, { description: string, headers?: Record<string, { schema: object }>, content?: Record<string, Content> }>
}

export interface Content { schema: object, examples?: Record<string, { value: unknown }> }

export interface Answer {
  method: string
  path: string
  status: number
  headers: OutgoingHttpHeaders
  body: string
}

let compiler: Promise<FastifyInstance> | undefined

/** Fastify's own Ajv, told to coerce and to fill in nothing. */
async function openCompiler (): Promise<FastifyInstance> {
  const app = fastify({ ajv: { customOptions: { strict: false, allErrors: true, coerceTypes: false, removeAdditional: false, useDefaults: false } } })
  app.post('/', { schema: { body: {} } }, async () => null)
  await app.ready()
  return app
}

type Check = ((value: unknown) => boolean) & { errors?: unknown }
/** By the components that a schema may name, which are the same in most documents, and long. */
const checksOfComponents = new Map<string, Map<string, Check>>()
const checksOfDocument = new WeakMap<OpenapiDocument, Map<string, Check>>()

/** The checks that are compiled already for the schemas of a document. */
function findChecks (document: OpenapiDocument): Map<string, Check> {
  const known = checksOfDocument.get(document)
  if (known !== undefined) return known
  const components = JSON.stringify(document.components)
  const checks = checksOfComponents.get(components) ?? new Map<string, Check>()
  checksOfComponents.set(components, checks)
  checksOfDocument.set(document, checks)
  return checks
}

/** Throws unless `value` fits a schema of the document. */
export async function assertFits (document: OpenapiDocument, schema: object, value: unknown, what: string): Promise<void> {
  const checks = findChecks(document)
  const key = JSON.stringify(schema)
  compiler ??= openCompiler()
  const whole = { ...schema, components: document.components }
  const check = checks.get(key) ?? (await compiler).validatorCompiler?.({ schema: whole, method: '', url: '' } as never) as unknown as Check
  checks.set(key, check)
  assert.ok(check(value), `${what} does not fit its schema: ${JSON.stringify(check.errors)} in ${JSON.stringify(value)}`)
}

/** The operation of a path such as /users/123; undefined where the document has none. A literal path wins over a parameter. */
export function findOperation (document: OpenapiDocument, method: string, path: string): Operation | undefined {
  const segments = path.split('/')
  const fitting = Object.keys(document.paths).filter((template) => {
    const parts = template.split('/')
    return parts.length === segments.length && parts.every((part, index) => part.startsWith('{') || part === segments[index])
  })
  const [best] = fitting.sort((one, other) => one.split('{').length - other.split('{').length)
  // HEAD is answered as GET is, and documented there.
  return document.paths[best ?? '']?.[method === 'HEAD' ? 'get' : method.toLowerCase()]
}

/** Throws unless an answer has the headers that all have, and a status and a body that the document gives its route. */
export async function assertDocumented (document: OpenapiDocument, { method, path, status, headers, body }: Answer): Promise<void> {
  const what = `the answer ${status} to ${method} ${path}`
  assert.equal(headers['cache-control'], 'no-store', `cache-control of ${what}`)
  assert.equal(headers['x-content-type-options'], 'nosniff', `x-content-type-options of ${what}`)
  assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/, `x-request-id of ${what}`)
  const contentType = headers['content-type'] === undefined ? undefined : String(headers['content-type'])
  if (status >= 400) {
    assert.equal(contentType, 'application/problem+json; charset=utf-8', `content-type of ${what}`)
    if (status === 401) assert.match(String(headers['www-authenticate']), /^Bearer realm="gatehouse"(, error="invalid_token")?$/, `www-authenticate of ${what}`)
    if (status === 503) assert.match(String(headers['retry-after']), /^\d+$/, `retry-after of ${what}`)
    if (method !== 'HEAD') {
      const problem = JSON.parse(body)
      await assertFits(document, { ...document.components.schemas['Problem'], additionalProperties: false }, problem, what)
      assert.equal(problem.status, status, `the status in ${what}`)
      assert.equal(problem.type, `urn:gatehouse:problem:${problem.code}`, `the type in ${what}`)
      assert.equal(problem.errors === undefined || problem.status === 400, true, `only a 400 lists fields: ${what}`)
    }
  }
  const operation = findOperation(document, method, path)
  if (operation === undefined) return
  const response = operation.responses[status]
  assert.ok(response, `the document knows ${what}`)
  if (method === 'HEAD') return
  if (response.content === undefined) {
    assert.equal(body, '', `nothing in ${what}`)
    return
  }
  const mediaType = String(contentType?.split(';')[0])
  const content = response.content[mediaType]
  assert.ok(content, `the document knows ${mediaType} of ${what}`)
  // A stream of lines is described by one of them.
  const values = mediaType === 'application/x-ndjson' ? body.split('\n').slice(0, -1) : [body]
  for (const value of values) await assertFits(document, content.schema, JSON.parse(value), what)
  // A dry run has made nothing that a header could tell of.
  if (values.some((value) => value.startsWith('{"changes":'))) return
  for (const name of Object.keys(response.headers ?? {})) assert.ok(headers[name.toLowerCase()], `header ${name} of ${what}`)
}
