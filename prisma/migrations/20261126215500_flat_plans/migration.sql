-- What keeps decisions and lists from growing with the tree: indexes that answer by themselves, and next to each binding
-- what a list would otherwise look up for every one of thousands.

-- The groups of a user, and those around them where groups are in groups at all.
DROP INDEX "group_members_user_id_idx";
CREATE INDEX "group_members_user_id_group_id_idx" ON "group_members"("user_id", "group_id");
DROP INDEX "group_closure_member_group_id_idx";
CREATE INDEX "group_closure_member_group_id_group_id_idx" ON "group_closure"("member_group_id", "group_id") WHERE "group_id" <> "member_group_id";
-- For the foreign key.
CREATE INDEX "group_closure_member_group_id_idx" ON "group_closure"("member_group_id");

-- The ancestors of a resource, without the table.
DROP INDEX "resource_closure_descendant_id_ancestor_id_idx";
CREATE INDEX "resource_closure_descendant_id_ancestor_id_idx" ON "resource_closure"("descendant_id", "ancestor_id") INCLUDE ("distance");

-- The children of a resource, by type: who may see only some types of them finds the next ones without reading the others.
DROP INDEX "resources_parent_id_id_idx";
CREATE INDEX "resources_parent_id_type_id_idx" ON "resources"("parent_id", "type", "id");

-- The type of the parent, which decides whether a reader of the child may know of it. And whether something stands, or has stood, below.
ALTER TABLE "resources" ADD COLUMN "parent_type" VARCHAR(63), ADD COLUMN "is_container" BOOLEAN NOT NULL DEFAULT false;
UPDATE "resources" r SET "parent_type" = p."type" FROM "resources" p WHERE p."id" = r."parent_id";
UPDATE "resources" SET "is_container" = true WHERE "id" IN (SELECT "parent_id" FROM "resources");

CREATE FUNCTION "resources_copy_parent"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.parent_type := (SELECT type FROM resources WHERE id = NEW.parent_id);
  RETURN NEW;
END $$;

CREATE TRIGGER "resources_copy_parent" BEFORE INSERT OR UPDATE OF "parent_id", "parent_type" ON "resources"
  FOR EACH ROW EXECUTE FUNCTION "resources_copy_parent"();

-- Of the resource on which it hangs, kept by triggers. A binding on a leaf gives that leaf and nothing else, so a list takes
-- thousands of them by one range of an index; below each of those on containers it looks for itself.
ALTER TABLE "role_bindings" ADD COLUMN "resource_type" VARCHAR(63), ADD COLUMN "resource_parent_id" UUID, ADD COLUMN "is_on_container" BOOLEAN;
UPDATE "role_bindings" b SET "resource_type" = r."type", "resource_parent_id" = r."parent_id", "is_on_container" = r."is_container"
FROM "resources" r WHERE r."id" = b."resource_id";
ALTER TABLE "role_bindings" ALTER COLUMN "resource_type" SET NOT NULL, ALTER COLUMN "is_on_container" SET NOT NULL;

DROP INDEX "role_bindings_subject_id_resource_id_idx";
CREATE INDEX "role_bindings_on_containers_idx" ON "role_bindings"("subject_id", "resource_id") INCLUDE ("role", "expires_at") WHERE "is_on_container";
CREATE INDEX "role_bindings_on_leaves_idx" ON "role_bindings"("subject_id", "resource_id") INCLUDE ("role", "resource_type", "expires_at") WHERE NOT "is_on_container";
-- The root is under nothing; and so that only who asks for children finds this index.
CREATE INDEX "role_bindings_on_children_idx" ON "role_bindings"("subject_id", "resource_parent_id", "resource_id") INCLUDE ("role", "resource_type", "expires_at") WHERE "resource_parent_id" IS NOT NULL;
-- The bindings of some subjects on a resource, without the table.
DROP INDEX "role_bindings_resource_id_subject_id_role_key";
CREATE UNIQUE INDEX "role_bindings_resource_id_subject_id_role_key" ON "role_bindings"("resource_id", "subject_id", "role") INCLUDE ("expires_at");

-- Pages of the members of a group, and of the bindings on a resource, are in the order of their ids.
CREATE INDEX "group_members_group_id_id_idx" ON "group_members"("group_id", "id");
-- Only for who says the condition too: a decision must not come to read all bindings on a resource, for which the planner takes it otherwise.
CREATE INDEX "role_bindings_resource_id_id_idx" ON "role_bindings"("resource_id", "id") WHERE "role" <> '';

CREATE FUNCTION "role_bindings_copy_resource"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Locked, so that whoever adds the first child below it comes before or after.
  SELECT type, parent_id, is_container INTO NEW.resource_type, NEW.resource_parent_id, NEW.is_on_container
  FROM resources WHERE id = NEW.resource_id FOR SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'a binding needs a resource' USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'role_bindings_resource_id_fkey';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER "role_bindings_copy_resource" BEFORE INSERT OR UPDATE OF "resource_id", "resource_type", "resource_parent_id", "is_on_container" ON "role_bindings"
  FOR EACH ROW EXECUTE FUNCTION "role_bindings_copy_resource"();

-- Only the first child writes anything.
CREATE FUNCTION "resources_mark_container"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE resources SET is_container = true WHERE id = NEW.parent_id AND NOT is_container;
  IF FOUND THEN
    UPDATE role_bindings SET is_on_container = true WHERE resource_id = NEW.parent_id;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    UPDATE role_bindings SET resource_parent_id = NEW.parent_id WHERE resource_id = NEW.id;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER "resources_mark_container_of_new" AFTER INSERT ON "resources"
  FOR EACH ROW WHEN (NEW."parent_id" IS NOT NULL) EXECUTE FUNCTION "resources_mark_container"();
CREATE TRIGGER "resources_mark_container_of_moved" AFTER UPDATE OF "parent_id" ON "resources"
  FOR EACH ROW WHEN (OLD."parent_id" IS DISTINCT FROM NEW."parent_id") EXECUTE FUNCTION "resources_mark_container"();
