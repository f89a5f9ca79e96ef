/** Access tokens over HTTP: making, listing and ending them, and what a request with one may do. */
import t from 'tap'
import { letTimePass, openTestApp, password } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const { request, logIn, signUp, signUpAdministrator, document } = await openTestApp(database)
const administrator = await signUpAdministrator()
const person = await signUp()
const make = async (body: object = {}, { cookie } = person) => await request('POST', '/users/me/tokens', { cookie, body: { name: 'a script', ...body } })
const tokenFor = async (body: object = {}, who = person): Promise<string> => (await make(body, who)).body.token
const statusWith = async (token: string) => (await request('GET', '/users/me', { token })).status

t.test('POST /users/me/tokens shows the secret this once', async (t) => {
  const expiresAt = '2100-01-01T00:00:00.000Z'
  const { status, body } = await make({ name: ' backup ', expiresAt, permissions: ['*:view'] })
  t.equal(status, 201)
  t.same(Object.keys(body), ['token', 'id', 'name', 'prefix', 'permissions', 'createdAt', 'lastUsedAt', 'expiresAt'])
  t.match(body, { token: /^gate_[0-9A-Za-z]{42}$/, name: 'backup', prefix: body.token.slice(0, 11), permissions: ['*:view'], lastUsedAt: null, expiresAt })
  const list = await request('GET', '/users/me/tokens', { cookie: person.cookie })
  const { token: _token, ...shown } = body
  t.same(list.body, { items: [shown], nextCursor: null })
  t.equal(await statusWith(body.token), 200)
  t.match((await request('GET', '/users/me/tokens', { cookie: person.cookie })).body.items, [{ lastUsedAt: String }])
})

t.test('it refuses what does not fit', async (t) => {
  const refused = async (body: object, path: string) => t.match(await make(body), { status: 400, body: { code: 'invalid-request', errors: [{ path }] } }, JSON.stringify(body))
  for (const name of ['', ' ', 'x'.repeat(101), 1, null]) await refused({ name }, '/name')
  for (const expiresAt of ['2001-01-01T00:00:00Z', 'tomorrow', 1]) await refused({ expiresAt }, '/expiresAt')
  for (const permissions of ['*:view', {}, [1], ['view'], ['*:view', '*:view'], ['document:publish'], ['nothing:view']]) {
    t.match(await make({ permissions }), { status: 400, body: { code: 'invalid-request', errors: [{ path: /^\/permissions/ }] } }, JSON.stringify(permissions))
  }
  await refused({ token: 'gate_mine' }, '/token')
  t.match(await make({ expiresAt: null, permissions: null }), { status: 201, body: { expiresAt: null, permissions: null } })
  t.match(await make({ permissions: ['user:view', 'audit:view', '*:*', 'document:*'] }), { status: 201 })
})

t.test('GET /users/me/tokens gives each once, page by page, to nobody else', async (t) => {
  const { cookie } = await signUp()
  for (let count = 0; count < 7; count++) await make({ name: `number ${count}` }, { ...person, cookie })
  const list = async (rest: string) => (await request('GET', `/users/me/tokens${rest}`, { cookie })).body
  const first = await list('?limit=4')
  const second = await list(`?limit=4&cursor=${first.nextCursor}`)
  t.same([...first.items, ...second.items].map(({ name }) => name), Array.from({ length: 7 }, (_, index) => `number ${index}`))
  t.equal(second.nextCursor, null)
  t.match(await request('GET', `/users/me/tokens?cursor=${first.nextCursor}`, { cookie: person.cookie }), { status: 400 }, 'a cursor is of one\'s own list')
})

t.test('DELETE /users/me/tokens/:id ends one of one\'s own at the next request', async (t) => {
  const { body: { id, token } } = await make()
  t.match(await request('DELETE', `/users/me/tokens/${id}`, { cookie: administrator.cookie }), { status: 404, body: { code: 'not-found' } })
  t.equal(await statusWith(token), 200)
  t.match(await request('DELETE', `/users/me/tokens/${id.toUpperCase()}`, { cookie: person.cookie }), { status: 204, text: '' })
  t.equal(await statusWith(token), 401)
  for (const unknown of [id, 'x']) t.match(await request('DELETE', `/users/me/tokens/${unknown}`, { cookie: person.cookie }), { status: 404 })
})

t.test('it ends when it expires, at the very next request, and is listed still', async (t) => {
  const { body: { id, token } } = await make({ expiresAt: '2100-01-01T00:00:00Z' })
  t.equal(await statusWith(token), 200)
  await database.query("UPDATE access_tokens SET expires_at = now() - interval '1 millisecond' WHERE id = $1", [id])
  t.match(await request('GET', '/users/me', { token, cookie: person.cookie }), {
    status: 401, body: { code: 'unauthenticated' }, headers: { 'www-authenticate': 'Bearer realm="gatehouse", error="invalid_token"' }
  })
  t.ok((await request('GET', '/users/me/tokens?limit=100', { cookie: person.cookie })).body.items.some((item: { id: string }) => item.id === id))
})

t.test('GET /auth/session says whose token it is, and has no session', async (t) => {
  const token = await tokenFor()
  t.match(await request('GET', '/auth/session', { token }), { status: 200, body: { user: { id: person.id }, session: null }, setCookie: [] })
  t.match(await request('GET', '/users/me', { token, cookie: administrator.cookie }), { status: 200, body: { id: person.id } }, 'it counts alone beside a cookie')
  for (const authorization of [`bearer ${token}`, `BEARER   ${token}`, `Bearer ${token} `]) t.match(await request('GET', '/users/me', { headers: { authorization } }), { status: 200 }, authorization)
  for (const authorization of [`Bearer ${token}x`, `Bearer x ${token}`, `Bearer ${token},`, 'Bearer']) {
    t.match(await request('GET', '/users/me', { cookie: person.cookie, headers: { authorization } }), { status: 401, headers: { 'www-authenticate': /error="invalid_token"/ } }, authorization)
  }
  t.match(await request('GET', `/users/me?access_token=${token}`), { status: 401 }, 'nor is it taken from the query')
  t.match(await request('GET', '/users/me', { cookie: `sessionid=${token}` }), { status: 401 }, 'or a cookie')
})

t.test('no route that manages passwords, sessions or tokens takes one', async (t) => {
  const token = await tokenFor({}, administrator)
  const { body: { id } } = await make({}, administrator)
  const routes: Array<[string, string, object?]> = [
    ['PUT', '/users/me/password', { currentPassword: password, newPassword: 'quite another password' }], ['PUT', '/users/me/password', {}],
    ['POST', '/auth/logout'], ['GET', '/users/me/sessions'], ['DELETE', '/users/me/sessions'], ['DELETE', `/users/me/sessions/${id}`], ['DELETE', '/users/me/sessions/x'],
    ['GET', `/users/${person.id}/sessions`], ['DELETE', `/users/${person.id}/sessions`],
    ['POST', '/users/me/tokens', { name: 'another' }], ['GET', '/users/me/tokens'], ['DELETE', `/users/me/tokens/${id}`]
  ]
  for (const [method, url, body] of routes) t.match(await request(method, url, { token, body }), { status: 403, body: { code: 'session-required' } }, `${method} ${url}`)
  t.match(await request('GET', '/users/01890a5d-ac96-774b-bcce-b302099a8057/sessions', { token }), { status: 404 }, 'what is hidden or absent stays so')
  t.match(await request('GET', '/users/me', { cookie: person.cookie }), { status: 200 })
})

t.test('a token may do what its user may do and its own permissions allow', async (t) => {
  const { body: organization } = await request('POST', '/resources', { cookie: person.cookie, body: { type: 'organization', name: 'Acme' } })
  const { body: note } = await request('POST', '/resources', { cookie: person.cookie, body: { type: 'document', name: 'Minutes', parentId: organization.id } })
  const at = (rest = '', id = note.id) => `/resources/${id}${rest}`

  const reading = await tokenFor({ permissions: ['document:view'] })
  t.match(await request('GET', at(), { token: reading }), { status: 200, body: { parentId: null, allowedActions: ['view'], creatableTypes: [] } }, 'its parent is hidden from it')
  t.match(await request('GET', at('', organization.id), { token: reading }), { status: 404 })
  t.match(await request('PATCH', at(), { token: reading, body: { name: 'Mine' } }), { status: 403, body: { code: 'forbidden' } })
  t.match((await request('GET', '/resources', { token: reading })).body.items, [{ id: note.id }])
  t.equal((await request('GET', '/resources', { token: reading })).body.items.length, 1)
  t.same((await request('GET', '/resources?action=edit', { token: reading })).body.items, [])

  const sharing = await tokenFor({ permissions: ['*:view', '*:share'] })
  const share = async (role: string, token: string) => await request('POST', at('/bindings'), { token, body: { role, subject: { type: 'everyone' } } })
  t.match(await share('editor', sharing), { status: 403, body: { code: 'escalation' } })
  t.match(await share('viewer', sharing), { status: 201, body: { createdBy: person.id } })
  const exact = await tokenFor({ permissions: ['document:view', 'document:share', 'document:edit'] })
  t.match(await request('DELETE', at(`/bindings/${(await request('GET', at('/bindings'), { token: exact })).body.items[0].id}`), { token: exact }), { status: 403, body: { code: 'escalation' } }, 'a wildcard is held through a wildcard only')

  const nothing = await tokenFor({ permissions: [] })
  t.match(await request('GET', '/resources', { token: nothing }), { status: 200, body: { items: [] } })
  t.match(await request('GET', '/users/me', { token: nothing }), { status: 200 })
  const grand = await tokenFor({ permissions: ['*:*'] })
  t.match(await request('GET', '/users', { token: grand }), { status: 403 }, 'it gives nothing that its user does not have')

  const administering = await tokenFor({ permissions: ['user:view', 'role:create', 'document:view'] }, administrator)
  t.match(await request('GET', '/users?limit=1', { token: administering }), { status: 200 })
  t.match(await request('PATCH', `/users/${person.id}`, { token: administering, body: { name: 'x' } }), { status: 403 })
  t.match(await request('POST', '/roles', { token: administering, body: { name: 'reader', permissions: ['document:view'] } }), { status: 201 })
  t.match(await request('POST', '/roles', { token: administering, body: { name: 'writer', permissions: ['document:edit'] } }), { status: 403, body: { code: 'escalation' } })
  t.match(await request('GET', at('', organization.id), { token: grand }), { status: 200 })
  await database.query("DELETE FROM role_bindings WHERE user_id = $1 AND role = 'owner'", [person.id])
  t.match(await request('GET', at('', organization.id), { token: grand }), { status: 404 }, 'and what its user loses, it loses at the next request')
})

t.test('the cross-site rule does not apply to it: no browser sends it on its own', async (t) => {
  const token = await tokenFor()
  const elsewhere = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }
  t.match(await request('PATCH', '/users/me', { token, headers: elsewhere, body: { name: 'By a script' } }), { status: 200 })
  t.match(await request('PATCH', '/users/me', { cookie: person.cookie, headers: elsewhere, body: { name: 'x' } }), { status: 403, body: { code: 'cross-site' } })
})

t.test('it outlives the session by which it was made, but not its user\'s activity', async (t) => {
  const { id, email, cookie } = await signUp()
  const token = await tokenFor({}, { ...person, cookie })
  await request('POST', '/auth/logout', { cookie })
  t.equal(await statusWith(token), 200)
  await letTimePass(database, 30 * 86_400)
  t.equal(await statusWith(token), 200)
  administrator.cookie = await logIn(administrator)
  t.match(await request('DELETE', `/users/${id}/sessions`, { cookie: administrator.cookie }), { status: 204 })
  t.equal(await statusWith(token), 401)
  const again = await tokenFor({}, { ...person, cookie: await logIn({ email }) })
  await request('PATCH', `/users/${id}`, { cookie: administrator.cookie, body: { isActive: false } })
  t.equal(await statusWith(again), 401)
})

t.test('a change of the password ends tokens only when it says so', async (t) => {
  const { cookie } = await signUp()
  const token = await tokenFor({}, { ...person, cookie })
  const change = async (currentPassword: string, newPassword: string, rest = {}) => await request('PUT', '/users/me/password', { cookie, body: { currentPassword, newPassword, ...rest } })
  t.match(await change(password, 'quite another password'), { status: 204 })
  t.equal(await statusWith(token), 200)
  t.match(await change('quite another password', password, { endTokens: true }), { status: 204 })
  t.equal(await statusWith(token), 401)
})

t.test('the document says which routes take one', async (t) => {
  const { paths } = document()
  t.match(paths['/users/me/tokens']?.['post'], { security: [{ session: [] }], responses: { 403: { description: 'Forbidden: `cross-site`, `session-required`' } } })
  t.match(paths['/resources']?.['get'], { security: [{ session: [] }, { token: [] }] })
})
