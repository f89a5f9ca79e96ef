/** The tests of test/services, which `npm test -- --exclude=none test/services/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'

await importTests('services')
