// A migrated database of the benchmark's own: on the server that is named, or in an embedded PostgreSQL as users have it.
import pg from 'pg'
import { applyMigrations } from '../dist/database/migrate.js'
import { openDatabase } from '../dist/database/open.js'
import { readPostmasterPid } from '../dist/database/postmaster.js'
import { say } from './output.js'

let opened = 0

/**
 * @returns `environment`: what leads the service there; `postmaster`: the process of the server where it is ours
 */
export async function openBenchDatabase (databaseUrl, dataDir) {
  const server = await openDatabase({ databaseUrl, dataDir, use: 'command', log: say })
  if (databaseUrl === undefined) {
    await applyMigrations(server.url, { log: say })
    return { url: server.url, environment: { DATA_DIR: dataDir }, postmaster: readPostmasterPid(dataDir)?.pid, close: server.close }
  }
  const name = `gatehouse_bench_${process.pid}_${++opened}`
  const url = new URL(databaseUrl)
  url.pathname = `/${name}`
  await query(databaseUrl, `CREATE DATABASE ${name} TEMPLATE template0`)
  await applyMigrations(url.href, { log: say })
  return { url: url.href, environment: { DATABASE_URL: url.href }, close: async () => await query(databaseUrl, `DROP DATABASE ${name} WITH (FORCE)`) }
}

async function query (url, statement) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
