/** Where failures are counted, for all instances together. To count one is the library's; what many attempts give back goes together. */
import { RateLimiterPostgres } from 'rate-limiter-flexible'

/** A pool of connections to the database, whose statements need no transaction. */
export interface CounterStore {
  query: (statement: { name?: string, text: string, values: unknown[] }) => Promise<unknown>
}

/** A place that is given back, or a counter that is forgotten. */
interface Change { key: string, isForgotten: boolean }

/** Rows are locked in the order of their keys, so that no two such statements wait for each other. */
const giveBack = `
  WITH change AS (SELECT key, count(*)::int AS points, bool_or(is_forgotten) AS is_forgotten FROM unnest($1::text[], $2::boolean[]) one(key, is_forgotten) GROUP BY key),
  held AS MATERIALIZED (
    SELECT change.* FROM rate_limits r JOIN change ON change.key = r.key ORDER BY r.key FOR UPDATE OF r),
  forgotten AS (DELETE FROM rate_limits r USING held WHERE r.key = held.key AND held.is_forgotten)
  UPDATE rate_limits r SET points = r.points - held.points FROM held WHERE r.key = held.key AND NOT held.is_forgotten`

export class Counters {
  readonly #store: CounterStore
  #next: { changes: Change[], written: Promise<unknown> } | undefined

  constructor (store: CounterStore) {
    this.#store = store
  }

  /** All counters of one name; the table is made by a migration, its old rows go by `removeExpiredLimits`. */
  open (keyPrefix: string, points: number, duration: number) {
    const limiter = new RateLimiterPostgres({
      storeClient: this.#store, storeType: 'pool', tableName: 'rate_limits', tableCreated: true, clearExpiredByTimeout: false, keyPrefix, points, duration
    })
    return {
      /** Counts one. @throws {RateLimiterRes} when there are too many */
      consume: async (key: string, customDuration = duration) => await limiter.consume(key, 1, { customDuration }),
      /** Counts one, however many there are. */
      add: async (key: string) => await limiter.penalty(key),
      giveBack: async (key: string) => { await this.#change({ key: limiter.getKey(key), isForgotten: false }) },
      forget: async (key: string) => { await this.#change({ key: limiter.getKey(key), isForgotten: true }) }
    }
  }

  /** Waits for what else there is to be changed: a login alone ends with up to four. */
  async #change (change: Change): Promise<void> {
    if (this.#next === undefined) {
      const changes: Change[] = []
      const written = new Promise((resolve) => { setImmediate(resolve) }).then(async () => {
        this.#next = undefined
        await this.#store.query({ name: 'give-back', text: giveBack, values: [changes.map(({ key }) => key), changes.map(({ isForgotten }) => isForgotten)] })
      })
      this.#next = { changes, written }
    }
    this.#next.changes.push(change)
    await this.#next.written
  }
}
