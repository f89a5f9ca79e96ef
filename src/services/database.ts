/** The database as the services see it: a Prisma client, or a transaction of one. */
import pLimit from 'p-limit'
import type { Prisma, PrismaClient } from '../generated/prisma/client.js'

/** Services that write once take either; a test or a caller can so put several into one transaction. */
export type Database = PrismaClient | Prisma.TransactionClient

/** The part that reads with a statement: a client, a transaction, or a shorter way to the same database. */
export interface Reader {
  $queryRaw: <T>(query: TemplateStringsArray | Prisma.Sql, ...values: unknown[]) => Promise<T>
}

/**
 * A statement whose text is made once, for what nearly every request sends: to put the pieces of a decision together each time, and to
 * look up its name by a text that is new each time, was a twentieth of the work of a read.
 * @param build makes it, from what stands for the values; it must not look at them
 * @returns the statement with some values
 */
export function prepareStatement<Values extends unknown[]> (build: (...values: Values) => Prisma.Sql): (...values: Values) => Prisma.Sql {
  const places = Array.from({ length: build.length }, (_, place) => ({ place }))
  const statement = build(...places as unknown as Values)
  Object.defineProperty(statement, 'text', { value: statement.text })
  const constantOr = (values: Values) => (value: unknown) => {
    const place = places.indexOf(value as typeof places[number])
    return place < 0 ? value : values[place]
  }
  return (...values) => Object.create(statement, { values: { value: statement.values.map(constantOr(values)) } }) as Prisma.Sql
}

/** Transactions that run at once. The pool has eight connections: while writers wait for each other's locks, readers have the rest. */
const writers = pLimit(6)
const mostTries = 4
const transactionMs = 15_000

/**
 * Runs `work` in a transaction: one of its own for a client, the surrounding one where `db` is a transaction already.
 * One of its own is tried again when it met another in a deadlock or a serialization failure.
 * @param timeout milliseconds until it is rolled back
 */
export async function inTransaction<T> (
  db: Database, work: (tx: Prisma.TransactionClient) => Promise<T>, timeout = transactionMs
): Promise<T> {
  // A transaction has $transaction too, which would make a savepoint; only a client can connect.
  if (!('$connect' in db)) return await work(db)
  for (let tries = 1; ; tries++) {
    try {
      return await writers(() => db.$transaction(work, { maxWait: 5_000, timeout }))
    } catch (error) {
      if (tries >= mostTries || !isConflict(error)) throw error
    }
  }
}

/**
 * Whether a transaction was rolled back because it met another (SQLSTATE 40001 and 40P01). Prisma has a code for that, but
 * gives it only to statements of its models; those of raw statements and of COMMIT say so further in.
 */
function isConflict (error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, kind, meta, driverAdapterError, cause } = error as Record<string, unknown>
  return code === 'P2034' || kind === 'TransactionWriteConflict' || [meta, driverAdapterError, cause].some(isConflict)
}

/**
 * SQLSTATE classes and codes that say nothing about the request: connection, authentication, transaction rolled back,
 * resources, object not in the needed state, operator intervention, system and internal errors, and a schema that is
 * not there (PostgreSQL, appendix A).
 */
const faultStates = /^(08|25|28|3D|40|53|54|55|57|58|F0|XX)|^(42P01|42501|42703)$/

/** Codes of Prisma and of the system for a database that cannot be reached or is too slow, and the kinds that Prisma's driver knows for it. */
const faultCodes = new Set([
  'P1000', 'P1001', 'P1002', 'P1003', 'P1008', 'P1010', 'P1011', 'P1017', 'P2024', 'P2028', 'P2034', 'P2037',
  'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN',
  'DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TlsConnectionError'
])

/** The driver reports these as plain errors without a code. */
const faultMessages = /timeout exceeded when trying to connect|connection terminated|not queryable|query read timeout|cannot use a pool after calling end|connection error/i

/** Whether an error means that the database cannot do its work now, rather than that something was wrong with the request. */
export function isDatabaseFault (error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { name, code, errorCode, originalCode, kind, message, cause, meta } = error as Record<string, unknown>
  // A raw query on a database that is away has no code but P2010: only the kind, below it, tells.
  const codes = [code, errorCode, originalCode, kind].filter((value) => typeof value === 'string')
  if (codes.some((value) => faultCodes.has(value) || (value.length === 5 && faultStates.test(value)))) return true
  if (typeof message === 'string' && faultMessages.test(message)) return true
  if (name === 'PrismaClientInitializationError') return true
  const { driverAdapterError } = (meta ?? {}) as Record<string, unknown>
  return isDatabaseFault(meta) || isDatabaseFault(driverAdapterError) || isDatabaseFault(cause)
}
