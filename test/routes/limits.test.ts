/** Limits on guessing over HTTP: 429 and its headers, whose address counts, and what goes on in spite of a limit. */
import t from 'tap'
import { openTestApp, password, type RequestOptions } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const environment = { RATE_LIMIT: 'on', TRUST_PROXY: '127.0.0.1' }
const { request, register, signUp } = await openTestApp(database, { environment })
const second = await openTestApp(database, { environment })
const untrusting = await openTestApp(database, { environment: { RATE_LIMIT: 'on' } })

let counter = 0
const newAddress = () => `10.0.${++counter >> 8}.${counter & 255}`
const from = (address: string): RequestOptions => ({ headers: { 'x-forwarded-for': address } })
const logIn = async (email: string, given: string, options: RequestOptions = from(newAddress()), at = request) =>
  await at('POST', '/auth/login', { ...options, body: { email, password: given } })
const failLogins = async (count: number, email: string, options?: RequestOptions) => {
  for (let index = 0; index < count; index++) t.match(await logIn(email, 'wrong', options), { status: 401, setCookie: [] })
}
/** Two seconds, the first wait, may pass on a busy machine while a test goes on. */
const lengthenWaits = async () => await database.query('UPDATE rate_limits SET expire = expire + 600000')
/** Counts so many, of one kind, for whoever has used up one or more: that each is counted, test/services/limits.test.ts shows without a password. */
const count = async (limit: string, points: number) => await database.query("UPDATE rate_limits SET points = $2 WHERE key LIKE $1 || ':%'", [limit, points])
/** The cookies of an answer, to be sent again. */
const jarOf = (setCookie: string[]) => setCookie.map((cookie) => cookie.split(';', 1)[0]).join('; ')
const limited = { status: 429, body: { type: 'urn:gatehouse:problem:rate-limited', status: 429, code: 'rate-limited' }, setCookie: [] }

t.test('the sixth failed login is 429, which says when to come again', async (t) => {
  const { email } = await register()
  await failLogins(5, email)
  await lengthenWaits()
  const answer = await logIn(email, 'wrong')
  t.match(answer, limited)
  t.match(answer.headers, {
    'retry-after': /^(59\d|60[012])$/,
    ratelimit: /^"login-account";r=0;t=(59\d|60[012])$/,
    'ratelimit-policy': '"login-account";q=5;w=900',
    'ratelimit-limit': '5',
    'ratelimit-remaining': '0',
    'ratelimit-reset': /^(59\d|60[012])$/,
    'content-type': 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store'
  })
  t.notOk('www-authenticate' in answer.headers)
  t.match(await logIn(email, password), limited, 'for the right password too')
  t.match(await logIn(email, password, from(newAddress()), second.request), limited, 'and at another instance')
})

t.test('right passwords at once are all let in, and guesses at once are not', async (t) => {
  const { email } = await register()
  const atOnce = async (given: string) => (await Promise.all(Array.from({ length: 16 }, () => logIn(email, given)))).map(({ status }) => status).sort()
  t.same(await atOnce(password), Array(16).fill(200))
  t.same(await atOnce('wrong'), [...Array(5).fill(401), ...Array(11).fill(429)])
})

t.test('whether there is such an account makes no difference', async (t) => {
  const { email } = await register()
  const deactivated = await register()
  await database.query('UPDATE users SET is_active = false WHERE id = $1', [deactivated.id])
  const answers = []
  const { now } = Date
  t.teardown(() => { Date.now = now })
  for (const address of [email, 'nobody@example.org', deactivated.email, 'no address at all']) {
    await failLogins(5, address)
    // No wait may differ only because one of them was answered in another second.
    Date.now = () => 2_000_000_000_000
    await database.query('UPDATE rate_limits SET expire = $1', [2_000_000_002_000])
    const { status, headers: { date: _date, 'x-request-id': _id, ...headers }, text } = await logIn(address, 'wrong')
    answers.push({ status, headers, text })
    Date.now = now
    await database.query('DELETE FROM rate_limits')
  }
  t.equal(answers[0]?.status, 429)
  for (const answer of answers) t.same(answer, answers[0])
})

t.test('a body that does not fit is 400 before any limit, and does not count', async (t) => {
  const { email } = await register()
  for (let index = 0; index < 10; index++) t.match(await request('POST', '/auth/login', { body: { email } }), { status: 400 })
  await failLogins(5, email)
  await lengthenWaits()
  t.match(await request('POST', '/auth/login', { body: { email } }), { status: 400 })
  t.match(await logIn(email, 'wrong'), limited)
})

t.test('a live session and a browser that was signed in go on while strangers guess', async (t) => {
  const { email } = await register()
  const { status, setCookie } = await logIn(email, password)
  t.equal(status, 200)
  t.match(setCookie, [/^sessionid=/, /^device=[^;]+; Max-Age=15552000; Path=\/; HttpOnly; SameSite=Lax$/])
  const jar = jarOf(setCookie)
  await failLogins(5, email)
  await lengthenWaits()
  t.match(await logIn(email, password), limited)
  t.match(await request('GET', '/users/me', { cookie: jar }), { status: 200 })
  t.match(await request('POST', '/auth/logout', { cookie: jar }), { status: 204, setCookie: [/^sessionid=;/] })
  const again = await logIn(email, password, { cookie: jar, ...from(newAddress()) })
  t.equal(again.status, 200)
  t.match(again.setCookie, [/^sessionid=/], 'what is known need not be told again')
  t.equal(again.setCookie.length, 1)
  t.match(await logIn(email, password), limited, 'while the strangers have gained nothing by it')
  await failLogins(5, email, { cookie: jar, ...from(newAddress()) })
  t.match(await logIn(email, password, { cookie: jar, ...from(newAddress()) }), limited, 'and it has a limit of its own')
})

t.test('the cookie of a device counts for its account only, unchanged, for half a year, and is no session', async (t) => {
  const [one, other] = [await register(), await register()]
  const { setCookie } = await logIn(one.email, password)
  const device = jarOf(setCookie.slice(1))
  await failLogins(5, one.email)
  await failLogins(5, other.email)
  await lengthenWaits()
  t.match(await logIn(other.email, password, { cookie: device, ...from(newAddress()) }), limited)
  for (const changed of [device.replace('=', '=x'), device.slice(0, -3), device.replace(/\.[^.]*$/, ''), 'device=']) {
    t.match(await logIn(one.email, password, { cookie: changed, ...from(newAddress()) }), limited, changed)
  }
  t.match(await request('GET', '/users/me', { cookie: device.replace('device=', 'sessionid=') }), { status: 401 })
  t.match(await logIn(one.email, password, { cookie: jarOf(setCookie.slice(0, 1)).replace('sessionid=', 'device='), ...from(newAddress()) }), limited)
  const { now } = Date
  Date.now = () => now() + 15_552_001_000
  t.teardown(() => { Date.now = now })
  await failLogins(5, one.email)
  t.match(await logIn(one.email, password, { cookie: device, ...from(newAddress()) }), limited)
  Date.now = now
  t.match(await logIn(one.email, password, { cookie: device, ...from(newAddress()) }), { status: 200 })
})

t.test('X-Forwarded-For counts only from a proxy that is trusted', async (t) => {
  const attempts = async (at: typeof request) => {
    const attempt = async (index: number) => (await logIn(`guess${index}@example.org`, 'wrong', from(newAddress()), at)).status
    const first = await attempt(0)
    await count('login-address', 49)
    return [first, await attempt(1), await attempt(2)]
  }
  t.same(await attempts(request), [401, 401, 401])
  await database.query('DELETE FROM rate_limits')
  t.same(await attempts(untrusting.request), [401, 401, 429])
  const { headers } = await logIn('guess@example.org', 'wrong', {}, untrusting.request)
  t.match(headers, { 'ratelimit-policy': '"login-address";q=50;w=900', 'retry-after': /^(8\d\d|900)$/ })
  t.match(await request('GET', '/healthz'), { status: 200 }, 'ordinary requests have no limit')
  await database.query('DELETE FROM rate_limits')
  t.match(await logIn('guess@example.org', 'wrong', from(`unknown, ${'x'.repeat(300)}`)), { status: 401 }, 'whatever such a proxy says')
})

t.test('30 registrations an hour and address, where registration is open', async (t) => {
  const send = async (options: RequestOptions, body: object, at = request) => await at('POST', '/users', { ...options, body: { name: 'Jane Doe', password, email: 'taken@example.org', ...body } })
  const here = from(newAddress())
  t.match(await send(here, {}), { status: 201 })
  t.match(await send(here, {}), { status: 409 })
  await count('registration', 29)
  t.match(await send(here, {}), { status: 409 })
  for (const body of [{}, { email: 'new@example.org' }]) t.match(await send(here, body), { ...limited, headers: { 'retry-after': '900', 'ratelimit-policy': '"registration";q=30;w=3600' } })
  t.match(await send(here, { name: '' }), { status: 400 })
  t.match(await send(from(newAddress()), { email: 'new@example.org' }), { status: 201 })

  const closed = await openTestApp(database, { environment: { ...environment, REGISTRATION: 'closed' } })
  const { cookie } = await second.signUpAdministrator()
  t.match(await send({ cookie, ...here }, { email: 'made@example.org' }, closed.request), { status: 201 }, 'administrators make as many as they like')
  t.notOk('429' in (closed.document().paths['/users']?.['post']?.responses ?? {}))
})

t.test('20 wrong current passwords', async (t) => {
  const { cookie } = await signUp()
  const change = async (currentPassword: string, newPassword = 'quite another password') => await request('PUT', '/users/me/password', { cookie, body: { currentPassword, newPassword } })
  t.match(await change('wrong'), { status: 401, body: { code: 'invalid-credentials' } })
  await count('current-password', 19)
  t.match(await change('wrong'), { status: 401, body: { code: 'invalid-credentials' } })
  t.match(await change(password), { ...limited, headers: { 'ratelimit-policy': '"current-password";q=20;w=900' } })
  t.match(await request('GET', '/users/me', { cookie }), { status: 200 })
})

t.test('20 unknown subjects', async (t) => {
  const { cookie } = await signUp()
  const known = await register()
  const { body: { id } } = await request('POST', '/resources', { cookie, body: { type: 'organization', name: 'Acme' } })
  const share = async (subject: object) => await request('POST', `/resources/${id}/bindings`, { cookie, body: { role: 'viewer', subject: { type: 'user', ...subject } } })
  for (let index = 0; index < 20; index++) t.match(await share({ email: `guess${index}@example.org` }), { status: 400, body: { code: 'unknown-subject' } })
  for (const email of ['guess@example.org', known.email]) t.match(await share({ email }), { ...limited, headers: { 'ratelimit-policy': '"unknown-subject";q=20;w=900' } })
  t.match(await share({ id: '01890a5d-ac96-774b-bcce-b302099a8057' }), limited)
  t.match(await share({ id: known.id }), { status: 201 })
})

t.test('a database that does not answer is 503 and no limit', async (t) => {
  const dead = await openTestApp({ url: 'postgresql://nobody@127.0.0.1:1/nothing' }, { environment })
  t.match(await logIn('jane@example.org', password, {}, dead.request), { status: 503, body: { code: 'overloaded' } })
  t.match(await dead.request('POST', '/users', { body: { email: 'x@example.org', name: 'x', password } }), { status: 503 })
})

t.test('scripts of other origins may read when to come again', async (t) => {
  const cors = await openTestApp(database, { environment: { ...environment, CORS_ORIGINS: 'https://app.example.org' } })
  const { headers } = await cors.request('GET', '/', { headers: { origin: 'https://app.example.org' } })
  t.match(headers['access-control-expose-headers'], /ratelimit, ratelimit-policy, retry-after/)
})

t.test('under https the cookie of a device is bound to the host', async (t) => {
  const https = await openTestApp(database, { environment: { ...environment, PUBLIC_URL: 'https://api.example.org' } })
  const { email } = await register()
  const { setCookie } = await logIn(email, password, from(newAddress()), https.request)
  t.match(setCookie[1], /^__Host-device=[^;]+; Max-Age=15552000; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  t.match((await logIn(email, password, { cookie: jarOf(setCookie), ...from(newAddress()) }, https.request)).setCookie.length, 1)
})
