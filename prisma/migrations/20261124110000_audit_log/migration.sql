-- What was changed, by whom and from where. Rows refer to nothing by foreign keys: they outlive what they tell of.

-- Ids in the order of time (RFC 9562, 5.7 and 6.2, method 3): 48 bits of milliseconds, 12 bits of a fraction of one, the
-- rest random.
CREATE FUNCTION "uuid_v7"("moment" TIMESTAMPTZ DEFAULT clock_timestamp()) RETURNS UUID LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  ms NUMERIC := extract(epoch FROM moment) * 1000;
BEGIN
  RETURN encode(substring(int8send(floor(ms)::bigint) FROM 3)
    || int2send((28672 + floor((ms - floor(ms)) * 4096))::int::smallint)
    || substring(uuid_send(gen_random_uuid()) FROM 9), 'hex')::uuid;
END $$;

CREATE FUNCTION "uuid_v7_time"("id" UUID) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT to_timestamp(('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint / 1000.0)
$$;

CREATE TABLE "audit_events" (
    "id" UUID NOT NULL DEFAULT uuid_v7(),
    "at" TIMESTAMPTZ(3) NOT NULL,
    "type" VARCHAR(63) NOT NULL,
    "actor_type" VARCHAR(63) NOT NULL,
    "actor_id" UUID,
    "credential_type" VARCHAR(63),
    "credential_id" UUID,
    "resource_id" UUID,
    "target_type" VARCHAR(63) NOT NULL,
    -- Of roles and resource types the name. NULL where somebody tried an address that no account has.
    "target_id" VARCHAR(63),
    "before" JSONB,
    "after" JSONB,
    "request_id" UUID,
    "ip" VARCHAR(64),

    CONSTRAINT "audit_events_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "audit_events_actor_check" CHECK ("actor_type" IN ('user', 'operator', 'system', 'anonymous') AND ("actor_type" = 'user') = ("actor_id" IS NOT NULL)),
    CONSTRAINT "audit_events_credential_check" CHECK ("credential_type" IN ('session', 'token') AND num_nulls("credential_type", "credential_id") IN (0, 2)),
    -- The id has the time in it, so a span of time is a span of ids.
    CONSTRAINT "audit_events_at_check" CHECK ("at" = uuid_v7_time("id"))
);

-- Under which resources an event happened: that which it is about and those above it then, the root apart.
CREATE TABLE "audit_event_places" (
    "place_id" UUID NOT NULL,
    "event_id" UUID NOT NULL,

    CONSTRAINT "audit_event_places_pkey" PRIMARY KEY ("place_id", "event_id")
);

CREATE INDEX "audit_events_resource_id_id_idx" ON "audit_events"("resource_id", "id");
CREATE INDEX "audit_events_actor_id_id_idx" ON "audit_events"("actor_id", "id");
CREATE INDEX "audit_events_type_id_idx" ON "audit_events"("type", "id");

-- Nothing in the log changes or goes. REVOKE would not do: the role that the service connects as owns these tables, and
-- an owner's rights come back with one GRANT. Only who alters the table itself gets past a trigger.
CREATE FUNCTION "audit_refuse_changes"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% only grows', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER "audit_events_refuse_changes" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_events"
  FOR EACH STATEMENT EXECUTE FUNCTION "audit_refuse_changes"();
CREATE TRIGGER "audit_event_places_refuse_changes" BEFORE UPDATE OR DELETE OR TRUNCATE ON "audit_event_places"
  FOR EACH STATEMENT EXECUTE FUNCTION "audit_refuse_changes"();

-- The bindings that earlier migrations made get ids in the order of time, as all others have.
UPDATE "role_bindings" SET "id" = uuid_v7("created_at") WHERE substring("id"::text, 15, 1) <> '7';
