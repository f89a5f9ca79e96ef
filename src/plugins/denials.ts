/** Records why requests were denied, when they have been answered, so that nobody waits for it. */
import fp from 'fastify-plugin'
import { DeniedError } from '../errors.js'
import { type DeniedRequest, recordDenials } from '../services/denials.js'
import { openWriteBehind, type WriteBehind } from '../services/write-behind.js'

declare module 'fastify' {
  interface FastifyInstance {
    denials: WriteBehind<DeniedRequest>
  }
  interface FastifyRequest {
    /** That it was denied, and when; null otherwise. */
    denied: { error: DeniedError, at: Date } | null
  }
}

export default fp(async (app) => {
  app.decorate('denials', openWriteBehind<DeniedRequest>({
    write: async (batch) => await recordDenials(app.prisma, batch),
    ownerOf: ({ caller }) => caller.userId,
    onLoss: (count, error) => app.log.warn({ count, err: error }, 'it was not recorded why so many requests were denied')
  }))
  app.decorateRequest('denied', null)
  app.addHook('onError', (request, _reply, error, done) => {
    if (error instanceof DeniedError) request.denied = { error, at: new Date() }
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    if (request.denied === null) return done()
    const { id, method, url, caller, denied: { error: { code, denial }, at } } = request
    app.denials.add({ requestId: id, at, caller, method, path: url.split('?', 1)[0] as string, status: reply.statusCode, code, denial })
    done()
  })
  app.addHook('onClose', async () => await app.denials.flush())
}, { name: 'denials', dependencies: ['prisma', 'access'] })
