/** Which passwords are good enough: length, and an estimate of how hard they are to guess. */
import { invalidField } from '../errors.js'

export const longestPassword = 256
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
 * @param minimum in Unicode code points
 * @param path of the field in the request
 * @throws {DomainError} invalid-request, saying why
 */
export async function checkPassword (password: string, person: { email: string, name: string }, minimum: number, path: string): Promise<void> {
  const length = [...password.normalize('NFC')].length
  if (length < minimum) throw invalidField(path, `must have at least ${minimum} characters`)
  if (length > longestPassword) throw invalidField(path, `must have at most ${longestPassword} characters`)
  if (/^\d+$/.test(password)) throw invalidField(path, 'must not consist of digits alone')

  // The parts on their own too: "jane1" is not found in "jane@example.org".
  const words = [...productWords, person.email, ...person.email.split('@'), ...person.email.split(/[@.+_-]/), person.name, ...person.name.split(/\s+/)]
  const { score, feedback } = (await (estimator ??= loadEstimator())).check(password.slice(0, estimatedCharacters), words)
  if (score >= leastScore) return
  const reasons = [feedback.warning, ...feedback.suggestions].filter(Boolean).join(' ')
  throw invalidField(path, `is too easy to guess. ${reasons}`.trim())
}
