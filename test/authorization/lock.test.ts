/**
 * Who gets which answer from which route: every route is really called by every kind of person, the answers are held
 * against the contract by the reference evaluator, and written down in `authz.lock`, so that a change of who may do what
 * is a change of that file. `npm run authz:lock` rewrites it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { rootId } from '../reference/world.js'
import { digestDatabase } from './answers.js'
import { describeDifference, writeTable } from './lock-file.js'
import { expectedStatus, needs } from './needs.js'
import { recipes, type Scene } from './recipes.js'
import { openStage } from './stage.js'
import type { Person } from './world.js'

const lockFile = fileURLToPath(new URL('../../authz.lock', import.meta.url))
const isRewriting = process.env['AUTHZ_LOCK'] === 'rewrite'

const { database, open, closed, world, passwordHash, here, elsewhere, keeper } = await openStage()

const addPersona = async (name: string, role?: string, place = here, options: { isExpired?: boolean } = {}, account: { isActive?: boolean, narrowedTo?: string[] } = {}) => {
  const person = await world.addPerson(name, { passwordHash, ...account })
  if (role !== undefined) await world.bind(role, { type: 'user', id: person.id }, place, options)
  return person
}
const outer = await world.addResource('group', here)
const inner = await world.addResource('group', here)
const member = await addPersona('Member')
await world.join(outer, { type: 'group', id: inner })
await world.join(inner, { type: 'user', id: member.id })
await world.bind('editor', { type: 'group', id: outer }, here)

/** In the order of the table's columns. */
const personas: Record<string, Person | null> = {
  anonymous: null,
  stranger: await addPersona('Stranger'),
  viewer: await addPersona('Viewer', 'viewer'),
  editor: await addPersona('Editor', 'editor'),
  owner: await addPersona('Owner', 'owner'),
  'owner elsewhere': await addPersona('Owner Elsewhere', 'owner', elsewhere),
  'group member': member,
  expired: await addPersona('Expired', 'owner', here, { isExpired: true }),
  deactivated: await addPersona('Deactivated', 'owner', here, {}, { isActive: false }),
  'root owner': await addPersona('Root Owner', 'owner', rootId),
  'by token': await addPersona('Token Owner', 'owner', rootId),
  'by viewing token': await addPersona('Token Viewer', 'owner', rootId, {}, { narrowedTo: ['*:view'] })
}
/** A session or a token of its own for each call: some calls end it. */
const signIn = async (name: string, { id }: Person) => name.startsWith('by ')
  ? { token: await world.openToken(id, world.reference.users.find((user) => user.id === id)?.narrowedTo) }
  : { cookie: await world.openSession(id) }

const routeOf = (name: string) => name.split(',')[0] as string

t.test('every route has a recipe for a valid request, and the needs that the contract gives it', async (t) => {
  const routes = open.routes.map(({ method, url }) => `${method} ${url}`)
  const described = Object.keys(recipes).map(routeOf)
  // HEAD is called wherever GET is.
  t.same(routes.filter((route) => !described.includes(route.replace(/^HEAD /, 'GET '))), [], 'routes without a recipe in test/authorization/recipes.ts')
  t.same(described.filter((route) => !routes.includes(route)), [], 'recipes without a route')
  t.same(Object.keys(needs), Object.keys(recipes), 'needs (test/authorization/needs.ts) and recipes')
})

const rows: Array<{ route: string, statuses: number[] }> = []
/** Requests that were denied for want of access, and their statuses. */
const denied: Record<string, number> = {}

for (const [route, recipe] of Object.entries(recipes)) {
  t.test(route, async (t) => {
    const [method = ''] = route.split(' ')
    const { request } = recipe.isClosed === true ? closed : open
    const found: Record<string, number> = {}
    const expected: Record<string, number> = {}
    for (const [name, person] of Object.entries(personas)) {
      const scene: Scene = { world, here, elsewhere, caller: person ?? keeper }
      const { url, body, subjects = {} } = await recipe.prepare(scene)
      const options = { ...(body === undefined ? {} : { body }), headers: recipe.headers ?? {}, ...(person === null ? {} : await signIn(name, person)) }
      expected[name] = expectedStatus(world.reference, route, person?.id ?? null, subjects, recipe.success, name.startsWith('by '))
      const { status, headers, body: answer } = await request(method, url, options)
      found[name] = status
      if ((status === 403 || status === 404) && answer.code !== 'session-required') denied[String(headers['x-request-id'])] = status
      if (method === 'GET') t.equal((await request('HEAD', url, options)).status, found[name], `HEAD as GET: ${name}`)
    }
    t.same(found, expected, 'as the contract says')
    rows.push({ route, statuses: Object.values(found) })
  })
}

t.test('of every denial it is recorded why', async (t) => {
  for (const { app } of [open, closed]) await app.denials.flush()
  const records = await database.query<{ id: string, status: number }>('SELECT request_id AS id, status FROM denials WHERE request_id = ANY ($1)', [Object.keys(denied)])
  t.same(Object.fromEntries(records.map(({ id, status }) => [id, status])), denied)
  t.ok(records.length > 100)
})

t.test('no GET of any route changes anything', async (t) => {
  const routes = open.routes.filter(({ method }) => method === 'GET').map(({ url }) => `GET ${url}`)
  const calls: Array<{ route: string, url: string, headers: Record<string, string>, success: number }> = []
  for (const [route, { prepare, headers = {}, success }] of Object.entries(recipes)) {
    if (!route.startsWith('GET ')) continue
    const caller = await addPersona('Reader', 'owner', rootId)
    const { url } = await prepare({ world, here, elsewhere, caller })
    calls.push({ route, url, headers: { ...headers, cookie: caller.cookie }, success })
  }
  t.same(routes.filter((route) => !calls.some((call) => routeOf(call.route) === route)), [])
  const denials = async () => await database.query('SELECT count(*) FROM denials')
  const deniedBefore = await denials()
  let before = await digestDatabase(database)
  for (const { route, url, headers, success } of calls) {
    t.equal((await open.request('GET', url, { headers })).status, success, route)
    const after = await digestDatabase(database)
    t.same(after, before, route)
    before = after
  }
  await open.app.denials.flush()
  t.same(await denials(), deniedBefore)
})

t.test('but a GET notes when a session or a token was last used, at most once a minute', async (t) => {
  const { id } = await addPersona('Reader', 'owner', rootId)
  for (const [table, column, options] of [
    ['sessions', 'last_seen_at', { cookie: await world.openSession(id) }], ['access_tokens', 'last_used_at', { token: await world.openToken(id) }]
  ] as const) {
    const rest = async () => await database.query(`SELECT to_jsonb(one) - '{${column},expires_at}'::text[] AS rest FROM ${table} one ORDER BY id`)
    await database.query(`UPDATE ${table} SET ${column} = now() - interval '61 seconds' WHERE user_id = $1`, [id])
    const [before, restBefore] = [await digestDatabase(database), await rest()]
    t.match(await open.request('GET', '/resources', options), { status: 200 })
    const noted = await digestDatabase(database)
    t.same(Object.keys(before).filter((name) => noted[name] !== before[name]), [table])
    t.same(await rest(), restBefore, `of ${table} nothing but ${column}, and with it when a session ends`)
    t.match(await open.request('GET', '/users', options), { status: 200 })
    t.same(await digestDatabase(database), noted, 'within the minute nothing')
  }
})

t.test('authz.lock says the same', async (t) => {
  const table = writeTable(Object.keys(personas), rows)
  if (isRewriting) writeFileSync(lockFile, table)
  const locked = existsSync(lockFile) ? readFileSync(lockFile, 'utf8') : ''
  t.equal(describeDifference(locked, table), '', 'otherwise who may do what has changed: if that is meant, run `npm run authz:lock` and commit authz.lock')
})
