/** The documents say what the code says: error codes and configuration, each compared in both directions. */
import { existsSync, readFileSync } from 'node:fs'
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

t.test('docs/security.md names tests that there are', async (t) => {
  const text = await readFile(new URL('../docs/security.md', import.meta.url), 'utf8')
  const named = [...text.matchAll(/`([a-z-]+(?:\/[a-z-]+)?)` \*([^*]+)\*/g)].slice(1)
  const sources = new Map<string, string>()
  for (const [, file = '', title = ''] of named) {
    const path = new URL(`../test/${file}.test.ts`, import.meta.url)
    if (!sources.has(path.href)) sources.set(path.href, existsSync(path) ? readFileSync(path, 'utf8').replaceAll("\\'", "'") : '')
    const source = sources.get(path.href) as string
    // Of a title that holds a value, its beginning is named.
    const begins = [`t.test('${title}'`, `t.test("${title}"`, `t.test(\`${title}`]
    t.ok(begins.some((begin) => source.includes(begin)), `${file}: ${title}`)
  }
  t.ok(named.length > 100)
})

t.test('docs/security.md has a test, or the reason why there is none, in every row of its requirements', async (t) => {
  const text = await readFile(new URL('../docs/security.md', import.meta.url), 'utf8')
  const rows = text.slice(text.indexOf('## Attacks')).split('\n').filter((line) => /^\| (?!(Requirement|Attack) )/.test(line)).map((line) => line.split(' | '))
  t.ok(rows.length > 90)
  for (const [what, where, test] of rows) {
    t.ok(where !== undefined && where !== '' && /^(`|none)/.test(test ?? ''), String(what))
    if (test?.startsWith('none yet')) t.match(where, /Deviation/, String(what))
  }
})
