/**
 * Which changes exclude each other. There are two locks, held to the end of a transaction and always taken in this order,
 * so that no two transactions wait for each other:
 *
 * 1. the tree: taken by those who move or delete; shared by those who add a resource or change rights on one, which must
 *    not vanish or move under them. The triggers of the table take it too, for statements from elsewhere.
 * 2. the rights: taken by those who change bindings, members, roles, types or whether a user is active. What they check
 *    (escalation, last owner, cycles) so stays true until they commit.
 *
 * Nothing that only reads takes either.
 */
import { type Database, inTransaction } from './database.js'
import type { Prisma } from '../generated/prisma/client.js'

const tree = 7_283_002
const rights = 7_283_003

type Transaction = Prisma.TransactionClient

/** Adds to the tree. */
export async function addingToTree<T> (db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock_shared(${tree})`
    return await work(tx)
  })
}

/** Moves or deletes, which may also change who has which rights. */
export async function changingTree<T> (db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(${tree}), pg_advisory_xact_lock(${rights})`
    return await work(tx)
  })
}

/** Changes who has which rights. */
export async function changingRights<T> (db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return await inTransaction(db, async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock_shared(${tree}), pg_advisory_xact_lock(${rights})`
    return await work(tx)
  })
}
