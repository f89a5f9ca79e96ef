/** The audit log as a stream from a process: in little memory, and in nobody's way when it stops. */
import { once } from 'node:events'
import { type IncomingMessage, request as sendRequest } from 'node:http'
import { createInterface } from 'node:readline'
import t from 'tap'
import { openTestDatabase } from '../helpers/database.js'
import { makeFolder } from '../database/fixtures/processes.js'
import { makeOwnerOfRoot } from '../../src/services/bindings.js'
import { signUp, startService } from './fixtures/programs.js'

const database = await openTestDatabase()
const service = await startService(t, { DATABASE_URL: database.url, DATA_DIR: makeFolder(t) }, { nodeArgs: ['--max-old-space-size=96'] })
const cookie = await signUp(service.url, 'auditor@example.org')
const [user] = await database.query('SELECT id FROM users')
await makeOwnerOfRoot(database.db, user?.['id'])

/** More than the heap holds. */
const count = 12_000
await database.query(`INSERT INTO audit_events (id, at, type, actor_type, target_type, before, after)
  SELECT id, uuid_v7_time(id), 'role.updated', 'operator', 'role', told, told
  FROM (SELECT uuid_v7('2020-01-01'::timestamptz + place * interval '1 second') AS id, jsonb_build_object('description', repeat('x', 5000)) AS told
    FROM generate_series(1, $1) place) each`, [count])

async function begin (): Promise<IncomingMessage> {
  const request = sendRequest(`${service.url}/audit-events?until=2021-01-01T00:00:00Z`, { headers: { cookie, accept: 'application/x-ndjson' } }).end()
  // A reset that comes while the answer is being read is told here as well.
  request.on('error', () => {})
  const [answer] = await once(request, 'response') as [IncomingMessage]
  return answer
}

t.test('120 MB of events go through a heap of 96 MB', async (t) => {
  let lines = 0
  let last = ''
  for await (const line of createInterface({ input: await begin() })) {
    lines++
    last = line
  }
  t.equal(lines, count)
  t.match(JSON.parse(last), { at: '2020-01-01T00:00:01.000Z' })
})

t.test('a stop cuts one off that nobody reads', async (t) => {
  const answer = await begin()
  await once(answer, 'readable')
  t.equal((await service.stop()).code, 0, 'and not 1, as when it hangs for longer than a stop may take')
  await t.rejects(async () => { for await (const chunk of answer) String(chunk) }, { code: 'ECONNRESET' })
})
