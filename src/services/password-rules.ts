/** Which passwords are good enough: length, and an estimate of how hard they are to guess. */
import { Piscina } from 'piscina'
import { DomainError, invalidField } from '../errors.js'
import type estimatePassword from './password-estimate.js'

export const longestPassword = 256
/** What a service asks of its passwords; parts of the configuration. */
export interface PasswordRules {
  /** In Unicode code points; PASSWORD_MIN_LENGTH. */
  passwordMinLength?: number
  /** Where the service is reached: its words are guessed as well. */
  hostName?: string
}

const productWords = ['gatehouse']
const leastScore = 3
/** Some seconds of waiting; whoever comes later is told to come again. */
const mostWaiting = 100
/** Several passwords in a row find the word lists loaded, which takes most of a second; then their memory is given back. */
const idleMs = 60_000

const estimates = new Piscina({
  filename: new URL('./password-estimate.js', import.meta.url).href,
  minThreads: 0,
  maxThreads: 1,
  idleTimeout: idleMs,
  // More than twice what was seen; what needs more ends the estimate with an error, not the service.
  resourceLimits: { maxOldGenerationSizeMb: 192, maxYoungGenerationSizeMb: 16 }
})

function estimate (password: string, words: string[]): Promise<ReturnType<typeof estimatePassword>> {
  if (estimates.queueSize >= mostWaiting) return Promise.reject(new DomainError('overloaded'))
  return estimates.run({ password, words })
}

/**
 * Checks a new password (contract §3; NIST SP 800-63B-4, 3.1.1.2: no composition rules).
 * @param person whose password it is to be: their own words are the first that are guessed
 * @param path of the field in the request
 * @throws {DomainError} invalid-request, saying why; overloaded
 */
export async function checkPassword (
  password: string, person: { email: string, name: string }, { passwordMinLength = 12, hostName = '' }: PasswordRules, path: string
): Promise<void> {
  const length = [...password.normalize('NFC')].length
  if (length < passwordMinLength) throw invalidField(path, `must have at least ${passwordMinLength} characters`)
  if (length > longestPassword) throw invalidField(path, `must have at most ${longestPassword} characters`)
  if (/^\d+$/.test(password)) throw invalidField(path, 'must not consist of digits alone')

  // The parts on their own too: "jane1" is not found in "jane@example.org".
  const { email, name } = person
  // Short ones, such as the numbers of an address, are in any password.
  const labels = hostName.split('.').filter((label) => label.length > 3)
  const words = [...productWords, hostName, ...labels, email, ...email.split('@'), ...email.split(/[@.+_-]/), name, ...name.split(/\s+/)]
  const { score, reasons } = await estimate(password, words)
  if (score >= leastScore) return
  throw invalidField(path, `is too easy to guess. ${reasons}`.trim())
}
