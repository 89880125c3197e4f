import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { problemResponses } from '../../../../platform/http/problem-schema.ts'
import { reading } from '../../../../prisma/reading.ts'
import type { RouteOptions } from '../../../context.ts'
import { AfterQuery, waitForAfter } from '../../../reading/after.ts'
import { sendWithEtag } from '../../../reading/etag.ts'
import { VideoBody, VideoParams } from '../../../reading/schemas.ts'
import { VIDEO_JSON } from '../../../reading/video-json.ts'
import { type Guarded, isOwner, maySee, videoNotFound, viewerOf } from '../../../reading/viewer.ts'

/** GET /videos/:id: the watch page in one query. Private and deleted ones are there for their author only. */
interface VideoText extends Guarded {
  readonly body: string
}

const getVideo: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'One video',
        tags: ['videos'],
        params: VideoParams,
        querystring: Type.Object({ after: AfterQuery }),
        response: { 200: VideoBody, ...problemResponses },
      },
    },
    async (request, reply) => {
      const viewer = await viewerOf(context, request)
      await waitForAfter(context, request.query.after, ['video-catalogue'])
      const [video] = await reading(
        () => context.db.$queryRaw<VideoText[]>`
          SELECT ${VIDEO_JSON}::text AS body, v.visibility, v.author_id AS "authorId", v.status
            FROM read.videos v WHERE v.id = ${request.params.id}`,
      )
      if (video === undefined || !maySee(video, viewer)) throw videoNotFound()
      const shared = video.visibility !== 'PRIVATE' && !isOwner(video, viewer)
      void reply
        .type('application/json')
        .header('vary', 'authorization')
        .header('cache-control', shared ? 'public, max-age=0, must-revalidate' : 'private, no-cache')
      return sendWithEtag(request, reply, video.body)
    },
  )
}

export default getVideo
