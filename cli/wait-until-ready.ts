import type { CompletedUpload } from '../ingest/sdk/index.ts'
import type { Connection } from './connection.ts'
import { EXIT, exitCodeOf } from './exit.ts'
import { followPipeline } from './follow-pipeline.ts'
import type { FileReport } from './upload-report.ts'

/** Follows a video that is in the pipeline and tells the report; resolves with the exit code, never rejects. */
export const waitUntilReady = async (
  video: CompletedUpload,
  connection: Connection,
  report: FileReport,
  stop: AbortSignal,
): Promise<number> => {
  try {
    await followPipeline(video.videoId, connection, report.step, stop)
  } catch (error) {
    report.failed(error, video)
    return exitCodeOf(error)
  }
  if (stop.aborted) {
    report.interrupted('Not waiting any longer. The video goes on by itself.', video)
    return EXIT.interrupted
  }
  report.ready(video)
  return EXIT.ok
}
