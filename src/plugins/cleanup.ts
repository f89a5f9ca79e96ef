/** Removes what has expired, in the background. */
import fp from 'fastify-plugin'
import { removeExpiredDenials } from '../services/denials.js'
import { removeExpiredLimits } from '../services/limits.js'
import { removeExpiredSessions } from '../services/sessions.js'
import { removeExpiredTokens } from '../services/tokens.js'

const everyMs = 600_000

export default fp(async (app) => {
  async function clean (): Promise<void> {
    try {
      const sessions = await removeExpiredSessions(app.prisma)
      const limits = await removeExpiredLimits(app.prisma)
      const tokens = await removeExpiredTokens(app.prisma)
      const denials = await removeExpiredDenials(app.prisma, app.config.decisionRetentionMs)
      if (sessions + limits + tokens + denials > 0) app.log.info({ sessions, limits, tokens, denials }, 'removed what has expired')
    } catch (error) {
      app.log.warn({ err: error }, 'what has expired could not be removed; the next run tries again')
    }
  }
  let running: Promise<void> = Promise.resolve()
  const timer = setInterval(() => { running = clean() }, everyMs)
  timer.unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    await running
  })
}, { name: 'cleanup', dependencies: ['prisma'] })
