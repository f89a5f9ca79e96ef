/** Which SQL a piece of work sends, seen where it leaves the process: in the driver, below Prisma. */
import pg from 'pg'

export interface Statement {
  sql: string
  /** Under which it is prepared on its connection; undefined or empty when it is not. */
  name: string | undefined
}

const listeners = new Set<(statement: Statement) => void>()
const send = pg.Client.prototype.query as (...parameters: unknown[]) => unknown

pg.Client.prototype.query = function (this: pg.Client, ...parameters: unknown[]) {
  const [first] = parameters
  const { text, name } = typeof first === 'string' ? { text: first, name: undefined } : first as { text: string, name?: string }
  for (const listener of listeners) listener({ sql: text, name })
  return send.apply(this, parameters)
} as never

/**
 * Runs `work` and lists the statements that any connection of this process sends meanwhile, in order.
 * @returns the SQL texts; a transaction's BEGIN and COMMIT are among them
 */
export async function countStatements (work: () => Promise<unknown>): Promise<string[]> {
  return (await listStatements(work)).map(({ sql }) => sql)
}

/** The same, with the names of those that are prepared. */
export async function listStatements (work: () => Promise<unknown>): Promise<Statement[]> {
  const statements: Statement[] = []
  const listener = (statement: Statement) => { statements.push(statement) }
  listeners.add(listener)
  try {
    await work()
  } finally {
    listeners.delete(listener)
  }
  return statements
}
