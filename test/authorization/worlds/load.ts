/** Worlds in the database, past every rule of the product but those of the database itself. */
import type { Database } from '../../../src/services/database.js'
import { rootId, type World } from '../../reference/world.js'
import type { TestDatabase } from '../../helpers/database.js'

/** One call in place of seven: a test loads a thousand worlds. */
const functions = `
  CREATE FUNCTION load_world (world jsonb) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    DELETE FROM role_bindings;
    INSERT INTO users (id, email, name, password_hash, is_active)
    SELECT (u->>'id')::uuid, (u->>'id') || '@example.org', u->>'name', '$argon2id$not-a-real-one', (u->>'isActive')::boolean FROM jsonb_array_elements(world->'users') u;
    INSERT INTO roles (name) SELECT r->>'name' FROM jsonb_array_elements(world->'roles') r WHERE NOT (r->>'builtIn')::boolean;
    INSERT INTO role_permissions (role, type, action)
    SELECT r->>'name', split_part(permission, ':', 1), split_part(permission, ':', 2)
    FROM jsonb_array_elements(world->'roles') r, jsonb_array_elements_text(r->'permissions') permission WHERE NOT (r->>'builtIn')::boolean;
    INSERT INTO resource_types (name, own_actions, creator_role)
    SELECT t->>'name', ARRAY(SELECT jsonb_array_elements_text(t->'ownActions')), t->>'creatorRole' FROM jsonb_array_elements(world->'types') t
    WHERE t->>'name' NOT IN ('system', 'group')
    ON CONFLICT (name) DO UPDATE SET own_actions = excluded.own_actions, creator_role = excluded.creator_role;
    INSERT INTO resource_type_parents (type, parent)
    SELECT t->>'name', parent FROM jsonb_array_elements(world->'types') t, jsonb_array_elements_text(t->'parents') parent ON CONFLICT DO NOTHING;
    INSERT INTO resources (id, type, name, parent_id)
    SELECT (r->>'id')::uuid, r->>'type', r->>'name', (r->>'parentId')::uuid FROM jsonb_array_elements(world->'resources') WITH ORDINALITY each(r, place)
    WHERE r->>'parentId' IS NOT NULL ORDER BY place;
    INSERT INTO group_members (id, group_id, user_id, member_group_id)
    SELECT gen_random_uuid(), (m->>'groupId')::uuid, u.id, r.id FROM jsonb_array_elements(world->'members') m
    LEFT JOIN users u ON u.id = (m->>'memberId')::uuid LEFT JOIN resources r ON r.id = (m->>'memberId')::uuid;
    INSERT INTO role_bindings (id, role, resource_id, user_id, group_id, subject_id, expires_at)
    SELECT (b->>'id')::uuid, b->>'role', (b->>'resourceId')::uuid,
      CASE b->'subject'->>'type' WHEN 'user' THEN (b->'subject'->>'id')::uuid END, CASE b->'subject'->>'type' WHEN 'group' THEN (b->'subject'->>'id')::uuid END,
      coalesce((b->'subject'->>'id')::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
      date_trunc('milliseconds', now()) + make_interval(hours => (b->>'expiresAt')::integer)
    FROM jsonb_array_elements(world->'bindings') b;
  END $$;

  CREATE FUNCTION clear_world () RETURNS void LANGUAGE plpgsql AS $$
  BEGIN
    DELETE FROM role_bindings;
    DELETE FROM resources WHERE id <> '${rootId}';
    DELETE FROM users;
    DELETE FROM resource_type_parents WHERE type NOT IN ('system', 'group');
    DELETE FROM resource_types WHERE name IN ('case', 'shelf');
    UPDATE resource_types SET own_actions = '{}', creator_role = CASE name WHEN 'organization' THEN 'owner' END WHERE name IN ('organization', 'project', 'document');
    INSERT INTO resource_type_parents VALUES ('organization', 'system'), ('project', 'organization'), ('project', 'project'), ('document', 'organization'), ('document', 'project');
    DELETE FROM roles WHERE NOT built_in;
  END $$`

export async function prepareForWorlds ({ query }: TestDatabase): Promise<void> {
  await query(functions)
}

/** Puts a world into a database that has nothing but what a fresh install has. */
export async function loadWorld (db: Database, world: World): Promise<void> {
  await db.$queryRaw`SELECT load_world(${JSON.stringify(world)}::jsonb)::text`
}

/** Leaves what a fresh install has, but for its binding. */
export async function clearWorld (db: Database): Promise<void> {
  await db.$queryRaw`SELECT clear_world()::text`
}

/** Lets hours go by for everything that expires. */
export async function letHoursPass (db: Database, hours: number): Promise<void> {
  await db.$executeRaw`UPDATE role_bindings SET expires_at = expires_at - make_interval(hours => ${hours}::integer) WHERE expires_at IS NOT NULL`
}
