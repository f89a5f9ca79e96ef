/** The tests of test/authorization in which nobody races, which `npm test -- test/authorization/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'
import '../helpers/uncaught.js'

await importTests('authorization', ['audit', 'invariants', 'lock', 'oracle', 'statements', 'worlds'])
