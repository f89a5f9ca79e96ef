-- Why a request was answered 403 or 404, as it was decided; kept for DECISION_RETENTION_DAYS. Rows refer to nothing by foreign
-- keys: what was denied may never have been there.

CREATE TABLE "denials" (
    "request_id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "user_id" UUID NOT NULL,
    "method" VARCHAR(16) NOT NULL,
    "path" VARCHAR(1000) NOT NULL,
    -- NULL where the request named no id.
    "resource_id" UUID,
    "action" VARCHAR(127) NOT NULL,
    "decision" VARCHAR(6) NOT NULL,
    "status" SMALLINT NOT NULL,
    "because" JSONB NOT NULL,
    -- NULL where nothing was there.
    "missing" VARCHAR(127),

    CONSTRAINT "denials_pkey" PRIMARY KEY ("request_id"),
    CONSTRAINT "denials_decision_check" CHECK ("decision" IN ('forbid', 'hide'))
);

-- For removing what is over.
CREATE INDEX "denials_at_idx" ON "denials"("at");
