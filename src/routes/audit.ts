/** The audit log: pages of it, or all of it as a stream. */
import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import Negotiator from 'negotiator'
import { type AuditEvent as AuditEventRow, listEvents, readEvents } from '../services/audit-log.js'
import { cutPage, decodeCursor, encodeCursor } from '../services/pages.js'
import { defaultLimit, PageQuery, pageOf } from './conventions.js'
import { AuditEvent, EventType, reference, Uuid } from './schemas.js'

const json = 'application/json'
const lines = 'application/x-ndjson'
/** Whether it asks for the charset that we send or for none. */
const offers = [json, lines].flatMap((type) => [type, `${type}; charset=utf-8`])

/** The longest that a timer takes. A stream lasts as long as its client reads; its statements have limits of their own. */
const neverMs = 2_147_483_647

const Moment = (description: string, example: string) => Type.Optional(Type.String({ format: 'date-time', description, examples: [example] }))

export const auditRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const streamed = new Set<FastifyReply>()
  // A client that takes its time would hold a stop up until all connections are cut.
  app.addHook('preClose', async () => { streamed.forEach(breakOff) })

  /** Sends events as JSON lines, read no faster than the client does. */
  function sendLines (reply: FastifyReply, batches: AsyncIterable<AuditEventRow[]> | Iterable<AuditEventRow[]>): FastifyReply {
    async function * texts () {
      for await (const events of batches) yield events.map((event) => `${JSON.stringify(event)}\n`).join('')
    }
    streamed.add(reply)
    reply.raw.once('close', () => streamed.delete(reply))
    return reply.type(`${lines}; charset=utf-8`).send(Readable.from(texts(), { objectMode: false }).on('error', () => breakOff(reply)))
  }

  app.get('/audit-events', {
    handlerTimeout: neverMs,
    config: { access: 'authenticated', errors: ['not-found', 'forbidden'] },
    schema: {
      tags: ['audit log'],
      summary: 'Read the audit log',
      description: 'The newest first. Needs `audit:view` on the root, or with a `resourceId` `share` on that resource; then what is hidden from you is null. ' +
        'With `Accept: application/x-ndjson` all that fits the filter is streamed, an event a line; an answer that breaks off is not complete.',
      querystring: Type.Object({
        ...PageQuery,
        limit: Type.Optional(Type.Unsafe<number>({ ...PageQuery.limit, description: 'How many items a page has at most; a stream has all.' })),
        resourceId: Type.Optional(Type.Unsafe<string>({ ...Uuid, description: 'On this resource, which may be gone.' })),
        subtree: Type.Optional(Type.Boolean({ description: 'And below it, where things stood when it happened.' })),
        actorId: Type.Optional(Type.Unsafe<string>({ ...Uuid, description: 'By this user.' })),
        type: Type.Optional(Type.Unsafe<Static<typeof EventType>>({ ...EventType, description: 'Only those of this type.' })),
        since: Moment('At this moment or later.', '2026-01-01T00:00:00Z'),
        until: Moment('Before this moment.', '2026-02-01T00:00:00Z')
      }, { additionalProperties: false }),
      response: {
        200: {
          description: 'A page of the log, or with `application/x-ndjson` all of it.',
          headers: { Vary: { type: 'string', description: 'Accept' } },
          content: { [json]: { schema: pageOf(reference(AuditEvent)) }, [lines]: { schema: reference(AuditEvent) } }
        }
      }
    }
  }, async (request, reply) => {
    const { limit = defaultLimit, cursor, subtree, resourceId, ...rest } = request.query
    const filter = { ...rest, resourceId: resourceId?.toLowerCase(), isSubtree: subtree }
    const after = decodeCursor(app.cursorKeys, 'audit-events', cursor)
    reply.header('vary', 'accept')
    if (new Negotiator(request.raw).mediaType(offers)?.startsWith(lines) === true) {
      // HEAD would read the whole log, for nothing.
      if (request.method === 'HEAD') await listEvents(app.prisma, request.caller, filter, { after, limit: 1 })
      return await sendLines(reply, request.method === 'HEAD' ? [] : readEvents(app.prisma, request.caller, filter, after))
    }
    const rows = await listEvents(app.prisma, request.caller, filter, { after, limit: limit + 1 })
    return await reply.send(cutPage(rows, limit, ({ id }) => id, (last) => encodeCursor(app.cursorKeys, 'audit-events', last)))
  })
}

/** A connection that merely ends looks like the end of the answer where a proxy speaks HTTP/1.0, which has no last chunk. */
function breakOff ({ raw, request }: FastifyReply): void {
  if (raw.headersSent) request.raw.socket.resetAndDestroy()
}
