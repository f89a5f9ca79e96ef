// @ts-check
// The schema engine's way to PostgreSQL: Prisma's own pg adapter, mended where migrations ask more of it than queries do.

import { randomUUID } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'
import { ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import pg from 'pg'
import { connectionOptions } from './connection.mjs'

/** @import { QueryResult, Pool } from 'pg' */
/** @import { SqlDriverAdapter, SqlQuery, SqlQueryable } from '@prisma/driver-adapter-utils' */

const internalCharType = 18
const textType = pg.types.builtins.TEXT

/** Connects the schema engine to the database of a URL, and to a shadow database beside it. */
export class MigrationAdapterFactory extends PrismaPg {
  #url
  #onScriptError
  #onShadowError

  /**
   * @param {string} url
   * @param {{ onScriptError: (script: string, error: Error) => void, onShadowError: (error: Error) => void }} listeners hear PostgreSQL's
   * own errors, of which the engine keeps only the message
   */
  constructor (url, { onScriptError, onShadowError }) {
    // One connection, kept: the advisory lock against two migrations at once belongs to a session.
    super({ ...connectionOptions(url), max: 1, idleTimeoutMillis: 0 }, { schema: new URL(url).searchParams.get('schema') ?? 'public' })
    this.#url = url
    this.#onScriptError = onScriptError
    this.#onShadowError = onShadowError
  }

  /** @override */
  async connect () {
    const adapter = await super.connect()
    readInternalChars(adapter)
    // The adapter's own cuts at every semicolon, also within the body of a function.
    adapter.executeScript = async (script) => {
      try {
        await pool(adapter).query(script)
      } catch (error) {
        this.#onScriptError(script, /** @type {Error} */ (error))
        // Its own words for the error, which are those the engine understands.
        return /** @type {any} */ (adapter).onError(error)
      }
    }
    return adapter
  }

  /**
   * The adapter's own would stay in the main database when it is given a URL, and drop the shadow while still connected to it.
   * @override
   */
  async connectToShadowDb () {
    const name = `prisma_migrate_shadow_db_${randomUUID()}`
    const address = new URL(this.#url)
    address.pathname = `/${name}`
    const main = await super.connect()
    try {
      await pool(main).query(`CREATE DATABASE "${name}"`)
    } catch (error) {
      this.#onShadowError(/** @type {Error} */ (error))
      await main.dispose()
      throw error
    }
    // The engine itself names the migration that fails in there.
    const shadow = await new MigrationAdapterFactory(address.href, { onScriptError: () => {}, onShadowError: this.#onShadowError }).connect()
    const disconnect = shadow.dispose.bind(shadow)
    shadow.dispose = async () => {
      await disconnect()
      await pool(main).query(`DROP DATABASE "${name}" WITH (FORCE)`)
      await main.dispose()
    }
    return shadow
  }
}

/**
 * PostgreSQL's catalogues are full of the internal type "char", which the adapter refuses and the engine expects as a character.
 * @param {SqlQueryable} queryable
 */
function readInternalChars (queryable) {
  const queryRaw = queryable.queryRaw
  queryable.queryRaw = async (query) => {
    /** @type {number[]} */
    const columns = []
    const reader = Object.create(queryable)
    reader.performIO = async (/** @type {SqlQuery} */ inner) => {
      const result = /** @type {QueryResult} */ (await /** @type {any} */ (queryable).performIO(inner))
      for (const [index, field] of result.fields.entries()) {
        if (field.dataTypeID !== internalCharType) continue
        columns.push(index)
        field.dataTypeID = textType
      }
      return result
    }
    const result = await queryRaw.call(reader, query)
    for (const index of columns) result.columnTypes[index] = ColumnTypeEnum.Character
    return result
  }
}

/**
 * @param {SqlDriverAdapter} adapter
 * @returns {Pool}
 */
function pool (adapter) {
  return /** @type {any} */ (adapter).underlyingDriver()
}
