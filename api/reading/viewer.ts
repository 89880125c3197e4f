import type { FastifyRequest } from 'fastify'
import { BadInputError } from '../../platform/errors.ts'
import type { ApiContext, Viewer } from '../context.ts'

/** Who is looking; null for anybody. A token that is there must be good: a stale one is told, not ignored. */
export const viewerOf = async (
  { viewers, signIns }: Pick<ApiContext, 'viewers' | 'signIns'>,
  request: FastifyRequest,
): Promise<Viewer | null> => {
  const header = request.headers.authorization
  if (header === undefined) return null
  return signIns.guard(request, async () => viewers.authorOf(bearer(header)))
}

const bearer = (header: string): string => {
  const token = /^Bearer +(\S+)$/i.exec(header)?.[1]
  if (token !== undefined) return token
  throw new BadInputError('UNAUTHENTICATED', 'Expected: Authorization: Bearer <token>')
}

export interface Guarded {
  readonly visibility: string
  readonly authorId: string
  readonly status: string
}

/** Whether it may be shown. What may not is answered like what does not exist. */
export const maySee = (video: Guarded, viewer: Viewer | null): boolean =>
  isOwner(video, viewer) || (video.visibility !== 'PRIVATE' && video.status !== 'deleted')

export const isOwner = ({ authorId }: Pick<Guarded, 'authorId'>, viewer: Viewer | null): boolean =>
  viewer !== null && (viewer.role === 'ADMIN' || viewer.id === authorId)

export const videoNotFound = (): BadInputError => new BadInputError('VIDEO_NOT_FOUND', 'There is no such video.')
