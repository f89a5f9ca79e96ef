/** The root and every organization keep an owner of their own, once they have one. */
import { DomainError } from '../errors.js'
import { Prisma } from '../generated/prisma/client.js'
import { rootId } from './decision.js'

type Transaction = Prisma.TransactionClient

/**
 * Makes a change and refuses it when it leaves the root or an organization without an owner of its own: an active user
 * who holds the role `owner` bound on that very resource without expiry, directly or through groups. To be called while
 * rights are locked.
 * @param concerned subquery of the ids of resources whose owners the change may affect
 * @throws {DomainError} last-owner
 */
export async function keepingOwners<T> (tx: Transaction, concerned: Prisma.Sql, change: () => Promise<T>): Promise<T> {
  const before = await findOwned(tx, concerned)
  const result = await change()
  const remaining = before.length === 0 ? [] : await tx.$queryRaw<Array<{ id: string }>>`SELECT id FROM resources WHERE id = ANY (${before}::uuid[])`
  const after = before.length === 0 ? [] : await findOwned(tx, Prisma.sql`SELECT unnest(${before}::uuid[])`)
  if (after.length < remaining.length) throw new DomainError('last-owner')
  return result
}

/** The root, for changes that affect nothing else. */
export const theRoot = Prisma.sql`SELECT ${rootId}::uuid`

/** What is owned through the groups that `groupIds` selects, or through groups around them. */
export const ownedThrough = (groupIds: Prisma.Sql): Prisma.Sql => Prisma.sql`
  SELECT b.resource_id FROM group_closure around JOIN role_bindings b ON b.group_id = around.group_id
  WHERE around.member_group_id = ANY (ARRAY(${groupIds})) AND b.role = 'owner'`

async function findOwned (tx: Transaction, concerned: Prisma.Sql): Promise<string[]> {
  const rows = await tx.$queryRaw<Array<{ id: string }>>`
    SELECT r.id FROM resources r
    WHERE r.id = ANY (ARRAY(${concerned})) AND r.type IN ('system', 'organization') AND EXISTS (
      SELECT FROM role_bindings b WHERE b.resource_id = r.id AND b.role = 'owner' AND b.expires_at IS NULL AND (
        EXISTS (SELECT FROM users u WHERE u.id = b.user_id AND u.is_active)
        OR EXISTS (
          SELECT FROM group_closure inside JOIN group_members m ON m.group_id = inside.member_group_id
          JOIN users u ON u.id = m.user_id WHERE inside.group_id = b.group_id AND u.is_active)))`
  return rows.map(({ id }) => id)
}
