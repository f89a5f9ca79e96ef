// @ts-check
// Reads a connection URL as Prisma's native engine does.

/** @import { PoolConfig } from 'pg' */

/**
 * What `pg` needs for a session like the native engine's: Prisma's parameters in the URL are its own, `pg` does not know them.
 * @param {string} url
 * @returns {PoolConfig}
 */
export function connectionOptions (url) {
  const parameters = new URL(url).searchParams
  const schema = parameters.get('schema')
  return {
    connectionString: url,
    connectionTimeoutMillis: Number(parameters.get('connect_timeout') ?? 5) * 1000,
    // SQL that names no schema means the one in the URL.
    ...(schema === null ? {} : { options: `-c search_path="${schema.replaceAll(/[\\"\s]/g, '')}"` })
  }
}
