import { isDeepStrictEqual } from 'node:util'
import { type ChangedDetails, changeFrom } from '../ingest/gateway/details.ts'
import { type UploadDetails, UploadError } from '../ingest/sdk/index.ts'
import { requestJson, type Server, serverAt, uploadPath } from '../ingest/sdk/requests.ts'
import { deriveId, videoIdFor } from '../platform/ids.ts'
import { authorIdIn, type Connection } from './connection.ts'

/**
 * What became of a file that was imported before: the same file of the same author is one video, under the details that
 * it was first imported with. An import that was given up or whose video was deleted is over, and the next attempt has a
 * key of its own, so that it begins anew.
 */
export type EarlierImport =
  | { readonly kind: 'none'; readonly idempotencyKey: string }
  | { readonly kind: 'open'; readonly idempotencyKey: string; readonly video: ShownVideo }
  | { readonly kind: 'completed'; readonly video: ShownVideo }

/** What the API shows of a video, as far as an import asks. */
export interface ShownVideo {
  readonly videoId: string
  readonly status: string
  readonly title: string
  readonly description: string
  readonly author: string
  readonly tags: readonly string[]
  readonly visibility: NonNullable<UploadDetails['visibility']>
  readonly metadata: Readonly<Record<string, unknown>> | null
}

/** The details that somebody gave, and those alone. */
export type GivenDetails = Omit<ChangedDetails, 'visibility'> & Pick<UploadDetails, 'visibility'>

interface ShownUpload {
  readonly status: 'open' | 'completed' | 'aborted'
  /** ISO 8601. */
  readonly expiresAt: string
}

/**
 * @param version what the file is named by (UrlSource)
 * @throws UploadError when the API refuses or stays away
 */
export const findEarlierImport = async (
  version: string,
  { apiUrl, token }: Connection,
  signal: AbortSignal,
): Promise<EarlierImport> => {
  const server = serverAt(apiUrl, { token })
  const authorId = authorIdIn(token)
  for (let attempt = 1; ; attempt++) {
    const idempotencyKey = deriveId('import', version, ...attemptSuffix(attempt))
    const videoId = videoIdFor(authorId, idempotencyKey)
    const upload = await found<ShownUpload>(server, uploadPath(videoId), signal)
    if (upload === null) return { kind: 'none', idempotencyKey }
    if (isOver(upload, Date.now())) continue
    const video = await findVideo(server, videoId, signal)
    if (video === null || video.status === 'deleted') continue
    return upload.status === 'open' ? { kind: 'open', idempotencyKey, video } : { kind: 'completed', video }
  }
}

/** Null for one that is not there, or is nobody else's business. @throws UploadError */
export const findVideo = (server: Server, videoId: string, signal?: AbortSignal): Promise<ShownVideo | null> =>
  found<ShownVideo>(server, `/videos/${videoId}`, signal)

/** The first attempt is named by the file alone, as it always was. */
export const attemptSuffix = (attempt: number): readonly number[] => (attempt === 1 ? [] : [attempt])

/** Whether details were asked for that the video does not have. */
export const differs = (given: GivenDetails, video: ShownVideo): boolean =>
  Object.entries(changeFrom(given)).some(
    ([field, value]) => value !== null && !isDeepStrictEqual(value, video[field as keyof ShownVideo]),
  )

/** One that has expired is given up by the log in a moment. */
const isOver = ({ status, expiresAt }: ShownUpload, nowMs: number): boolean =>
  status === 'aborted' || (status === 'open' && Date.parse(expiresAt) <= nowMs)

const found = async <T>(server: Server, path: string, signal: AbortSignal | undefined): Promise<T | null> => {
  try {
    return await requestJson<T>(server, path, { signal })
  } catch (error) {
    if (error instanceof UploadError && error.status === 404) return null
    throw error
  }
}
