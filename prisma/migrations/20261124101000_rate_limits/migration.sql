-- What has been guessed lately. The columns and their order are those of rate-limiter-flexible's PostgreSQL store. Unlogged: a
-- login waits for no further write to the disk, and after a crash of the server everybody may guess afresh.
CREATE UNLOGGED TABLE "rate_limits" (
    "key" VARCHAR(255) NOT NULL,
    "points" INTEGER NOT NULL DEFAULT 0,
    "expire" BIGINT,

    CONSTRAINT "rate_limits_pkey" PRIMARY KEY ("key")
);

-- CreateIndex
CREATE INDEX "rate_limits_expire_idx" ON "rate_limits"("expire");
