/** The tests of test/authorization in which requests race, which `npm test -- test/authorization/races-NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'
import '../helpers/uncaught.js'

await importTests('authorization', ['races-owners', 'races-rights', 'races-tree'])
