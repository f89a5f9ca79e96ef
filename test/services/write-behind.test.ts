/** Writing behind: what is handed over is written later, in batches, and a flood is lost and counted rather than worked off. */
import t from 'tap'
import { openWriteBehind } from '../../src/services/write-behind.js'

interface Item { by: string, number: number }

/** @param isSlow whether each write ends when it is told to */
function openQueue (isSlow = false) {
  const batches: Item[][] = []
  const losses: Array<[number, unknown?]> = []
  const endings: Array<(error?: Error) => void> = []
  const queue = openWriteBehind<Item>({
    write: async (batch) => {
      batches.push(batch)
      if (isSlow) await new Promise<void>((resolve, reject) => endings.push((error) => error === undefined ? resolve() : reject(error)))
    },
    ownerOf: ({ by }) => by,
    onLoss: (...loss) => losses.push(loss)
  })
  let count = 0
  const add = (by: string, times = 1) => { for (let time = 0; time < times; time++) queue.add({ by, number: ++count }) }
  /** Resolves when the next write has begun. @returns what ends it */
  const begun = async () => {
    while (endings.length === 0) await new Promise(setImmediate)
    return endings.shift() as (error?: Error) => void
  }
  return { add, begun, flush: queue.flush, batches, losses }
}

t.test('nothing is written while it is handed over, and what comes meanwhile is one batch', async (t) => {
  const { add, begun, batches, losses } = openQueue(true)
  add('one')
  t.same(batches, [])
  const end = await begun()
  add('one')
  add('another')
  end()
  const endNext = await begun()
  t.same(batches, [[{ by: 'one', number: 1 }], [{ by: 'one', number: 2 }, { by: 'another', number: 3 }]])
  endNext()
  t.same(losses, [])
})

t.test('a batch has at most a hundred', async (t) => {
  const { add, flush, batches } = openQueue()
  add('one', 250)
  await flush()
  t.same(batches.map(({ length }) => length), [100, 100, 50])
  t.same(batches.flat().map(({ number }) => number), Array.from({ length: 250 }, (_, index) => index + 1), 'in order')
})

t.test('one alone fills half of the queue, all together fill the whole, and the rest is lost and counted', async (t) => {
  const { add, flush, batches, losses } = openQueue()
  add('one', 600)
  add('another', 400)
  add('a third', 300)
  await flush()
  const written = (who: string) => batches.flat().filter(({ by }) => by === who).length
  t.same([written('one'), written('another'), written('a third')], [500, 400, 100])
  t.same(losses, [[300]])
  add('one', 1)
  await flush()
  t.equal(written('one'), 501, 'then there is room again')
  t.equal(losses.length, 1)
})

t.test('what cannot be written is lost with the reason, and the next is tried again', async (t) => {
  const { add, begun, flush, batches, losses } = openQueue(true)
  add('one', 2)
  const error = new Error('the database is away')
  const end = await begun()
  end(error)
  add('one')
  const flushed = flush()
  ;(await begun())()
  await flushed
  t.same(losses, [[2, error]])
  t.equal(batches.length, 2)
})

t.test('a flush of nothing ends, and those of two at once as well', async (t) => {
  const { add, flush, batches } = openQueue()
  await flush()
  add('one', 101)
  await Promise.all([flush(), flush()])
  t.same(batches.map(({ length }) => length), [100, 1])
})

t.test('a flood is told of while it lasts', async (t) => {
  const complaints: Array<() => void> = []
  t.capture(globalThis, 'setTimeout', ((complain: () => void) => {
    complaints.push(complain)
    return { unref () { return this } }
  }) as never)
  const { add, losses } = openQueue()
  add('one', 510)
  complaints.forEach((complain) => complain())
  t.same(losses, [[10]])
  complaints.forEach((complain) => complain())
  t.same(losses, [[10]], 'once')
})
