// Translates the tests once for all processes that run them, and has them import the build rather than src: what is tested
// and measured is what `npm start` runs, and no process needs a compiler.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { build } from 'esbuild'
import { root } from './setup.js'

const [source, sources, built, tests] = ['src', 'test', 'dist', 'dist-test'].map((name) => join(root, name))

/** dist-test lies beside test, so that paths to the rest of the checkout hold in both. */
const importsOfBuild = {
  name: 'imports-of-build',
  setup ({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
      if (kind === 'entry-point') return
      const target = resolve(resolveDir, path)
      const isSource = target.startsWith(source + sep)
      const translated = isSource ? relative(resolveDir, join(built, relative(source, target))) : path
      return { path: translated.split(sep).join('/'), external: true }
    })
  }
}

/** Writes dist-test: a file for each of test, and none that is left from before. */
export async function compileTests () {
  const names = (await readdir(sources, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const { outputFiles } = await build({
    entryPoints: names.map((name) => join(sources, name)),
    outdir: tests,
    outbase: sources,
    write: false,
    bundle: true,
    packages: 'external',
    plugins: [importsOfBuild],
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    sourcemap: 'linked',
    logLevel: 'warning'
  })
  // Only what has changed, since another run may be reading the rest.
  await Promise.all(outputFiles.map(async ({ path, text }) => {
    if (await readFile(path, 'utf8').catch(() => undefined) === text) return
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }))
  const wanted = new Set(outputFiles.map(({ path }) => path))
  const found = (await readdir(tests, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile())
  await Promise.all(found.map((entry) => join(entry.parentPath, entry.name)).filter((path) => !wanted.has(path)).map(async (path) => await rm(path)))
}

/** The name under which a file or folder of test runs; anything else stays as it is. */
export const compiledName = (name) => {
  const inside = relative(sources, resolve(root, name))
  return inside.startsWith('..') ? name : join('dist-test', inside.replace(/\.ts$/, '.js'))
}
