/** The tests of test/database, which `npm test -- test/database/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'

await importTests('database')
