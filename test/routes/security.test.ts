/** Where requests come from: cross-site, CORS, https, proxies; and the parts of the application that work behind the routes. */
import { Writable } from 'node:stream'
import t from 'tap'
import { buildApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { openTestApp, password, secrets } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const { query } = database
const plain = await openTestApp(database)
const person = await plain.signUp({ email: 'person@example.org' })
const loginBody = { email: person.email, password }

t.test('a change that a browser marks as coming from elsewhere is refused', async (t) => {
  for (const [what, headers, isRefused] of [
    ['no header, as programs send', {}, false],
    ['a fetch of the same origin', { 'sec-fetch-site': 'same-origin' }, false],
    ['typed or bookmarked', { 'sec-fetch-site': 'none' }, false],
    ['another site', { 'sec-fetch-site': 'cross-site' }, true],
    ['a sibling domain', { 'sec-fetch-site': 'same-site' }, true],
    ['a value that nobody knows', { 'sec-fetch-site': 'SAME-ORIGIN' }, true],
    ['an empty value', { 'sec-fetch-site': '' }, true],
    ['our own origin', { origin: 'http://127.0.0.1:3000' }, false],
    ['another origin', { origin: 'https://evil.example' }, true],
    ['our name on another port', { origin: 'http://127.0.0.1:3001' }, true],
    ['our name with another scheme', { origin: 'https://127.0.0.1:3000' }, true],
    ['an origin that ends as ours does', { origin: 'http://evil.127.0.0.1:3000' }, true],
    ['an opaque origin', { origin: 'null' }, true],
    ['the site before the origin, when it is good', { 'sec-fetch-site': 'same-origin', origin: 'https://evil.example' }, false],
    ['the site before the origin, when it is bad', { 'sec-fetch-site': 'cross-site', origin: 'http://127.0.0.1:3000' }, true]
  ] as const) {
    for (const [method, url, body] of [
      ['POST', '/auth/login', loginBody], ['POST', '/users', {}], ['PATCH', '/users/me', {}], ['PUT', '/users/me/password', {}], ['POST', '/auth/logout', undefined], ['PATCH', `/users/${person.id}`, {}]
    ] as const) {
      const { cookie } = person
      const answer = await plain.request(method, url, { body, headers, ...(url === '/auth/logout' ? {} : { cookie }) })
      t.equal(answer.status === 403 && answer.body.code === 'cross-site', isRefused, `${what}: ${method} ${url}`)
      if (url === '/auth/login' && !isRefused) person.cookie = String(answer.setCookie[0]?.split(';', 1)[0])
    }
  }
})

t.test('reading from elsewhere is not refused, and neither is a bearer token, which no browser sends on its own', async (t) => {
  t.match(await plain.request('GET', '/users/me', { cookie: person.cookie, headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } }), { status: 200 })
  t.match(await plain.request('PATCH', '/users/me', { body: {}, headers: { authorization: 'Bearer x', 'sec-fetch-site': 'cross-site' } }), { status: 401, body: { code: 'unauthenticated' } })
})

t.test('the own origin is that of PUBLIC_URL, or else of HOST and the port that is listened on', async (t) => {
  const isTaken = async (app: Awaited<ReturnType<typeof openTestApp>>, origin: string) => (await app.request('POST', '/users', { body: {}, headers: { origin } })).status === 400
  const open = (environment: Record<string, string>) => openTestApp(database, { environment })
  const published = await open({ PUBLIC_URL: 'http://gate.example.org:8080' })
  t.same([await isTaken(published, 'http://gate.example.org:8080'), await isTaken(published, 'http://127.0.0.1:3000')], [true, false])
  const onSix = await open({ HOST: '::1', PORT: '4000' })
  t.same([await isTaken(onSix, 'http://[::1]:4000'), await isTaken(onSix, 'http://::1:4000')], [true, false])
  const anyPort = await open({ PORT: '0' })
  await anyPort.app.listen({ host: '127.0.0.1', port: 0 })
  t.match(anyPort.app.listenOrigin(), /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
  t.equal(await isTaken(anyPort, anyPort.app.listenOrigin()), true)
})

const origin = 'https://app.example.org'
const preflight = { origin, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'content-type' }

t.test('without CORS_ORIGINS no answer mentions CORS', async (t) => {
  for (const [method, url] of [['GET', '/'], ['GET', '/nowhere'], ['OPTIONS', '/users/me']] as const) {
    const { headers, status } = await plain.request(method, url, { headers: preflight })
    t.same(Object.keys(headers).filter((name) => name.startsWith('access-control')), [])
    if (method === 'OPTIONS') t.equal(status, 404)
  }
})

t.test('with CORS_ORIGINS', async (t) => {
  const shared = await openTestApp(database, { environment: { CORS_ORIGINS: `${origin},http://localhost:5173` } })

  t.test('a listed origin may read with its cookie, errors too', async (t) => {
    for (const [url, cookie, status] of [['/users/me', person.cookie, 200], ['/users/me', '', 401], ['/nowhere', '', 404]] as const) {
      const answer = await shared.request('GET', url, { headers: { origin }, cookie })
      t.equal(answer.status, status)
      t.match(answer.headers, { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', vary: /origin/i, 'access-control-expose-headers': /x-request-id/ })
    }
  })

  t.test('another origin gets no permission', async (t) => {
    for (const other of ['https://evil.example', 'https://app.example.org.evil.example', 'http://app.example.org', 'null']) {
      t.notOk('access-control-allow-origin' in (await shared.request('GET', '/users/me', { headers: { origin: other } })).headers, other)
    }
  })

  t.test('a listed origin may change, as far as the browser gives no other site', async (t) => {
    t.match(await shared.request('PATCH', '/users/me', { headers: { origin }, cookie: person.cookie, body: {} }), { status: 200 })
    t.match(await shared.request('PATCH', '/users/me', { headers: { origin: 'https://evil.example' }, cookie: person.cookie, body: {} }), { status: 403, body: { code: 'cross-site' } })
  })

  t.test('a preflight is answered, wherever it goes', async (t) => {
    for (const url of ['/users/me', '/nowhere']) {
      t.match(await shared.request('OPTIONS', url, { headers: preflight }), { status: 204, text: '', headers: { 'access-control-allow-origin': origin, 'access-control-allow-methods': /PATCH/, 'access-control-allow-headers': 'content-type' } })
    }
    t.notOk('access-control-allow-origin' in (await shared.request('OPTIONS', '/users/me', { headers: { ...preflight, origin: 'https://evil.example' } })).headers)
  })

  t.test('an OPTIONS that is no preflight is a method that no path has', async (t) => {
    for (const headers of [{}, { origin }, { 'access-control-request-method': 'PATCH' }]) t.match(await shared.request('OPTIONS', '/users', { headers }), { status: 404, body: { code: 'not-found' } })
  })
})

t.test('with an https PUBLIC_URL', async (t) => {
  const secure = await openTestApp(database, { environment: { PUBLIC_URL: 'https://gate.example.org', TRUST_PROXY: '127.0.0.1' } })
  const logIn = (headers: Record<string, string>) => secure.request('POST', '/auth/login', { body: loginBody, headers })

  for (const [what, headers] of Object.entries({
    'that says so': { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'gate.example.org' },
    'that says nothing': {},
    'that says http': { 'x-forwarded-proto': 'http' }
  })) {
    t.test(`the cookie is __Host-sessionid and Secure behind a proxy ${what}`, async (t) => {
      const { status, setCookie } = await logIn(headers as Record<string, string>)
      t.equal(status, 200)
      t.equal(setCookie.length, 1)
      const [pair, ...attributes] = (setCookie[0] as string).split('; ')
      t.match(pair, /^__Host-sessionid=/)
      t.same(attributes.filter((attribute) => !attribute.startsWith('Expires=')).sort(), ['HttpOnly', 'Path=/', 'SameSite=Lax', 'Secure'])
      const cookie = pair as string
      t.match(await secure.request('GET', '/auth/session', { cookie }), { status: 200, setCookie: [] })
      t.match(await secure.request('GET', '/auth/session', { cookie: cookie.replace('__Host-', '') }), { status: 401 })
      t.match(await secure.request('POST', '/auth/logout', { cookie, headers: headers as Record<string, string> }), {
        status: 204, setCookie: ['__Host-sessionid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax']
      })
      t.match(await secure.request('GET', '/auth/session', { cookie }), { status: 401, setCookie: [] })
    })
  }

  t.test('the cookie is set behind a proxy that is not trusted, too', async (t) => {
    const untrusting = await openTestApp(database, { environment: { PUBLIC_URL: 'https://gate.example.org' } })
    const { setCookie } = await untrusting.request('POST', '/auth/login', { body: loginBody })
    t.match(setCookie, [/^__Host-sessionid=.*; Secure/])
  })

  t.test('browsers are told to stay with https, and only then', async (t) => {
    t.match((await secure.request('GET', '/')).headers, { 'strict-transport-security': /max-age=31536000/ })
    t.notOk('strict-transport-security' in (await plain.request('GET', '/')).headers)
    t.notOk('strict-transport-security' in (await plain.request('GET', '/', { headers: { 'x-forwarded-proto': 'https' } })).headers)
  })

  t.test('the document names that cookie', async (t) => {
    t.equal(secure.document().components.securitySchemes['session']?.['name'], '__Host-sessionid')
    t.equal(plain.document().components.securitySchemes['session']?.['name'], 'sessionid')
  })
})

t.test('the address of a client is taken from a header only where it comes from a trusted proxy', async (t) => {
  const apps: Record<string, Awaited<ReturnType<typeof openTestApp>>> = { '': plain }
  for (const [trusted, remoteAddress, forwarded, expected] of [
    ['', '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['', '127.0.0.1', '203.0.113.9', '127.0.0.1'],
    ['10.0.0.0/8', '10.1.2.3', '203.0.113.9', '203.0.113.9'],
    ['10.0.0.0/8', '10.1.2.3', '198.51.100.1, 203.0.113.9', '203.0.113.9'],
    ['10.0.0.0/8', '10.1.2.3', '203.0.113.9, 10.9.9.9', '203.0.113.9'],
    ['10.0.0.0/8', '192.0.2.1', '203.0.113.9', '192.0.2.1'],
    ['10.0.0.0/8,::1', '::1', '203.0.113.9', '203.0.113.9'],
    ['10.0.0.0/8', '10.1.2.3', '', '10.1.2.3']
  ] as const) {
    apps[trusted] ??= await openTestApp(database, { environment: { TRUST_PROXY: trusted } })
    const { body } = await apps[trusted].request('POST', '/auth/login', { body: loginBody, remoteAddress, headers: forwarded === '' ? {} : { 'x-forwarded-for': forwarded } })
    t.equal(body.session.ip, expected, `${trusted || 'nobody'} is trusted, ${remoteAddress} says ${forwarded || 'nothing'}`)
  }
})

t.test('no secret stands in for another, and none counts in a query', async (t) => {
  const { cookie } = await plain.signUp()
  await plain.request('POST', '/users/me/tokens', { cookie, body: { name: 'first' } })
  const { body: { token } } = await plain.request('POST', '/users/me/tokens', { cookie, body: { name: 'second' } })
  const { body: { nextCursor } } = await plain.request('GET', '/users/me/tokens?limit=1', { cookie })
  const value = decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1))
  for (const [what, answer] of Object.entries({
    'the cookie as a token': plain.request('GET', '/users/me', { token: value }),
    'the id in it as a token': plain.request('GET', '/users/me', { token: value.split('.')[0] as string }),
    'a cursor as a token': plain.request('GET', '/users/me', { token: nextCursor }),
    'a token as a cookie': plain.request('GET', '/users/me', { cookie: `sessionid=${token}` }),
    'a cursor as a cookie': plain.request('GET', '/users/me', { cookie: `sessionid=${nextCursor}` }),
    'a token in another scheme': plain.request('GET', '/users/me', { headers: { authorization: `Basic ${Buffer.from(`${token}:`).toString('base64')}` } }),
    'a token in the query': plain.request('GET', `/users/me?access_token=${token}`)
  })) {
    t.match(await answer, { status: 401, body: { code: 'unauthenticated' } }, what)
  }
  t.match(await plain.request('GET', `/users/me?access_token=${token}`, { cookie }), { status: 400 }, 'nor does it pass beside a cookie')
  t.match(await plain.request('GET', `/users/me/tokens?cursor=${token}`, { cookie }), { status: 400 }, 'a token as a cursor')
})

t.test('an application with a route that does not say who may call it does not start, and names every such route', async (t) => {
  const app = await buildApp({ config: readConfig({}), databaseUrl: database.url, secrets })
  t.teardown(() => app.close())
  const handler = async () => ({})
  // What TypeScript refuses, and a plugin that was written elsewhere does.
  const careless = app as unknown as { get: (url: string, ...rest: unknown[]) => void, route: (route: object) => void }
  careless.get('/undeclared', handler)
  careless.get('/declared', { config: { access: 'public' } }, handler)
  careless.route({ method: ['PUT', 'DELETE'], url: '/undeclared/:id', config: {}, handler })
  await t.rejects(async () => { await app.ready() }, { message: 'Routes without config.access, which says who may call them: GET /undeclared; HEAD /undeclared; PUT,DELETE /undeclared/:id' })
})

t.test('an application with a route that does not say what it takes does not start, and names every such route', async (t) => {
  const app = await buildApp({ config: readConfig({}), databaseUrl: database.url, secrets })
  t.teardown(() => app.close())
  const handler = async () => ({})
  const config = { access: 'public' } as const
  app.get('/unchecked', { config }, handler)
  app.get('/checked', { config, schema: { hide: true } }, handler)
  app.route({ method: ['PUT', 'DELETE'], url: '/unchecked/:id', config, handler })
  await t.rejects(async () => { await app.ready() }, { message: 'Routes without a schema, which says what they take: GET /unchecked; HEAD /unchecked; PUT,DELETE /unchecked/:id' })
})

t.test('what has expired is removed in the background, and a failure is logged', async (t) => {
  const real = globalThis.setInterval
  const ticks: Array<() => void> = []
  t.intercept(globalThis, 'setInterval', { value: (tick: () => void, ms: number) => { if (ms === 600_000) ticks.push(tick); return real(tick, ms) } })
  const lines: string[] = []
  const logger = { level: 'info', stream: new Writable({ write: (chunk, _encoding, done) => { lines.push(String(chunk)); done() } }) }
  const build = async (databaseUrl: string) => {
    const app = await buildApp({ config: readConfig({}), databaseUrl, secrets, logger })
    await app.ready()
    return app
  }
  /** Runs the work of a tick to its end, which closing the application waits for. */
  const tick = async (app: Awaited<ReturnType<typeof build>>) => {
    lines.length = 0
    ticks.shift()?.()
    await app.close()
    return lines.map((line) => JSON.parse(line)).filter(({ msg }) => /expired/.test(msg))
  }
  await plain.request('POST', '/auth/login', { body: loginBody })
  t.same(await tick(await build(database.url)), [], 'nothing to say where nothing has expired')
  await query("UPDATE sessions SET expires_at = now() - interval '1 second'")
  await query("INSERT INTO rate_limits VALUES ('old', 1, 0)")
  const [{ count }] = await query('SELECT count(*)::int FROM sessions') as [{ count: number }]
  t.match(await tick(await build(database.url)), [{ level: 30, sessions: count, limits: 1, msg: 'removed what has expired' }])
  t.same(await query('SELECT count(*)::int FROM sessions'), [{ count: 0 }])
  t.match(await tick(await build('postgresql://nobody@127.0.0.1:1/nothing')), [{ level: 40, msg: /could not be removed/ }])
})

t.test('a statement is prepared once on a connection, and their number is bounded', async (t) => {
  const { app } = await openTestApp(database)
  const prepared = async () => Number((await app.prisma.$queryRaw<Array<{ count: bigint }>>`SELECT count(*) FROM pg_prepared_statements`)[0]?.count)
  for (let round = 0; round < 3; round++) await app.prisma.user.count()
  t.ok(await prepared() <= 3)
  for (let number = 0; number < 600; number++) await app.prisma.$queryRawUnsafe(`SELECT ${number}`)
  t.ok(await prepared() <= 500)
  t.same(await app.prisma.$queryRawUnsafe('SELECT 599 AS number'), [{ number: 599 }])
})
