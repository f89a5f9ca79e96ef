/** The tests of test/routes, which `npm test -- test/routes/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'
import '../helpers/uncaught.js'

await importTests('routes')
