/** Behind a pooler that gives each transaction another connection: nothing that lasts longer than one is left on a connection. */
import t from 'tap'
import { openTestApp } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { listStatements } from '../helpers/statements.js'

const database = await openTestDatabase()
const url = new URL(database.url)

t.test('pgbouncer=true turns prepared names and settings of connections off, and all else works', async (t) => {
  url.searchParams.set('pgbouncer', 'true')
  const { app, request, signUp, logIn } = await openTestApp({ url: url.href }, { environment: { RATE_LIMIT: 'on' } })
  const { cookie, ...account } = await signUp()
  const statements = await listStatements(async () => {
    await logIn(account, {})
    const { status, body: { id } } = await request('POST', '/resources', { cookie, body: { type: 'organization', name: 'Acme' } })
    t.equal(status, 201)
    t.match(await request('GET', `/resources/${id}`, { cookie }), { status: 200, body: { name: 'Acme' } })
    t.match(await request('GET', '/resources?type=organization', { cookie }), { status: 200, body: { items: [{ id }] } })
  }, database)
  t.ok(statements.length > 10)
  t.same(statements.filter(({ name }) => name !== undefined && name !== ''), [])
  t.same(await app.prisma.$queryRaw`SHOW statement_timeout`, [{ statement_timeout: '0' }])
})

t.test('without it statements are prepared under names, and bounded in time', async (t) => {
  const { app, request, signUp } = await openTestApp(database)
  const { cookie } = await signUp()
  const statements = await listStatements(() => request('GET', '/resources', { cookie }), database)
  t.match(statements, [{ name: /^s\d+$/ }, { name: /^s\d+$/ }])
  t.same(await app.prisma.$queryRaw`SHOW statement_timeout`, [{ statement_timeout: '10s' }])
})
