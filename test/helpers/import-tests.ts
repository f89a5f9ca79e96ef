/** Runs several files of tests in one process: to start one for each takes longer than most of their tests. */
import { readdir } from 'node:fs/promises'
import t from 'tap'

const folderOf = (name: string) => new URL(`../${name}/`, import.meta.url)

/** Imports the test files of a folder of `test`, all or those of some names, one after the other; each adds its tests to this process's. */
export async function importTests (folder: string, only?: string[]): Promise<void> {
  const names = only?.map((name) => `${name}.test.js`) ?? (await readdir(folderOf(folder))).filter((name) => name.endsWith('.test.js')).sort()
  // A test of its own, which the others wait for: one file's tests may have ended before the next has begun with its own.
  void t.test(`the files of test/${folder}`, async (t) => {
    for (const name of names) await import(new URL(name, folderOf(folder)).href)
    t.pass(`${names.length} files`)
  })
}
