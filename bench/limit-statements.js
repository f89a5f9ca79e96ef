// The limit's SQL: for each request the one statement that an experienced person would write by hand for this schema, the
// look-up of the session included. It is a second decision only here, to be measured against, and what it answers is compared.
const everyone = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid"

const caller = `caller AS MATERIALIZED (
  SELECT u.id FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.secret_hash = $1 AND s.expires_at > now() AND u.is_active),
subject AS MATERIALIZED (
  SELECT ARRAY[caller.id, ${everyone}] || direct.ids || ARRAY(
    SELECT g.group_id FROM group_closure g WHERE g.member_group_id = ANY (direct.ids) AND g.group_id <> g.member_group_id) AS ids
  FROM caller CROSS JOIN LATERAL (SELECT ARRAY(SELECT m.group_id FROM group_members m WHERE m.user_id = caller.id) AS ids) direct)`
const subjects = '(SELECT ids FROM subject)::uuid[]'
const unexpired = '(b.expires_at IS NULL OR b.expires_at > now())'

/** What the subjects hold: `permissions`, and `above` what comes from ancestors. */
const held = 'array_agg(DISTINCT p.type || \':\' || p.action) AS permissions, array_agg(DISTINCT p.type || \':\' || p.action) FILTER (WHERE c.distance > 0) AS above'

const resource = `r.id, r.type, r.name, r.parent_id, r.attributes, r.created_at, r.updated_at, r.version, r.parent_type, t.own_actions,
  held.permissions, held.above, ARRAY(SELECT child.type::text FROM resource_type_parents child WHERE child.parent = r.type ORDER BY child.type COLLATE "C") AS children`

const user = 'u.id, u.email, u.name, u.is_active, u.created_at, u.updated_at, u.last_login_at'
const session = 's.id AS session_id, s.created_at AS session_created_at, s.last_seen_at, s.expires_at, s.ip, s.user_agent'

const listOf = (most) => `WITH ${caller},
  own AS MATERIALIZED (SELECT b.resource_id, b.role FROM role_bindings b WHERE b.is_on_container AND b.subject_id = ANY (${subjects}) AND ${unexpired}),
  bound AS MATERIALIZED (SELECT DISTINCT own.resource_id, p.type FROM own JOIN role_permissions p ON p.role = own.role WHERE p.action IN ('view', '*')),
  page AS MATERIALIZED (
    SELECT ARRAY(SELECT DISTINCT id FROM (
      SELECT found.descendant_id AS id FROM bound CROSS JOIN LATERAL (
        SELECT c.descendant_id FROM resource_closure c WHERE c.ancestor_id = bound.resource_id AND bound.type = '*' ORDER BY c.descendant_id LIMIT ${most}) found
      UNION ALL SELECT found.descendant_id FROM bound CROSS JOIN LATERAL (
        SELECT c.descendant_id FROM resource_closure c WHERE c.ancestor_id = bound.resource_id AND c.type = bound.type ORDER BY c.descendant_id LIMIT ${most}) found
      UNION ALL SELECT found.id FROM unnest(${subjects}) one(id) CROSS JOIN LATERAL (
        SELECT DISTINCT b.resource_id AS id FROM role_bindings b WHERE NOT b.is_on_container AND b.subject_id = one.id AND ${unexpired} AND EXISTS (
          SELECT FROM role_permissions p WHERE p.role = b.role AND p.type IN (b.resource_type, '*') AND p.action IN ('view', '*'))
        ORDER BY id LIMIT ${most}) found) every
    ORDER BY id LIMIT ${most}) AS ids)
  SELECT ${resource} FROM resources r JOIN resource_types t ON t.name = r.type JOIN (
    SELECT c.descendant_id, ${held} FROM resource_closure c JOIN (
      SELECT resource_id, role FROM own UNION ALL SELECT b.resource_id, b.role FROM role_bindings b
      WHERE NOT b.is_on_container AND b.subject_id = ANY (${subjects}) AND b.resource_id = ANY ((SELECT ids FROM page)::uuid[]) AND ${unexpired}) b
      ON b.resource_id = c.ancestor_id JOIN role_permissions p ON p.role = b.role
    WHERE c.descendant_id = ANY ((SELECT ids FROM page)::uuid[]) GROUP BY c.descendant_id) held ON held.descendant_id = r.id
  WHERE r.id = ANY ((SELECT ids FROM page)::uuid[]) ORDER BY r.id`

export const statements = {
  session: `SELECT ${user}, ${session} FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.secret_hash = $1 AND s.expires_at > now() AND u.is_active`,
  read: `WITH ${caller} SELECT caller.id AS caller, found.* FROM caller LEFT JOIN LATERAL (
    SELECT ${resource} FROM resources r JOIN resource_types t ON t.name = r.type CROSS JOIN LATERAL (
      SELECT ${held} FROM resource_closure c JOIN role_bindings b ON b.resource_id = c.ancestor_id JOIN role_permissions p ON p.role = b.role
      WHERE c.descendant_id = r.id AND b.subject_id = ANY (${subjects}) AND ${unexpired}) held
    WHERE r.id = $2) found ON TRUE`,
  // A page, and one more where there is more.
  list: listOf(21),
  shortList: listOf(12),
  credentials: 'SELECT id, password_hash FROM users u WHERE lower(u.email) = lower($1) AND u.is_active',
  login: `WITH signed_in AS (UPDATE users u SET last_login_at = now() WHERE id = $1 RETURNING u.*), s AS (
    INSERT INTO sessions (id, secret_hash, user_id, expires_at, absolute_expires_at, ip, user_agent)
    VALUES (gen_random_uuid(), $2, $1, now() + interval '1 day', now() + interval '14 days', $3, $4) RETURNING *)
    SELECT ${user}, ${session} FROM signed_in u, s`
}
