/** The application: every Fastify option, and the plugins in the order that makes the security model. Tests build the same. */
import { randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { createRequire } from 'node:module'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, { type FastifyServerOptions, LogController } from 'fastify'
import type { Config } from './config.js'
import access from './plugins/access.js'
import cleanup from './plugins/cleanup.js'
import denials from './plugins/denials.js'
import limits from './plugins/limits.js'
import openapi from './plugins/openapi.js'
import prisma from './plugins/prisma.js'
import problem, { answerClientError, sendFrameworkError } from './plugins/problem.js'
import requestLog from './plugins/request-log.js'
import security from './plugins/security.js'
import { compilers } from './plugins/compilers.js'
import session from './plugins/session.js'
import token from './plugins/token.js'
import validation, { strictAjv } from './plugins/validation.js'
import { routes } from './routes/index.js'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    /** Keys that sign cursors. */
    cursorKeys: string[]
    /** The URL on which the server listens; known once it does. */
    listenOrigin: () => string
    /** True from the moment that the process was told to stop: readiness turns 503 first. */
    isStopping: boolean
  }
}

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }

export interface AppOptions {
  config: Config
  databaseUrl: string
  /** Keys that sign cookies and cursors; the first one signs, all are accepted. */
  secrets: string[]
  logger?: FastifyServerOptions['logger']
}

/** Builds the application; it does not listen. Closing it closes its database pool. */
export async function buildApp ({ config, databaseUrl, secrets, logger = false }: AppOptions) {
  const app = fastify({
    logger,
    logController: new LogController({ disableRequestLogging: true }),
    // One of its own for each request was a thirtieth of an answer's work. What has something to say about a request names it.
    childLoggerFactory: (log) => log,
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    trustProxy: config.trustProxy.length > 0 ? config.trustProxy : false,
    ajv: { customOptions: strictAjv },
    schemaController: { compilersFactory: compilers },
    bodyLimit: 65_536,
    // An id is never too long to be unknown.
    routerOptions: { maxParamLength: 16_384 },
    // The limit for a whole request is the larger of requestTimeout and headersTimeout, looked at each checking interval.
    requestTimeout: 15_000,
    handlerTimeout: 30_000,
    // Node would refuse a request without a Host by itself, in a form of its own: src/plugins/security.ts does.
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    // A request may name its target in absolute form (RFC 9112, 3.2.2); the session plugin takes only a path.
    rewriteUrl: ({ url = '/' }) => url.replace(/^https?:\/\/[^/?]*\/?/i, '/'),
    // While stopping, requests on open connections are still answered; the last answer closes the connection.
    return503OnClosing: false,
    frameworkErrors: sendFrameworkError,
    clientErrorHandler: answerClientError
  }).withTypeProvider<TypeBoxTypeProvider>()

  app.decorate('config', config)
  app.decorate('cursorKeys', secrets)
  app.decorate('isStopping', false)
  // Fastify says so to requests that arrive while it closes. Those that are being answered then would leave their connections open,
  // and the stop would wait until the clients let go of them.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (app.isStopping) reply.header('connection', 'close')
    done()
  })

  // Node refuses what it does not expect, likewise; one may as well not care (RFC 9110, 10.1.1).
  app.server.on('checkExpectation', app.routing)

  app.decorate('listenOrigin', () => {
    const { port } = (app.server.address() ?? { port: config.port }) as AddressInfo
    return `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${port}`
  })
  const isHttps = config.publicUrl?.startsWith('https:') ?? false

  await app.register(problem)
  await app.register(validation)
  await app.register(requestLog)
  await app.register(prisma, { databaseUrl })
  await app.register(security, { isHttps, corsOrigins: config.corsOrigins, ownOrigin: () => config.publicUrl ?? app.listenOrigin() })
  await app.register(session, { secrets, isHttps, lifetimes: config })
  await app.register(token)
  await app.register(access)
  await app.register(denials)
  await app.register(limits, { isOn: config.isRateLimited, secrets, isHttps })
  await app.register(cleanup)
  await app.register(openapi, { version, cookieName: isHttps ? '__Host-sessionid' : 'sessionid' })
  await app.register(routes, { version })
  return app
}
