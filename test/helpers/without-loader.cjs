/**
 * Loaded before anything else into every process of tests. tap's loader only notes which files are loaded, and their source maps: a
 * thread beside each process, and twice the time until its first test. The maps are looked up here instead, before the process exits:
 * while it does, as tap's own code says, looking up many makes Node hang now and then.
 */
const { readdirSync } = require('node:fs')
const nodeModule = require('node:module')
const { join } = require('node:path')
const { pathToFileURL } = require('node:url')

nodeModule.register = () => {}
if (process.env._TAPJS_PROCESSINFO_COVERAGE_ === '1') {
  process.once('beforeExit', () => {
    for (const name of readdirSync('dist', { recursive: true })) if (name.endsWith('.js')) nodeModule.findSourceMap(pathToFileURL(join('dist', name)).href)
  })
}
