/** The key that signs cookies and cursors where SESSION_SECRETS gives none: made once, kept in DATA_DIR. */
import { randomBytes } from 'node:crypto'
import { chmod, link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from './database/folder.js'

/**
 * Reads the key in `dataDir`, or makes it at the first start. Of two that make one at once, both end up with the same.
 * @returns the key as a list of one, as SESSION_SECRETS would give it
 */
export async function loadSessionSecrets (dataDir: string): Promise<string[]> {
  const path = join(dataDir, 'session-secret')
  try {
    return [await readFile(path, 'utf8')]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await makeFolder(dataDir)
  // Complete before it has its name: a process that is killed here leaves no half key behind.
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await writeFile(draft, randomBytes(32).toString('base64url'), { mode: 0o600, flush: true })
    await chmod(draft, 0o600)
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  return [await readFile(path, 'utf8')]
}
