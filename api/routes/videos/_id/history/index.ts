import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { problemResponses } from '../../../../../platform/http/problem-schema.ts'
import { reading } from '../../../../../prisma/reading.ts'
import type { RouteOptions } from '../../../../context.ts'
import { AfterQuery, waitForAfter } from '../../../../reading/after.ts'
import { assertVisible } from '../../../../reading/guarded-video.ts'
import { HistoryBody, VideoParams } from '../../../../reading/schemas.ts'

/** The largest integer of a Postgres column: beyond it the database refuses the question. */
const MAX_SEQ = 2_147_483_647

/** GET /videos/:id/history: what is known about a video, and why: its facts in order, each with the video after it. */
const Query = Type.Object({
  afterSeq: Type.Integer({ minimum: 0, maximum: MAX_SEQ, default: 0, description: 'Facts after this number.' }),
  limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
  after: AfterQuery,
})

const getHistory: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'The facts of a video, in order',
        tags: ['videos'],
        params: VideoParams,
        querystring: Query,
        response: { 200: HistoryBody, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { after, afterSeq, limit } = request.query
      await waitForAfter(context, after, ['video-catalogue', 'video-history'])
      await assertVisible(context, request, request.params.id)
      const rows = await reading(() =>
        context.db.videoHistory.findMany({
          where: { videoId: request.params.id, seq: { gt: afterSeq } },
          orderBy: { seq: 'asc' },
          take: limit + 1,
        }),
      )
      const items = rows.slice(0, limit).map((row) => ({
        seq: row.seq,
        position: `${row.partition}:${row.position}`,
        type: row.type,
        recordedAt: row.recordedAt.toISOString(),
        eventId: row.eventId,
        causeId: row.causeId,
        body: row.body,
        video: row.row,
      }))
      const nextAfterSeq = rows.length > limit ? (items.at(-1)?.seq ?? null) : null
      void reply.header('cache-control', 'private, no-cache')
      return { items, nextAfterSeq }
    },
  )
}

export default getHistory
