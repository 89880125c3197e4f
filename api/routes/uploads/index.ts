import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { BadInputError } from '../../../platform/errors.ts'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { Prisma } from '../../../prisma/client.ts'
import { reading } from '../../../prisma/reading.ts'
import { joinStoredParts, storedOf } from '../../../prisma/stored-parts.ts'
import type { RouteOptions } from '../../context.ts'
import { AfterQuery, waitForAfter } from '../../reading/after.ts'
import { decodeCursor, encodeCursor } from '../../reading/cursor.ts'
import { UploadListBody, type UploadStatus } from '../../reading/schemas.ts'
import { viewerOf } from '../../reading/viewer.ts'

/**
 * GET /uploads: the caller's own uploads, newest first, so that what is open can be resumed or given up from anywhere.
 * Not of a video that was deleted, which is gone for its author, too.
 * Nobody else's, not for an admin either: what it is for is to go on with something of one's own.
 */
const Query = Type.Object({
  status: Type.Optional(
    Type.Union([Type.Literal('open'), Type.Literal('completed'), Type.Literal('aborted')], {
      description: 'Default: all.',
    }),
  ),
  cursor: Type.Optional(Type.String({ maxLength: 400, description: 'nextCursor of the page before.' })),
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  after: AfterQuery,
})

interface UploadListRow {
  readonly video_id: string
  readonly title: string
  readonly status: UploadStatus
  readonly size_bytes: bigint | null
  readonly part_size_bytes: bigint
  readonly part_count: number | null
  /** Stored, of an open one. */
  readonly parts: number
  readonly bytes: number
  readonly created_at: Date
  readonly expires_at: Date
  readonly code: string | null
  readonly detail: string | null
}

const listUploads: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  app.get(
    '/',
    {
      schema: {
        summary: 'Your uploads, newest first',
        tags: ['uploads'],
        security: [{ author: [] }],
        querystring: Query,
        response: { 200: UploadListBody, ...problemResponses },
      },
    },
    async (request, reply) => {
      const { after, limit, status, cursor } = request.query
      const viewer = await viewerOf(context, request)
      if (viewer === null) throw new BadInputError('UNAUTHENTICATED', 'Sign in to see your uploads.')
      await waitForAfter(context, after, ['video-catalogue'])
      const where = conditions(viewer.id, status, cursor)
      const rows = await reading(() => context.db.$queryRaw<UploadListRow[]>(listing(where, limit + 1)))
      const page = rows.slice(0, limit)
      const last = rows.length > limit ? page.at(-1) : undefined
      const nextCursor =
        last === undefined ? null : encodeCursor({ createdAt: last.created_at.toISOString(), id: last.video_id })
      void reply.header('vary', 'authorization').header('cache-control', 'private, no-cache')
      return { items: page.map(itemOf), nextCursor }
    },
  )
}

const conditions = (authorId: string, status: string | undefined, cursor: string | undefined): Prisma.Sql => {
  const all = [Prisma.sql`u.author_id = ${authorId} AND v.status <> 'deleted'`]
  if (status !== undefined) all.push(Prisma.sql`u.status = ${status}`)
  if (cursor !== undefined) {
    const { createdAt, id } = decodeCursor(cursor)
    all.push(Prisma.sql`(u.created_at, u.video_id) < (${createdAt}::timestamptz, ${id})`)
  }
  return Prisma.join(all, ' AND ')
}

const listing = (where: Prisma.Sql, limit: number): Prisma.Sql => Prisma.sql`
  SELECT u.video_id, u.title, u.status, u.size_bytes, u.part_size_bytes, u.part_count, u.created_at, u.expires_at,
         u.code, u.detail, stored.parts, stored.bytes
    FROM (SELECT u.*, v.title FROM read.uploads u JOIN read.videos v ON v.id = u.video_id
           WHERE ${where} ORDER BY u.created_at DESC, u.video_id DESC LIMIT ${limit}) u
    ${joinStoredParts(Prisma.sql`u.status = 'open'`)}
   ORDER BY u.created_at DESC, u.video_id DESC`

const itemOf = (row: UploadListRow) => {
  const { status, size_bytes: sizeBytes, part_count: partCount } = row
  const stored = storedOf({ status, sizeBytes, partCount }, row)
  return {
    uploadId: row.video_id,
    videoId: row.video_id,
    title: row.title,
    status,
    sizeBytes: sizeBytes === null ? null : Number(sizeBytes),
    partSizeBytes: Number(row.part_size_bytes),
    partCount,
    storedParts: stored.parts,
    storedBytes: stored.bytes,
    createdAt: row.created_at.toISOString(),
    expiresAt: row.expires_at.toISOString(),
    code: row.code,
    detail: row.detail,
  }
}

export default listUploads
