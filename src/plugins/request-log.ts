/** One line in the log for each request, when it has been answered. */
import fp from 'fastify-plugin'

export default fp(async (app) => {
  app.addHook('onResponse', async (request, reply) => {
    request.log.info({
      method: request.method,
      // Without the query, which may hold addresses.
      path: request.url.split('?', 1)[0],
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      ip: request.ip,
      userId: (request.bearer ?? request.session?.identity)?.user.id
    }, 'request')
  })
}, { name: 'request-log' })
