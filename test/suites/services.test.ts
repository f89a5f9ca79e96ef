/** The tests of test/services and of what src has beside it, which `npm test -- test/services/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'
import '../helpers/uncaught.js'

await importTests('services')
await importTests('.')
