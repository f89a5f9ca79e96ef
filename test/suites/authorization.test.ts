/** The tests of test/authorization that are not random, which `npm test -- --exclude=none test/authorization/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'
import '../helpers/uncaught.js'

await importTests('authorization', ['audit', 'invariants', 'lock', 'oracle', 'statements'])
