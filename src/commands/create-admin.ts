/** `npm run create-admin -- --email E --name N`: makes a user who is owner of the root, like Django's createsuperuser. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { type Config, readConfig } from '../config.js'
import { applyMigrations } from '../database/migrate.js'
import { openDatabase } from '../database/open.js'
import { DomainError } from '../errors.js'
import { PrismaClient } from '../generated/prisma/client.js'
import { makeOwnerOfRoot } from '../services/bindings.js'
import { operator } from '../services/caller.js'
import { createUser, findUserByEmail } from '../services/users.js'

const usage = 'usage: npm run create-admin -- --email jane@example.org --name "Jane Doe"   (the password is asked for, or read as one line from standard input)'
const say = (line: string) => { process.stderr.write(`${line}\n`) }
/** Judging and hashing the password happen in the transaction; a busy machine takes its time for them. */
const transactionMs = 60_000

interface Person { email: string, name: string | undefined }

/** Rejects at Ctrl-C and the like. Without it the process would end at once and leave its PostgreSQL behind. */
const interrupted = new Promise<never>((_resolve, reject) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => reject(new Error('interrupted')))
})
interrupted.catch(() => {}) // It may come before anybody waits for it.

/** Asks twice, without showing what is typed; where standard input is no terminal, takes its first line. */
async function readPassword (): Promise<string> {
  const isTerminal = process.stdin.isTTY
  // Readline shows on its output what is typed: here that goes nowhere. Without a history, no key brings it back.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const input = createInterface({ input: process.stdin, ...(isTerminal ? { output: nowhere, terminal: true, historySize: 0 } : {}) })
  const lines = input[Symbol.asyncIterator]()
  const ask = async (prompt: string) => {
    // Not standard output, which may be a file: the question is for whoever types.
    if (isTerminal) process.stderr.write(prompt)
    const { value, done } = await lines.next()
    if (isTerminal) process.stderr.write('\n')
    if (done === true) throw new Error('no password came: type it on a terminal, or pipe one line into the command')
    return value
  }
  const password = await ask('Password: ')
  if (isTerminal && await ask('Password (again): ') !== password) throw new Error('the two passwords differ: nothing was changed')
  input.close()
  return password
}

/** @returns what was done, as a sentence */
async function createAdmin (db: PrismaClient, databaseUrl: string, config: Config, { email, name }: Person): Promise<string> {
  await applyMigrations(databaseUrl, { log: say })
  const known = await findUserByEmail(db, email)
  if (known !== null) {
    await makeOwnerOfRoot(db, known.id)
    const state = known.isActive ? '' : ' The account is deactivated, so it cannot sign in.'
    return `${known.email} exists already: the account now holds every right; its password is unchanged.${state}`
  }
  if (name === undefined) throw new Error(`--name is missing: there is no account with this e-mail yet\n${usage}`)
  const password = await readPassword()
  const user = await db.$transaction(async (tx) => {
    const created = await createUser(tx, { email, name, password }, config, operator)
    await makeOwnerOfRoot(tx, created.id)
    return created
  }, { timeout: transactionMs })
  return `${user.email} was created and holds every right.`
}

/** Lends the database for the command, and gives it back when that was interrupted too. */
async function run (person: Person): Promise<string> {
  const config = readConfig()
  const database = await openDatabase({ ...config, use: 'command', log: say })
  const db = new PrismaClient({ adapter: new PrismaPg(database.url) })
  try {
    return await Promise.race([interrupted, createAdmin(db, database.url, config, person)])
  } finally {
    await db.$disconnect()
    await database.close()
  }
}

function readArguments (): Person {
  try {
    const { values: { email, name } } = parseArgs({ options: { email: { type: 'string' }, name: { type: 'string' } } })
    if (email !== undefined) return { email, name }
  } catch {
    // An option that is unknown or lacks its value: the usage says which there are.
  }
  throw new Error(usage)
}

function explain (error: unknown): string {
  if (!(error instanceof DomainError)) return (error as Error).message
  return error.errors?.map(({ path, message }) => `${path.slice(1)} ${message}`).join('; ') ?? `${error.message}: nothing was changed; run the command again`
}

try {
  process.stdout.write(`${await run(readArguments())}\n`)
} catch (error) {
  say(`create-admin: ${explain(error)}`)
  process.exitCode = 1
}
// Whatever was interrupted may still be waiting for standard input or the database.
process.exit()
