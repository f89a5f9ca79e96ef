/** Cursors: opaque, of one list, and refused as soon as anything in them was changed. */
import t from 'tap'
import { cutPage, decodeCursor, encodeCursor } from '../../src/services/pages.js'

const keys = ['the first key of this test, long enough', 'an older key of this test, long enough']
const last = '01890a5d-ac96-774b-bcce-b302099a8057'
const cursor = encodeCursor(keys, 'users', last)
const refusal = { code: 'invalid-request', errors: [{ path: '/cursor', message: 'must be a nextCursor of this list' }] }

t.test('a cursor gives back the position that it was made of', async (t) => {
  t.equal(decodeCursor(keys, 'users', cursor), last)
  t.equal(decodeCursor(keys, 'users', undefined), undefined)
  t.match(cursor, /^[A-Za-z0-9_-]+$/)
})

t.test('a cursor holds with every key, and with none that is unknown', async (t) => {
  t.equal(decodeCursor(keys, 'users', encodeCursor([keys[1] as string], 'users', last)), last)
  t.throws(() => decodeCursor(keys, 'users', encodeCursor(['a key that nobody here knows, long enough'], 'users', last)), refusal)
})

t.test('a cursor in which any byte was changed is refused', async (t) => {
  const bytes = Buffer.from(cursor, 'base64url')
  t.equal(bytes.length, 52)
  for (const position of bytes.keys()) {
    for (const mask of [1, 0x80]) {
      const changed = Buffer.from(bytes)
      changed[position] = (changed[position] as number) ^ mask
      t.throws(() => decodeCursor(keys, 'users', changed.toString('base64url')), refusal, `byte ${position}`)
    }
  }
})

t.test('what is no cursor is refused', async (t) => {
  const others = ['', 'a', 'AAAA', '0', last, `${cursor}A`, cursor.slice(0, -1), `${cursor}=`, ` ${cursor}`, cursor.replace(/.$/, '!'), Buffer.alloc(16).toString('base64url'), '🙂']
  for (const other of others) t.throws(() => decodeCursor(keys, 'users', other), refusal, other)
})

t.test('a cursor of another list is refused', async (t) => {
  t.throws(() => decodeCursor(keys, 'sessions', cursor), refusal)
  t.throws(() => decodeCursor(keys, 'user', cursor), refusal)
})

t.test('a page is cut at its limit, and only then goes on', async (t) => {
  const encode = (position: string) => `after ${position}`
  const keyOf = (row: number) => String(row)
  t.same(cutPage([], 2, keyOf, encode), { items: [], nextCursor: null })
  t.same(cutPage([1], 2, keyOf, encode), { items: [1], nextCursor: null })
  t.same(cutPage([1, 2], 2, keyOf, encode), { items: [1, 2], nextCursor: null })
  t.same(cutPage([1, 2, 3], 2, keyOf, encode), { items: [1, 2], nextCursor: 'after 2' })
})
