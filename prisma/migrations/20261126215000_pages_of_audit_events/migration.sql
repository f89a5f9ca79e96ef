-- Pages of the log, the newest first, by any filters together. Each index ends in the type and the id: under all other
-- columns the events of one type are in order, and the few types are merged, so that no filter has to look at what it
-- leaves out.
DROP INDEX "audit_events_resource_id_id_idx";
DROP INDEX "audit_events_actor_id_id_idx";

-- CreateIndex
CREATE INDEX "audit_events_actor_id_type_id_idx" ON "audit_events"("actor_id", "type", "id");

-- CreateIndex
CREATE INDEX "audit_events_resource_id_type_id_idx" ON "audit_events"("resource_id", "type", "id");

-- CreateIndex
CREATE INDEX "audit_events_resource_id_actor_id_type_id_idx" ON "audit_events"("resource_id", "actor_id", "type", "id");

-- The same for the events below a resource: the table has what they are filtered by, and is made anew as it only grows.
ALTER TABLE "audit_event_places" RENAME TO "old_audit_event_places";
ALTER TABLE "old_audit_event_places" RENAME CONSTRAINT "audit_event_places_pkey" TO "old_audit_event_places_pkey";

CREATE TABLE "audit_event_places" (
    "place_id" UUID NOT NULL,
    "event_id" UUID NOT NULL,
    "actor_id" UUID,
    "type" VARCHAR(63) NOT NULL,

    CONSTRAINT "audit_event_places_pkey" PRIMARY KEY ("place_id", "type", "event_id")
);

INSERT INTO "audit_event_places" ("place_id", "event_id", "actor_id", "type")
SELECT p."place_id", e."id", e."actor_id", e."type" FROM "old_audit_event_places" p JOIN "audit_events" e ON e."id" = p."event_id";
DROP TABLE "old_audit_event_places";

-- CreateIndex
CREATE INDEX "audit_event_places_place_id_actor_id_type_event_id_idx" ON "audit_event_places"("place_id", "actor_id", "type", "event_id");

CREATE TRIGGER "audit_event_places_refuse_changes" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_event_places"
  FOR EACH STATEMENT EXECUTE FUNCTION "audit_refuse_changes"();
