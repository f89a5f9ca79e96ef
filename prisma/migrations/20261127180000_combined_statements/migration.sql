-- What one statement does to several tables at once, or to several rows, is not always told to the triggers in the order in which they count on it.

-- A group that is added with its members: whichever comes first.
CREATE OR REPLACE FUNCTION "group_members_update_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed UUID := CASE TG_OP WHEN 'DELETE' THEN OLD.group_id ELSE NEW.group_id END;
  affected UUID[];
BEGIN
  PERFORM require_read_committed();
  PERFORM pg_advisory_xact_lock(7283003);
  IF TG_OP = 'INSERT' THEN
    INSERT INTO group_closure (group_id, member_group_id) VALUES (NEW.group_id, NEW.group_id), (NEW.member_group_id, NEW.member_group_id) ON CONFLICT DO NOTHING;
    IF EXISTS (SELECT FROM group_closure WHERE group_id = NEW.member_group_id AND member_group_id = NEW.group_id) THEN
      RAISE EXCEPTION 'a group cannot be in itself' USING ERRCODE = 'check_violation', CONSTRAINT = 'group_members_cycle_check';
    END IF;
    INSERT INTO group_closure (group_id, member_group_id)
    SELECT above.group_id, below.member_group_id FROM group_closure above, group_closure below
    WHERE above.member_group_id = NEW.group_id AND below.group_id = NEW.member_group_id
    ON CONFLICT DO NOTHING;
  ELSE
    -- Where a group itself is being deleted, the rows that name it go by their foreign keys.
    SELECT array_agg(c.group_id) INTO affected FROM group_closure c JOIN resources r ON r.id = c.group_id WHERE c.member_group_id = changed;
    DELETE FROM group_closure WHERE group_id = ANY (affected) AND group_id <> member_group_id;
    INSERT INTO group_closure (group_id, member_group_id)
    WITH RECURSIVE inside AS (
      SELECT g AS group_id, g AS member_group_id FROM unnest(affected) g
      UNION
      SELECT inside.group_id, m.member_group_id FROM inside JOIN group_members m ON m.group_id = inside.member_group_id
      JOIN resources r ON r.id = m.member_group_id
    )
    SELECT group_id, member_group_id FROM inside WHERE group_id <> member_group_id;
  END IF;
  RETURN NULL;
END $$;

-- A resource that is added below one that is moved: its rows in the closure may be made before those of its parent change, and would then
-- be changed a second time. And bindings count by the id of their subject, so nothing else may have that of a user.
CREATE OR REPLACE FUNCTION "resources_add_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  marked UUID[];
BEGIN
  INSERT INTO resource_closure (ancestor_id, descendant_id, distance, type)
  SELECT up.id, added.id, up.distance, added.type FROM added CROSS JOIN LATERAL (
    WITH RECURSIVE up AS (
      SELECT added.id, added.parent_id, 0 AS distance
      UNION ALL SELECT r.id, r.parent_id, up.distance + 1 FROM up JOIN resources r ON r.id = up.parent_id)
    SELECT up.id, up.distance FROM up) up;
  IF EXISTS (
    SELECT FROM (SELECT DISTINCT ON (parent_id) id, parent_id FROM added WHERE parent_id IS NOT NULL) one
    WHERE (SELECT count(*) FROM resource_closure WHERE descendant_id = one.id) <> (SELECT count(*) FROM resource_closure WHERE descendant_id = one.parent_id) + 1
  ) THEN
    RAISE EXCEPTION 'a resource cannot be added below one that the same statement moves' USING ERRCODE = 'feature_not_supported';
  END IF;
  IF EXISTS (SELECT FROM added JOIN users ON users.id = added.id) THEN
    RAISE EXCEPTION 'a user has this id' USING ERRCODE = 'unique_violation', CONSTRAINT = 'resources_users_id_key';
  END IF;
  INSERT INTO group_closure (group_id, member_group_id) SELECT id, id FROM added WHERE type = 'group' ON CONFLICT DO NOTHING;
  -- Only the first child writes anything.
  WITH changed AS (
    UPDATE resources SET is_container = true WHERE id = ANY (ARRAY(SELECT DISTINCT parent_id FROM added)) AND NOT is_container RETURNING id)
  SELECT array_agg(id) INTO marked FROM changed;
  IF marked IS NOT NULL THEN
    UPDATE role_bindings SET is_on_container = true WHERE resource_id = ANY (marked);
  END IF;
  RETURN NULL;
END $$;

-- All resources at once: no child is left that would keep the root.
CREATE OR REPLACE FUNCTION "resources_remove_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  groups UUID[];
BEGIN
  IF EXISTS (SELECT FROM gone WHERE parent_id IS NULL) THEN
    RAISE EXCEPTION 'the root cannot be deleted' USING ERRCODE = 'check_violation', CONSTRAINT = 'resources_root_check';
  END IF;
  DELETE FROM resource_closure WHERE descendant_id = ANY (ARRAY(SELECT id FROM gone));
  SELECT array_agg(id) INTO groups FROM gone WHERE type = 'group';
  IF groups IS NOT NULL THEN
    DELETE FROM group_closure WHERE group_id = ANY (groups);
    DELETE FROM group_closure WHERE member_group_id = ANY (groups);
  END IF;
  RETURN NULL;
END $$;

-- The id that stands for everyone is nobody's, and that of a resource no user's.
ALTER TABLE "users" ADD CONSTRAINT "users_id_check" CHECK ("id" <> 'ffffffff-ffff-ffff-ffff-ffffffffffff');
ALTER TABLE "resources" ADD CONSTRAINT "resources_id_check" CHECK ("id" <> 'ffffffff-ffff-ffff-ffff-ffffffffffff');

CREATE FUNCTION "users_refuse_taken_id"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM resources WHERE id = NEW.id) THEN
    RAISE EXCEPTION 'a resource has this id' USING ERRCODE = 'unique_violation', CONSTRAINT = 'resources_users_id_key';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "users_refuse_taken_id" AFTER INSERT OR UPDATE OF "id" ON "users"
  FOR EACH ROW EXECUTE FUNCTION "users_refuse_taken_id"();
