/** The configuration: the environment, read once, checked before anything starts, frozen. */
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

const hour = 3_600_000
const day = 24 * hour

// `description` completes the sentence "NAME must be …" of a start that was refused.
const Environment = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', pattern: '^[A-Za-z0-9.:_-]+$', description: 'an address or a host name to listen on, such as 127.0.0.1 or 0.0.0.0' }),
  PORT: Type.Integer({ default: 3000, minimum: 0, maximum: 65535, description: 'a port number from 0 (any free one) to 65535' }),
  DATABASE_URL: Type.Optional(Type.String({ description: 'a PostgreSQL URL such as postgresql://user:password@host:5432/database, without the parameter "schema"' })),
  DATA_DIR: Type.String({ default: '.data', description: 'a folder' }),
  PUBLIC_URL: Type.Optional(Type.String({ description: 'the http(s) URL under which clients reach the service, without a path, such as https://api.example.org' })),
  TRUST_PROXY: Type.String({ default: '', description: 'a comma-separated list of addresses or CIDRs of the proxies in front, such as 10.0.0.0/8' }),
  CORS_ORIGINS: Type.String({ default: '', description: 'a comma-separated list of origins such as https://app.example.org' }),
  REGISTRATION: Type.Union([Type.Literal('open'), Type.Literal('closed')], { default: 'open', description: '"open" or "closed"' }),
  PASSWORD_MIN_LENGTH: Type.Integer({ default: 12, minimum: 8, maximum: 256, description: 'a whole number from 8 to 256' }),
  SESSION_IDLE_HOURS: Type.Number({ default: 24, exclusiveMinimum: 0, maximum: 8760, description: 'a number of hours above 0 and up to 8760' }),
  SESSION_MAX_DAYS: Type.Number({ default: 14, exclusiveMinimum: 0, maximum: 365, description: 'a number of days above 0 and up to 365' }),
  SESSION_MAX_PER_USER: Type.Integer({ default: 20, minimum: 1, maximum: 1000, description: 'a whole number from 1 to 1000' }),
  SESSION_SECRETS: Type.Optional(Type.String({ description: 'a comma-separated list of secrets of 32 characters or more each; the first one signs' })),
  DECISION_RETENTION_DAYS: Type.Number({ default: 7, exclusiveMinimum: 0, maximum: 3650, description: 'a number of days above 0 and up to 3650' }),
  LOG_LEVEL: Type.Union(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'].map((level) => Type.Literal(level)), { default: 'info', description: 'one of fatal, error, warn, info, debug, trace, silent' }),
  RATE_LIMIT: Type.Union([Type.Literal('on'), Type.Literal('off')], { default: 'on', description: '"on" or "off"' })
})
type Environment = Static<typeof Environment>

export type Config = ReturnType<typeof readConfig>

/** A variable of the environment does not fit; the message is one line that names it and never holds its value. */
export class ConfigError extends Error {
  override name = 'ConfigError'

  constructor (variable: keyof Environment) {
    super(`${variable} must be ${Environment.properties[variable].description}`)
  }
}

/**
 * Reads and checks the configuration. An empty variable counts as absent.
 * @throws {ConfigError} for the first variable that does not fit
 */
export function readConfig (environment: NodeJS.ProcessEnv = process.env) {
  const raw: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(Environment.properties)) {
    const text = environment[name]
    if (text === undefined || text === '') continue
    const isNumeric = schema['type'] === 'integer' || schema['type'] === 'number'
    // Plain decimals only: Number() would also take 0x10, 1e3 and blanks.
    raw[name] = isNumeric && /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : text
  }
  const values = Value.Default(Environment, raw)
  for (const problem of Value.Errors(Environment, values)) {
    throw new ConfigError(problem.path.split('/')[1] as keyof Environment)
  }
  const env = values as Environment
  const require = (variable: keyof Environment, isRight: boolean) => {
    if (!isRight) throw new ConfigError(variable)
  }

  const trustProxy = list(env.TRUST_PROXY)
  const corsOrigins = list(env.CORS_ORIGINS)
  const sessionSecrets = env.SESSION_SECRETS === undefined ? undefined : list(env.SESSION_SECRETS)
  require('DATABASE_URL', env.DATABASE_URL === undefined || isDatabaseUrl(env.DATABASE_URL))
  require('PUBLIC_URL', env.PUBLIC_URL === undefined || originOf(env.PUBLIC_URL) !== undefined)
  require('TRUST_PROXY', trustProxy.every(isAddressOrCidr))
  require('CORS_ORIGINS', corsOrigins.every((origin) => originOf(origin) === origin))
  require('SESSION_SECRETS', sessionSecrets === undefined || (sessionSecrets.length > 0 && sessionSecrets.every((secret) => secret.length >= 32)))

  return Object.freeze({
    host: env.HOST,
    port: env.PORT,
    databaseUrl: env.DATABASE_URL,
    dataDir: resolve(env.DATA_DIR),
    /** Origin under which clients reach the service; undefined: http://HOST:PORT. */
    publicUrl: env.PUBLIC_URL === undefined ? undefined : originOf(env.PUBLIC_URL),
    /** Where clients reach the service, without scheme and port. */
    hostName: env.PUBLIC_URL === undefined ? env.HOST : new URL(env.PUBLIC_URL).hostname,
    trustProxy,
    corsOrigins,
    registration: env.REGISTRATION,
    passwordMinLength: env.PASSWORD_MIN_LENGTH,
    sessionIdleMs: env.SESSION_IDLE_HOURS * hour,
    sessionMaxMs: env.SESSION_MAX_DAYS * day,
    sessionMaxPerUser: env.SESSION_MAX_PER_USER,
    /** undefined: made once and kept in dataDir. */
    sessionSecrets,
    decisionRetentionMs: env.DECISION_RETENTION_DAYS * day,
    logLevel: env.LOG_LEVEL,
    isRateLimited: env.RATE_LIMIT === 'on'
  })
}

function list (text: string): string[] {
  return text.split(',').map((item) => item.trim()).filter((item) => item !== '')
}

function isDatabaseUrl (text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  // Prisma's `schema` parameter is unknown to the driver: the tables would silently land in "public".
  return ['postgres:', 'postgresql:'].includes(url.protocol) && !url.searchParams.has('schema')
}

function originOf (text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  // No pattern is meant by it: with a wildcard it would match nothing, in silence.
  if (url.hostname.includes('*')) return undefined
  const isBare = url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
  return isBare && ['http:', 'https:'].includes(url.protocol) ? url.origin : undefined
}

function isAddressOrCidr (text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
