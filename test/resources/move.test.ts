/** Moving: what it needs, where it may lead, and that it gives nobody what the mover does not hold. */
import t from 'tap'
import { absentId, openWorld, rootId } from './world.js'

const world = await openWorld()
const { as, administrator, bind, create, give, person, request, role, database: { query } } = world
const owner = await person()
const stranger = await person()
const organization = await create(owner, 'organization')
const move = async (who: typeof owner, id: string, parentId: unknown) => await as(who, 'POST', `/resources/${id}/move`, { parentId })
const codeOf = ({ status, body }: Awaited<ReturnType<typeof move>>) => `${status} ${body.code ?? ''}`.trim()

t.test('what is moved takes all below it along, and its rights change with its place', async (t) => {
  const [from, to] = [await create(owner, 'project', organization), await create(owner, 'project', organization)]
  const project = await create(owner, 'project', from, 'Moved')
  const document = await create(owner, 'document', project)
  const [ofFrom, ofTo] = [await person(), await person()]
  await give(ofFrom, from, '*:view')
  await give(ofTo, to, '*:view')
  const statuses = async () => await Promise.all([ofFrom, ofTo].map(async (who) => (await as(who, 'GET', `/resources/${document}`)).status))
  t.same(await statuses(), [200, 404])
  const before = await as(owner, 'GET', `/resources/${project}`)
  const answer = await move(owner, project.toUpperCase(), to.toUpperCase())
  t.match(answer, { status: 200, headers: { etag: '"2"' }, body: { id: project, name: 'Moved', parentId: to, allowedActions: ['delete', 'edit', 'share', 'view'] } })
  t.ok(answer.body.updatedAt > before.body.updatedAt)
  t.same((await as(owner, 'GET', `/resources/${project}`)).body, answer.body)
  t.same(await statuses(), [404, 200])
  t.equal((await as(owner, 'GET', `/resources/${document}`)).body.parentId, project)
  t.same((await as(owner, 'GET', `/resources?parentId=${from}`)).body.items, [])
})

t.test('moving to where it stands changes nothing', async (t) => {
  const project = await create(owner, 'project', organization)
  t.match(await move(owner, project, organization), { status: 200, headers: { etag: '"1"' }, body: { parentId: organization } })
})

t.test('moving is refused in the documented order', async (t) => {
  const project = await create(owner, 'project', organization)
  const child = await create(owner, 'project', project)
  const document = await create(owner, 'document', organization)
  const url = `/resources/${project}/move`
  const hidden = await create(administrator, 'organization')
  const mover = await person()
  await give(mover, organization, '*:view', 'project:edit', 'project:share')
  t.match(await request('POST', url, { body: { x: 1 } }), { status: 401 })
  t.match(await as(stranger, 'POST', url, { x: 1 }), { status: 404 })
  for (const permission of ['project:edit', 'project:share']) {
    const half = await person()
    await give(half, organization, '*:view', permission)
    t.match(await as(half, 'POST', url, { x: 1 }), { status: 403, body: { code: 'forbidden' } }, `${permission} is not enough`)
  }
  for (const body of [{}, { parentId: null }, { parentId: 'root' }, { parentId: 'nonsense' }, { parentId: `urn:uuid:${organization}` }, { parentId: organization, x: 1 }, []]) {
    t.match(await as(mover, 'POST', url, body), { status: 400, body: { code: 'invalid-request' } }, JSON.stringify(body))
  }
  t.match(await as(mover, 'POST', url), { status: 400 })
  t.equal(codeOf(await move(mover, project, absentId)), '404 not-found')
  t.equal(codeOf(await move(mover, project, hidden)), '404 not-found')
  t.equal(codeOf(await move(mover, project, child)), '403 forbidden', 'before the cycle')
  t.equal(codeOf(await move(mover, project, document)), '403 forbidden', 'before it is said that nothing stands there')
  await give(mover, organization, 'project:create')
  t.equal(codeOf(await move(mover, project, child)), '409 cycle')
  t.equal(codeOf(await move(mover, project, project)), '409 cycle')
  t.equal(codeOf(await move(mover, project, document)), '409 invalid-parent')
  t.equal(codeOf(await move(administrator, project, rootId)), '409 invalid-parent')
  t.equal(codeOf(await move(administrator, rootId, organization)), '409 built-in')
  t.equal(codeOf(await move(administrator, rootId, rootId)), '409 built-in')
})

t.test('what is moved may end at level 32 and no deeper', async (t) => {
  let end = organization
  for (let level = 2; level <= 30; level++) end = await create(owner, 'project', end)
  const tower = await create(owner, 'project', organization)
  const middle = await create(owner, 'project', tower)
  t.match(await move(owner, tower, end), { status: 200 })
  t.same(await query('SELECT distance FROM resource_closure WHERE ancestor_id = $1 AND descendant_id = $2', [rootId, middle]), [{ distance: 32 }])
  const higher = await create(owner, 'project', organization)
  await create(owner, 'project', await create(owner, 'project', higher))
  t.equal(codeOf(await move(owner, higher, end)), '409 too-deep')
  t.match(await move(owner, higher, organization), { status: 200 })
})

t.test('nobody moves a thing into their own organization and so becomes its owner', async (t) => {
  const editor = await person()
  await give(editor, organization, '*:view', '*:edit', '*:share')
  const document = await create(owner, 'document', organization)
  const own = await create(editor, 'organization')
  t.equal(codeOf(await move(editor, document, own)), '403 escalation')
  t.equal((await as(owner, 'GET', `/resources/${document}`)).body.parentId, organization)
  t.match(await move(administrator, document, own), { status: 200 }, 'who holds it all may')
})

t.test('what is bound at the new place is given as it is spelled, also for what is still to come', async (t) => {
  const target = await create(owner, 'project', organization)
  const reader = await person()
  await give(reader, target, '*:view')
  const mover = await person()
  await give(mover, organization, 'organization:view', 'project:view', 'project:edit', 'project:share', 'project:create', 'document:view', 'document:create')
  const empty = await create(owner, 'project', organization)
  t.equal(codeOf(await move(mover, empty, target)), '403 escalation', 'whatever is put into it later, the reader would see')
  await give(mover, organization, '*:view')
  t.match(await move(mover, empty, target), { status: 200 })
})

t.test('what is about nothing that is moved or may be put below it is not given', async (t) => {
  const target = await create(owner, 'project', organization)
  const maker = await person()
  await give(maker, target, 'document:create', 'group:edit', 'organization:*')
  const mover = await person()
  await give(mover, organization, '*:view', 'project:edit', 'project:share', 'project:create')
  const project = await create(owner, 'project', organization)
  t.equal(codeOf(await move(mover, project, target)), '403 escalation', 'documents may be created in a project')
  const document = await create(owner, 'document', organization)
  await give(mover, document, 'document:edit', 'document:share')
  await give(mover, target, 'document:create')
  t.match(await move(mover, document, target), { status: 200 }, 'and none below a document')
})

t.test('nobody moves an empty project into their own organization to see what others will put there', async (t) => {
  const mover = await person()
  const project = await create(owner, 'project', organization)
  await give(mover, project, 'project:*', 'document:create')
  const own = await create(mover, 'organization')
  t.equal(codeOf(await move(mover, project, own)), '403 escalation')
  await give(mover, project, '*:view', '*:create', '*:edit', '*:delete', '*:share')
  t.equal(codeOf(await move(mover, project, own)), '403 escalation', 'nor to do what a type to come will let them do')
  await give(mover, project, '*:*')
  t.match(await move(mover, project, own), { status: 200 })
})

t.test('what the subject could do before is not given by the move', async (t) => {
  const [from, to] = [await create(owner, 'project', organization), await create(owner, 'project', organization)]
  const mover = await person()
  await give(mover, organization, '*:view', 'document:edit', 'document:share', 'document:create')
  const worker = await person()
  const deleter = await role('document:delete')
  await bind(to, deleter, { type: 'user', id: worker.id })
  const document = await create(owner, 'document', from)
  t.equal(codeOf(await move(mover, document, to)), '403 escalation')
  const kept = await bind(from, deleter, { type: 'user', id: worker.id })
  t.match(await move(mover, document, to), { status: 200 }, 'bound on the old parent as well')
  await move(owner, document, from)
  await as(owner, 'DELETE', `/resources/${from}/bindings/${kept}`)
  await bind(document, deleter, { type: 'user', id: worker.id })
  t.match(await move(mover, document, to), { status: 200 }, 'bound on the thing itself')
  const other = await create(owner, 'document', from)
  await bind(organization, deleter, { type: 'user', id: worker.id })
  t.match(await move(mover, other, to), { status: 200 }, 'bound above both')
})

t.test('a move does not make for good what would have expired, nor count what has', async (t) => {
  const [from, to] = [await create(owner, 'project', organization), await create(owner, 'project', organization)]
  const mover = await person()
  await give(mover, organization, '*:view', 'document:edit', 'document:share', 'document:create')
  const worker = await person()
  const deleter = await role('document:delete')
  const document = await create(owner, 'document', from)
  const arriving = await bind(to, deleter, { type: 'user', id: worker.id })
  const present = await bind(document, deleter, { type: 'user', id: worker.id }, '2100-01-01T00:00:00Z')
  t.equal(codeOf(await move(mover, document, to)), '403 escalation')
  await query("UPDATE role_bindings SET expires_at = '2099-12-31' WHERE id = $1", [arriving])
  t.match(await move(mover, document, to), { status: 200 })
  await move(owner, document, from)
  await query("UPDATE role_bindings SET expires_at = now() - interval '1 second' WHERE id = $1", [present])
  t.equal(codeOf(await move(mover, document, to)), '403 escalation')
  await query("UPDATE role_bindings SET expires_at = now() - interval '1 second' WHERE id = $1", [arriving])
  t.match(await move(mover, document, to), { status: 200 }, 'an expired binding arrives nowhere')
})

t.test('who no longer sees what they moved is told where it is, and offered nothing', async (t) => {
  const [from, to] = [await create(owner, 'project', organization), await create(owner, 'project', organization)]
  const document = await create(owner, 'document', from)
  const mover = await person()
  await give(mover, from, '*:view', 'document:edit', 'document:share')
  await give(mover, to, 'project:view', 'document:create')
  const answer = await move(mover, document, to)
  t.match(answer, { status: 200, body: { id: document, parentId: to, allowedActions: [], creatableTypes: [] } })
  t.match(await as(mover, 'GET', `/resources/${document}`), { status: 404 })
})
