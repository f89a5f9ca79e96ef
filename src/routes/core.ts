/** The index, the health checks, and the description of the API itself. */
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { checkReadiness } from '../services/health.js'

const Status = Type.Literal('ok')

export const coreRoutes: FastifyPluginAsyncTypebox<{ version: string }> = async (app, { version }) => {
  app.get('/', {
    config: { access: 'public' },
    schema: {
      tags: ['core'],
      summary: 'Index',
      response: {
        200: Type.Object({
          name: Type.String({ examples: ['Gatehouse'] }),
          version: Type.String({ examples: ['1.0.0'] }),
          message: Type.String({ examples: ['Hello, world. You\'re at the core index.'] }),
          links: Type.Record(Type.String(), Type.String(), { examples: [{ docs: '/docs' }] })
        }, { description: 'What this is and where to go on.' })
      }
    }
  }, async () => ({
    name: 'Gatehouse',
    version,
    message: 'Hello, world. You\'re at the core index.',
    links: { docs: '/docs', openapi: '/openapi.json', health: '/healthz', readiness: '/readyz', users: '/users', login: '/auth/login' }
  }))

  app.get('/healthz', {
    config: { access: 'public' },
    schema: { tags: ['core'], summary: 'Whether the process lives', response: { 200: Type.Object({ status: Status }, { description: 'It lives.' }) } }
  }, async () => ({ status: 'ok' as const }))

  app.get('/readyz', {
    config: { access: 'public', errors: ['overloaded'] },
    schema: {
      tags: ['core'],
      summary: 'Whether requests can be served now',
      response: { 200: Type.Object({ status: Status, checks: Type.Object({ database: Status }) }, { description: 'The database answers.' }) }
    }
  }, async () => {
    await checkReadiness(app.prisma, app.isStopping)
    return { status: 'ok' as const, checks: { database: 'ok' as const } }
  })

  app.get('/openapi.json', {
    config: { access: 'public' },
    schema: {
      tags: ['core'],
      summary: 'This description of the API',
      response: { 200: Type.Object({}, { additionalProperties: true, description: 'OpenAPI 3.1.' }) }
    }
  }, async () => app.swagger())
}
