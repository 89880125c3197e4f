import { followVideo } from '../../ingest/sdk/index.ts'
import type { Failure, VideoStatus } from '../api-client.ts'
import { currentSession } from '../session.ts'

/** What the live stream of a video says with each fact: the fact's type, and the video as it is after it. */
export interface LiveFact {
  readonly type: string
  readonly recordedAt: string
  readonly status: VideoStatus
  readonly playable: boolean
  readonly ready: boolean
  /** null until it is playable. */
  readonly masterUrl: string | null
  readonly percent: number
  readonly error?: Failure
}

export interface LiveOptions {
  readonly videoId: string
  /** Position of the newest fact that is known; null = tell all from the first. */
  readonly afterPosition: string | null
  onFact(fact: LiveFact): void
  /** Ends it early. */
  readonly signal: AbortSignal
}

/**
 * Calls `onFact` for each fact to come, in order, each once, over any cut. Resolves when nothing follows any more (it is
 * ready and has its pictures, or is rejected, failed or deleted), or when the signal aborts.
 */
export const followLive = async ({ videoId, afterPosition, onFact, signal }: LiveOptions): Promise<void> => {
  const over = new AbortController()
  await followVideo(
    videoId,
    ({ type, data }) => {
      if (type === 'fact') onFact(JSON.parse(data) as LiveFact)
      if (type === 'status') over.abort()
    },
    {
      apiUrl: location.origin,
      token: currentSession()?.token,
      lastEventId: afterPosition ?? undefined,
      signal: AbortSignal.any([signal, over.signal]),
      fetch: (...request) => fetch(...request),
    },
  )
}
