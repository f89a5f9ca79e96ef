// Who uses the embedded PostgreSQL is counted by PostgreSQL itself: every process holds a shared advisory lock on one connection.
// The locks of a killed process vanish with its connection, so there is nothing to clean up and nothing that can be stale.

import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { Cluster } from './cluster.js'
import { connect, disconnect, isAway } from './connection.js'
import { isAlive, stopPostmaster, type Postmaster } from './postmaster.js'

export interface Hold {
  client: pg.Client
  postmaster: Postmaster
  /** Nobody used the server, and whoever started it is dead. */
  wasLeftBehind: boolean
}

// Any two numbers; advisory locks are the database's own, and only Gatehouse uses the database `postgres` of this cluster.
const inUse = 1
const service = 2

/**
 * Registers this process as a user of the server.
 * @param serviceWaitMs how long to wait for another service to go; undefined when this is no service
 * @returns undefined when the server cannot be spoken to just now (absent, starting, stopping, hung)
 * @throws Error when another service holds the cluster, or PostgreSQL refuses us
 */
export async function takeHold (cluster: Cluster, postmaster: Postmaster, serviceWaitMs: number | undefined): Promise<Hold | undefined> {
  try {
    const hold = await register(cluster, postmaster)
    if (serviceWaitMs === undefined || await takeServiceLock(hold.client, serviceWaitMs)) return hold
    await release(cluster, hold)
  } catch (error) {
    if (isAway(error)) return undefined
    throw new Error(`the embedded PostgreSQL refuses us: ${(error as Error).message}`, { cause: error })
  }
  throw new Error('another Gatehouse service already runs on this DATA_DIR; to run several, give them one PostgreSQL by DATABASE_URL, or each its own DATA_DIR')
}

async function register (cluster: Cluster, postmaster: Postmaster): Promise<Hold> {
  const client = await connect({
    host: '127.0.0.1',
    port: postmaster.port,
    user: 'gatehouse',
    password: cluster.password,
    database: 'postgres',
    ssl: false,
    connectionTimeoutMillis: 2000,
    query_timeout: 5000,
    application_name: 'gatehouse in use'
  })
  try {
    const isAlone = await tryLock(client, inUse)
    // Waits while another process stops the server; that ends this connection, and the caller starts anew.
    await client.query('SELECT pg_advisory_lock_shared($1)', [inUse])
    if (!isAlone) return { client, postmaster, wasLeftBehind: false }
    const { rows } = await client.query("SELECT current_setting('gatehouse.started_by') AS pid")
    await client.query('SELECT pg_advisory_unlock($1)', [inUse])
    return { client, postmaster, wasLeftBehind: !isAlive(Number(rows[0].pid)) }
  } catch (error) {
    await disconnect(client)
    throw error
  }
}

/** A service that was killed a moment ago may still hold the lock: its backend has to notice first. */
async function takeServiceLock (client: pg.Client, waitMs: number): Promise<boolean> {
  const deadline = Date.now() + waitMs
  while (!await tryLock(client, service)) {
    if (Date.now() >= deadline) return false
    await sleep(100)
  }
  return true
}

async function tryLock (client: pg.Client, key: number): Promise<boolean> {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS taken', [key])
  return rows[0].taken
}

/** Gives the server back and stops it when nobody else uses it. Never throws: a server that is gone needs no stopping. */
export async function release (cluster: Cluster, { client, postmaster }: Hold): Promise<void> {
  try {
    await client.query('SELECT pg_advisory_unlock_all()')
    // Held until the server is gone, so that nobody can begin to use it meanwhile.
    if (await tryLock(client, inUse)) await stopPostmaster(postmaster.pid, cluster.data)
  } catch {
    // The connection is gone, and with it our locks.
  }
  await disconnect(client)
}
