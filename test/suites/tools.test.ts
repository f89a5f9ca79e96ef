/** The tests of test/tools, which `npm test -- test/tools/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'

await importTests('tools')
