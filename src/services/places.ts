/**
 * Places of a limit that only failures use up, and the line of those who wait for one. A place is taken while the outcome of an
 * attempt is not known, so that guesses at once cannot all come in; without a line, many right passwords at once would refuse each other.
 */
import { DomainError } from '../errors.js'

/** A place that was taken for an attempt. Whoever has it says once how the attempt ended. */
export interface Place {
  /** Gives it back: the attempt was no failure. */
  leave: () => Promise<void>
  /** Leaves it taken. */
  stay: () => void
}

/** Takes a place for a key in the counters. @returns milliseconds to wait when there is none */
export type TakePlace = (key: string) => Promise<{ giveBack: () => Promise<void> } | number>

interface Waiting { resolve: (found: Place | number) => void, reject: (reason: unknown) => void }
interface Line { waiting: Waiting[], underWay: number, ended: number, isMoving: boolean }

/** Five seconds of hashing on two cores; whoever comes later is told to come again. */
const mostWaiting = 300

/**
 * Whoever finds no place waits as long as an attempt is under way in this instance that may give its own back, and is refused when
 * there is none. What one of a line learns counts for all of it: a flood of guesses costs the database no more than one.
 * @param quota of the limit. Two fifths of it are under way at once, so that two instances do not use it up with what may succeed
 * @returns takes a place, or tells the milliseconds to wait. To hold one and wait for another needs a fixed order of limits: else
 *   two would wait for each other. @throws {DomainError} overloaded
 */
export function inLine (take: TakePlace, quota: number): (key: string) => Promise<Place | number> {
  const lines = new Map<string, Line>()
  const mostUnderWay = Math.floor(quota * 2 / 5)

  async function move (key: string, line: Line): Promise<void> {
    if (line.isMoving) return
    line.isMoving = true
    while (line.waiting.length > 0 && line.underWay < mostUnderWay) {
      const { ended } = line
      try {
        const found = await take(key)
        if (typeof found !== 'number') {
          line.underWay++
          const first = line.waiting.shift() as Waiting
          first.resolve(placeOf(key, line, found.giveBack))
        } else if (line.ended === ended) {
          if (line.underWay > 0) break
          for (const { resolve } of line.waiting.splice(0)) resolve(found)
        }
      } catch (error) {
        for (const { reject } of line.waiting.splice(0)) reject(error)
      }
    }
    line.isMoving = false
    if (line.waiting.length === 0 && line.underWay === 0) lines.delete(key)
  }

  function placeOf (key: string, line: Line, giveBack: () => Promise<void>): Place {
    const stay = () => {
      line.underWay--
      line.ended++
      void move(key, line)
    }
    return { stay, leave: async () => await giveBack().finally(stay) }
  }

  return async (key) => {
    const line = lines.get(key) ?? { waiting: [], underWay: 0, ended: 0, isMoving: false }
    lines.set(key, line)
    if (line.waiting.length >= mostWaiting) throw new DomainError('overloaded')
    return await new Promise((resolve, reject) => {
      line.waiting.push({ resolve, reject })
      void move(key, line)
    })
  }
}
