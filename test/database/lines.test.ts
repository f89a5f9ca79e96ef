/** Connections that many share: each gets its own answer, whatever becomes of the others. */
import { createServer, connect as connectTo, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { Lines } from '../../src/database/lines.js'
import { isDatabaseFault } from '../../src/services/database.js'
import { openTestDatabase } from '../helpers/database.js'

const { url, query } = await openTestDatabase()
const losses: Error[] = []

function open (connectionString: string, count: number, config = {}): Lines {
  return new Lines({ connectionString, connectionTimeoutMillis: 3_000, ...config }, { count, onLoss: (error) => losses.push(error) })
}
const numbers = Array.from({ length: 60 }, (_, number) => number)
const ask = async (lines: Lines, number: number) =>
  (await lines.query<{ number: number }>({ name: 'number', text: 'SELECT $1::int AS number', values: [number] })).rows[0]?.number
const errorOf = async (work: Promise<unknown>): Promise<Error> => await work.then(() => { throw new Error('nothing failed') }, (error) => error)

t.test('each statement of many at once gets its own answer', async (t) => {
  const lines = open(url, 3)
  t.same(await Promise.all(numbers.map((number) => ask(lines, number))), numbers)
  const [row] = await query("SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%AS number'")
  t.equal(row?.['count'], 3, 'over as many connections as there should be')
  await lines.end()
})

t.test('a statement that fails harms none of those beside it on its connection', async (t) => {
  const lines = open(url, 1)
  const outcomes = await Promise.allSettled(numbers.map((number) => number % 7 === 3
    ? lines.query({ name: 'broken', text: 'SELECT 1 / $1::int AS number', values: [0] })
    : ask(lines, number)))
  for (const [number, outcome] of outcomes.entries()) {
    if (number % 7 === 3) t.match(outcome, { status: 'rejected', reason: { code: '22012' } })
    else t.match(outcome, { status: 'fulfilled', value: number })
  }
  await lines.end()
})

t.test('a connection that is cut fails all that wait on it as a fault of the database, and the next ones get another', async (t) => {
  const lines = open(url, 1)
  const sleeping = errorOf(lines.query({ text: 'SELECT pg_sleep(30)' }))
  const behind = numbers.map((number) => errorOf(ask(lines, number)))
  losses.length = 0
  while ((await query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep(30)'")).length === 0);
  for (const error of await Promise.all([sleeping, ...behind])) t.ok(isDatabaseFault(error), error.message)
  while (losses.length === 0) await new Promise(setImmediate)
  t.equal(losses.length, 1, 'the loss is told once')
  t.equal(await ask(lines, 7), 7)
  await lines.end()
})

t.test('connections that are cut while they are being closed harm nobody', async (t) => {
  losses.length = 0
  for (let round = 0; round < 30; round++) {
    const lines = open(url, 3)
    await Promise.all(numbers.map((number) => ask(lines, number)))
    const cut = query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%AS number'")
    // Before the news of it, and after the first of it.
    if (round % 2 === 1) while (losses.length === 0) await new Promise(setImmediate)
    await Promise.all([lines.end(), cut])
    losses.length = 0
  }
  t.pass('30 times')
})

t.test('where nobody answers, each attempt fails as a fault, and the next one tries again', async (t) => {
  const lines = open('postgresql://nobody:nothing@127.0.0.1:1/nowhere', 1)
  for (const error of [await errorOf(ask(lines, 1)), await errorOf(ask(lines, 2))]) t.ok(isDatabaseFault(error), error.message)
  await lines.end()
})

t.test('a server that hangs fails those who wait for it, and is asked again over another connection', async (t) => {
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  const between = createServer((socket) => {
    const behind = connectTo(Number(port), hostname)
    socket.pipe(behind)
    behind.pipe(socket)
    sockets.push(socket, behind)
    for (const end of [socket, behind]) end.on('error', () => {})
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  const through = new URL(url)
  through.host = `127.0.0.1:${(between.address() as AddressInfo).port}`
  const lines = open(through.href, 1, { query_timeout: 1_000 })
  t.equal(await ask(lines, 1), 1)

  const [socket, behind] = sockets as [Socket, Socket]
  behind.unpipe(socket)
  losses.length = 0
  for (const error of await Promise.all([errorOf(ask(lines, 2)), errorOf(ask(lines, 3))])) t.ok(isDatabaseFault(error), error.message)
  while (losses.length === 0) await new Promise(setImmediate)
  t.equal(await ask(lines, 4), 4)
  await lines.end()
  for (const end of sockets) end.destroy()
  between.close()
})
