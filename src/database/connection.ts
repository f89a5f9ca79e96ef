// Single PostgreSQL connections outside the service's pool: they must never raise an unhandled 'error' and never block an exit.

import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

/** A listener for errors that reach us by another way as well, such as the rejected query of a connection that was cut. */
export function ignore (): void {}

/**
 * Opens one connection.
 * @param config pg's own client configuration
 * @returns the connected client; end it with `disconnect`
 * @throws whatever connecting throws; nothing stays open then
 */
export async function connect (config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config)
  client.on('error', ignore)
  try {
    await client.connect()
  } catch (error) {
    await disconnect(client)
    throw error
  }
  return client
}

/** Ends a connection. A server that hangs never answers the goodbye, so nobody waits longer than a second for it. */
export async function disconnect (client: pg.Client): Promise<void> {
  await Promise.race([client.end(), sleep(1000, undefined, { ref: false })])
}

/** Whether the error says that the server cannot be spoken to just now (absent, starting, stopping, hung), rather than that it refuses. */
export function isAway (error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || ['57P01', '57P02', '57P03'].includes(String(error.code))
}
