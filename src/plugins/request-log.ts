/** One line in the log for each request, when it has been answered. */
import fp from 'fastify-plugin'

export default fp(async (app) => {
  // The fields of this line are known not to be secrets, and looking through them for some is a tenth of an answer's work.
  const log = app.log.child({}, { redact: [] })
  app.addHook('onResponse', (request, reply, done) => {
    log.info({
      requestId: request.id,
      method: request.method,
      // Without the query, which may hold addresses.
      path: request.url.split('?', 1)[0],
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      ip: request.ip,
      userId: (request.bearer ?? request.session?.identity)?.user.id
    }, 'request')
    done()
  })
}, { name: 'request-log' })
