import { Type } from 'typebox'
import { BadInputError } from '../../../platform/errors.ts'
import { problemResponses } from '../../../platform/http/problem-schema.ts'
import { actorOf, authorOf, ownVideo } from '../access.ts'
import { ChangedDetails, changeFrom } from '../details.ts'
import { ClaimAnswer, claimIdFor, IdempotencyHeaders, type Routes, VideoParams } from './routes.ts'

const ChangeHeaders = Type.Object({
  ...IdempotencyHeaders.properties,
  'if-match': Type.Optional(
    Type.String({
      pattern: '^(\\*|"[1-9][0-9]{0,8}")$',
      description: 'The revision that the change was made against.',
    }),
  ),
})

export const videosRoutes: Routes = (app, context) => {
  app.route({
    method: 'PATCH',
    url: '/videos/:videoId',
    schema: {
      tags: ['videos'],
      summary: 'Change the details of a video',
      params: VideoParams,
      headers: ChangeHeaders,
      body: ChangedDetails,
      response: { 202: ClaimAnswer, ...problemResponses },
    },
    handler: async (request, reply) => {
      const author = authorOf(request)
      const { videoId } = request.params
      const video = await ownVideo(context, author, videoId)
      const expectedRevision = revisionFrom(request.headers['if-match'])
      checkRevision(expectedRevision, video.revision)
      const change = {
        actor: actorOf(author),
        ...changeFrom(request.body),
        sealedDetails: null,
        expectedRevision,
        revision: null,
      }
      const id = claimIdFor(request.headers['idempotency-key'], 'VideoDetailsChanged', author.id, videoId)
      return reply.status(202).send(await context.claims.claim('VideoDetailsChanged', videoId, change, { id }))
    },
  })

  app.route({
    method: 'DELETE',
    url: '/videos/:videoId',
    schema: {
      tags: ['videos'],
      summary: 'Delete a video, for everybody and for ever',
      params: VideoParams,
      headers: IdempotencyHeaders,
      response: { 202: ClaimAnswer, ...problemResponses },
    },
    handler: async (request, reply) => {
      const author = authorOf(request)
      const { videoId } = request.params
      await ownVideo(context, author, videoId)
      const id = claimIdFor(request.headers['idempotency-key'], 'VideoDeleted', author.id, videoId)
      return reply
        .status(202)
        .send(await context.claims.claim('VideoDeleted', videoId, { actor: actorOf(author) }, { id }))
    },
  })
}

const revisionFrom = (ifMatch: string | undefined): number | null =>
  ifMatch === undefined || ifMatch === '*' ? null : Number(ifMatch.slice(1, -1))

/** Revisions only grow, so a row that is already past the expected one settles it; one that is behind settles nothing. */
const checkRevision = (expected: number | null, recorded: number): void => {
  if (expected === null || expected >= recorded) return
  throw new BadInputError('REVISION_CONFLICT', `The video has revision ${recorded} by now, not ${expected}.`)
}
