/** Removing what is over, without a request having to wait for it. */
import type { Prisma, PrismaClient } from '../generated/prisma/client.js'

/** Any number that no other part of the product uses for an advisory lock. */
const cleanupLock = 7_283_001

/**
 * Removes rows a small batch at a time, one instance at a time.
 * @param removeBatch removes at most `batchSize` rows and says how many there were
 * @returns how many rows went; 0 also while another instance is at it
 */
export async function removeInBatches (
  db: PrismaClient, batchSize: number, removeBatch: (tx: Prisma.TransactionClient) => Promise<number>
): Promise<number> {
  let removed = 0
  for (;;) {
    const count = await db.$transaction(async (tx) => {
      const [lock] = await tx.$queryRaw<Array<{ isOurs: boolean }>>`SELECT pg_try_advisory_xact_lock(${cleanupLock}) AS "isOurs"`
      return lock?.isOurs === true ? await removeBatch(tx) : 0
    })
    removed += count
    if (count < batchSize) return removed
  }
}
