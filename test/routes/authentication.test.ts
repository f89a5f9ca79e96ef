/** Login, logout and sessions over HTTP, and every trap of the session library that we know of. */
import { Signer } from '@fastify/cookie'
import { createHash } from 'node:crypto'
import argon2 from 'argon2'
import type { FastifyInstance } from 'fastify'
import { Writable } from 'node:stream'
import t from 'tap'
import { letTimePass, openTestApp, password, secrets } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'

const database = await openTestDatabase()
const { query } = database

/** Resolves the handler of the extra route when a test says so: a request in flight. */
let release: () => void = () => {}
let arrived: () => void = () => {}
const hidden = { schema: { hide: true } }
/** Requests that change the session's data, as a later feature might; ours do not. */
function extend (app: FastifyInstance): void {
  app.get('/test/note', { ...hidden, config: { access: 'authenticated' } }, async (request) => {
    request.session.set('note' as never, (request.query as { note: string }).note as never)
    return { userId: request.identity.user.id }
  })
  app.get('/test/slow-note', { ...hidden, config: { access: 'authenticated' } }, async (request) => {
    await new Promise<void>((resolve) => { release = resolve; arrived() })
    request.session.set('note' as never, 'late' as never)
    return { userId: request.identity.user.id }
  })
  app.get('/test/impostor', { ...hidden, config: { access: 'authenticated' } }, async (request) => {
    const { id } = request.query as { id: string }
    Object.assign(request.session, { userId: id, user: { id }, isOwner: true })
    request.session.identity = { session: request.currentSession, user: { ...request.identity.user, id } }
    return {}
  })
  app.get('/test/destroy', { ...hidden, config: { access: 'authenticated' } }, async (request) => { await request.session.destroy(); return {} })
  app.get('/test/cookie', { ...hidden, config: { access: 'public' } }, async (_request, reply) => await reply.setCookie('theme', 'dark').send({}))
  app.get('/test/caller', { ...hidden, config: { access: 'public' } }, async (request) => ({ id: request.identity.user.id }))
}
const lines: string[] = []
const stream = new Writable({ write: (chunk, _encoding, done) => { lines.push(String(chunk)); done() } })
const { app, request, register, logIn, signUp, signUpAdministrator } = await openTestApp(database, { extend, logger: { level: 'info', stream } })

const sessions = async () => (await query('SELECT count(*)::int FROM sessions'))[0]?.['count'] as number
const statusWith = async (cookie: string) => (await request('GET', '/auth/session', { cookie })).status
const secretOf = (cookie: string) => decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1)).split('.')[0] as string
const hashOf = (cookie: string) => createHash('sha256').update(secretOf(cookie)).digest('hex')
const login = (email: string, used = password, options = {}) => request('POST', '/auth/login', { body: { email, password: used }, ...options })
const jane = await register({ email: 'jane@example.org' })
const person = await signUp()

t.test('POST /auth/login', async (t) => {
  t.test('signs jane@example.org in with aösdkfjgösdgäs, and sets the cookie sessionid', async (t) => {
    const { status, body, setCookie } = await login('jane@example.org', 'aösdkfjgösdgäs', { headers: { 'user-agent': 'a test' } })
    t.equal(status, 200)
    t.match(body, { user: { id: jane.id, email: 'jane@example.org', lastLoginAt: String }, session: { id: String, ip: '127.0.0.1', userAgent: 'a test', current: true } })
    t.same(Object.keys(body).sort(), ['session', 'user'])
    t.same(Object.keys(body.session).sort(), ['createdAt', 'current', 'expiresAt', 'id', 'ip', 'lastSeenAt', 'userAgent'])
    t.equal(setCookie.length, 1)
    const [pair, ...attributes] = (setCookie[0] as string).split('; ')
    t.match(pair, /^sessionid=[\w-]{32}\.[^;]+$/)
    t.same(attributes.filter((attribute) => !attribute.startsWith('Expires=')).sort(), ['HttpOnly', 'Path=/', 'SameSite=Lax'])
    t.equal(await statusWith(pair as string), 200)
  })

  t.test('answers a wrong password with 401 and no cookie at all', async (t) => {
    t.match(await login('jane@example.org', 'wrong'), { status: 401, body: { code: 'invalid-credentials' }, setCookie: [] })
    t.notOk('set-cookie' in (await login('jane@example.org', 'wrong')).headers)
  })

  t.test('sets no cookie with 401 either when a living, a dead or a forged one was sent, and ends nothing', async (t) => {
    const dead = await logIn(jane)
    await request('POST', '/auth/logout', { cookie: dead })
    for (const cookie of [person.cookie, dead, 'sessionid=forged', 'sessionid=']) {
      const answer = await login('jane@example.org', 'wrong', { cookie })
      t.equal(answer.status, 401)
      t.notOk('set-cookie' in answer.headers, cookie)
    }
    t.equal(await statusWith(person.cookie), 200)
  })

  t.test('answers unknown e-mail, wrong password and deactivated account with the same bytes', async (t) => {
    const deactivated = await register()
    await query('UPDATE users SET is_active = false WHERE id = $1', [deactivated.id])
    const answers = []
    for (const [email, used] of [['jane@example.org', 'wrong'], ['nobody@example.org', password], ['no address', password], [deactivated.email, password], [deactivated.email, 'wrong'], ['jane@example.org', 'x'.repeat(1_000)]] as const) {
      const { status, headers: { date, 'x-request-id': _id, ...headers }, text } = await login(email, used)
      answers.push(JSON.stringify({ status, headers, text }))
    }
    t.equal(new Set(answers).size, 1)
  })

  t.test('takes the e-mail in any case with blanks around it, and the password as it is', async (t) => {
    t.match(await login('  JANE@Example.ORG '), { status: 200 })
    t.match(await login('jane@example.org', ` ${password}`), { status: 401 })
    t.match(await login('jane@example.org', password.toUpperCase()), { status: 401 })
    t.match(await login('jane@example.org', password.normalize('NFD')), { status: 200 })
  })

  t.test('refuses an empty e-mail or password', async (t) => {
    t.match(await login('', password), { status: 400, body: { errors: [{ path: '/email' }] } })
    t.match(await login('jane@example.org', ''), { status: 400, body: { errors: [{ path: '/password' }] } })
  })

  t.test('starts a new session and ends the one whose cookie came with it', async (t) => {
    const first = await logIn(jane)
    const second = await logIn(jane, { cookie: first })
    t.not(second, first)
    t.equal(await statusWith(first), 401)
    t.equal(await statusWith(second), 200)
  })

  t.test('is not disturbed by a bearer token or an unreadable cookie', async (t) => {
    t.match(await login('jane@example.org', password, { headers: { authorization: 'Bearer x' } }), { status: 200 })
    t.match(await login('jane@example.org', password, { cookie: 'sessionid=%E0%A4%A; =; ;;sessionid' }), { status: 200 })
  })
})

t.test('POST /auth/logout', async (t) => {
  t.test('ends the session on the server and clears the cookie', async (t) => {
    const cookie = await logIn(jane)
    const { status, setCookie, text } = await request('POST', '/auth/logout', { cookie })
    t.equal(status, 204)
    t.equal(text, '')
    t.same(setCookie, ['sessionid=; Max-Age=0; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax'])
    t.equal(await statusWith(cookie), 401)
    t.same(await query('SELECT 1 FROM sessions WHERE encode(secret_hash, \'hex\') = $1', [hashOf(cookie)]), [])
    t.match(await request('POST', '/auth/logout', { cookie }), { status: 401, setCookie: [] }, 'twice')
  })

  t.test('needs a session, and ends only that', async (t) => {
    t.match(await request('POST', '/auth/logout'), { status: 401 })
    const [one, other] = [await logIn(jane), await logIn(jane)]
    await request('POST', '/auth/logout', { cookie: one })
    t.equal(await statusWith(other), 200)
  })
})

t.test('GET /auth/session shows the user and the session, or 401', async (t) => {
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), { status: 200, body: { user: { id: person.id }, session: { current: true } } })
  t.match(await request('GET', '/auth/session'), { status: 401, body: { code: 'unauthenticated' } })
})

t.test('a bearer token counts alone, and a bad one lets nobody in', async (t) => {
  for (const authorization of ['Bearer x', 'bearer x', 'BEARER', 'Bearer ', 'Bearer\tx']) {
    t.match(await request('GET', '/auth/session', { cookie: person.cookie, headers: { authorization } }), {
      status: 401, body: { code: 'unauthenticated' }, headers: { 'www-authenticate': 'Bearer realm="gatehouse", error="invalid_token"' }, setCookie: []
    }, authorization)
  }
  for (const authorization of ['Basic eDp5', '', 'Bearerx']) {
    t.match(await request('GET', '/auth/session', { cookie: person.cookie, headers: { authorization } }), { status: 200 }, authorization)
  }
})

t.test('an anonymous request makes no session and sets no cookie, wherever it goes', async (t) => {
  const before = await sessions()
  for (const cookie of ['', 'sessionid=x', 'sessionid=x.y', `${person.cookie}x`, 'theme=dark']) {
    for (const [method, url] of [['GET', '/'], ['GET', '/healthz'], ['GET', '/nowhere'], ['GET', '/users/me'], ['POST', '/auth/logout'], ['GET', '/openapi.json'], ['PATCH', '/users/x']] as const) {
      t.same((await request(method, url, { cookie })).setCookie, [], `${method} ${url} ${cookie}`)
    }
  }
  t.equal(await sessions(), before)
})

t.test('a request of a signed-in user reads the session in one statement and writes nothing', async (t) => {
  const cookie = await logIn(jane)
  for (const [method, url, expected] of [['GET', '/auth/session', 1], ['HEAD', '/auth/session', 1], ['GET', '/roles', 2], ['GET', '/nowhere', 0], ['GET', '/', 0], ['GET', '/docs', 0]] as const) {
    const statements = await countStatements(() => app.inject({ method, url, headers: { cookie } }), database)
    t.equal(statements.length, expected, `${method} ${url}`)
    t.notOk(statements.some((sql) => /INSERT|UPDATE|DELETE/.test(sql)))
  }
  t.same((await request('GET', '/auth/session', { cookie })).setCookie, [])
})

t.test('a cookie with a bad signature costs no statement', async (t) => {
  t.same(await countStatements(() => request('GET', '/auth/session', { cookie: `sessionid=${secretOf(person.cookie)}.forged` }), database), [])
})

t.test('a login needs no more statements than these', async (t) => {
  const statements = await countStatements(() => login('jane@example.org'), database)
  t.same(statements.map((sql) => sql.trim().split(/\s/, 1)[0]), ['SELECT', 'BEGIN', 'UPDATE', 'WITH', 'COMMIT'])
})

/** A request in flight with this cookie; `finish` lets it answer. */
async function startSlowRequest (cookie: string) {
  const arrival = new Promise<void>((resolve) => { arrived = resolve })
  const answer = request('GET', '/test/slow-note', { cookie })
  await arrival
  return { finish: async () => { release(); return await answer } }
}

t.test('a request in flight that changes its session cannot bring it back after logout', async (t) => {
  const cookie = await logIn(jane)
  const slow = await startSlowRequest(cookie)
  t.match(await request('POST', '/auth/logout', { cookie }), { status: 204 })
  const before = await sessions()
  t.match(await slow.finish(), { status: 200, setCookie: [] })
  t.equal(await sessions(), before)
  t.equal(await statusWith(cookie), 401)
})

t.test('a request in flight cannot bring its session back after a new login, nor put its cookie over the new one', async (t) => {
  const old = await logIn(jane)
  const slow = await startSlowRequest(old)
  const fresh = await logIn(jane, { cookie: old })
  t.match(await slow.finish(), { status: 200, setCookie: [] })
  t.same([await statusWith(old), await statusWith(fresh)], [401, 200])
})

t.test('a request in flight cannot bring its session back after deactivation or a new password', async (t) => {
  const administrator = await signUpAdministrator()
  const [one, two] = [await signUp(), await signUp()]
  const deactivated = await startSlowRequest(one.cookie)
  await request('PATCH', `/users/${one.id}`, { cookie: administrator.cookie, body: { isActive: false } })
  await deactivated.finish()
  await request('PATCH', `/users/${one.id}`, { cookie: administrator.cookie, body: { isActive: true } })
  t.equal(await statusWith(one.cookie), 401)
  const other = await logIn(two)
  const changed = await startSlowRequest(two.cookie)
  await request('PUT', '/users/me/password', { cookie: other, body: { currentPassword: password, newPassword: 'quite another password' } })
  await changed.finish()
  t.equal(await statusWith(two.cookie), 401)
})

t.test('the session from before a login is dead after it, in the database too', async (t) => {
  const before = await logIn(jane)
  await logIn(jane, { cookie: before })
  t.same(await query('SELECT 1 FROM sessions WHERE encode(secret_hash, \'hex\') = $1', [hashOf(before)]), [])
})

t.test('an id that somebody planted before the login is not the one that gets signed in', async (t) => {
  // Well signed, and of no session.
  const planted = `sessionid=${encodeURIComponent(new Signer(secrets).sign('planted-by-somebody-else'))}`
  const ended = await logIn(jane)
  await request('POST', '/auth/logout', { cookie: ended })
  for (const cookie of [planted, ended]) {
    const fresh = await logIn(jane, { cookie })
    t.not(secretOf(fresh), secretOf(cookie))
    t.equal(await statusWith(cookie), 401)
  }
})

t.test('four logins at once with one old session make four that live and one that is dead, and all of them can be ended', async (t) => {
  const user = await signUp()
  const cookies = await Promise.all(Array.from({ length: 4 }, () => logIn(user, { cookie: user.cookie })))
  t.equal(new Set(cookies).size, 4)
  t.equal(await statusWith(user.cookie), 401)
  t.same(await Promise.all(cookies.map(statusWith)), [200, 200, 200, 200])
  await request('PUT', '/users/me/password', { cookie: cookies[0] as string, body: { currentPassword: password, newPassword: 'quite another password' } })
  t.same(await Promise.all(cookies.map(statusWith)), [200, 401, 401, 401])
})

t.test('who is signed in is no part of the session\'s data, which a request may overwrite', async (t) => {
  const cookie = await logIn(person)
  t.match(await request('GET', `/test/impostor?id=${jane.id}`, { cookie }), { status: 200, setCookie: [] })
  t.match(await request('GET', '/auth/session', { cookie }), { body: { user: { id: person.id } } })
  t.match(await request('GET', '/users', { cookie }), { status: 403 })
  await Promise.all(['one', 'two', 'three'].map((note) => request('GET', `/test/note?note=${note}`, { cookie })))
  t.match(await request('GET', '/auth/session', { cookie }), { status: 200, body: { user: { id: person.id } } })
  const [row] = await query('SELECT data, user_id FROM sessions WHERE encode(secret_hash, \'hex\') = $1', [hashOf(cookie)])
  t.equal(row?.['user_id'], person.id)
  t.match(row?.['data'], { note: /^(one|two|three)$/ })
  t.notOk('identity' in row?.['data'] || 'cookie' in row?.['data'], 'and neither the caller nor the cookie is stored')
})

t.test('a session ends after the idle time and after the absolute time', async (t) => {
  const short = await openTestApp(database, { environment: { SESSION_IDLE_HOURS: '1', SESSION_MAX_DAYS: '0.1' } })
  const status = async (cookie: string) => (await short.request('GET', '/auth/session', { cookie })).status
  const [idle, busy] = [await short.logIn(jane), await short.logIn(jane)]
  await letTimePass(database, 3_500)
  t.equal(await status(busy), 200)
  await letTimePass(database, 200)
  t.same([await status(idle), await status(busy)], [401, 200])
  await letTimePass(database, 3_300)
  t.equal(await status(busy), 200)
  const { body } = await short.request('GET', '/auth/session', { cookie: busy })
  t.equal(new Date(body.session.expiresAt).getTime() - new Date(body.session.createdAt).getTime(), 8_640_000)
  await letTimePass(database, 1_700)
  t.equal(await status(busy), 401, 'after 8700 seconds')
})

t.test('an expired cookie makes no new row and no new cookie, however often it comes', async (t) => {
  const cookie = await logIn(jane)
  await query('UPDATE sessions SET expires_at = now() - interval \'1 second\' WHERE encode(secret_hash, \'hex\') = $1', [hashOf(cookie)])
  const before = await sessions()
  for (let round = 0; round < 3; round++) t.match(await request('GET', '/auth/session', { cookie }), { status: 401, setCookie: [] })
  t.equal(await sessions(), before)
})

t.test('beyond SESSION_MAX_PER_USER the least recently seen session ends', async (t) => {
  const few = await openTestApp(database, { environment: { SESSION_MAX_PER_USER: '2' } })
  const user = await register()
  const cookies = []
  for (let count = 0; count < 3; count++) {
    cookies.push(await few.logIn(user))
    await letTimePass(database, 10)
  }
  t.same(await Promise.all(cookies.map(statusWith)), [401, 200, 200])
})

t.test('the configuration decides about the cookie, and nothing of it is stored', async (t) => {
  const cookie = await logIn(jane)
  await request('GET', '/test/note?note=x', { cookie })
  t.same(await query('SELECT data FROM sessions WHERE encode(secret_hash, \'hex\') = $1', [hashOf(cookie)]), [{ data: { note: 'x' } }])
  const later = await openTestApp(database, { environment: { SESSION_MAX_DAYS: '1' } })
  t.match(await later.request('GET', '/auth/session', { cookie }), { status: 200, setCookie: [] })
  const { setCookie } = await later.request('POST', '/auth/login', { cookie, body: { email: jane.email, password } })
  const expires = new Date(/Expires=([^;]+)/.exec(setCookie[0] as string)?.[1] as string).getTime()
  t.ok(Math.abs(expires - Date.now() - 86_400_000) < 60_000)
})

t.test('of two cookies of the name the first counts, and only the exact name does', async (t) => {
  for (const [cookie, status] of [
    [`${person.cookie}; sessionid=bad`, 200],
    [`sessionid=bad; ${person.cookie}`, 401],
    [person.cookie.replace('sessionid', 'SessionId'), 401],
    [person.cookie.replace('sessionid', '__Host-sessionid'), 401],
    [`theme=%E0%A4%A; ${person.cookie}`, 200],
    [`big=${'x'.repeat(8_000)}; ${person.cookie}`, 200]
  ] as const) {
    t.equal(await statusWith(cookie), status, cookie.slice(0, 40))
  }
})

t.test('an id in the query string is refused, not used', async (t) => {
  t.equal((await request('GET', `/auth/session?${person.cookie}`)).status, 401)
})

t.test('after logout nothing that looks at the session fails, and the request is still logged', async (t) => {
  const cookie = await logIn(jane)
  lines.length = 0
  const { headers } = await request('POST', '/auth/logout', { cookie })
  t.match(JSON.parse(lines.at(-1) as string), { level: 30, msg: 'request', requestId: headers['x-request-id'], method: 'POST', path: '/auth/logout', status: 204, userId: jane.id })
})

t.test('the log has one line a request, with neither query, password nor cookie', async (t) => {
  lines.length = 0
  await login('jane@example.org', 'hunter2hunter2', { cookie: person.cookie })
  await request('GET', '/users/me?email=jane@example.org', { cookie: person.cookie })
  await request('GET', '/nowhere')
  t.match(lines.map((line) => JSON.parse(line)), [
    { path: '/auth/login', status: 401, ms: Number, ip: '127.0.0.1' },
    { path: '/users/me', status: 400, userId: person.id },
    { path: '/nowhere', status: 404 }
  ])
  t.equal(lines.length, 3)
  t.notMatch(lines.join(''), /hunter2|jane@example|sessionid/)
})

t.test('a session that is ended by the library\'s own means is ended in the database', async (t) => {
  const cookie = await logIn(jane)
  t.match(await request('GET', '/test/destroy', { cookie }), { status: 200, setCookie: [] })
  t.equal(await statusWith(cookie), 401)
})

t.test('the database holds a hash of the id in the cookie, and its copy opens nothing', async (t) => {
  const cookie = await logIn(jane)
  const [row] = await query('SELECT encode(secret_hash, \'hex\') AS hex, encode(secret_hash, \'base64\') AS text, s::text AS whole FROM sessions s WHERE encode(secret_hash, \'hex\') = $1', [hashOf(cookie)])
  t.notMatch(row?.['whole'], secretOf(cookie))
  for (const stolen of [row?.['hex'], row?.['text'], secretOf(cookie)]) t.equal(await statusWith(`sessionid=${encodeURIComponent(stolen)}`), 401)
})

t.test('a cookie signed with an older secret still counts, one with an unknown secret does not', async (t) => {
  const signedWith = (secret: string) => `sessionid=${encodeURIComponent(new Signer(secret).sign(secretOf(person.cookie)))}`
  t.same(await Promise.all([...secrets, 'a secret that the service does not have'].map((secret) => statusWith(signedWith(secret)))), [200, 200, 401])
})

t.test('cookies of other names pass, with and without a session', async (t) => {
  t.match(await request('GET', '/test/cookie'), { setCookie: ['theme=dark'] })
  t.match(await request('GET', '/test/cookie', { cookie: person.cookie }), { setCookie: ['theme=dark'] })
})

t.test('a public route has no caller, even with a cookie', async (t) => {
  t.match(await request('GET', '/test/caller', { cookie: person.cookie }), { status: 401, body: { code: 'unauthenticated' } })
})

t.test('six logins race a change of the password and leave one session', async (t) => {
  const user = await signUp()
  await Promise.all([
    ...Array.from({ length: 6 }, () => login(user.email)),
    request('PUT', '/users/me/password', { cookie: user.cookie, body: { currentPassword: password, newPassword: 'quite another password' } })
  ])
  t.same(await query('SELECT count(*)::int FROM sessions WHERE user_id = $1', [user.id]), [{ count: 1 }])
  t.equal(await statusWith(user.cookie), 200)
})

t.test('a stored hash that is broken is a wrong password, whatever is broken about it', async (t) => {
  const user = await register()
  for (const parameters of ['m=4194304,t=3,p=4', 'm=63,t=2,p=8', 'm=19456,t=2,p=1,', 'm=19456,t=2,p=1,x', 'nothing']) {
    const hash = `$argon2id$v=19$${parameters}$HUJ4rGLhXGMiBWbKqE4OJg$Z18BMXQlAPeaKrlvhzQf58XSu3EwQ3zCvMLgQAj8LSg`
    await query('UPDATE users SET password_hash = $2 WHERE id = $1', [user.id, hash])
    t.match(await login(user.email), { status: 401, body: { code: 'invalid-credentials' }, setCookie: [] }, parameters)
  }
})

t.test('a stored hash with the parameters of earlier days lets its owner in, and has those of today from then on', async (t) => {
  const user = await register()
  const hash = async () => (await query('SELECT password_hash AS hash FROM users WHERE id = $1', [user.id]))[0]?.['hash'] as string
  for (const old of [{ memoryCost: 12_288, timeCost: 3, parallelism: 1 }, { memoryCost: 65_536, timeCost: 3, parallelism: 4 }]) {
    await query('UPDATE users SET password_hash = $2 WHERE id = $1', [user.id, await argon2.hash(password.normalize('NFC'), old)])
    const stored = await hash()
    t.match(await login(user.email, 'wrong'), { status: 401 })
    t.equal(await hash(), stored, 'a wrong password replaces nothing')
    t.match(await login(user.email), { status: 200, body: { user: { id: user.id } } })
    const replaced = await hash()
    t.match(replaced, /^\$argon2id\$v=19\$m=19456,(t=2,p=1|p=1,t=2)\$/)
    t.match(await login(user.email), { status: 200 })
    t.equal(await hash(), replaced, 'once')
  }
})
