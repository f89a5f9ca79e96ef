/** How the log looks: readable on a terminal, JSON lines otherwise, and never with a secret in it. */
import type { FastifyServerOptions } from 'fastify'

/** Paths of values that let somebody in; the request log names none of them, an error or a later line might. */
const secrets = ['password', 'currentPassword', 'newPassword', 'passwordHash', 'token', 'secret', 'cookie', 'authorization', '["set-cookie"]']
const depths = ['', '*.', '*.*.', '*.*.*.']

export function loggerOptions (level: string, isTerminal: boolean = process.stdout.isTTY): NonNullable<FastifyServerOptions['logger']> {
  const paths = secrets.flatMap((name) => depths.map((depth) => `${depth}${name}`.replace('.[', '[')))
  return {
    level,
    redact: { paths, censor: '[redacted]' },
    ...(isTerminal ? { transport: { target: 'pino-pretty', options: { translateTime: 'HH:MM:ss', ignore: 'pid,hostname' } } } : {})
  }
}
