/** Which passwords are taken: length in characters, no digits alone, not guessable from what belongs to the person. */
import { dictionary } from '@zxcvbn-ts/language-common'
import t from 'tap'
import estimatePassword from '../../src/services/password-estimate.js'
import { checkPassword } from '../../src/services/password-rules.js'

const person = { email: 'walentyna.k@example.org', name: 'Walentyna Kowalczyk' }
const check = (password: string, minimum = 12) => checkPassword(password, person, { passwordMinLength: minimum, hostName: 'accounts.teapot-club.org' }, '/password')
/** 13 characters that no list knows; 12 of them are enough. */
const strong = 'vf7#Kq!zPw2Lx'

// The first one waits for the word lists.
t.before(() => check(strong))

for (const [what, password] of Object.entries({
  "the tutorial's first": 'some-clever-password',
  "the tutorial's second": 'aösdkfjgösdgäs',
  'twelve characters': strong.slice(0, 12),
  'twelve characters outside the basic plane': '🐘🌵🎻🧊🦀🪁🫐🧶🥁🪐🦩🛶',
  'exactly 256 characters': `${strong}${'kwpz mfxq vbnt '.repeat(20)}`.slice(0, 256),
  '256 characters outside the basic plane': '🐘🌵🎻🧊🦀🪁🫐🧶'.repeat(32),
  '256 decomposed characters': 'a\u0308o\u0308u\u0308x'.repeat(64),
  blanks: ' gravel  orbit  teacup ',
  'U+FFFD and controls': 'gravel\u0007orbit\ufffdteacup'
})) {
  t.test(`accepted: ${what}`, async () => { await check(password) })
}

for (const [what, password, message, email] of [
  ['eleven characters', strong.slice(0, 11), /^must have at least 12 characters$/],
  ['eleven characters in 22 code units', '🐘🌵🎻🧊🦀🪁🫐🧶🥁🪐🦩', /^must have at least 12 characters$/],
  ['eleven characters, decomposed', 'a\u0308o\u0308u\u0308e\u0301kwpzmfx', /^must have at least 12 characters$/],
  ['nothing', '', /^must have at least 12 characters$/],
  ['257 characters', 'kwpz mfxq vbnt '.repeat(20).slice(0, 257), /^must have at most 256 characters$/],
  ['digits alone', '83920175648203', /^must not consist of digits alone$/],
  ['a common password, twice', 'passwordpassword', /^is too easy to guess\. \S/],
  ['a row of keys', 'qwertzuiopasdf', /^is too easy to guess/],
  ['one character', 'a'.repeat(64), /^is too easy to guess/],
  ['one character as often as may be', 'a'.repeat(256), /^is too easy to guess/],
  ['the e-mail', 'walentyna.k@example.org', /^is too easy to guess/],
  ['the local part and a digit', 'walentyna.k1', /^is too easy to guess/],
  ['a local part of several words and a digit', 'weak.tea.leaves1', /^is too easy to guess/, 'weak.tea.leaves@example.org'],
  ['a part of the local part, and digits', 'walentyna123', /^is too easy to guess/],
  ['the name', 'WalentynaKowalczyk', /^is too easy to guess/],
  ['the last name and a digit', 'kowalczyk2026', /^is too easy to guess/],
  ['a common password with signs for letters', 'P4$$w0rd!2026', /^is too easy to guess/],
  ['the last name with digits for letters', 'K0w4lczyk2026', /^is too easy to guess/],
  ['the product and digits', 'gatehouse123', /^is too easy to guess/],
  ['the product, otherwise spelt', 'G4teH0use2026', /^is too easy to guess/],
  ['the host', 'accounts.teapot-club.org', /^is too easy to guess/],
  ['a part of the host, and digits', 'teapot-club-1', /^is too easy to guess/]
] as Array<[string, string, RegExp, string?]>) {
  t.test(`refused: ${what}`, async (t) => {
    const hostName = 'accounts.teapot-club.org'
    await t.rejects(checkPassword(password, { ...person, email: email ?? person.email }, { hostName }, '/password'), { code: 'invalid-request', errors: [{ path: '/password', message }] })
  })
}

t.test('every common password that is long enough is refused, and where 8 characters will do the 200 most common ones are', async (t) => {
  const common = dictionary['passwords-common'] as string[]
  for (const [minimum, count] of [[12, 300], [8, 200]] as const) {
    const candidates = common.filter((password) => password.length >= minimum).slice(0, minimum === 8 ? count : undefined)
    const taken: string[] = []
    for (const password of candidates) await check(password, minimum).then(() => { taken.push(password) }, () => {})
    t.ok(candidates.length >= count)
    t.same(taken, [])
  }
})

t.test('the least length is that of the configuration', async (t) => {
  await check('vf7#Kq!zP', 9)
  await t.rejects(check('vf7#Kq!zP', 10), { errors: [{ message: 'must have at least 10 characters' }] })
})

for (const [what, unit] of Object.entries({
  'characters of all kinds': Array.from({ length: 256 }, (_, index) => String.fromCharCode(33 + (index * 37 + index * index) % 90)).join(''),
  'digits and signs that may stand for letters': '4@8({[<369&#!1/|0$5+7%2',
  'a repetition': 'a1',
  dates: '1.1.2020-12/12/1999'
})) {
  t.test(`256 characters hold nobody else up: ${what}`, async (t) => {
    // The processor's time rather than the clock's: other tests run beside this one.
    const before = process.cpuUsage()
    await check(unit.repeat(256).slice(0, 256)).catch(() => {})
    t.ok(process.cpuUsage(before).user < 1_000_000)
  })
}

t.test('in the thread that they run in, estimates give a score and reasons', async (t) => {
  t.equal(estimatePassword({ password: strong, words: [] }).score, 4)
  t.match(estimatePassword({ password: 'passwordpassword', words: [] }), { score: 0, reasons: /\S/ })
})

t.test('beyond the queue of waiting passwords the answer is at once that the service is overloaded', async (t) => {
  const results = await Promise.allSettled(Array.from({ length: 110 }, async () => { await check(strong) }))
  const refused = results.filter(({ status }) => status === 'rejected')
  t.ok(refused.length > 0 && refused.length <= 10)
  t.match(refused, refused.map(() => ({ reason: { code: 'overloaded' } })))
  await check(strong)
})
