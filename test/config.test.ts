/** The configuration: its defaults, what each variable takes, and that a refusal names the variable and never its value. */
import { resolve } from 'node:path'
import t from 'tap'
import { ConfigError, readConfig } from '../src/config.js'

t.test('without an environment everything has its default', async (t) => {
  t.same(readConfig({}), {
    host: '127.0.0.1',
    port: 3000,
    databaseUrl: undefined,
    dataDir: resolve('.data'),
    publicUrl: undefined,
    hostName: '127.0.0.1',
    trustProxy: [],
    corsOrigins: [],
    registration: 'open',
    passwordMinLength: 12,
    sessionIdleMs: 86_400_000,
    sessionMaxMs: 1_209_600_000,
    sessionMaxPerUser: 20,
    sessionSecrets: undefined,
    decisionRetentionMs: 604_800_000,
    logLevel: 'info',
    isRateLimited: true
  })
})

t.test('the environment of the process is read when none is given', async (t) => {
  const known = process.env['PASSWORD_MIN_LENGTH']
  t.teardown(() => { if (known === undefined) delete process.env['PASSWORD_MIN_LENGTH']; else process.env['PASSWORD_MIN_LENGTH'] = known })
  process.env['PASSWORD_MIN_LENGTH'] = '17'
  t.equal(readConfig().passwordMinLength, 17)
})

t.test('the configuration cannot be changed', async (t) => {
  t.throws(() => { (readConfig({}) as { port: number }).port = 1 }, TypeError)
})

const secret = 'a secret of exactly 32 character'
for (const [variable, text, property, value] of [
  ['HOST', '0.0.0.0', 'host', '0.0.0.0'],
  ['HOST', '::1', 'host', '::1'],
  ['HOST', 'my-host.example.org', 'host', 'my-host.example.org'],
  ['PORT', '0', 'port', 0],
  ['PORT', '65535', 'port', 65535],
  ['PORT', '', 'port', 3000],
  ['DATABASE_URL', 'postgres://u:p@h/d', 'databaseUrl', 'postgres://u:p@h/d'],
  ['DATABASE_URL', 'postgresql://u:p@h:5432/d?sslmode=require', 'databaseUrl', 'postgresql://u:p@h:5432/d?sslmode=require'],
  ['DATABASE_URL', '', 'databaseUrl', undefined],
  ['DATA_DIR', '/srv/gatehouse data', 'dataDir', '/srv/gatehouse data'],
  ['DATA_DIR', 'data', 'dataDir', resolve('data')],
  ['PUBLIC_URL', 'https://api.example.org', 'publicUrl', 'https://api.example.org'],
  ['PUBLIC_URL', 'https://API.example.org:443/', 'publicUrl', 'https://api.example.org'],
  ['PUBLIC_URL', 'http://localhost:8080', 'publicUrl', 'http://localhost:8080'],
  ['PUBLIC_URL', 'https://API.example.org:8443', 'hostName', 'api.example.org'],
  ['HOST', '::1', 'hostName', '::1'],
  ['TRUST_PROXY', '127.0.0.1', 'trustProxy', ['127.0.0.1']],
  ['TRUST_PROXY', ' 10.0.0.0/8 , ::1, fc00::/7 ', 'trustProxy', ['10.0.0.0/8', '::1', 'fc00::/7']],
  ['TRUST_PROXY', '::ffff:10.0.0.1/128,10.0.0.1/32,10.0.0.1/0', 'trustProxy', ['::ffff:10.0.0.1/128', '10.0.0.1/32', '10.0.0.1/0']],
  ['CORS_ORIGINS', 'https://app.example.org, http://localhost:5173', 'corsOrigins', ['https://app.example.org', 'http://localhost:5173']],
  ['CORS_ORIGINS', ' , ', 'corsOrigins', []],
  ['REGISTRATION', 'closed', 'registration', 'closed'],
  ['PASSWORD_MIN_LENGTH', '8', 'passwordMinLength', 8],
  ['PASSWORD_MIN_LENGTH', '256', 'passwordMinLength', 256],
  ['SESSION_IDLE_HOURS', '0.001', 'sessionIdleMs', 3_600],
  ['SESSION_IDLE_HOURS', '8760', 'sessionIdleMs', 31_536_000_000],
  ['SESSION_MAX_DAYS', '0.5', 'sessionMaxMs', 43_200_000],
  ['SESSION_MAX_PER_USER', '1', 'sessionMaxPerUser', 1],
  ['SESSION_SECRETS', secret, 'sessionSecrets', [secret]],
  ['SESSION_SECRETS', `${secret}, ${secret}2`, 'sessionSecrets', [secret, `${secret}2`]],
  ['DECISION_RETENTION_DAYS', '0.25', 'decisionRetentionMs', 21_600_000],
  ['LOG_LEVEL', 'silent', 'logLevel', 'silent'],
  ['RATE_LIMIT', 'off', 'isRateLimited', false]
] as const) {
  t.test(`taken: ${variable}=${JSON.stringify(text)}`, async (t) => {
    t.same(readConfig({ [variable]: text })[property], value)
  })
}

const refused: Record<string, string[]> = {
  HOST: ['not a host', 'http://127.0.0.1', 'a/b', '127.0.0.1;'],
  PORT: ['-1', '65536', '3000.5', '0x10', '1e3', ' 80', '80 ', 'http', '99999999999', '+80'],
  DATABASE_URL: ['localhost', 'mysql://u:p@h/d', 'postgresql://u:hunter2@h/d?schema=other', 'file:./dev.db', 'postgresql://u:hunter2@h:99999/d'],
  PUBLIC_URL: ['api.example.org', 'ftp://api.example.org', 'https://api.example.org/base', 'https://api.example.org/?a=b', 'https://api.example.org/#x', 'https://user@api.example.org', 'https://:hunter2@api.example.org', 'https://*.example.org'],
  TRUST_PROXY: ['true', '1', 'loopback', '10.0.0.0/33', '::1/129', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', '10.0.0', '10.0.0.1,true', 'example.org'],
  CORS_ORIGINS: ['*', 'null', 'app.example.org', 'https://app.example.org/', 'https://*.example.org', 'https://app.example.org:443', 'https://APP.example.org', 'https://a.example,*'],
  REGISTRATION: ['yes', 'OPEN', 'true'],
  PASSWORD_MIN_LENGTH: ['7', '257', '12.5', 'long'],
  SESSION_IDLE_HOURS: ['0', '-1', '8761', '1h', 'Infinity', 'NaN', '.5', '1,5'],
  SESSION_MAX_DAYS: ['0', '366', 'forever'],
  SESSION_MAX_PER_USER: ['0', '1001', '2.5'],
  SESSION_SECRETS: ['hunter2', `${secret},hunter2`, ',', ' '.repeat(40)],
  DECISION_RETENTION_DAYS: ['0', '3651'],
  LOG_LEVEL: ['verbose', 'INFO'],
  RATE_LIMIT: ['true', '0']
}
for (const [variable, texts] of Object.entries(refused)) {
  for (const text of texts) {
    t.test(`refused: ${variable}=${JSON.stringify(text)}`, async (t) => {
      try {
        readConfig({ [variable]: text })
        t.fail('it was taken')
      } catch (error) {
        t.type(error, ConfigError)
        const { message } = error as Error
        t.match(message, new RegExp(`^${variable} must be \\S.*$`), 'one line that names it')
        t.notMatch(message, 'hunter2')
      }
    })
  }
}

t.test('the first of several that do not fit is named', async (t) => {
  t.throws(() => readConfig({ PORT: 'x', LOG_LEVEL: 'x' }), { name: 'ConfigError', message: 'PORT must be a port number from 0 (any free one) to 65535' })
})
