/**
 * Loaded before anything else into every process of tests. Where nothing is covered, tap's loader only notes which files are loaded:
 * a thread beside each process, and twice the time until its first test.
 */
if (process.env._TAPJS_PROCESSINFO_COVERAGE_ === '0') require('node:module').register = () => {}
