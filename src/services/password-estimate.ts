/**
 * How hard a password is to guess. It runs in a thread of its own, which is started for it and ended when it has been idle: its
 * word lists take 67 MB, and an estimate may keep a core for most of a second.
 */
import { ZxcvbnFactory } from '@zxcvbn-ts/core'
import * as common from '@zxcvbn-ts/language-common'
import * as english from '@zxcvbn-ts/language-en'

/** zxcvbn is slow on long input (seconds for 256 characters): what it does not see can only make a password stronger. */
const estimatedCharacters = 64
/** Ways to read digits and signs as letters that are tried: with the library's 100, 64 characters take more than a second. */
const mostReadings = 8

const zxcvbn = new ZxcvbnFactory({
  dictionary: { ...common.dictionary, ...english.dictionary },
  graphs: common.adjacencyGraphs,
  translations: english.translations,
  l33tMaxSubstitutions: mostReadings
})

/**
 * @param task `words`: what is guessed first, such as the person's name
 * @returns `score`: zxcvbn's, 0 (guessed at once) to 4; `reasons`: what is weak about it and would help, in English
 */
export default function estimatePassword ({ password, words }: { password: string, words: string[] }): { score: number, reasons: string } {
  const { score, feedback } = zxcvbn.check(password.slice(0, estimatedCharacters), words)
  return { score, reasons: [feedback.warning, ...feedback.suggestions].filter(Boolean).join(' ') }
}
