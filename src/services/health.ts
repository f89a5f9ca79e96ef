/** Whether the service can do its work now. */
import { DomainError } from '../errors.js'
import type { Database } from './database.js'

/**
 * @param isStopping whether the process was told to stop
 * @throws {DomainError} overloaded; or the driver's error when the database does not answer
 */
export async function checkReadiness (db: Database, isStopping: boolean): Promise<void> {
  if (isStopping) throw new DomainError('overloaded', 'The service is stopping.')
  await db.$queryRaw`SELECT 1`
}
