/** Resources one by one: creating, reading, changing and deleting them, and what their answers show. */
import t from 'tap'
import { getResource } from '../../src/services/authorization.js'
import { updateResource } from '../../src/services/resources.js'
import { moveResource } from '../../src/services/tree.js'
import { callerOf } from '../helpers/caller.js'
import { absentId, faults, openWorld, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, create, give, person, request, database: { db, query } } = world
const owner = await person()
const stranger = await person()
const organization = await create(owner, 'organization')

t.test('whoever creates an organization owns it, and is told where it is', async (t) => {
  const { status, headers, body } = await as(owner, 'POST', '/resources', { type: 'organization', name: 'Acme', attributes: { language: 'en' } })
  t.equal(status, 201)
  t.match(body, {
    type: 'organization',
    name: 'Acme',
    parentId: rootId,
    attributes: { language: 'en' },
    allowedActions: ['delete', 'edit', 'share', 'view'],
    creatableTypes: ['document', 'group', 'project']
  })
  t.same(Object.keys(body).sort(), ['allowedActions', 'attributes', 'creatableTypes', 'createdAt', 'id', 'name', 'parentId', 'type', 'updatedAt'])
  t.match(body.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  t.equal(headers['location'], `/resources/${body.id}`)
  t.equal(headers['etag'], '"1"')
  const read = await as(owner, 'GET', headers['location']!)
  t.match(read, { status: 200, headers: { etag: '"1"' } })
  t.same(read.body, body)
  t.match(await as(owner, 'GET', `/resources/${body.id}/bindings`), { body: { items: [{ role: 'owner', subject: { type: 'user', id: owner.id }, createdBy: owner.id, expiresAt: null }], nextCursor: null } })
})

t.test('a type without a creator role binds its creator to nothing', async (t) => {
  const project = await create(owner, 'project', organization)
  t.same((await as(owner, 'GET', `/resources/${project}/bindings`)).body.items, [])
})

t.test('the root is there for everyone, and known by its alias in a path', async (t) => {
  for (const id of ['root', rootId]) {
    const { status, body } = await as(stranger, 'GET', `/resources/${id}`)
    t.equal(status, 200)
    t.match(body, { id: rootId, type: 'system', name: 'root', parentId: null, allowedActions: ['view'], creatableTypes: ['organization'] })
  }
  t.match((await as(administrator, 'GET', '/resources/root')).body, { allowedActions: ['delete', 'edit', 'share', 'view'], creatableTypes: ['group', 'organization'] })
  t.match(await as(stranger, 'GET', '/resources/ROOT'), { status: 404 })
  t.match(await as(stranger, 'POST', '/resources', { type: 'organization', name: 'x', parentId: 'root' }), { status: 400 })
})

t.test('ids are taken in either case, and answered in lower case', async (t) => {
  t.equal((await as(owner, 'GET', `/resources/${organization.toUpperCase()}`)).body.id, organization)
  const { status, body } = await as(owner, 'POST', '/resources', { type: 'project', name: 'x', parentId: organization.toUpperCase() })
  t.equal(status, 201)
  t.equal(body.parentId, organization)
})

for (const id of [absentId, 'nonsense', '%00', '%25', `urn:uuid:${organization}`, `%7B${organization}%7D`, organization.replaceAll('-', ''), organization.slice(1), `${organization}0`, 'x'.repeat(5_000)]) {
  t.test(`what is no id of anything is not found: ${id.slice(0, 60)}`, async (t) => {
    t.match(await as(administrator, 'GET', `/resources/${id}`), { status: 404, body: { code: 'not-found' } })
    t.match(await as(administrator, 'PATCH', `/resources/${id}`, { name: 5 }), { status: 404, body: { code: 'not-found' } })
  })
}

for (const parentId of ['', 'nonsense', `urn:uuid:${organization}`, `{${organization}}`, organization.replaceAll('-', ''), null, 5, [organization]]) {
  t.test(`a malformed id in a body is a 400: ${JSON.stringify(parentId)}`, async (t) => {
    const { status, body } = await as(administrator, 'POST', '/resources', { type: 'project', name: 'x', parentId })
    t.match({ status, code: body.code, path: body.errors?.[0]?.path }, { status: 400, code: 'invalid-request', path: '/parentId' })
  })
}

for (const [what, name] of [
  ['one character', 'x'], ['255 characters', 'x'.repeat(255)], ['255 characters beyond the first plane', '🦊'.repeat(255)], ['a blank', ' '],
  ['what looks like SQL', "'; DROP TABLE resources; --"], ['line breaks and quotes', 'a\n"b"\\\t<c>']
] as const) {
  t.test(`a name may be ${what}`, async (t) => {
    const { status, body } = await as(owner, 'POST', '/resources', { type: 'project', name, parentId: organization })
    t.equal(status, 201)
    t.equal(body.name, name)
    t.equal((await as(owner, 'PATCH', `/resources/${body.id}`, { name })).body.name, name)
  })
}

for (const [what, change, fault] of [
  ['no name', { name: undefined }, '/name is required'],
  ['an empty name', { name: '' }, '/name must NOT have fewer than 1 characters'],
  ['256 characters', { name: 'x'.repeat(256) }, '/name must NOT have more than 255 characters'],
  ['256 characters beyond the first plane', { name: '🦊'.repeat(256) }, '/name must NOT have more than 255 characters'],
  ['a number for a name', { name: 5 }, '/name must be string'],
  ['U+0000 in the name', { name: 'a\0b' }, '/name must not contain U+0000 or a lone surrogate'],
  ['a lone surrogate in the name', { name: 'a\ud800b' }, '/name must not contain U+0000 or a lone surrogate'],
  ['no type', { type: undefined }, '/type is required'],
  ['a type in capitals', { type: 'Project' }, '/type must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['a type of 64 characters', { type: 'x'.repeat(64) }, '/type must match pattern "^[a-z][a-z0-9-]{0,62}$"'],
  ['an unknown field', { owner: 'me' }, '/owner is not known here'],
  ['an id', { id: absentId }, '/id is not known here'],
  ['attributes that are a list', { attributes: [] }, '/attributes must be object'],
  ['attributes that are null', { attributes: null }, '/attributes must be object'],
  ['attributes that are text', { attributes: '{}' }, '/attributes must be object'],
  ['U+0000 deep in the attributes', { attributes: { a: [{ b: '\0' }] } }, '/attributes/a/0/b must not contain U+0000 or a lone surrogate'],
  ['a lone surrogate in an attribute\'s name', { attributes: { '\udc00': 1 } }, '/attributes must not have a name with U+0000 or a lone surrogate']
] as const) {
  t.test(`refused when created: ${what}`, async (t) => {
    const answer = await as(owner, 'POST', '/resources', { type: 'project', name: 'x', parentId: organization, ...change })
    t.match(answer, { status: 400, body: { code: 'invalid-request' } })
    t.same(faults(answer), [fault])
  })
}

const post = async (attributes: string) => await request('POST', '/resources', {
  cookie: owner.cookie,
  headers: { 'content-type': 'application/json' },
  payload: `{"type":"project","name":"x","parentId":"${organization}","attributes":${attributes}}`
})
const nested = (levels: number): string => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`

for (const [what, attributes] of Object.entries({
  nothing: '{}',
  'every kind of value': '{"text":"ä🦊","number":-1.5e-7,"yes":true,"no":false,"null":null,"list":[1,[2,{}]],"object":{"a":{"b":[]}}}',
  'an empty name': '{"":{"":0}}',
  'names with line breaks': '{"a\\nb":1,"a\\u2028b":{"\\r\\n":2}}',
  'names that JavaScript knows': '{"constructor":1,"toString":"x","toJSON":{"valueOf":null},"hasOwnProperty":[],"length":3}',
  'numbers at the edge': '{"a":1.7976931348623157e308,"b":5e-324,"c":9007199254740991,"d":-9007199254740991}',
  '64 levels': nested(64),
  '16 KiB to the byte': `{"a":"${'x'.repeat(16_384 - 8)}"}`,
  '16 KiB to the byte in another script': `{"a":"${'é'.repeat(8_188)}"}`
})) {
  t.test(`attributes are kept as they came: ${what}`, async (t) => {
    const { status, body } = await post(attributes)
    t.equal(status, 201)
    t.same(body.attributes, JSON.parse(attributes))
    t.same(Object.keys(body.attributes).sort(), Object.keys(JSON.parse(attributes)).sort())
    t.same((await as(owner, 'GET', `/resources/${body.id}`)).body.attributes, JSON.parse(attributes))
  })
}

for (const [what, attributes, fault] of [
  ['16 KiB and a byte', `{"a":"${'x'.repeat(16_384 - 7)}"}`, '/attributes must be at most 16 KiB of JSON'],
  ['16 KiB and a byte in another script', `{"a":"${'é'.repeat(8_188)}x"}`, '/attributes must be at most 16 KiB of JSON'],
  ['numbers that are long when written out', `{"a":[${Array(60).fill('1e300').join()}]}`, '/attributes must be at most 16 KiB of JSON'],
  ['small numbers that are long when written out', `{"a":[${Array(60).fill('1e-300').join()}]}`, '/attributes must be at most 16 KiB of JSON'],
  ['65 levels', nested(65), '/attributes must be nested at most 64 levels deep'],
  ['20,000 levels', nested(20_000), '/attributes must be nested at most 64 levels deep'],
  ['a number out of range', '{"a":[{"b":1e309}]}', '/attributes must not contain a number out of range'],
  ['a number out of range below zero', '{"a":-1e400}', '/attributes must not contain a number out of range']
] as const) {
  t.test(`attributes are refused: ${what}`, async (t) => {
    const answer = await post(attributes)
    t.equal(answer.status, 400)
    t.same(faults(answer), [fault])
  })
}

for (const attributes of ['{"__proto__":{}}', '{"a":[{"__proto__":1}]}', '{"\\u005f_proto__":1}', '{"constructor":{"prototype":{}}}']) {
  t.test(`attributes cannot reach for a prototype: ${attributes}`, async (t) => {
    t.match(await post(attributes), { status: 400, body: { code: 'invalid-request', detail: /^The body has an object with the name "__proto__"/ } })
  })
}

t.test('creating is refused in the documented order', async (t) => {
  const hidden = await create(administrator, 'organization')
  const viewer = await person()
  await give(viewer, organization, '*:view')
  const attempt = async (who: typeof owner, body: object) => {
    const answer = await as(who, 'POST', '/resources', { name: 'x', ...body })
    return `${answer.status} ${answer.body.code}`
  }
  t.equal((await request('POST', '/resources', { body: { nonsense: 1 } })).status, 401, 'who it is comes before what is sent')
  t.equal(await attempt(viewer, { type: 'nothing', parentId: hidden, x: 1 }), '400 invalid-request')
  t.equal(await attempt(viewer, { type: 'nothing', parentId: hidden }), '400 unknown-type')
  t.equal(await attempt(viewer, { type: 'user', parentId: organization }), '400 unknown-type', 'an account is no resource')
  t.equal(await attempt(viewer, { type: 'system', parentId: hidden }), '404 not-found')
  t.equal(await attempt(viewer, { type: 'system', parentId: absentId }), '404 not-found')
  t.equal(await attempt(viewer, { type: 'system', parentId: organization }), '403 forbidden')
  t.equal(await attempt(viewer, { type: 'organization', parentId: organization }), '409 invalid-parent', 'everyone may create organizations')
  t.equal(await attempt(viewer, { type: 'project', parentId: organization }), '403 forbidden')
  t.equal(await attempt(viewer, { type: 'project' }), '403 forbidden', 'the root is the parent when none is named')
  t.equal(await attempt(administrator, { type: 'system' }), '409 invalid-parent')
  t.equal(await attempt(administrator, { type: 'document' }), '409 invalid-parent')
  const document = await create(owner, 'document', organization)
  t.equal(await attempt(owner, { type: 'document', parentId: document }), '409 invalid-parent')
})

t.test('creating needs that one sees the parent and may create the type there, and nothing else', async (t) => {
  const clerk = await person()
  await give(clerk, organization, 'organization:view', 'document:create', 'document:edit')
  t.match((await as(clerk, 'GET', `/resources/${organization}`)).body, { allowedActions: ['view'], creatableTypes: ['document'] })
  const { status, body } = await as(clerk, 'POST', '/resources', { type: 'document', name: 'x', parentId: organization })
  t.equal(status, 201)
  t.match(body, { parentId: organization, allowedActions: [], creatableTypes: [] }, 'nothing is offered on what the creator does not see')
  t.match(await as(clerk, 'GET', `/resources/${body.id}`), { status: 404 })
  t.match(await as(clerk, 'PATCH', `/resources/${body.id}`, {}), { status: 404 })

  const blind = await person()
  await give(blind, organization, 'document:create')
  t.match(await as(blind, 'POST', '/resources', { type: 'document', name: 'x', parentId: organization }), { status: 404 })
})

t.test('a tree is 32 levels deep and no deeper', async (t) => {
  let parent = organization
  for (let level = 2; level <= 32; level++) parent = await create(owner, 'project', parent)
  t.match(await as(owner, 'POST', '/resources', { type: 'project', name: 'x', parentId: parent }), { status: 409, body: { code: 'too-deep' } })
  t.match(await as(owner, 'POST', '/resources', { type: 'group', name: 'x', parentId: parent }), { status: 409, body: { code: 'invalid-parent' } }, 'where it may stand comes first')
  t.same(await query('SELECT distance FROM resource_closure WHERE ancestor_id = $1 AND descendant_id = $2', [rootId, parent]), [{ distance: 32 }])
})

t.test('the parent is not named to who does not see it', async (t) => {
  const project = await create(owner, 'project', organization)
  const document = await create(owner, 'document', project)
  const guest = await person()
  await give(guest, document, 'document:view')
  t.equal((await as(owner, 'GET', `/resources/${document}`)).body.parentId, project)
  const { body } = await as(guest, 'GET', `/resources/${document}`)
  t.equal(body.parentId, null)
  t.notMatch(JSON.stringify(body), project)
  t.equal((await as(guest, 'GET', '/resources?type=document')).body.items[0].parentId, null)
  await give(guest, document, 'project:view')
  t.equal((await as(guest, 'GET', `/resources/${document}`)).body.parentId, null, 'a right on the child says nothing about the parent')
  await give(guest, project, 'project:view')
  t.equal((await as(guest, 'GET', `/resources/${document}`)).body.parentId, project)
})

t.test('a changed resource has another ETag, and what is not named stays', async (t) => {
  const { body } = await as(owner, 'POST', '/resources', { type: 'project', name: 'first', parentId: organization, attributes: { a: 1, b: 2 } })
  const url = `/resources/${body.id}`
  const renamed = await as(owner, 'PATCH', url, { name: 'second' })
  t.match(renamed, { status: 200, headers: { etag: '"2"' }, body: { name: 'second', attributes: { a: 1, b: 2 } } })
  t.ok(renamed.body.updatedAt > body.updatedAt)
  t.equal(renamed.body.createdAt, body.createdAt)
  const replaced = await as(owner, 'PATCH', url, { attributes: { c: 3 } })
  t.match(replaced, { headers: { etag: '"3"' } })
  t.same(replaced.body.attributes, { c: 3 }, 'attributes are replaced as a whole')
  t.equal(replaced.body.name, 'second')
  t.match(await as(owner, 'GET', url), { headers: { etag: '"3"' } })
  t.match(await request('HEAD', url, { cookie: owner.cookie }), { status: 200, text: '', headers: { etag: '"3"' } })
  t.match(await as(administrator, 'PATCH', '/resources/root', { name: 'The top', attributes: { a: 1 } }), { status: 200, body: { name: 'The top' } }, 'the root may be renamed')
})

for (const [what, header, status] of [
  ['the present version', '"1"', 200],
  ['any version', '*', 200],
  ['any version, with blanks', '  * ', 200],
  ['a list with the present one', '"7", "1"', 200],
  ['a list without blanks', '"7","1"', 200],
  ['a list with others\' tags, and a comma in one', '"a,b", W/"1", "1"', 200],
  ['another version', '"2"', 412],
  ['an older version', '"0"', 412],
  ['a list of others', '"2", "3"', 412],
  ['a weak tag, which never matches', 'W/"1"', 412],
  ['no quotes', '1', 412],
  ['half a tag', '"1', 412],
  ['a tag with a blank in it', '"1 "', 412],
  ['nonsense', 'nonsense', 412],
  ['an empty header', '', 412],
  ['a star in a list', '*, "2"', 412],
  ['a number that no version has', '"99999999999999999999"', 412]
] as const) {
  t.test(`If-Match with ${what} is answered ${status}`, async (t) => {
    const id = await create(owner, 'project', organization, 'before')
    const answer = await as(owner, 'PATCH', `/resources/${id}`, { name: 'after' }, { headers: { 'if-match': header } })
    t.equal(answer.status, status)
    if (status === 412) t.equal(answer.body.code, 'precondition-failed')
    t.equal((await as(owner, 'GET', `/resources/${id}`)).body.name, status === 200 ? 'after' : 'before')
  })
}

t.test('If-Match keeps a version from being moved or deleted that the client does not know', async (t) => {
  const [project, place] = [await create(owner, 'project', organization), await create(owner, 'project', organization)]
  const viewer = await person()
  await give(viewer, organization, '*:view')
  const ifMatch = (tag: string) => ({ headers: { 'if-match': tag } })
  const move = async (tag: string, who = owner, query = '') => await as(who, 'POST', `/resources/${project}/move${query}`, { parentId: place }, ifMatch(tag))
  const remove = async (tag: string, who = owner) => await as(who, 'DELETE', `/resources/${project}`, undefined, ifMatch(tag))
  for (const send of [move, remove]) {
    t.match(await send('"0"', stranger), { status: 404 })
    t.match(await send('"0"', viewer), { status: 403 })
    t.match(await send('"0"'), { status: 412, body: { code: 'precondition-failed' } })
  }
  t.match(await move('"0"', owner, '?dryRun=true'), { status: 412 })
  t.match((await as(owner, 'GET', `/resources/${project}`)).body, { parentId: organization })
  t.match(await move('"1"'), { status: 200, headers: { etag: '"2"' } })
  t.match(await remove('"1"'), { status: 412 })
  t.match(await remove('"2"'), { status: 204 })
})

t.test('changing is refused in the documented order', async (t) => {
  const viewer = await person()
  await give(viewer, organization, '*:view')
  const stale = { headers: { 'if-match': '"0"' } }
  const url = `/resources/${organization}`
  t.match(await request('PATCH', url, { body: { x: 1 } }), { status: 401 })
  t.match(await as(stranger, 'PATCH', url, { x: 1 }, stale), { status: 404 })
  t.match(await as(viewer, 'PATCH', url, { x: 1 }, stale), { status: 403, body: { code: 'forbidden' } })
  for (const body of [{ x: 1 }, { type: 'project' }, { parentId: rootId }, { name: '' }, { name: null }, { attributes: null }, [], 'x', null]) {
    t.match(await as(owner, 'PATCH', url, body, stale), { status: 400, body: { code: 'invalid-request' } }, JSON.stringify(body))
  }
  t.match(await as(owner, 'PATCH', url, { attributes: { a: 'x'.repeat(16_384) } }, stale), { status: 400 })
  t.match(await as(owner, 'PATCH', url, {}, stale), { status: 412 })
  t.match(await as(owner, 'PATCH', url), { status: 400 }, 'no body at all')
})

t.test('what was deleted between the guard and the work is not found', async (t) => {
  await t.rejects(updateResource(db, callerOf(owner.id), absentId, { name: 'x' }), { code: 'not-found' })
  await t.rejects(moveResource(db, callerOf(owner.id), absentId, rootId), { code: 'not-found' })
  await t.rejects(getResource(db, callerOf(owner.id), absentId), { code: 'not-found' })
})

t.test('an action of one\'s own is offered to who holds it, and an action that the type does not have to nobody', async (t) => {
  t.match(await as(administrator, 'PUT', '/resource-types/page', { actions: ['publish', 'archive'], parents: ['organization'] }), { status: 201 })
  const page = await create(owner, 'page', organization)
  t.same((await as(owner, 'GET', `/resources/${page}`)).body.allowedActions, ['archive', 'delete', 'edit', 'publish', 'share', 'view'])
  const publisher = await person()
  await give(publisher, organization, '*:view', '*:publish')
  t.same((await as(publisher, 'GET', `/resources/${page}`)).body.allowedActions, ['publish', 'view'])
  t.same((await as(publisher, 'GET', `/resources/${organization}`)).body.allowedActions, ['view'])
})

t.test('deleting is refused in the documented order', async (t) => {
  const target = await create(owner, 'organization')
  const child = await create(owner, 'project', target)
  const viewer = await person()
  await give(viewer, target, '*:view')
  const url = `/resources/${target}`
  t.match(await request('DELETE', `${url}?x=1`), { status: 401 })
  t.match(await as(stranger, 'DELETE', `${url}?x=1`), { status: 404 })
  t.match(await as(viewer, 'DELETE', `${url}?x=1`), { status: 403, body: { code: 'forbidden' } })
  for (const query of ['x=1', 'recursive=', 'recursive=1', 'recursive=TRUE', 'recursive=true&recursive=true']) t.match(await as(owner, 'DELETE', `${url}?${query}`), { status: 400 }, query)
  t.match(await as(owner, 'DELETE', url, { recursive: true }), { status: 400 })
  t.match(await as(owner, 'DELETE', url), { status: 409, body: { code: 'has-children' } })
  t.match(await as(owner, 'DELETE', `${url}?recursive=false`), { status: 409, body: { code: 'has-children' } })
  t.match(await as(administrator, 'DELETE', '/resources/root'), { status: 409, body: { code: 'built-in' } })
  t.match(await as(administrator, 'DELETE', `/resources/${rootId}?recursive=true`), { status: 409, body: { code: 'built-in' } })
  t.match(await as(owner, 'DELETE', `/resources/${child}`), { status: 204, text: '' })
  t.match(await as(owner, 'DELETE', `/resources/${child}`), { status: 404 })
  t.match(await as(owner, 'DELETE', url), { status: 204 })
})

t.test('deleting with all below it needs `delete` for every type there', async (t) => {
  const target = await create(owner, 'organization')
  const project = await create(owner, 'project', target)
  const inner = await create(owner, 'project', project)
  const document = await create(owner, 'document', inner)
  const clerk = await person()
  await give(clerk, target, '*:view', 'project:delete')
  t.match(await as(clerk, 'DELETE', `/resources/${project}?recursive=true`), { status: 403, body: { code: 'forbidden' } })
  await give(clerk, inner, 'document:delete')
  t.match(await as(clerk, 'DELETE', `/resources/${project}?recursive=true`), { status: 403 }, 'it has to be held on what is deleted')
  t.match(await as(clerk, 'GET', `/resources/${document}`), { status: 200 })
  t.match(await as(clerk, 'DELETE', `/resources/${inner}?recursive=true`), { status: 204 })
  t.match(await as(owner, 'GET', `/resources/${document}`), { status: 404 })

  const secret = await create(owner, 'document', project)
  const half = await person()
  await give(half, target, 'organization:view', 'project:view', 'project:delete', 'document:delete')
  t.match(await as(half, 'DELETE', `/resources/${project}?recursive=true`), { status: 403 }, 'who does not see it may not delete it')
  await give(half, target, 'document:view')
  t.match(await as(half, 'DELETE', `/resources/${project}?recursive=true`), { status: 204 })
  t.same(await query('SELECT id FROM resources WHERE id = ANY ($1)', [[project, secret]]), [])
  t.same(await query('SELECT 1 FROM role_bindings WHERE resource_id = $1', [inner]), [], 'bindings go with what they are on')
})
