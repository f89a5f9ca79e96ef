/** Which SQL a piece of work sends, seen where it leaves the process: in the driver, below Prisma. */
import pg from 'pg'

export interface Statement {
  sql: string
  /** Under which it is prepared on its connection; undefined or empty when it is not. */
  name: string | undefined
  /** Of its parameters, as the driver gets them. */
  values: unknown[]
}

interface Query { text: string, name?: string, values?: unknown[] }

const listeners = new Set<(database: string | undefined, statement: Statement) => void>()
const send = pg.Client.prototype.query as (...parameters: unknown[]) => unknown

pg.Client.prototype.query = function (this: pg.Client, ...parameters: unknown[]) {
  const [first] = parameters
  const { text, name, values } = typeof first === 'string' ? { text: first } as Query : first as Query
  for (const listener of listeners) listener(this.database, { sql: text, name, values: values ?? [parameters[1]].flat() })
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
