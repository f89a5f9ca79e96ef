/** A copy of what the Prisma command line reads, so that tests change schemas and migrations without touching the project's own. */
import { spawn } from 'node:child_process'
import { appendFileSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Test } from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Outcome {
  code: number | null
  /** Standard output and standard error, without colours. */
  text: string
}

export interface Project {
  /** Runs `prisma` with these arguments in the copy, its standard input closed. Variables that are undefined are removed. */
  prisma: (args: string[], environment?: Record<string, string | undefined>) => Promise<Outcome>
  folder: string
  /** Replaces text in schema.prisma, which must be there. */
  editSchema: (from: string, to: string) => void
  addMigration: (name: string, sql: string) => void
  /** The SQL of the migration whose folder ends so. */
  readMigration: (ending: string) => string
}

/** The copy lies in a folder with blanks in its name, since the engine's path goes through an environment variable. */
export function copyProject (t: Test): Project {
  const folder = join(t.testdir(), 'a folder with blanks')
  mkdirSync(folder)
  for (const name of ['prisma', 'prisma.config.ts', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true })
  for (const name of ['node_modules', 'src']) symlinkSync(join(root, name), join(folder, name))
  const schema = join(folder, 'prisma', 'schema.prisma')
  const migrations = join(folder, 'prisma', 'migrations')
  return {
    folder,
    prisma: async (args, environment = {}) => await run(folder, args, environment),
    editSchema: (from, to) => {
      const text = readFileSync(schema, 'utf8')
      if (!text.includes(from)) throw new Error(`schema.prisma has no "${from}"`)
      writeFileSync(schema, text.replace(from, to))
    },
    addMigration: (name, sql) => {
      mkdirSync(join(migrations, name))
      appendFileSync(join(migrations, name, 'migration.sql'), sql)
    },
    readMigration: (ending) => {
      const name = readdirSync(migrations).find((entry) => entry.endsWith(ending))
      if (name === undefined) throw new Error(`no migration ends in "${ending}"`)
      return readFileSync(join(migrations, name, 'migration.sql'), 'utf8')
    }
  }
}

async function run (folder: string, args: string[], environment: Record<string, string | undefined>): Promise<Outcome> {
  // Without what tap adds for its coverage: the command line is not ours, and twice as slow with it.
  const own = Object.entries(process.env).filter(([name]) => !/^(NODE_|_?TAP)/.test(name))
  const env = { ...Object.fromEntries(own), DATABASE_URL: undefined, DATA_DIR: undefined, PRISMA_SCHEMA_ENGINE_BINARY: undefined, NO_COLOR: '1', ...environment }
  // tap adds its loader to every process; coverage of one file in another translation does not add up. What runs for a second gains
  // nothing from being optimized.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, '--no-opt', join('node_modules', 'prisma', 'build', 'index.js'), ...args]
  const child = spawn('env', command, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  child.stdout.on('data', (chunk) => { text += chunk })
  child.stderr.on('data', (chunk) => { text += chunk })
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
  return { code, text }
}

/**
 * @param url of any database on the server
 * @returns the URL of a new, empty database on it
 */
export async function createDatabase (url: string, name: string): Promise<string> {
  await query(url, `CREATE DATABASE "${name}"`)
  return databaseUrl(url, name)
}

/** The URL of another database on the same server. */
export function databaseUrl (url: string, name: string): string {
  const address = new URL(url)
  address.pathname = `/${name}`
  return address.href
}

/** Runs SQL on a connection of its own. */
export async function query (url: string, sql: string): Promise<any[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
