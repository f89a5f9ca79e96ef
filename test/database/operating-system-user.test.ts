// PostgreSQL refuses root, and files have owners: as whom it runs, and that an ordinary user needs nothing of root.

import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, cpSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { openEmbedded } from '../../src/database/embedded.js'
import { chooseIdentity, handOver, locatePrograms } from '../../src/database/programs.js'
import { isRoot, makeFolder, optionsFor, query, runningPid, startUser } from './fixtures/processes.js'

const nobody = isRoot ? 'nobody' : execFileSync('id', ['-un']).toString().trim()
const idOf = (name: string): number => Number(execFileSync('id', ['-u', name]))

t.test('root runs PostgreSQL as somebody else', async (t) => {
  const programs = await locatePrograms()
  const choose = async (dataDir: string, options: object) => await chooseIdentity(programs, dataDir, join(dataDir, 'postgres', 'data'),
    { isRoot: true, unshare: '/nowhere/unshare', users: [], ...options })

  await t.test('in a user namespace, where it is allowed', async (t) => {
    const folder = makeFolder(t)
    const unshare = join(folder, 'unshare')
    writeFileSync(unshare, '#!/bin/sh\nshift 3\nexec "$@"\n', { mode: 0o755 })
    t.match(await choose(folder, { unshare }), { prefix: [unshare, '--user'], owner: { uid: process.getuid?.() } })
  })

  await t.test('else as an unprivileged user, whom the next start finds in the files', async (t) => {
    const dataDir = join(makeFolder(t), '.data')
    chmodSync(join(dataDir, '..'), 0o755)
    const rootOptions = { isRoot: true, unshare: '/nowhere/unshare', users: ['no-such-user', nobody] }
    const database = await openEmbedded({ ...optionsFor(dataDir), rootOptions })
    t.teardown(async () => { await database.close() })
    t.equal(statSync(join(dataDir, 'postgres', 'data')).uid, idOf(nobody))
    t.equal(statSync(join(dataDir, 'postgres', 'credentials.json')).uid, process.getuid?.(), 'the credentials stay ours')
    t.equal(statSync(`/proc/${runningPid(dataDir)}`).uid, idOf(nobody))
    t.match(await choose(dataDir, {}), { prefix: [], owner: { uid: idOf(nobody) } })
    await database.close()

    await t.test('and who gives them back when namespaces work', { skip: isRoot ? false : 'only root can change owners' }, async (t) => {
      chmodSync(dataDir, 0o700)
      const again = await openEmbedded(optionsFor(dataDir))
      t.equal(statSync(join(dataDir, 'postgres', 'data')).uid, 0)
      t.same(await query(again.url, 'SELECT 1 AS one'), [{ one: 1 }])
      await again.close()
    })
  })

  await t.test('else it says what to do', async (t) => {
    await t.rejects(openEmbedded({ ...optionsFor(makeFolder(t)), rootOptions: { isRoot: true, unshare: '/nowhere', users: [] } }),
      { message: /refuses to run as root, and no other user can reach .*: start Gatehouse as an ordinary user, or move it .*, or set DATABASE_URL$/ })
  })

  await t.test('an ordinary user runs it, or is told that the programs do not run', async (t) => {
    const chooseAs = async (postgres: string) => await chooseIdentity({ ...programs, postgres }, makeFolder(t), '/nowhere/data', { isRoot: false, unshare: '', users: [] })
    const identity = await chooseAs(programs.postgres)
    t.match(identity, { prefix: [] })
    await handOver(identity, '/nowhere/data')
    await t.rejects(chooseAs('/nowhere/postgres'), { message: /^the embedded PostgreSQL does not run on this machine \(.*\): run npm rebuild, or set DATABASE_URL$/ })
  })

  await t.test('not as an owner who cannot enter the folder', async (t) => {
    const dataDir = makeFolder(t)
    mkdirSync(join(dataDir, 'postgres', 'data'), { recursive: true })
    chownSync(join(dataDir, 'postgres', 'data'), idOf(nobody), -1)
    chmodSync(dataDir, 0o600)
    await t.rejects(choose(dataDir, {}), /no other user can reach/)
    chmodSync(dataDir, 0o700)
  })
})

t.test('an ordinary user in a folder of their own, without any locale', async (t) => {
  const home = makeFolder(t)
  const dataDir = join(home, 'a b', '.data')
  mkdirSync(join(home, 'a b'))
  // tap's own additions to the environment would have that user write into this checkout.
  const env = { PATH: process.env['PATH'], TMPDIR: home }
  if (!isRoot) {
    const user = startUser(optionsFor(dataDir), { env })
    t.match(await user.line('ready'), /^postgresql:/)
    return await user.end()
  }
  // The packages may lie where others cannot go, so the user gets a copy of what the database needs.
  const root = new URL('../..', import.meta.url).pathname
  for (const path of ['dist/database', 'dist-test/database/fixtures', 'package.json']) cpSync(join(root, path), join(home, path), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'))
  execFileSync('chown', ['-R', '-h', nobody, home])
  const user = startUser(optionsFor(dataDir), { env, cwd: home, uid: idOf(nobody), gid: idOf(nobody) }, pathToFileURL(home + '/'))
  t.match(await user.line('ready'), /^postgresql:/)
  t.equal(statSync(`/proc/${runningPid(dataDir)}`).uid, idOf(nobody))
  await user.end()
  t.equal(runningPid(dataDir), undefined)
  // Root in that user's folder, once: the files stay that user's.
  await (await openEmbedded(optionsFor(dataDir))).close()
  t.equal(statSync(join(dataDir, 'postgres', 'data')).uid, idOf(nobody))
})
