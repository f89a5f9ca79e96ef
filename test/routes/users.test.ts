/** Accounts over HTTP: registration, oneself, the password, lists and administration. */
import t from 'tap'
import { decodeCursor } from '../../src/services/pages.js'
import { argon2id } from '../../src/services/password-hashing.js'
import { makeOwnerOfRoot } from '../../src/services/bindings.js'
import { createUser } from '../../src/services/users.js'
import { openTestApp, password, secrets } from '../helpers/app.js'
import { connect, openTestDatabase, untilBlocked } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'

const database = await openTestDatabase()
const { db, query } = database
const { request, register, logIn, signUp, signUpAdministrator } = await openTestApp(database)
const administrator = await signUpAdministrator()
const person = await signUp({ name: 'Person One' })
const another = await signUp()
const rowsOf = async (email: string) => (await query('SELECT count(*)::int FROM users WHERE lower(email) = lower($1)', [email]))[0]?.['count']

t.test('POST /users', async (t) => {
  t.test('makes an account, says where it is, and shows nothing of the password', async (t) => {
    const { status, body, headers, setCookie } = await request('POST', '/users', { body: { email: ' New.Person@EXAMPLE.org', name: ' New Person ', password } })
    t.equal(status, 201)
    t.same(Object.keys(body).sort(), ['createdAt', 'email', 'id', 'isActive', 'lastLoginAt', 'name', 'updatedAt'])
    t.match(body, { email: 'New.Person@example.org', name: 'New Person', isActive: true, lastLoginAt: null })
    t.equal(headers['location'], `/users/${body.id}`)
    t.equal(new Date(body.createdAt).toISOString(), body.createdAt)
    t.same(setCookie, [], 'it signs nobody in')
  })

  t.test('takes the example of the documentation', async (t) => {
    t.match(await request('POST', '/users', { body: { email: 'jane@example.net', name: 'Jane Doe', password: 'correct horse battery staple' } }), { status: 201 })
  })

  t.test('refuses an address that has an account, in any case', async (t) => {
    t.match(await request('POST', '/users', { body: { email: person.email.toUpperCase(), name: 'Somebody', password } }), { status: 409, body: { code: 'email-taken' } })
    t.match(await request('GET', '/users/me', { cookie: person.cookie }), { body: { name: 'Person One' } })
  })

  t.test('says which field does not fit and why', async (t) => {
    const send = async (change: object) => (await request('POST', '/users', { body: { email: 'fields@example.org', name: 'Jane Doe', password, ...change } }))
    t.match(await send({ email: 'nowhere' }), { status: 400, body: { errors: [{ path: '/email', message: 'must be an e-mail address in ASCII such as jane@example.org' }] } })
    t.match(await send({ name: 'x'.repeat(33) }), { status: 400, body: { errors: [{ path: '/name', message: 'must have at most 32 characters' }] } })
    t.match(await send({ password: 'x'.repeat(11) }), { status: 400, body: { errors: [{ path: '/password', message: 'must have at least 12 characters' }] } })
    t.match(await send({ password: '12'.repeat(10) }), { status: 400, body: { errors: [{ path: '/password', message: 'must not consist of digits alone' }] } })
    t.match(await send({ password: 'gatehouse-1' + '1' }), { status: 400, body: { errors: [{ path: '/password', message: /^is too easy to guess/ }] } })
    t.match(await send({ password: 'x'.repeat(1_025) }), { status: 400, body: { errors: [{ path: '/password' }] } })
    t.equal(await rowsOf('fields@example.org'), 0)
  })

  t.test('takes 256 characters and refuses 257, however they are composed', async (t) => {
    const composed = 'äöü-kwpz'.repeat(32)
    t.match(await request('POST', '/users', { body: { email: 'long1@example.org', name: 'Long', password: composed } }), { status: 201 })
    t.match(await request('POST', '/auth/login', { body: { email: 'long1@example.org', password: composed.normalize('NFD') } }), { status: 200 })
    t.match(await request('POST', '/users', { body: { email: 'long2@example.org', name: 'Long', password: composed.normalize('NFD') } }), { status: 201 })
    t.match(await request('POST', '/auth/login', { body: { email: 'long2@example.org', password: composed } }), { status: 200 })
    t.match(await request('POST', '/users', { body: { email: 'long3@example.org', name: 'Long', password: `${composed}x` } }), { status: 400, body: { errors: [{ path: '/password', message: 'must have at most 256 characters' }] } })
  })

  t.test('makes one account of 20 registrations at once', async (t) => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => request('POST', '/users', { body: { email: 'raced@example.org', name: 'Raced', password } })))
    t.same(answers.map(({ status }) => status).sort(), [201, ...Array(19).fill(409)])
    t.equal(await rowsOf('raced@example.org'), 1)
  })

  t.test('needs the permission user:create where registration is closed', async (t) => {
    const closed = await openTestApp(database, { environment: { REGISTRATION: 'closed' } })
    const send = (cookie?: string, body: object = { email: 'closed@example.org', name: 'Jane Doe', password }) => closed.request('POST', '/users', { body, ...(cookie === undefined ? {} : { cookie }) })
    t.match(await send(), { status: 401, body: { code: 'unauthenticated' } })
    t.match(await send(undefined, {}), { status: 401 })
    t.match(await send(person.cookie), { status: 403, body: { code: 'forbidden' } })
    t.match(await send(person.cookie, {}), { status: 403 })
    t.equal(await rowsOf('closed@example.org'), 0)
    t.match(await send(administrator.cookie), { status: 201 })
  })

  t.test('asks for the length that the configuration says', async (t) => {
    const short = await openTestApp(database, { environment: { PASSWORD_MIN_LENGTH: '30' } })
    t.match(await short.request('POST', '/users', { body: { email: 'short@example.org', name: 'Jane Doe', password: 'some-clever-password' } }), { status: 400, body: { errors: [{ message: 'must have at least 30 characters' }] } })
  })
})

t.test('/users/me', async (t) => {
  t.test('shows oneself, and whether one may is asked each time', async (t) => {
    const { body } = await request('GET', '/users/me', { cookie: person.cookie })
    t.match(body, { id: person.id, email: person.email, name: 'Person One', isActive: true, lastLoginAt: String })
    t.notOk('isAdministrator' in (await request('GET', '/users/me', { cookie: administrator.cookie })).body)
    t.match(await request('GET', '/users/me'), { status: 401, body: { code: 'unauthenticated' }, headers: { 'www-authenticate': 'Bearer realm="gatehouse"' } })
  })

  t.test('changes one\'s name and nothing else', async (t) => {
    t.match(await request('PATCH', '/users/me', { cookie: another.cookie, body: { name: ' Changed ' } }), { status: 200, body: { id: another.id, name: 'Changed' } })
    t.match(await request('GET', '/users/me', { cookie: another.cookie }), { body: { name: 'Changed' } })
    t.match(await request('PATCH', '/users/me', { cookie: another.cookie, body: {} }), { status: 200, body: { name: 'Changed' } })
    t.match(await request('PATCH', '/users/me', { cookie: another.cookie, body: { name: ' ' } }), { status: 400, body: { errors: [{ path: '/name' }] } })
    for (const property of ['isActive', 'email', 'id', 'isAdministrator', 'password']) {
      t.match(await request('PATCH', '/users/me', { cookie: another.cookie, body: { [property]: 'x' } }), { status: 400, body: { errors: [{ path: `/${property}`, message: 'is not known here' }] } })
    }
    t.match(await request('PATCH', '/users/me', { body: {} }), { status: 401 })
  })
})

t.test('PUT /users/me/password', async (t) => {
  const newPassword = 'quite another password'
  const send = (cookie: string | undefined, body: object) => request('PUT', '/users/me/password', { body, ...(cookie === undefined ? {} : { cookie }) })

  t.test('changes the password and ends every other session, four opened at once among them', async (t) => {
    const { email, cookie } = await signUp()
    const others = await Promise.all(Array.from({ length: 4 }, () => logIn({ email })))
    t.match(await send(cookie, { currentPassword: password, newPassword, endTokens: true }), { status: 204, text: '', setCookie: [] })
    t.match(await request('GET', '/auth/session', { cookie }), { status: 200 })
    for (const other of others) t.match(await request('GET', '/auth/session', { cookie: other }), { status: 401 })
    t.match(await request('POST', '/auth/login', { body: { email, password } }), { status: 401 })
    t.match(await request('POST', '/auth/login', { body: { email, password: newPassword } }), { status: 200 })
  })

  t.test('needs the current password', async (t) => {
    const { cookie, email } = await signUp()
    const other = await logIn({ email })
    t.match(await send(cookie, { currentPassword: 'wrong', newPassword }), { status: 401, body: { code: 'invalid-credentials' }, setCookie: [] })
    t.match(await request('GET', '/auth/session', { cookie: other }), { status: 200 }, 'and ends nothing without it')
    t.match(await send(undefined, { currentPassword: password, newPassword }), { status: 401, body: { code: 'unauthenticated' } })
  })

  t.test('needs a good new one', async (t) => {
    t.match(await send(person.cookie, { currentPassword: password, newPassword: 'short' }), { status: 400, body: { errors: [{ path: '/newPassword', message: 'must have at least 12 characters' }] } })
    t.match(await send(person.cookie, { currentPassword: password, newPassword: person.email }), { status: 400, body: { errors: [{ path: '/newPassword' }] } })
    t.match(await send(person.cookie, { newPassword }), { status: 400, body: { errors: [{ path: '/currentPassword', message: 'is required' }] } })
    t.match(await send(person.cookie, { currentPassword: password, newPassword, endTokens: 'yes' }), { status: 400, body: { errors: [{ path: '/endTokens' }] } })
  })
})

t.test('GET /users', async (t) => {
  const list = (queryString: string, cookie = administrator.cookie) => request('GET', `/users${queryString}`, { cookie })

  t.test('is for holders of user:view', async (t) => {
    t.match(await request('GET', '/users'), { status: 401 })
    t.match(await list('', person.cookie), { status: 403, body: { code: 'forbidden' } })
    t.match(await list('?limit=0', person.cookie), { status: 403 }, 'before the query is looked at')
    t.match(await list(''), { status: 200 })
  })

  t.test('gives every user once, page by page', async (t) => {
    const hasher = { ...argon2id, hash: async () => '$argon2id$not-a-real-one' }
    for (let index = 0; index < 30; index++) await createUser(db, { email: `listed${index}@example.org`, name: `Listed ${index}`, password }, { hasher })
    const expected = (await query<{ id: string }>('SELECT id FROM users ORDER BY id')).map(({ id }) => id)
    const found: string[] = []
    let cursor: string | null = null
    do {
      const { body } = await list(`?limit=7${cursor === null ? '' : `&cursor=${cursor}`}`) as { body: { items: Array<{ id: string }>, nextCursor: string | null } }
      t.ok(body.items.length <= 7)
      found.push(...body.items.map(({ id }) => id))
      cursor = body.nextCursor
    } while (cursor !== null)
    t.same(found, expected)
    t.equal((await list('')).body.items.length, 20, 'a page has 20 unless asked otherwise')
    t.equal((await list('?limit=100')).body.nextCursor, null)
  })

  t.test('costs three statements (session, permission, page), at the start as at the end', async (t) => {
    const { body } = await list('?limit=1')
    for (const page of ['?limit=2', `?limit=2&cursor=${body.nextCursor}`]) t.equal((await countStatements(() => list(page), database)).length, 3)
  })

  for (const limit of ['1', '100', '020', '99']) t.test(`takes limit=${limit}`, async (t) => { t.equal((await list(`?limit=${limit}`)).status, 200) })
  for (const limit of ['0', '101', '-1', '', '+5', '5.0', '1e1', '0x10', ' 5', '5%20', 'ten', '%EF%BC%95', '٣', '99999999999999999999', 'true', '1&limit=2', 'null']) {
    t.test(`refuses limit=${limit}`, async (t) => { t.match(await list(`?limit=${encodeURI(decodeURI(limit))}`), { status: 400, body: { errors: [{ path: '/limit' }] } }) })
  }

  t.test('refuses a cursor that was changed anywhere', async (t) => {
    const { nextCursor } = (await list('?limit=1')).body
    t.match(await list(`?cursor=${nextCursor}`), { status: 200 })
    t.match(decodeCursor(secrets, 'users', nextCursor), /^[0-9a-f-]{36}$/)
    for (let index = 0; index < nextCursor.length; index += 5) {
      const changed = nextCursor.slice(0, index) + (nextCursor[index] === 'A' ? 'B' : 'A') + nextCursor.slice(index + 1)
      t.match(await list(`?cursor=${changed}`), { status: 400, body: { errors: [{ path: '/cursor' }] } }, `at ${index}`)
    }
    for (const cursor of ['', 'x', `${nextCursor}&cursor=${nextCursor}`, 'x'.repeat(501), administrator.id]) t.match(await list(`?cursor=${cursor}`), { status: 400 }, cursor)
  })

  t.test('finds a part of the name literally and the whole e-mail, in any case', async (t) => {
    t.match((await list('?q=listed%2029')).body.items, [{ name: 'Listed 29' }])
    t.equal((await list('?q=%25')).body.items.length, 0)
    t.match((await list(`?email=${person.email.toUpperCase()}`)).body.items, [{ id: person.id }])
    t.equal((await list('?email=person')).body.items.length, 0)
  })

  for (const queryString of ['?q=', `?q=${'x'.repeat(101)}`, '?q=a&q=b', '?email=', '?email=a&email=b', '?q=%00', '?q=a%00b', '?email=%00', '?q=%ED%A0%80', '?q=%FF', '?q=100%', '?%E0=x']) {
    t.test(`refuses ${queryString.slice(0, 20)}`, async (t) => { t.match(await list(queryString), { status: 400, body: { code: 'invalid-request' } }) })
  }
})

t.test('GET /users/:id shows oneself, or with user:view anybody', async (t) => {
  t.match(await request('GET', `/users/${person.id}`), { status: 401 })
  t.match(await request('GET', `/users/${person.id}`, { cookie: person.cookie }), { status: 200, body: { id: person.id } })
  t.match(await request('GET', `/users/${another.id}`, { cookie: person.cookie }), { status: 404 })
  t.match(await request('GET', `/users/${another.id}`, { cookie: administrator.cookie }), { status: 200, body: { id: another.id } })
})

t.test('PATCH /users/:id', async (t) => {
  const patch = (id: string, body: object, cookie?: string) => request('PATCH', `/users/${id}`, { body, ...(cookie === undefined ? {} : { cookie }) })

  t.test('is for holders of user:edit', async (t) => {
    t.match(await patch(person.id, { name: 'x' }), { status: 401 })
    t.match(await patch(person.id, { name: 'x' }, person.cookie), { status: 403, body: { code: 'forbidden' } })
    t.match(await patch(another.id, { name: 'x' }, person.cookie), { status: 404, body: { code: 'not-found' } })
    t.match(await patch(another.id, { name: 'By an administrator' }, administrator.cookie), { status: 200, body: { name: 'By an administrator' } })
  })

  t.test('deactivates: all sessions end at once and there is no way in, until the account is active again', async (t) => {
    const { id, email, cookie } = await signUp()
    const second = await logIn({ email })
    t.match(await patch(id, { isActive: false }, administrator.cookie), { status: 200, body: { isActive: false } })
    for (const ended of [cookie, second]) t.match(await request('GET', '/users/me', { cookie: ended }), { status: 401 })
    t.match(await request('POST', '/auth/login', { body: { email, password } }), { status: 401, body: { code: 'invalid-credentials' }, setCookie: [] })
    t.match(await patch(id, { isActive: true }, administrator.cookie), { status: 200, body: { isActive: true } })
    t.match(await request('GET', '/users/me', { cookie }), { status: 401 }, 'the old sessions stay ended')
    await logIn({ email })
  })

  t.test('keeps one active administrator', async (t) => {
    t.match(await patch(administrator.id, { isActive: false }, administrator.cookie), { status: 409, body: { code: 'last-owner' } })
    t.match(await request('GET', '/users/me', { cookie: administrator.cookie }), { status: 200 }, 'and their sessions')
    t.match(await patch(administrator.id.toUpperCase(), { isActive: false, name: 'Gone' }, administrator.cookie), { status: 409 })
    t.match(await request('GET', '/users/me', { cookie: administrator.cookie }), { body: { name: administrator.name } })
  })

  t.test('keeps one of two administrators who deactivate each other at once', async (t) => {
    const rival = await register()
    for (let round = 0; round < 5; round++) {
      await query('UPDATE users SET is_active = true WHERE id = $1', [rival.id])
      await makeOwnerOfRoot(db, rival.id)
      const cookies = { [administrator.id]: await logIn(administrator), [rival.id]: await logIn(rival) }
      const answers = await Promise.all([patch(rival.id, { isActive: false }, cookies[administrator.id]), patch(administrator.id, { isActive: false }, cookies[rival.id])])
      const statuses = answers.map(({ status }) => status).sort()
      // Who is late is the last one, or no longer active: before the session was looked up, before the guard asked for rights, or after it.
      t.ok(['200,409', '200,401', '200,404', '200,403'].includes(String(statuses)), String(statuses))
      t.equal((await query('SELECT count(*)::int FROM users u JOIN role_bindings b ON b.user_id = u.id WHERE u.is_active AND b.role = \'owner\' AND b.resource_id = \'00000000-0000-0000-0000-000000000000\''))[0]?.['count'], 1)
      await query('UPDATE users SET is_active = true WHERE id = $1', [administrator.id])
    }
    await query('DELETE FROM role_bindings WHERE user_id = $1', [rival.id])
    administrator.cookie = await logIn(administrator)
  })

  t.test('refuses what it does not know', async (t) => {
    for (const body of [{ isActive: 'false' }, { isActive: 0 }, { isActive: null }, { name: null }, { email: 'x@example.org' }, { isAdministrator: true }, []]) {
      t.match(await patch(another.id, body, administrator.cookie), { status: 400 }, JSON.stringify(body))
    }
    t.match(await patch(another.id, {}, administrator.cookie), { status: 200 })
  })
})

t.test('a user who is removed while a request for them is on its way is not found', async (t) => {
  const { id } = await register()
  const other = await connect(database.url)
  t.teardown(() => other.end())
  await other.query('BEGIN')
  await other.query('DELETE FROM users WHERE id = $1', [id])
  const answer = request('PATCH', `/users/${id}`, { cookie: administrator.cookie, body: { name: 'x' } })
  await untilBlocked(database)
  await other.query('COMMIT')
  t.match(await answer, { status: 404 })
})
