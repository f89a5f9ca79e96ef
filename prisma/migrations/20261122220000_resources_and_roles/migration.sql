-- What exists (types), where it stands (resources and their closure), who belongs together (groups), and who may do
-- what on which thing (roles and their bindings). The invariants of the tree and of groups in groups are kept here, by
-- constraints and triggers, so that no statement from anywhere can break what decisions read.

CREATE TABLE "roles" (
    "name" VARCHAR(63) NOT NULL,
    "description" VARCHAR(500) NOT NULL DEFAULT '',
    "built_in" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "roles_pkey" PRIMARY KEY ("name"),
    CONSTRAINT "roles_name_check" CHECK ("name" ~ '^[a-z][a-z0-9-]{0,62}$')
);

CREATE TABLE "role_permissions" (
    "role" VARCHAR(63) NOT NULL,
    "type" VARCHAR(63) NOT NULL,
    "action" VARCHAR(63) NOT NULL,

    CONSTRAINT "role_permissions_pkey" PRIMARY KEY ("role", "type", "action"),
    CONSTRAINT "role_permissions_type_check" CHECK ("type" ~ '^(\*|[a-z][a-z0-9-]{0,62})$'),
    CONSTRAINT "role_permissions_action_check" CHECK ("action" ~ '^(\*|[a-z][a-z0-9-]{0,62})$')
);

CREATE TABLE "resource_types" (
    "name" VARCHAR(63) NOT NULL,
    "own_actions" TEXT[] NOT NULL DEFAULT ARRAY[]::TEXT[],
    "creator_role" VARCHAR(63),
    "built_in" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "resource_types_pkey" PRIMARY KEY ("name"),
    CONSTRAINT "resource_types_name_check" CHECK ("name" ~ '^[a-z][a-z0-9-]{0,62}$' AND "name" NOT IN ('user', 'role', 'resource-type', 'audit'))
);

CREATE TABLE "resource_type_parents" (
    "type" VARCHAR(63) NOT NULL,
    "parent" VARCHAR(63) NOT NULL,

    CONSTRAINT "resource_type_parents_pkey" PRIMARY KEY ("type", "parent")
);

CREATE TABLE "resources" (
    "id" UUID NOT NULL,
    "type" VARCHAR(63) NOT NULL,
    "name" VARCHAR(255) NOT NULL,
    "parent_id" UUID,
    "attributes" JSONB NOT NULL DEFAULT '{}',
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "resources_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "resources_name_check" CHECK ("name" <> ''),
    CONSTRAINT "resources_attributes_check" CHECK (jsonb_typeof("attributes") = 'object'),
    -- One root, and it is the only resource of its type.
    CONSTRAINT "resources_root_check" CHECK (
        ("id" = '00000000-0000-0000-0000-000000000000') = ("parent_id" IS NULL)
        AND ("id" = '00000000-0000-0000-0000-000000000000') = ("type" = 'system'))
);

-- One row for each resource and each of its ancestors, itself included. The second column of the key is the order of
-- lists; the other index serves decisions. The distance from the root is the depth.
CREATE TABLE "resource_closure" (
    "ancestor_id" UUID NOT NULL,
    "descendant_id" UUID NOT NULL,
    "distance" SMALLINT NOT NULL,
    -- The descendant's, which never changes: so that those of one type below a large ancestor are found in order too.
    "type" VARCHAR(63) NOT NULL,

    CONSTRAINT "resource_closure_pkey" PRIMARY KEY ("ancestor_id", "descendant_id"),
    CONSTRAINT "resource_closure_depth_check" CHECK ("distance" BETWEEN 0 AND 32)
);

CREATE TABLE "group_members" (
    "id" UUID NOT NULL,
    "group_id" UUID NOT NULL,
    "group_type" VARCHAR(63) NOT NULL DEFAULT 'group',
    "user_id" UUID,
    "member_group_id" UUID,

    CONSTRAINT "group_members_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "group_members_type_check" CHECK ("group_type" = 'group'),
    CONSTRAINT "group_members_member_check" CHECK (num_nonnulls("user_id", "member_group_id") = 1),
    CONSTRAINT "group_members_cycle_check" CHECK ("member_group_id" <> "group_id")
);

-- One row for each group and each group in it at any depth, itself included. Direct members are in group_members, so
-- that a group with many users costs nothing here.
CREATE TABLE "group_closure" (
    "group_id" UUID NOT NULL,
    "member_group_id" UUID NOT NULL,

    CONSTRAINT "group_closure_pkey" PRIMARY KEY ("group_id", "member_group_id")
);

CREATE TABLE "role_bindings" (
    "id" UUID NOT NULL,
    "role" VARCHAR(63) NOT NULL,
    "resource_id" UUID NOT NULL,
    "user_id" UUID,
    "group_id" UUID,
    "group_type" VARCHAR(63) NOT NULL DEFAULT 'group',
    -- Whom it is for in one column, which decisions look up; everyone has the id of no user and no group.
    "subject_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_by" UUID,

    CONSTRAINT "role_bindings_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "role_bindings_type_check" CHECK ("group_type" = 'group'),
    CONSTRAINT "role_bindings_subject_check" CHECK (num_nonnulls("user_id", "group_id") <= 1
        AND "subject_id" = coalesce("user_id", "group_id", 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
);

CREATE INDEX "resource_types_creator_role_idx" ON "resource_types"("creator_role");
CREATE INDEX "resource_type_parents_parent_idx" ON "resource_type_parents"("parent");
CREATE INDEX "resources_parent_id_id_idx" ON "resources"("parent_id", "id");
CREATE INDEX "resources_type_idx" ON "resources"("type");
-- So that a foreign key can say "a resource of type group".
CREATE UNIQUE INDEX "resources_id_type_key" ON "resources"("id", "type");
CREATE INDEX "resource_closure_descendant_id_ancestor_id_idx" ON "resource_closure"("descendant_id", "ancestor_id");
CREATE INDEX "resource_closure_ancestor_id_type_descendant_id_idx" ON "resource_closure"("ancestor_id", "type", "descendant_id");
CREATE UNIQUE INDEX "group_members_group_id_user_id_key" ON "group_members"("group_id", "user_id");
CREATE UNIQUE INDEX "group_members_group_id_member_group_id_key" ON "group_members"("group_id", "member_group_id");
CREATE INDEX "group_members_user_id_idx" ON "group_members"("user_id");
CREATE INDEX "group_members_member_group_id_idx" ON "group_members"("member_group_id");
CREATE INDEX "group_closure_member_group_id_idx" ON "group_closure"("member_group_id");
CREATE UNIQUE INDEX "role_bindings_resource_id_subject_id_role_key" ON "role_bindings"("resource_id", "subject_id", "role");
CREATE INDEX "role_bindings_subject_id_resource_id_idx" ON "role_bindings"("subject_id", "resource_id");
CREATE INDEX "role_bindings_role_idx" ON "role_bindings"("role");
CREATE INDEX "role_bindings_user_id_idx" ON "role_bindings"("user_id");
CREATE INDEX "role_bindings_group_id_idx" ON "role_bindings"("group_id");
CREATE INDEX "role_bindings_created_by_idx" ON "role_bindings"("created_by");

ALTER TABLE "role_permissions" ADD CONSTRAINT "role_permissions_role_fkey" FOREIGN KEY ("role") REFERENCES "roles"("name") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "resource_types" ADD CONSTRAINT "resource_types_creator_role_fkey" FOREIGN KEY ("creator_role") REFERENCES "roles"("name") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "resource_type_parents" ADD CONSTRAINT "resource_type_parents_type_fkey" FOREIGN KEY ("type") REFERENCES "resource_types"("name") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "resource_type_parents" ADD CONSTRAINT "resource_type_parents_parent_fkey" FOREIGN KEY ("parent") REFERENCES "resource_types"("name") ON DELETE NO ACTION ON UPDATE CASCADE;
ALTER TABLE "resources" ADD CONSTRAINT "resources_type_fkey" FOREIGN KEY ("type") REFERENCES "resource_types"("name") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "resources" ADD CONSTRAINT "resources_parent_id_fkey" FOREIGN KEY ("parent_id") REFERENCES "resources"("id") ON DELETE NO ACTION ON UPDATE NO ACTION;
ALTER TABLE "resource_closure" ADD CONSTRAINT "resource_closure_ancestor_id_fkey" FOREIGN KEY ("ancestor_id") REFERENCES "resources"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "resource_closure" ADD CONSTRAINT "resource_closure_descendant_id_fkey" FOREIGN KEY ("descendant_id") REFERENCES "resources"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_group_id_group_type_fkey" FOREIGN KEY ("group_id", "group_type") REFERENCES "resources"("id", "type") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_member_group_id_group_type_fkey" FOREIGN KEY ("member_group_id", "group_type") REFERENCES "resources"("id", "type") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "group_members" ADD CONSTRAINT "group_members_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "group_closure" ADD CONSTRAINT "group_closure_group_id_fkey" FOREIGN KEY ("group_id") REFERENCES "resources"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "group_closure" ADD CONSTRAINT "group_closure_member_group_id_fkey" FOREIGN KEY ("member_group_id") REFERENCES "resources"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "role_bindings" ADD CONSTRAINT "role_bindings_role_fkey" FOREIGN KEY ("role") REFERENCES "roles"("name") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "role_bindings" ADD CONSTRAINT "role_bindings_resource_id_fkey" FOREIGN KEY ("resource_id") REFERENCES "resources"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "role_bindings" ADD CONSTRAINT "role_bindings_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "role_bindings" ADD CONSTRAINT "role_bindings_group_id_group_type_fkey" FOREIGN KEY ("group_id", "group_type") REFERENCES "resources"("id", "type") ON DELETE CASCADE ON UPDATE NO ACTION;
ALTER TABLE "role_bindings" ADD CONSTRAINT "role_bindings_created_by_fkey" FOREIGN KEY ("created_by") REFERENCES "users"("id") ON DELETE SET NULL ON UPDATE NO ACTION;

-- The tree. Whoever adds a resource may do so beside others; whoever moves or deletes one is alone: a resource added
-- below something that is just being moved would get the ancestors of the old place. Locks are held to the end of the
-- transaction. The lock of the tree (7283002) is always taken before that of the rights (7283003).
CREATE FUNCTION "resources_lock_tree"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    PERFORM pg_advisory_xact_lock_shared(7283002);
  ELSE
    PERFORM pg_advisory_xact_lock(7283002);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION "resources_add_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.parent_id IS NOT NULL AND NOT EXISTS (SELECT FROM resource_closure WHERE descendant_id = NEW.parent_id) THEN
    RAISE EXCEPTION 'a resource must be added after its parent' USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'resources_parent_id_fkey';
  END IF;
  INSERT INTO resource_closure (ancestor_id, descendant_id, distance, type)
  SELECT ancestor_id, NEW.id, distance + 1, NEW.type FROM resource_closure WHERE descendant_id = NEW.parent_id
  UNION ALL SELECT NEW.id, NEW.id, 0, NEW.type;
  IF NEW.type = 'group' THEN
    INSERT INTO group_closure (group_id, member_group_id) VALUES (NEW.id, NEW.id);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION "resources_move_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM resource_closure WHERE ancestor_id = NEW.id AND descendant_id = NEW.parent_id) THEN
    RAISE EXCEPTION 'a resource cannot stand below itself' USING ERRCODE = 'check_violation', CONSTRAINT = 'resources_cycle_check';
  END IF;
  -- Off the ancestors of the old place, and below those of the new one.
  DELETE FROM resource_closure c USING resource_closure above, resource_closure below
  WHERE above.descendant_id = OLD.parent_id AND below.ancestor_id = NEW.id
    AND c.ancestor_id = above.ancestor_id AND c.descendant_id = below.descendant_id;
  INSERT INTO resource_closure (ancestor_id, descendant_id, distance, type)
  SELECT above.ancestor_id, below.descendant_id, above.distance + below.distance + 1, below.type
  FROM resource_closure above, resource_closure below
  WHERE above.descendant_id = NEW.parent_id AND below.ancestor_id = NEW.id;
  RETURN NULL;
END $$;

CREATE FUNCTION "resources_keep_identity"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the id and the type of a resource cannot change' USING ERRCODE = 'check_violation', CONSTRAINT = 'resources_identity_check';
END $$;

CREATE TRIGGER "resources_lock_tree" BEFORE INSERT OR DELETE OR UPDATE OF "parent_id" ON "resources"
  FOR EACH STATEMENT EXECUTE FUNCTION "resources_lock_tree"();
CREATE TRIGGER "resources_add_closure" AFTER INSERT ON "resources"
  FOR EACH ROW EXECUTE FUNCTION "resources_add_closure"();
CREATE TRIGGER "resources_move_closure" AFTER UPDATE OF "parent_id" ON "resources"
  FOR EACH ROW WHEN (OLD."parent_id" IS DISTINCT FROM NEW."parent_id") EXECUTE FUNCTION "resources_move_closure"();
CREATE TRIGGER "resources_keep_identity" BEFORE UPDATE ON "resources"
  FOR EACH ROW WHEN (OLD."id" <> NEW."id" OR OLD."type" <> NEW."type") EXECUTE FUNCTION "resources_keep_identity"();

-- Groups in groups: a group may be in several, so a removed edge says nothing by itself about what lies behind it. What
-- a changed group and those above it contain is worked out anew from the direct edges.
CREATE FUNCTION "group_members_update_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  changed UUID := CASE TG_OP WHEN 'DELETE' THEN OLD.group_id ELSE NEW.group_id END;
  affected UUID[];
BEGIN
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

CREATE FUNCTION "group_members_keep"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a membership cannot change: remove it and add another' USING ERRCODE = 'check_violation', CONSTRAINT = 'group_members_keep_check';
END $$;

CREATE TRIGGER "group_members_add_closure" AFTER INSERT ON "group_members"
  FOR EACH ROW WHEN (NEW."member_group_id" IS NOT NULL) EXECUTE FUNCTION "group_members_update_closure"();
CREATE TRIGGER "group_members_remove_closure" AFTER DELETE ON "group_members"
  FOR EACH ROW WHEN (OLD."member_group_id" IS NOT NULL) EXECUTE FUNCTION "group_members_update_closure"();
CREATE TRIGGER "group_members_keep" BEFORE UPDATE ON "group_members"
  FOR EACH ROW EXECUTE FUNCTION "group_members_keep"();

-- TRUNCATE fires no trigger for rows; what the groups contained would go on counting.
CREATE FUNCTION "group_members_empty_closure"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM group_closure WHERE group_id <> member_group_id;
  RETURN NULL;
END $$;

CREATE TRIGGER "group_members_empty_closure" AFTER TRUNCATE ON "group_members"
  FOR EACH STATEMENT EXECUTE FUNCTION "group_members_empty_closure"();

-- The closures are written by the triggers above and by foreign keys alone.
CREATE FUNCTION "closure_refuse_writes"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF pg_trigger_depth() < 2 THEN
    RAISE EXCEPTION '% is kept by the database and cannot be written', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "resource_closure_refuse_writes" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "resource_closure"
  FOR EACH STATEMENT EXECUTE FUNCTION "closure_refuse_writes"();
CREATE TRIGGER "group_closure_refuse_writes" BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "group_closure"
  FOR EACH STATEMENT EXECUTE FUNCTION "closure_refuse_writes"();

-- What a fresh install has.
INSERT INTO "roles" ("name", "description", "built_in") VALUES
  ('owner', 'Everything', true),
  ('editor', 'See, create and edit', true),
  ('viewer', 'See', true),
  ('member', 'See the root and create organizations; what everyone who is signed in may do', true);
INSERT INTO "role_permissions" ("role", "type", "action") VALUES
  ('owner', '*', '*'),
  ('editor', '*', 'view'), ('editor', '*', 'create'), ('editor', '*', 'edit'),
  ('viewer', '*', 'view'),
  ('member', 'system', 'view'), ('member', 'organization', 'create');
INSERT INTO "resource_types" ("name", "creator_role", "built_in") VALUES
  ('system', NULL, true), ('group', 'owner', true), ('organization', 'owner', false), ('project', NULL, false), ('document', NULL, false);
INSERT INTO "resource_type_parents" ("type", "parent") VALUES
  ('group', 'system'), ('group', 'organization'), ('organization', 'system'),
  ('project', 'organization'), ('project', 'project'), ('document', 'organization'), ('document', 'project');
INSERT INTO "resources" ("id", "type", "name") VALUES ('00000000-0000-0000-0000-000000000000', 'system', 'root');
INSERT INTO "role_bindings" ("id", "role", "resource_id", "subject_id") VALUES
  (gen_random_uuid(), 'member', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff');

-- Administrators become owners of the root.
INSERT INTO "role_bindings" ("id", "role", "resource_id", "user_id", "subject_id")
SELECT gen_random_uuid(), 'owner', '00000000-0000-0000-0000-000000000000', "id", "id" FROM "users" WHERE "is_administrator";
ALTER TABLE "users" DROP COLUMN "is_administrator";
