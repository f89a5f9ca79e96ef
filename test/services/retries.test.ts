/** What a transaction does that met another: it is done again, whichever way Prisma reports the meeting. */
import t from 'tap'
import { inTransaction, isDatabaseFault } from '../../src/services/database.js'
import { openTestDatabase } from '../helpers/database.js'

const { db, query } = await openTestDatabase()
await query('CREATE TABLE counters (id INTEGER PRIMARY KEY, count INTEGER NOT NULL DEFAULT 0)')

/** Resolves for the first two callers once both are there; later ones do not wait. */
function meetingOfTwo (): () => Promise<void> {
  let callers = 0
  let open = () => {}
  const gate = new Promise<void>((resolve) => { open = resolve })
  return async () => {
    if (++callers >= 2) open()
    await gate
  }
}

const counts = async () => (await query<{ count: number }>('SELECT count FROM counters ORDER BY id')).map(({ count }) => count)

for (const how of ['$executeRaw', '$queryRaw'] as const) {
  t.test(`a deadlock in ${how} ends with both transactions done`, async (t) => {
    await query('TRUNCATE counters')
    await query('INSERT INTO counters (id) VALUES (1), (2)')
    const meet = meetingOfTwo()
    let tries = 0
    const countBoth = async (first: number, second: number) => await inTransaction(db, async (tx) => {
      tries++
      await tx[how]`UPDATE counters SET count = count + 1 WHERE id = ${first}`
      await meet()
      await tx[how]`UPDATE counters SET count = count + 1 WHERE id = ${second}`
    })
    await Promise.all([countBoth(1, 2), countBoth(2, 1)])
    // The one that goes on may be so slow to wake that the other, in its next try, meets it once more.
    t.ok(tries >= 3, `${tries} tries`)
    t.same(await counts(), [2, 2])
  })
}

t.test('a serialization failure is tried again', async (t) => {
  await query('TRUNCATE counters')
  await query('INSERT INTO counters (id) VALUES (1)')
  const meet = meetingOfTwo()
  let tries = 0
  const addOne = async () => await inTransaction(db, async (tx) => {
    tries++
    await tx.$executeRaw`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`
    await tx.$queryRaw`SELECT count FROM counters`
    await meet()
    await tx.$executeRaw`UPDATE counters SET count = count + 1 WHERE id = 1`
  })
  await Promise.all([addOne(), addOne()])
  t.equal(tries, 3)
  t.same(await counts(), [2])
})

t.test('so is one that comes with COMMIT, where Prisma has no error of its own', async (t) => {
  await query('TRUNCATE counters')
  await query('INSERT INTO counters (id) VALUES (1), (2)')
  const meet = meetingOfTwo()
  let tries = 0
  const copyOther = async (own: number, other: number) => await inTransaction(db, async (tx) => {
    tries++
    await tx.$executeRaw`SET TRANSACTION ISOLATION LEVEL SERIALIZABLE`
    await tx.$executeRaw`UPDATE counters SET count = 1 + (SELECT count FROM counters WHERE id = ${other}) WHERE id = ${own}`
    await meet()
  })
  await Promise.all([copyOther(1, 2), copyOther(2, 1)])
  t.ok(tries >= 3, `${tries} tries`)
  t.same((await counts()).sort(), [1, 2], 'as if one had come after the other')
})

t.test('one that never succeeds is given up, as a fault of the database', async (t) => {
  await query(`CREATE FUNCTION refuse_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'serialization_failure'; END $$`)
  await query('CREATE CONSTRAINT TRIGGER refuse_commit AFTER UPDATE ON counters DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_commit()')
  let tries = 0
  const error = await inTransaction(db, async (tx) => {
    tries++
    await tx.$executeRaw`UPDATE counters SET count = 9`
  }).then(() => undefined, (error: unknown) => error)
  t.equal(tries, 4)
  t.ok(isDatabaseFault(error), 'which is answered with 503')
})

t.test('any other failure is not tried again', async (t) => {
  let tries = 0
  await t.rejects(inTransaction(db, async (tx) => {
    tries++
    await tx.$executeRaw`INSERT INTO counters (id) VALUES (1)`
  }))
  await t.rejects(inTransaction(db, async () => {
    tries++
    throw new Error('of our own')
  }), { message: 'of our own' })
  t.equal(tries, 2)
})
