/** The hasher: what it makes, that no stored hash can throw or hang, and that its queue is bounded. */
import argon2 from 'argon2'
import t from 'tap'
import { argon2id } from '../../src/services/password-hashing.js'

t.test('a hash is argon2id with 19 MiB and two passes, salted, and belongs to its password alone', async (t) => {
  const [hash, another] = await Promise.all([argon2id.hash('aösdkfjgösdgäs'), argon2id.hash('aösdkfjgösdgäs')])
  t.match(hash, /^\$argon2id\$v=19\$m=19456,(t=2,p=1|p=1,t=2)\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.not(hash, another)
  t.ok(hash.length <= 255, 'it fits its column')
  t.equal(await argon2id.verify(hash, 'aösdkfjgösdgäs'), true)
  t.equal(await argon2id.verify(hash, 'aösdkfjgösdgäS'), false)
  t.equal(await argon2id.verify(hash, ''), false)
})

t.test('composed and decomposed letters are the same password', async (t) => {
  const composed = 'Bl\u00fcten-Regen-Ger\u00f6ll'
  const decomposed = 'Blu\u0308ten-Regen-Gero\u0308ll'
  t.not(composed, decomposed)
  t.equal(await argon2id.verify(await argon2id.hash(decomposed), composed), true)
  t.equal(await argon2id.verify(await argon2id.hash(composed), decomposed), true)
})

t.test('an unknown user has no password, not even the one that the work is done with', async (t) => {
  t.equal(await argon2id.verify(undefined, ''), false)
  t.equal(await argon2id.verify(undefined, 'some-clever-password'), false)
})

const salt = 'c29tZXNhbHRzb21lc2FsdA'
const digest = 'Z18BMXQlAPeaKrlvhzQf58XSu3EwQ3zCvMLgQAj8LSg'
const strange = {
  'an empty one': '',
  'a word': 'secret',
  'a bcrypt hash': '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW',
  'a truncated one': `$argon2id$v=19$m=19456,t=2,p=1$${salt}`,
  'one that claims 4 GiB': `$argon2id$v=19$m=4194304,t=3,p=4$${salt}$${digest}`,
  'one that claims a million passes': `$argon2id$v=19$m=19456,t=1000000,p=1$${salt}$${digest}`,
  'one that claims 255 lanes': `$argon2id$v=19$m=19456,t=2,p=255$${salt}$${digest}`,
  'one without memory': `$argon2id$v=19$t=2,p=1$${salt}$${digest}`,
  'one with less memory than its lanes need': `$argon2id$v=19$m=63,t=2,p=8$${salt}$${digest}`,
  'one with a parameter twice': `$argon2id$v=19$m=4194304,m=19456,t=2,p=1$${salt}$${digest}`,
  'one with its memory twice and no lanes': `$argon2id$v=19$m=4096,m=19456,t=2$${salt}$${digest}`,
  'one with a comma too many': `$argon2id$v=19$m=19456,t=2,p=1,$${salt}$${digest}`,
  'one with a parameter that has no value': `$argon2id$v=19$m=19456,t=2,p=1,x$${salt}$${digest}`,
  'one with no passes at all': `$argon2id$v=19$m=19456,t=0,p=1$${salt}$${digest}`,
  'one whose memory is no number': `$argon2id$v=19$m=1e9,t=2,p=1$${salt}$${digest}`,
  argon2i: `$argon2i$v=19$m=19456,t=2,p=1$${salt}$${digest}`,
  'one of an older version': `$argon2id$v=16$m=19456,t=2,p=1$${salt}$${digest}`,
  'one with a line break': `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${digest}\n`,
  'one that is far too long': `$argon2id$v=19$m=19456,t=2,p=1$${salt}$${'A'.repeat(10_000)}`
}
for (const [what, hash] of Object.entries(strange)) {
  t.test(`a stored hash that is not ours is nobody's and costs no more than ours: ${what}`, async (t) => {
    const started = performance.now()
    t.equal(await argon2id.verify(hash, 'some-clever-password'), false)
    t.ok(performance.now() - started < 2_000)
  })
}

t.test('a hash of other bearable parameters still belongs to its password', async (t) => {
  const hash = await argon2.hash('some-clever-password', { type: argon2.argon2id, memoryCost: 12_288, timeCost: 3, parallelism: 1 })
  t.equal(await argon2id.verify(hash, 'some-clever-password'), true)
  t.equal(argon2id.isOutdated(hash), true, 'and is to be replaced')
  t.equal(argon2id.isOutdated(await argon2id.hash('some-clever-password')), false)
  t.equal(argon2id.isOutdated(`$argon2id$v=19$m=19456,t=3,p=1$${salt}$${digest}`), true)
  t.equal(argon2id.isOutdated(`$argon2id$v=19$m=19456,t=2,p=2$${salt}$${digest}`), true)
})

t.test('every character of a password counts to the last, its case and the blanks around it too', async (t) => {
  const password = ` ${'Long'.repeat(49)}End `
  const hash = await argon2id.hash(password)
  const others = [password.slice(0, -2), `${password.slice(0, -2)}D `, password.trim(), password.toLowerCase(), password.slice(0, 72), `${password}\0`]
  t.same(await Promise.all([password, ...others].map(async (text) => await argon2id.verify(hash, text))), [true, ...others.map(() => false)])
})

t.test('beyond the queue of waiting hashes the answer is at once that the service is overloaded', async (t) => {
  // Of little work: it is the number of those who wait that counts.
  const hash = await argon2.hash('some-clever-password', { type: argon2.argon2id, memoryCost: 1_024, timeCost: 2, parallelism: 1 })
  const results = await Promise.allSettled(Array.from({ length: 400 }, () => argon2id.verify(hash, 'some-clever-password')))
  const refused = results.filter((result) => result.status === 'rejected')
  t.ok(refused.length > 0)
  t.ok(refused.every(({ reason }) => reason.code === 'overloaded'))
  t.ok(results.length - refused.length >= 100, 'those who waited were served')
  t.ok(results.every((result) => result.status === 'rejected' || result.value), 'and told what is so')
  t.equal(await argon2id.verify(await argon2id.hash('some-clever-password'), 'some-clever-password'), true, 'and the next one is served again')
})
