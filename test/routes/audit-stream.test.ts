/** The audit log as a stream over a real connection: what goes wrong on the way, and who goes away. */
import { once } from 'node:events'
import { request as sendRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { openWorld } from '../resources/world.js'
import { countStatements } from '../helpers/statements.js'

const world = await openWorld()
const { administrator, person, give, database, testApp: { app } } = world
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.server.address() as AddressInfo

// Far more than the buffers of all sockets on the way hold: a client that does not read holds the stream up.
await database.query(`INSERT INTO audit_events (id, at, type, actor_type, target_type, before, after)
  SELECT id, uuid_v7_time(id), 'role.updated', 'operator', 'role', told, told
  FROM (SELECT uuid_v7('2020-01-01'::timestamptz + place * interval '1 second') AS id, jsonb_build_object('description', repeat('x', 16000)) AS told
    FROM generate_series(1, 1500) place) each`)

/** Begins to read the stream and stops after its first bytes. */
async function begin (cookie: string): Promise<IncomingMessage> {
  const request = sendRequest({ port, path: '/audit-events?type=role.updated', headers: { cookie, accept: 'application/x-ndjson' } }).end()
  // A reset that comes while the answer is being read is told here as well.
  request.on('error', () => {})
  const [answer] = await once(request, 'response') as [IncomingMessage]
  await once(answer, 'readable')
  return answer
}

/** Reads on to the end. @returns how many lines came, and the code of the error by which it ended */
async function readOn (answer: IncomingMessage): Promise<{ lines: number, error?: string }> {
  let text = ''
  try {
    for await (const chunk of answer.setEncoding('utf8')) text += chunk
    return { lines: text.split('\n').length - 1 }
  } catch (error) {
    return { lines: text.split('\n').length - 1, error: (error as NodeJS.ErrnoException).code ?? 'none' }
  }
}

t.test('a client that is slow gets all of it', async (t) => {
  const answer = await begin(administrator.cookie)
  t.equal(answer.statusCode, 200)
  t.same(await readOn(answer), { lines: 1_500 })
})

t.test('a fault before the first line is an error like any other', async (t) => {
  await database.query('ALTER TABLE audit_events RENAME TO audit_events_away')
  const { status, body } = await world.as(administrator, 'GET', '/audit-events', undefined, { headers: { accept: 'application/x-ndjson' } })
  await database.query('ALTER TABLE audit_events_away RENAME TO audit_events')
  t.match({ status, body }, { status: 503, body: { code: 'overloaded' } })
})

t.test('a fault on the way resets the connection, so that nobody takes the answer for all of it', async (t) => {
  const answer = await begin(administrator.cookie)
  await database.query('ALTER TABLE audit_events RENAME TO audit_events_away')
  const { lines, error } = await readOn(answer)
  await database.query('ALTER TABLE audit_events_away RENAME TO audit_events')
  t.equal(error, 'ECONNRESET')
  t.ok(lines < 1_500)
})

t.test('so does a right that is lost on the way', async (t) => {
  const auditor = await person()
  await give(auditor, '00000000-0000-0000-0000-000000000000', 'audit:view')
  const answer = await begin(auditor.cookie)
  await database.query('DELETE FROM role_bindings WHERE user_id = $1', [auditor.id])
  const { lines, error } = await readOn(answer)
  t.equal(error, 'ECONNRESET')
  t.ok(lines < 1_500)
})

t.test('a client that goes away ends the reading', async (t) => {
  const ended = new Promise((resolve) => app.server.once('request', (_request, response) => response.once('close', resolve)))
  const statements = await countStatements(async () => {
    const answer = await begin(administrator.cookie)
    answer.destroy()
    await ended
    // Whatever was being read when it went comes before this.
    await world.as(administrator, 'GET', '/audit-events?type=role.updated&limit=1')
  }, database)
  t.ok(statements.filter((sql) => sql.includes('JOIN audit_events')).length < 7, 'of eight that all of it takes')
})

t.test('a stop does not wait for a client that does not read, and resets its connection', async (t) => {
  const answer = await begin(administrator.cookie)
  await app.close()
  t.match(await readOn(answer), { error: 'ECONNRESET' })
})
