/**
 * GET /watch/:id/…: HLS playback.
 *
 *     master.m3u8                     the master of the playback pointer; the URL that players are given
 *     g<generation>/current/<file>    newest revision of a playlist: reloaded while the video grows; `?_HLS_msn=<n>` waits
 *     g<generation>/…                 whatever lies below the generation in the bucket: write-once, so immutable
 *
 * Nothing outside a generation is reachable: not the source, not another video.
 */
import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { BadInputError } from '../../../../platform/errors.ts'
import { problemResponses } from '../../../../platform/http/problem-schema.ts'
import type { ApiContext, RouteOptions } from '../../../context.ts'
import { etagOf, matches, sendWithEtag } from '../../../reading/etag.ts'
import { VideoParams } from '../../../reading/schemas.ts'
import { maySee, videoNotFound, viewerOf } from '../../../reading/viewer.ts'
import { spanOf } from '../../../watch/byte-range.ts'
import { currentPlaylist } from '../../../watch/current-playlist.ts'
import { createPlaybacks, type Playback } from '../../../watch/playback.ts'
import { CURRENT_FOLDER, currentFolder, rebaseMaster } from '../../../watch/playlist-urls.ts'

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  m3u8: 'application/vnd.apple.mpegurl',
  m4s: 'video/mp4',
  mp4: 'video/mp4',
  jpg: 'image/jpeg',
  vtt: 'text/vtt; charset=utf-8',
}

const PATH = /^g(\d{1,9})\/((?:[A-Za-z0-9][A-Za-z0-9._-]{0,199}\/)*[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.([a-z0-9]{3,4}))$/

const IMMUTABLE = 'max-age=31536000, immutable'

const watch: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { context }) => {
  const playbacks = createPlaybacks(context.db, context.positions)
  app.addHook('onClose', async () => playbacks.close())

  const playbackFor = async (request: FastifyRequest, id: string): Promise<Playback> => {
    const viewer = await viewerOf(context, request)
    const playback = await playbacks.find(id)
    if (playback === null || playback.status === 'deleted' || !maySee(playback, viewer)) throw videoNotFound()
    return playback
  }
  const schema = { tags: ['watch'], params: VideoParams, response: problemResponses }

  app.get('/master.m3u8', { schema: { ...schema, summary: 'HLS master playlist' } }, async (request, reply) => {
    const { masterKey, playbackGeneration, visibility } = await playbackFor(request, request.params.id)
    if (masterKey === null || playbackGeneration === null) {
      throw new BadInputError('NOT_PLAYABLE_YET', 'There is nothing to play yet.')
    }
    const text = (await context.media.whole(masterKey)).toString()
    void reply.type(CONTENT_TYPES.m3u8 as string).header('cache-control', cacheControl(visibility, 'no-cache'))
    return sendWithEtag(request, reply, rebaseMaster(text, currentFolder(playbackGeneration)))
  })

  app.get(
    '/*',
    {
      schema: {
        ...schema,
        summary: 'Playlists, segments and pictures',
        params: Type.Object({ ...VideoParams.properties, '*': Type.String({ maxLength: 500 }) }),
        querystring: BlockingReload,
      },
    },
    async (request, reply) => {
      const { id, '*': path } = request.params
      const [, generation = '', file = '', extension = ''] = PATH.exec(path) ?? []
      const contentType = CONTENT_TYPES[extension]
      if (contentType === undefined) throw new BadInputError('NOT_FOUND', 'There is no such file.')
      const { visibility } = await playbackFor(request, id)
      const isCurrent = file.startsWith(`${CURRENT_FOLDER}/`)
      void reply.type(contentType).header('cache-control', cacheControl(visibility, isCurrent ? 'no-cache' : IMMUTABLE))
      if (!isCurrent) return sendObject(context, request, reply, `v/${id}/${path}`)
      const name = file.slice(CURRENT_FOLDER.length + 1)
      if (extension !== 'm3u8' || name.includes('/')) throw new BadInputError('NOT_FOUND', 'There is no such file.')
      const wanted = { videoId: id, generation, file: name, awaited: request.query._HLS_msn }
      const text = await currentPlaylist(context, playbacks, { ...wanted, signal: untilGone(reply, context) })
      return sendWithEtag(request, reply, text)
    },
  )
}

/** Aborts when nobody is there any more to be answered. */
const untilGone = (reply: FastifyReply, { closing }: ApiContext): AbortSignal => {
  const gone = new AbortController()
  reply.raw.once('close', () => gone.abort())
  return AbortSignal.any([gone.signal, closing])
}

const BlockingReload = Type.Object({
  _HLS_msn: Type.Optional(
    Type.Integer({
      minimum: 0,
      description: 'Of a growing playlist: answer when it has this segment, or after a while.',
    }),
  ),
})

const cacheControl = (visibility: string, rule: string): string =>
  `${visibility === 'PRIVATE' ? 'private' : 'public'}, ${rule}`

/** A key is written once, so the key is as good a validator as the bytes. */
const sendObject = async (context: ApiContext, request: FastifyRequest, reply: FastifyReply, key: string) => {
  const etag = etagOf(key)
  void reply.header('etag', etag)
  const sizeBytes = await context.media.sizeBytes(key)
  if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send()
  const ifRange = request.headers['if-range']
  const span = ifRange === undefined || ifRange === etag ? rangeOf(request, reply, sizeBytes) : null
  const bytes = span === null ? sizeBytes : span.last - span.first + 1
  void reply.header('accept-ranges', 'bytes').header('content-length', bytes)
  if (span !== null) void reply.code(206).header('content-range', `bytes ${span.first}-${span.last}/${sizeBytes}`)
  // An empty stream keeps the length that was said; an empty body would say 0.
  if (request.method === 'HEAD') return reply.send(Readable.from([]))
  return reply.send(await context.media.part(key, span))
}

const rangeOf = (request: FastifyRequest, reply: FastifyReply, sizeBytes: number) => {
  try {
    return spanOf(request.headers.range, sizeBytes)
  } catch (error) {
    void reply.header('content-range', `bytes */${sizeBytes}`)
    throw error
  }
}

export default watch
