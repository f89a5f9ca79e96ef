/** The production application on a test database, and the few things that most tests do with it. */
import { randomBytes } from 'node:crypto'
import { Signer } from '@fastify/cookie'
import type { FastifyInstance, FastifyServerOptions, InjectOptions } from 'fastify'
import t from 'tap'
import { buildApp } from '../../src/app.js'
import { readConfig } from '../../src/config.js'
import { logIn as startSession } from '../../src/services/authentication.js'
import { makeOwnerOfRoot } from '../../src/services/bindings.js'
import { argon2id, type PasswordHasher } from '../../src/services/password-hashing.js'
import { createUser } from '../../src/services/users.js'
import type { TestDatabase } from './database.js'
import { assertDocumented, type OpenapiDocument } from './documented.js'
import './uncaught.js'

export const secrets = ['the first secret of the tests, 40 characters', 'an older secret of the tests, 40 characters']
export const password = 'aösdkfjgösdgäs'

type App = Awaited<ReturnType<typeof buildApp>>

export interface AppOptions {
  /** Variables of the environment that differ from the defaults. */
  environment?: Record<string, string>
  /** Registers what the production application does not have, before it is ready. */
  extend?: (app: FastifyInstance) => void
  logger?: FastifyServerOptions['logger']
}

export interface RequestOptions {
  /** Sent as JSON. */
  body?: unknown
  /** Sent as it is; give a content-type in `headers`. */
  payload?: string | Buffer
  cookie?: string
  /** Sent as a bearer token. */
  token?: string
  headers?: Record<string, string>
  remoteAddress?: string
}

export interface Response {
  status: number
  headers: Record<string, string | undefined>
  /** The values of Set-Cookie. */
  setCookie: string[]
  /** The body, parsed when it is JSON. */
  body: any
  text: string
}

export interface TestApp {
  app: App
  document: () => OpenapiDocument
  /** Sends a request past the network, and holds the answer against the OpenAPI document. */
  request: (method: string, url: string, options?: RequestOptions) => Promise<Response>
  /** Creates an account. */
  register: (account?: { email?: string, name?: string, password?: string }) => Promise<Account>
  /** Signs in; over HTTP where it matters whence. @returns the cookie to send, `name=value` */
  logIn: (account: { email: string, password?: string }, options?: RequestOptions) => Promise<string>
  /** An account that is signed in. */
  signUp: (account?: { email?: string, name?: string }) => Promise<Account & { cookie: string }>
  /** The same, who holds every right. */
  signUpAdministrator: (account?: { email?: string, name?: string }) => Promise<Account & { cookie: string }>
}

export interface Account { id: string, email: string, name: string, password: string }

let accounts = 0

const hashes = new Map<string, string>()
/** Hashes each password once. Those who only have to be there would else take half the time of the tests of routes. */
const hasher: PasswordHasher = {
  hash: async (password) => {
    const hash = hashes.get(password) ?? await argon2id.hash(password)
    hashes.set(password, hash)
    return hash
  },
  verify: async (hash, password) => hash !== undefined && (hash === hashes.get(password) || await argon2id.verify(hash, password)),
  isOutdated: () => false
}
const signer = new Signer(secrets)

/** Builds the application on a database, or on a bare URL where nothing answers. Closed when the file's tests have ended. */
export async function openTestApp (database: TestDatabase | { url: string }, { environment = {}, extend, logger }: AppOptions = {}): Promise<TestApp> {
  const config = readConfig({ RATE_LIMIT: 'off', ...environment })
  const app = await buildApp({ config, databaseUrl: database.url, secrets, ...(logger === undefined ? {} : { logger }) })
  extend?.(app as unknown as FastifyInstance)
  t.teardown(() => app.close())
  await app.ready()
  const document = () => app.swagger() as unknown as OpenapiDocument

  const request: TestApp['request'] = async (method, url, { body, payload, cookie, token, headers = {}, remoteAddress } = {}) => {
    const json = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await app.inject({
      method: method as NonNullable<InjectOptions['method']>,
      url,
      headers: { ...json, ...(cookie === undefined ? {} : { cookie }), ...(token === undefined ? {} : { authorization: `Bearer ${token}` }), ...headers },
      ...(body === undefined ? {} : { payload: JSON.stringify(body) }),
      ...(payload === undefined ? {} : { payload }),
      ...(remoteAddress === undefined ? {} : { remoteAddress })
    })
    await assertDocumented(document(), { method, path: url.split('?', 1)[0] as string, status: response.statusCode, headers: response.headers, body: response.payload })
    const isJson = response.payload !== '' && /\/(problem\+)?json/.test(String(response.headers['content-type']))
    return {
      status: response.statusCode,
      headers: response.headers as Response['headers'],
      setCookie: [response.headers['set-cookie'] ?? []].flat(),
      body: isJson ? JSON.parse(response.payload) : undefined,
      text: response.payload
    }
  }

  const register: TestApp['register'] = async (account = {}) => {
    const input = { email: `person${++accounts}@example.org`, name: `Person ${accounts}`, password, ...account }
    const { id } = await createUser(app.prisma, input, { ...config, hasher })
    return { ...input, id }
  }
  const logIn: TestApp['logIn'] = async ({ email, password: given = password }, options) => {
    if (options === undefined && !config.publicUrl?.startsWith('https:')) {
      const secret = randomBytes(24).toString('base64url')
      await startSession(app.prisma, { email, password: given, secret, ip: '127.0.0.1', userAgent: 'lightMyRequest' }, config, hasher)
      return `sessionid=${encodeURIComponent(signer.sign(secret))}`
    }
    const { status, text, setCookie } = await request('POST', '/auth/login', { ...options, body: { email, password: given } })
    if (status !== 200) throw new Error(`200 expected: ${status} ${text}`)
    return String(setCookie[0]?.split(';', 1)[0])
  }
  const signUp: TestApp['signUp'] = async (account) => {
    const registered = await register(account)
    return { ...registered, cookie: await logIn(registered) }
  }
  const signUpAdministrator: TestApp['signUpAdministrator'] = async (account) => {
    const registered = await signUp(account)
    await makeOwnerOfRoot(app.prisma, registered.id)
    return registered
  }
  return { app, document, request, register, logIn, signUp, signUpAdministrator }
}

/** Lets time pass for all sessions: moves their times back, so that nobody has to wait. */
export async function letTimePass ({ query }: TestDatabase, seconds: number): Promise<void> {
  await query(`UPDATE sessions SET created_at = created_at - d, last_seen_at = last_seen_at - d, expires_at = expires_at - d,
    absolute_expires_at = absolute_expires_at - d FROM make_interval(secs => $1) AS d`, [seconds])
}
