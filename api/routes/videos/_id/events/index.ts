import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply } from 'fastify'
import { Type } from 'typebox'
import { BadInputError } from '../../../../../platform/errors.ts'
import { problemResponses } from '../../../../../platform/http/problem-schema.ts'
import type { RouteOptions } from '../../../../context.ts'
import { AfterQuery, waitForAfter } from '../../../../reading/after.ts'
import { assertVisible } from '../../../../reading/guarded-video.ts'
import { type LiveEvent, liveEvents } from '../../../../reading/live-events.ts'
import { VideoParams } from '../../../../reading/schemas.ts'

/**
 * GET /videos/:id/events: server-sent events.
 *
 *     event: fact     each fact: {type, recordedAt, status, playable, ready, masterUrl, durationMs, percent, error?}
 *     event: status   the last one: the video is rejected, failed, deleted, or ready and pictured; then the stream ends
 *
 * At least every ten seconds something comes, if only a comment (`: quiet`).
 * A ready video is waited for to get its pictures for half a minute; that it is ready its facts have said before.
 * `Last-Event-ID` (or `?lastEventId=`) resumes behind that event. A client closes on `status`: EventSource would
 * connect again, and be told the status again.
 */
const Query = Type.Object({
  lastEventId: Type.Optional(Type.String({ maxLength: 40, description: 'As the header Last-Event-ID.' })),
  after: AfterQuery,
})

const getEvents: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'Live progress of a video (SSE)',
        tags: ['videos'],
        params: VideoParams,
        querystring: Query,
        response: {
          200: { description: 'A stream of events.', content: { 'text/event-stream': { schema: Type.String() } } },
          ...problemResponses,
        },
      },
    },
    async (request, reply) => {
      const { after, lastEventId } = request.query
      await waitForAfter(context, after, ['video-catalogue', 'video-history'])
      await assertVisible(context, request, request.params.id)
      const from = positionOf(String(request.headers['last-event-id'] ?? lastEventId ?? ''))
      const gone = new AbortController()
      request.raw.on('close', () => gone.abort())
      const signal = AbortSignal.any([gone.signal, context.closing])
      return sendStream(reply, frames(liveEvents(context, request.params.id, from, signal)))
    },
  )
}

const sendStream = (reply: FastifyReply, chunks: AsyncIterable<Buffer>): FastifyReply =>
  reply
    .type('text/event-stream; charset=utf-8')
    .header('cache-control', 'no-store')
    .header('x-accel-buffering', 'no')
    .send(Readable.from(chunks))

/** Positions begin at 0, so -1 is before the first. */
const positionOf = (id: string): bigint => {
  if (id === '') return -1n
  const offset = /^\d{1,9}:(\d{1,15})$/.exec(id)?.[1]
  if (offset === undefined) throw new BadInputError('EVENT_ID_INVALID', 'Last-Event-ID is not one of this stream.')
  return BigInt(offset)
}

async function* frames(events: AsyncIterable<LiveEvent | null>): AsyncGenerator<Buffer> {
  yield Buffer.from('retry: 1000\n\n')
  for await (const live of events) {
    yield Buffer.from(
      live === null ? ': quiet\n\n' : `event: ${live.event}\nid: ${live.id}\ndata: ${JSON.stringify(live.data)}\n\n`,
    )
  }
}

export default getEvents
