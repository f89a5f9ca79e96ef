/** Rights count from the moment that a change of them is acknowledged, and nothing is given twice: two instances on one database, 200 times each. */
import t from 'tap'
import { rootId } from '../reference/world.js'
import { calls, fewer, openRaces, type Result, user } from './race-kit.js'

// On a busy machine they take their time.
t.setTimeout(600_000)

const { query, world, send, meet, race } = await openRaces()

const guest = await world.addPerson('Guest')
/** May do everything everywhere, but owns nothing: what refuses them is the state, not a right that they have lost. */
const helper = await world.addPerson('Helper')
await world.addRole('everything', ['*:*'])
await world.bind('everything', user(helper), rootId)

const newOrganization = async () => await world.addResource('organization', rootId)

/** One of each kind of answer. */
const distinct = (results: Result[]) => results.filter(({ status }, index) => results.findIndex((other) => other.status === status) === index)

t.test('the same binding twenty times: one is made', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    await query('DELETE FROM role_bindings WHERE resource_id = $1', [place])
    const results = await meet(round, Array.from({ length: 20 }, () => calls.bind(helper, place, 'viewer', user(guest))))
    return results.sort((one, other) => one.status - other.status)
  }, [['201', ...Array.from({ length: 19 }, () => '409 binding-exists')].join(', ')])
})

t.test('a right is taken back: from then on both instances refuse', async (t) => {
  const place = await newOrganization()
  const document = await world.addResource('document', place)
  await race(t, async (round) => {
    const binding = await world.bind(round % 2 === 0 ? 'viewer' : 'editor', user(guest), place)
    const [before] = await meet(round, [calls.view(guest, document)])
    const revoked = await send(round % 2 === 0 ? 0 : 1, calls.unbind(helper, place, binding))
    const after = await meet(round, Array.from({ length: 50 }, () => calls.view(guest, document)))
    return [before as Result, revoked, ...distinct(after)]
  }, ['200, 204, 404 not-found'])
})

t.test('somebody leaves a group in a bound group: from then on both instances refuse', async (t) => {
  const place = await newOrganization()
  const [outer, inner] = [await world.addResource('group', place), await world.addResource('group', place)]
  await world.join(outer, { type: 'group', id: inner })
  await world.bind('viewer', { type: 'group', id: outer }, place)
  await race(t, async (round) => {
    await world.join(inner, user(guest))
    const [before] = await meet(round, [calls.view(guest, place)])
    const left = await send(0, calls.leave(helper, inner, guest.id))
    return [before as Result, left, ...distinct(await meet(round, Array.from({ length: 10 }, () => calls.view(guest, place))))]
  }, ['200, 204, 404 not-found'], fewer)
})

t.test('a role loses a permission: from then on both instances refuse', async (t) => {
  const place = await newOrganization()
  await world.addRole('changing', ['organization:view', 'organization:edit'])
  await world.bind('changing', user(guest), place)
  await race(t, async (round) => {
    await send(1, calls.editRole(helper, 'changing', ['organization:view', 'organization:edit']))
    const [before] = await meet(round, [calls.rename(guest, place, `name ${round}`)])
    const edited = await send(0, calls.editRole(helper, 'changing', ['organization:view']))
    const after = await meet(round, Array.from({ length: 10 }, () => calls.rename(guest, place, 'too late')))
    return [before as Result, edited, ...distinct(after)]
  }, ['200, 200, 403 forbidden'], fewer)
  t.same(await query('SELECT name FROM resources WHERE id = $1', [place]), [{ name: `name ${fewer - 1}` }])
})

t.test('somebody is deactivated: from then on both instances refuse', async (t) => {
  const passing = await world.addPerson('Passing')
  await race(t, async (round) => {
    await query('UPDATE users SET is_active = true WHERE id = $1', [passing.id])
    passing.cookie = await world.openSession(passing.id)
    const [before] = await meet(round, [calls.view(passing, rootId)])
    const deactivated = await send(0, calls.deactivate(helper, passing.id))
    return [before as Result, deactivated, ...distinct(await meet(round, Array.from({ length: 10 }, () => calls.view(passing, rootId))))]
  }, ['200, 200, 401 unauthenticated'], fewer)
})

t.test('somebody gives on a right that is just being taken from them: before or not at all', async (t) => {
  const place = await newOrganization()
  await world.addRole('sharer', ['organization:view', 'organization:share'])
  const sharer = await world.addPerson('Sharer')
  // Whoever makes a binding must hold the role at that very moment: what the database sees then, it notes.
  await query('CREATE TABLE made_without_right (id UUID)')
  await query(`CREATE FUNCTION note_maker() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO made_without_right SELECT NEW.id WHERE NOT EXISTS (
      SELECT FROM role_bindings WHERE subject_id = NEW.created_by AND role IN ('sharer', 'everything'));
    RETURN NULL; END $$`)
  await query('CREATE TRIGGER note_maker AFTER INSERT ON role_bindings FOR EACH ROW WHEN (NEW.created_by IS NOT NULL) EXECUTE FUNCTION note_maker()')
  await race(t, async (round) => {
    await query('DELETE FROM role_bindings WHERE resource_id = $1', [place])
    const own = await world.bind('sharer', user(sharer), place)
    return await meet(round, [calls.bind(sharer, place, 'sharer', user(guest)), calls.unbind(helper, place, own)])
  }, ['201, 204', '404 not-found, 204'])
  t.same(await query('SELECT * FROM made_without_right'), [], 'no binding was made by somebody who had lost the right')
  await query('DROP TRIGGER note_maker ON role_bindings')
})

t.test('a role is deleted while it is bound: one or the other', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    await world.addRole(`passing-${round}`, ['document:view'])
    return await meet(round, [calls.deleteRole(helper, `passing-${round}`), calls.bind(helper, place, `passing-${round}`, user(guest))])
  }, ['204, 400 unknown-role', '409 in-use, 201'], fewer)
})

t.test('a group is deleted while a role is bound to it', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const group = await world.addResource('group', place)
    return await meet(round, [calls.remove(helper, group), calls.bind(helper, place, 'viewer', { type: 'group', id: group })])
  }, ['204, 400 unknown-subject', '204, 201'], fewer)
})

t.test('a resource is deleted while a role is bound on it, and while it is renamed', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const document = await world.addResource('document', place)
    return await meet(round, [calls.remove(helper, document), calls.bind(helper, document, 'viewer', user(guest)), calls.rename(helper, document, 'late')])
  }, ['201', '404 not-found'].flatMap((bound) => ['200', '404 not-found'].map((renamed) => `204, ${bound}, ${renamed}`)), fewer)
})

t.test('a type loses a parent while something is created there: one or the other', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const name = await world.addType(`type-${round}`)
    await query('INSERT INTO resource_type_parents (type, parent) VALUES ($1, $2)', [name, 'organization'])
    return await meet(round, [calls.putType(helper, name, ['project']), calls.create(helper, name, place)])
  }, ['200, 409 invalid-parent', '409 in-use, 201'], fewer)
})

t.test('a type is deleted while something of it is created, and while a role names it', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const name = await world.addType(`gone-${round}`)
    await query('INSERT INTO resource_type_parents (type, parent) VALUES ($1, $2)', [name, 'organization'])
    return await meet(round, [calls.deleteType(helper, name), calls.create(helper, name, place), calls.createRole(helper, `of-${name}`, [`${name}:view`])])
  }, ['204, 400 unknown-type, 400 invalid-request', '409 in-use, 201, 201'], fewer)
})

t.test('the same role, and the same type, twice at once', async (t) => {
  await race(t, async (round) => await meet(round, [
    calls.createRole(helper, `same-${round}`, ['document:view']), calls.createRole(helper, `same-${round}`, ['document:view']),
    calls.putType(helper, `same-${round}`, ['project']), calls.putType(helper, `same-${round}`, ['project'])
  ]), ['201, 409 role-exists', '409 role-exists, 201'].flatMap((roles) => [`${roles}, 201, 200`, `${roles}, 200, 201`]), fewer)
})

t.test('many change the same version: one does', async (t) => {
  const place = await newOrganization()
  await race(t, async (round) => {
    const [seen] = await query<{ version: number }>('SELECT version FROM resources WHERE id = $1', [place])
    const changes = Array.from({ length: 5 }, (_, index) => ({ ...calls.rename(helper, place, `name ${round} ${index}`), ifMatch: `"${seen?.version}"` }))
    return (await meet(round, changes)).sort((one, other) => one.status - other.status)
  }, ['200, 412 precondition-failed, 412 precondition-failed, 412 precondition-failed, 412 precondition-failed'], fewer)
})
