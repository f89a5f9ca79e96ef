/** How the log looks: readable on a terminal, JSON lines otherwise, and never with a secret in it. */
import type { FastifyServerOptions } from 'fastify'
import { destination } from 'pino'

/** Paths of values that let somebody in; the request log names none of them, an error or a later line might. */
const secrets = ['password', 'currentPassword', 'newPassword', 'passwordHash', 'token', 'secret', 'cookie', 'authorization', '["set-cookie"]']
const depths = ['', '*.', '*.*.', '*.*.*.']

/** Lines leave together, after so many bytes or milliseconds: a write for each would cost a busy service as much as a decision does. */
const gathered = { minLength: 4_096, periodicFlush: 100 }

/** Where the log of a service goes whose output no person reads as it comes. What has been gathered is written before the process ends. */
export function openOutput () {
  const output = destination({ dest: 1, sync: true, ...gathered })
  process.on('exit', () => { output.flushSync() })
  return output
}

export function loggerOptions (level: string, isTerminal: boolean = process.stdout.isTTY): NonNullable<FastifyServerOptions['logger']> {
  const paths = secrets.flatMap((name) => depths.map((depth) => `${depth}${name}`.replace('.[', '[')))
  return {
    level,
    redact: { paths, censor: '[redacted]' },
    ...(isTerminal ? { transport: { target: 'pino-pretty', options: { translateTime: 'HH:MM:ss', ignore: 'pid,hostname' } } } : {})
  }
}
