// Fills a migrated database with a world, by COPY: what triggers would work out row by row is copied as well, and keys and
// indexes are made anew afterwards, so that a hundred thousand resources take seconds.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import argon2 from 'argon2'
import pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { closureOf, emailOf } from './world.js'

export const password = 'seven quiet lanterns'

/** Those that are filled, in the order of their foreign keys. */
const tables = ['users', 'resources', 'resource_closure', 'group_members', 'group_closure', 'role_bindings']

/** @param progress called now and then with a name of what is being done, how much of it is done, and of how much */
export async function seed (url, world, progress) {
  // The same parameters as the service's own (src/services/password-hashing.ts).
  const hash = await argon2.hash(password, { memoryCost: 19_456, timeCost: 2, parallelism: 1 })
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('BEGIN')
    const restore = await setAside(client)
    const copy = async (table, columns, rows, total) => await copyRows(client, table, columns, rows, (done) => progress(table, done, total))
    await copy('users', 'id, email, name, password_hash', usersOf(world, hash), world.users)
    const resources = await copy('resources', 'id, type, name, parent_id, parent_type, is_container', resourcesOf(world))
    await copy('resource_closure', 'ancestor_id, descendant_id, distance, type', closureOf(world.resources()), resources * 4)
    await copy('group_members', 'id, group_id, user_id, member_group_id', world.members())
    await copy('group_closure', 'group_id, member_group_id', world.groupClosure())
    await client.query("ALTER TABLE role_bindings ALTER COLUMN resource_type SET DEFAULT '', ALTER COLUMN is_on_container SET DEFAULT false")
    await copy('role_bindings', 'id, role, resource_id, user_id, group_id, subject_id', world.bindings())
    await client.query(`UPDATE role_bindings b SET resource_type = r.type, resource_parent_id = r.parent_id, is_on_container = r.is_container
      FROM resources r WHERE r.id = b.resource_id`)
    await client.query('ALTER TABLE role_bindings ALTER COLUMN resource_type DROP DEFAULT, ALTER COLUMN is_on_container DROP DEFAULT')
    await client.query('UPDATE resources SET is_container = true WHERE parent_id IS NULL')
    // The root stands above everything, and itself it was there before.
    for (const [place, statement] of restore.entries()) {
      progress('keys and indexes', place, restore.length)
      await client.query(statement)
    }
    await client.query('COMMIT')
    progress('statistics', 0, 1)
    await client.query('VACUUM (ANALYZE)')
    progress('statistics', 1, 1)
  } finally {
    await client.end()
  }
}

function * usersOf ({ users, userId }, hash) {
  for (let number = 0; number < users; number++) yield [userId(number), emailOf(number), `User ${number}`, hash]
}

/** The rows of resources, with what triggers would look up for each. */
function * resourcesOf (world) {
  const containers = new Map()
  for (const [id, type, name, parentId] of world.resources()) {
    const isContainer = type === 'organization' || type === 'project'
    if (isContainer) containers.set(id, type)
    yield [id, type, name, parentId, containers.get(parentId) ?? 'system', isContainer]
  }
}

/** Takes triggers, foreign keys and indexes off the tables. @returns the statements that put them back, in their order */
async function setAside (client) {
  const { rows: keys } = await client.query(`
    SELECT conrelid::regclass AS table, conname AS name, pg_get_constraintdef(oid) AS definition, contype AS type FROM pg_constraint
    WHERE conrelid = ANY ($1::regclass[]) AND contype IN ('p', 'u', 'f') ORDER BY contype = 'f'`, [tables])
  const { rows: indexes } = await client.query(`
    SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
    WHERE indrelid = ANY ($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))`, [tables])
  const { rows: others } = await client.query(`
    SELECT conrelid::regclass AS table, conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
    WHERE confrelid = ANY ($1::regclass[]) AND NOT conrelid = ANY ($1::regclass[]) AND contype = 'f'`, [tables])
  const foreign = [...keys.filter(({ type }) => type === 'f'), ...others]
  const own = keys.filter(({ type }) => type !== 'f')
  for (const { table, name } of [...foreign, ...own]) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT "${name}"`)
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`)
  for (const table of tables) await client.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`)
  const add = ({ table, name, definition }) => `ALTER TABLE ${table} ADD CONSTRAINT "${name}" ${definition}`
  return [
    ...own.map(add), ...indexes.map(({ definition }) => definition), ...foreign.map(add),
    ...tables.map((table) => `ALTER TABLE ${table} ENABLE TRIGGER USER`)
  ]
}

const chunkRows = 2_000

/** @returns how many rows there were */
async function copyRows (client, table, columns, rows, progress) {
  let count = 0
  function * chunks () {
    let lines = []
    for (const row of rows) {
      lines.push(row.map((value) => value ?? '\\N').join('\t'))
      count++
      if (lines.length < chunkRows) continue
      progress(count)
      yield lines.join('\n') + '\n'
      lines = []
    }
    yield lines.length === 0 ? '' : lines.join('\n') + '\n'
  }
  await pipeline(Readable.from(chunks(), { objectMode: true }), client.query(copyFrom(`COPY ${table} (${columns}) FROM STDIN`)))
  return count
}
