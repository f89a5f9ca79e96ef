/** The form of access tokens: a prefix and a checksum by which secret scanners find one in a text, and enough chance between. */
import { createHash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const start = 'gate_'
/** 214 random bits, of which 36 are shown in lists: 178 are left to guess. */
const randomLength = 36
const shownLength = start.length + 6
/** 62 to this power is more than 2^32. */
const checksumLength = 6
const form = new RegExp(`^${start}[${digits}]{${randomLength + checksumLength}}$`)

/** A new token, and what of it may be shown. */
export function makeToken (): { secret: string, prefix: string } {
  const random = Array.from({ length: randomLength }, () => digits[randomInt(digits.length)]).join('')
  const secret = `${start}${random}${checksumOf(random)}`
  return { secret, prefix: secret.slice(0, shownLength) }
}

/** Whether a text can be a token; what cannot never reaches the database. */
export function isTokenLike (text: string): boolean {
  return form.test(text) && checksumOf(text.slice(start.length, -checksumLength)) === text.slice(-checksumLength)
}

/** What is stored of a token. It has more than 160 random bits, so a plain hash cannot be reversed (ASVS 6.5.2). */
export function hashToken (secret: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createHash('sha256').update(secret).digest())
}

/** CRC-32 to the base of 62, as GitHub's tokens have it. */
function checksumOf (random: string): string {
  let rest = crc32(random)
  return Array.from({ length: checksumLength }, () => {
    const digit = digits[rest % digits.length]
    rest = Math.floor(rest / digits.length)
    return digit
  }).reverse().join('')
}
