/** Which passwords are good enough: length, and an estimate of how hard they are to guess. */
import { invalidField } from '../errors.js'

export const longestPassword = 256
/** What a service asks of its passwords; parts of the configuration. */
export interface PasswordRules {
  /** In Unicode code points; PASSWORD_MIN_LENGTH. */
  passwordMinLength?: number
  /** Where the service is reached: its words are guessed as well. */
  hostName?: string
}

const productWords = ['gatehouse']
/** zxcvbn is slow on long input (seconds for 256 characters): what it does not see can only make a password stronger. */
const estimatedCharacters = 64
const leastScore = 3
/** Ways to read digits and signs as letters that are tried: with the library's 100, 64 characters take more than a second. */
const mostReadings = 8

/** About 60 MB of word lists, loaded when they are first needed. */
let estimator: ReturnType<typeof loadEstimator> | undefined
async function loadEstimator () {
  const [{ ZxcvbnFactory }, common, english] = await Promise.all([
    import('@zxcvbn-ts/core'), import('@zxcvbn-ts/language-common'), import('@zxcvbn-ts/language-en')
  ])
  return new ZxcvbnFactory({
    dictionary: { ...common.dictionary, ...english.dictionary },
    graphs: common.adjacencyGraphs,
    translations: english.translations,
    l33tMaxSubstitutions: mostReadings
  })
}

/** Loads the word lists ahead of the first registration, which would otherwise wait for them for most of a second. */
export async function loadPasswordRules (): Promise<void> {
  await (estimator ??= loadEstimator())
}

/**
 * Checks a new password (contract §3; NIST SP 800-63B-4, 3.1.1.2: no composition rules).
 * @param person whose password it is to be: their own words are the first that are guessed
 * @param path of the field in the request
 * @throws {DomainError} invalid-request, saying why
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
  const { score, feedback } = (await (estimator ??= loadEstimator())).check(password.slice(0, estimatedCharacters), words)
  if (score >= leastScore) return
  const reasons = [feedback.warning, ...feedback.suggestions].filter(Boolean).join(' ')
  throw invalidField(path, `is too easy to guess. ${reasons}`.trim())
}
