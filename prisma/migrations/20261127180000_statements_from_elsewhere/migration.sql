-- What statements from elsewhere could still break.

-- Who has waited for a lock must see what was done meanwhile. At a stricter level of isolation a transaction goes on seeing what there was
-- when it began: a resource added under one that has just moved got the ancestors of the old place, two groups each other as members, and
-- two owners could remove each other.
CREATE FUNCTION "require_read_committed"() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION 'the tree, groups and rights change at the isolation level READ COMMITTED only'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.';
  END IF;
END $$;

CREATE FUNCTION "check_isolation"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM require_read_committed();
  RETURN NULL;
END $$;

CREATE TRIGGER "resources_check_isolation" BEFORE INSERT OR DELETE OR UPDATE OF "parent_id" ON "resources"
  FOR EACH STATEMENT EXECUTE FUNCTION "check_isolation"();
CREATE TRIGGER "group_members_check_isolation" BEFORE INSERT OR DELETE ON "group_members"
  FOR EACH STATEMENT EXECUTE FUNCTION "check_isolation"();

-- What one statement does to several tables is not always told to the triggers in the order in which they count on it. This one comes
-- after "resources_add_closure", by its name.
CREATE FUNCTION "resources_check_added"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  groups UUID[] := ARRAY(SELECT id FROM added WHERE type = 'group');
BEGIN
  IF EXISTS (
    SELECT FROM (SELECT DISTINCT ON (parent_id) id, parent_id FROM added WHERE parent_id IS NOT NULL) one
    WHERE (SELECT count(*) FROM resource_closure WHERE descendant_id = one.id) <> (SELECT count(*) FROM resource_closure WHERE descendant_id = one.parent_id) + 1
  ) THEN
    RAISE EXCEPTION 'a resource cannot be added below one that the same statement moves' USING ERRCODE = 'feature_not_supported';
  END IF;
  IF groups <> '{}' AND (EXISTS (SELECT FROM group_members WHERE group_id = ANY (groups)) OR EXISTS (SELECT FROM group_members WHERE member_group_id = ANY (groups))) THEN
    RAISE EXCEPTION 'a group cannot be added by the statement that adds its members' USING ERRCODE = 'feature_not_supported';
  END IF;
  -- Bindings count by the id of their subject.
  IF EXISTS (SELECT FROM users WHERE id = ANY (ARRAY(SELECT id FROM added))) THEN
    RAISE EXCEPTION 'a user has this id' USING ERRCODE = 'unique_violation', CONSTRAINT = 'resources_users_id_key';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "resources_check_added" AFTER INSERT ON "resources" REFERENCING NEW TABLE AS "added"
  FOR EACH STATEMENT EXECUTE FUNCTION "resources_check_added"();

CREATE FUNCTION "users_refuse_taken_id"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM resources WHERE id = NEW.id) THEN
    RAISE EXCEPTION 'a resource has this id' USING ERRCODE = 'unique_violation', CONSTRAINT = 'resources_users_id_key';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "users_refuse_taken_id" AFTER INSERT OR UPDATE OF "id" ON "users"
  FOR EACH ROW EXECUTE FUNCTION "users_refuse_taken_id"();

-- The id that stands for everyone is nobody's.
ALTER TABLE "users" ADD CONSTRAINT "users_id_check" CHECK ("id" <> 'ffffffff-ffff-ffff-ffff-ffffffffffff');
ALTER TABLE "resources" ADD CONSTRAINT "resources_id_check" CHECK ("id" <> 'ffffffff-ffff-ffff-ffff-ffffffffffff');

-- Of all resources at once no child is left that would keep the root.
CREATE FUNCTION "resources_keep_root"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the root cannot be deleted' USING ERRCODE = 'check_violation', CONSTRAINT = 'resources_root_check';
END $$;

CREATE TRIGGER "resources_keep_root" AFTER DELETE ON "resources"
  FOR EACH ROW WHEN (OLD."parent_id" IS NULL) EXECUTE FUNCTION "resources_keep_root"();
