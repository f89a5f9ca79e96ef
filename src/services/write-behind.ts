/**
 * Writing what nobody waits for: after the answer, in batches, and slowly enough that requests do not feel it. A flood fills the
 * queue, and what does not fit is lost and counted.
 */
import { setImmediate } from 'node:timers/promises'

export interface WriteBehind<T> {
  /** Takes something over, or loses it where there is too much already. */
  add: (item: T) => void
  /** Resolves when all of it has been written, at once rather than slowly. */
  flush: () => Promise<void>
}

interface Options<T> {
  write: (batch: T[]) => Promise<void>
  /** Who has caused it: one alone fills half of the queue at most, so that nobody's flood hides what others do. */
  ownerOf: (item: T) => string
  /** @param error what kept them from being written; undefined for those that did not fit */
  onLoss: (count: number, error?: unknown) => void
}

const mostWaiting = 1_000
const mostOfOne = mostWaiting / 2
const batchSize = 100
/** After each batch: of the time of one connection a quarter is used at most, and at most 400 rows are written in a second. */
const restFactor = 3
const restMsEach = 2.5
/** A flood is one line in the log now and then. */
const complaintsMs = 10_000

/** Opens an empty queue. To be flushed before the process ends. */
export function openWriteBehind<T> ({ write, ownerOf, onLoss }: Options<T>): WriteBehind<T> {
  const waiting: T[] = []
  const shares = new Map<string, number>()
  let working: Promise<void> | undefined
  let isHurried = false
  let endRest = () => {}
  let lost = 0
  let complaint: NodeJS.Timeout | undefined

  function add (item: T): void {
    const owner = ownerOf(item)
    const share = shares.get(owner) ?? 0
    if (waiting.length >= mostWaiting || share >= mostOfOne) {
      lost++
      complaint ??= setTimeout(complain, complaintsMs).unref()
      return
    }
    shares.set(owner, share + 1)
    waiting.push(item)
    working ??= work()
  }

  function complain (): void {
    clearTimeout(complaint)
    complaint = undefined
    if (lost > 0) onLoss(lost)
    lost = 0
  }

  function takeBatch (): T[] {
    const batch = waiting.splice(0, batchSize)
    for (const owner of batch.map(ownerOf)) {
      const share = (shares.get(owner) as number) - 1
      if (share === 0) shares.delete(owner)
      else shares.set(owner, share)
    }
    return batch
  }

  async function work (): Promise<void> {
    // Whatever is at hand goes first.
    await setImmediate()
    while (waiting.length > 0) {
      const begun = performance.now()
      const batch = takeBatch()
      await write(batch).catch((error: unknown) => onLoss(batch.length, error))
      await rest(Math.max((performance.now() - begun) * restFactor, batch.length * restMsEach))
    }
    working = undefined
  }

  async function rest (ms: number): Promise<void> {
    if (isHurried) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms).unref()
      endRest = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  async function flush (): Promise<void> {
    // What an answer that has just gone out hands over belongs to it.
    await setImmediate()
    isHurried = true
    endRest()
    await working
    isHurried = false
    complain()
  }

  return { add, flush }
}
