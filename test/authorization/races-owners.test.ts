/** Somebody stays: two instances on one database, where the last two owners go for each other, 200 times each. */
import t from 'tap'
import { rootId } from '../reference/world.js'
import { calls, fewer, openRaces, ownersOf, user } from './race-kit.js'

// On a busy machine they take their time.
t.setTimeout(600_000)

const { query, world, meet, race } = await openRaces()

const ann = await world.addPerson('Ann')
const ben = await world.addPerson('Ben')
/** May do everything everywhere, but owns nothing: what refuses them is the state, not a right that they have lost. */
const helper = await world.addPerson('Helper')
await world.addRole('everything', ['*:*'])
await world.bind('everything', user(helper), rootId)

const ownerCount = async (id: string) => (await query<{ count: number }>(ownersOf, [id]))[0]?.count
const newOrganization = async () => await world.addResource('organization', rootId)

t.test('two owners remove each other: one succeeds, one stays', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    await query('DELETE FROM role_bindings WHERE resource_id = $1', [place])
    const [anns, bens] = [await world.bind('owner', user(ann), place), await world.bind('owner', user(ben), place)]
    const results = await meet(round, [calls.unbind(ann, place, bens), calls.unbind(ben, place, anns)])
    if (await ownerCount(place) !== 1) t.fail(`${await ownerCount(place)} owners after round ${round}`)
    return results
  }, ['204, 404 not-found', '404 not-found, 204'])
})

t.test('so it is where both have rights from elsewhere too', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    await query('DELETE FROM role_bindings WHERE resource_id = $1', [place])
    const [anns, bens] = [await world.bind('owner', user(ann), place), await world.bind('owner', user(ben), place)]
    const results = await meet(round, [calls.unbind(helper, place, bens), calls.unbind(helper, place, anns)])
    if (await ownerCount(place) !== 1) t.fail(`${await ownerCount(place)} owners after round ${round}`)
    return results
  }, ['204, 409 last-owner', '409 last-owner, 204'], fewer)
})

t.test('owners through groups remove each other from them', async (t) => {
  const place = await newOrganization()
  const [outer, inner] = [await world.addResource('group', place), await world.addResource('group', place)]
  await world.join(outer, { type: 'group', id: inner })
  await world.bind('owner', { type: 'group', id: outer }, place)
  await race(t, async (round) => {
    await query('DELETE FROM group_members WHERE user_id IS NOT NULL AND group_id IN ($1, $2)', [outer, inner])
    await world.join(outer, user(ann))
    await world.join(inner, user(ben))
    const results = await meet(round, [calls.leave(ann, inner, ben.id), calls.leave(ben, outer, ann.id)])
    if (await ownerCount(place) !== 1) t.fail(`${await ownerCount(place)} owners after round ${round}`)
    return results
  }, ['204, 404 not-found', '404 not-found, 204', '204, 409 last-owner', '409 last-owner, 204', '204, 403 forbidden', '403 forbidden, 204'], fewer)
})

t.test('a group that owns is deleted, while the other owner is removed', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    await query('DELETE FROM role_bindings WHERE resource_id = $1', [place])
    const group = await world.addResource('group', place)
    await world.join(group, user(ann))
    await world.bind('owner', { type: 'group', id: group }, place)
    const bens = await world.bind('owner', user(ben), place)
    const results = await meet(round, [calls.remove(helper, group), calls.unbind(helper, place, bens)])
    if (await ownerCount(place) !== 1) t.fail(`${await ownerCount(place)} owners after round ${round}`)
    await query('DELETE FROM resources WHERE id = $1', [group])
    return results
  }, ['204, 409 last-owner', '409 last-owner, 204'], fewer)
})

t.test('two owners of the root deactivate each other: who is late may nothing any more', async (t) => {
  const admins = [await world.addPerson('First'), await world.addPerson('Second')] as const
  for (const { id } of admins) await world.bind('owner', { type: 'user', id }, rootId)
  await race(t, async (round) => {
    await query('UPDATE users SET is_active = true WHERE id IN ($1, $2)', admins.map(({ id }) => id))
    for (const admin of admins) admin.cookie = await world.openSession(admin.id)
    const [first, second] = admins
    const results = await meet(round, [calls.deactivate(first, second.id), calls.deactivate(second, first.id)])
    if (await ownerCount(rootId) !== 1) t.fail(`${await ownerCount(rootId)} owners after round ${round}`)
    return results
  }, ['401 unauthenticated', '403 forbidden', '404 not-found'].flatMap((refusal) => [`200, ${refusal}`, `${refusal}, 200`]))
  await query('DELETE FROM role_bindings WHERE resource_id = $1 AND role = $2', [rootId, 'owner'])
})

t.test('one owner of the root deactivates another, who removes them', async (t) => {
  const admins = [await world.addPerson('Third'), await world.addPerson('Fourth')] as const
  await race(t, async (round) => {
    await query("DELETE FROM role_bindings WHERE resource_id = $1 AND role = 'owner'", [rootId])
    await query('UPDATE users SET is_active = true WHERE id IN ($1, $2)', admins.map(({ id }) => id))
    const [third, fourth] = admins
    fourth.cookie = await world.openSession(fourth.id)
    const thirds = await world.bind('owner', user(third), rootId)
    await world.bind('owner', user(fourth), rootId)
    const results = await meet(round, [calls.deactivate(third, fourth.id), calls.unbind(fourth, rootId, thirds)])
    if (await ownerCount(rootId) !== 1) t.fail(`${await ownerCount(rootId)} owners after round ${round}`)
    return results
  }, ['200, 401 unauthenticated', '200, 403 forbidden', '200, 404 not-found', '409 last-owner, 204', '404 not-found, 204', '403 forbidden, 204'], fewer)
  await query("DELETE FROM role_bindings WHERE resource_id = $1 AND role = 'owner'", [rootId])
})
