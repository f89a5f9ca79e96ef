/** Where every route is called: two organizations with an owner who stays, and the application with registration open and closed. */
import { argon2id } from '../../src/services/password-hashing.js'
import { openTestApp, password } from '../helpers/app.js'
import { openTestDatabase } from '../helpers/database.js'
import { rootId } from '../reference/world.js'
import { openAppWithRoutes } from './route-table.js'
import { openWorld } from './world.js'

/** On a database of the test file's own. */
export async function openStage () {
  const database = await openTestDatabase()
  const open = await openAppWithRoutes(database)
  const closed = await openTestApp(database, { environment: { REGISTRATION: 'closed' } })
  const world = openWorld(database)
  /** Of the password with which requests log in. */
  const passwordHash = await argon2id.hash(password)
  const here = await world.addResource('organization', rootId)
  const elsewhere = await world.addResource('organization', rootId)
  /** Keeps everything owned, whatever the others do. */
  const keeper = await world.addPerson('Keeper', { passwordHash })
  for (const place of [rootId, here, elsewhere]) await world.bind('owner', { type: 'user', id: keeper.id }, place)
  return { database, open, closed, world, passwordHash, here, elsewhere, keeper }
}
