/** `GET /resources`: exactly what its reader sees, in pages that are complete, whatever the filters. */
import t from 'tap'
import { absentId, faults, openWorld, readPages, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, bind, create, give, person, request } = world
const owner = await person()
const organization = await create(owner, 'organization', undefined, 'Home')
const ids = async (who: typeof owner, url: string): Promise<string[]> => {
  const { status, body, text } = await as(who, 'GET', url)
  if (status !== 200) throw new Error(text)
  return body.items.map(({ id }: { id: string }) => id)
}

t.test('who holds nothing sees the root, as everyone does', async (t) => {
  const { status, body } = await as(await person(), 'GET', '/resources')
  t.equal(status, 200)
  t.same(Object.keys(body), ['items', 'nextCursor'], 'there is no count')
  t.match(body, { items: [{ id: rootId, allowedActions: ['view'], creatableTypes: ['organization'] }], nextCursor: null })
  t.equal(body.items.length, 1)
  t.match(await request('GET', '/resources?x=1'), { status: 401 })
})

t.test('an item of the list is what GET shows of it', async (t) => {
  const [item] = (await as(owner, 'GET', '/resources?q=Home')).body.items
  t.same(item, (await as(owner, 'GET', `/resources/${organization}`)).body)
})

t.test('the pages are complete, in the order of the ids, and without duplicates where several bindings reach the same', async (t) => {
  const place = await create(owner, 'organization')
  const reader = await person()
  const made: string[] = []
  let parent = place
  for (let index = 0; index < 11; index++) {
    const id = await create(owner, index % 2 === 0 ? 'project' : 'document', parent)
    made.push(id)
    if (index % 4 === 0) parent = id
    if (index % 3 === 0) await give(reader, id, '*:view')
  }
  const everyones = await give('everyone', place, 'document:view')
  await give(reader, place, 'project:view')
  const expected = [rootId, ...made].sort()
  for (const limit of [1, 3, 4, 12, 100]) {
    const pages = await readPages(world, reader, `/resources?limit=${limit}`)
    t.same(pages.flat().map(({ id }) => id), expected, `limit ${limit}`)
    t.same(pages.map((page) => page.length).slice(0, -1).filter((length) => length !== limit), [], 'only the last page is short')
    t.not(pages.at(-1)?.length, 0, 'and none is empty')
  }
  t.same((await readPages(world, reader, '/resources?limit=3&type=document')).flat().map(({ id }) => id), made.filter((_, index) => index % 2 === 1).sort())
  t.equal((await as(reader, 'GET', '/resources')).body.items.length, 12, 'twenty are a page')
  for (const id of expected) t.match(await as(reader, 'GET', `/resources/${id}`), { status: 200 })
  await as(owner, 'DELETE', `/resources/${place}/bindings/${everyones}`)
})

t.test('what is hidden between two visible ones leaves no trace in the pages', async (t) => {
  const place = await create(owner, 'organization')
  const reader = await person()
  const seen: string[] = []
  for (let index = 0; index < 9; index++) {
    const id = await create(owner, 'document', place)
    if (index % 4 !== 0) continue
    await give(reader, id, 'document:view')
    seen.push(id)
  }
  const pages = await readPages(world, reader, `/resources?limit=1&parentId=${place}`)
  t.same(pages.map((page) => page.map(({ id }) => id)), seen.map((id) => [id]))
})

t.test('`action` finds what one may do that with', async (t) => {
  const place = await create(administrator, 'organization')
  const project = await create(administrator, 'project', place)
  const document = await create(administrator, 'document', project)
  const worker = await person()
  await give(worker, place, 'project:view', 'document:edit')
  await give(worker, document, 'document:view', 'document:share')
  t.same(await ids(worker, '/resources?action=view'), [rootId, project, document])
  t.same(await ids(worker, '/resources?action=edit'), [document], 'by a binding above that of its view')
  t.same(await ids(worker, '/resources?action=share'), [document])
  t.same(await ids(worker, '/resources?action=delete'), [])
  t.same(await ids(worker, '/resources?action=create'), [])
  t.same(await ids(worker, '/resources?action=publish'), [], 'an action that no type has')
  t.same(await ids(administrator, '/resources?action=publish'), [], 'nor for who holds everything')
  await as(administrator, 'PUT', '/resource-types/page', { actions: ['publish'], parents: ['organization'] })
  const page = await create(administrator, 'page', place)
  t.same(await ids(administrator, '/resources?action=publish'), [page])
  const blind = await person()
  await give(blind, place, 'document:edit')
  t.same(await ids(blind, '/resources?action=edit'), [], 'who does not see it may not')
})

t.test('`parentId` finds what stands directly under something, seen or not', async (t) => {
  const place = await create(owner, 'organization')
  const project = await create(owner, 'project', place)
  const document = await create(owner, 'document', project)
  const guest = await person()
  await give(guest, document, 'document:view')
  t.same(await ids(owner, `/resources?parentId=${place.toUpperCase()}`), [project])
  t.same(await ids(guest, `/resources?parentId=${place}`), [])
  t.same(await ids(guest, `/resources?parentId=${project}`), [document], 'under what is hidden')
  const answers = await Promise.all([place, absentId].map(async (id) => await as(guest, 'GET', `/resources?parentId=${id}`)))
  t.equal(answers[0]?.text, answers[1]?.text)
  t.equal(answers[0]?.text, '{"items":[],"nextCursor":null}')
})

t.test('`q` finds text literally, whatever its case, anywhere in the name', async (t) => {
  const place = await create(owner, 'organization')
  const names = ['100% sure', 'a_b', 'a\\b', 'aXb', 'Straße Ähre', 'ÉCOLE Ωmega Жук', "O'Brien; --", '🦊 fox', 'İstanbul'] as const
  const made = new Map<string, string>()
  for (const name of names) made.set(name, await create(owner, 'document', place, name))
  const find = async (q: string) => (await ids(owner, `/resources?type=document&parentId=${place}&q=${encodeURIComponent(q)}`)).map((id) => [...made].find(([, other]) => other === id)?.[0])
  for (const [q, found] of [
    ['%', ['100% sure']], ['_', ['a_b']], ['\\', ['a\\b']], ['a_b', ['a_b']], ['A', ['a_b', 'a\\b', 'aXb', 'Straße Ähre', 'ÉCOLE Ωmega Жук', 'İstanbul']], ['axB', ['aXb']],
    ['ähre', ['Straße Ähre']], ['ÄHRE', ['Straße Ähre']], ['straße', ['Straße Ähre']], ['école', ['ÉCOLE Ωmega Жук']], ['ΩMEGA', ['ÉCOLE Ωmega Жук']], ['ωmega', ['ÉCOLE Ωmega Жук']], ['жУК', ['ÉCOLE Ωmega Жук']],
    ["o'brien; --", ["O'Brien; --"]], ['🦊', ['🦊 fox']], ['e Ä', ['Straße Ähre']], ['.*', []], ['nothing', []], ['x'.repeat(100), []], ['🦊'.repeat(100), []]
  ] as const) t.same(await find(q), found, q.slice(0, 20))
})

t.test('filters combine', async (t) => {
  const place = await create(owner, 'organization')
  const project = await create(owner, 'project', place, 'Minutes')
  await create(owner, 'document', place, 'Letters')
  const document = await create(owner, 'document', place, 'minutes of May')
  const deeper = await create(owner, 'document', project, 'Minutes of June')
  t.same(await ids(owner, `/resources?parentId=${place}&q=MINUTES`), [project, document])
  t.same(await ids(owner, `/resources?parentId=${place}&q=minutes&type=document`), [document])
  t.same(await ids(owner, '/resources?q=minutes%20of&type=document&action=delete'), [document, deeper])
  t.same(await ids(owner, `/resources?parentId=${place}&type=nothing`), [], 'an unknown type')
  t.same(await ids(owner, '/resources?type=user'), [])
  t.same(await ids(owner, '/resources?type=system'), [rootId])
  const pages = await readPages(world, owner, '/resources?q=minutes&limit=1')
  t.same(pages.map((page) => page.length), [1, 1, 1], 'the filter goes along with the cursor')
})

for (const [query, fault] of [
  ['limit=0', '/limit must be >= 1'], ['limit=101', '/limit must be <= 100'], ['limit=-1', '/limit must be integer'], ['limit=1.5', '/limit must be integer'], ['limit=1e1', '/limit must be integer'],
  ['limit=0x10', '/limit must be integer'], ['limit=', '/limit must be integer'], ['limit=%201', '/limit must be integer'], ['limit=1&limit=2', '/limit must be integer'],
  ['q=', '/q must NOT have fewer than 1 characters'], [`q=${'x'.repeat(101)}`, '/q must NOT have more than 100 characters'], ['q=a&q=b', '/q must be string'], ['q=%00', '/q must not contain U+0000 or a lone surrogate'],
  ['type=Document', '/type must match pattern "^[a-z][a-z0-9-]{0,62}$"'], ['type=*', '/type must match pattern "^[a-z][a-z0-9-]{0,62}$"'], ['action=', '/action must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['parentId=root', '/parentId must match'], ['parentId=', '/parentId must match'], [`parentId=urn:uuid:${rootId}`, '/parentId must match'],
  ['cursor=', '/cursor must NOT have fewer than 1 characters'], ['cursor=x', '/cursor must be a nextCursor of this list'], [`cursor=${rootId}`, '/cursor must be a nextCursor of this list'],
  ['offset=1', '/offset is not known here'], ['Limit=1', '/Limit is not known here']
] as const) {
  t.test(`refused in a query: ${query.slice(0, 40)}`, async (t) => {
    const answer = await as(owner, 'GET', `/resources?${query}`)
    t.match(answer, { status: 400, body: { code: 'invalid-request' } })
    t.ok(faults(answer)[0]?.startsWith(fault), faults(answer).join('; '))
  })
}

t.test('a cursor that was tampered with, or is of another list, is refused', async (t) => {
  const group = await create(owner, 'group', organization)
  for (const member of [owner, administrator]) await as(owner, 'PUT', `/groups/${group}/members/${member.id}`)
  await bind(organization, 'viewer', { type: 'everyone' })
  const lists = ['/resources', '/roles', '/resource-types', `/resources/${organization}/bindings`, `/groups/${group}/members`, `/resources/${organization}/access`, `/resources/${organization}/grantable-roles`]
  for (const list of lists) {
    const { body: { nextCursor } } = await as(owner, 'GET', `${list}?limit=1`)
    t.equal(typeof nextCursor, 'string', list)
    t.match(await as(owner, 'GET', `${list}?cursor=${nextCursor}`), { status: 200 })
    const flipped = nextCursor.slice(0, -2) + (nextCursor.at(-2) === 'A' ? 'B' : 'A') + nextCursor.slice(-1)
    for (const cursor of [flipped, `${nextCursor}A`, nextCursor.slice(1), nextCursor.slice(0, -4), `${nextCursor}%3D`]) {
      t.match(await as(owner, 'GET', `${list}?cursor=${cursor}`), { status: 400, body: { code: 'invalid-request', errors: [{ path: '/cursor' }] } })
    }
    for (const other of lists.filter((each) => each !== list)) t.match(await as(owner, 'GET', `${other}?cursor=${nextCursor}`), { status: 400 }, `${list} at ${other}`)
  }
})

t.test('a cursor whose resource is gone, or hidden by now, still goes on from there', async (t) => {
  const place = await create(owner, 'organization')
  const made = [await create(owner, 'document', place), await create(owner, 'document', place), await create(owner, 'document', place)]
  const first = await as(owner, 'GET', `/resources?parentId=${place}&limit=2`)
  await as(owner, 'DELETE', `/resources/${made[1]}`)
  t.same(await ids(owner, `/resources?parentId=${place}&cursor=${first.body.nextCursor}`), [made[2]])
})
