/** Which SQL a piece of work sends, seen where it leaves the process: in the driver, below Prisma. */
import pg from 'pg'

export interface Statement {
  sql: string
  /** Under which it is prepared on its connection; undefined or empty when it is not. */
  name: string | undefined
}

const listeners = new Set<(database: string | undefined, statement: Statement) => void>()
const send = pg.Client.prototype.query as (...parameters: unknown[]) => unknown

pg.Client.prototype.query = function (this: pg.Client, ...parameters: unknown[]) {
  const [first] = parameters
  const { text, name } = typeof first === 'string' ? { text: first, name: undefined } : first as { text: string, name?: string }
  for (const listener of listeners) listener(this.database, { sql: text, name })
  return send.apply(this, parameters)
} as never

/**
 * Runs `work` and lists the statements that any connection of this process sends meanwhile, in order.
 * @param database the only one that counts, where other files of tests run in the same process
 * @returns the SQL texts; a transaction's BEGIN and COMMIT are among them
 */
export async function countStatements (work: () => Promise<unknown>, database?: { url: string }): Promise<string[]> {
  return (await listStatements(work, database)).map(({ sql }) => sql)
}

/** The same, with the names of those that are prepared. */
export async function listStatements (work: () => Promise<unknown>, database?: { url: string }): Promise<Statement[]> {
  const statements: Statement[] = []
  const listener = (name: string | undefined, statement: Statement) => {
    if (database === undefined || new URL(database.url).pathname === `/${name}`) statements.push(statement)
  }
  listeners.add(listener)
  try {
    await work()
  } finally {
    listeners.delete(listener)
  }
  return statements
}
