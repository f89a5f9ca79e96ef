/** The index, the health checks, and what holds for every path: the order of checks, strict input, refusals, headers. */
import type { FastifyInstance } from 'fastify'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { openTestApp, password, type RequestOptions } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'

/** A query with a boolean, as a later route may have. */
function extend (app: FastifyInstance): void {
  const querystring = { type: 'object', properties: { flag: { type: 'boolean' } }, additionalProperties: false }
  app.get('/test/flag', { schema: { hide: true, querystring }, config: { access: 'public' } }, async (request) => request.query)
}
const database = await openTestDatabase()
const { app, request, signUp, signUpAdministrator } = await openTestApp(database, { extend })
const person = await signUp()
const another = await signUp()
const administrator = await signUpAdministrator()
const absent = '01890a5d-ac96-774b-bcce-b302099a8057'

t.test('the index says what this is and where to go on', async (t) => {
  const { status, body } = await request('GET', '/')
  t.equal(status, 200)
  t.match(body, { name: 'Gatehouse', version: /^\d+\.\d+\.\d+/, message: 'Hello, world. You\'re at the core index.', links: { docs: '/docs', openapi: '/openapi.json' } })
  for (const link of Object.values<string>(body.links)) t.not((await request('GET', link)).body?.code, 'invalid-request', `${link} is a path`)
})

t.test('the health check sends no statement, with or without a cookie', async (t) => {
  const statements = await countStatements(async () => {
    t.match(await request('GET', '/healthz'), { status: 200, body: { status: 'ok' }, setCookie: [] })
    t.match(await request('GET', '/healthz', { cookie: person.cookie }), { status: 200, body: { status: 'ok' }, setCookie: [] })
    t.match(await request('HEAD', '/healthz'), { status: 200, text: '' })
  }, database)
  t.same(statements, [])
})

t.test('readiness asks the database, and turns when the process is told to stop', async (t) => {
  const statements = await countStatements(async () => {
    t.match(await request('GET', '/readyz', { cookie: person.cookie }), { status: 200, body: { status: 'ok', checks: { database: 'ok' } } })
  }, database)
  t.same(statements, ['SELECT 1'])
  app.isStopping = true
  t.match(await request('GET', '/readyz'), { status: 503, body: { code: 'overloaded', detail: 'The service is stopping.' }, headers: { 'retry-after': '2' } })
  t.match(await request('GET', '/healthz'), { status: 200 })
  app.isStopping = false
})

t.test('the documentation page loads its own files and nothing else', async (t) => {
  const page = await app.inject('/docs')
  t.match(page, { statusCode: 200, headers: { 'content-type': /^text\/html/, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'content-security-policy': /^default-src 'none'/ } })
  for (const [, path] of page.payload.matchAll(/(?:src|href)="([^"]+)"/g)) {
    t.match(path, /^(\.|\/docs)/)
    t.equal((await app.inject(new URL(path as string, 'http://localhost/docs').pathname)).statusCode, 200, String(path))
  }
  for (const path of ['/docs', '/docs/static/swagger-ui.css', '/docs/static/swagger-ui-bundle.js', '/docs/static/swagger-initializer.js', '/docs/json', '/docs/yaml']) {
    t.match((await app.inject(path)).headers['content-type'], /; charset=utf-8$/, path)
  }
  t.match(await request('GET', '/docs/static/nothing.js'), { status: 404, body: { code: 'not-found' } })
})

const unknown: Array<[string, string, RequestOptions?]> = [
  ['GET', '/nowhere'], ['GET', '/users/me/nowhere'], ['GET', '//'], ['GET', '/USERS/me'], ['GET', '/users/me/'],
  ['POST', '/'], ['DELETE', '/users'], ['PUT', '/users/me'], ['GET', '/auth/login'], ['DELETE', '/auth/session'], ['TRACE', '/healthz'], ['OPTIONS', '/users'], ['PROPFIND', '/users'],
  ['HEAD', '/nowhere'],
  ['POST', '/nowhere', { payload: '{', headers: { 'content-type': 'application/json' } }],
  ['POST', '/nowhere', { payload: 'x'.repeat(100_000), headers: { 'content-type': 'application/json' } }],
  ['POST', '/nowhere', { payload: 'x', headers: { 'content-type': 'text/plain' } }],
  ['PUT', '/auth/login', { payload: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } }],
  ['POST', '/nowhere', { headers: { 'sec-fetch-site': 'cross-site' } }],
  ['GET', '/nowhere?unknown=1'],
  ['GET', '/healthz', { headers: { 'x-http-method-override': 'DELETE' } }]
]
for (const [method, url, options] of unknown.slice(0, -1)) {
  t.test(`an unknown path or method is not found before anything else: ${method} ${url} ${JSON.stringify(options ?? {}).slice(0, 60)}`, async (t) => {
    for (const cookie of [undefined, person.cookie, 'sessionid=bad']) {
      const statements = await countStatements(async () => {
        const { status, body, setCookie } = await request(method, url, { ...options, ...(cookie === undefined ? {} : { cookie }) })
        t.equal(status, 404)
        if (method !== 'HEAD') t.equal(body.code, 'not-found')
        t.same(setCookie, [])
      }, database)
      t.same(statements, [])
    }
  })
}

t.test('a header cannot change the method', async (t) => {
  const [method, url, options] = unknown.at(-1)!
  t.match(await request(method, url, options), { status: 200 })
})

t.test('HEAD answers as GET does, without the body', async (t) => {
  for (const [url, cookie] of [['/', ''], ['/users/me', person.cookie], ['/users', administrator.cookie], ['/users', ''], [`/users/${absent}`, person.cookie]] as const) {
    const [get, head] = [await request('GET', url, { cookie }), await request('HEAD', url, { cookie })]
    t.equal(head.status, get.status, url)
    t.equal(head.text, '')
    t.equal(head.headers['content-type'], get.headers['content-type'])
    t.equal(head.headers['content-length'], get.headers['content-length'])
  }
})

const crossSite = { 'sec-fetch-site': 'cross-site' }
const bad = { body: { isActive: 'no' } }
for (const [what, url, options, status, code] of [
  ['cross-site before not signed in', `/users/${absent}`, { ...bad, headers: crossSite }, 403, 'cross-site'],
  ['cross-site before hidden', `/users/${absent}`, { ...bad, headers: crossSite, cookie: person.cookie }, 403, 'cross-site'],
  ['not signed in before hidden', `/users/${absent}`, bad, 401, 'unauthenticated'],
  ['not signed in before hidden, where there is one', `/users/${another.id}`, bad, 401, 'unauthenticated'],
  ['not signed in before an id that is none', '/users/x', bad, 401, 'unauthenticated'],
  ['hidden before forbidden and a bad body', `/users/${another.id}`, { ...bad, cookie: person.cookie }, 404, 'not-found'],
  ['absent before a bad body', `/users/${absent}`, { ...bad, cookie: administrator.cookie }, 404, 'not-found'],
  ['an id that is none before a bad body', '/users/%00', { ...bad, cookie: administrator.cookie }, 404, 'not-found'],
  ['hidden before a body that cannot be read', `/users/${another.id}`, { payload: '{', headers: { 'content-type': 'application/json' }, cookie: person.cookie }, 404, 'not-found'],
  ['hidden before a body of another type', `/users/${another.id}`, { payload: 'x', headers: { 'content-type': 'text/plain' }, cookie: person.cookie }, 404, 'not-found'],
  ['forbidden before a bad body', `/users/${person.id}`, { ...bad, cookie: person.cookie }, 403, 'forbidden'],
  ['forbidden before an unknown query parameter', `/users/${person.id}?x=1`, { ...bad, cookie: person.cookie }, 403, 'forbidden'],
  ['a bad body before a state that does not permit it', `/users/${administrator.id}`, { body: { isActive: false, nothing: 1 }, cookie: administrator.cookie }, 400, 'invalid-request'],
  ['the state at last', `/users/${administrator.id}`, { body: { isActive: false }, cookie: administrator.cookie }, 409, 'last-owner']
] as const) {
  t.test(`checks come in order: ${what}`, async (t) => {
    t.match(await request('PATCH', url, options as RequestOptions), { status, body: { code } })
  })
}

t.test('the same bytes say that a user is hidden, absent or no id at all', async (t) => {
  const answers = []
  for (const id of [another.id, absent, 'x', `${absent}%00`, '%F0%9F%A6%A9', 'x'.repeat(4_000), '..%2f..%2f', '__proto__', '01890a5d-ac96-774b-bcce-b302099a805Z']) {
    const { status, headers: { date, 'x-request-id': _id, ...headers }, text } = await request('GET', `/users/${id}`, { cookie: person.cookie })
    answers.push(JSON.stringify({ status, headers, text }))
  }
  t.equal(new Set(answers).size, 1)
  t.match(answers[0], '"status":404')
})

t.test('ids are taken in either case', async (t) => {
  t.match(await request('GET', `/users/${person.id.toUpperCase()}`, { cookie: person.cookie }), { status: 200, body: { id: person.id } })
  t.match(await request('GET', `/users/${another.id.toUpperCase()}`, { cookie: administrator.cookie }), { status: 200, body: { id: another.id } })
})

const account = { email: 'strict@example.org', name: 'Jane Doe', password }
for (const [what, body, errors] of [
  ['a number for a text', { ...account, password: 5 }, [{ path: '/password' }]],
  ['a list for a text', { ...account, password: [password] }, [{ path: '/password' }]],
  ['null for a text', { ...account, name: null }, [{ path: '/name' }]],
  ['an object for a text', { ...account, email: { contains: '@' } }, [{ path: '/email' }]],
  ['true for a text', { ...account, name: true }, [{ path: '/name' }]],
  ['a property that is missing', { email: account.email, name: account.name }, [{ path: '/password', message: 'is required' }]],
  ['everything missing', {}, [{ path: '/email' }, { path: '/name' }, { path: '/password' }]],
  ['a property that is unknown', { ...account, isAdministrator: true }, [{ path: '/isAdministrator', message: 'is not known here' }]],
  ['an unknown property with signs in its name', { ...account, 'a/b~c': 1 }, [{ path: '/a~1b~0c', message: 'is not known here' }]],
  ['an empty e-mail', { ...account, email: '' }, [{ path: '/email' }]],
  ['an empty name', { ...account, name: '' }, [{ path: '/name' }]],
  ['a blank name', { ...account, name: ' ' }, [{ path: '/name', message: 'must not be blank' }]],
  ['an empty password', { ...account, password: '' }, [{ path: '/password' }]],
  ['a list', [account], [{ path: '' }]],
  ['a text', 'x', [{ path: '' }]],
  ['null', null, [{ path: '' }]],
  ['nothing', undefined, [{ path: '' }]],
  ['U+0000 in a text', { ...account, name: 'Jane\0Doe' }, [{ path: '/name', message: /U\+0000/ }]],
  ['U+0000 in a password', { ...account, password: `${password}\0` }, [{ path: '/password' }]],
  ['a lone high surrogate', { ...account, name: 'Jane\ud800' }, [{ path: '/name' }]],
  ['a lone low surrogate', { ...account, password: `\udc00${password}` }, [{ path: '/password' }]],
  ['surrogates in the wrong order', { ...account, name: '\udc00\ud800' }, [{ path: '/name' }]],
  ['U+0000 in a name', { ...account, 'na\0me': 'x' }, [{ path: '' }]],
  ['a lone surrogate in a name', { ...account, 'na\ud800me': 'x' }, [{ path: '' }]],
  ['U+0000 deep inside', { ...account, name: { a: [['\0']] } }, [{ path: '/name/a/0/0' }]]
] as const) {
  t.test(`a body is refused, and the field named: ${what}`, async (t) => {
    const answer = await request('POST', '/users', { body })
    t.match(answer, { status: 400, body: { code: 'invalid-request' } })
    t.match(answer.body.errors, errors)
    t.equal(answer.body.errors?.length, errors?.length)
  })
}

for (const [what, payload] of Object.entries({
  'no JSON': '{',
  'text after it': '{} x',
  NaN: '{"email":NaN}',
  'the prototype': '{"__proto__":{"isAdministrator":true}}',
  'the prototype of the constructor': '{"constructor":{"prototype":{"x":1}}}'
})) {
  t.test(`a body that is no good JSON is refused: ${what}`, async (t) => {
    t.match(await request('POST', '/users', { payload, headers: { 'content-type': 'application/json' } }), { status: 400, body: { code: 'invalid-request' } })
  })
}

for (const [what, names] of Object.entries({
  'one after the other': '"name":"A","name":"B"',
  'the same value': '"name":"A" , "name" : "A"',
  'otherwise escaped': '"name":"A","n\\u0061me":"B"',
  'far inside': '"name":[{},{"a":{"b":1,"c":{"b":1},"b":1}}]',
  'an empty one': '"name":"A","":1,"":2',
  'with a quotation mark': '"a\\"}":1,"name":"A","a\\"}":2'
})) {
  t.test(`a body with a name twice in one object is refused: ${what}`, async (t) => {
    const payload = `{"email":"twice@example.org","password":"${password}",${names}}`
    t.match(await request('POST', '/users', { payload, headers: { 'content-type': 'application/json' } }), {
      status: 400, body: { code: 'invalid-request', detail: 'The body has an object in which a name stands twice.' }
    })
  })
}

t.test('the same name in several objects, and as a value, is none that stands twice', async (t) => {
  const attributes = { a: { b: 1, c: [{ b: 'b' }, { b: ':' }] }, b: '{"a":1,"a":2}', '{': '"a":', '\\': '\\', d: 'a', e: ['a', 'a'] }
  const { status, body } = await request('POST', '/resources', { cookie: administrator.cookie, body: { type: 'organization', name: 'name', attributes } })
  t.equal(status, 201)
  t.same(body.attributes, attributes)
})

t.test('deep nesting is refused without harm', async (t) => {
  const payload = `{"email":${'['.repeat(7_000)}${']'.repeat(7_000)}}`
  t.match(await request('POST', '/users', { payload, headers: { 'content-type': 'application/json' } }), { status: 400 })
})

t.test('a body that says that it is packed is refused, whether or not it is', async (t) => {
  const headers = { 'content-type': 'application/json' }
  for (const payload of [gzipSync(JSON.stringify(account)), Buffer.from(JSON.stringify(account))]) {
    for (const encoding of ['gzip', 'br', 'x']) {
      t.match(await request('POST', '/users', { payload, headers: { ...headers, 'content-encoding': encoding } }), { status: 415, body: { code: 'unsupported-media-type', detail: 'Send the body without Content-Encoding.' } })
    }
  }
  t.match(await request('POST', '/auth/login', { payload: JSON.stringify({ email: 'x@example.org', password: 'x' }), headers: { ...headers, 'content-encoding': 'Identity' } }), { status: 401 })
})

for (const [what, bytes] of Object.entries({ 'a lone surrogate': 'eda080', 'no UTF-8 at all': 'ff', 'an overlong form': 'c080', 'half a character': 'e4', 'Latin-1': 'e46e' })) {
  t.test(`bytes that are not UTF-8 are refused, and not replaced: ${what}`, async (t) => {
    const payload = Buffer.concat([Buffer.from(`{"email":"${account.email}","password":"${password}","name":"x`), Buffer.from(bytes, 'hex'), Buffer.from('"}')])
    t.match(await request('POST', '/users', { payload, headers: { 'content-type': 'application/json' } }), { status: 400, body: { code: 'invalid-request', detail: 'The body is not UTF-8.' } })
  })
}

t.test('whole characters beyond the basic plane are no surrogates', async (t) => {
  t.match(await request('POST', '/users', { body: { ...account, name: '🦩 \u{10ffff}' } }), { status: 201, body: { name: '🦩 \u{10ffff}' } })
})

for (const [type, status] of [
  ['application/json', 400], ['application/json; charset=utf-8', 400], ['application/json;', 400], ['application/json\t; charset=utf-8', 400], [' application/json', 400],
  ['APPLICATION/JSON', 400], ['application/json; charset=latin1', 400], ['application/json;charset=', 400],
  ['text/plain', 415], ['application/x-www-form-urlencoded', 415], ['multipart/form-data; boundary=x', 415], ['application/vnd.api+json', 415], ['application/json2', 415],
  ['text/json', 415], ['application/json,text/plain', 415], ['application/ json', 415], ['json', 415], ['application/', 415], ['', 415]
] as const) {
  t.test(`a content type is either checked against the schema or refused: ${JSON.stringify(type)} is ${status}`, async (t) => {
    for (const url of ['/users', '/auth/login']) {
      const { status: answered } = await request('POST', url, { payload: '{"email":1}', headers: { 'content-type': type } })
      t.equal(answered, status, url)
    }
  })
}

t.test('a body without a content type is refused', async (t) => {
  t.match(await request('POST', '/auth/login', { payload: '{"email":1}' }), { status: 415, body: { code: 'unsupported-media-type' } })
})

t.test('a path that takes no body takes the header alone or an empty object, and nothing else', async (t) => {
  const json = { 'content-type': 'application/json' }
  for (const payload of ['{"all":true}', '[1]', '"x"', '1', 'true']) {
    t.match(await request('POST', '/auth/logout', { cookie: another.cookie, headers: json, payload }), { status: 400, body: { detail: 'This path takes no body.' } }, payload)
  }
  for (const options of [{ headers: json, payload: '' }, { headers: json, payload: '{}' }, { headers: json, payload: 'null' }, {}]) {
    const { cookie } = await signUp()
    t.match(await request('POST', '/auth/logout', { cookie, ...options }), { status: 204 }, JSON.stringify(options))
  }
})

for (const [url, bytes] of [['/users', 16_385], ['/auth/login', 16_385], ['/users/me/password', 16_385], ['/users/me', 65_537]] as const) {
  t.test(`a body above the limit of ${url} is refused`, async (t) => {
    const method = { '/users/me/password': 'PUT', '/users/me': 'PATCH' }[url as string] ?? 'POST'
    const send = (length: number) => request(method, url, { payload: `"${'x'.repeat(length - 2)}"`, cookie: person.cookie, headers: { 'content-type': 'application/json' } })
    t.match(await send(bytes), { status: 413, body: { code: 'payload-too-large' } })
    t.match(await send(bytes - 1), { status: 400 })
  })
}

for (const url of ['/?x=1', '/healthz?x=', '/readyz?limit=1', '/openapi.json?x', '/users/me?x=1', '/auth/session?sessionid=1', '/users?Limit=1', '/users?x[a]=1', '/users?__proto__=1', '/users?limit=1&x=2', `/users/${another.id}?x=1`]) {
  t.test(`an unknown query parameter is refused: ${url}`, async (t) => {
    t.match(await request('GET', url, { cookie: administrator.cookie }), { status: 400, body: { code: 'invalid-request', errors: [{ message: 'is not known here' }] } })
  })
}

t.test('true and false are the only booleans of a query', async (t) => {
  for (const [text, status, body] of [['true', 200, { flag: true }], ['false', 200, { flag: false }], ['', 400], ['1', 400], ['TRUE', 400], ['yes', 400], ['true&flag=true', 400]] as const) {
    t.match(await request('GET', `/test/flag?flag=${text}`), { status, ...(body === undefined ? {} : { body }) }, text)
  }
})

t.test('an unknown query parameter is refused where a body is sent, too', async (t) => {
  t.match(await request('POST', '/auth/login?x=1', { body: { email: person.email, password } }), { status: 400 })
  t.match(await request('POST', '/auth/logout?x=1', { cookie: person.cookie }), { status: 400 })
})

t.test('a path with a broken percent sign is refused without being repeated', async (t) => {
  const { status, text } = await request('GET', '/users/%zz-secret')
  t.equal(status, 400)
  t.notMatch(text, 'secret')
})

t.test('a path that is longer than any id is not found', async (t) => {
  t.match(await request('GET', `/users/${'x'.repeat(20_000)}`, { cookie: person.cookie }), { status: 404 })
})

t.test('every answer says that it is not to be kept, guessed at or framed', async (t) => {
  const requests: Array<[string, string]> = [['GET', '/'], ['GET', '/nowhere'], ['GET', '/users/me'], ['GET', '/users/%zz'], ['POST', '/auth/login'], ['GET', '/docs'], ['HEAD', '/healthz']]
  const ids = new Set<unknown>()
  for (const [method, url] of requests) {
    const { headers } = await app.inject({ method: method as 'GET', url })
    t.match(headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', 'x-request-id': /^[0-9a-f-]{36}$/ }, `${method} ${url}`)
    ids.add(headers['x-request-id'])
  }
  t.equal(ids.size, requests.length, 'and each has an id of its own')
  t.match((await request('GET', '/', { headers: { 'x-request-id': 'mine', 'request-id': 'mine' } })).headers['x-request-id'], /^[0-9a-f-]{36}$/, 'which the client does not choose')
  t.match((await request('GET', '/')).headers, { 'content-security-policy': "default-src 'none';frame-ancestors 'none'", 'content-type': 'application/json; charset=utf-8' })
})
