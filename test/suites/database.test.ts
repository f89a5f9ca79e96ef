/** The tests of test/database, which `npm test -- --exclude=none test/database/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'

await importTests('database')
