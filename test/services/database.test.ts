/** Which errors mean that the database cannot do its work now: real ones, made as they come about. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { PrismaPg } from '@prisma/adapter-pg'
import type { PoolConfig } from 'pg'
import t from 'tap'
import { DomainError } from '../../src/errors.js'
import { PrismaClient } from '../../src/generated/prisma/client.js'
import { inTransaction, isDatabaseFault } from '../../src/services/database.js'
import { operator } from '../../src/services/caller.js'
import { changingRights } from '../../src/services/locks.js'
import { connect, openTestDatabase } from '../helpers/database.js'
import { countStatements } from '../helpers/statements.js'

const { db, url, query } = await openTestDatabase()

/** A client with other settings, closed when the tests have ended. */
function open (config: PoolConfig): PrismaClient {
  const client = new PrismaClient({ adapter: new PrismaPg(config, { onPoolError: () => {} }) })
  t.teardown(() => client.$disconnect())
  return client
}
const elsewhere = (change: (url: URL) => void) => {
  const changed = new URL(url)
  change(changed)
  return open({ connectionString: changed.href, connectionTimeoutMillis: 300 })
}
async function errorOf (work: Promise<unknown>): Promise<Error> {
  return await work.then(() => { throw new Error('nothing failed') }, (error) => error)
}
async function listenWith (answer: (socket: Socket) => void): Promise<PrismaClient> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return elsewhere((url) => { url.port = String((server.address() as AddressInfo).port); url.hostname = '127.0.0.1' })
}
const ping = (client: PrismaClient) => errorOf(client.$queryRaw`SELECT 1`)
/** Does something with a client whose only connection is in use. */
async function whileBusy (work: (client: PrismaClient) => Promise<Error>): Promise<Error> {
  const client = open({ connectionString: url, max: 1, connectionTimeoutMillis: 500 })
  for (;;) {
    try {
      return await client.$transaction(async (tx) => {
        await tx.$queryRaw`SELECT 1`
        return await work(client)
      })
    } catch (error) {
      // On a busy machine its one connection may take that long to open.
      if (!isDatabaseFault(error)) throw error
    }
  }
}
/** Resolves when a backend of this database sleeps. */
async function sleeperOf (seconds: number): Promise<number> {
  for (;;) {
    const [row] = await query("SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(' || $1::text || '%' AND state = 'active' AND pid <> pg_backend_pid()", [String(seconds)])
    if (row !== undefined) return row['pid']
  }
}

const faults: Record<string, () => Promise<Error>> = {
  'nobody listens on the port': () => ping(elsewhere((url) => { url.port = '1' })),
  'nobody listens, asked through a model': () => errorOf(elsewhere((url) => { url.port = '1' }).user.count()),
  'there is no such host': () => ping(elsewhere((url) => { url.hostname = 'nowhere.invalid' })),
  'there is no such database': () => ping(elsewhere((url) => { url.pathname = '/nowhere' })),
  'the password is wrong': () => ping(elsewhere((url) => { url.username = 'nobody'; url.password = 'wrong' })),
  'the server accepts and never answers': async () => ping(await listenWith(() => {})),
  'the server hangs up': async () => ping(await listenWith((socket) => { socket.destroy() })),
  'the connection is cut while a statement runs': async () => {
    const running = errorOf(db.$queryRaw`SELECT 1 FROM (SELECT pg_sleep(31)) AS s`)
    await query('SELECT pg_terminate_backend($1)', [await sleeperOf(31)])
    return await running
  },
  'an operator cancels the statement': async () => {
    const running = errorOf(db.$queryRaw`SELECT 1 FROM (SELECT pg_sleep(32)) AS s`)
    await query('SELECT pg_cancel_backend($1)', [await sleeperOf(32)])
    return await running
  },
  'a statement takes too long': () => errorOf(open({ connectionString: url, statement_timeout: 30 }).$queryRaw`SELECT 1 FROM (SELECT pg_sleep(33)) AS s`),
  'a transaction does nothing for too long': () => errorOf(open({ connectionString: url, idle_in_transaction_session_timeout: 20 }).$transaction(async (tx) => {
    await tx.$queryRaw`SELECT 1`
    await db.$queryRaw`SELECT 1 FROM (SELECT pg_sleep(0.2)) AS s`
    await tx.$queryRaw`SELECT 1`
  })),
  'a transaction takes too long': () => errorOf(db.$transaction(async (tx) => await tx.$queryRaw`SELECT 1 FROM (SELECT pg_sleep(0.2)) AS s`, { timeout: 20 })),
  'no connection becomes free': () => whileBusy((client) => ping(client)),
  'no transaction can begin': () => whileBusy((client) => errorOf(client.$transaction(async (tx) => await tx.$queryRaw`SELECT 1`))),
  'the server has no connection left': async () => {
    const { pathname } = new URL(url)
    await query(`ALTER DATABASE ${pathname.slice(1)} CONNECTION LIMIT 0`)
    const error = await ping(open({ connectionString: url }))
    await query(`ALTER DATABASE ${pathname.slice(1)} CONNECTION LIMIT -1`)
    return error
  },
  'the server is a standby that cannot be written to': () => errorOf(open({ connectionString: url, options: '-c default_transaction_read_only=on' }).user.deleteMany()),
  'transactions do not see what others do meanwhile': () => errorOf(changingRights(open({ connectionString: url, options: '-c default_transaction_isolation=serializable' }), operator, async () => {})),
  'two transactions are in each other\'s way': async () => {
    await query('CREATE TABLE lockable (id int); INSERT INTO lockable VALUES (1)')
    return await errorOf(db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT * FROM lockable`
      await query('UPDATE lockable SET id = 2')
      await tx.$executeRaw`UPDATE lockable SET id = 3`
    }, { isolationLevel: 'Serializable' }))
  },
  'a table is not there yet': async () => {
    await query('ALTER TABLE sessions RENAME TO elsewhere')
    return await errorOf(db.$queryRaw`SELECT * FROM sessions`)
  },
  'a table is not there yet, asked through a model': () => errorOf(db.session.count()),
  'a column is not there yet': async () => {
    await query('ALTER TABLE elsewhere RENAME TO sessions; ALTER TABLE users RENAME COLUMN is_active TO is_something')
    return await errorOf(db.$queryRaw`SELECT is_active FROM users`)
  },
  'a column is not there yet, asked through a model': () => errorOf(db.user.findMany({ select: { isActive: true } })),
  'the role may not read the table': async () => {
    await query('ALTER TABLE users RENAME COLUMN is_something TO is_active')
    const role = decodeURIComponent(new URL(url).username)
    await query(`REVOKE SELECT ON users FROM "${role}"`)
    const error = await errorOf(db.user.count())
    await query(`GRANT SELECT ON users TO "${role}"`)
    return error
  }
}
for (const [what, fail] of Object.entries(faults)) {
  t.test(`a fault of the database: ${what}`, async (t) => {
    const error = await fail()
    t.equal(isDatabaseFault(error), true, `${error.name} ${error.message}`)
  })
}

const others: Record<string, () => unknown> = {
  'a value that is there already': () => errorOf(Promise.all([0, 0].map(() => db.$executeRaw`INSERT INTO users (id, email, name, password_hash) VALUES (gen_random_uuid(), 'twice@example.org', 'x', '$argon2id$')`))),
  'an id that is none': () => errorOf(db.user.findUnique({ where: { id: 'abc' } })),
  'a value that a CHECK refuses': () => errorOf(db.user.create({ data: { id: '01890a5d-ac96-774b-bcce-b302099a8057', email: 'no address', name: 'x', passwordHash: '$argon2id$' } })),
  'U+0000 in a text': () => errorOf(db.$queryRaw`SELECT ${'a\0b'}`),
  'a row that refers to nobody': () => errorOf(db.session.create({ data: { id: '01890a5d-ac96-774b-bcce-b302099a8057', secretHash: new Uint8Array(32), userId: '01890a5d-ac96-774b-bcce-b302099a8057', expiresAt: new Date(), absoluteExpiresAt: new Date(), ip: '' } })),
  'a division by zero': () => errorOf(db.$queryRaw`SELECT 1 / ${0}::int`),
  'SQL that is none': () => errorOf(db.$queryRaw`SELEC 1`),
  'a misuse of Prisma': () => errorOf(db.user.findMany({ where: { nothing: 1 } } as never)),
  'an error of the domain': () => new DomainError('not-found'),
  'an error of the language': () => new TypeError('Cannot read properties of undefined'),
  'a refusal of Fastify': () => Object.assign(new Error('Body is too large'), { code: 'FST_ERR_CTP_BODY_TOO_LARGE' }),
  'a code of five characters that is none of SQL': () => Object.assign(new Error('no'), { code: 'EPERM' }),
  'a code that is a number': () => Object.assign(new Error('no'), { code: 57014 }),
  'no error at all': () => undefined,
  null: () => null,
  'a text': () => 'ECONNREFUSED'
}
for (const [what, fail] of Object.entries(others)) {
  t.test(`no fault of the database: ${what}`, async (t) => {
    const error = await fail()
    t.equal(isDatabaseFault(error), false, String(error))
  })
}

t.test('an initialization of Prisma that fails is a fault, and so is one deep in causes', async (t) => {
  t.ok(isDatabaseFault(Object.assign(new Error('no engine'), { name: 'PrismaClientInitializationError' })))
  t.ok(isDatabaseFault(new Error('outer', { cause: new Error('middle', { cause: Object.assign(new Error('inner'), { code: '57P01' }) }) })))
})

t.test('services use the surrounding transaction as it is, and begin one where there is none', async (t) => {
  const work = () => inTransaction(db, async (tx) => await tx.$queryRaw`SELECT 1`)
  t.same(await countStatements(work, { url }), ['BEGIN', 'SELECT 1', 'COMMIT'])
  t.same(await countStatements(() => db.$transaction(async (tx) => {
    await inTransaction(tx, async (inner) => await inner.$queryRaw`SELECT 2`)
  }), { url }), ['BEGIN', 'SELECT 2', 'COMMIT'])
})

t.test('connections that were cut while idle are replaced', async (t) => {
  await db.$queryRaw`SELECT 1`
  const admin = await connect(url)
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = \'\' AND state = \'idle\' AND query NOT LIKE \'%pg_stat_activity%\'')
  await admin.end()
  // The pool learns of it in its own time; until then a statement may still meet a cut connection.
  const met: unknown[] = []
  const ask = async (): Promise<unknown> => await db.$queryRaw`SELECT 1 AS one`.catch(async (error) => { met.push(error); return await ask() })
  t.same(await ask(), [{ one: 1 }])
  t.ok(met.every(isDatabaseFault))
})
