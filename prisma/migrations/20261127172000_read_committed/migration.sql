-- Who has waited for a lock must see what was done meanwhile. At a stricter level of isolation a transaction goes on seeing what there was
-- when it began: a resource added under one that has just moved got the ancestors of the old place, two groups each other as members, and
-- two owners could remove each other. Changes of the tree, of groups and of rights are refused there.
CREATE FUNCTION "require_read_committed"() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION 'the tree, groups and rights change at the isolation level READ COMMITTED only'
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Begin the transaction with BEGIN ISOLATION LEVEL READ COMMITTED.';
  END IF;
END $$;

CREATE OR REPLACE FUNCTION "resources_lock_tree"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM require_read_committed();
  IF TG_OP = 'INSERT' THEN
    PERFORM pg_advisory_xact_lock_shared(7283002);
  ELSE
    PERFORM pg_advisory_xact_lock(7283002);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION "group_members_update_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed UUID := CASE TG_OP WHEN 'DELETE' THEN OLD.group_id ELSE NEW.group_id END;
  affected UUID[];
BEGIN
  PERFORM require_read_committed();
  PERFORM pg_advisory_xact_lock(7283003);
  IF TG_OP = 'INSERT' THEN
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
