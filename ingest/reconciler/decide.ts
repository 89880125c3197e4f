import type { StoredPart as ListedPart } from '../../storage/multipart.ts'
import { revisionOfPlaylist, VIDEOS_PREFIX, videoIdOfSource } from '../../storage/object-keys.ts'
import { MAX_PARTS, partRange } from '../../storage/part-size.ts'
import type { StoredPart } from '../part-claim.ts'

/**
 * What to do about a difference between S3 and the log: every decision of the reconciler, without I/O.
 *
 * One rule stands above all others: WHAT THE LOG MAY STILL NAME IS NEVER TOUCHED. Most decisions rest on a fact that says
 * so: the upload ended, another multipart won, the video was deleted. Such facts never change, so an old read model can
 * only make us do less. One decision rests on the ABSENCE of a fact, the multipart of which nothing is recorded, and it
 * needs two things more (docs/adr/0018): everything that was claimed before the list was made has been folded
 * (log-horizon.ts), and the multipart is older than the grace period, so that no claim can follow any more.
 */
export type Action =
  | { readonly kind: 'abort-multipart'; readonly key: string; readonly s3UploadId: string; readonly why: string }
  | { readonly kind: 'report-part'; readonly upload: OpenUpload; readonly part: StoredPart; readonly why: string }
  | { readonly kind: 'delete-objects'; readonly prefix: string; readonly why: string }
  | { readonly kind: 'delete-playlists'; readonly keys: readonly string[]; readonly why: string }

/** Something that is left as it is, though it differs or might. */
export interface Left {
  readonly kind: 'left'
  readonly what: string
  readonly why: string
}

export type Finding = Action | Left

/** As ListMultipartUploads gives it. */
export interface ListedMultipart {
  readonly key: string
  readonly s3UploadId: string
  /** By the clock of S3 alone; null where that cannot be said. */
  readonly ageMs: number | null
}

/** What the log says of a video, as far as it was folded. */
export interface RecordedVideo {
  /** `deleted`, or any other. */
  readonly status: string
  /** When the last fact changed it: for a deleted one its deletion, nothing follows that. */
  readonly updatedAtMs: number
  /** Null for an import. */
  readonly upload: RecordedUpload | null
  readonly generations: readonly RecordedGeneration[]
}

/** One encode, as far as its playlists are published. */
export interface RecordedGeneration {
  readonly generation: number
  /** The newest, which players get: keys with a higher number are of one that is being published. */
  readonly revision: number
}

export interface RecordedUpload {
  readonly s3UploadId: string
  readonly status: 'open' | 'completed' | 'aborted'
  readonly updatedAtMs: number
}

export interface OpenUpload {
  readonly videoId: string
  readonly bucket: string
  readonly objectKey: string
  readonly s3UploadId: string
  readonly partSizeBytes: number
  readonly partCount: number | null
  readonly sizeBytes: number | null
  readonly rejections: number
}

export interface Patience {
  /** Nothing that is younger is touched, ms. */
  readonly graceMs: number
  /** How long the objects of a deleted video are kept, ms. */
  readonly retentionMs: number
  /** For how long after the grace period the playlists of a video are looked at, ms: a listing each, in every run. */
  readonly playlistsForMs: number
}

/**
 * @param video null = nothing is recorded
 * @param isLogFolded whether everything that was claimed before the list was made has been folded
 */
export const decideMultipart = (
  multipart: ListedMultipart,
  video: RecordedVideo | null,
  isLogFolded: boolean,
  { graceMs }: Patience,
): Finding => {
  const { key, s3UploadId, ageMs } = multipart
  const left = (why: string): Left => ({ kind: 'left', what: `${key} ${s3UploadId}`, why })
  if (videoIdOfSource(key) === null) return left('is not the multipart of a source')
  if (video?.upload?.status === 'open' && video.upload.s3UploadId === s3UploadId) return left('is an open upload')
  if (ageMs === null) return left('S3 does not say how old it is')
  if (ageMs < graceMs) return left('is younger than the grace period')
  if (video === null && !isLogFolded) return left('the read model is behind the log, which may name it')
  return { kind: 'abort-multipart', key, s3UploadId, why: reasonToAbort(s3UploadId, video) }
}

const reasonToAbort = (s3UploadId: string, video: RecordedVideo | null): string => {
  if (video === null) return 'no upload names it'
  if (video.upload === null) return 'its video was imported'
  if (video.upload.s3UploadId !== s3UploadId) return 'the upload of its video is another one'
  return `its upload is ${video.upload.status}`
}

/**
 * Parts that S3 has and nobody reported: their client died between the two, and need not send them again. A claim like
 * any other, which admission and then finish-upload judge. Only with a checksum from S3: what the client would have
 * reported as its checksum must not be made up.
 */
export const decideParts = (
  upload: OpenUpload,
  recorded: ReadonlySet<number>,
  listed: readonly ListedPart[],
): readonly Finding[] =>
  listed
    .filter(({ partNumber }) => !recorded.has(partNumber) && isPossible(upload, partNumber))
    .map((part): Finding => {
      const { checksumSha256 } = part
      const what = `part ${part.partNumber} of ${upload.objectKey}`
      if (checksumSha256 === null) return { kind: 'left', what, why: 'S3 lists no checksum, its client reports it' }
      if (!isPlanned(upload, part)) return { kind: 'left', what, why: 'has another length than the plan gives it' }
      return { kind: 'report-part', upload, part: { ...part, checksumSha256 }, why: 'is stored and was not reported' }
    })

const isPossible = ({ partCount }: OpenUpload, partNumber: number): boolean =>
  partNumber >= 1 && partNumber <= (partCount ?? MAX_PARTS)

const isPlanned = ({ sizeBytes, partSizeBytes }: OpenUpload, part: ListedPart): boolean =>
  sizeBytes === null
    ? part.sizeBytes <= partSizeBytes
    : partRange(sizeBytes, partSizeBytes, part.partNumber)?.sizeBytes === part.sizeBytes

/**
 * The objects below `v/<videoId>/`: kept unless the log says that the video is over. Null = they belong there.
 */
export const decideObjects = (
  videoId: string,
  video: RecordedVideo | null,
  nowMs: number,
  { graceMs, retentionMs }: Patience,
): Finding | null => {
  const prefix = `${VIDEOS_PREFIX}${videoId}/`
  if (video === null) return { kind: 'left', what: prefix, why: 'nothing is recorded of this video' }
  if (video.status === 'deleted') {
    if (nowMs - video.updatedAtMs < retentionMs) {
      return { kind: 'left', what: prefix, why: 'its video was deleted not long ago' }
    }
    return { kind: 'delete-objects', prefix, why: 'its video was deleted' }
  }
  if (video.upload?.status !== 'aborted') return null
  if (nowMs - video.upload.updatedAtMs < graceMs) {
    return { kind: 'left', what: prefix, why: 'its upload was aborted not long ago' }
  }
  return { kind: 'delete-objects', prefix, why: 'its upload was aborted' }
}

/** Encodes of which superseded playlists may be left. Only of videos of which nothing new was heard for a while. */
export const generationsToSweep = (
  video: RecordedVideo | null,
  nowMs: number,
  { graceMs, playlistsForMs }: Patience,
): readonly RecordedGeneration[] => {
  if (video === null) return []
  const quietMs = nowMs - video.updatedAtMs
  if (quietMs < graceMs || quietMs - graceMs > playlistsForMs) return []
  return video.generations.filter(({ revision }) => revision > 1)
}

/**
 * Revisions that a newer one of the same encode has taken the place of. Players are given `current/` alone, and behind it
 * the API finds the newest. An encode is never judged by another one: players stay in the one that they began with.
 */
export const decidePlaylists = (newest: RecordedGeneration, listed: readonly string[]): Finding | null => {
  const keys = listed.filter((key) => (revisionOfPlaylist(key) ?? newest.revision) < newest.revision)
  return keys.length === 0 ? null : { kind: 'delete-playlists', keys, why: `revision ${newest.revision} is the newest` }
}

/** For people. */
export const spanOf = (keys: readonly string[]): string =>
  keys.length === 1 ? `${keys[0]}` : `${keys[0]} … ${keys.at(-1)} (${keys.length})`
