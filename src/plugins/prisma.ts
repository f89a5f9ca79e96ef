/** The connection to the database: one pool, with bounded waits, behind a Prisma client. */
import { PrismaPg } from '@prisma/adapter-pg'
import fp from 'fastify-plugin'
import pg from 'pg'
import { PrismaClient } from '../generated/prisma/client.js'

declare module 'fastify' {
  interface FastifyInstance {
    prisma: PrismaClient
    /** The connections behind it, for a library that brings its own statements. */
    pool: pg.Pool
  }
}

/** Statements that get a name, and so a prepared plan on each connection. Lists built from filters could else grow without end. */
const mostNamedStatements = 500

export default fp<{ databaseUrl: string }>(async (app, { databaseUrl }) => {
  const names = new Map<string, string>()
  const statementNameGenerator = ({ sql }: { sql: string }) => {
    const known = names.get(sql)
    if (known !== undefined || names.size >= mostNamedStatements) return known ?? ''
    names.set(sql, `s${names.size}`)
    return names.get(sql) as string
  }
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 10,
    // Without a limit a request waits for a connection as long as the database is away.
    connectionTimeoutMillis: 3_000,
    statement_timeout: 10_000,
    idle_in_transaction_session_timeout: 10_000,
    // Quiet spells would otherwise drop the connections and the statements prepared on them.
    idleTimeoutMillis: 0,
    keepAlive: true
  })
  pool.on('error', (error) => app.log.warn({ err: error }, 'a database connection was lost'))
  app.decorate('pool', pool)
  app.decorate('prisma', new PrismaClient({ adapter: new PrismaPg(pool, { statementNameGenerator }) }))
  app.addHook('onClose', async () => {
    await app.prisma.$disconnect()
    await pool.end()
  })
}, { name: 'prisma' })
