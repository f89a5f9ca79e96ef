/** Dry runs and the reference evaluator side by side: what a change would do, and that nothing of it is left. */
import type { Database } from '../../../src/services/database.js'
import type { Effort } from '../../../src/services/differences.js'
import { type DryRun, dryRun } from '../../../src/services/dry-run.js'
import { type Change, refusal } from '../../reference/changes.js'
import { differences } from '../../reference/dry-run.js'
import type { World } from '../../reference/world.js'
import { expectEqual } from './compare.js'
import { callerIn, callService, type Credentials, orRefusal, type Request, requestChange } from './perform.js'

/** The changes that can be tried. */
export const isDryRunnable = ({ kind }: Change): boolean => !['create', 'delete', 'edit-type'].includes(kind)

/** Every row of every table that a change could touch, and where it lies: a row that was written anew lies elsewhere. */
export async function allRows (db: Database): Promise<string> {
  const tables = ['users', 'sessions', 'access_tokens', 'roles', 'role_permissions', 'resource_types', 'resource_type_parents', 'resources',
    'resource_closure', 'group_members', 'group_closure', 'role_bindings', 'audit_events', 'audit_event_places']
  const rows = tables.map((table) => `(SELECT string_agg(concat_ws(' ', x.ctid, x), chr(10) ORDER BY x.ctid) FROM ${table} x)`)
  const [row] = await db.$queryRawUnsafe<Array<{ rows: string }>>(`SELECT concat_ws(chr(10), ${rows.join(', ')}) AS rows`)
  return row?.rows ?? ''
}

/** Tries a change: it is refused as it would be, or tells every decision that it would change; and it leaves nothing. */
export async function compareDryRun (tx: Database, world: World, change: Change): Promise<void> {
  const before = await allRows(tx)
  const by = callerIn(world, change.by)
  const attempt = async (effort?: Partial<Effort>) => await orRefusal(tx, async () => await dryRun(tx, by, async (tx, by) => await callService(tx, world, change, by), effort))
  const { refusal: actual, made } = await attempt()
  const expected = refusal(world, change)
  expectEqual(world, actual, expected, 'the dry run is refused for')
  if (expected === null) {
    const all = differences(world, change)
    expectEqual(world, made, { changes: all, truncated: false }, 'what the change would change')
    const few = (await attempt({ reached: 1 })).made as DryRun
    const lineOf = ({ user, resource, action, before, after }: DryRun['changes'][number]) => [user, resource, action, before, after].join(' ')
    const told = new Set(few.changes.map(lineOf))
    expectEqual(world, few.changes, few.truncated ? all.filter((each) => told.has(lineOf(each))) : all, 'what a search that must end soon finds of that: some, or all where it says so')
  }
  expectEqual(world, await allRows(tx), before, 'the rows after a dry run')
}

/** The same by a request. */
export async function compareDryRunRequest (request: Request, db: Database, world: World, change: Change, credentials: Credentials): Promise<void> {
  const before = await allRows(db)
  const { status, body } = await requestChange(request, credentials, world, change, '?dryRun=true')
  const expected = refusal(world, change)
  expectEqual(world, status < 400 ? null : body.code, expected, 'the dry run is refused for')
  if (expected === null) expectEqual(world, { status, body }, { status: 200, body: { changes: differences(world, change), truncated: false } }, 'what the change would change')
  expectEqual(world, await allRows(db), before, 'the rows after a dry run')
}
