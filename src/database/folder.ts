// The folder that DATA_DIR names.

import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/**
 * Makes a folder that only its owner can read, and those above it, unless they are there. Node's own `recursive`
 * tries for ever where a folder that exists says ENOENT, as /proc does.
 * @throws what mkdir throws
 */
export async function makeFolder (path: string): Promise<void> {
  const make = async (): Promise<unknown> => await mkdir(path, { mode: 0o700 })
  await make().catch(async (error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error
    await makeFolder(dirname(path))
    await make()
  }).catch(async (error: unknown) => {
    if (codeOf(error) !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error
  })
}
