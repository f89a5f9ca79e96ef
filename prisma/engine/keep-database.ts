// Keeps the embedded PostgreSQL running for one Prisma command, which could not reliably give it back itself: it may end in
// process.exit or in a kill -9. prisma.config.ts starts this beside the command, and the pipe between them tells when it is gone.

import { openDatabase } from '../../src/database/open.js'

const [dataDir] = process.argv.slice(2)
if (dataDir === undefined) throw new Error('Say which data folder: keep-database.ts <dataDir>')

// The command stops listening once it has the URL; what is said later is meant for nobody.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

const isCommandGone = new Promise<void>((resolve) => {
  process.stdin.on('close', resolve).resume()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve())
})

try {
  const database = await openDatabase({ dataDir, use: 'command', log: (line) => process.stderr.write(`${line}\n`) })
  process.stdout.write(`${database.url}\n`)
  await isCommandGone
  await database.close()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
process.stdin.destroy()
