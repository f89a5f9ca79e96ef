/** The tests of test/resources, which `npm test -- test/resources/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'
import '../helpers/uncaught.js'

await importTests('resources')
