/** The database away, slow or full: 503 with Retry-After for everything that needs it, and never a wrong 401 or a false success. */
import type { FastifyInstance } from 'fastify'
import { Writable } from 'node:stream'
import t from 'tap'
import { openTestApp, password } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const { query } = database
/** Statements that last, fail, or are the library's fault. */
function extend (app: FastifyInstance): void {
  const route = (url: string, work: () => Promise<unknown>) => app.get(url, { schema: { hide: true }, config: { access: 'public' } }, async () => { await work(); return {} })
  route('/test/sleep', () => app.prisma.$queryRaw`SELECT 1 FROM (SELECT pg_sleep(30)) AS s`)
  route('/test/too-slow', () => app.prisma.$transaction([app.prisma.$executeRaw`SET LOCAL statement_timeout = 20`, app.prisma.$queryRaw`SELECT 1 FROM (SELECT pg_sleep(30)) AS s`]))
  route('/test/fault', () => app.prisma.$queryRaw`SELECT 'a secret of the query' / 0`)
  route('/test/thrown', () => Promise.reject(Object.assign(new Error('a secret of a library'), { statusCode: 418, code: 'SOMETHING' })))
  route('/test/nothing', () => Promise.reject(Object.assign(new Error('a secret of a library'), { statusCode: 404 })))
}
const lines: string[] = []
const stream = new Writable({ write: (chunk, _encoding, done) => { lines.push(String(chunk)); done() } })
const { app, request, signUp, logIn } = await openTestApp(database, { extend, logger: { level: 'warn', stream } })
const person = await signUp()
const away = { status: 503, body: { code: 'overloaded', detail: 'The service cannot answer at the moment. Try again in a little while.' }, headers: { 'retry-after': '2' }, setCookie: [] }

/** Resolves when `count` statements of the application sleep. */
async function sleepers (count: number): Promise<void> {
  while ((await query("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active' AND pid <> pg_backend_pid()")).length < count);
}
const ofTheApp = 'FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()'

t.test('with a database where nobody answers', async (t) => {
  const dead = await openTestApp({ url: 'postgresql://nobody:hunter2@127.0.0.1:1/nothing' }, { logger: { level: 'error', stream } })
  const { cookie } = person

  t.test('what needs no database is answered', async (t) => {
    for (const url of ['/', '/healthz', '/openapi.json']) t.match(await dead.request('GET', url, { cookie }), { status: 200 }, url)
    t.match(await dead.request('GET', '/nowhere', { cookie }), { status: 404 })
    t.match(await dead.request('GET', '/users/me'), { status: 401 }, 'without a cookie nobody has to be asked')
    t.match(await dead.request('POST', '/auth/login', { body: {} }), { status: 400 })
  })

  for (const [method, url, body] of [
    ['GET', '/readyz'], ['POST', '/auth/login', { email: person.email, password }], ['POST', '/auth/login', { email: 'nobody@example.org', password }], ['POST', '/auth/logout'], ['GET', '/auth/session'], ['HEAD', '/auth/session'],
    ['POST', '/users', { email: 'new@example.org', name: 'Jane Doe', password }], ['GET', '/users/me'], ['PATCH', '/users/me', { name: 'x' }],
    ['PUT', '/users/me/password', { currentPassword: password, newPassword: 'quite another password' }], ['GET', '/users'], ['GET', `/users/${person.id}`], ['GET', '/users/x'], ['PATCH', `/users/${person.id}`, { isActive: false }]
  ] as const) {
    t.test(`what needs it is 503, neither 401 nor 404 nor success: ${method} ${url}`, async (t) => {
      const answer = await dead.request(method, url, { cookie, body })
      t.equal(answer.status, 503)
      if (method !== 'HEAD') t.match(answer, away)
      t.equal(answer.headers['retry-after'], '2')
    })
  }

  t.test('the log says so, without the password of the database', async (t) => {
    t.match(lines.join(''), /the request failed/)
    t.notMatch(lines.join(''), /hunter2/)
  })
})

t.test('a request whose connection is cut is 503, and the next one is served', async (t) => {
  const running = request('GET', '/test/sleep')
  await sleepers(1)
  await query(`SELECT pg_terminate_backend(pid) ${ofTheApp} AND query LIKE '%pg_sleep%'`)
  t.match(await running, away)
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), { status: 200 })
})

t.test('connections that were cut while idle are noted and replaced', async (t) => {
  lines.length = 0
  const cut = await query(`SELECT pg_terminate_backend(pid) ${ofTheApp} AND state = 'idle'`)
  // Each of them: a request that comes before the news of its connection fails with it.
  while (lines.filter((line) => line.includes('a database connection was lost')).length < cut.length) await new Promise(setImmediate)
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), { status: 200 })
})

t.test('a statement that takes too long is 503', async (t) => {
  t.match(await request('GET', '/test/too-slow'), away)
})

t.test('when all connections stay busy the wait is bounded, and neither a health check nor a short read waits', async (t) => {
  const running = Array.from({ length: 8 }, () => request('GET', '/test/sleep'))
  await sleepers(8)
  const started = performance.now()
  const [waiting, loggingIn] = [request('GET', `/users/${person.id}`, { cookie: person.cookie }), request('POST', '/auth/login', { body: { email: person.email, password } })]
  t.match(await request('GET', '/healthz', { cookie: person.cookie }), { status: 200 })
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), { status: 200 }, 'who is signed in is read over connections of its own')
  t.ok(performance.now() - started < 2_000)
  t.match(await waiting, away)
  t.match(await loggingIn, away)
  await query(`SELECT pg_cancel_backend(pid) ${ofTheApp} AND query LIKE '%pg_sleep%'`)
  for (const answer of await Promise.all(running)) t.match(answer, away)
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), { status: 200 })
})

t.test('a logout that fails is no success, and leaves the session as it was', async (t) => {
  const cookie = await logIn(person)
  await query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a secret of the disk' USING ERRCODE = '58030'; END $$; CREATE TRIGGER refuse BEFORE DELETE ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()")
  const answer = await request('POST', '/auth/logout', { cookie })
  t.match(answer, away)
  t.notMatch(answer.text, 'secret')
  t.match(await request('POST', '/auth/login', { cookie, body: { email: person.email, password } }), away, 'nor is a login that cannot end the old session')
  await query('DROP TRIGGER refuse ON sessions')
  t.match(await request('GET', '/auth/session', { cookie }), { status: 200 })
  t.match(await request('POST', '/auth/logout', { cookie }), { status: 204 })
})

t.test('a login whose session cannot be stored is no success', async (t) => {
  await query('CREATE TRIGGER refuse BEFORE INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION refuse()')
  t.match(await request('POST', '/auth/login', { body: { email: person.email, password } }), away)
  await query('DROP TRIGGER refuse ON sessions')
  await logIn(person)
})

t.test('where it cannot be recorded why a request was denied, it is answered all the same, and the log counts it', async (t) => {
  lines.length = 0
  await query('ALTER TABLE denials RENAME TO elsewhere')
  t.match(await request('GET', '/users', { cookie: person.cookie }), { status: 403, body: { code: 'forbidden' } })
  await app.denials.flush()
  await query('ALTER TABLE elsewhere RENAME TO denials')
  t.match(lines.map((line) => JSON.parse(line)), [{ level: 40, count: 1, err: Object, msg: 'it was not recorded why so many requests were denied' }])
})

for (const url of ['/test/fault', '/test/thrown', '/test/nothing']) {
  t.test(`a fault of ours is 500 and tells nothing: ${url}`, async (t) => {
    lines.length = 0
    const answer = await request('GET', url)
    t.match(answer, { status: 500, body: { code: 'internal' } })
    t.notMatch(answer.text, 'secret')
    t.match(JSON.parse(lines[0] as string), { level: 50, requestId: answer.headers['x-request-id'], err: { message: /secret/ } }, 'the log has it')
  })
}

t.test('a migration that is not there yet is 503', async (t) => {
  await query('ALTER TABLE sessions RENAME TO elsewhere')
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), away)
  await query('ALTER TABLE elsewhere RENAME TO sessions')
  t.match(await request('GET', '/auth/session', { cookie: person.cookie }), { status: 200 })
})
