// What prisma.config.ts decides: which schema engine works, and which database it works on.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import t from 'tap'
import { openDatabase } from '../../src/database/open.js'
import { copyCluster, until } from '../database/fixtures/processes.js'
import { copyProject } from './prisma-project.js'

t.test('without DATABASE_URL the embedded PostgreSQL is joined, or started and stopped again', async (t) => {
  const { prisma, folder } = copyProject(t)
  const dataDir = await copyCluster(join(folder, 'data'))
  const pidFile = join(dataDir, 'postgres', 'data', 'postmaster.pid')
  const service = await openDatabase({ dataDir, use: 'service', isDurable: false, log: () => {} })

  const deployed = await prisma(['migrate', 'deploy'], { DATA_DIR: dataDir })
  t.match(deployed, { code: 0, text: 'All migrations have been successfully applied.' })
  await wait(500)
  t.ok(existsSync(pidFile), 'the service keeps its database')

  await service.close()
  t.notOk(existsSync(pidFile))
  const status = await prisma(['migrate', 'status'], { DATA_DIR: 'data' })
  t.match(status, { code: 0, text: 'Database schema is up to date!' }, 'DATA_DIR counts from the project')
  await until(() => !existsSync(pidFile))
  t.pass('it stops when the command has ended')

  const version = await prisma(['version'], { DATA_DIR: join(folder, 'untouched') })
  t.match(version, { code: 0, text: /Schema Engine +: schema-engine-cli \d/ }, 'the engine tells its version too')
  t.notOk(existsSync(join(folder, 'untouched')), 'what needs no database starts none')
})

t.test('an engine named by PRISMA_SCHEMA_ENGINE_BINARY goes before ours', async (t) => {
  const { prisma, folder } = copyProject(t)
  const engine = join(folder, 'named engine')
  const calls = join(folder, 'calls')
  writeFileSync(engine, `#!/bin/sh\necho "$@" >> '${calls}'\nprintf '\\n{"level":"ERROR","target":"schema_engine::logger","fields":{"error_code":"P1001","message":"recorded"}}' >&2\nexit 1\n`)
  chmodSync(engine, 0o755)
  const { code, text } = await prisma(['migrate', 'status'],
    { DATABASE_URL: 'postgresql://localhost:1/nobody', PRISMA_SCHEMA_ENGINE_BINARY: engine })
  t.match({ code, text }, { code: 1, text: 'P1001: recorded' })
  t.match(readFileSync(calls, 'utf8'), 'can-connect-to-database')
})
