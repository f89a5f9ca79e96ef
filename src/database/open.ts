// One way to a database for the service and every command: the PostgreSQL that DATABASE_URL names, or else our own embedded one.

import { openEmbedded } from './embedded.js'

export interface DatabaseHandle {
  /** A PostgreSQL connection URL. It holds a password: never log it. */
  readonly url: string
  readonly isEmbedded: boolean
  /** Gives the database back. The embedded one stops when nobody else uses it. Calling it twice is harmless. */
  close (): Promise<void>
}

export interface DatabaseOptions {
  /** A PostgreSQL to use as it is. Absent: the embedded one. */
  databaseUrl?: string | undefined
  /** Where the embedded PostgreSQL lives, in the folder `postgres`. Created with mode 700 when absent. */
  dataDir: string
  /** `service`: one at a time on a dataDir, and PostgreSQL is started again should it die. `command`: any number, beside a service too. */
  use: 'service' | 'command'
  /** Receives what an operator should know, one line a call. */
  log: (line: string) => void
  /** False gives up durability for speed: for databases that only a test will ever read. Default true. */
  isDurable?: boolean
}

/**
 * Makes the database ready for connections. Migrations are another step: `applyMigrations`.
 * @throws Error with one line that says what is wrong and what to do about it
 */
export async function openDatabase (options: DatabaseOptions): Promise<DatabaseHandle> {
  if (options.databaseUrl === undefined) return await openEmbedded(options)
  return { url: options.databaseUrl, isEmbedded: false, close: async () => {} }
}
