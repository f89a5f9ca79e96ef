/** When something that is made now may end. */
import { invalidField } from '../errors.js'

const lastMoment = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * @param expiresAt null: never
 * @throws {DomainError} invalid-request for what is over already, for what no Date holds, such as a leap second, and for what
 *   needs a year of five digits
 */
export function checkExpiry (expiresAt: Date | null | undefined): void {
  const isPossible = expiresAt == null || (expiresAt.getTime() > Date.now() && expiresAt.getTime() <= lastMoment)
  if (!isPossible) throw invalidField('/expiresAt', 'must be in the future, and not after the year 9999')
}
