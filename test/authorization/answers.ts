/** Everything about an answer from which a client could learn something, and what the request did to the database. */
import type { InjectOptions } from 'fastify'
import type { TestApp } from '../helpers/app.js'
import type { TestDatabase } from '../helpers/database.js'
import { listStatements } from '../helpers/statements.js'

export interface Answer {
  status: number
  /** Without the date and the request's id. */
  headers: Record<string, unknown>
  payload: string
  /** Each in one line, after the name under which it is prepared; but for those that write, after an answer, why it was denied. */
  statements: string[]
}

export interface Asking {
  cookie?: string
  body?: unknown
  /** Sent as it is. */
  payload?: string
  headers?: Record<string, string>
}

/** Sends a request and takes down all of its answer. */
export async function ask ({ app }: Pick<TestApp, 'app'>, method: string, url: string, { cookie, body, payload, headers = {} }: Asking = {}): Promise<Answer> {
  let response: Awaited<ReturnType<typeof app.inject>> | undefined
  const statements = await listStatements(async () => {
    response = await app.inject({
      method: method as NonNullable<InjectOptions['method']>,
      url,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(cookie === undefined ? {} : { cookie }), ...headers },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      ...(payload === undefined ? {} : { payload })
    })
  })
  if (response === undefined) throw new Error('no answer')
  const ofRequest = statements.filter(({ sql }) => !sql.includes('INSERT INTO denials'))
  const { date: _date, 'x-request-id': _id, ...rest } = response.headers
  return { status: response.statusCode, headers: rest, payload: response.payload, statements: ofRequest.map(({ sql, name }) => `${name ?? ''}: ${sql.replace(/\s+/g, ' ').trim()}`) }
}

/** A digest of every row of every table, save for why requests were denied: two are the same when nothing else was written in between. */
export async function digestDatabase ({ query }: Pick<TestDatabase, 'query'>): Promise<Record<string, string>> {
  const tables = await query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'denials' ORDER BY 1")
  const digests = await query<{ name: string, digest: string }>(tables.map(({ name }) =>
    `SELECT '${name}' AS name, count(*) || ' rows ' || coalesce(md5(string_agg(md5(row_::text), '' ORDER BY md5(row_::text))), '') AS digest FROM "${name}" row_`).join(' UNION ALL '))
  return Object.fromEntries(digests.map(({ name, digest }) => [name, digest]))
}
