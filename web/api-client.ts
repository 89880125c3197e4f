/**
 * What the pages ask of the API and the gateway, both on this origin. The shapes are those of GET /documentation.
 *
 * Errors of both come as RFC 9457 problem+json with a stable code and a sentence; `ProblemError` carries them to where
 * they are shown. A request that got no answer is `OFFLINE`.
 */
import { currentSession, endSession, type Session } from './session.ts'

export type VideoStatus = 'uploading' | 'processing' | 'ready' | 'rejected' | 'failed' | 'deleted'

export interface Rendition {
  readonly name: string
  readonly track: string
  readonly width: number | null
  readonly height: number | null
  readonly codecs: string
  readonly frameRate: number | null
  readonly peakBandwidthBps: number
  readonly averageBandwidthBps: number
}

/** A video as lists have it. URLs are paths on this origin. */
export interface VideoSummary {
  readonly videoId: string
  readonly title: string
  readonly author: string
  readonly authorId: string
  readonly tags: readonly string[]
  readonly visibility: 'PUBLIC' | 'UNLISTED' | 'PRIVATE'
  readonly status: VideoStatus
  readonly playable: boolean
  readonly ready: boolean
  readonly durationMs: number | null
  readonly masterUrl: string | null
  readonly posterUrl: string | null
  readonly progress: { readonly percent: number }
  readonly createdAt: string
  readonly error?: Failure
}

export interface Video extends VideoSummary {
  readonly description: string
  readonly storyboardUrl: string | null
  readonly renditions: readonly Rendition[]
  readonly audio: readonly Rendition[]
}

export interface Failure {
  readonly code: string
  readonly message: string
}

export interface VideoPage {
  readonly items: readonly VideoSummary[]
  /** Where the next page begins; null on the last one. */
  readonly nextCursor: string | null
}

/** One fact of a video as the log has it. */
export interface Fact {
  /** From 1, without gaps. */
  readonly seq: number
  /** `<partition>:<offset>` on video-events. */
  readonly position: string
  readonly type: string
  readonly recordedAt: string
  readonly eventId: string
  readonly causeId: string | null
  readonly body: Readonly<Record<string, unknown>>
}

interface HistoryPage {
  readonly items: readonly Fact[]
  readonly nextAfterSeq: number | null
}

export class ProblemError extends Error {
  readonly code: string
  /** HTTP status; 0 when there was no answer. */
  readonly status: number

  constructor(code: string, status: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ProblemError'
    this.code = code
    this.status = status
  }
}

const PAGE_SIZE = '24'
const HISTORY_PAGE_SIZE = '200'

/** One page of the library, newest first. @param authorId only theirs: their own, whatever its state */
export const listVideos = (cursor: string | null, authorId: string | null): Promise<VideoPage> =>
  request(`/videos?${query({ limit: PAGE_SIZE, cursor, author: authorId })}`)

/** @throws ProblemError VIDEO_NOT_FOUND (404), also for private videos of others */
export const getVideo = (videoId: string): Promise<Video> => request(videoPath(videoId))

/** Every fact of the video after number `afterSeq`, in order. */
export const getFacts = async (videoId: string, afterSeq: number): Promise<readonly Fact[]> => {
  const facts: Fact[] = []
  for (let after: number | null = afterSeq; after !== null; ) {
    const page: HistoryPage = await request(
      `${videoPath(videoId)}/history?${query({ limit: HISTORY_PAGE_SIZE, afterSeq: String(after) })}`,
    )
    facts.push(...page.items)
    after = page.nextAfterSeq
  }
  return facts
}

/** An upload of the author who is signed in, as the log has it. */
export interface RecordedUpload {
  readonly status: 'open' | 'completed' | 'aborted'
  readonly storedBytes: number
}

/** @throws ProblemError UPLOAD_NOT_FOUND (404), also for those of others */
export const getUpload = (uploadId: string): Promise<RecordedUpload> =>
  request(`/uploads/${encodeURIComponent(uploadId)}`)

/** Signs in on a machine that lets anybody. @throws ProblemError NOT_FOUND where an identity provider does it */
export const signInLocally = async (name: string): Promise<Session> => {
  const body = JSON.stringify({ name })
  const headers = { 'content-type': 'application/json' }
  const { token, authorId } = await request<Omit<Session, 'name'>>('/session', { method: 'POST', headers, body })
  return { token, authorId, name }
}

const videoPath = (videoId: string): string => `/videos/${encodeURIComponent(videoId)}`

const query = (values: Readonly<Record<string, string | null>>): URLSearchParams =>
  new URLSearchParams(Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null))

const request = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
  const session = currentSession()
  const response = await answerTo(path, { ...init, headers: headersFor(init, session) })
  // A session that has run out: what anybody may see is still there to see.
  if (response.status === 401 && session !== null) {
    endSession()
    return request(path, init)
  }
  if (!response.ok) throw await problemFrom(response)
  return (await response.json()) as T
}

const headersFor = (init: RequestInit, session: Session | null): Headers => {
  const headers = new Headers(init.headers)
  headers.set('accept', 'application/json')
  if (session !== null) headers.set('authorization', `Bearer ${session.token}`)
  return headers
}

const answerTo = async (path: string, init: RequestInit): Promise<Response> => {
  try {
    return await fetch(path, init)
  } catch (cause) {
    if (init.signal?.aborted) throw cause
    throw new ProblemError('OFFLINE', 0, 'The server does not answer. Is it running, and is this machine online?', {
      cause,
    })
  }
}

const problemFrom = async (response: Response): Promise<ProblemError> => {
  const isProblem = response.headers.get('content-type')?.includes('json') ?? false
  const body: Partial<{ code: string; detail: string }> = isProblem ? await response.json() : {}
  const { code = `HTTP_${response.status}`, detail = `The server answered ${response.status}.` } = body
  return new ProblemError(code, response.status, detail)
}
