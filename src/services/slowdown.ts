/** Failures of one kind for one key, the first few of which are free, and each of the next comes after a longer wait. */
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import { inLine, type TakePlace } from './places.js'

/** Where the counters are kept: a pool of connections. */
export type LimitStore = object

const windowSeconds = 900
export const freeFailures = 5
/** Retry-After never says more (contract §4). */
const longestWaitSeconds = 900

/** Where all counters of one name are kept; the table is made by a migration, its old rows go by `removeExpiredLimits`. */
export const counter = (storeClient: LimitStore, keyPrefix: string, points: number, duration: number) => new RateLimiterPostgres({
  storeClient, storeType: 'pool', tableName: 'rate_limits', tableCreated: true, clearExpiredByTimeout: false, keyPrefix, points, duration
})

export class Slowdown {
  readonly #failures
  readonly #wait
  /** Takes a place for a key, or tells the milliseconds to wait. @throws {DomainError} overloaded */
  readonly enter

  constructor (store: LimitStore, name: string) {
    this.#failures = counter(store, name, freeFailures, windowSeconds)
    this.#wait = counter(store, `${name}-wait`, 1, longestWaitSeconds)
    this.enter = inLine(async (key) => await this.#take(key), freeFailures)
  }

  async #take (key: string): ReturnType<TakePlace> {
    const { consumedPoints: count } = await this.#failures.penalty(key)
    if (count < freeFailures) return { giveBack: async () => { await this.#failures.reward(key) } }
    try {
      // Of many at once one gets through, and closes the way for the others: should it fail, the next has to wait.
      await this.#wait.consume(key, 1, { customDuration: Math.min(2 ** (count - freeFailures + 1), longestWaitSeconds) })
    } catch (refusal) {
      await this.#failures.reward(key)
      if (refusal instanceof RateLimiterRes) return refusal.msBeforeNext
      throw refusal
    }
    return { giveBack: async () => { await Promise.all([this.#failures.reward(key), this.#wait.delete(key)]) } }
  }

  /** Forgets the failures of a key. Whoever was let in after a wait has ended it by leaving. */
  async forget (key: string): Promise<void> {
    await this.#failures.delete(key)
  }
}
