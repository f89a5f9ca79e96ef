/** Failures of one kind for one key, the first few of which are free, and each of the next comes after a longer wait. */
import { RateLimiterRes } from 'rate-limiter-flexible'
import type { Counters } from './counters.js'
import { inLine, type TakePlace } from './places.js'

const windowSeconds = 900
export const freeFailures = 5
/** Retry-After never says more (contract §4). */
const longestWaitSeconds = 900

export class Slowdown {
  readonly #failures
  readonly #wait
  /** Takes a place for a key, or tells the milliseconds to wait. @throws {DomainError} overloaded */
  readonly enter

  constructor (counters: Counters, name: string) {
    this.#failures = counters.open(name, freeFailures, windowSeconds)
    this.#wait = counters.open(`${name}-wait`, 1, longestWaitSeconds)
    this.enter = inLine(async (key) => await this.#take(key), freeFailures)
  }

  async #take (key: string): ReturnType<TakePlace> {
    const { consumedPoints: count } = await this.#failures.add(key)
    if (count < freeFailures) return { giveBack: async () => await this.#failures.giveBack(key) }
    try {
      // Of many at once one gets through, and closes the way for the others: should it fail, the next has to wait.
      await this.#wait.consume(key, Math.min(2 ** (count - freeFailures + 1), longestWaitSeconds))
    } catch (refusal) {
      await this.#failures.giveBack(key)
      if (refusal instanceof RateLimiterRes) return refusal.msBeforeNext
      throw refusal
    }
    return { giveBack: async () => { await Promise.all([this.#failures.giveBack(key), this.#wait.forget(key)]) } }
  }

  /** Forgets the failures of a key. Whoever was let in after a wait has ended it by leaving. */
  async forget (key: string): Promise<void> {
    await this.#failures.forget(key)
  }
}
