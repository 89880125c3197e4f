import type { FastifyRequest } from 'fastify'
import { reading } from '../../prisma/reading.ts'
import type { ApiContext } from '../context.ts'
import { maySee, videoNotFound, viewerOf } from './viewer.ts'

/** Throws VIDEO_NOT_FOUND unless the video is there and the caller may see it. */
export const assertVisible = async (context: ApiContext, request: FastifyRequest, id: string): Promise<void> => {
  const viewer = await viewerOf(context, request)
  const video = await reading(() =>
    context.db.video.findUnique({ where: { id }, select: { visibility: true, authorId: true, status: true } }),
  )
  if (video === null || !maySee(video, viewer)) throw videoNotFound()
}
