/** How requests are checked: strictly, without coercion in bodies, and with text that every layer below can hold. */
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { DomainError, invalidField } from '../errors.js'

/** For app.ts: Ajv would otherwise turn "1" into 1, null into "", and drop what it does not know. */
export const strictAjv = { allErrors: true, coerceTypes: false, removeAdditional: false } as const

interface QuerySchema { properties?: Record<string, { type?: string }> }

/**
 * Query strings are text: plain decimals become numbers, true and false booleans, by the route's schema. Ajv's own coercion
 * would take 0x10 for 16 and "" for 0.
 */
function coerceQuery (query: Record<string, unknown>, schema: QuerySchema | undefined): void {
  for (const [name, { type }] of Object.entries(schema?.properties ?? {})) {
    const text = query[name]
    if (typeof text !== 'string') continue
    if (type === 'integer' && /^\d{1,15}$/.test(text)) query[name] = Number(text)
    if (type === 'boolean' && (text === 'true' || text === 'false')) query[name] = text === 'true'
  }
}

/** The parser would take what does not decode, such as the three bytes of a lone surrogate, as it is written. */
function checkEncoding (url: string): void {
  try {
    decodeURIComponent(url.slice(url.indexOf('?')))
  } catch {
    throw new DomainError('invalid-request', 'The query has a percent sign that is not followed by UTF-8.')
  }
}

/**
 * Refuses U+0000, which PostgreSQL cannot store, and lone surrogates, which it would store as another character, in
 * every string and key. A loop rather than a recursion: nesting costs an attacker nothing.
 */
function checkText (part: unknown): void {
  const waiting: Array<[unknown, string]> = [[part, '']]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [value, path] = next
    if (typeof value === 'string') {
      if (value.includes('\0') || !value.isWellFormed()) throw invalidField(path, 'must not contain U+0000 or a lone surrogate')
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, child] of Object.entries(value)) {
        if (key.includes('\0') || !key.isWellFormed()) throw invalidField(path, 'must not have a name with U+0000 or a lone surrogate')
        waiting.push([child, `${path}/${key}`])
      }
    }
  }
}

/**
 * Whether an object in a text that is JSON has a name twice: of the two values JSON.parse would keep the last in silence, and
 * whoever looked at the text before, such as a proxy, may have kept the first (RFC 8259, 4; ASVS 1.5.3). A string before a
 * colon is a name, and braces and brackets are outside strings.
 */
function hasNameTwice (json: string): boolean {
  const objects: Array<Set<string>> = []
  for (const [token, name] of json.matchAll(/("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/g)) {
    if (token === '{') objects.push(new Set())
    if (token === '}') objects.pop()
    if (name === undefined) continue
    const names = objects.at(-1) as Set<string>
    const text = JSON.parse(name) as string
    if (names.has(text)) return true
    names.add(text)
  }
  return false
}

/** Other bytes would be stored as U+FFFD in silence. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode (body: Buffer): string {
  try {
    return utf8.decode(body)
  } catch {
    throw new DomainError('invalid-request', 'The body is not UTF-8.')
  }
}

/** What is wrong with a body that the parser refuses: it is no JSON, or has a name that would change JavaScript's own objects. */
function explainRefusal (error: Error, text: string): Error {
  try {
    JSON.parse(text)
  } catch {
    return error
  }
  return new DomainError('invalid-request', 'The body has an object with the name "__proto__", or one with the name "prototype" as its "constructor"; neither is taken.')
}

export default fp(async (app) => {
  // A form or text/plain body could be sent from another site without a preflight (ASVS 3.5.2).
  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, async (request: FastifyRequest, body: Buffer) => {
    // Many clients send the header with DELETE and nothing after it.
    if (body.length === 0) return undefined
    // Otherwise packed bytes would be told to be no JSON.
    if ((request.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') throw new DomainError('unsupported-media-type', 'Send the body without Content-Encoding.')
    const text = decode(body)
    const parsed = await new Promise((resolve, reject) => {
      void parseJson(request, text, (error, parsed) => error === null ? resolve(parsed) : reject(explainRefusal(error, text)))
    })
    if (hasNameTwice(text)) throw new DomainError('invalid-request', 'The body has an object in which a name stands twice.')
    return parsed
  })
  app.addHook('preValidation', async (request) => {
    if (request.url.includes('?')) checkEncoding(request.url)
    coerceQuery(request.query as Record<string, unknown>, request.routeOptions.schema?.querystring as QuerySchema | undefined)
    checkText(request.query)
    checkText(request.body)
  })
  app.addHook('onRoute', (route) => {
    // What a schema does not name is an error, so a route without one takes nothing.
    if (route.schema === undefined || 'hide' in route.schema) return
    route.schema.querystring ??= { type: 'object', properties: {}, additionalProperties: false }
    if (route.schema.body !== undefined || route.method === 'GET' || route.method === 'HEAD') return
    const preValidation = [route.preValidation ?? []].flat()
    route.preValidation = [...preValidation, async (request: { body: unknown }) => {
      const { body } = request
      const isEmpty = body === undefined || body === null || (typeof body === 'object' && Object.keys(body).length === 0)
      if (!isEmpty) throw new DomainError('invalid-request', 'This path takes no body.')
    }] as never
  })
}, { name: 'validation' })
