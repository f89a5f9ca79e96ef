/**
 * Hidden and absent are the same: in the answer to the byte, in the statements that it costs, and in what is left behind.
 * The routes are those of the application, so one that is added tomorrow is tried too.
 */
import t from 'tap'
import { encodeCursor } from '../../src/services/pages.js'
import { openTestApp } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { rootId } from '../reference/world.js'
import { ask, type Asking, digestDatabase } from './answers.js'
import { absentId, attempts, buildSecrets, malformedIds, methods, secretsBehind, tellApart } from './oracle-kit.js'
import { openAppWithRoutes } from './route-table.js'
import { openWorld, type Person } from './world.js'

t.setTimeout(600_000)

const database = await openTestDatabase()
const app = await openAppWithRoutes(database)
const corsApp = await openTestApp(database, { environment: { CORS_ORIGINS: 'https://app.example.org' } })
const world = openWorld(database)
const secrets = await buildSecrets(world)
const { asker, blind, expired } = secrets

/** The paths with parameters, each with one of the routes that have it. */
const paths = [...new Map(app.routes.filter(({ url }) => /:\w/.test(url)).map((route) => [route.url, route])).values()]

for (const route of paths) {
  for (const [, parameter = ''] of route.url.matchAll(/:(\w+)/g)) {
    t.test(`${route.url}, by its ${parameter}`, async (t) => {
      const behind = secretsBehind(route, parameter, secrets)
      if (behind === undefined) {
        t.fail(`what is hidden behind :${parameter} of ${route.url}? Say so in test/authorization/oracle-kit.ts`)
        return
      }
      const { hidden, path } = behind
      if (hidden.length === 0) return
      const before = await digestDatabase(database)
      const differences: string[] = []
      let count = 0
      const compare = async (title: string, method: string, ids: string[], by: Person, { query = '', ...asking }: Asking & { query?: string } = {}, at: Parameters<typeof ask>[0] = app) => {
        const send = async (id: string) => await ask(at, method, `${path.replace(':it', id)}${query === '' ? '' : `?${query}`}`, { ...asking, cookie: by.cookie })
        const absent = await send(absentId)
        // What is not there comes before what is wrong with the request; what is not there on one's own thing, after it.
        const isRight = absent.status === 404 || (parameter !== 'id' && absent.status >= 400) || /preflight/.test(title)
        if (!isRight) differences.push(`${method} ${title}: ${absent.status}`)
        for (const id of ids) {
          count++
          differences.push(...tellApart(`${method} ${title}, ${id}`, await send(id), absent))
        }
      }
      for (const method of methods) {
        // Each attempt on the first of them, the bare ones on all.
        for (const attempt of attempts(method)) await compare(attempt.title, method, hidden.slice(0, 1), asker, attempt)
        const others = [...hidden, ...hidden.map((id) => id.toUpperCase())]
        await compare('bare, all', method, [...others, ...malformedIds], asker)
        if (parameter === 'id') {
          for (const person of [blind, expired]) {
            // A right to do something without the right to see it, and one that has been.
            const theirs = hidden.filter((id) => ![secrets.ownDocument].includes(id))
            await compare(`for ${person.name}`, method, theirs, person)
            await compare(`a version and a body, for ${person.name}`, method, theirs, person, { headers: { 'if-match': '"1"' }, body: { name: 'changed' } })
          }
        }
        await compare('with CORS', method, hidden, asker, { headers: { origin: 'https://app.example.org' } }, corsApp)
        await compare('preflight with CORS', method, hidden, asker, { headers: { origin: 'https://app.example.org', 'access-control-request-method': method } }, corsApp)
      }
      t.same(differences, [], `nothing in ${count} answers tells the hidden from the absent`)
      t.same(await digestDatabase(database), before, 'and the database is as it was')
    })
  }
}

/** Where else a request can name something by its id; each is compared by one of the tests below. */
const compared = [
  'GET /audit-events ?actorId', 'GET /audit-events ?resourceId', 'GET /resources ?parentId', 'GET /resources/:id/explain ?userId',
  'POST /authz/check checks[].resourceId', 'POST /authz/check checks[].userId', 'POST /resources parentId', 'POST /resources/:id/bindings subject.id', 'POST /resources/:id/move parentId'
]

t.test('every id in a query or a body is compared', async (t) => {
  interface Schema { format?: string, properties?: Record<string, Schema>, items?: Schema, anyOf?: Schema[], oneOf?: Schema[], allOf?: Schema[] }
  const idsIn = (schema: Schema, path: string): string[] => [
    ...(schema.format === 'uuid' ? [path] : []),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, property]) => idsIn(property, path === '' || path === '?' ? `${path}${name}` : `${path}.${name}`)),
    ...(schema.items === undefined ? [] : idsIn(schema.items, `${path}[]`)),
    ...[schema.anyOf, schema.oneOf, schema.allOf].flatMap((branches) => (branches ?? []).flatMap((branch) => idsIn(branch, path)))
  ]
  const found = app.routes.filter(({ method }) => method !== 'HEAD').flatMap(({ method, url, schema }) =>
    [...idsIn((schema.querystring ?? {}) as Schema, '?'), ...idsIn((schema.body ?? {}) as Schema, '')].map((path) => `${method} ${url} ${path}`))
  t.same([...new Set(found)].sort(), compared, 'another one is hidden or absent too: compare it here')
})

t.test('a resource and an actor in the query of the audit log, and a user in that of an explanation', async (t) => {
  const { organization, project, document, group, ownDocument, keeper, deactivated } = secrets
  const compare = async (by: Person, url: (id: string) => string, ids: string[]) => {
    const before = await digestDatabase(database)
    const absent = await ask(app, 'GET', url(absentId), { cookie: by.cookie })
    for (const id of ids) t.same(await ask(app, 'GET', url(id), { cookie: by.cookie }), absent, url(':it'))
    t.same(await digestDatabase(database), before)
  }
  for (const by of [asker, blind, expired]) {
    for (const rest of ['', '&subtree=true', `&actorId=${keeper.id}`, '&type=resource.created', '&limit=1']) {
      await compare(by, (id) => `/audit-events?resourceId=${id}${rest}`, [organization, project, document, group])
    }
  }
  await compare(asker, (id) => `/audit-events?resourceId=${ownDocument}&actorId=${id}`, [keeper.id, deactivated.id])
  for (const action of ['view', 'edit', 'no-such-action']) {
    await compare(asker, (id) => `/resources/${ownDocument}/explain?action=${action}&userId=${id}`, [deactivated.id, group])
  }
})

/** Sends two requests that may differ in what is hidden only. */
async function same (t: Pick<typeof import('tap').t, 'same'>, title: string, method: string, url: string, bodies: unknown[], by = asker): Promise<void> {
  const before = await digestDatabase(database)
  const [first, ...others] = await bodies.reduce<Promise<Awaited<ReturnType<typeof ask>>[]>>(async (done, body) =>
    [...await done, await ask(app, method, url, { body, cookie: by.cookie })], Promise.resolve([]))
  for (const other of others) t.same(other, first, title)
  t.same(await digestDatabase(database), before, `nothing was written: ${title}`)
}

t.test('a parent in the body', async (t) => {
  const { own, ownDocument, organization, project, document, lent, hiddenChild } = secrets
  for (const type of ['document', 'project', 'group', 'organization', 'system']) {
    await same(t, `creating a ${type}`, 'POST', '/resources', [absentId, organization, project, document].map((parentId) => ({ type, name: 'new', parentId })))
    await same(t, `creating a ${type}, with the right to create but not to see`, 'POST', '/resources', [absentId, organization, project].map((parentId) => ({ type, name: 'new', parentId })), blind)
  }
  await same(t, 'moving', 'POST', `/resources/${ownDocument}/move`, [absentId, organization, project, document].map((parentId) => ({ parentId })))
  await same(t, 'moving what cannot stand there', 'POST', `/resources/${own}/move`, [absentId, project, document].map((parentId) => ({ parentId })))
  await same(t, 'moving under a hidden child of one\'s own', 'POST', `/resources/${lent}/move`, [absentId, hiddenChild].map((parentId) => ({ parentId })))
})

t.test('a subject in the body', async (t) => {
  const { own, ownDocument, ownGroup, group, boundGroup, memberGroup, document, keeper, deactivated } = secrets
  for (const place of [own, ownDocument]) {
    // Bound there already, or in a group of the asker: neither conflict nor success may show.
    const groups = [absentId, group, boundGroup, memberGroup, document, ownDocument, keeper.id]
    await same(t, 'groups', 'POST', `/resources/${place}/bindings`, groups.map((id) => ({ role: 'viewer', subject: { type: 'group', id } })))
    await same(t, 'users', 'POST', `/resources/${place}/bindings`, [absentId, deactivated.id, ownGroup, group].map((id) => ({ role: 'viewer', subject: { type: 'user', id } })))
    await same(t, 'addresses', 'POST', `/resources/${place}/bindings`, ['nobody@example.org', deactivated.email].map((email) => ({ role: 'viewer', subject: { type: 'user', email } })))
  }
})

t.test('a check', async (t) => {
  const { organization, project, document, group, keeper, deactivated } = secrets
  const actions = ['view', 'edit', 'share', 'no-such-action']
  for (const by of [asker, blind, expired]) {
    await same(t, `for ${by.name}`, 'POST', '/authz/check', [absentId, organization, project, document, group].map((resourceId) => ({ checks: actions.map((action) => ({ action, resourceId })) })), by)
    for (const userId of [keeper.id, deactivated.id, absentId]) {
      await same(t, `about somebody else, for ${by.name}`, 'POST', '/authz/check', [absentId, organization, project, document].map((resourceId) => ({ checks: actions.map((action) => ({ action, resourceId, userId })) })), by)
    }
  }
  for (const action of actions) {
    const checks = [absentId, deactivated.id].map((userId) => ({ checks: [{ action, resourceId: secrets.ownDocument, userId }] }))
    await same(t, 'about who is not there, or not any more', 'POST', '/authz/check', checks)
  }
})

t.test('a list of what is under a hidden parent', async (t) => {
  const { organization, project, document, group } = secrets
  for (const rest of ['', '&type=document', '&action=edit', '&q=a', '&limit=1', '&type=document&action=share&q=document&limit=100']) {
    const absent = await ask(app, 'GET', `/resources?parentId=${absentId}${rest}`, { cookie: asker.cookie })
    t.equal(absent.status, 200)
    t.equal(absent.payload, '{"items":[],"nextCursor":null}')
    for (const id of [organization, project, document, group]) {
      for (const person of [asker, expired]) {
        t.same(await ask(app, 'GET', `/resources?parentId=${id}${rest}`, { cookie: person.cookie }), absent, `hidden as absent${rest}`)
      }
    }
  }
})

t.test('pages of a list, before and after others have made much that is hidden', async (t) => {
  const urls = ['/resources', ...[1, 2, 3, 4, 5, 6].map((limit) => `/resources?limit=${limit}`), '/resources?q=o', '/resources?type=document', '/resources?action=edit&limit=1',
    `/resources?parentId=${secrets.own}&limit=2`, `/resources?parentId=${secrets.lent}`, `/resources?parentId=${rootId}&limit=2`]
  // Positions in the list of somebody who sees all: a hidden one, and one of nothing that sorts next to it.
  const next = (id: string) => `${id.slice(0, -1)}${id.endsWith('f') ? 'f' : (parseInt(id.slice(-1), 16) + 1).toString(16)}`
  const cursor = (id: string) => `/resources?limit=2&cursor=${encodeCursor(app.app.cursorKeys, 'resources', id)}`
  const look = async () => {
    const answers = []
    for (const url of urls) answers.push(await ask(app, 'GET', url, { cookie: asker.cookie }))
    return answers
  }
  const before = await look()
  const { organization, project, lent, own } = secrets
  for (let count = 0; count < 10; count++) {
    for (const [type, parent] of [['document', project], ['document', lent], ['project', organization], ['organization', rootId]] as const) await world.addResource(type, parent, 'o')
  }
  t.same(await look(), before, 'not an item, not a cursor, not a byte differs')
  for (const id of [organization, project]) {
    t.same(await ask(app, 'GET', cursor(id), { cookie: asker.cookie }), await ask(app, 'GET', cursor(next(id)), { cookie: asker.cookie }), 'a cursor at something hidden is one at nothing')
  }
  t.not((await ask(app, 'GET', cursor(own), { cookie: asker.cookie })).payload, before[0]?.payload, 'while cursors do count')
})

t.test('the root, hidden and under its alias', async (t) => {
  await database.query('DELETE FROM role_bindings WHERE subject_id = $1', ['ffffffff-ffff-ffff-ffff-ffffffffffff'])
  const nobody = await world.addPerson('Nobody')
  for (const method of methods) {
    for (const rest of ['', '/bindings']) {
      const send = async (id: string) => await ask(app, method, `/resources/${id}${rest}`, { cookie: nobody.cookie })
      const absent = await send(absentId)
      for (const id of ['root', rootId]) t.same(await send(id), absent, `${method} ${id}${rest}`)
    }
  }
  await same(t, 'as a parent', 'POST', '/resources', [{ parentId: absentId }, { parentId: rootId }, {}].map((parent) => ({ type: 'organization', name: 'new', ...parent })), nobody)
  await same(t, 'of something else', 'POST', `/resources/${secrets.ownDocument}/move`, [absentId, rootId].map((parentId) => ({ parentId })))
})
