import path from 'node:path'
import type { FfmpegCommand } from '../../../media/arguments.ts'
import { posterCommand } from '../../../media/arguments.ts'
import type { Sink } from '../../../media/ffmpeg.ts'
import { parseMedia } from '../../../media/hls/parse.ts'
import { planStoryboard, storyboardCommand, storyboardVtt } from '../../../media/storyboard.ts'
import { BugError, UpstreamError } from '../../../platform/errors.ts'
import type { Executor } from '../../../runtime/run/executors.ts'
import { alternativeKey, type ThumbnailName, thumbnailKey } from '../../../storage/object-keys.ts'
import type { ProxiedObject } from '../../../storage/range-proxy.ts'
import { headObject, readWhole } from '../../../storage/read-object.ts'
import { IMMUTABLE, putOnce } from '../../../storage/write-once.ts'
import type { ExtractThumbnailsInput, ThumbnailsOutcome } from '../generated.ts'
import { type EncodingTools, encode, failureOf, withSource } from './encode.ts'

/**
 * Poster and storyboard. The poster is one seek into the source; the storyboard is taken from the finished smallest
 * rendition, read through the proxy as one file, which costs a fraction of decoding the source again.
 */
export const extractThumbnailsWith =
  (tools: EncodingTools): Executor<ExtractThumbnailsInput, ThumbnailsOutcome> =>
  async (input, { signal }) => {
    try {
      const poster = await withSource(tools.proxy, input.source, (file) =>
        picture(tools, (url) => posterCommand(input.plan, file.url, url), signal),
      )
      const board = planStoryboard(input.plan.durationMs)
      const rendition = tools.proxy.register(...(await objectsOf(tools, input.playlistKey, signal)))
      try {
        const sprite = await picture(tools, (url) => storyboardCommand(board, rendition.url, url), signal)
        const posterKey = await store(tools, input, 'poster.jpg', poster, signal)
        const storyboardKey = await store(tools, input, 'storyboard.jpg', sprite, signal)
        const vtt = Buffer.from(storyboardVtt(board, path.posix.basename(storyboardKey)))
        const storyboardVttKey = await store(tools, input, 'storyboard.vtt', vtt, signal)
        return { done: { posterKey, storyboardKey, storyboardVttKey }, failure: null }
      } finally {
        rendition.dispose()
      }
    } catch (error) {
      return { done: null, failure: failureOf(error, signal) }
    }
  }

/** Runs a command that writes one JPEG and returns its bytes. */
const picture = async (
  { ffmpeg }: EncodingTools,
  build: (outputUrl: string) => FfmpegCommand,
  signal: AbortSignal,
): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  const sink: Sink = async (bytes) => {
    for await (const chunk of bytes) chunks.push(chunk)
  }
  await encode(ffmpeg, ([url]) => build(url ?? ''), [sink], { signal })
  const jpeg = Buffer.concat(chunks)
  if (jpeg.length > 0) return jpeg
  throw new UpstreamError('NO_PICTURE', 'FFmpeg wrote no picture', { retryable: false })
}

/** What the playlist names, in order: the header, then the segments. */
const objectsOf = async (
  { s3, bucket }: EncodingTools,
  playlistKey: string,
  signal: AbortSignal,
): Promise<readonly ProxiedObject[]> => {
  const playlist = parseMedia(
    (await readWhole(s3, { bucket, key: playlistKey }, MAX_PLAYLIST_BYTES, { signal })).toString(),
  )
  const uris = [playlist.mapUri, ...playlist.segments.map(({ uri }) => uri)]
  const objects: ProxiedObject[] = []
  for (const uri of uris) {
    const key = path.posix.join(path.posix.dirname(playlistKey), uri ?? '')
    const head = await headObject(s3, { bucket, key }, { signal })
    if (head === null) throw new BugError('OBJECT_MISSING', `${playlistKey} names ${key}, which is not there`)
    objects.push({ bucket, key, etag: head.etag, sizeBytes: head.sizeBytes })
  }
  return objects
}

/** A day of six-second segments takes about one. */
const MAX_PLAYLIST_BYTES = 8 * 1024 * 1024

const CONTENT_TYPES: Readonly<Record<ThumbnailName, string>> = {
  'poster.jpg': 'image/jpeg',
  'storyboard.jpg': 'image/jpeg',
  'storyboard.vtt': 'text/vtt',
}

/** Written once; another build of FFmpeg may have written other bytes before, then under the attempt's own key. */
const store = async (
  { s3, bucket }: EncodingTools,
  { videoId, generation, attempt }: ExtractThumbnailsInput,
  name: ThumbnailName,
  body: Buffer,
  signal: AbortSignal,
): Promise<string> => {
  const key = thumbnailKey(videoId, generation, name)
  const object = { bucket, body, contentType: CONTENT_TYPES[name], cacheControl: IMMUTABLE }
  if ((await putOnce(s3, { ...object, key }, { signal })) !== 'exists-different') return key
  const alternative = alternativeKey(key, attempt)
  if ((await putOnce(s3, { ...object, key: alternative }, { signal })) !== 'exists-different') return alternative
  throw new UpstreamError('KEY_TAKEN', `${key} and its alternative hold other bytes`, { retryable: false })
}
