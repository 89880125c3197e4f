import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { Prisma } from '../../../prisma/client.ts'
import { reading } from '../../../prisma/reading.ts'
import type { RouteOptions, Viewer } from '../../context.ts'
import { AfterQuery, waitForAfter } from '../../reading/after.ts'
import { decodeCursor, encodeCursor } from '../../reading/cursor.ts'
import { sendWithEtag } from '../../reading/etag.ts'
import { VideoListBody } from '../../reading/schemas.ts'
import { SUMMARY_JSON } from '../../reading/video-json.ts'
import { viewerOf } from '../../reading/viewer.ts'

/**
 * GET /videos: newest first, by keyset, so a page costs the same however deep it is and nothing is shown twice.
 *
 * Anybody sees what is PUBLIC and can be played or is on its way there. With `author` it is everything PUBLIC of that
 * author; the author and admins see all of it.
 */
const Query = Type.Object({
  author: Type.Optional(Type.String({ maxLength: 200, description: 'authorId' })),
  tag: Type.Optional(Type.String({ maxLength: 50 })),
  status: Type.Optional(
    Type.Union((['uploading', 'processing', 'ready', 'rejected', 'failed'] as const).map((each) => Type.Literal(each))),
  ),
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 24 }),
  cursor: Type.Optional(Type.String({ maxLength: 600 })),
  after: AfterQuery,
})

interface Filters {
  readonly author?: string
  readonly tag?: string
  readonly status?: string
  readonly cursor?: string
}

interface ListRow {
  readonly body: string
  readonly id: string
  readonly created_at: Date
}

const listVideos: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'Videos, newest first',
        tags: ['videos'],
        querystring: Query,
        response: { 200: VideoListBody, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { after, limit, ...filters } = request.query
      const viewer = await viewerOf(context, request)
      await waitForAfter(context, after, ['video-catalogue'])
      const rows = await reading(
        () => context.db.$queryRaw<ListRow[]>`
          SELECT ${SUMMARY_JSON}::text AS body, v.id, v.created_at FROM read.videos v
           WHERE ${Prisma.join(conditions(filters, viewer), ' AND ')}
           ORDER BY v.created_at DESC, v.id DESC LIMIT ${limit + 1}`,
      )
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      const nextCursor =
        last === undefined ? null : encodeCursor({ createdAt: last.created_at.toISOString(), id: last.id })
      void reply.type('application/json').header('vary', 'authorization').header('cache-control', 'private, no-cache')
      const items = page.map(({ body }) => body).join(',')
      return sendWithEtag(request, reply, `{"items":[${items}],"nextCursor":${JSON.stringify(nextCursor)}}`)
    },
  )
}

const conditions = (filters: Filters, viewer: Viewer | null): Prisma.Sql[] => {
  const { author, tag, status, cursor } = filters
  const all = [Prisma.sql`v.status <> 'deleted'`]
  const own = author !== undefined && (viewer?.id === author || viewer?.role === 'ADMIN')
  if (!own) all.push(Prisma.sql`v.visibility = 'PUBLIC'`)
  if (author !== undefined) all.push(Prisma.sql`v.author_id = ${author}`)
  if (tag !== undefined) all.push(Prisma.sql`v.tags @> ARRAY[${tag}]`)
  if (status !== undefined) all.push(Prisma.sql`v.status = ${status}`)
  else if (author === undefined) all.push(Prisma.sql`(v.playable OR v.status = 'processing')`)
  else if (!own) all.push(Prisma.sql`v.status <> 'rejected'`)
  if (cursor !== undefined) {
    const { createdAt, id } = decodeCursor(cursor)
    all.push(Prisma.sql`(v.created_at, v.id) < (${createdAt}::timestamptz, ${id})`)
  }
  return all
}

export default listVideos
