/** Who waits for a place, who gets one, and who is refused, attempt by attempt. */
import t from 'tap'
import { DomainError } from '../../src/errors.js'
import { inLine, type Place } from '../../src/services/places.js'

/** Counters of one key: whether there is a place is decided when the test says so. */
function openCounters (quota: number) {
  const asked: Array<{ answer: (found: boolean | number) => void, fail: (error: Error) => void }> = []
  let givenBack = 0
  const enter = inLine(async () => await new Promise((resolve, reject) => {
    asked.push({
      answer: (found) => resolve(typeof found === 'number' ? found : { giveBack: async () => { givenBack++ } }),
      fail: reject
    })
  }), quota)
  const admit = async () => {
    const place = enter('a key')
    asked.shift()?.answer(true)
    return await place as Place
  }
  return { enter: async () => await enter('a key'), admit, other: async () => await enter('another key'), asked, givenBack: () => givenBack }
}

/** Lets everything go on that waits for nothing but its turn. */
const settle = async () => await new Promise((resolve) => { setImmediate(resolve) })

t.test('whoever finds no place waits for those under way, in the order of coming', async (t) => {
  const { enter, asked, givenBack } = openCounters(5)
  const found: string[] = []
  const waiting = ['first', 'second', 'third'].map(async (name) => {
    const place = await enter()
    found.push(name)
    return place as Place
  })
  asked.shift()?.answer(true)
  await settle()
  asked.shift()?.answer(2_000)
  await settle()
  t.same(found, ['first'])
  t.same(asked, [], 'nothing is asked while they wait')
  await (await waiting[0])?.leave()
  t.equal(givenBack(), 1)
  asked.shift()?.answer(true)
  await settle()
  t.same(found, ['first', 'second'])
  asked.shift()?.answer(true)
  await settle()
  t.same(found, ['first', 'second', 'third'])
  for (const place of await Promise.all(waiting.slice(1))) place.stay()
  t.equal(givenBack(), 1)
  await settle()
  t.same(asked, [])
})

t.test('when none is under way, one refusal counts for all who wait', async (t) => {
  const { enter, admit, asked } = openCounters(5)
  const place = await admit()
  const others = [enter(), enter(), enter()]
  asked.shift()?.answer(2_000)
  await settle()
  place.stay()
  asked.shift()?.answer(4_000)
  t.same(await Promise.all(others), [4_000, 4_000, 4_000])
  t.same(asked, [])
})

t.test('a refusal from before somebody left counts no more', async (t) => {
  const { enter, admit, asked } = openCounters(5)
  const place = await admit()
  const second = enter()
  await place.leave()
  asked.shift()?.answer(2_000)
  await settle()
  asked.shift()?.answer(true)
  t.type(await second, 'object')
})

t.test('two fifths of the places are under way at once, for each key', async (t) => {
  const { enter, other, asked } = openCounters(5)
  const places = [enter(), enter(), enter()]
  for (let index = 0; index < 2; index++) {
    asked.shift()?.answer(true)
    await settle()
  }
  t.same(asked, [])
  const elsewhere = other()
  asked.shift()?.answer(true)
  t.type(await elsewhere, 'object')
  ;(await places[0] as Place).stay()
  asked.shift()?.answer(true)
  t.type(await places[2], 'object')
})

t.test('a database that does not answer is an error for all who wait, and for nobody later', async (t) => {
  const { enter, asked } = openCounters(5)
  const waiting = [enter(), enter()]
  asked.shift()?.fail(new Error('gone'))
  t.same((await Promise.allSettled(waiting)).map(({ status }) => status), ['rejected', 'rejected'])
  const next = enter()
  asked.shift()?.answer(true)
  t.type(await next, 'object')
})

t.test('a place ends even where it cannot be given back', async (t) => {
  let asked = 0
  const enter = inLine(async () => ++asked === 2 ? 1_000 : { giveBack: async () => { throw new Error('gone') } }, 5)
  const place = await enter('a key') as Place
  const next = enter('a key')
  await settle()
  await t.rejects(place.leave(), { message: 'gone' })
  t.type(await next, 'object')
})

t.test('300 wait at most', async (t) => {
  const { enter } = openCounters(5)
  for (let index = 0; index < 300; index++) void enter()
  await t.rejects(enter(), new DomainError('overloaded'))
})
