/**
 * One file on its way, from its turn to the video that can be watched: drives the SDK, follows the pipeline, and tells a
 * row. What can be tried again can be tried again: a failed upload is still open, and goes on where it was.
 */
import {
  createUpload,
  type Upload,
  type UploadDetails,
  type UploadMemory,
  type UploadProgress,
} from '../../ingest/sdk/index.ts'
import { getVideo, ProblemError } from '../api-client.ts'
import { currentSession } from '../session.ts'
import { watchPath } from '../video/card.ts'
import { followLive, type LiveFact } from '../video/live.ts'
import { emptyPipeline, evolvePipeline, type Pipeline, withPercent } from '../video/pipeline.ts'
import { alone } from './open-uploads.ts'
import type { UploadRow } from './row.ts'
import { createTurns } from './turns.ts'

export interface Job {
  readonly file: File
  readonly fingerprint: string
  readonly details: UploadDetails
  readonly memory: UploadMemory
}

export interface RunningJob {
  pause(): void
  resume(): void
  cancel(): void
  /** Resolves when the row will not change any more by itself; rejects with what the row shows as its failure. */
  readonly done: Promise<'uploaded' | 'cancelled'>
  /** Until then, leaving the page interrupts it. */
  readonly sent: Promise<void>
}

/** One after the other, each with all of the line: the first is there soonest, and no browser opens more connections. */
const sending = createTurns(1)

export const runJob = (job: Job, row: UploadRow): RunningJob => {
  let upload: Upload | undefined
  const cancelled = Promise.withResolvers<undefined>()
  const sent = Promise.withResolvers<void>()
  const run = async (): Promise<'uploaded' | 'cancelled'> => {
    row.show({ kind: 'waiting' })
    const turn = sending.enter()
    const leave = await Promise.race([turn, cancelled.promise])
    // Its turn will come all the same, and is passed on.
    if (leave === undefined) {
      void turn.then((leave) => leave())
      return 'cancelled'
    }
    try {
      const { videoId } = await alone(job.fingerprint, () => {
        upload = send(job, row, leave)
        return upload.done
      })
      sent.resolve()
      leave()
      await followVideo(videoId, row)
      return 'uploaded'
    } catch (error) {
      if (upload?.state === 'cancelled') return 'cancelled'
      throw error
    } finally {
      leave()
    }
  }
  const done = run().finally(sent.resolve)
  return {
    done,
    sent: sent.promise,
    pause: () => upload?.pause(),
    resume: () => upload?.resume(),
    cancel() {
      cancelled.resolve(undefined)
      void upload?.cancel()
    },
  }
}

const send = ({ file, fingerprint, details, memory }: Job, row: UploadRow, leave: () => void): Upload => {
  const upload = createUpload(file, {
    ...{ gatewayUrl: location.origin, details, memory, fingerprint, giveUpAfterMs: Number.POSITIVE_INFINITY },
    token: () => currentSession()?.token ?? '',
  })
  let progress: UploadProgress | null = null
  let isOffline = false
  const show = (): void => {
    const { state } = upload
    if (state === 'uploading' || state === 'paused') row.show({ kind: state, progress, isOffline })
    if (state === 'completing') row.show({ kind: 'checking', isOffline })
  }
  upload.on('progress', (value) => {
    progress = value
    show()
  })
  upload.on('waiting', (isWaiting) => {
    isOffline = isWaiting
    show()
  })
  upload.on('state', (state) => {
    show()
    // Whoever pauses lets the next one go on.
    if (state !== 'uploading') leave()
  })
  show()
  return upload
}

/** Each holds a connection to our origin, of which browsers open six; uploads need some, too. */
const following = createTurns(3)

/** Shows what becomes of the video. Resolves when nothing follows any more, or when the page is left. */
export const followVideo = async (videoId: string, row: UploadRow): Promise<void> => {
  const uploaded = { type: 'UploadCompleted', recordedAt: new Date().toISOString(), body: {} }
  row.show({ kind: 'processing', pipeline: evolvePipeline(emptyPipeline, uploaded) })
  const leave = await following.enter()
  try {
    await follow(videoId, row)
  } finally {
    leave()
  }
}

const follow = async (videoId: string, row: UploadRow): Promise<void> => {
  const leaving = new AbortController()
  addEventListener('pagehide', () => leaving.abort(), { once: true })
  let pipeline: Pipeline = emptyPipeline
  const onFact = (fact: LiveFact): void => {
    pipeline = withPercent(evolvePipeline(pipeline, { ...fact, body: bodyOf(fact) }), fact.percent)
    row.show({ kind: 'processing', pipeline })
    if (pipeline.reachedAtMs.playable !== undefined) row.link(watchPath(videoId))
  }
  await followLive({ videoId, afterPosition: null, onFact, signal: leaving.signal })
  if (leaving.signal.aborted) return
  const { status, error } = await getVideo(videoId)
  const failure = error ?? pipeline.failure
  if (failure === null || status === 'ready') return
  throw new PipelineFailure(failure.code, failure.message, pipeline)
}

/** The upload was good, the video is not: trying again would not help. */
export class PipelineFailure extends ProblemError {
  readonly pipeline: Pipeline

  constructor(code: string, message: string, pipeline: Pipeline) {
    super(code, 0, message)
    this.pipeline = pipeline
  }
}

/** The live stream says what a fact led to; the steps ask for no more of its body. */
const bodyOf = ({ ready, error }: LiveFact): Readonly<Record<string, unknown>> => ({
  complete: ready,
  code: error?.code,
  detail: error?.message,
})
