/** Removes what has expired, in the background. */
import fp from 'fastify-plugin'
import { removeExpiredSessions } from '../services/sessions.js'

const everyMs = 600_000

export default fp(async (app) => {
  let running: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    running = removeExpiredSessions(app.prisma).then(
      (count) => { if (count > 0) app.log.info({ count }, 'expired sessions removed') },
      (error) => app.log.warn({ err: error }, 'expired sessions could not be removed; the next run tries again'))
  }, everyMs)
  timer.unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await running
  })
}, { name: 'cleanup', dependencies: ['prisma'] })
