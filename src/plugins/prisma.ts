/** The ways to the database: a pool with bounded waits behind a Prisma client, and shorter ones for what is read most. */
import { PrismaPg } from '@prisma/adapter-pg'
import fp from 'fastify-plugin'
import pg from 'pg'
import { Lines } from '../database/lines.js'
import { Prisma, PrismaClient } from '../generated/prisma/client.js'
import type { CounterStore } from '../services/counters.js'
import type { Reader } from '../services/database.js'

declare module 'fastify' {
  interface FastifyInstance {
    prisma: PrismaClient
    /** The same connections, for a library that names its own statements. */
    counterStore: CounterStore
    /** Ways for single statements past Prisma, which costs the service more than all else that a decision takes. */
    reads: {
      /** For statements that read little and wait for no lock, whatever is stored: they share connections. */
      short: Reader
      /** For others: each has a connection to itself. */
      long: Reader
    }
  }
}

/** Statements that get a name, and so a prepared plan on each connection. Lists built from filters could else grow without end. */
const mostNamedStatements = 500
const transactions = 8
const lines = 3

export default fp<{ databaseUrl: string }>(async (app, { databaseUrl }) => {
  // As Prisma's users know it: a pooler that gives each transaction another connection. A name, a setting of the connection or a
  // statement ahead of its turn would meet the wrong one.
  const isPooled = new URL(databaseUrl).searchParams.get('pgbouncer') === 'true'
  const named = new Map<string, pg.QueryConfig>()
  const withName = (text: string) => {
    const known = named.get(text)
    if (known !== undefined || isPooled || named.size >= mostNamedStatements) return known ?? { text }
    const statement = { name: `s${named.size}`, text }
    named.set(text, statement)
    return statement
  }
  const config: pg.PoolConfig = {
    connectionString: databaseUrl,
    max: transactions,
    // Without a limit a request waits for a connection as long as the database is away.
    connectionTimeoutMillis: 3_000,
    ...isPooled ? {} : { statement_timeout: 10_000, idle_in_transaction_session_timeout: 10_000 },
    // Quiet spells would otherwise drop the connections and the statements prepared on them.
    idleTimeoutMillis: 0,
    keepAlive: true
  }
  const noteLoss = (error: Error) => { app.log.warn({ err: error }, 'a database connection was lost') }
  const pool = new pg.Pool(config)
  pool.on('error', noteLoss)
  // The server ends a statement first, unless it hangs.
  const shared = new Lines({ ...config, query_timeout: 12_000 }, { count: lines, onLoss: noteLoss })
  const readerOf = (send: (statement: pg.QueryConfig) => Promise<pg.QueryResult>): Reader => ({
    $queryRaw: async <T>(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) => {
      const { text, values: bound } = query instanceof Prisma.Sql ? query : Prisma.sql(query, ...values)
      // pg copies the properties of a statement one by one, which takes as long as to send it, but not what it inherits.
      const { rows } = await send(Object.assign(Object.create(withName(text)), { values: bound }))
      return rows as T
    }
  })
  const long = readerOf((statement) => pool.query(statement))

  app.decorate('counterStore', { query: async ({ name, ...statement }) => await pool.query(isPooled || name === undefined ? statement : { ...statement, name }) })
  app.decorate('prisma', new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator: ({ sql }) => withName(sql).name ?? '' }) }))
  app.decorate('reads', { long, short: isPooled ? long : readerOf((statement) => shared.query(statement)) })
  app.addHook('onClose', async () => {
    await app.prisma.$disconnect()
    await Promise.all([pool.end(), shared.end()])
  })
}, { name: 'prisma' })
