/**
 * No change without its event, and no event without its change. Every route of the application that may change something is
 * called as its recipe says, so one that is added tomorrow is held to it too.
 */
import t from 'tap'
import { rootId } from '../reference/world.js'
import { digestDatabase } from './answers.js'
import { recipes } from './recipes.js'
import { openStage } from './stage.js'
import type { Person } from './world.js'

const { database, open, closed, world, passwordHash, here, elsewhere } = await openStage()
const { query } = database

/** What each writes, in this order; nothing, where it only asks. */
const expected: Record<string, string[]> = {
  'POST /users, registration open': ['user.created'],
  'POST /users, registration closed': ['user.created'],
  'PATCH /users/me': ['user.updated'],
  'PUT /users/me/password': ['password.changed', 'session.ended'],
  'PATCH /users/:id, oneself': ['user.updated'],
  'PATCH /users/:id, another': ['user.updated'],
  'PATCH /users/:id, deactivate another': ['user.deactivated', 'session.ended'],
  'POST /auth/login': ['login.succeeded'],
  'DELETE /users/me/sessions': ['session.ended'],
  'DELETE /users/me/sessions/:sessionId': ['session.ended'],
  'POST /users/me/tokens': ['token.created'],
  'DELETE /users/me/tokens/:tokenId': ['token.ended'],
  'DELETE /users/:id/sessions, of another': ['session.ended'],
  'POST /auth/logout': ['session.ended'],
  'POST /resources, an organization': ['resource.created', 'binding.created'],
  'POST /resources, a group in the root': ['resource.created', 'binding.created'],
  'POST /resources, a document in the organization': ['resource.created'],
  // To the attributes that it has.
  'PATCH /resources/:id, the root': [],
  'PATCH /resources/:id, a document': ['resource.updated'],
  'POST /resources/:id/move, within the organization': ['resource.moved'],
  'POST /resources/:id/move, to the other organization': ['resource.moved'],
  'DELETE /resources/:id, a document': ['resource.deleted'],
  'DELETE /resources/:id, a project with a document': ['resource.deleted', 'resource.deleted'],
  'POST /resources/:id/bindings, on the root': ['binding.created'],
  'POST /resources/:id/bindings, on a document': ['binding.created'],
  'DELETE /resources/:id/bindings/:bindingId': ['binding.deleted'],
  'PUT /groups/:id/members/:memberId, a user': ['member.added'],
  'PUT /groups/:id/members/:memberId, a group': ['member.added'],
  'DELETE /groups/:id/members/:memberId': ['member.removed'],
  'POST /roles': ['role.created'],
  'PATCH /roles/:name': ['role.updated'],
  'DELETE /roles/:name': ['role.deleted'],
  'PUT /resource-types/:name': ['resource-type.created'],
  'DELETE /resource-types/:name': ['resource-type.deleted'],
  'POST /authz/check': [],
  'POST /authz/check, about another user': []
}

/** Each of them is also tried without being done, so the recipes of dry runs are not needed. */
const changing = Object.entries(recipes).filter(([name]) => !/^(GET|HEAD) |, dry run$/.test(name))

t.test('every route that may change something has a recipe, and says what it writes', async (t) => {
  const described = new Set(changing.map(([name]) => name.split(',')[0]))
  t.same(open.routes.map(({ method, url }) => `${method} ${url}`).filter((route) => !/^(GET|HEAD) /.test(route) && !described.has(route)), [])
  t.same(Object.keys(expected).sort(), changing.map(([name]) => name).sort(), 'the table above has every recipe of test/authorization/recipes.ts')
})

/** Written beside what a request does: the log itself, what slows guessing down, and decisions that are kept for a while. */
const apart = /^(audit_event|rate_limit|.*decision)/
const digest = async () => Object.fromEntries(Object.entries(await digestDatabase(database)).filter(([table]) => !apart.test(table)))
const newest = async () => (await query<{ id: string }>('SELECT id FROM audit_events ORDER BY id DESC LIMIT 1'))[0]?.id ?? rootId
const eventsAfter = async (id: string) => await query('SELECT * FROM audit_events WHERE id > $1 ORDER BY id', [id])

/** A caller of their own for each call, who holds every right: some calls end their session. */
async function prepare (name: string) {
  const recipe = recipes[name] as typeof recipes[string]
  const caller = await world.addPerson('Caller', { passwordHash })
  const [session] = await query('SELECT id FROM sessions WHERE user_id = $1', [caller.id])
  await world.bind('owner', { type: 'user', id: caller.id }, rootId)
  // Another one than that by which they ask.
  await world.openSession(caller.id)
  const { url, body } = await recipe.prepare({ world, here, elsewhere, caller })
  const isPublic = /^POST \/(users, registration open|auth\/login)$/.test(name)
  const send = async ({ cookie }: Person = caller, query = '') => await (recipe.isClosed === true ? closed : open).request(name.split(' ')[0] as string, `${url}${query}`, {
    ...(body === undefined ? {} : { body }), ...(isPublic ? {} : { cookie }), remoteAddress: '192.0.2.7'
  })
  return { caller, sessionId: session?.['id'], dryRun: `${url.includes('?') ? '&' : '?'}dryRun=true`, send }
}

/** Runs `work` while a trigger on the log refuses each event, at once or when its transaction is committed. */
async function whileRefused<T> (when: 'BEFORE INSERT' | 'at the end', work: () => Promise<T>): Promise<T> {
  await query("CREATE FUNCTION refuse_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$")
  await query(when === 'at the end'
    ? 'CREATE CONSTRAINT TRIGGER refuse_event AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_event()'
    : 'CREATE TRIGGER refuse_event BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION refuse_event()')
  try {
    return await work()
  } finally {
    await query('DROP FUNCTION refuse_event CASCADE')
  }
}

for (const [name, { success }] of changing) {
  t.test(name, async (t) => {
    const isWriting = (expected[name] ?? []).length > 0
    const stranger = await world.addPerson('Stranger')
    let { caller, sessionId, dryRun, send } = await prepare(name)
    let [mark, untouched] = [await newest(), await digest()]
    const isRefused = (await send(stranger)).status >= 400
    // What anybody may do is done, so it is prepared once more.
    if (!isRefused) {
      ({ caller, sessionId, dryRun, send } = await prepare(name));
      [mark, untouched] = [await newest(), await digest()]
    }
    t.equal((await whileRefused('BEFORE INSERT', send)).status, isWriting ? 500 : success, 'a change whose event cannot be written fails')
    t.equal((await whileRefused('at the end', send)).status, isWriting ? 500 : success, 'a change that cannot be committed fails')
    t.ok([200, 400].includes((await send(caller, dryRun)).status), 'it can be tried, or there is no trying')
    t.same([await digest(), await eventsAfter(mark)], [untouched, []], 'what is refused, fails or is only tried leaves neither a change nor an event')

    const answer = await send()
    t.equal(answer.status, success, answer.text)
    const events = await eventsAfter(mark)
    const changed = await digest()
    t.same(events.map(({ type }) => type), expected[name])
    t.equal(JSON.stringify(changed) !== JSON.stringify(untouched), events.length > 0, 'there are events where something has changed')
    const isNewcomer = name === 'POST /users, registration open'
    for (const event of events) {
      t.match(event, {
        actor_type: 'user',
        actor_id: isNewcomer ? answer.body.id : caller.id,
        credential_type: isNewcomer ? null : 'session',
        credential_id: isNewcomer ? null : name === 'POST /auth/login' ? answer.body.session.id : sessionId,
        request_id: answer.headers['x-request-id'],
        ip: '192.0.2.7'
      }, `${event['type']} says who, by which credential, in which request, from where`)
      t.equal(event['resource_id'] !== null, /^(resource|member|binding)\./.test(event['type']))
      t.notMatch(JSON.stringify(event), /argon2|gate_|secret|aösdk/, 'and no secret')
    }

    const end = await newest()
    await send()
    const again = await eventsAfter(end)
    t.equal(JSON.stringify(await digest()) !== JSON.stringify(changed), again.some(({ type }) => type !== 'login.failed'), 'done once more, there are events again only where something has changed again')
  })
}

t.test('a login that fails changes nothing, and is told of all the same', async (t) => {
  const { email, id } = await world.addPerson('Somebody', { passwordHash })
  const start = await newest()
  const before = await digest()
  const { status, headers } = await open.request('POST', '/auth/login', { body: { email, password: 'a guess that is wrong' }, remoteAddress: '192.0.2.7' })
  t.equal(status, 401)
  t.match(await eventsAfter(start), [{ type: 'login.failed', actor_type: 'anonymous', target_id: id, before: null, after: null, request_id: headers['x-request-id'], ip: '192.0.2.7' }])
  t.same(await digest(), before)
})
