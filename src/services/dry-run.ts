/** Dry runs: what a change would change about decisions, told without making it. */
import { randomUUID } from 'node:crypto'
import pLimit from 'p-limit'
import type { Prisma } from '../generated/prisma/client.js'
import { type Affected, findAffected } from './affected.js'
import type { Caller } from './caller.js'
import type { Database } from './database.js'
import { type Difference, type Effort, findDifferences, findReached, findSight, type Sight } from './differences.js'
import { changingTree } from './locks.js'
import { findHeldBySubjects, isHeldAlready } from './redundancy.js'

type Transaction = Prisma.TransactionClient

export interface DryRun {
  /** Of the caller what they lose and then what they gain, then of the others in the order of their ids; at most a thousand. */
  changes: Difference[]
  /** Whether there are more, or may be: a search that was too long has ended before. */
  truncated: boolean
}

/** One after the other: changes wait for each of them, and are not to wait for several. */
const oneAtATime = pLimit(1)
const mostChanges = 1_000
const usualEffort: Effort = { reached: 5_000, subtrees: 20_000, things: 10_000 }

/**
 * Makes a change, takes it back, and tells which decisions about things that the caller sees it has changed meanwhile. What
 * they see is what they see without the change: who only tries learns of nothing that is hidden.
 * @param change to be made in the transaction that it is given, by the caller that it is given
 * @throws {DomainError} whatever the change throws
 */
export async function dryRun (
  db: Database, caller: Caller, change: (tx: Transaction, by: Caller) => Promise<unknown>, effort: Partial<Effort> = {}
): Promise<DryRun> {
  const within = { ...usualEffort, ...effort }
  // Nothing that decisions are made of changes until all of it has been compared. Each change takes the same locks, or fewer.
  return await oneAtATime(async () => await changingTree(db, caller, async (tx) => {
    const sight = await findSight(tx, caller)
    await tx.$executeRaw`SAVEPOINT before_dry_run`
    const requestId = randomUUID()
    await change(tx, { ...caller, requestId })
    const affected = await findAffected(tx, requestId)
    const concerned = affected && await findConcerned(tx, caller, sight, affected, within)
    await tx.$executeRaw`ROLLBACK TO SAVEPOINT before_dry_run`
    if (affected === null || concerned === null) return { changes: [], truncated: false }
    const { own, others, subjects } = concerned
    if (subjects !== null && await isHeldAlready(tx, subjects)) return { changes: [], truncated: false }

    const changes: Difference[] = []
    let isCut = own.isCut || others.isCut
    for (const { items } of [own, others]) {
      if (items.length === 0 || changes.length > mostChanges) continue
      const found = await findDifferences(tx, caller, affected, items, mostChanges - changes.length, within)
      changes.push(...found.items)
      isCut ||= found.isCut
    }
    return { changes: changes.slice(0, mostChanges).sort(inOrderFor(caller)), truncated: isCut || changes.length > mostChanges }
  }))
}

/** Who is reached by a change, in the state after it; and where they are too many, what the subjects hold through whom they are. */
async function findConcerned (tx: Transaction, caller: Caller, sight: Sight, affected: Affected, effort: Effort) {
  const own = await findReached(tx, caller, sight, affected, 'own', effort)
  const others = await findReached(tx, caller, sight, affected, 'others', effort)
  return { own, others, subjects: others.isCut ? await findHeldBySubjects(tx, affected, effort.reached) : null }
}

const levels = ['hide', 'forbid', 'allow']

/** Nobody gains by a change of their own that takes something from them: what they give they hold already. So none of the losses was cut for a gain. */
function inOrderFor ({ userId }: Caller): (one: Difference, other: Difference) => number {
  const keyOf = ({ user, resource, action, before, after }: Difference) => {
    const place = user !== userId ? 'others' : levels.indexOf(after) < levels.indexOf(before) ? 'lost' : 'gained'
    return `${['lost', 'gained', 'others'].indexOf(place)} ${user} ${resource} ${action}`
  }
  return (one, other) => keyOf(one) < keyOf(other) ? -1 : 1
}
