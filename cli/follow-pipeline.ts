import { followVideo } from '../ingest/sdk/index.ts'
import type { Connection } from './connection.ts'
import { CommandFailure, EXIT } from './exit.ts'
import type { FileReport } from './upload-report.ts'

/** Where a video is on its way, after each of its facts. */
export interface PipelineStep {
  /** The fact: `SourceProbed`, `PlaylistPublished` … */
  readonly type: string
  readonly status: string
  /** Of the encoding; null before it is planned. */
  readonly percent: number | null
  readonly playable: boolean
  readonly error: { readonly code: string; readonly message: string } | null
}

export interface Waiting {
  readonly connection: Connection
  /** For how long to go on trying while nobody answers. */
  readonly giveUpAfterMs: number
  /** Ctrl-C ends the waiting, and nothing else. */
  readonly stop: AbortSignal
}

const ENDS = ['ready', 'rejected', 'failed', 'deleted']

/**
 * Resolves when the video is ready.
 * @throws CommandFailure with the code and the sentence of the pipeline, when it was rejected, failed or deleted
 * @throws UploadError when the API cannot be reached any more
 */
export const followPipeline = async (
  videoId: string,
  { connection, giveUpAfterMs, stop }: Waiting,
  { step, waiting }: Pick<FileReport, 'step' | 'waiting'>,
): Promise<void> => {
  const { apiUrl, token } = connection
  const ended = new AbortController()
  let last: PipelineStep | undefined
  await followVideo(
    videoId,
    ({ data }) => {
      last = stepFrom(data)
      step(last)
      if (ENDS.includes(last.status)) ended.abort()
    },
    { apiUrl, token, signal: AbortSignal.any([stop, ended.signal]), giveUpAfterMs, onWaiting: waiting },
  )
  if (stop.aborted || last?.status === 'ready') return
  const { code, message } = last?.error ?? { code: 'VIDEO_NOT_READY', message: `The video is ${last?.status}.` }
  throw new CommandFailure(code, message, EXIT.notReady)
}

const stepFrom = (data: string): PipelineStep => {
  const { type = '', status = '', percent = null, playable = false, error = null } = JSON.parse(data)
  return { type, status, percent, playable, error }
}
