import type { FastifyRequest } from 'fastify'
import { BadInputError } from '../../platform/errors.ts'
import { type Author, unauthenticated } from '../../platform/http/author-token.ts'
import { clientNetworkOf } from '../../platform/http/client-network.ts'
import type { Actor } from '../../schemas/generated.ts'
import type { GatewayContext } from './context.ts'
import type { UploadHandle } from './upload-handle.ts'
import type { RecordedUpload, RecordedVideo } from './upload-reads.ts'

/**
 * Who may do what. An author may do everything with the own videos, an admin with any; the holder of an upload handle
 * may put parts into that upload and give it up. The same rules are checked again by admit-events, which decides; here
 * they spare a round trip and give a good answer.
 */
export type Caller =
  | { readonly kind: 'author'; readonly author: Author }
  | { readonly kind: 'handle'; readonly handle: UploadHandle }

/** For `onRequest`: before the body is read. */
export const authenticateAuthor = (context: GatewayContext) => signingIn(context, (token) => authorBy(context, token))

/** For `onRequest`: an author's token or an upload handle. */
export const authenticateCaller = (context: GatewayContext) =>
  signingIn(context, async (token) =>
    context.handles.recognises(token)
      ? { kind: 'handle', handle: await context.handles.verify(token) }
      : authorBy(context, token),
  )

const authorBy = async ({ authenticator }: GatewayContext, token: string): Promise<Caller> => ({
  kind: 'author',
  author: await authenticator.authorOf(token),
})

const signingIn =
  ({ signIns }: GatewayContext, callerBy: (token: string) => Promise<Caller>) =>
  async (request: FastifyRequest): Promise<void> => {
    request.setDecorator('caller', await signIns.guard(request, async () => callerBy(bearer(request))))
  }

/** Of a request that passed `authenticateAuthor`. */
export const authorOf = (request: FastifyRequest): Author => {
  const caller = callerOf(request)
  if (caller?.kind === 'author') return caller.author
  throw unauthenticated('An author must sign in for this.')
}

/** The upload, if the caller may act on it. @throws BadInputError UPLOAD_NOT_FOUND, FORBIDDEN */
export const ownUpload = async (
  context: GatewayContext,
  request: FastifyRequest,
  uploadId: string,
): Promise<{ readonly upload: RecordedUpload; readonly actor: Actor }> => {
  const caller = callerOf(request)
  if (caller === null) throw unauthenticated('Sign in first.')
  if (caller.kind === 'handle' && caller.handle.uploadId !== uploadId)
    throw forbidden('This token is of another upload.')
  const upload = await context.reads.findUpload(uploadId)
  if (upload === null) throw new BadInputError('UPLOAD_NOT_FOUND', 'There is no such upload.')
  if (caller.kind === 'handle') {
    // A handle of a create that lost: it was never handed out by us, or the log has been made anew since.
    if (caller.handle.s3UploadId !== upload.s3UploadId) throw forbidden('This token is of another upload.')
    return { upload, actor: { id: caller.handle.authorId, role: 'AUTHOR' } }
  }
  if (!mayActFor(caller.author, upload.authorId)) throw forbidden('This upload belongs to somebody else.')
  return { upload, actor: actorOf(caller.author) }
}

/** @throws BadInputError UPLOAD_CLOSED */
export const checkOpen = ({ clock }: GatewayContext, upload: RecordedUpload): void => {
  if (upload.status === 'open' && upload.expiresAtMs > clock.now()) return
  const why = upload.status === 'open' ? 'expired' : upload.status
  throw new BadInputError('UPLOAD_CLOSED', `The upload is ${why}: it takes no parts any more.`)
}

/** The video, if the author may change it. @throws BadInputError VIDEO_NOT_FOUND, FORBIDDEN */
export const ownVideo = async (context: GatewayContext, author: Author, videoId: string): Promise<RecordedVideo> => {
  const video = await context.reads.findVideo(videoId)
  if (video === null || video.status === 'deleted') throw videoNotFound()
  if (mayActFor(author, video.authorId)) return video
  // Whether somebody's private video exists is nobody's business.
  throw video.details.visibility === 'PRIVATE' ? videoNotFound() : forbidden('This video belongs to somebody else.')
}

export const actorOf = ({ id, role }: Author): Actor => ({ id, role })

/** For rate limits: the caller, or the address of who is not known. */
export const rateKey = (request: FastifyRequest): string => {
  const caller = callerOf(request)
  if (caller === null) return clientNetworkOf(request.ip)
  return caller.kind === 'author' ? caller.author.id : caller.handle.authorId
}

const callerOf = (request: FastifyRequest): Caller | null => request.getDecorator<Caller | null>('caller')

const bearer = (request: FastifyRequest): string => {
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')
  if (match?.[1] !== undefined) return match[1]
  throw unauthenticated('A token is needed: Authorization: Bearer …')
}

const mayActFor = (author: Author, ownerId: string): boolean => author.role === 'ADMIN' || author.id === ownerId
const forbidden = (message: string): BadInputError => new BadInputError('FORBIDDEN', message)
const videoNotFound = (): BadInputError => new BadInputError('VIDEO_NOT_FOUND', 'There is no such video.')
