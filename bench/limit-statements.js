// The limit's SQL: for each request the one statement that an experienced person would write by hand for this schema, the
// look-up of the session included. It is a second decision only here, to be measured against, and what it answers is compared.
const everyone = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"

const caller = `caller AS MATERIALIZED (
  SELECT u.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.secret_hash = $1 AND s.expires_at > now() AND u.is_active),
subject AS MATERIALIZED (
  SELECT id FROM caller UNION ALL SELECT ${everyone} UNION ALL
  SELECT g.group_id FROM caller JOIN group_members m ON m.user_id = caller.id JOIN group_closure g ON g.member_group_id = m.group_id)`

/** What the subjects hold on `id`: `permissions`, and `above` what comes from its ancestors. */
const held = (id) => `
  SELECT array_agg(DISTINCT p.type || ':' || p.action) AS permissions, array_agg(DISTINCT p.type || ':' || p.action) FILTER (WHERE c.distance > 0) AS above
  FROM resource_closure c JOIN role_bindings b ON b.resource_id = c.ancestor_id JOIN role_permissions p ON p.role = b.role
  WHERE c.descendant_id = ${id} AND b.subject_id IN (SELECT id FROM subject) AND (b.expires_at IS NULL OR b.expires_at > now())`

const resource = `r.id, r.type, r.name, r.parent_id, r.attributes, r.created_at, r.updated_at, r.version, parent.type AS parent_type, t.own_actions,
  held.permissions, held.above, ARRAY(SELECT child.type::text FROM resource_type_parents child WHERE child.parent = r.type ORDER BY child.type COLLATE "C") AS children`

const resourceTables = (id) => `resources r JOIN resource_types t ON t.name = r.type LEFT JOIN resources parent ON parent.id = r.parent_id
  CROSS JOIN LATERAL (${held(id)}) held`

const user = 'u.id, u.email, u.name, u.is_active, u.created_at, u.updated_at, u.last_login_at'
const session = 's.id AS session_id, s.created_at AS session_created_at, s.last_seen_at, s.expires_at, s.ip, s.user_agent'

export const statements = {
  session: `SELECT ${user}, ${session} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.secret_hash = $1 AND s.expires_at > now() AND u.is_active`,
  read: `WITH ${caller} SELECT caller.id AS caller, found.* FROM caller LEFT JOIN LATERAL (
    SELECT ${resource} FROM ${resourceTables('r.id')} WHERE r.id = $2) found ON TRUE`,
  list: `WITH ${caller},
    bound AS MATERIALIZED (
      SELECT DISTINCT b.resource_id, p.type FROM role_bindings b JOIN role_permissions p ON p.role = b.role
      WHERE b.subject_id IN (SELECT id FROM subject) AND (b.expires_at IS NULL OR b.expires_at > now()) AND p.action IN ('view', '*')),
    page AS MATERIALIZED (
      SELECT DISTINCT id FROM (
        SELECT found.descendant_id AS id FROM bound CROSS JOIN LATERAL (
          SELECT c.descendant_id FROM resource_closure c WHERE c.ancestor_id = bound.resource_id AND bound.type = '*' ORDER BY c.descendant_id LIMIT 21) found
        UNION ALL SELECT found.descendant_id FROM bound CROSS JOIN LATERAL (
          SELECT c.descendant_id FROM resource_closure c WHERE c.ancestor_id = bound.resource_id AND c.type = bound.type ORDER BY c.descendant_id LIMIT 21) found) every
      ORDER BY id LIMIT 21)
    SELECT ${resource} FROM page JOIN ${resourceTables('r.id')} ON r.id = page.id ORDER BY r.id`,
  credentials: 'SELECT id, password_hash FROM users u WHERE lower(u.email) = lower($1) AND u.is_active',
  login: `WITH signed_in AS (UPDATE users u SET last_login_at = now() WHERE id = $1 RETURNING u.*), s AS (
    INSERT INTO sessions (id, secret_hash, user_id, expires_at, absolute_expires_at, ip, user_agent)
    VALUES (gen_random_uuid(), $2, $1, now() + interval '1 day', now() + interval '14 days', $3, $4) RETURNING *)
    SELECT ${user}, ${session} FROM signed_in u, s`
}
