/** Where one is signed in, over HTTP: the list, ending one or the others, and ending all of an account. */
import t from 'tap'
import { v7 as uuidv7 } from 'uuid'
import { letTimePass, openTestApp, type RequestOptions } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'

const database = await openTestDatabase()
const { request, logIn, signUp, signUpAdministrator } = await openTestApp(database, { environment: { TRUST_PROXY: '127.0.0.1', SESSION_MAX_PER_USER: '30' } })
const administrator = await signUpAdministrator()

const list = async (cookie: string, rest = '', path = '/users/me/sessions') => await request('GET', `${path}${rest}`, { cookie })
const isAlive = async (cookie: string) => (await request('GET', '/auth/session', { cookie })).status === 200
const from = (userAgent: string, address: string): RequestOptions => ({ headers: { 'user-agent': userAgent, 'x-forwarded-for': address } })

t.test('GET /users/me/sessions', async (t) => {
  t.test('says of each session where it comes from and which one asks, and nothing secret', async (t) => {
    const { email, cookie } = await signUp()
    const phone = await logIn({ email }, from('a phone', '192.0.2.7'))
    const { status, body, text } = await list(phone)
    t.equal(status, 200)
    t.equal(body.nextCursor, null)
    t.match(body.items, [{ current: false, ip: '127.0.0.1' }, { current: true, ip: '192.0.2.7', userAgent: 'a phone' }])
    t.equal(body.items.length, 2)
    for (const item of body.items) t.same(Object.keys(item), ['id', 'createdAt', 'lastSeenAt', 'expiresAt', 'ip', 'userAgent', 'current'])
    for (const secret of [cookie, phone].map((one) => one.split('=')[1]?.split('.')[0] as string)) t.notMatch(text, secret)
    t.match((await list(cookie)).body.items, [{ current: true }, { current: false }])
  })

  t.test('leaves out those that have ended, and those of others', async (t) => {
    const { email, cookie } = await signUp()
    await letTimePass(database, 13 * 3_600)
    const second = await logIn({ email })
    await letTimePass(database, 12 * 3_600)
    t.equal((await list(second)).body.items.length, 1)
    t.equal(await isAlive(cookie), false)
    administrator.cookie = await logIn(administrator)
  })

  t.test('gives each of 25 once, page by page, in the order of their beginning', async (t) => {
    const { email, cookie } = await signUp()
    for (let count = 1; count < 25; count++) await logIn({ email }, from(`number ${count}`, '127.0.0.1'))
    const found: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body } = await list(cookie, `?limit=10${cursor === '' ? '' : `&cursor=${cursor}`}`)
      found.push(...body.items.slice(0, 10).map(({ userAgent }: { userAgent: string }) => userAgent))
      cursor = body.nextCursor
    }
    t.same(found.slice(1), Array.from({ length: 24 }, (_, index) => `number ${index + 1}`))
    t.equal(found.length, 25)
  })

  t.test('takes a cursor only of the same list', async (t) => {
    const { email, cookie, id } = await signUp()
    await logIn({ email })
    const { nextCursor } = (await list(cookie, '?limit=1')).body
    t.match(await list(cookie, `?cursor=${nextCursor}`), { status: 200 })
    t.match(await list(administrator.cookie, `?cursor=${nextCursor}`, `/users/${id}/sessions`), { status: 200 }, 'which an administrator reads too')
    t.match(await list(administrator.cookie, `?cursor=${nextCursor}`), { status: 400, body: { errors: [{ path: '/cursor' }] } })
    for (const rest of ['?limit=0', '?limit=101', '?q=a']) t.match(await list(cookie, rest), { status: 400 }, rest)
  })
})

t.test('DELETE /users/me/sessions/:id', async (t) => {
  t.test('ends that one at once', async (t) => {
    const { email, cookie } = await signUp()
    const other = await logIn({ email })
    const [, { id }] = (await list(cookie)).body.items
    t.match(await request('DELETE', `/users/me/sessions/${id.toUpperCase()}`, { cookie }), { status: 204, text: '', setCookie: [] })
    t.equal(await isAlive(other), false)
    t.equal(await isAlive(cookie), true)
    t.match(await request('DELETE', `/users/me/sessions/${id}`, { cookie }), { status: 404, body: { code: 'not-found' } }, 'and it is gone')
  })

  t.test('ends the one that asks, and clears its cookie', async (t) => {
    const { cookie } = await signUp()
    const [{ id }] = (await list(cookie)).body.items
    const { status, setCookie } = await request('DELETE', `/users/me/sessions/${id}`, { cookie })
    t.equal(status, 204)
    t.match(setCookie, [/^sessionid=; .*Expires=Thu, 01 Jan 1970/])
    t.equal(await isAlive(cookie), false)
  })

  t.test('finds none of somebody else, and none that has expired', async (t) => {
    const { cookie } = await signUp()
    const [{ id }] = (await list(administrator.cookie)).body.items
    t.match(await request('DELETE', `/users/me/sessions/${id}`, { cookie }), { status: 404, body: { code: 'not-found' } })
    t.equal(await isAlive(administrator.cookie), true)
    for (const unknown of [uuidv7(), 'x']) t.match(await request('DELETE', `/users/me/sessions/${unknown}`, { cookie }), { status: 404 })
    const [mine] = (await list(cookie)).body.items
    await database.query("UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1", [mine.id])
    t.match(await request('DELETE', `/users/me/sessions/${mine.id}`, { cookie: await logIn(administrator) }), { status: 404 })
  })
})

t.test('DELETE /users/me/sessions ends all but the one that asks', async (t) => {
  const { email, cookie } = await signUp()
  const others = await Promise.all(Array.from({ length: 3 }, () => logIn({ email })))
  t.match(await request('DELETE', '/users/me/sessions', { cookie }), { status: 204 })
  t.same(await Promise.all(others.map(isAlive)), [false, false, false])
  t.equal(await isAlive(cookie), true)
  t.equal(await isAlive(administrator.cookie), true)
})

t.test('an administrator sees and ends the sessions of somebody', async (t) => {
  const { id, email, cookie } = await signUp()
  const other = await logIn({ email })
  t.match(await list(administrator.cookie, '', `/users/${id}/sessions`), { status: 200, body: { items: [{ current: false }, { current: false }] } })
  t.match(await request('DELETE', `/users/${id}/sessions`, { cookie: administrator.cookie }), { status: 204 })
  t.same(await Promise.all([cookie, other].map(isAlive)), [false, false])
  t.match(await list(administrator.cookie, '', `/users/${id}/sessions`), { body: { items: [] } })
  t.equal(await isAlive(administrator.cookie), true)
  t.match(await request('DELETE', `/users/${administrator.id}/sessions`, { cookie: administrator.cookie }), { status: 204 }, 'their own too')
  t.equal(await isAlive(administrator.cookie), false, 'that which asks among them')
})
