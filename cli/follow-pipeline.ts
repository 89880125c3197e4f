import { followVideo } from '../ingest/sdk/index.ts'
import type { Connection } from './connection.ts'
import { CommandFailure, EXIT } from './exit.ts'

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

const ENDS = ['ready', 'rejected', 'failed', 'deleted']

/**
 * Resolves when the video is ready.
 * @throws CommandFailure with the code and the sentence of the pipeline, when it was rejected, failed or deleted
 * @throws UploadError when the API cannot be reached any more
 */
export const followPipeline = async (
  videoId: string,
  { apiUrl, token }: Connection,
  onStep: (step: PipelineStep) => void,
  signal: AbortSignal,
): Promise<void> => {
  const ended = new AbortController()
  let last: PipelineStep | undefined
  await followVideo(
    videoId,
    ({ data }) => {
      last = stepFrom(data)
      onStep(last)
      if (ENDS.includes(last.status)) ended.abort()
    },
    { apiUrl, token, signal: AbortSignal.any([signal, ended.signal]) },
  )
  if (signal.aborted || last?.status === 'ready') return
  const { code, message } = last?.error ?? { code: 'VIDEO_NOT_READY', message: `The video is ${last?.status}.` }
  throw new CommandFailure(code, message, EXIT.notReady)
}

const stepFrom = (data: string): PipelineStep => {
  const { type = '', status = '', percent = null, playable = false, error = null } = JSON.parse(data)
  return { type, status, percent, playable, error }
}
