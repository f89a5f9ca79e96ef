-- What many resources change at once is worked out once for a statement and no longer once for each row: of a deletion of 50,000, four
-- fifths of the time went into foreign keys of the closures, which only repeated what the triggers keep anyway.
ALTER TABLE "resource_closure" DROP CONSTRAINT "resource_closure_ancestor_id_fkey", DROP CONSTRAINT "resource_closure_descendant_id_fkey";
ALTER TABLE "group_closure" DROP CONSTRAINT "group_closure_group_id_fkey", DROP CONSTRAINT "group_closure_member_group_id_fkey";

-- It would no longer reach the closures.
CREATE FUNCTION "resources_refuse_truncate"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the tree cannot be emptied' USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER "resources_refuse_truncate" BEFORE TRUNCATE ON "resources"
  FOR EACH STATEMENT EXECUTE FUNCTION "resources_refuse_truncate"();

-- Adding. The plans are kept for the connection, and must suit one row and many: each walk begins at one row, up to the root.
DROP TRIGGER "resources_add_closure" ON "resources";
DROP TRIGGER "resources_mark_container_of_new" ON "resources";

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
  INSERT INTO group_closure (group_id, member_group_id) SELECT id, id FROM added WHERE type = 'group';
  -- Only the first child writes anything.
  WITH changed AS (
    UPDATE resources SET is_container = true WHERE id = ANY (ARRAY(SELECT DISTINCT parent_id FROM added)) AND NOT is_container RETURNING id)
  SELECT array_agg(id) INTO marked FROM changed;
  IF marked IS NOT NULL THEN
    UPDATE role_bindings SET is_on_container = true WHERE resource_id = ANY (marked);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "resources_add_closure" AFTER INSERT ON "resources" REFERENCING NEW TABLE AS "added"
  FOR EACH STATEMENT EXECUTE FUNCTION "resources_add_closure"();

-- Deleting. What stands below something that goes must go with it, by the foreign key of the parent, so the rows of those that go are all.
CREATE FUNCTION "resources_remove_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  groups UUID[];
BEGIN
  DELETE FROM resource_closure WHERE descendant_id = ANY (ARRAY(SELECT id FROM gone));
  SELECT array_agg(id) INTO groups FROM gone WHERE type = 'group';
  IF groups IS NOT NULL THEN
    DELETE FROM group_closure WHERE group_id = ANY (groups);
    DELETE FROM group_closure WHERE member_group_id = ANY (groups);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "resources_remove_closure" AFTER DELETE ON "resources" REFERENCING OLD TABLE AS "gone"
  FOR EACH STATEMENT EXECUTE FUNCTION "resources_remove_closure"();

-- Moving. Rows of ancestors that stay are left as they are, unless the depth changes. Rows are looked up by both parts of their key: of a
-- join, the planner would for a single one read all that is below the root.
CREATE OR REPLACE FUNCTION "resources_move_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  old_above UUID[] := ARRAY(SELECT ancestor_id FROM resource_closure WHERE descendant_id = OLD.parent_id);
  new_above UUID[] := ARRAY(SELECT ancestor_id FROM resource_closure WHERE descendant_id = NEW.parent_id);
  leaving UUID[] := ARRAY(SELECT unnest(old_above) EXCEPT SELECT unnest(new_above));
  staying UUID[] := ARRAY(SELECT unnest(old_above) INTERSECT SELECT unnest(new_above));
  moved UUID[] := ARRAY(SELECT descendant_id FROM resource_closure WHERE ancestor_id = NEW.id);
  deeper INTEGER := cardinality(new_above) - cardinality(old_above);
BEGIN
  IF NEW.id = ANY (new_above) THEN
    RAISE EXCEPTION 'a resource cannot stand below itself' USING ERRCODE = 'check_violation', CONSTRAINT = 'resources_cycle_check';
  END IF;
  DELETE FROM resource_closure WHERE descendant_id = ANY (moved) AND ancestor_id = ANY (leaving);
  IF deeper <> 0 THEN
    UPDATE resource_closure SET distance = distance + deeper WHERE descendant_id = ANY (moved) AND ancestor_id = ANY (staying);
  END IF;
  INSERT INTO resource_closure (ancestor_id, descendant_id, distance, type)
  SELECT above.ancestor_id, below.descendant_id, above.distance + below.distance + 1, below.type
  FROM resource_closure above, resource_closure below
  WHERE above.descendant_id = NEW.parent_id AND above.ancestor_id <> ALL (old_above) AND below.ancestor_id = NEW.id;
  RETURN NULL;
END $$;

-- The copies. A statement that says something else about them is corrected, that about a container too.
DROP TRIGGER "resources_copy_parent" ON "resources";

CREATE OR REPLACE FUNCTION "resources_copy_parent"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.parent_type := (SELECT type FROM resources WHERE id = NEW.parent_id);
  IF NEW.parent_id IS NOT NULL AND NEW.parent_type IS NULL THEN
    RAISE EXCEPTION 'a resource must be added after its parent' USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'resources_parent_id_fkey';
  END IF;
  NEW.is_container := EXISTS (SELECT FROM resources WHERE parent_id = NEW.id) OR (TG_OP = 'UPDATE' AND OLD.is_container);
  RETURN NEW;
END $$;

CREATE TRIGGER "resources_copy_parent" BEFORE INSERT OR UPDATE OF "parent_id", "parent_type", "is_container" ON "resources"
  FOR EACH ROW EXECUTE FUNCTION "resources_copy_parent"();

CREATE OR REPLACE FUNCTION "resources_mark_container"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE resources SET is_container = true WHERE id = NEW.parent_id AND NOT is_container;
  IF FOUND THEN
    UPDATE role_bindings SET is_on_container = true WHERE resource_id = NEW.parent_id;
  END IF;
  UPDATE role_bindings SET resource_parent_id = NEW.parent_id WHERE resource_id = NEW.id;
  RETURN NULL;
END $$;

-- The id of each of 50,000 events: in whole numbers, as before in decimal ones.
CREATE OR REPLACE FUNCTION "uuid_v7"("moment" TIMESTAMPTZ DEFAULT clock_timestamp()) RETURNS UUID LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  us BIGINT := extract(epoch FROM moment) * 1000000;
BEGIN
  RETURN encode(int8send(us / 1000 << 16 | 28672 | us % 1000 * 4096 / 1000) || substring(uuid_send(gen_random_uuid()) FROM 9), 'hex')::uuid;
END $$;
