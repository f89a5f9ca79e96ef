/**
 * Which changes exclude each other. There are two locks, held to the end of a transaction and always taken in this order,
 * so that no two transactions wait for each other:
 *
 * 1. the tree: taken by those who move or delete; shared by those who add a resource or change rights on one, which must
 *    not vanish or move under them. The triggers of the table take it too, for statements from elsewhere.
 * 2. the rights: taken by those who change bindings, members, roles, types or whether a user is active; shared by those
 *    who add or change a resource. What they check (their own rights, escalation, last owner, cycles) so stays true until
 *    they commit, and once a revocation is acknowledged nothing takes effect that it forbids.
 *
 * Then whoever calls is looked for once more, so that nothing takes effect for a session or a token that has ended.
 * Nothing that only reads takes either. Who has waited must see what was done meanwhile, so the level of isolation must be READ COMMITTED:
 * another one, which a server may have for its default, is a fault.
 */
import { type Database, inTransaction } from './database.js'
import { staySignedIn, type WithCredential } from './presence.js'
import type { Prisma } from '../generated/prisma/client.js'

const tree = 7_283_002
const rights = 7_283_003
/** A subtree may be large. Together with the wait for a connection it is less than a handler may take, so that nobody is told of a failure before it is one. */
const treeMs = 24_000
const treeStatementMs = 20_000

type Transaction = Prisma.TransactionClient

/** Adds a resource or changes one, by a right that stays until it is done. */
export async function changingResources<T> (db: Database, caller: WithCredential, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`SELECT require_read_committed(), pg_advisory_xact_lock_shared(${tree}), pg_advisory_xact_lock_shared(${rights})`
    await staySignedIn(tx, caller)
    return await work(tx)
  })
}

/** Changes something else, by a right that stays until it is done. */
export async function keepingRights<T> (db: Database, caller: WithCredential, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`SELECT require_read_committed(), pg_advisory_xact_lock_shared(${rights})`
    await staySignedIn(tx, caller)
    return await work(tx)
  })
}

/** Moves or deletes, which may also change who has which rights. Waiting for the locks takes no longer than elsewhere; the work may. */
export async function changingTree<T> (db: Database, caller: WithCredential, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`
      SELECT require_read_committed(), pg_advisory_xact_lock(${tree}), pg_advisory_xact_lock(${rights}), set_config('statement_timeout', ${String(treeStatementMs)}, true)`
    await staySignedIn(tx, caller)
    return await work(tx)
  }, treeMs)
}

/** Changes who has which rights. */
export async function changingRights<T> (db: Database, caller: WithCredential, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`SELECT require_read_committed(), pg_advisory_xact_lock_shared(${tree}), pg_advisory_xact_lock(${rights})`
    await staySignedIn(tx, caller)
    return await work(tx)
  })
}
