/** The documents say what the code says: error codes and configuration, each compared in both directions. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { readConfig } from '../src/config.js'
import { problems } from '../src/plugins/problem.js'

/** The rows of the Markdown tables in a file whose first cell is code, as lists of cells. */
async function readRows (file: string): Promise<string[][]> {
  const lines = (await readFile(new URL(`../${file}`, import.meta.url), 'utf8')).split('\n')
  return lines.filter((line) => line.startsWith('| `')).map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')))
}

const inCode = (cell: string | undefined): string[] => [...cell?.matchAll(/`([^`]+)`/g) ?? []].map(([, text]) => text as string)

t.test('docs/errors.md has every code with its status, and no other', async (t) => {
  const documented = (await readRows('docs/errors.md')).map(([code, status]) => `${inCode(code).join()} ${status}`)
  t.same(documented.sort(), Object.entries(problems).map(([code, { status }]) => `${code} ${status}`).sort())
})

t.test('README.md has every variable that the configuration reads, and no other', async (t) => {
  const read: string[] = []
  readConfig(new Proxy({}, { get: (_environment, name) => { read.push(String(name)) } }))
  const documented = (await readRows('README.md')).flatMap(([names]) => inCode(names))
  t.same(documented.sort(), read.sort())
})

t.test('README.md names the defaults that the configuration has', async (t) => {
  const rows = await readRows('README.md')
  const defaults = rows.flatMap(([names, value]) => inCode(value).slice(0, 1).map((text) => [inCode(names).join(), text]))
  const asDocumented = readConfig(Object.fromEntries(defaults))
  t.same(asDocumented, readConfig({}))
  t.ok(defaults.length >= 11, 'every default that can be written is')
})
