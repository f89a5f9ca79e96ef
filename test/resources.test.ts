/** The tests of test/resources, which `tap test/resources/NAME.test.ts` runs one by one. */
import { importTests } from './helpers/import-tests.js'

await importTests('resources')
