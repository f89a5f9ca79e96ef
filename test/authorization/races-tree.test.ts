/** The tree and groups in groups stay whole: two instances on one database, with changes that do not go together, 200 times each. */
import t from 'tap'
import { rootId } from '../reference/world.js'
import { calls, fewer, openRaces, type Result, user } from './race-kit.js'

// On a busy machine they take their time.
t.setTimeout(600_000)

const { query, world, meet, race } = await openRaces()

const guest = await world.addPerson('Guest')
/** May do everything everywhere, but owns nothing: what refuses them is the state, not a right that they have lost. */
const helper = await world.addPerson('Helper')
await world.addRole('everything', ['*:*'])
await world.bind('everything', user(helper), rootId)

const exists = async (id: string) => (await query('SELECT 1 FROM resources WHERE id = $1', [id])).length === 1
const newOrganization = async () => await world.addResource('organization', rootId)

t.test('A under B while B under A: one moves, the other would make a cycle', async (t) => {
  const place = await newOrganization()
  const [a, b] = [await world.addResource('project', place, 'A'), await world.addResource('project', place, 'B')]
  await world.addResource('document', a)
  await race(t, async (round) => {
    await query('UPDATE resources SET parent_id = $1 WHERE id IN ($2, $3)', [place, a, b])
    return await meet(round, [calls.move(helper, a, b), calls.move(helper, b, a)])
  }, ['200, 409 cycle', '409 cycle, 200'])
})

t.test('three that would make a cycle: two move', async (t) => {
  const place = await newOrganization()
  const [a, b, c] = [await world.addResource('project', place, 'A'), await world.addResource('project', place, 'B'), await world.addResource('project', place, 'C')]
  await race(t, async (round) => {
    await query('UPDATE resources SET parent_id = $1 WHERE id IN ($2, $3, $4)', [place, a, b, c])
    return await meet(round, [calls.move(helper, a, b), calls.move(helper, b, c), calls.move(helper, c, a)])
  }, ['200, 200, 409 cycle', '200, 409 cycle, 200', '409 cycle, 200, 200'])
})

t.test('a child is created under something that is deleted: one or the other', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const project = await world.addResource('project', place)
    const results = await meet(round, [calls.remove(helper, project), calls.create(helper, 'document', project)])
    const [{ status }, { body }] = results as [Result, Result]
    if (await exists(project) !== (status === 409)) t.fail(`round ${round}: the parent`)
    if (status === 409 && !await exists(body.id)) t.fail(`round ${round}: the child`)
    return results
  }, ['204, 404 not-found', '409 has-children, 201'])
})

t.test('a child is created under something that is deleted with all below it', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const project = await world.addResource('project', place)
    const results = await meet(round, [calls.removeAll(helper, project), calls.create(helper, 'document', project)])
    if (await exists(project) || (results[1]?.status === 201 && await exists(results[1].body.id))) t.fail(`round ${round}: something is left`)
    return results
  }, ['204, 404 not-found', '204, 201'], fewer)
})

t.test('a child is created under something that is moved', async (t) => {
  const place = await newOrganization()
  const [a, b] = [await world.addResource('project', place, 'A'), await world.addResource('project', place, 'B')]
  await race(t, async (round) => {
    await query('UPDATE resources SET parent_id = $1 WHERE id = $2', [place, a])
    return await meet(round, [calls.move(helper, a, b), calls.create(helper, 'document', a)])
  }, ['200, 201'], fewer)
  t.same(await query('SELECT count(*)::int FROM resource_closure WHERE ancestor_id = $1', [b]), [{ count: fewer + 2 }], 'every child came along')
})

t.test('something is moved to where something is deleted', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const [project, document] = [await world.addResource('project', place), await world.addResource('document', place)]
    return await meet(round, [calls.remove(helper, project), calls.move(helper, document, project)])
  }, ['204, 404 not-found', '409 has-children, 200'], fewer)
})

t.test('two groups go into each other: one does', async (t) => {
  const place = await newOrganization()
  const [a, b] = [await world.addResource('group', place, 'A'), await world.addResource('group', place, 'B')]
  await race(t, async (round) => {
    await query('DELETE FROM group_members WHERE group_id IN ($1, $2)', [a, b])
    return await meet(round, [calls.join(helper, a, b), calls.join(helper, b, a)])
  }, ['204, 409 cycle', '409 cycle, 204'], fewer)
})

t.test('three groups go into each other: two do', async (t) => {
  const place = await newOrganization()
  const [a, b, c] = [await world.addResource('group', place, 'A'), await world.addResource('group', place, 'B'), await world.addResource('group', place, 'C')]
  await race(t, async (round) => {
    await query('DELETE FROM group_members WHERE group_id IN ($1, $2, $3)', [a, b, c])
    return await meet(round, [calls.join(helper, a, b), calls.join(helper, b, c), calls.join(helper, c, a)])
  }, ['204, 204, 409 cycle', '204, 409 cycle, 204', '409 cycle, 204, 204'], fewer)
})

t.test('somebody joins a group that is deleted', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const group = await world.addResource('group', place)
    return await meet(round, [calls.remove(helper, group), calls.join(helper, group, guest.id)])
  }, ['204, 204', '204, 404 not-found'], fewer)
})
