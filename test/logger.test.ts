/** The log: JSON lines off a terminal, readable ones on it, and no secret in either. */
import { Writable } from 'node:stream'
import fastify from 'fastify'
import { prettyFactory } from 'pino-pretty'
import t from 'tap'
import { loggerOptions } from '../src/logger.js'

/** What a logger with our options writes. */
function openLog (level = 'info') {
  const lines: string[] = []
  const stream = new Writable({ write: (chunk, _encoding, done) => { lines.push(String(chunk)); done() } })
  const { log } = fastify({ logger: { ...loggerOptions(level, false) as object, stream } })
  return { log, lines }
}

t.test('a line is JSON with level, time and what was said', async (t) => {
  const { log, lines } = openLog()
  log.info({ status: 200 }, 'request')
  t.equal(lines.length, 1)
  t.match(JSON.parse(lines[0] as string), { level: 30, time: Number, status: 200, msg: 'request' })
})

t.test('what is below the level is not written', async (t) => {
  const { log, lines } = openLog('warn')
  log.info('no')
  log.warn('yes')
  t.equal(lines.length, 1)
})

for (const name of ['password', 'currentPassword', 'newPassword', 'passwordHash', 'token', 'secret', 'cookie', 'authorization', 'set-cookie']) {
  t.test(`the value of ${name} is never written, down to three levels deep`, async (t) => {
    const { log, lines } = openLog()
    log.info({ [name]: 'hunter2', one: { [name]: 'hunter2', two: { [name]: 'hunter2', three: { [name]: 'hunter2' } } } }, 'with secrets')
    log.error({ err: Object.assign(new Error('no'), { body: { [name]: 'hunter2' } }) })
    t.equal(lines.length, 2)
    t.notMatch(lines.join(''), 'hunter2')
    t.match(lines.join(''), '[redacted]')
  })
}

t.test('line breaks and control characters make no line of their own', async (t) => {
  const forged = 'Jane\r\n{"level":30,"msg":"request","status":200}\n\u001b[2J\u2028'
  const { log, lines } = openLog()
  log.info({ path: forged, ip: forged }, forged)
  t.equal(lines.length, 1)
  t.match(lines[0], /^\P{Cc}+\n$/u)
  t.match(JSON.parse(lines[0] as string), { path: forged, ip: forged, msg: forged })
  // The request log writes foreign text in such fields only; a terminal gets them escaped, too.
  const readable = prettyFactory({ colorize: false, ignore: 'pid,hostname' })(JSON.stringify({ level: 30, time: 0, msg: 'request', path: forged, ip: forged }))
  t.match(readable, /^(\P{Cc}+\n)+$/u)
  t.notMatch(readable, /^\{/m)
})

t.test('a terminal gets readable lines, everything else JSON', async (t) => {
  t.match(loggerOptions('info', true), { level: 'info', transport: { target: 'pino-pretty' } })
  t.notOk('transport' in (loggerOptions('info', false) as object))
  t.equal('transport' in (loggerOptions('info') as object), Boolean(process.stdout.isTTY), 'standard output decides')
})
