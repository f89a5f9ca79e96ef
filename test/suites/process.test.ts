/** The tests of test/process, which `npm test -- test/process/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'

await importTests('process')
