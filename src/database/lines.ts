// Connections that many requests share. A statement is sent without waiting for the answers to those before it, and all that come
// up at once leave in one write: about a third less work for the service and for PostgreSQL (docs/performance.md).

import pg from 'pg'
import { ignore } from './connection.js'

interface Line {
  client: Promise<pg.PoolClient> | undefined
  /** Statements without an answer yet. */
  waiting: number
}

export interface LineOptions {
  /** How many connections. */
  count: number
  /** Receives what ended a connection. */
  onLoss: (error: Error) => void
}

/**
 * For single statements that read little and wait for no lock, whatever is stored: a slow one delays those behind it. When a
 * connection breaks, all statements on it fail, and the next ones open another.
 */
export class Lines {
  readonly #pool: pg.Pool
  readonly #lines: Line[]
  readonly #onLoss: (error: Error) => void

  /** @param config that of a pool; a `query_timeout` frees those who wait for a server that hangs */
  constructor (config: pg.PoolConfig, { count, onLoss }: LineOptions) {
    this.#pool = new pg.Pool({ ...config, max: count, pipeline: true } as pg.PoolConfig)
    // It has a connection to itself only while closing, and then a lost one is closed.
    this.#pool.on('error', ignore)
    this.#lines = Array.from({ length: count }, () => ({ client: undefined, waiting: 0 }))
    this.#onLoss = onLoss
  }

  /** @throws what pg throws: a failed statement harms none of its neighbours, a lost connection fails all of them */
  async query<Row extends pg.QueryResultRow> (statement: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
    const line = this.#lines.reduce((best, other) => other.waiting < best.waiting ? other : best)
    line.waiting++
    try {
      const client = await (line.client ??= this.#open(line))
      gather(client)
      return await client.query<Row>(statement)
    } finally {
      line.waiting--
    }
  }

  /** Closes the connections when what is on them has been answered. */
  async end (): Promise<void> {
    await Promise.allSettled(this.#lines.map(async (line) => {
      const client = await line.client
      // One that was lost meanwhile has been given back, and a second time is an error; as it is where one is lost after this.
      if (client === undefined || line.client === undefined) return
      line.client = undefined
      client.removeAllListeners('error').on('error', ignore)
      client.release()
    }))
    await this.#pool.end()
  }

  async #open (line: Line): Promise<pg.PoolClient> {
    try {
      const client = await this.#pool.connect()
      client.once('error', (error) => {
        line.client = undefined
        client.on('error', ignore)
        client.release(error)
        this.#onLoss(error)
      })
      return client
    } catch (error) {
      line.client = undefined
      throw error
    }
  }
}

const gathering = new WeakSet<pg.PoolClient>()

/** Holds back what is written to a connection until everything that is ready to run has run. */
function gather (client: pg.PoolClient): void {
  if (gathering.has(client)) return
  gathering.add(client)
  // pg corks each statement for itself in the same way, and Node counts.
  const { stream } = (client as unknown as { connection: { stream: { cork: () => void, uncork: () => void } } }).connection
  stream.cork()
  setImmediate(() => {
    gathering.delete(client)
    stream.uncork()
  })
}
