/** The guard: every route says who may call it, and 401, 404, 403 and 400 come in that order, before the work begins. */
import { Readable } from 'node:stream'
import t from 'tap'
import { openTestApp } from '../helpers/app.js'
import { connect } from '../helpers/database.js'
import { until } from '../database/fixtures/processes.js'
import { countStatements } from '../helpers/statements.js'
import { absentId, openWorld } from './world.js'

const world = await openWorld()
const { as, administrator, create, give, person, request, database, testApp: { app } } = world
const owner = await person()
const stranger = await person()
const organization = await create(owner, 'organization')

t.test('a server with a route that does not say who may call it does not start, and names them all', async (t) => {
  await t.rejects(openTestApp(database, {
    extend: (app) => {
      app.get('/one', async () => null)
      app.route({ method: ['PUT', 'PATCH'], url: '/two', handler: async () => null })
      app.get('/three', { config: { access: 'public' } }, async () => null)
    }
  }), { message: 'Routes without config.access, which says who may call them: GET /one; HEAD /one; PUT,PATCH /two' })
})

t.test('nor with one whose access is about an id that its path does not have', async (t) => {
  await t.rejects(openTestApp(database, {
    extend: (app) => {
      app.get('/one', { schema: {}, config: { access: { resource: ['view'] } } }, async () => null)
      app.get('/two/:idea', { schema: {}, config: { access: { user: 'user:edit' } } }, async () => null)
      app.get('/three/:id', { schema: {}, config: { access: { resource: ['view'] } } }, async () => null)
    }
  }), { message: 'Routes without the parameter :id, which their access is about: GET /one; HEAD /one; GET /two/:idea; HEAD /two/:idea' })
})

t.test('a misspelt access does not compile, and would let nobody in who is not signed in', async (t) => {
  const { app } = await openTestApp(database, {
    extend: (app) => {
      const handler = async () => null
      const schema = { hide: true }
      // `npm run typecheck` fails where one of these is taken.
      // @ts-expect-error
      app.get('/misspelt/1', { schema, config: { access: 'pubic' } }, handler)
      // @ts-expect-error
      app.get('/misspelt/2', { schema, config: { access: { permission: 'user:veiw' } } }, handler)
      // @ts-expect-error
      app.get('/misspelt/3/:id', { schema, config: { access: { resource: ['veiw'] } } }, handler)
      // @ts-expect-error
      app.get('/misspelt/4/:id', { schema, config: { access: { resource: [] } } }, handler)
    }
  })
  for (const url of ['/misspelt/1', '/misspelt/2', `/misspelt/3/${absentId}`, `/misspelt/4/${absentId}`]) t.match(await app.inject(url), { statusCode: 401 }, url)
})

t.test('who is asking is unknown on a public route', async (t) => {
  const { app } = await openTestApp(database, {
    extend: (app) => { app.get('/who', { schema: { hide: true }, config: { access: 'public' } }, async ({ caller }) => caller) }
  })
  t.match(await app.inject({ url: '/who', headers: { cookie: owner.cookie } }), { statusCode: 401 })
})

const paths: ReadonlyArray<[method: string, path: string, needed: string]> = [
  ['GET', '', 'view'], ['HEAD', '', 'view'], ['PATCH', '', 'edit'], ['DELETE', '', 'delete'], ['POST', '/move', 'edit'], ['POST', '/move', 'share'],
  ['GET', '/bindings', 'share'], ['POST', '/bindings', 'share'], ['DELETE', `/bindings/${absentId}`, 'share']
]
for (const [method, path, needed] of paths) {
  t.test(`${method} /resources/:id${path} without ${needed}`, async (t) => {
    const broken = { payload: '{', headers: { 'content-type': 'application/json' } }
    const withBody = method === 'GET' || method === 'HEAD' ? {} : broken
    const url = `/resources/${organization}${path}`
    t.match(await request(method, url, withBody), { status: 401 })
    t.match(await request(method, url, { ...withBody, cookie: owner.cookie, headers: { authorization: 'Bearer x' } }), { status: 401 }, 'a bearer token counts alone')
    const [hidden, absent, nonsense] = await Promise.all([organization, absentId, 'nonsense'].map(async (id) =>
      await request(method, `/resources/${id}${path}`, { ...withBody, cookie: stranger.cookie })))
    t.equal(hidden?.status, 404)
    t.same([absent?.text, nonsense?.text], [hidden?.text, hidden?.text])
    if (needed === 'view') return
    const nearly = await person()
    await give(nearly, organization, 'organization:view', ...['edit', 'delete', 'share'].filter((action) => action !== needed).map((action) => `organization:${action}`))
    const answer = await request(method, url, { ...withBody, cookie: nearly.cookie })
    t.match(answer, { status: 403, body: { code: 'forbidden' } })
    const blind = await person()
    await give(blind, organization, 'organization:edit', 'organization:delete', 'organization:share')
    t.match(await request(method, url, { ...withBody, cookie: blind.cookie }), { status: 404 }, 'who does not see it gets no 403')
  })
}

t.test('what a body arrives for after its sender is no longer signed in changes nothing', async (t) => {
  const signedIn = async () => {
    const who = await person()
    await give(who, organization, '*:*')
    return { ...who, token: (await as(who, 'POST', '/users/me/tokens', { name: 'script' })).body }
  }
  type SignedIn = Awaited<ReturnType<typeof signedIn>>
  const ends: Record<string, (who: SignedIn) => Promise<unknown>> = {
    'their session has ended': async (who) => await as(who, 'POST', '/auth/logout'),
    'their token has ended': async (who) => await as(who, 'DELETE', `/users/me/tokens/${who.token.id}`),
    'they have been deactivated': async (who) => await as(administrator, 'PATCH', `/users/${who.id}`, { isActive: false })
  }
  const changes: Array<[method: 'PATCH' | 'POST', url: string, body: object]> = [
    ['PATCH', `/resources/${organization}`, { name: 'Changed' }],
    ['POST', '/resources', { type: 'project', name: 'New', parentId: organization }],
    ['POST', `/resources/${organization}/bindings`, { role: 'viewer', subject: { type: 'everyone' } }],
    ['PATCH', '/users/me', { name: 'Changed' }]
  ]
  const rows = async () => await database.query('SELECT name, (SELECT count(*) FROM role_bindings) FROM resources UNION ALL SELECT name, 0 FROM users ORDER BY 1')
  for (const [what, end] of Object.entries(ends)) {
    for (const [method, url, body] of changes) {
      const who = await signedIn()
      const headers = what.includes('token') ? { authorization: `Bearer ${who.token.token}` } : { cookie: who.cookie }
      let before: unknown
      // The body is read after the guard has let the request pass.
      const payload = new Readable({
        read () {
          end(who).then(async () => {
            before = await rows()
            this.push(JSON.stringify(body))
            this.push(null)
          }).catch((error: Error) => this.destroy(error))
        }
      })
      const answer = await app.inject({ method, url, headers: { ...headers, 'content-type': 'application/json' }, payload })
      t.match(answer, { statusCode: 401 }, `${method} ${url}: ${what}`)
      t.match(answer.json(), { code: 'unauthenticated' })
      t.same(await rows(), before)
    }
  }
})

t.test('a right that ends while a change waits for others lets nothing pass', async (t) => {
  const late = await person()
  const id = await give(late, organization, '*:*')
  const other = await connect(database.url)
  await other.query('BEGIN; SELECT pg_advisory_xact_lock(7283003)')
  const answers = [
    as(late, 'POST', `/resources/${organization}/bindings`, { role: 'viewer', subject: { type: 'everyone' } }),
    as(late, 'PATCH', `/resources/${organization}`, { name: 'Changed' })
  ]
  await until(async () => (await database.query("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")).length === 2)
  await other.query('UPDATE role_bindings SET expires_at = date_trunc(\'milliseconds\', clock_timestamp()) WHERE id = $1', [id])
  await other.query('COMMIT')
  await other.end()
  t.same((await Promise.all(answers)).map(({ status }) => status), [404, 404])
})

t.test('a request for a resource is two statements: the session and the decision', async (t) => {
  const viewer = await person()
  await give(viewer, organization, 'organization:view')
  for (const id of [organization, absentId, 'nonsense', 'root']) {
    await app.denials.flush()
    const statements = await countStatements(async () => await as(viewer, 'GET', `/resources/${id}`), database)
    t.equal(statements.length, 2, id)
  }
})

t.test('accounts are seen by themselves and by who may see users, and edited by who may edit them', async (t) => {
  const [viewer, editor, blindEditor] = [await person(), await person(), await person()]
  await give(viewer, 'root', 'user:view')
  await give(editor, 'root', 'user:view', 'user:edit')
  await give(blindEditor, 'root', 'user:edit')
  const url = `/users/${stranger.id}`
  t.match(await request('GET', url), { status: 401 })
  t.match(await as(stranger, 'GET', url.toUpperCase().replace('/USERS', '/users')), { status: 200, body: { id: stranger.id } })
  t.match(await as(stranger, 'PATCH', url, { x: 1 }), { status: 403, body: { code: 'forbidden' } }, 'one sees oneself')
  for (const who of [owner, blindEditor]) {
    t.match(await as(who, 'GET', url), { status: 404 })
    t.match(await as(who, 'PATCH', url, { x: 1 }), { status: 404 })
    t.equal((await as(who, 'GET', url)).text, (await as(who, 'GET', `/users/${absentId}`)).text)
  }
  t.match(await as(viewer, 'GET', url), { status: 200 })
  t.match(await as(viewer, 'PATCH', url, { x: 1 }), { status: 403 })
  t.match(await as(editor, 'PATCH', url, { x: 1 }), { status: 400 })
  t.match(await as(editor, 'PATCH', url, { name: 'Another' }), { status: 200, body: { name: 'Another' } })
  t.match(await as(viewer, 'GET', '/users/nonsense'), { status: 404 })
  t.match(await as(viewer, 'GET', '/users?limit=1'), { status: 200 })
  t.match(await as(owner, 'GET', '/users?x=1'), { status: 403 }, 'on a collection it is a 403')
})

t.test('while registration is closed, accounts are made by who may create users on the root', async (t) => {
  const closed = await openTestApp(database, { environment: { REGISTRATION: 'closed' } })
  const clerk = await person()
  await give(clerk, 'root', 'user:create')
  const body = { email: 'new@example.org', name: 'New', password: 'seven quiet lanterns' }
  t.match(await closed.request('POST', '/users', { body: { x: 1 } }), { status: 401 })
  t.match(await closed.request('POST', '/users', { cookie: owner.cookie, body: { x: 1 } }), { status: 403 })
  t.match(await closed.request('POST', '/users', { cookie: clerk.cookie, body }), { status: 201 })
  t.match(await closed.request('POST', '/users', { cookie: administrator.cookie, body }), { status: 409 })
})

t.test('whoever is deactivated may nothing from then on', async (t) => {
  const leaving = await person()
  const own = await create(leaving, 'organization')
  await as(administrator, 'PATCH', `/users/${leaving.id}`, { isActive: false })
  for (const url of [`/resources/${own}`, '/resources', '/roles', '/users/me']) t.match(await as(leaving, 'GET', url), { status: 401 })
})
