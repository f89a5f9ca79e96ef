/** What every command does around its work: options, configuration, database, and one line that says how it ended. */
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { type Config, readConfig } from '../config.js'
import { applyMigrations } from '../database/migrate.js'
import { openDatabase } from '../database/open.js'
import { DomainError } from '../errors.js'
import { PrismaClient } from '../generated/prisma/client.js'

const say = (line: string) => { process.stderr.write(`${line}\n`) }
/** Judging and hashing a password may happen in the transaction; a busy machine takes its time for them. */
const transactionMs = 60_000

export interface Command<Option extends string> {
  name: string
  /** How it is called, for whoever calls it otherwise. */
  usage: string
  /** Each takes a value. `email` has to be there. */
  options: readonly Option[]
  /** @returns what was done, as a sentence */
  work: (db: PrismaClient, values: { email: string } & Partial<Record<Option, string>>, config: Config) => Promise<string>
}

/** Rejects at Ctrl-C and the like. Without it the process would end at once and leave its PostgreSQL behind. */
const interrupted = new Promise<never>((_resolve, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => reject(new Error('interrupted')))
})
interrupted.catch(() => {}) // It may come before anybody waits for it.

/** Runs a command on a database that is lent for it and migrated, whether or not the service runs, and ends the process. */
export async function runCommand<Option extends string> (command: Command<Option>): Promise<never> {
  try {
    const values = readOptions(command)
    const config = readConfig()
    const database = await openDatabase({ ...config, use: 'command', log: say })
    const db = new PrismaClient({ adapter: new PrismaPg(database.url), transactionOptions: { timeout: transactionMs } })
    const work = async () => {
      await applyMigrations(database.url, { log: say })
      return await command.work(db, values, config)
    }
    try {
      process.stdout.write(`${await Promise.race([interrupted, work()])}\n`)
    } finally {
      await db.$disconnect()
      await database.close()
    }
  } catch (error) {
    say(`${command.name}: ${explain(error)}`)
    process.exitCode = 1
  }
  // Whatever was interrupted may still be waiting for standard input or the database.
  process.exit()
}

function readOptions<Option extends string> ({ usage, options }: Command<Option>): { email: string } & Partial<Record<Option, string>> {
  try {
    const { values } = parseArgs({ options: Object.fromEntries(options.map((option) => [option, { type: 'string' as const }])) })
    if (values['email'] !== undefined) return values as never
  } catch {
    // An option that is unknown or lacks its value: the usage says which there are.
  }
  throw new Error(`usage: ${usage}`)
}

function explain (error: unknown): string {
  if (!(error instanceof DomainError)) return (error as Error).message
  return error.errors?.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ') ?? `${error.message}: nothing was changed; run the command again`
}
