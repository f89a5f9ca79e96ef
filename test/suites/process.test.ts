/** The shorter tests of test/process, which `npm test -- --exclude=none test/process/NAME.test.ts` runs one by one. */
import { importTests } from '../helpers/import-tests.js'

await importTests('process', ['audit-stream', 'canary', 'configuration', 'log', 'reset-password'])
