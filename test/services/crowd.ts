/** A database with enough in it for plans to matter, filled by a few statements: triggers and foreign keys would look at every row. */
import type { TestDatabase } from '../helpers/database.js'

export const documents = 30_000

const kinds = { user: 1, organization: 2, project: 3, document: 4, group: 5 }
const hex = (number: number, digits: number) => number.toString(16).padStart(digits, '0')

/** The id of something by its number; ids are in the order of the numbers, whatever the kind. */
export const idOf = (kind: keyof typeof kinds, number: number): string => `01900000-${hex(number >> 8, 4)}-7${hex(number & 255, 3)}-8${hex(kinds[kind], 3)}-${hex(number, 12)}`

/** Whom questions are asked as; the number of their user. */
export const callers = { sparse: 1, dense: 2, direct: 3, 'many groups': 4, 'large group': 5, nobody: 6 } as const
export type CallerName = keyof typeof callers

/** The group with a hundred thousand members, inside of another that is bound. */
export const largeGroup = idOf('group', 401)

const tables = ['users', 'resources', 'resource_closure', 'group_members', 'group_closure', 'role_bindings']

export async function fillCrowd ({ query }: TestDatabase): Promise<void> {
  await query(`DO $$ DECLARE key RECORD; BEGIN
    FOR key IN SELECT conrelid::regclass AS of, conname FROM pg_constraint WHERE contype = 'f'
      AND conrelid = ANY ('{resources,resource_closure,group_members,group_closure,role_bindings}'::regclass[]) LOOP
      EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.of, key.conname);
    END LOOP;
    EXECUTE 'ALTER TABLE resources DISABLE TRIGGER USER'; EXECUTE 'ALTER TABLE resource_closure DISABLE TRIGGER USER';
    EXECUTE 'ALTER TABLE group_members DISABLE TRIGGER USER'; EXECUTE 'ALTER TABLE group_closure DISABLE TRIGGER USER';
  END $$`)
  for (const table of tables) await query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`)
  await query(`CREATE FUNCTION of(kind int, number int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT ('01900000-' || lpad(to_hex(number >> 8), 4, '0') || '-7' || lpad(to_hex(number & 255), 3, '0') || '-8' || lpad(to_hex(kind), 3, '0') || '-' || lpad(to_hex(number), 12, '0'))::uuid $$`)
  await query("INSERT INTO users (id, email, name, password_hash) SELECT of(1, i), 'u' || i || '@example.org', 'User ' || i, '$argon2id$of-no-password' FROM generate_series(1, 100100) i")
  // Each document stands in a project that its number says nothing of, as when all projects grow side by side.
  await query(`INSERT INTO resources (id, type, name, parent_id, parent_type, is_container)
    SELECT of(2, i), 'organization', 'Organization ' || i, '00000000-0000-0000-0000-000000000000'::uuid, 'system', true FROM generate_series(1, 10) i
    UNION ALL SELECT of(3, i), 'project', 'Project ' || i, of(2, 1 + i % 10), 'organization', true FROM generate_series(1, $1::int / 100) i
    UNION ALL SELECT of(4, i), 'document', 'Document ' || i, of(3, 1 + abs(hashint4(i)) % ($1 / 100)), 'project', false FROM generate_series(1, $1) i
    UNION ALL SELECT of(5, i), 'group', 'Group ' || i, '00000000-0000-0000-0000-000000000000'::uuid, 'system', false FROM generate_series(1, 402) i`, [documents])
  await query('UPDATE resources SET is_container = true WHERE parent_id IS NULL')
  await query(`INSERT INTO resource_closure (ancestor_id, descendant_id, distance, type)
    WITH RECURSIVE above AS (
      SELECT id AS ancestor, id AS descendant, 0 AS distance, type FROM resources WHERE parent_id IS NOT NULL
      UNION ALL SELECT r.parent_id, descendant, distance + 1, above.type FROM above JOIN resources r ON r.id = ancestor WHERE r.parent_id IS NOT NULL)
    SELECT * FROM above`)
  await query('INSERT INTO group_closure (group_id, member_group_id) SELECT of(5, i), of(5, i) FROM generate_series(1, 402) i UNION ALL SELECT of(5, 402), of(5, 401)')
  await query(`INSERT INTO group_members (id, group_id, user_id, member_group_id)
    SELECT uuid_v7(), of(5, i), of(1, 4), NULL FROM generate_series(1, 200) i
    UNION ALL SELECT of(6, 0), of(5, 402), NULL, of(5, 401)
    UNION ALL SELECT of(6, i), of(5, 401), of(1, CASE i WHEN 50000 THEN 5 ELSE 100 + i END), NULL FROM generate_series(1, 100000) i`)
  const bind = async (role: string, column: 'user_id' | 'group_id', rows: string) => await query(`
    INSERT INTO role_bindings (id, role, resource_id, ${column}, subject_id) SELECT uuid_v7(), '${role}', resource, subject, subject FROM (${rows}) b(subject, resource) ON CONFLICT DO NOTHING`)
  await bind('viewer', 'user_id', 'SELECT of(1, 1), of(4, i * 1500) FROM generate_series(1, 20) i')
  await bind('editor', 'user_id', 'SELECT of(1, 2), of(2, i) FROM generate_series(1, 9) i')
  await bind('editor', 'user_id', 'SELECT of(1, 3), of(4, i * 6) FROM generate_series(1, 5000) i')
  // Of the two hundred groups twenty have a project, and each of the others five documents.
  await bind('editor', 'group_id', 'SELECT of(5, i), of(3, i * 7) FROM generate_series(1, 20) i')
  await bind('editor', 'group_id', 'SELECT of(5, i), of(4, (i * 5 + k) * 29) FROM generate_series(21, 200) i, generate_series(1, 5) k')
  await bind('editor', 'group_id', 'SELECT of(5, 402), of(2, 1)')
  // Others, so that what one has is not all that there is.
  await bind('viewer', 'user_id', 'SELECT of(1, 1000 + i % 5000), of(4, 1 + i * 7919 % 30000) FROM generate_series(1, 2000) i')
  await bind('owner', 'user_id', 'SELECT of(1, 7), of(2, 1)')
  await query('ALTER TABLE resources ENABLE TRIGGER USER')
  // All rows are looked at, not a sample of them, after which a plan would be another now and then.
  await query('SET default_statistics_target = 1000')
  // A row on a page that is not marked as visible to all costs a look at the page, in every index that has it. Whoever has read anything
  // in this database since rows were made, such as PostgreSQL's own cleaning, keeps them from being marked.
  do await query('VACUUM (ANALYZE, INDEX_CLEANUP ON)')
  while ((await query('SELECT 1 FROM pg_class WHERE oid = ANY ($1::regclass[]) AND relallvisible < relpages', [tables])).length > 0)
}
